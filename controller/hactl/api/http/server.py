"""The API on sockets: a Unix socket for its owner, TCP with TLS for everybody else.

- A request has limits: its size, the time until its head and its body are here, how many connections there are.
- Plain TCP exists on loopback addresses only, and is refused to what looks like a web page of somebody else.
- Answers hold no traceback; a watch whose client does not read is cut off.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from aiohttp import HttpVersion10, web

from hactl.api.http import lines, sockets
from hactl.api.http.connections import MAX_CONNECTIONS, MAX_LOCAL, Acceptor, Budget, Connection
from hactl.api.http.tls import ServerTLS
from hactl.api.request.paths import is_about_documents, verb_and_resource
from hactl.api.request.wire import Identity, Request, Response, anonymous
from hactl.api.service import Service, answer, unexpected
from hactl.api.workers import Bodies, is_long
from hactl.core.kube.errors import ApiError, bad_request, forbidden, too_large
from hactl.errors import HactlError

log = logging.getLogger("hactl.api")

#: What is no HTTP is answered with 400; strangers must not fill our log with it.
_SILENT = logging.getLogger("hactl.api.http")
_SILENT.setLevel(logging.CRITICAL + 1)

#: A cluster, as large as a document in a file may be; and everything else: operations, leases, reviews, tokens.
MAX_BODY_BYTES = 1024 * 1024
SMALL_BODY_BYTES = 64 * 1024
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
#: Until the body of a request is here, seconds.
BODY_SECONDS = 30.0
#: A connection on which nothing is asked is kept this long, seconds.
IDLE_SECONDS = 90.0
#: The rest of a body nobody wants is read and thrown away for so long, so that the client hears the answer, seconds.
LINGER_SECONDS = 2.0
#: A client that takes nothing for this long is cut off, seconds.
WRITE_SECONDS = 30.0
#: Requests get this long to end when the server stops, seconds.
STOP_SECONDS = 3.0

#: Tells who asks, from headers by lower-case name, address and verified client certificate. Raises ApiError.
Authenticate: TypeAlias = Callable[[Mapping[str, str], str, Mapping[str, Any] | None], Awaitable[Identity]]
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen, and how who asks is known there."""

    #: Tells who asks, or who everybody is (but for the address).
    who: Authenticate | Identity
    #: A Unix socket.
    socket: Path | None = None
    #: A TCP address and port.
    host: str = ""
    port: int = 0
    tls: ServerTLS | None = None

    def __post_init__(self) -> None:
        """Raises HactlError for plain TCP elsewhere than on a loopback address."""
        if self.socket is None and self.tls is None and not is_loopback(self.host):
            raise HactlError(
                f"plain TCP is for loopback addresses only, and {self.host} is none: give it a certificate"
            )

    @property
    def plain(self) -> bool:
        """TCP without TLS."""
        return self.socket is None and self.tls is None

    def __str__(self) -> str:
        """For people."""
        if self.socket is not None:
            return str(self.socket)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether that address never leaves this machine; names are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server:
    """Serves one service on several listeners."""

    def __init__(
        self,
        service: Service,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_local: int = MAX_LOCAL,
        answered: Callable[[str, str, int], None] | None = None,
    ) -> None:
        """At most so many connections on each TCP listener, and on the Unix socket.

        `answered` is told verb, resource and status of every answer.
        """
        self._service = service
        self._max_connections = max_connections
        self._answered = answered
        self._local = max_local
        self._servers: list[web.Server] = []
        self._acceptors: list[Acceptor] = []
        self._bound: list[sockets.Bound] = []
        self._lines = lines.Lines()
        self._bodies = Bodies()

    # -- start and stop ---------------------------------------------------------------------------------------------

    async def start(self, listener: Listener) -> int:
        """Begin to listen; the port, 0 for a Unix socket. Raises HactlError when that is not possible."""
        if listener.socket is not None:
            bound = await asyncio.to_thread(sockets.bound, listener.socket)
            self._bound.append(bound)
            # Everybody there is the owner.
            budget, listening = Budget(self._local, self._local), [bound.socket]
        else:
            budget = Budget(self._max_connections, max(1, self._max_connections // 2))
            listening = await _listening(listener)
        http = self._protocols(listener)
        self._servers.append(http)

        def protocol(connection: Connection) -> asyncio.BaseProtocol:
            made = http.protocol()
            made.connection, made.budget = connection, budget
            return made

        for each in listening:
            tls = listener.tls
            acceptor = Acceptor(
                each, budget, protocol, tls=None if tls is None else tls.current, failed=self._service.audit.stranger
            )
            acceptor.start()
            self._acceptors.append(acceptor)
        port = 0 if listener.socket is not None else int(listening[0].getsockname()[1])
        log.info("the API listens", extra={"on": str(replace(listener, port=port))})
        return port

    def _protocols(self, listener: Listener) -> _Server:
        """What makes the protocol of each new connection."""
        loop = asyncio.get_running_loop()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert isinstance(request.protocol, _Protocol)
            connection, budget = request.protocol.connection, request.protocol.budget
            connection.asked = connection.busy = True
            try:
                return await self._handle(listener, request, lambda: budget.is_known(connection))
            finally:
                connection.busy, connection.idle_since = False, loop.time()

        def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, loop)

        return _Server(
            handle,
            request,
            access_log=None,
            logger=_SILENT,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            # No body is compressed: none can be larger than it looks.
            auto_decompress=False,
        )

    async def stop(self) -> None:
        """No new connections, watches end, the rest gets its time."""
        for bound in self._bound:
            sockets.removed(bound)
        for acceptor in self._acceptors:
            acceptor.close()
        await self._service.close()
        for http in self._servers:
            # Idle connections end now, the others after their answer.
            http.pre_shutdown()
        await asyncio.gather(*(http.shutdown(STOP_SECONDS) for http in self._servers), return_exceptions=True)
        self._servers.clear()
        self._acceptors.clear()
        self._bound.clear()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def _handle(
        self, listener: Listener, request: web.BaseRequest, known: Callable[[], None]
    ) -> web.StreamResponse:
        """One request. What goes wrong before the service has it is answered as the service would."""
        parsed = Request(request.method, "/", anonymous(_address(listener, request)))
        try:
            headers = _headers(request)
            if request.version < HttpVersion10:
                raise bad_request("HTTP/1.0 or newer is understood")
            if listener.plain:
                _check_page(headers)
            parsed = Request(
                request.method,
                unquote(request.rel_url.raw_path),
                await _who(listener, headers, _address(listener, request), _certificate(request)),
                {name: request.query[name] for name in request.query},
                headers,
            )
            if not parsed.identity.is_anonymous:
                known()
            response = await self._ask(request, parsed)
        except ApiError as refused:
            response = answer(refused)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client gets a number and the log the rest
            response = unexpected(parsed)
        if self._answered is not None:
            self._answered(*verb_and_resource(request.method, parsed.path, parsed.query), response.status)
        try:
            if response.raw is None and is_long(response.body):
                text = await self._service.reads.run(parsed.identity.actor, lambda: lines.text(response.body) + b"\n")
                response = replace(response, raw=text)
            return await _send(request, response, self._lines)
        except ApiError as refused:
            return await _send(request, answer(refused), self._lines)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            # In the middle of an answer nothing else can be said.
            log.exception("an answer could not be sent", extra={"path": parsed.path[:200]})
            if request.transport is not None:
                request.transport.abort()
            raise

    async def _ask(self, request: web.BaseRequest, parsed: Request) -> Response:
        """The service's answer. No body is taken in before it is clear that who asks may ask. Raises ApiError."""
        refused = await asyncio.shield(self._service.refusal(parsed))
        if refused is not None:
            return refused
        if parsed.method not in _WITHOUT_BODY:
            limit = MAX_BODY_BYTES if is_about_documents(parsed.path) else min(SMALL_BODY_BYTES, MAX_BODY_BYTES)
            length = limit if request.content_length is None else request.content_length
            if min(length, limit) > SMALL_BODY_BYTES:
                async with self._bodies.turn(parsed.identity.actor, BODY_SECONDS):
                    return await self._answer_with_body(request, parsed, limit)
            return await self._answer_with_body(request, parsed, limit)
        return await asyncio.shield(self._service.answered(parsed))

    async def _answer_with_body(self, request: web.BaseRequest, parsed: Request, limit: int) -> Response:
        if request.headers.get("Expect", "").lower() == "100-continue":
            # Only now: who may not send it was told so before the body left.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parsed = replace(parsed, body=await _body(request, limit))
        return await asyncio.shield(self._service.answered(parsed))


async def _who(
    listener: Listener, headers: Mapping[str, str], address: str, certificate: Mapping[str, Any] | None
) -> Identity:
    if isinstance(listener.who, Identity):
        return replace(listener.who, origin=address)
    return await listener.who(headers, address, certificate)


def _address(listener: Listener, request: web.BaseRequest) -> str:
    return "unix" if listener.socket is not None else str(request.remote or "unknown")


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """By lower-case name. One that is there twice is a list (RFC 9110, 5.3): two credentials are none."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _certificate(request: web.BaseRequest) -> Mapping[str, Any] | None:
    found = request.get_extra_info("peercert")
    return found if isinstance(found, dict) and found else None


def _check_page(headers: Mapping[str, str]) -> None:
    """Plain loopback has no credentials: a web page in the browser of this machine must not reach it.

    Raises ApiError (403). A page's own name resolves to us (DNS rebinding): then Host is not ours. A page of
    elsewhere calls us: then there is an Origin.
    """
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    if host.lower() not in _LOOPBACK_NAMES or "origin" in headers:
        raise forbidden("", "", "", "over plain HTTP only local programs are answered, no web pages")


async def _body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body. Raises ApiError (400, 408, 413)."""
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise too_large(limit)
    except TimeoutError:
        raise ApiError(408, "Timeout", f"the body was not here within {BODY_SECONDS:.0f} s") from None
    except web.RequestPayloadError as error:
        raise bad_request(f"the body cannot be read: {error}") from None
    return bytes(body)


def _fixed(response: Response) -> dict[str, str]:
    """Its headers, and those of every answer."""
    return {
        **response.headers,
        "Content-Type": response.content_type,
        "X-Content-Type-Options": "nosniff",
        "Server": "hactl",
    }


async def _send(request: web.BaseRequest, response: Response, written: lines.Lines) -> web.StreamResponse:
    headers = _fixed(response)
    if response.stream is None:
        text = response.raw
        if text is None:
            text = lines.text(response.body) + b"\n"
        headers.setdefault("Cache-Control", "no-cache, private")
        answered = web.Response(status=response.status, body=text, headers=headers)
        if not request.content.is_eof():
            # A body that nobody wants: what comes after it on this connection is not to be guessed.
            answered.force_close()
        return answered
    return await _stream(request, response, headers, written)


async def _stream(
    request: web.BaseRequest, response: Response, headers: Mapping[str, str], written: lines.Lines
) -> web.StreamResponse:
    """Each value as it comes; a client that has gone, or takes nothing, ends it."""
    assert response.stream is not None
    sending = web.StreamResponse(status=response.status, headers={**headers, "Cache-Control": "no-cache, private"})
    events = response.content_type.startswith("text/event-stream")
    try:
        await sending.prepare(request)
        async for value in response.stream:
            # A watch that begins with thousands of objects leaves others their turn after each.
            await asyncio.sleep(0)
            line = lines.server_sent(value) if events else written.of(value)
            async with asyncio.timeout(WRITE_SECONDS):
                await sending.write(line)
        await sending.write_eof()
    except TimeoutError:
        log.info("a client that takes nothing was cut off", extra={"path": request.path[:200]})
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        # It has gone; that is how watches end.
        pass
    finally:
        close = getattr(response.stream, "aclose", None)
        if close is not None:
            await close()
    return sending


class _Protocol(web.RequestHandler):
    """aiohttp's, which knows its connection, and answers what is no HTTP with a Status that repeats nothing of it."""

    #: Here and in no table: where TLS never began nobody tells that the connection ended.
    __slots__ = ("budget", "connection")
    connection: Connection
    budget: Budget

    def handle_error(
        self,
        request: Any,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """The answer, after which the connection ends. Raises ConnectionError in the middle of another answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way")
        refusal = answer(ApiError(status, "BadRequest", "this is no HTTP that is understood here"))
        told = web.Response(status=status, body=lines.text(refusal.body) + b"\n", headers=_fixed(refusal))
        told.force_close()
        return told


class _Server(web.Server):
    """aiohttp's, which tells of connections that ended."""

    def __init__(self, handler: Any, request_factory: Any, **options: Any) -> None:
        # A watch ends when its client goes; what writes is shielded.
        super().__init__(handler, request_factory=request_factory, handler_cancellation=True, **options)
        self._options = options

    def protocol(self) -> _Protocol:
        """What reads one connection."""
        return _Protocol(self, loop=asyncio.get_running_loop(), **self._options)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Called by each protocol."""
        super().connection_lost(handler, exc)
        handler.budget.remove(handler.connection)


async def _listening(listener: Listener) -> list[socket.socket]:
    """Bound sockets for every address that the listener's host stands for. Raises HactlError."""
    made: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
    except OSError as error:
        for one in made:
            one.close()
        raise HactlError(f"cannot listen on {listener}: {error.strerror or error}") from error
    return made
