"""What a command of the simulated base system is: one async function per program, found by name.

Rules:
- A command awaits nothing but `machine.world.clock.sleep` (so that virtual time can drive it) and `run`.
- It answers with whole texts; a command that prints while it runs (nc, tail -F) calls `call.emit`.
- Names are those of FreeBSD's base system; the shell looks a command up by its last path component.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from hactl.lab.machine import Machine
    from hactl.lab.storage.files import Files


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

    def kill(self, signal: int = 15) -> None:
        """End it and everything it started."""
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


def adopt(machine: Machine, pid: int) -> None:
    """A process left its parent (daemon(3), `&`): the reaper above it, if there is one, becomes its parent."""
    reaped = REAPED.get()
    if reaped is not None:
        reaped.add((machine.name, pid))


#: Where the base system's programs live.
_BASE = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/rescue"})
#: How often a waiting command looks whether it was killed, seconds.
SLICE_SECONDS = 0.25


def check_alive() -> None:
    """Raise Killed if the process whose command runs now was ended."""
    process = CURRENT.get()
    if process is not None and process.killed is not None:
        raise Killed(process.killed)


@dataclass(slots=True)
class Call:
    """One invocation of a command."""

    machine: Machine
    name: str
    argv: list[str]
    stdin: str
    env: dict[str, str]
    cwd: str
    files: Files
    #: The process this call runs as: commands that wait look at `process.killed` from time to time.
    process: Process = field(default_factory=lambda: Process(0, ""))
    #: Prints before the command ends; None where nobody reads along.
    emit: Callable[[str], None] | None = None
    #: The same for standard error.
    emit_error: Callable[[str], None] | None = None


Command = Callable[[Call], Coroutine[Any, Any, Result]]
COMMANDS: dict[str, Command] = {}
#: Programs that never wait and touch no files, by name: whether that holds for these arguments. The shell runs
#: them in its own thread, where files are slow to reach.
QUICK: dict[str, Callable[[list[str]], bool]] = {}


def command(*names: str, quick: bool | Callable[[list[str]], bool] = False) -> Callable[[Command], Command]:
    """Register a function as the programs of these names; `quick`: see QUICK."""

    def register(function: Command) -> Command:
        for name in names:
            COMMANDS[name] = function
            if quick:
                QUICK[name] = quick if callable(quick) else lambda _: True
        return function

    return register


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


async def pause(call: Call, seconds: float) -> None:
    """Wait; ends early with Killed when the process is ended (under asyncio `attend` interrupts it)."""
    machine, clock = call.machine, call.machine.world.clock
    end = machine.uptime_seconds() + seconds
    while (left := end - machine.uptime_seconds()) > 1e-9:
        check_alive()
        # A frozen machine's sleeper has the rest still to go when it thaws; a fiber does not even wake.
        await clock.sleep(max(left, SLICE_SECONDS) if machine.frozen else left)
    check_alive()


async def run(
    call: Call,
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    process: Process | None = None,
) -> Result:
    """Run another program as a command does: `timeout 5 hastctl ...`, `doas ifconfig ...`.

    `stdin` defaults to the caller's; `env` is added to the caller's; `process` makes it a process of its own
    (see `spawn`). An unknown program answers like env(1).
    """
    if argv[0] == "__run":
        argv = argv[1:]  # hactl.lab.shell.dialect put it before a name the player keeps for itself
    name = argv[0].rsplit("/", 1)[-1]
    words = list(argv[1:])
    if is_script(argv[0]):
        name, words = "__exec", list(argv)
    if name not in COMMANDS:
        if not any(
            call.files.kind(f"{place}/{name}") == "file" for place in ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
        ):
            return Result("", f"{call.name}: {argv[0]}: No such file or directory\n", 127)
        # One of the shell's own programs (cat, grep, awk ...).
        name, words = "sh", ["-c", f'{name} "$@"', name, *words]
    function = COMMANDS[name]
    inner = replace(
        call,
        name=name,
        argv=words,
        stdin=call.stdin if stdin is None else stdin,
        env={**call.env, **(env or {})},
        process=process or call.process,
    )
    if process is None:
        return await function(inner)
    call.machine.rc.enter(process)
    try:
        return await attend(process, function(inner))
    finally:
        call.machine.rc.leave(process)
        if process in call.process.children:
            call.process.children.remove(process)


def is_script(word: str) -> bool:
    """Whether a word to be run is the path of something that is no program of the base system."""
    return "/" in word and word.rsplit("/", 1)[0] not in _BASE


def spawn(call: Call, argv: Sequence[str]) -> Process:
    """A process below the caller's, for `run(..., process=)`."""
    process = Process(call.machine.pid(), " ".join(argv), call.process.pid)
    call.process.children.append(process)
    return process
