"""What a command of the simulated base system is: one async function per program, found by name.

Rules:
- A command awaits nothing but `machine.world.clock.sleep` (so that virtual time can drive it) and `run`.
- It answers with whole texts; a command that prints while it runs (nc, tail -F) calls `call.emit`.
- Names are those of FreeBSD's base system; the shell looks a command up by its last path component.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hactl.lab.files import Files
from hactl.lab.hast.daemon import Hast
from hactl.lab.hast.processes import HastHost
from hactl.lab.kernel.devd import Devd, DevdHost
from hactl.lab.kernel.sysctls import Tunable
from hactl.lab.process import RC_ENVIRONMENT, SLICE_SECONDS, Process, Result, attend, check_alive
from hactl.lab.rc.rc import Rc
from hactl.lab.world import World

#: Where the base system's programs live.
_BASE = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/rescue"})
#: Where each program lives (hier(7)).
PLACES: dict[str, str] = {
    name: directory
    for directory, names in {
        "/bin": "[ cat chflags chmod cp date dd df echo expr freebsd-version hostname kill link ln ls mkdir mv pgrep "
        "pkill ps pwd realpath rm rmdir sh sleep stty sync test timeout unlink uuidgen",
        "/sbin": "camcontrol devd dmesg fsck fsck_ufs geom ggatec ggatel glabel gpart hastctl hastd ifconfig kldload "
        "kldstat kldunload md5 mdmfs mount newfs nologin ping ping6 reboot route sha256 shutdown swapinfo swapon "
        "sysctl umount zfs zpool",
        "/usr/bin": "awk basename bc cmp column cut dirname du egrep env false fgrep find fstat fsync fuser grep head "
        "id install join less locate lockf logger mktemp nc netstat nice nohup od printf readlink sed sort "
        "split stat tail tee touch tr true truncate tsort uname uniq uptime wc which who whoami xargs yes",
        "/usr/sbin": "chown daemon diskinfo iostat jls mountd nfsd rpcbind service sshd syslogd sysrc",
    }.items()
    for name in names.split()
}


class Computer(HastHost, DevdHost, Tunable, Protocol):
    """A whole machine, as its programs see it."""

    running: bool
    hast: Hast
    devctl: Devd

    @property
    def rc(self) -> Rc: ...
    @property
    def world(self) -> World[Any]: ...
    def reaches(self, address: str) -> Computer | None: ...
    async def shutdown(self) -> None: ...


@dataclass(slots=True)
class Call:
    """One invocation of a command."""

    machine: Computer
    name: str
    argv: list[str]
    stdin: str
    env: dict[str, str]
    cwd: str
    #: The process this call runs as: commands that wait look at `process.killed` from time to time.
    process: Process = field(default_factory=lambda: Process(0, ""))
    #: Prints before the command ends; None where nobody reads along.
    emit: Callable[[str], None] | None = None
    #: The same for standard error.
    emit_error: Callable[[str], None] | None = None

    @property
    def files(self) -> Files:
        """The machine's files."""
        return self.machine.files

    def path(self, name: str) -> str:
        """An absolute, normalised path."""
        return posixpath.normpath(posixpath.join(self.cwd, name))


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
    call: Call, argv: Sequence[str], *, env: Mapping[str, str] | None = None, process: Process | None = None
) -> Result:
    """Run another program as a command does: `timeout 5 hastctl ...`, `doas ifconfig ...`.

    `env` is added to the caller's; `process` makes it a process of its own (see `spawn`). An unknown program answers
    like env(1).
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
    if cost := call.machine.rc.costs.of(name):
        await pause(call, cost)
    function = COMMANDS[name]
    inner = replace(call, name=name, argv=words, env={**call.env, **(env or {})}, process=process or call.process)
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


async def execute(machine: Computer, argv: Sequence[str], process: Process) -> Result:
    """Run a program as rc and the daemons it started do: as root, in /, with their environment."""
    call = Call(machine, argv[0], list(argv[1:]), "", dict(RC_ENVIRONMENT), "/", process)
    return await attend(process, COMMANDS[argv[0]](call))


async def run_as_rc(machine: Computer, argv: Sequence[str], *, parent: Process | None = None) -> Result:
    """Run one program as rc does; killed with its parent, if it has one."""
    process = Process(machine.pid(), " ".join(argv))
    if parent is None:
        return await execute(machine, argv, process)
    parent.children.append(process)
    try:
        return await execute(machine, argv, process)
    finally:
        parent.children.remove(process)
