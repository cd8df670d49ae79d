"""The API on sockets: who can connect, limits, what is cut off, and how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hactl.api.http import connections, sockets
from hactl.api.http import server as serving
from hactl.api.http.server import Listener, Server
from hactl.api.request.wire import Identity, Request, Response
from hactl.errors import Busy, HactlError
from support.api.service import LEASES, asking, lease
from support.limits import LIMIT_SECONDS, until

OWNER = Identity("ada@here", "admin", "")


@asynccontextmanager
async def a_server(**options: Any) -> AsyncIterator[tuple[Server, int, Any]]:
    """A server on plain loopback, its port, and who asks its service directly."""
    async with asking() as ada:
        server = Server(ada.service, **options)
        port = await server.start(Listener(OWNER, host="127.0.0.1"))
        try:
            yield server, port, ada
        finally:
            await server.stop()


async def raw(port: int, text: bytes, seconds: float = LIMIT_SECONDS) -> bytes:
    """Send bytes, and read until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    async with asyncio.timeout(seconds):
        try:
            found = await reader.read(-1)
        except ConnectionError:
            found = b""
    writer.close()
    return found


async def test_it_serves_the_service() -> None:
    """What is asked over HTTP is what the service answers, with content types and a Status for what is wrong."""
    async with a_server() as (_, port, ada), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post(LEASES, json=lease("a")) as answer:
            assert answer.status == 201
            made = await answer.json()
        assert made == await ada.ok("GET", f"{LEASES}/a")
        async with session.get(f"{LEASES}/%62") as answer:
            assert (answer.status, (await answer.json())["details"]["name"]) == (404, "b")
        async with session.get(LEASES, params={"labelSelector": "a=b,c"}) as answer:
            assert (await answer.json())["items"] == []


async def test_a_watch_is_lines_and_ends_with_its_client() -> None:
    """Each event is one line; when the client has gone the watch is over at once, quiet or not."""
    async with a_server() as (_, port, ada), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get(LEASES, params={"watch": "1"}) as answer:
            await ada.ok("POST", LEASES, lease("a"))
            line = await answer.content.readline()
            assert json.loads(line)["type"] == "ADDED"
            assert ada.service.reader.watchers == 1
        await until(lambda: not ada.service.reader.watchers, "the end of the watch")


async def test_stopping_ends_watches_in_order() -> None:
    """The stream ends as streams do, not broken off; new connections are refused."""
    async with a_server() as (server, port, _), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get(LEASES, params={"watch": "1"}) as answer:
            await server.stop()
            assert await answer.content.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_body_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """413, and nothing is stored."""
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", 2000)
    async with a_server() as (_, port, ada), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post(LEASES, json=lease("a", holder="x" * 3000)) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (413, "RequestEntityTooLarge")
        assert await ada.names(LEASES) == []


async def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No head, half a head, or half a body within their time: the connection ends."""
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)
    async with a_server() as (_, port, _ada):
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
        assert await raw(port, b"") == b""
        assert await raw(port, b"GET /version HTTP/1.1\r\nHost: loc") == b""
        monkeypatch.setattr(connections, "HEAD_SECONDS", LIMIT_SECONDS)
        head = (
            b"POST "
            + LEASES.encode()
            + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{"
        )
        assert b" 408 " in await raw(port, head)


@pytest.mark.parametrize(
    "text",
    [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G\0T / HTTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
     b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
     b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc"],
)  # fmt: skip
async def test_what_is_no_http(text: bytes) -> None:
    """400 or nothing, and never a trace of the program."""
    async with a_server() as (_, port, _ada):
        found = await raw(port, text)
        assert found == b"" or b" 400 " in found[:40], found[:200]
        assert b"Traceback" not in found
        assert b'File "' not in found


@pytest.mark.parametrize(
    "line",
    [
        b"GET /apis/%ff/%fe HTTP/1.1", b"GET /api/v1/namespaces/%ff HTTP/1.1", b"GET /apis/a%00b HTTP/1.1",
        b"GET /api/v1/namespaces?labelSelector=%ff%fe HTTP/1.1", b"GET /api/v1/namespaces?limit=\xff HTTP/1.1",
        b"GET /api/v1/namespaces?fieldSelector=%ed%a0%80 HTTP/1.1", b"GET /api/v1/namespaces?continue=%c3%28 HTTP/1.1",
        b"GET /api/v1/namespaces?%ff=%ff HTTP/1.1\r\nAccept: \xff\xfe", b"GET //a//b?c HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1",
        b"DELETE /api/v1/namespaces/default/events/%ff HTTP/1.1\r\nUser-Agent: \xff",
        b"GET http://other/api HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
        b"POST " + LEASES.encode() + b"?fieldManager=%ff HTTP/1.1\r\nContent-Type: \xff\r\nContent-Length: 2",
        b"GET /api/v1/namespaces HTTP/1.1\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nConnection: upgrade",
    ],
)  # fmt: skip
async def test_odd_bytes(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in the path, the query and the headers: an answer below 500, and no trace in the log."""
    async with a_server() as (_, port, _ada):
        body = b"{}" if b"Content-Length" in line else b""
        found = await raw(port, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n" + body)
        assert found == b"" or int(found.split()[1]) < 500, found
        assert [record for record in caplog.records if record.exc_info] == []


async def test_a_warning_is_one_header() -> None:
    """What a client wrote into a field's name cannot make another header of the answer."""
    async with a_server() as (_, port, _ada), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        odd = lease("a")
        odd["spec"]["x\r\nSet-Cookie: a=b\u00e9\u4e16"] = 1
        async with session.post(LEASES, json=odd) as answer:
            assert answer.status == 201
            assert "Set-Cookie" not in answer.headers
            assert "unknown field" in answer.headers["Warning"]


async def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch whose client takes nothing ends; it costs others nothing."""
    monkeypatch.setattr(serving, "WRITE_SECONDS", 0.2)
    async with a_server() as (_, port, ada):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET {LEASES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(60):
            await ada.ok("POST", LEASES, lease(f"l{number}", holder="x" * 500_000))
            await asyncio.sleep(0)
        await until(lambda: not ada.service.reader.watchers, "the end of the watch")
        writer.transport.abort()


async def test_what_goes_wrong_inside_has_a_number(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is 500 with a number that is in the log beside the traceback; the client sees no more."""
    async with a_server() as (_, port, ada), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def broken(request: Request) -> Response:
            raise RuntimeError("the secret path /srv/secret/x")

        ada.service.non_kubernetes = broken
        async with session.get("/metrics") as answer:
            told = await answer.json()
        assert (answer.status, told["reason"]) == (500, "InternalError")
        assert "secret" not in json.dumps(told)
        [record] = [record for record in caplog.records if record.exc_info]
        assert vars(record)["id"] in told["message"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"Host": "evil.example"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Host": "localhost:1"}, 200)],
)
async def test_web_pages_do_not_reach_plain_loopback(headers: dict[str, str], code: int) -> None:
    """A page in a browser of this machine, by its own name or from elsewhere, is refused."""
    async with (
        a_server() as (_, port, _ada),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        session.get(LEASES, headers=headers) as answer,
    ):
        assert answer.status == code


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "localhost", "::"])
def test_plain_tcp_is_for_loopback(host: str) -> None:
    """Without TLS only a loopback address can be listened on; a name is none, whatever it stands for today."""
    with pytest.raises(HactlError, match="loopback"):
        Listener(OWNER, host=host, port=1)
    Listener(OWNER, host="::1")


# -- the Unix socket ------------------------------------------------------------------------------------------------


async def test_the_socket_is_its_owners(tmp_path: Path) -> None:
    """0600 from its first moment; gone after the stop; answers as the owner."""
    path = tmp_path / "api.sock"
    async with asking() as ada:
        server = Server(ada.service)
        await server.start(Listener(OWNER, socket=path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connector = aiohttp.UnixConnector(str(path))
        async with (
            aiohttp.ClientSession("http://localhost", connector=connector) as session,
            session.post(LEASES, json=lease("a")) as answer,
        ):
            assert answer.status == 201
        rows = await ada.store.history({"kind": "RequestAccepted"})
        assert (rows[-1]["detail"]["actor"], rows[-1]["detail"]["origin"]) == ("ada@here", "unix")
        await server.stop()
        assert not path.exists()


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    """What a killed server left is taken away; where somebody listens it is Busy; a file is left alone."""
    path = tmp_path / "api.sock"
    first = sockets.bound(path)
    first.socket.listen()
    with pytest.raises(Busy):
        sockets.bound(path)
    first.socket.close()
    second = sockets.bound(path)
    # The first one's end does not take the second one's socket away.
    sockets.removed(first)
    assert path.exists()
    second.socket.close()
    sockets.removed(second)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(sockets.SocketError, match="is no socket"):
        sockets.bound(path)
    assert path.read_text() == "mine"


def test_a_place_that_is_not_safe(tmp_path: Path) -> None:
    """A directory others may write to, one that is not there, and a path that is too long are refused."""
    tmp_path.chmod(0o777)
    with pytest.raises(sockets.SocketError, match="others may write"):
        sockets.bound(tmp_path / "api.sock")
    tmp_path.chmod(0o1777)
    made = sockets.bound(tmp_path / "api.sock")
    made.socket.close()
    tmp_path.chmod(0o700)
    with pytest.raises(sockets.SocketError, match="cannot be made"):
        sockets.bound(tmp_path / "nowhere" / "api.sock")
    with pytest.raises(sockets.SocketError, match="103 bytes"):
        sockets.bound(tmp_path / ("x" * 110))


def test_where_it_is() -> None:
    """Beside the record."""
    assert sockets.default_socket(Path("/var/db/hactl/hactl.db")) == Path("/var/db/hactl/api.sock")
    assert sockets.default_socket(Path("x.db")) == Path.cwd() / "api.sock"


def test_the_bytes_of_a_path_count(tmp_path: Path) -> None:
    """Exactly as many as FreeBSD's sun_path holds can be used."""
    room = sockets.MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1
    made = sockets.bound(tmp_path / ("x" * room))
    with socket.socket(socket.AF_UNIX) as client:
        made.socket.listen()
        client.connect(str(made.path))
    made.socket.close()
