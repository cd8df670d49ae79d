"""daemon(8): a program in the background, away from who started it.

Rules:
- It returns at once; the program goes on as a child of init (of the reaper above it, see timeout(1)).
- `-c` changes to /, `-f` sends its streams to /dev/null, `-o` appends what it prints to a file.
- `-p` and `-P` write pid files and refuse while the pid in them runs (status 3); `-r` starts it again, `-R` that late.
- With `-p`, `-P`, `-r` or `-o` a supervisor stays: ending it ends the program.
- Man page: daemon(8).
"""

from __future__ import annotations

from dataclasses import replace

from hactl.lab.commands.getopt import options
from hactl.lab.commands.system.process import rows
from hactl.lab.fiber import inherited
from hactl.lab.process import Process, Result, adopt
from hactl.lab.program import Call, command, pause, run

_USAGE = "usage: daemon [-cfHrS] [-m output_mask] [-o output_file] [-p child_pidfile] [-P supervisor_pidfile] [-R restart_delay] [-t title] command arguments ...\n"  # noqa: E501


@command("daemon")
async def daemon(call: Call) -> Result:
    """daemon(8): -c -f -r -R SECONDS -o FILE -p FILE -P FILE -t TITLE."""
    flags, values, words, bad = options(call.argv, "cfr", "moPpRt")
    if bad is not None or not words:
        return Result("", _USAGE, 1)
    for letter in "pP":
        running = _running(call, values.get(letter))
        if running is not None:
            return Result("", f"daemon: process already running, pid: {running}\n", 3)
    delay = float(values.get("R", 1)) if {"r"} & flags or "R" in values else None
    machine, stays = call.machine, delay is not None or values.keys() & {"o", "p", "P"}
    supervisor = Process(machine.pid(), f"daemon: {values.get('t', words[0])}[{machine.pid()}] (daemon)")
    parent = supervisor if stays else Process(1, "/sbin/init --")
    inner = replace(call, process=parent, stdin="", cwd="/" if "c" in flags else call.cwd, emit=None, emit_error=None)

    async def work() -> None:
        if stays:
            machine.rc.enter(supervisor)
        if "P" in values:
            machine.files.write_text(call.path(values["P"]), f"{supervisor.pid}\n")
        try:
            await _supervise(inner, words, values, delay)
        finally:
            machine.rc.leave(supervisor)
            for letter in values.keys() & {"p", "P"}:
                if machine.files.exists(call.path(values[letter])):
                    machine.files.remove(call.path(values[letter]))

    adopt(machine.name, parent.pid)
    machine.world.spawn(work(), machine=machine, context=inherited())
    return Result()


async def _supervise(inner: Call, words: list[str], values: dict[str, str], delay: float | None) -> None:
    machine, parent = inner.machine, inner.process
    while parent.killed is None:
        child = Process(machine.pid(), " ".join(words), parent.pid)
        parent.children.append(child)
        adopt(machine.name, child.pid)
        if "p" in values:
            machine.files.write_text(inner.path(values["p"]), f"{child.pid}\n")
        result = await run(inner, words, process=child)
        if "o" in values:
            machine.files.append(inner.path(values["o"]), result.stdout + result.stderr)
        if delay is None:
            return
        await pause(inner, delay)


def _running(call: Call, path: str | None) -> int | None:
    """The pid in a file, if that process runs."""
    if path is None or not call.files.exists(call.path(path)):
        return None
    text = call.files.read_text(call.path(path)).strip()
    return int(text) if text.isdigit() and any(row.pid == int(text) for row in rows(call)) else None
