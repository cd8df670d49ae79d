"""`hactl.ports.Nodes` over SSH: sh scripts on nodes, over connections that stay warm.

- One connection per node and login; one connect in flight per address (sshd drops more: MaxStartups 10:30:100).
- At most 8 execs at once per connection (sshd refuses the eleventh: MaxSessions 10), and 2 streams beside them.
- A script is sent only when its exec has started. Whatever fails before is tried once more on a fresh connection;
  whatever fails after may have run, and is never sent again from here.
- The node bounds a script with timeout(1); here the deadline is a few seconds later.
- A script of up to 32 KiB travels in one SSH packet, so the node gets all of it or nothing.

When to try again after NodeUnreachable is the caller's business. sshd(8), sshd_config(5), timeout(1), sh(1).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from hactl.adapters.ssh.commands import (
    KILL_AFTER_SECONDS,
    LOCKF_SIGNAL_STATUS,
    TIMEOUT_STATUS,
    exec_command,
    node_seconds,
    refusal,
    stream_command,
)
from hactl.adapters.ssh.connection import CONNECT_SECONDS, Connection, NotOpened, connect, introduces_itself
from hactl.adapters.ssh.session import Channel, ExecSession, StreamSession, text
from hactl.core.script import LOCK_WAIT_SECONDS
from hactl.errors import LoginRefused, NodeError, NodeGarbled, NodeUnreachable
from hactl.ports import Answer, Target

EXECS_PER_CONNECTION = 8
STREAMS_PER_CONNECTION = 2
OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024

_Address = tuple[str, int, str]
_Session = TypeVar("_Session", bound=ExecSession)


class _Link:
    """The way to one node: the warm connection, the connect in flight, who waits for it, free places."""

    def __init__(self, target: Target, gate: asyncio.Lock, connect_seconds: float) -> None:
        self.target = target
        self.execs = asyncio.Semaphore(EXECS_PER_CONNECTION)
        self.streams = 0
        self.connections: set[Connection] = set()
        self._gate = gate
        self._connect_seconds = connect_seconds
        self._warm: Connection | None = None
        self._pending: asyncio.Task[Connection] | None = None
        self._waiting = 0
        self._closed = False

    @property
    def idle(self) -> bool:
        """Nobody uses it or waits for it."""
        return self._waiting == 0 and self.streams == 0 and all(connection.idle for connection in self.connections)

    async def connection(self) -> Connection:
        """A usable connection. Everybody who asks meanwhile shares one connect, and its failure."""
        if self._closed:
            raise NodeUnreachable(self.target.node, "hactl has closed its connection")
        if self._warm is not None and self._warm.usable:
            return self._warm
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(self._connect(), name=f"ssh-connect {self.target.node}")
        pending = self._pending
        self._waiting += 1
        try:
            return await asyncio.shield(pending)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if pending.cancelled() and (task is None or not task.cancelling()):
                # Not we were cancelled: `close` stopped the connect we waited for.
                raise NodeUnreachable(self.target.node, "hactl has closed its connection") from None
            raise
        finally:
            self._waiting -= 1
            if self._waiting == 0 and not pending.done():
                self._pending = None
                pending.cancel()
                await asyncio.wait([pending])

    async def _connect(self) -> Connection:
        async with self._gate:
            made = await connect(self.target, connect_seconds=self._connect_seconds)
        self.connections = {connection for connection in self.connections if not connection.gone}
        self.connections.add(made)
        self._warm = made
        return made

    async def close(self) -> None:
        """Close every connection, whoever uses it, and stop the connect in flight."""
        self._closed = True
        if self._pending is not None and not self._pending.done():
            self._pending.cancel()
            await asyncio.wait([self._pending])
        connections, self.connections, self._warm = self.connections, set(), None
        await asyncio.gather(*(connection.close() for connection in connections))


class SSHNodes:
    """Runs scripts on nodes. One per process; belongs to one event loop."""

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        grace_seconds: float = KILL_AFTER_SECONDS + 2.0,
        linger_seconds: float = 1.0,
        output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> None:
        """`grace_seconds`: how much longer than the node we wait; `linger_seconds`: for output after an exit."""
        self._connect_seconds = connect_seconds
        self._grace_seconds = grace_seconds
        self._linger_seconds = linger_seconds
        self._output_limit_bytes = output_limit_bytes
        self._links: dict[tuple[object, ...], _Link] = {}
        self._gates: dict[tuple[str, int], asyncio.Lock] = {}
        self._closed = False

    async def run(
        self,
        target: Target,
        script: str,
        *,
        timeout_seconds: float,
        on_output: Callable[[str], None] | None = None,
        exclusive: bool = False,
    ) -> Answer:
        """Run `/bin/sh -s` as root with the script on standard input; see `hactl.ports.Nodes.run`.

        `on_output` gets every line of both streams as it arrives. What it raises ends the exec and is raised here.
        """
        link = self._link(target)
        limit = node_seconds(timeout_seconds)
        longest = limit + (LOCK_WAIT_SECONDS if exclusive else 0) + self._grace_seconds
        loop = asyncio.get_running_loop()

        def make() -> ExecSession:
            return ExecSession(
                limit_bytes=self._output_limit_bytes, linger_seconds=self._linger_seconds, on_line=on_output
            )

        async with (
            link.execs,
            self._exec(link, exec_command(target, timeout_seconds, exclusive=exclusive), make) as opened,
        ):
            channel, connection, session = opened
            began = loop.time()
            _send(channel, script)
            timed_out = not await _ended(session, longest)
            if timed_out:
                # The node should have killed it long ago: whatever this connection is, it is not healthy.
                connection.retire()
            seconds = loop.time() - began
        return _answer(target, session, timed_out, seconds, limit)

    async def answers(self, target: Target) -> bool:
        """Whether an sshd introduces itself there; see `hactl.ports.Nodes.answers`."""
        return await introduces_itself(target)

    async def stream(self, target: Target, script: str) -> AsyncIterator[str]:
        """Lines of standard output of a script without a time limit; see `hactl.ports.Nodes.stream`.

        Ends when the script exits with 0; any other end is a NodeError. Close the iterator to end it here: the
        node's script notices when it next prints (SIGPIPE).
        """
        link = self._link(target)
        if link.streams >= STREAMS_PER_CONNECTION:
            raise NodeError(target.node, f"there are {link.streams} streams from this node already")
        link.streams += 1
        try:
            async with self._exec(
                link, stream_command(target), lambda: StreamSession(linger_seconds=self._linger_seconds)
            ) as (channel, _, session):
                _send(channel, script)
                while (line := await session.queue.get()) is not None:
                    session.taken()
                    yield line
                _check_stream_end(target, session)
        finally:
            link.streams -= 1

    async def forget(self, target: Target) -> None:
        """Close the connections to that node, whoever uses them."""
        address = _address(target)
        keys = [key for key, link in self._links.items() if _address(link.target) == address]
        await asyncio.gather(*(self._links.pop(key).close() for key in keys))

    async def close(self) -> None:
        """Close everything; what still runs gets a NodeError."""
        self._closed = True
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links))

    def _link(self, target: Target) -> _Link:
        if self._closed:
            raise NodeUnreachable(target.node, "hactl has closed its connections")
        key = (*_address(target), target.host_keys, target.identities)
        if key not in self._links:
            self._drop_idle(_address(target))
            gate = self._gates.setdefault((target.host, target.port), asyncio.Lock())
            self._links[key] = _Link(target, gate, self._connect_seconds)
        return self._links[key]

    def _drop_idle(self, address: _Address) -> None:
        """Other keys are asked for at this address: connections made with the old ones are of no more use."""
        for key, link in list(self._links.items()):
            if _address(link.target) == address and link.idle:
                del self._links[key]
                for connection in link.connections:
                    connection.retire()

    @asynccontextmanager
    async def _exec(
        self, link: _Link, command: str, make: Callable[[], _Session]
    ) -> AsyncIterator[tuple[Channel, Connection, _Session]]:
        """A started exec that still waits for its script; its channel is closed at the end in every case."""
        channel, connection, session = await _start(link, command, make)
        try:
            yield channel, connection, session
        finally:
            session.release()
            if not session.ended.is_set():
                with suppress(OSError):
                    channel.terminate()
            channel.close()
            connection.leave()


async def _start(link: _Link, command: str, make: Callable[[], _Session]) -> tuple[Channel, Connection, _Session]:
    """Start an exec; a connection that turns out to be dead or full is replaced once, as nothing was sent yet."""
    why = ""
    for _ in range(2):
        connection = await link.connection()
        connection.enter()
        session = make()
        try:
            return await connection.open(command, session), connection, session
        except BaseException as error:
            # A half-opened channel keeps one of the few sessions sshd allows: no new exec on this connection.
            session.release()
            connection.leave()
            connection.retire()
            if not isinstance(error, NotOpened):
                raise
            why = str(error)
    raise NodeUnreachable(
        link.target.node,
        f"{link.target.host} port {link.target.port} accepts the login but starts no session ({why}); nothing was sent",
    )


def _send(channel: Channel, script: str) -> None:
    try:
        channel.write(script.encode())
        channel.write_eof()
    except OSError:
        # The channel is closed already; how it ended is in the session, and is judged like any other end.
        return


async def _ended(session: ExecSession, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await session.ended.wait()
    except TimeoutError:
        return False
    return True


def _answer(target: Target, session: ExecSession, timed_out: bool, seconds: float, node_limit: int) -> Answer:
    """What an ended exec amounts to. Raises NodeGarbled and LoginRefused."""
    if session.listener_error is not None:
        raise session.listener_error
    stdout, stderr = text(session.stdout), text(session.stderr)
    if session.truncated or timed_out:
        return Answer(None, stdout, stderr, seconds, timed_out=timed_out, truncated=session.truncated)
    if not session.answered:
        raise NodeGarbled(target.node, f"{_how_it_broke(session)} {seconds:.1f} s into a script; it may have run")
    if why := refusal(target, session.exit_status, stdout, stderr):
        raise LoginRefused(target.node, why)
    killed = session.exit_status in {128 + 9, LOCKF_SIGNAL_STATUS} or session.signal == "KILL"
    stopped = session.exit_status == TIMEOUT_STATUS or (killed and seconds >= node_limit)
    return Answer(session.exit_status, stdout, stderr, seconds, timed_out=stopped)


def _how_it_broke(session: ExecSession) -> str:
    if session.lost is None:
        return "the session was closed without an exit status"
    return f"the connection broke ({str(session.lost).strip() or type(session.lost).__name__})"


def _check_stream_end(target: Target, session: StreamSession) -> None:
    """A stream ends well only with exit status 0."""
    if not session.answered:
        raise NodeGarbled(target.node, f"{_how_it_broke(session)} during a stream")
    stderr = text(session.stderr)
    if why := refusal(target, session.exit_status, "", stderr):
        raise LoginRefused(target.node, why)
    if session.exit_status != 0:
        how = f"exit status {session.exit_status}" if session.signal is None else f"signal {session.signal}"
        raise NodeGarbled(target.node, f"the stream ended with {how}: {stderr.strip() or 'no message'}")


def _address(target: Target) -> _Address:
    return target.host, target.port, target.user
