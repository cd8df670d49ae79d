"""The `exec` program of hast.conf: run by hastd's main process for an event, without waiting for it.

Rules:
- execv(path, argv): no shell, arguments as they are; root; standard streams on /dev/null.
- Nothing limits it, several may run at the same time, and it outlives hastd; only the machine's power ends it.
- A program that is not there or not executable is a line in the log, and exit status 70.
- Man pages: hast.conf(5). docs/freebsd-facts.md#2.9; sbin/hastd/hooks.c: hook_execv.
"""

from __future__ import annotations

from collections.abc import Sequence

from hactl.lab.hast.processes import HastHost
from hactl.lab.process import Process

EX_SOFTWARE = 70


async def execute(machine: HastHost, argv: Sequence[str], hastd: int) -> tuple[int, Process]:
    """Run the program; its exit status and the process it was."""
    files, path = machine.files, argv[0]
    process = Process(machine.pid(), " ".join(["/bin/sh", *argv]), hastd)
    kind = files.kind(path)
    problem = "No such file or directory" if kind is None else "Permission denied"
    if kind != "file" or not files.stat_mode(path) & 0o111:
        line = f"Unable to execute {path}: {problem}."
        machine.log("daemon", f"hastd[{process.pid}]", line)
        machine.log("messages", f"hastd[{process.pid}]", line)
        return EX_SOFTWARE, process
    result = await machine.execute(argv, process)
    return result.status, process
