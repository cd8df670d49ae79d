"""The API of a server: over its Unix socket or TLS, with http.client.

aiohttp is not imported here: a command must start at once.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hactl.cli.api_client.client import Call, StatusError, Unreachable, checked
from hactl.cli.api_client.contexts import AUTHORITY, TOKEN, Context
from hactl.errors import HactlError

#: An answer, or the next part of one, is waited for so long.
TIMEOUT_SECONDS = 30.0


#: A watch that asks for bookmarks gets one a minute: one that is silent so long leads nowhere any more.
SILENT_SECONDS = 150.0


_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Remote:
    """A server over its Unix socket or TLS; one connection a request."""

    def __init__(
        self, context: Context, record: Path | None = None, *, patience_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """Nothing is sent yet. `record`: this machine's; `patience_seconds`: for an answer, or its next part.

        Raises HactlError for a server that is no address."""
        self._context = context
        self.where = context.server
        self.served = True
        self.here = context.server.startswith("unix:")
        directory = Path(context.server.removeprefix("unix:")).absolute().parent if self.here else None
        self.record = record if record is not None and record.absolute().parent == directory else None
        self._connect = _connector(context, patience_seconds)

    def send(self, call: Call) -> Any:
        """See `Client`."""
        with self._response(call) as response:
            data = response.read()
        if "json" not in (response.getheader("Content-Type") or ""):
            return data.decode(errors="replace")
        return self._value(data)

    def watch(self, call: Call, *, quiet_seconds: float | None = None) -> Iterator[Mapping[str, Any]]:
        """See `Client`."""
        with self._response(call, silent_seconds=quiet_seconds or SILENT_SECONDS) as response:
            while line := self._line(response, quiet_seconds):
                yield checked(self._value(line))

    @staticmethod
    def _line(response: http.client.HTTPResponse, quiet_seconds: float | None) -> bytes:
        """The next line; empty: the end, or nothing came for so long."""
        try:
            return response.readline()
        except TimeoutError:
            if quiet_seconds is None:
                raise
            return b""

    @contextlib.contextmanager
    def _response(self, call: Call, *, silent_seconds: float | None = None) -> Iterator[http.client.HTTPResponse]:
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
                raise StatusError(response.status, self._refusal(response), self._hint(response.status))
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
        problem = f"the certificate of {self.where} is not trusted: {error.verify_message}"
        authority = self._context.authority()
        if error.verify_code in (62, 64):
            # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH (openssl/x509_vfy.h).
            return f"{problem}; use a name the certificate is for, or give the server this one"
        if authority is not None:
            right = "take tls/ca.crt beside the server's record"
            return f"{problem}; {authority} is not the authority that signed it: {right}"
        return (
            f"{problem}; give its authority (tls/ca.crt beside the record of `hactl run`): "
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


def _connector(context: Context, timeout: float) -> Callable[[], http.client.HTTPConnection]:
    if context.server.startswith("unix:"):
        path = context.server.removeprefix("unix:")
        return lambda: _UnixConnection(path, timeout)
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
        return lambda: http.client.HTTPConnection(host, port or 80, timeout=timeout)
    trust = _trust(context)
    return lambda: http.client.HTTPSConnection(host, port or 443, timeout=timeout, context=trust)


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
