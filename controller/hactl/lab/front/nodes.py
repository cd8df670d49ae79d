"""`ports.Nodes` without SSH: scripts run directly on the machines of a lab world, with every way a link can fail.

Rules:
- The world's clock decides about time: real, or `VirtualTime` in tests.
- A machine that is off refuses; one that is frozen answers nothing until the caller gives up.
- A fault is set per node (`faults`), and cleared by its owner; `once` clears itself after one run.
- What the real adapter raises is raised here too (hactl.errors).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from hactl.core.choices import NodeAccess
from hactl.core.gate.render import GATE
from hactl.core.hook.render import LOCK
from hactl.core.script import LOCK_BUSY_STATUS, LOCK_WAIT_SECONDS
from hactl.errors import NodeError, NodeGarbled, NodeUnreachable
from hactl.lab.machine import Machine
from hactl.lab.process import Process
from hactl.lab.shell.shell import run_script
from hactl.lab.world import World
from hactl.ports import Answer, Target

T = TypeVar("T")
Fault = Literal["unreachable", "refused", "slow", "lost", "cut", "garbage"]


@dataclass(slots=True)
class Trouble:
    """How a node misbehaves.

    unreachable: no connection. refused: refused before anything was sent. slow: answers `seconds` late.
    lost: the script runs, the answer does not arrive. cut: the script runs, half of the answer arrives.
    garbage: something else than the script's output arrives.
    """

    fault: Fault
    once: bool = False
    seconds: float = 0.0
    text: str = "\x00\xff<html>it works</html>\n"


@dataclass(slots=True)
class Ran:
    """One script that was sent, for tests to look at."""

    node: str
    script: str
    started: float
    ended: float | None = None
    exit_status: int | None = None


class LabNodes:
    """The nodes of a world. `Target.node` names the machine."""

    def __init__(self, world: World[Machine]) -> None:
        """No faults, an empty log."""
        self.world = world
        self.faults: dict[str, Trouble] = {}
        #: Every script sent, in order.
        self.log: list[Ran] = []
        self._processes: set[Process] = set()

    async def run(
        self,
        target: Target,
        script: str,
        *,
        timeout_seconds: float,
        on_output: Callable[[str], None] | None = None,
        exclusive: bool = False,
    ) -> Answer:
        """As `ports.Nodes.run`."""
        trouble = self._trouble(target)
        machine = self._reach(target, trouble)
        clock = self.world.clock
        started, cycle = clock.monotonic(), machine.power_cycles
        entry = Ran(target.node, script, started)
        self.log.append(entry)
        process = Process(machine.pid(), "/bin/sh -s")
        pieces: list[str] = []
        silent = trouble is not None and trouble.fault in {"lost", "garbage"}

        def hear(text: str) -> None:
            pieces.append(text)
            if on_output is not None and not silent:
                on_output(text)

        work = self._play(machine, target, script, trouble, process, hear, exclusive=exclusive)
        self._processes.add(process)
        try:
            done = await within(self.world, work, timeout_seconds + (LOCK_WAIT_SECONDS if exclusive else 0))
        finally:
            self._processes.discard(process)
        entry.ended = clock.monotonic()
        seconds = entry.ended - started
        if not machine.running or machine.power_cycles != cycle:
            raise NodeGarbled(target.node, "the connection broke while the script ran")
        if done is None:
            # The caller is gone; on the node the script is killed with its connection.
            process.kill(1)
            return Answer(None, "".join(pieces), "", seconds, timed_out=True)
        out, err, code = done
        # A script that was killed by a signal ends without a status.
        status = code if process.killed is None else None
        entry.exit_status = status
        return self._answer(target, trouble, Answer(status, out, err, seconds))

    async def _play(
        self,
        machine: Machine,
        target: Target,
        script: str,
        trouble: Trouble | None,
        process: Process,
        hear: Callable[[str], None],
        *,
        exclusive: bool,
    ) -> tuple[str, str, int]:
        while machine.frozen:
            await self.world.clock.sleep(0.25)
        if trouble is not None and trouble.fault == "slow":
            await self.world.clock.sleep(trouble.seconds)
        if exclusive and not await self._lock(machine):
            return "", f"lockf: {LOCK}: already locked\n", LOCK_BUSY_STATUS
        try:
            return await _asked(machine, target, script, hear, process)
        finally:
            if exclusive:
                machine.rc.locks.discard(LOCK)

    async def answers(self, target: Target) -> bool:
        """As `ports.Nodes.answers`."""
        try:
            return not self._reach(target, self._trouble(target)).frozen
        except NodeError:
            return False

    def stream(self, target: Target, script: str) -> AsyncIterator[str]:
        """As `ports.Nodes.stream`."""
        return self._stream(target, script)

    async def _stream(self, target: Target, script: str) -> AsyncIterator[str]:
        trouble = self._trouble(target)
        machine = self._reach(target, trouble)
        process = Process(machine.pid(), "/bin/sh -s")
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        held = ""

        def hear(text: str) -> None:
            nonlocal held
            held += text
            while "\n" in held:
                line, held = held.split("\n", 1)
                lines.put_nowait(line)

        async def work() -> None:
            try:
                await _asked(machine, target, script, hear, process)
            finally:
                lines.put_nowait(None)

        task = asyncio.ensure_future(work())
        self._processes.add(process)
        try:
            while (line := await lines.get()) is not None:
                yield line
            if process.killed is not None or not machine.running:
                raise NodeGarbled(target.node, "the connection broke")
        finally:
            process.kill(1)
            self._processes.discard(process)
            await asyncio.gather(task, return_exceptions=True)

    async def forget(self, target: Target) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """End everything that still runs."""
        for process in list(self._processes):
            process.kill(1)
        await self.world.close()

    async def _lock(self, machine: Machine) -> bool:
        """lockf(1) on the file that the node's hook locks too; whether it was had in time."""
        deadline = self.world.clock.monotonic() + LOCK_WAIT_SECONDS
        while LOCK in machine.rc.locks:
            if self.world.clock.monotonic() >= deadline:
                return False
            await self.world.clock.sleep(0.1)
        machine.rc.locks.add(LOCK)
        return True

    def _trouble(self, target: Target) -> Trouble | None:
        trouble = self.faults.get(target.node)
        if trouble is not None and trouble.once:
            del self.faults[target.node]
        return trouble

    def _reach(self, target: Target, trouble: Trouble | None) -> Machine:
        machine = self.world.machines.get(target.node)
        if machine is None:
            raise NodeUnreachable(target.node, f"no such machine in the lab: {target.node}")
        if trouble is not None and trouble.fault == "unreachable":
            raise NodeUnreachable(target.node, f"{target.host}:{target.port}: No route to host")
        if not machine.running or (trouble is not None and trouble.fault == "refused"):
            raise NodeUnreachable(target.node, f"{target.host}:{target.port}: Connection refused")
        return machine

    def _answer(self, target: Target, trouble: Trouble | None, answer: Answer) -> Answer:
        if trouble is None or trouble.fault == "slow":
            return answer
        if trouble.fault == "lost":
            raise NodeGarbled(target.node, "the connection broke before the answer came")
        if trouble.fault == "cut":
            raise NodeGarbled(target.node, "the connection broke in the middle of the answer")
        return Answer(answer.exit_status, trouble.text, "", answer.seconds)


async def _asked(
    machine: Machine, target: Target, script: str, hear: Callable[[str], None], process: Process
) -> tuple[str, str, int]:
    """The script, or the gate with a request: there is no sshd here that forces it."""
    if target.access is NodeAccess.ROOT:
        return await run_script(machine, script, on_output=hear, process=process)
    return await run_script(machine, f"{GATE} observe", stdin=script, on_output=hear, process=process)


async def within(world: World[Machine], work: Awaitable[T], seconds: float) -> T | None:
    """Await something for at most that long on the world's clock; None: it took longer and was cancelled."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    alarm: asyncio.Future[None] = asyncio.ensure_future(world.clock.sleep(seconds))
    waiting: set[asyncio.Future[Any]] = {task, alarm}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for each in waiting:
            if not each.done():
                each.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
