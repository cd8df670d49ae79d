"""The part of /bin/sh the player cannot play: umask, jobs, `command -v`, and bash's own name.

Rules:
- Each gets the shell it runs in; everything else of a shell is the player's.
- Man pages: sh(1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from hactl.lab.process import Process, Result
from hactl.lab.program import Call
from hactl.lab.shell.jobs import Jobs

_ASH = """
    . : [ alias bg bind break builtin cd chdir command continue echo eval exec exit export false fc fg getopts hash
    jobid jobs kill local printf pwd read readonly return set setvar shift test times trap true type ulimit umask
    unalias unset wait
"""
#: What /bin/sh has built in, for `command -v`.
_BUILTINS = frozenset(re.findall(r"\S+", _ASH))


class Shell(Protocol):
    """The shell a builtin changes."""

    umask: int
    script: str
    process: Process
    jobs: Jobs

    def set_umask(self, mask: int) -> None: ...


async def _umask(shell: Shell, call: Call) -> Result:
    if not call.argv:
        return Result(f"{shell.umask:04o}\n")
    try:
        shell.set_umask(int(call.argv[0], 8))
    except ValueError:
        return Result("", f"umask: Illegal mode: {call.argv[0]}\n", 2)
    return Result()


async def _background(shell: Shell, call: Call) -> Result:
    text, variables, functions, *arguments = call.argv
    process = shell.jobs.start(text, variables, functions, arguments, call.cwd)
    return Result(f"{process.pid}\n")


async def _wait(shell: Shell, call: Call) -> Result:
    return await shell.jobs.wait(call, [int(word) for word in call.argv if word.isdigit()], shell.process)


async def _pending(shell: Shell, call: Call) -> Result:
    """The number of a signal that waits for the script's trap; 0: none."""
    del call
    return Result("", "", shell.process.caught.pop(0) if shell.process.caught else 0)


async def _command_v(shell: Shell, call: Call) -> Result:
    """`command -v NAME`: a function or builtin by name, a program by path; 127 if there is none."""
    name = call.argv[0] if call.argv else ""
    if name in _BUILTINS or re.search(rf"(?m)^\s*{re.escape(name)}\s*\(\)", shell.script):
        return Result(f"{name}\n")
    places = [""] if "/" in name else [f"{place}/" for place in call.env.get("PATH", "").split(":")]
    for place in places:
        path = f"{place}{name}"
        if call.files.kind(path) == "file" and call.files.stat_mode(path) & 0o111:
            return Result(f"{path}\n")
    return Result("", "", 127)


async def _missing(_shell: Shell, call: Call) -> Result:
    return Result("", f"{call.argv[0]}: not found\n", 127)


LOCAL: dict[str, Callable[[Shell, Call], Coroutine[Any, Any, Result]]] = {
    "umask": _umask,
    "wait": _wait,
    "__pending": _pending,
    "__background": _background,
    "__command_v": _command_v,
    "__foreign": _missing,
}
