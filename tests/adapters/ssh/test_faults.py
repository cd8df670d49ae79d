"""SSHNodes against servers that misbehave: an in-process SSH server and bare TCP sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from hactl.adapters.ssh import connection as ssh_connection
from hactl.adapters.ssh.nodes import SSHNodes
from hactl.errors import NodeError, NodeGarbled, NodeUnreachable
from hactl.ports import Answer, Target
from support.limits import LIMIT_SECONDS, SLOW, until
from support.loopback import free_port

Handler = Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[None]]


@dataclass
class Rogue:
    """A server whose behaviour a test chooses."""

    target: Target
    handler: Handler | None = None
    #: What was asked to run.
    commands: list[str] = field(default_factory=list)
    logins: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)


@pytest.fixture
async def rogue(tmp_path: Path) -> AsyncIterator[Rogue]:
    """Accepts any key of user root; runs `handler` for each exec."""
    host, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(tmp_path / "id")
    made = Rogue(
        Target(
            cluster="nas",
            node="nas-a",
            host="127.0.0.1",
            port=free_port(),
            user="root",
            host_keys=(host.export_public_key().decode(),),
            identities=(str(tmp_path / "id"),),
        )
    )

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            made.logins += 1
            made.connections.append(conn)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return True

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        made.commands.append(process.command or "")
        assert made.handler is not None
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            await made.handler(process)

    acceptor = await asyncssh.listen(
        "127.0.0.1", made.target.port, server_factory=Server, server_host_keys=[host], process_factory=handle,
        encoding=None,
    )  # fmt: skip
    yield made
    acceptor.close()
    for conn in made.connections:
        conn.abort()
    await acceptor.wait_closed()
    await asyncio.gather(*(conn.wait_closed() for conn in made.connections))


@pytest.fixture
async def nodes() -> AsyncIterator[SSHNodes]:
    """The adapter; nothing of it is left afterwards."""
    made = SSHNodes(connect_seconds=LIMIT_SECONDS, grace_seconds=0.1, linger_seconds=0.1, output_limit_bytes=100_000)
    yield made
    await made.close()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith("ssh-connect") for name in names)


async def run(nodes: SSHNodes, rogue: Rogue, seconds: float = LIMIT_SECONDS, **options: object) -> Answer:
    """One exec that may take that long."""
    return await nodes.run(rogue.target, "echo hello\n", timeout_seconds=seconds, **options)  # type: ignore[arg-type]


async def test_script_arrives_on_standard_input(nodes: SSHNodes, rogue: Rogue) -> None:
    """The script is on standard input, then end of file; the request is bounded by timeout(1)."""

    async def echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(await process.stdin.read())
        process.exit(0)

    rogue.handler = echo
    assert (await run(nodes, rogue)).stdout == "echo hello\n"
    assert rogue.commands == [f"timeout --foreground -k 5 {LIMIT_SECONDS:.0f} /bin/sh -s"]


async def test_a_node_that_hangs_is_timed_out_and_its_connection_left(nodes: SSHNodes, rogue: Rogue) -> None:
    """No exit within the limit and our grace: timed out, with what came; the next exec logs in afresh."""
    hang = asyncio.Event()

    async def half(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"half an ans")
        await hang.wait()

    rogue.handler = half
    answer = await run(nodes, rogue, 1.0 * SLOW)
    assert (answer.timed_out, answer.exit_status, answer.stdout) == (True, None, "half an ans")
    hang.set()

    async def well(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"well\n")
        process.exit(0)

    rogue.handler = well
    assert (await run(nodes, rogue)).stdout == "well\n"
    assert rogue.logins == 2


async def test_status_124_means_the_node_stopped_it(nodes: SSHNodes, rogue: Rogue) -> None:
    """timeout(1) exits with 124."""

    async def stopped(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.exit(124)

    rogue.handler = stopped
    answer = await run(nodes, rogue)
    assert (answer.timed_out, answer.exit_status) == (True, 124)


async def test_closing_mid_answer_is_garbled(nodes: SSHNodes, rogue: Rogue) -> None:
    """The connection goes away in the middle: the script may have run, and is not sent again."""

    async def drop(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"half")
        rogue.connections[-1].abort()

    rogue.handler = drop
    with pytest.raises(NodeGarbled, match="may have run"):
        await run(nodes, rogue)
    assert len(rogue.commands) == 1


async def test_a_channel_without_a_status_is_garbled(nodes: SSHNodes, rogue: Rogue) -> None:
    """An orderly close without exit status is no answer either."""

    async def close(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"half")
        process.close()

    rogue.handler = close
    with pytest.raises(NodeGarbled, match="without an exit status"):
        await run(nodes, rogue)


async def test_garbage_is_kept_readable(nodes: SSHNodes, rogue: Rogue) -> None:
    """Bytes that are not UTF-8 become replacement characters, in answers and in lines."""

    async def garbage(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"\xff\xfe\x00\x80 ok\nend\n")
        process.exit(0)

    rogue.handler = garbage
    lines: list[str] = []
    answer = await run(nodes, rogue, on_output=lines.append)
    assert answer.stdout == "��\0� ok\nend\n"
    assert lines == ["��\0� ok", "end"]


async def test_a_character_cut_between_packets_is_whole(nodes: SSHNodes, rogue: Rogue) -> None:
    """UTF-8 is decoded at the end, not packet by packet."""

    async def cut(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"caf\xc3")
        await process.stdout.drain()
        await asyncio.sleep(0)
        process.stdout.write(b"\xa9\n")
        process.exit(0)

    rogue.handler = cut
    lines: list[str] = []
    assert (await run(nodes, rogue, on_output=lines.append)).stdout == "café\n"
    assert lines == ["café"]


async def test_endless_output_is_cut(nodes: SSHNodes, rogue: Rogue) -> None:
    """At the limit the channel is closed and the answer says truncated; memory stays bounded."""

    async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
        while True:
            process.stdout.write(b"x" * 1000 + b"\n")
            await process.stdout.drain()

    rogue.handler = flood
    lines: list[str] = []
    answer = await run(nodes, rogue, on_output=lines.append)
    assert (answer.truncated, answer.exit_status, len(answer.stdout)) == (True, None, 100_000)
    assert lines[0] == "x" * 1000


async def test_a_line_without_end_is_handed_on_in_pieces(nodes: SSHNodes, rogue: Rogue) -> None:
    """A newline that never comes does not keep the listener waiting."""

    async def endless(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"y" * 90_000)
        process.exit(0)

    rogue.handler = endless
    lines: list[str] = []
    await run(nodes, rogue, on_output=lines.append)
    assert len(lines) == 2
    assert "".join(lines) == "y" * 90_000


async def test_what_a_listener_raises_ends_the_exec(nodes: SSHNodes, rogue: Rogue) -> None:
    """The caller's own exception comes back to the caller, and the connection stays usable."""

    async def talk(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"one\ntwo\n")
        process.exit(0)

    def broken(line: str) -> None:
        raise RuntimeError(line)

    rogue.handler = talk
    with pytest.raises(RuntimeError, match="one"):
        await run(nodes, rogue, on_output=broken)
    assert (await run(nodes, rogue)).stdout == "one\ntwo\n"
    assert rogue.logins == 1


async def test_a_slow_reader_makes_the_node_wait(nodes: SSHNodes, rogue: Rogue) -> None:
    """A stream nobody reads does not fill our memory: the node is not read from until there is room."""
    written = 0

    async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
        nonlocal written
        while True:
            process.stdout.write(b"z" * 999 + b"\n")
            written += 1000
            await process.stdout.drain()

    rogue.handler = flood
    stream = nodes.stream(rogue.target, "flood\n")
    assert await anext(stream) == "z" * 999
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.2)
    assert written < 20_000_000
    for _ in range(5000):
        await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_third_stream_is_refused(nodes: SSHNodes, rogue: Rogue) -> None:
    """Streams hold their session for ever, so they are few; a left one makes room."""

    async def tick(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"tick\n")
        await process.stdin.read()
        await asyncio.Event().wait()

    rogue.handler = tick
    streams = [nodes.stream(rogue.target, "x\n") for _ in range(3)]
    assert [await anext(stream) for stream in streams[:2]] == ["tick", "tick"]
    with pytest.raises(NodeError, match="2 streams"):
        await anext(streams[2])
    await streams[0].aclose()  # type: ignore[attr-defined]
    fourth = nodes.stream(rogue.target, "x\n")
    assert await anext(fourth) == "tick"
    await streams[1].aclose()  # type: ignore[attr-defined]
    await fourth.aclose()  # type: ignore[attr-defined]


async def test_a_stream_whose_connection_breaks_is_an_error(nodes: SSHNodes, rogue: Rogue) -> None:
    """The lines before the break are given, then NodeGarbled."""

    async def drop(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"one\n")
        await process.stdin.read()
        rogue.connections[-1].abort()

    rogue.handler = drop
    stream = nodes.stream(rogue.target, "x\n")
    assert await anext(stream) == "one"
    with pytest.raises(NodeGarbled, match="broke"):
        await anext(stream)


async def test_closing_while_scripts_run_ends_them_with_an_error(nodes: SSHNodes, rogue: Rogue) -> None:
    """close() waits for nobody; who waits for an answer is told."""
    begun = asyncio.Event()

    async def hang(process: asyncssh.SSHServerProcess[bytes]) -> None:
        begun.set()
        await process.stdin.read()
        await asyncio.Event().wait()

    rogue.handler = hang
    task = asyncio.create_task(nodes.run(rogue.target, "x\n", timeout_seconds=30))
    await begun.wait()
    await nodes.close()
    with pytest.raises(NodeGarbled):
        await task


async def test_a_session_that_never_opens_is_tried_once_more(
    nodes: SSHNodes, rogue: Rogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on which nothing opens is left for a fresh one; then it is unreachable, with nothing sent."""
    monkeypatch.setattr(ssh_connection, "OPEN_SECONDS", 0.2)
    stuck = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        await stuck.wait()

    monkeypatch.setattr(asyncssh.SSHClientConnection, "create_session", never)
    with pytest.raises(NodeUnreachable, match="nothing was sent"):
        await run(nodes, rogue)
    assert rogue.logins == 2
    assert rogue.commands == []


async def bare_server(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> asyncio.Server:
    """A TCP server that is no SSH server."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def at(rogue: Rogue, server: asyncio.Server) -> Target:
    """The rogue's target, but at this server."""
    port = server.sockets[0].getsockname()[1]
    target = rogue.target
    return Target(target.cluster, target.node, "127.0.0.1", port, "root", target.host_keys, target.identities)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "127.0.0.1 port"),
        (b"\xff\x00\xfe" * 100, "127.0.0.1 port"),
        (b"", "closed"),
    ],
)
async def test_something_else_answers(nodes: SSHNodes, rogue: Rogue, greeting: bytes, words: str) -> None:
    """A web server, garbage, or an immediate close are unreachable nodes, in words."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()

    server = await bare_server(talk)
    async with server:
        with pytest.raises(NodeUnreachable, match=words):
            await nodes.run(at(rogue, server), "x\n", timeout_seconds=1)


async def test_a_silent_server_is_bounded(rogue: Rogue) -> None:
    """A server that accepts and says nothing costs the connect limit, no more; all who wait share one connect."""
    connects = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        await reader.read()

    server = await bare_server(talk)
    async with server:
        target = at(rogue, server)
        nodes = SSHNodes(connect_seconds=0.5)
        runs = (nodes.run(target, "x\n", timeout_seconds=1) for _ in range(5))
        results = await asyncio.gather(*runs, return_exceptions=True)
        await nodes.close()
    assert all(isinstance(result, NodeUnreachable) for result in results)
    assert "within 0.5 s" in str(results[0])
    assert connects == 1


async def test_cancelling_the_only_waiter_ends_the_connect(nodes: SSHNodes, rogue: Rogue) -> None:
    """Nobody waits any more: the connection attempt is given up at once."""
    accepted, gone = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        gone.set()

    server = await bare_server(talk)
    async with server:
        task = asyncio.create_task(nodes.run(at(rogue, server), "x\n", timeout_seconds=1))
        await accepted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(LIMIT_SECONDS / 2):
            await gone.wait()


async def test_closing_during_a_connect_tells_who_waits(nodes: SSHNodes, rogue: Rogue) -> None:
    """close() while a connect is in flight is a NodeUnreachable, not a cancellation of the caller."""
    accepted = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()

    server = await bare_server(talk)
    async with server:
        task = asyncio.create_task(nodes.run(at(rogue, server), "x\n", timeout_seconds=1))
        await accepted.wait()
        await nodes.close()
        with pytest.raises(NodeUnreachable, match="closed its connection"):
            await task


async def test_a_refused_port_says_so(nodes: SSHNodes, rogue: Rogue) -> None:
    """The errno's words and its name."""
    target = rogue.target
    nobody = Target("nas", "nas-a", "127.0.0.1", free_port(), "root", target.host_keys, target.identities)
    with pytest.raises(NodeUnreachable, match=r"Connection refused \(ECONNREFUSED\)"):
        await nodes.run(nobody, "x\n", timeout_seconds=1)


async def test_a_name_that_does_not_resolve_says_so(nodes: SSHNodes, rogue: Rogue) -> None:
    """Names under .invalid never resolve (RFC 6761); a name DNS cannot carry is told alike."""
    target = rogue.target
    for host in ("nas-a.invalid", "a" * 70 + ".example"):
        lost = Target("nas", "nas-a", host, 22, "root", target.host_keys, target.identities)
        with pytest.raises(NodeUnreachable, match=host[:20]):
            await nodes.run(lost, "x\n", timeout_seconds=1)


async def test_one_connect_at_a_time_per_address(nodes: SSHNodes, rogue: Rogue) -> None:
    """Two logins to one address connect one after the other (MaxStartups); the other address does not wait."""
    now, most, expected = 0, 0, 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        await until(lambda: most >= expected, "as many connects at a time as there may be")
        now -= 1

    server, other = await bare_server(talk), await bare_server(talk)
    async with server, other:
        first = at(rogue, server)
        second = Target(first.cluster, first.node, first.host, first.port, "op", first.host_keys, first.identities)
        for targets, expected in (((first, second), 1), ((first, at(rogue, other)), 2)):
            most = 0
            runs = (nodes.run(target, "x\n", timeout_seconds=1) for target in targets)
            results = await asyncio.gather(*runs, return_exceptions=True)
            assert all(isinstance(result, NodeUnreachable) for result in results)
            assert most == expected
