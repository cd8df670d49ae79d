"""Background jobs of a script: `cmd &`, `$!`, `wait`.

Rules:
- A job is a shell of its own, with the variables, functions and positional parameters of the one that started it,
  and runs beside it: as a fiber under virtual time, as a task under asyncio. It outlives its script, not its machine.
- It prints into the files the command names; without a redirection `wait` hands on what it printed.
- `wait` ends early when a signal comes that the script has a trap for.
- Man pages: sh(1).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hactl.lab.fiber import Job, inherited
from hactl.lab.process import Process, Result, adopt
from hactl.lab.program import Call, Computer, pause

_REDIRECTED = re.compile(r"^(?P<body>.*?)\s*>\s*(?P<file>[\w./-]+)\s*(?:2>&1)?\s*$", re.DOTALL)
_ASSIGNMENT = re.compile(
    r"^(?!BASH|EUID|UID|PPID|PIPESTATUS|SHELLOPTS|OPTIND|_=|PS4|HOSTTYPE|MACHTYPE|OSTYPE|SHLVL)[A-Za-z_]\w*=(?!\()"
)
#: One command that is another shell: no process of its own stays in front of it.
_ONE_SHELL = re.compile(r"""(?:__run )?(?:/bin/)?sh(?:[^\n;&|(){}'"]|'[^']*'|"[^"]*")*""")
#: How often `wait` looks, seconds.
_LOOK_SECONDS = 0.1


Write = Callable[[str], None] | None


class Player(Protocol):
    """A shell, as a job needs it."""

    async def run(
        self, script: str, *, arguments: tuple[str, ...], cwd: str, on_output: Write, on_error: Write
    ) -> tuple[str, str, int]: ...


@dataclass(slots=True, eq=False)
class _Started:
    process: Process
    job: Job | None = None
    status: int = 127
    out: str = ""
    err: str = ""


class Jobs:
    """The jobs one shell started."""

    def __init__(self, machine: Computer, parent: int, another: Callable[..., Player]) -> None:
        """None yet. `parent`: the shell's pid; `another` makes a shell of the same environment for a process."""
        self.machine, self._parent, self._another = machine, parent, another
        self._started: list[_Started] = []

    def start(self, text: str, variables: str, functions: str, arguments: Sequence[str], cwd: str) -> Process:
        """`text &`; `variables` and `functions` as `set` and `declare -f` print them."""
        process = Process(self.machine.pid(), text, self._parent)
        target = _REDIRECTED.match(text)
        write: Write = None
        if target is not None and target["file"] != "/dev/null":
            text, path = target["body"], posixpath.join(cwd, target["file"])
            self.machine.files.write_text(path, "")
            write = lambda piece: self.machine.files.append(path, piece)  # noqa: E731
        text = text.strip()
        process.replaced = _ONE_SHELL.fullmatch(text) is not None
        shell, started = self._another(process=process), _Started(process)
        script = f"{_assignments(variables)}{functions}\n{text}"

        async def work() -> None:
            if process.killed is not None:  # before it began
                started.status = 128 + process.killed
                self.machine.rc.leave(process)
                return
            started.out, started.err, started.status = await shell.run(
                script, arguments=tuple(arguments), cwd=cwd, on_output=write, on_error=write
            )
            if target is not None:
                started.out = started.err = ""

        adopt(self.machine.name, process.pid)
        self._started.append(started)
        self.machine.rc.enter(process)
        started.job = self.machine.world.spawn(work(), machine=self.machine, context=inherited())
        return process

    async def wait(self, call: Call, pids: Sequence[int], waiter: Process) -> Result:
        """`wait [pid ...]`: until these jobs, or all, ended; the status of the last one named, 0 for all.

        128 and the signal's number when `waiter` caught one meanwhile.
        """
        chosen = [each for each in self._started if not pids or each.process.pid in pids]
        while any(each.job is not None and not each.job.done() for each in chosen):
            if waiter.caught:
                return Result("", "", 128 + waiter.caught[0])
            await pause(call, _LOOK_SECONDS)
        result = Result("".join(each.out for each in chosen), "".join(each.err for each in chosen), 127 if pids else 0)
        for each in chosen:
            each.out = each.err = ""
            if pids and each.process.pid == pids[-1]:
                result.status = each.status
        return result


def _assignments(variables: str) -> str:
    """The assignments `set` printed, without the shell's own."""
    return "".join(f"{line}\n" for line in variables.splitlines() if _ASSIGNMENT.match(line))
