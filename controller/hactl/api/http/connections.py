"""Connections: counted where they are accepted, before TLS and before a byte is read.

- Each listener has a budget of its own, and one address a part of it until somebody there is known: strangers never
  shut out the owner of the local socket, nor one stranger all others.
- When a budget is used up the connection goes on which nothing was asked for longest; then one of a stranger, then one
  that is only kept for later. One that is answered, a watch above all, is never cut off for another.
- The process keeps file descriptors for what it is there for: half of them are never the API's.
- No failure of a connection is a traceback: what strangers did is told once a minute and address.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hactl.api.limits import network_of

log = logging.getLogger("hactl.api")

#: Of one TCP listener, and of the local socket, at most; fewer where the process may open few files.
MAX_CONNECTIONS = 1000
MAX_LOCAL = 128
#: What the limit of open files is raised to where it is lower and may be raised.
WANTED_DESCRIPTORS = 8192
#: From the connection to the end of the first request's head, TLS included, seconds.
HEAD_SECONDS = 15.0
#: After the system had no room for another connection, none is accepted for so long, seconds.
PAUSE_SECONDS = 1.0
BACKLOG = 128
#: Accepted before anything else gets its turn.
_AT_ONCE = 16
#: Closed when the system has no room for another one.
_SHED = 8
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def descriptors() -> int:
    """How many files this process may open, after asking for as many as a busy controller needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft not in (resource.RLIM_INFINITY, -1) and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def most_connections(open_files: int, listeners: int) -> int:
    """Of one TCP listener among so many: half of the files stay for SSH, the record and the local socket."""
    return max(8, min(MAX_CONNECTIONS, open_files // 2 // max(1, listeners)))


def most_local(open_files: int) -> int:
    """Of the local socket."""
    return max(8, min(MAX_LOCAL, open_files // 8))


@dataclass(eq=False, slots=True)
class Connection:
    """One connection, from the moment it is accepted."""

    network: str
    began: float
    #: Until it is whole, the task that makes it so; then the transport.
    task: asyncio.Task[None] | None = None
    transport: asyncio.Transport | None = None
    #: A whole head of a request came; who asked is known; a request is being answered.
    asked: bool = False
    known: bool = False
    busy: bool = False
    idle_since: float = 0.0

    def abort(self) -> None:
        """Cut it off. It leaves its budget when its socket is closed."""
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


@dataclass(slots=True)
class Budget:
    """The connections of one listener."""

    most: int
    #: The most of one address on which nobody is known.
    unknown_each: int
    connections: set[Connection] = field(default_factory=set)
    _unknown: dict[str, set[Connection]] = field(default_factory=dict)

    def make_room(self, network: str) -> bool:
        """Whether one more of that address can be; cuts off another one for it where that is just."""
        mine = self._unknown.get(network, ())
        if len(mine) >= self.unknown_each:
            return self._give_way(mine)
        return len(self.connections) < self.most or self._give_way(self.connections)

    def shed(self, count: int) -> None:
        """Cut off so many on which nothing was asked yet."""
        silent = sorted((each for each in self.connections if not each.asked), key=lambda each: each.began)
        for each in silent[:count]:
            self._cut(each)

    def _give_way(self, among: set[Connection] | tuple[()]) -> bool:
        free = [each for each in among if not each.busy]
        if not free:
            return False
        self._cut(min(free, key=lambda each: (each.asked, each.known, each.idle_since)))
        return True

    def _cut(self, connection: Connection) -> None:
        # At once, and not when its end is told: others may come before that.
        self.remove(connection)
        connection.abort()

    def add(self, connection: Connection) -> None:
        """One more; nobody is known yet."""
        self.connections.add(connection)
        self._unknown.setdefault(connection.network, set()).add(connection)

    def is_known(self, connection: Connection) -> None:
        """Who asks on it has said who they are: it does not count against its address any more."""
        if not connection.known and connection in self.connections:
            self._no_stranger(connection)
        connection.known = True

    def remove(self, connection: Connection) -> None:
        """It is over. Callable repeatedly."""
        self.connections.discard(connection)
        self._no_stranger(connection)

    def _no_stranger(self, connection: Connection) -> None:
        mine = self._unknown.get(connection.network)
        if mine is not None:
            mine.discard(connection)
            if not mine:
                del self._unknown[connection.network]


class Acceptor:
    """Accepts the connections of one listening socket, within a budget."""

    def __init__(
        self,
        listening: socket.socket,
        budget: Budget,
        protocol: Callable[[Connection], asyncio.BaseProtocol],
        *,
        tls: Callable[[], ssl.SSLContext] | None,
        failed: Callable[[str, str], None],
    ) -> None:
        """`protocol` makes what reads a connection; `failed` is told address and trouble of what came to nothing."""
        self._listening = listening
        self._budget = budget
        self._protocol = protocol
        self._tls = tls
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def start(self) -> None:
        """Begin to accept."""
        self._listening.setblocking(False)
        self._listening.listen(BACKLOG)
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; what is not whole yet ends."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()
            for each in tuple(self._budget.connections):
                if each.transport is None:
                    each.abort()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._take(accepted, network_of(str(peer[0])) if isinstance(peer, tuple) and peer else "unix")

    def _rest(self, error: OSError) -> None:
        """The system has no room: make some, and let everything else have its turn."""
        if error.errno in _NO_ROOM:
            self._budget.shed(_SHED)
        self._failed("this machine", f"connections cannot be accepted: {error.strerror or error}")
        self._loop.remove_reader(self._listening.fileno())
        self._loop.call_later(PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _take(self, accepted: socket.socket, network: str) -> None:
        if not self._budget.make_room(network):
            self._failed(network, "too many connections")
            with suppress(OSError):
                if self._tls is None:
                    accepted.setblocking(False)
                    accepted.send(_FULL)
            accepted.close()
            return
        now = self._loop.time()
        connection = Connection(network, now, idle_since=now)
        self._budget.add(connection)
        connection.task = self._loop.create_task(self._serve(connection, accepted))
        self._loop.call_later(HEAD_SECONDS, self._hurry, connection)

    async def _serve(self, connection: Connection, accepted: socket.socket) -> None:
        """Make it whole: TLS, and what reads it."""
        accepted.setblocking(False)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: self._protocol(connection),
                accepted,
                ssl=None if self._tls is None else self._tls(),
                ssl_handshake_timeout=None if self._tls is None else HEAD_SECONDS,
            )
        except asyncio.CancelledError:
            # It had to give way, or the server stops: both are told elsewhere.
            self._budget.remove(connection)
            accepted.close()
        except (OSError, ssl.SSLError) as error:
            self._budget.remove(connection)
            accepted.close()
            self._failed(connection.network, f"no TLS: {_words(error)}")
            # Its frames keep each other and 256 KB of asyncio's for TLS: not until the collector comes to them.
            traceback.clear_frames(error.__traceback__)
        else:
            connection.transport = transport
            if connection not in self._budget.connections:
                transport.abort()

    def _hurry(self, connection: Connection) -> None:
        """Cut off a connection on which nothing whole was asked by now."""
        if not connection.asked and connection in self._budget.connections:
            connection.abort()


def _words(error: OSError) -> str:
    found = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return found or type(error).__name__
