"""A running program as ps(1), kill(1) and whoever waits for it see it: its pid, its end, what it leaves behind.

Rules:
- Killing a process ends everything it started and interrupts what it waits for (`attend`, `check_alive`).
- A process that leaves its parent becomes a child of init, or of the reaper above it (`adopt`; procctl(2)).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

#: What rc, and the daemons it starts, leave a program of the environment.
RC_ENVIRONMENT = {"HOME": "/", "PATH": "/sbin:/bin:/usr/sbin:/usr/bin"}
#: How often a waiting command looks whether it was killed, seconds.
SLICE_SECONDS = 0.25


@dataclass(slots=True)
class Result:
    """What a command leaves behind."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


class Killed(Exception):
    """Raised inside a waiting command whose process was ended. `signal` is the number."""

    def __init__(self, signal: int) -> None:
        """Keep the signal's number."""
        self.signal = signal
        super().__init__(f"killed by signal {signal}")


@dataclass(slots=True, eq=False)
class Process:
    """One running command line as `ps` and `kill` see it; `killed` is the signal that ended it, if any."""

    pid: int
    command: str
    parent: int = 1
    killed: int | None = None
    children: list[Process] = field(default_factory=list)
    #: Called once when it is killed (wakes whoever waits for it).
    on_kill: list[Callable[[], None]] = field(default_factory=list)
    #: What it had printed when it was killed.
    leftover: str = ""
    #: Signals it handles itself (a shell with traps), and those that wait to be handled.
    catches: frozenset[int] = frozenset()
    caught: list[int] = field(default_factory=list)
    #: The one program it runs took its place (`sh file &`): signals reach that.
    replaced: bool = False

    def kill(self, signal: int = 15) -> None:
        """End it and everything it started; a shell that has a trap is told and goes on."""
        if self.killed is None and signal in self.catches:
            self.caught.append(signal)
            return
        if self.replaced and any(signal in child.catches for child in self.children):
            self.children[0].kill(signal)
            return
        if self.killed is None:
            self.killed = signal
            for wake in self.on_kill:
                wake()
        for child in list(self.children):
            child.kill(signal)


#: The process whose command runs now: a lab clock's `sleep` asks it whether to go on (see `check_alive`).
CURRENT: ContextVar[Process | None] = ContextVar("hactl_lab_process", default=None)
#: Daemons that descend from the innermost timeout(1) that is a reaper, as (machine, pid).
REAPED: ContextVar[set[tuple[str, int]] | None] = ContextVar("hactl_lab_reaped", default=None)


def adopt(machine: str, pid: int) -> None:
    """A process left its parent (daemon(3), `&`): the reaper above it, if there is one, becomes its parent."""
    reaped = REAPED.get()
    if reaped is not None:
        reaped.add((machine, pid))


def check_alive() -> None:
    """Raise Killed if the process whose command runs now was ended."""
    process = CURRENT.get()
    if process is not None and process.killed is not None:
        raise Killed(process.killed)


#: The innermost process each asyncio task waits for now: only that one may interrupt the task.
_WAITING: WeakKeyDictionary[asyncio.Task[Any], Process] = WeakKeyDictionary()


async def attend(process: Process, work: Coroutine[Any, Any, Result]) -> Result:
    """Await a command as a process: killing the process ends the wait, with status 128 + signal."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    token = CURRENT.set(process)
    outer = _WAITING.get(task) if task is not None else None

    sent = False

    def interrupt() -> None:
        nonlocal sent
        if task is not None and not sent and _WAITING.get(task) is process:
            sent = True
            task.cancel()

    if task is not None:
        _WAITING[task] = process
        process.on_kill.append(interrupt)
    try:
        result = await work
        if sent and task is not None:
            # The command ended itself (kill $$): the cancellation is still on its way to the next wait.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()
        return result
    except Killed as end:
        return Result(process.leftover, "", 128 + end.signal)
    except asyncio.CancelledError:
        if process.killed is None or task is None:
            raise
        task.uncancel()
        return Result(process.leftover, "", 128 + process.killed)
    finally:
        with suppress(ValueError):  # collected together with its world, outside of its own context
            CURRENT.reset(token)
        if task is not None:
            process.on_kill.remove(interrupt)
            if outer is None:
                _WAITING.pop(task, None)
            else:
                _WAITING[task] = outer
