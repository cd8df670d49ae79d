"""Requests to a Kubernetes-style API over one warm session: JSON in and out, watches as streams of lines.

The access is looked up for every request, so that rotated tokens, certificates and kubeconfig files are noticed; a new
session is made when anything but the token changed. Proxies of the environment are not used.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hactl.adapters.http import FetchFailed, read_token, what_failed
from hactl.adapters.kubernetes.kubeconfig import KubeAccess
from hactl.core.document.problems import printable
from hactl.errors import HactlError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
#: A page of a list.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
#: One object of a watch; etcd takes no more than 1.5 MiB.
MAX_LINE_BYTES = 8 * 1024 * 1024
#: How much longer than the watch itself the server may take to end it.
MARGIN_SECONDS = 15.0


class KubeError(HactlError):
    """The API server refused, or did not answer (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        """`status` is the HTTP status, or the code of an ERROR event."""
        super().__init__(message)
        self.status = status


class KubeClient:
    """One API server."""

    def __init__(self, access: Callable[[], KubeAccess]) -> None:
        """`access` is asked (in a thread) before each request and may raise HactlError."""
        self._access = access
        self._made_for: object = None
        self._session: ClientSession | None = None
        self._closed = False
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """End all connections; later requests fail."""
        self._closed = True
        async with self._lock:
            await self._drop()

    async def namespace(self) -> str:
        """The namespace of the context. Raises KubeError."""
        return (await self._looked_up()).namespace

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """The object that is answered. Raises KubeError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data is not None else {}
        chunks = self._send(method, path, query or {}, data, headers, timeout_seconds)
        content = bytearray()
        async with aclosing(chunks):
            async for chunk in chunks:
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise KubeError(0, f"the answer is larger than {MAX_ANSWER_BYTES // 1048576} MiB")
        return _object(bytes(content))

    async def watch(self, path: str, query: Mapping[str, str], *, seconds: int) -> AsyncGenerator[dict[str, Any], None]:
        """Events until the server ends the watch, after `seconds` at most. Raises KubeError, also for ERROR events."""
        wanted = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        chunks = self._send("GET", path, wanted, None, {}, seconds + MARGIN_SECONDS)
        rest = bytearray()
        async with aclosing(chunks):
            async for chunk in chunks:
                rest += chunk
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                if len(rest) > MAX_LINE_BYTES:
                    raise KubeError(0, f"an event is larger than {MAX_LINE_BYTES // 1048576} MiB")
                for line in lines:
                    if line.strip():
                        yield _event(line)
        if rest.strip():
            raise KubeError(0, "the watch was cut short")

    # -- the wire -------------------------------------------------------------------------------------------------

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        data: bytes | None,
        headers: Mapping[str, str],
        timeout_seconds: float,
    ) -> AsyncGenerator[bytes, None]:
        import aiohttp

        access = await self._looked_up()
        session = await self._connected(access)
        token = await asyncio.to_thread(_token_of, access)
        sent = {"Accept": "application/json", "User-Agent": "hactl", "Accept-Encoding": "identity", **headers}
        if token and access.server.startswith("https:"):
            sent["Authorization"] = f"Bearer {token}"
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=min(CONNECT_SECONDS, timeout_seconds))
        try:
            async with session.request(
                method, f"{access.server}{path}", params=query, data=data, headers=sent, allow_redirects=False,
                timeout=timeout, server_hostname=access.server_name,
            ) as response:  # fmt: skip
                if response.status >= 300:
                    raise await _refusal(response)
                async for chunk in response.content.iter_any():
                    yield chunk
        except aiohttp.ClientPayloadError:
            raise KubeError(0, f"{printable(access.server)}: the answer was cut short") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeError(0, f"{printable(access.server)}: {what_failed(error, timeout_seconds)}") from None

    async def _looked_up(self) -> KubeAccess:
        try:
            return await asyncio.to_thread(self._access)
        except HactlError as error:
            raise KubeError(0, str(error)) from None

    async def _connected(self, access: KubeAccess) -> ClientSession:
        """The session; a new one when certificates or the server changed."""
        import aiohttp

        async with self._lock:
            if self._closed:
                raise KubeError(0, "the source is closed")
            made_for = (replace(access, token=""), await asyncio.to_thread(_stamps, access))
            if self._session is None or self._made_for != made_for:
                await self._drop()
                try:
                    context = await asyncio.to_thread(tls_context, access)
                except (OSError, ssl.SSLError) as error:
                    raise KubeError(
                        0, f"{printable(access.server)}: the certificates cannot be used: {error}"
                    ) from None
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context, limit=16),
                    trust_env=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
                self._made_for = made_for
            return self._session

    async def _drop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def tls_context(access: KubeAccess) -> ssl.SSLContext | bool:
    """For the server's certificate and ours. Raises OSError and SSLError."""
    if not access.server.startswith("https:"):
        return True
    context = ssl.create_default_context(cafile=access.ca_file, cadata=access.ca_text or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.cert_file is not None or access.cert_text:
        # Python's ssl loads a chain from files only; what came as data is on disk, 0600, no longer than that takes.
        with tempfile.TemporaryDirectory(prefix="hactl-") as directory:
            cert = access.cert_file or _written(Path(directory) / "cert.pem", access.cert_text)
            key = access.key_file or (
                _written(Path(directory) / "key.pem", access.key_text) if access.key_text else None
            )
            context.load_cert_chain(cert, key)
    return context


def _written(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


def _stamps(access: KubeAccess) -> tuple[tuple[int, int], ...]:
    """When the certificates were written: they are rotated."""
    stamps = []
    for file in (access.ca_file, access.cert_file, access.key_file):
        if file is not None and file.exists():
            found = file.stat()
            stamps.append((found.st_mtime_ns, found.st_ino))
    return tuple(stamps)


def _token_of(access: KubeAccess) -> str:
    if access.token_file is None:
        return access.token
    try:
        return read_token(access.token_file)
    except FetchFailed as error:
        raise KubeError(0, str(error)) from None


async def _refusal(response: ClientResponse) -> KubeError:
    """What the server says it does not do, from its Status object if it sent one."""
    text = (await response.content.read(65536)).decode(errors="replace")
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = response.reason or "refused"
    return KubeError(response.status, f"the API server answers {response.status}: {printable(message)[:300]}")


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        raise KubeError(0, "the answer is no JSON, or was cut short") from None
    if not isinstance(found, dict):
        raise KubeError(0, "the answer is no object")
    return found


def _event(line: bytes) -> dict[str, Any]:
    event = _object(line)
    body = event.get("object")
    if not isinstance(body, dict):
        raise KubeError(0, "an event of the watch has no object")
    if event.get("type") == "ERROR":
        code = body.get("code")
        raise KubeError(code if isinstance(code, int) else 0, f"the watch ended: {printable(str(body.get('message')))}")
    return event
