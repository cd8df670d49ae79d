"""Connections: counted before TLS, a budget for each listener, a part of it for each stranger, room for the rest."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import resource
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hactl.api.http import connections, tls
from hactl.api.http.connections import Acceptor, Budget, Connection, descriptors, most_connections, most_local
from hactl.api.http.server import Listener, Server
from hactl.api.request.wire import Identity, anonymous
from hactl.core.kube.errors import unauthorized
from support.api.service import LEASES, asking
from support.limits import LIMIT_SECONDS, until

OWNER = Identity("ada@here", "admin", "")
HEALTH = b"GET /version HTTP/1.1\r\nHost: localhost\r\n"
KNOWN = b"Authorization: Bearer right\r\n"


async def who(headers: Any, address: str, certificate: Any) -> Identity:
    """One right token."""
    shown = headers.get("authorization")
    if shown == "Bearer right":
        return Identity("token:ci", "viewer", address)
    if shown:
        raise unauthorized()
    return anonymous(address)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def status(self, request: bytes) -> int:
        """Ask, and read the head of the answer; 0: it was cut off."""
        self.writer.write(request + b"\r\n")
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await self.reader.readexactly(int(length or 0))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        return int(head.split()[1])

    @property
    def is_open(self) -> bool:
        """Whether the other side has not hung up, as far as is known here."""
        return not self.reader.at_eof() and self.reader.exception() is None

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


@asynccontextmanager
async def a_server(tmp_path: Path, *, secure: bool = False, **options: Any) -> AsyncIterator[tuple[int, Path, Any]]:
    """On TCP, where people show tokens, and on a Unix socket."""
    clients: list[Client] = []
    async with asking() as ada:
        server = Server(ada.service, **options)
        files = (lambda: tls.ensured(tmp_path / "tls", ["127.0.0.1"], datetime.now(UTC))) if secure else None
        port = await server.start(Listener(who, host="127.0.0.1", tls=tls.ServerTLS(files) if files else None))
        await server.start(Listener(OWNER, socket=tmp_path / "s"))

        async def connect(path: Path | None = None) -> Client:
            made = asyncio.open_unix_connection(path) if path else asyncio.open_connection("127.0.0.1", port)
            clients.append(Client(*await made))
            return clients[-1]

        try:
            yield port, tmp_path / "s", connect
        finally:
            for each in clients:
                each.writer.transport.abort()
            await server.stop()


def open_files() -> int:
    """Of this process; 0 where that is not told."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


async def test_a_stranger_gives_way_and_nobody_else(tmp_path: Path) -> None:
    """Silent connections go first, whoever is known and whoever is answered stays, and the local socket is apart."""
    async with a_server(tmp_path, max_connections=8, max_local=4) as (_, path, connect):
        known = await connect()
        assert await known.status(HEALTH + KNOWN) == 200
        watch = await connect()
        watch.writer.write(f"GET {LEASES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n".encode() + KNOWN + b"\r\n")
        assert b" 200 " in await watch.reader.readline()
        crowd = [await connect() for _ in range(50)]
        await until(lambda: sum(each.is_open for each in crowd) <= 4, "the end of the crowd but for its share")
        for _ in range(20):
            # New ones come through, one after the other, and the oldest ones go for it.
            assert await (await connect()).status(HEALTH) == 200
        assert await known.status(HEALTH + KNOWN) == 200
        assert watch.is_open
        assert await (await connect(path)).status(HEALTH) == 200


async def test_those_who_are_known_are_not_counted_against_their_address(tmp_path: Path) -> None:
    """Many clients behind one gateway: each is asked who it is, and stays."""
    async with a_server(tmp_path, max_connections=8) as (_, _path, connect):
        clients = [await connect() for _ in range(4)]
        for _ in range(4):
            assert {await each.status(HEALTH + KNOWN) for each in clients} == {200}
            if len(clients) < 8:
                clients.append(await connect())
        # A full listener: who is only kept for later goes for a new one.
        assert await (await connect()).status(HEALTH + KNOWN) == 200


async def test_a_full_listener_of_busy_ones_says_so(tmp_path: Path) -> None:
    """Nobody is cut off who is answered: the new one is told to come again."""
    async with a_server(tmp_path, max_connections=2) as (_, _path, connect):
        for _ in range(2):
            watch = await connect()
            watch.writer.write(f"GET {LEASES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n".encode() + KNOWN + b"\r\n")
            assert b" 200 " in await watch.reader.readline()
        assert await (await connect()).status(HEALTH + KNOWN) == 503


async def test_silent_ones_before_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Hundreds that never begin TLS, or send what is none: few are kept, none for long, and the log has one line."""
    caplog.set_level(logging.INFO)
    async with a_server(tmp_path, secure=True, max_connections=10, max_local=4) as (port, path, connect):
        before = open_files()
        crowd = [await connect() for _ in range(200)]
        for each in crowd[:100]:
            each.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: sum(each.is_open for each in crowd) <= 5, "the end of the crowd but for its share")
        # Ours of the crowd, and the server's share.
        assert open_files() <= before + 200 + 10
        trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=trust))
        assert await client.status(HEALTH) == 200
        assert await (await connect(path)).status(HEALTH) == 200
        client.close()
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
        late = await connect()
        assert await asyncio.wait_for(late.reader.read(), LIMIT_SECONDS) == b""
    assert [record for record in caplog.records if record.exc_info] == []
    assert sum(record.getMessage() == "a stranger was refused" for record in caplog.records) <= 1


async def test_of_tls_that_came_to_nothing_nothing_is_left(tmp_path: Path) -> None:
    """Each has 256 KB of asyncio's: gone with its connection, and not when the collector comes to it."""
    async with a_server(tmp_path, secure=True) as (_, _path, connect):
        gc.collect()
        gc.disable()
        try:
            crowd = [await connect() for _ in range(20)]
            for each in crowd[:10]:
                each.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            for each in crowd[10:]:
                each.writer.write_eof()
            await until(lambda: not any(each.is_open for each in crowd), "the end of the crowd")
            await until(
                lambda: not [each for each in gc.get_objects() if isinstance(each, SSLProtocol)], "their memory"
            )
        finally:
            gc.enable()


class _NoFiles:
    """A listening socket of a machine that has no descriptor left for a while."""

    def __init__(self, real: socket.socket, failures: int) -> None:
        self.real, self.failures, self.tries = real, failures, 0

    def accept(self) -> Any:
        """Fails so many times."""
        self.tries += 1
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


async def test_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent ones are closed, it is tried again a little later, and each try is no traceback."""
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0.05)
    told: list[tuple[str, str]] = []
    budget = Budget(20, 20)
    silent, busy = Connection("a", 0.0), Connection("b", 0.0, asked=True, busy=True)
    budget.add(silent)
    budget.add(busy)
    listening = _NoFiles(socket.create_server(("127.0.0.1", 0)), 3)
    served = asyncio.Event()

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            served.set()
            transport.close()

    acceptor = Acceptor(
        listening,
        budget,
        lambda connection: Served(),
        tls=None,
        failed=lambda *each: told.append(each),  # type: ignore[arg-type]
    )
    acceptor.start()
    _, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
    await asyncio.wait_for(served.wait(), LIMIT_SECONDS)
    assert listening.tries <= 6
    assert told == [("this machine", "connections cannot be accepted: Too many open files")] * 3
    assert budget.connections >= {busy}
    assert silent not in budget.connections
    writer.close()
    acceptor.close()


def test_half_of_the_descriptors_are_never_the_apis(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are; and more are asked for where that is allowed."""
    for files in (64, 200, 1024, 100_000):
        for listeners in (1, 2, 3):
            taken = listeners * most_connections(files, listeners) + most_local(files)
            assert taken <= max(files * 5 // 8, 32), (files, listeners)
    limits = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, wanted: limits.append(wanted))
    assert descriptors() == 4096
    assert limits[-1] == (4096, 4096)
    limits.append((20_000, 20_000))
    assert descriptors() == 20_000
