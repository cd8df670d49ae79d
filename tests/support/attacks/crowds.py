"""Many at once: what one of them does is allowed or harmless. Some stay until everything else was tried."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from support.api.service import CLUSTERS, JSON_PATCH, LEASES, lease
from support.attacks.attack import Attack
from support.attacks.daemon import Daemon
from support.attacks.heads import CLOSE, HOST

IDLE, HALF_OPEN, SLOW, WATCHES, ASKED = 300, 150, 40, 60, 150
#: Connections that stay until everything else was tried.
HELD = IDLE + HALF_OPEN + SLOW


@asynccontextmanager
async def lingering(daemon: Daemon) -> AsyncIterator[None]:
    """Idle connections, greetings of TLS without an end, heads and bodies of which a byte comes now and then."""
    writers: list[asyncio.StreamWriter] = []
    greeting = ssl.MemoryBIO()
    client = daemon.trust().wrap_bio(ssl.MemoryBIO(), greeting, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = greeting.read()

    async def plain(sent: bytes) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            writer.write(sent)
            writers.append(writer)

    async def slow(sent: bytes) -> None:
        with suppress(OSError, ssl.SSLError):
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port, ssl=daemon.trust())
            writers.append(writer)
            for byte in sent:
                if writer.transport.is_closing():
                    return
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.3)

    viewer = f"Authorization: Bearer {daemon.tokens['viewer']}\r\n".encode()
    review = b"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\n" + HOST + viewer
    tasks = [asyncio.create_task(plain(b"")) for _ in range(IDLE)]
    tasks += [asyncio.create_task(plain(hello[: len(hello) // 2])) for _ in range(HALF_OPEN)]
    tasks += [asyncio.create_task(slow(b"GET /version HTTP/1.1\r\nX: " + b"x" * 200)) for _ in range(SLOW // 2)]
    tasks += [
        asyncio.create_task(slow(review + b"Content-Length: 60000\r\n\r\n" + b"[" * 200)) for _ in range(SLOW // 2)
    ]
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()


async def _every(count: int, one: Callable[[int], Awaitable[str]], at_once: int = 20) -> str:
    """How often which status was seen: all of them apart from each other, sorted."""
    turns = asyncio.Semaphore(at_once)

    async def turn(number: int) -> str:
        async with turns:
            return await one(number)

    found = Counter(await asyncio.gather(*(turn(number) for number in range(count))))
    return " ".join(sorted(found))


async def _watches(daemon: Daemon) -> str:
    """Watches that read nothing, while something changes that they should be told of."""
    head = (
        f"GET {LEASES}?watch=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {daemon.tokens['viewer']}\r\n\r\n"
    )
    writers = []
    try:
        for _ in range(WATCHES):
            # It reads the first line, and not much after it.
            reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port, ssl=daemon.trust(), limit=512)
            writer.write(head.encode())
            writers.append(writer)
            assert b" 200 " in await reader.readuntil(b"\r\n")
        seen = set()
        for number in range(20):
            body = json.dumps(lease(f"told-{number}", annotations={"a": "x" * 20_000})).encode()
            seen.add(str((await daemon.ask("POST", LEASES, body, role="editor"))[0]))
            seen.add(str((await daemon.ask("DELETE", f"{LEASES}/told-{number}", role="editor"))[0]))
        return " ".join(sorted(seen))
    finally:
        for writer in writers:
            writer.transport.abort()


async def _wrong_tokens(daemon: Daemon) -> str:
    """Guesses without end; then somebody from the same address with a right one, and a health check."""
    guess = "GET /tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer guess-{}\r\n\r\n"
    guessed = await _every(ASKED, lambda number: daemon.raw(guess.format(number).encode()))
    right = (await daemon.ask("GET", LEASES, role="viewer"))[0], (await daemon.ask("GET", "/healthz", role=""))[0]
    return f"{guessed}, then {right[0]} {right[1]}"


async def _pipelined(daemon: Daemon) -> str:
    """1,000 requests in one go on one connection."""
    one = b"GET /version HTTP/1.1\r\n" + HOST
    return " ".join(sorted(set((await daemon.raw((one + b"\r\n") * 999 + one + CLOSE + b"\r\n")).split())))


async def _patches(daemon: Daemon) -> str:
    """Patches that copy what they copied, at once."""
    grow = [{"op": "add", "path": "/spec/a", "value": [[]] * 5000}]
    grow += [{"op": "copy", "from": "/spec", "path": f"/spec/a{number}"} for number in range(30)]
    body = json.dumps(grow).encode()

    async def one(number: int) -> str:
        path = f"{CLUSTERS}/nas"
        return str((await daemon.ask("PATCH", path, body, role="editor", kind=JSON_PATCH))[0])

    return await _every(40, one)


async def _reviews(daemon: Daemon) -> str:
    """Bodies of 60 KB that are lists of lists, from who may only read."""
    body = b"[" + b"[]," * 20_000 + b"1]"
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    async def one(number: int) -> str:
        return str((await daemon.ask("POST", path, body, role="viewer"))[0])

    return await _every(ASKED, one)


async def _chunks(daemon: Daemon) -> str:
    """60,000 chunks of one byte."""
    head = f"POST {LEASES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.tokens['editor']}\r\n".encode()
    return await daemon.raw(
        head + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 60_000 + b"0\r\n\r\n"
    )


async def _endless(daemon: Daemon) -> str:
    """A body without end, in chunks."""
    head = f"POST {CLUSTERS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.tokens['editor']}\r\n".encode()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    return await daemon.raw(head + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 400)


async def _unread(daemon: Daemon) -> str:
    """Long answers that nobody reads."""
    head = "GET /openapi/v3/apis/hactl.dev/v1alpha1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
    head += daemon.tokens["viewer"]
    writers = []
    try:
        for _ in range(10):
            _, writer = await asyncio.open_connection("127.0.0.1", daemon.port, ssl=daemon.trust(), limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write((head + "\r\n\r\n").encode() * 50)
            writers.append(writer)
        return str((await daemon.ask("GET", LEASES, role="viewer"))[0])
    finally:
        for writer in writers:
            writer.transport.abort()


ALL = [
    Attack("watches that do not read", f"{WATCHES} watches, 20 large objects", ("200 201",), _watches),
    Attack("guesses", f"{ASKED} wrong tokens", ("401 429, then 200 200", "429, then 200 200"), _wrong_tokens),
    Attack("1,000 at once", "requests on one connection", ("200",), _pipelined),
    Attack("patches that grow, at once", "40 patches of 31 operations", ("400", "413", "422", "400 429",
           "422 429"), _patches),
    Attack("reviews of 60 KB, at once", f"{ASKED} lists of 20,000 lists", ("400", "400 429"), _reviews),
    Attack("60,000 chunks", "of one byte each", ("400", "413"), _chunks),
    Attack("a body without end", "25 MB in chunks", ("413", "cut off"), _endless),
    Attack("answers that nobody reads", "500 long ones", ("200",), _unread),
]  # fmt: skip
