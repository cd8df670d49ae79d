"""A client of the API: over a Unix socket or TLS with http.client, or in this process when no server runs.

Both ways give the same answers, because without a server the API's own `Service` answers, on the record
(`hactl.cli.api_client.local`). aiohttp is not imported here: a command must start at once.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import click

from hactl.cli.api_client.contexts import AUTHORITY, TOKEN, Context, chosen, named
from hactl.cli.record import state_path
from hactl.errors import HactlError

CLUSTERS = "/apis/hactl.dev/v1alpha1/namespaces/default/haclusters"
OPERATIONS = "/apis/hactl.dev/v1alpha1/namespaces/default/haoperations"
EVENTS = "/api/v1/namespaces/default/events"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
JSON = "application/json"
#: An answer, or the next part of one, is waited for so long.
TIMEOUT_SECONDS = 30.0
#: A watch that asks for bookmarks gets one a minute: one that is silent so long leads nowhere any more.
SILENT_SECONDS = 150.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Refused(HactlError):
    """The API refused; `status` is its Status object."""

    def __init__(self, code: int, status: Mapping[str, Any], hint: str = "") -> None:
        """Keep what it said; the message is for people, with every cause on its line."""
        self.code = code
        self.status = status
        self.reason = str(status.get("reason", ""))
        causes = (status.get("details") or {}).get("causes") or ()
        text = str(status.get("message") or f"the server answered {code}")
        lines: list[str] = []
        if self.reason == "Invalid" and len(causes) > 1:
            # The message has all of them in one line.
            text = text.partition(": [")[0]
            lines = [f"  {cause.get('field', '')}: {cause.get('message', '')}" for cause in causes]
        super().__init__("\n".join([text, *lines, *([hint] if hint else [])]))


class Unreachable(HactlError):
    """Nobody answers at the server's address, or not as hactl does."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        query = urlencode(self.asked)
        return quote(self.path) + (f"?{query}" if query else "")

    @property
    def asked(self) -> Mapping[str, str]:
        """The query without what is empty."""
        return {key: value for key, value in self.query.items() if value}


class Client(Protocol):
    """The API, for commands."""

    #: Who is asked, for messages.
    where: str
    #: Whether that is on this machine, where a document's files are beside it.
    here: bool

    def send(self, call: Call) -> Any:
        """The answer's value. Raises Refused, Unreachable."""
        ...

    def watch(self, call: Call) -> Iterator[Mapping[str, Any]]:
        """The events of a watch until the server ends it. Raises Refused (also told by an event), Unreachable."""
        ...


def server_of(ctx: click.Context, server: str | None, context: str | None) -> Remote | None:
    """The server somebody named: by an option, the environment or the current context. Raises HactlError."""
    found = named(server, context, stated=ctx.obj["state"] is not None)
    return None if found is None else Remote(found)


def here_only(ctx: click.Context, instead: str) -> None:
    """For a command that works on the record itself. Raises HactlError when a server is set up."""
    found = named(None, None, stated=ctx.obj["state"] is not None)
    if found is not None:
        raise HactlError(
            f"this command reads the record on the controller's machine, and {found.server} is set up here: {instead}, "
            "or name a record with --state PATH"
        )


@contextlib.contextmanager
def connected(ctx: click.Context, *, server: str | None = None, context: str | None = None) -> Iterator[Client]:
    """The server that is chosen, or this process on the record. Raises HactlError."""
    record = state_path(ctx)
    found = chosen(server, context, record, stated=ctx.obj["state"] is not None)
    if found is not None:
        yield Remote(found)
        return
    if not record.exists():
        raise HactlError(
            f"no server runs and there is no record at {record} yet: `hactl run` and `hactl apply` make it; "
            "--server, --context and --state name others"
        )
    from hactl.cli.api_client.local import Local

    local = Local(record)
    try:
        yield local
    finally:
        local.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Remote:
    """A server over its Unix socket or TLS; one connection a request."""

    def __init__(self, context: Context) -> None:
        """Nothing is sent yet. Raises HactlError for a server that is no address."""
        self._context = context
        self.where = context.server
        self.here = context.server.startswith("unix:")
        self._connect = _connector(context)

    def send(self, call: Call) -> Any:
        """See `Client`."""
        with self._asked(call) as response:
            data = response.read()
        if "json" not in (response.getheader("Content-Type") or ""):
            return data.decode(errors="replace")
        return self._value(data)

    def watch(self, call: Call) -> Iterator[Mapping[str, Any]]:
        """See `Client`."""
        with self._asked(call, silent_seconds=SILENT_SECONDS) as response:
            while line := response.readline():
                yield checked(self._value(line))

    @contextlib.contextmanager
    def _asked(self, call: Call, *, silent_seconds: float | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = self._connect()
        headers = {"Accept": call.accept, "User-Agent": "hactl"}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        if token := self._context.token():
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(call.method, call.target, body=call.data or None, headers=headers)
            # With `Connection: close` the response takes the socket with it.
            sock = connection.sock
            response = connection.getresponse()
            if response.status >= 400:
                raise Refused(response.status, self._refusal(response), self._hint(response.status))
            if silent_seconds is not None and sock is not None:
                sock.settimeout(silent_seconds)
            yield response
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(self._not_trusted(error)) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"{self.where} does not answer: {why}") from error
        finally:
            connection.close()

    def _hint(self, code: int) -> str:
        """What a person can do about a refusal that is about who asks."""
        if code != 401:
            return ""
        if self._context.token() is None and "clientCertificate" not in self._context.fields:
            how = f"`hactl config set-context NAME --token-file FILE`, or {TOKEN}"
            return f"{self.where} wants to know who asks: give a token ({how}); the admin makes one: hactl token create"
        return f"{self.where} does not accept what you showed; the admin makes a new one: hactl token create NAME"

    def _not_trusted(self, error: ssl.SSLCertVerificationError) -> str:
        """Which file is missing, or why the right file does not help."""
        told = f"the certificate of {self.where} is not trusted: {error.verify_message}"
        authority = self._context.authority()
        if error.verify_code in (62, 64):
            # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH (openssl/x509_vfy.h).
            return f"{told}; use a name the certificate is for, or give the server this one"
        if authority is not None:
            return (
                f"{told}; {authority} is not the authority that signed it: take tls/ca.crt beside the server's record"
            )
        return (
            f"{told}; give its authority (tls/ca.crt beside the record of `hactl run`): "
            f"`hactl config set-context NAME --server {self.where} --certificate-authority FILE`, or {AUTHORITY}=FILE"
        )

    def _refusal(self, response: http.client.HTTPResponse) -> Mapping[str, Any]:
        data = response.read()
        try:
            found = json.loads(data)
        except ValueError:
            return {"message": f"{self.where} answered {response.status} {response.reason}"}
        return found if isinstance(found, dict) else {}

    def _value(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise Unreachable(f"{self.where} does not answer as hactl does: {error}") from error


def checked(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event of a watch. Raises Refused for the one that tells an error."""
    if event.get("type") == "ERROR":
        status = event.get("object") or {}
        raise Refused(int(status.get("code") or 500), status)
    return event


def _connector(context: Context) -> Callable[[], http.client.HTTPConnection]:
    if context.server.startswith("unix:"):
        path = context.server.removeprefix("unix:")
        return lambda: _UnixConnection(path)
    parts = urlsplit(context.server)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("https", "http") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise HactlError(f"{context.server} is no server: write https://HOST:PORT or unix:PATH")
    if parts.scheme == "http":
        if host not in _LOOPBACK:
            raise HactlError(f"{context.server}: without TLS only this machine itself may be asked")
        return lambda: http.client.HTTPConnection(host, port or 80, timeout=TIMEOUT_SECONDS)
    trust = _trust(context)
    return lambda: http.client.HTTPSConnection(host, port or 443, timeout=TIMEOUT_SECONDS, context=trust)


def _trust(context: Context) -> ssl.SSLContext:
    """What is trusted and shown. Raises HactlError that names the file."""
    authority = context.authority()
    path = ""
    try:
        path = str(Path(authority).expanduser()) if authority else ""
        trust = ssl.create_default_context(cafile=path or None)
        if certificate := context.fields.get("clientCertificate"):
            path = str(Path(certificate).expanduser())
            key = context.fields.get("clientKey")
            trust.load_cert_chain(path, Path(key).expanduser() if key else None)
    except (OSError, ssl.SSLError) as error:
        about = f"context {context.name}" if context.name else context.server
        why = getattr(error, "strerror", None) or error
        raise HactlError(f"{about}: {path} cannot be used: {why}") from error
    return trust
