"""timeout(1), with the trap of FreeBSD's: without --foreground it is a reaper.

Rules:
- It answers 124, or 137 when it had to use SIGKILL.
- As a reaper it becomes the parent of every daemon its command starts, waits for all of them, and at the limit kills
  them too (usr.bin/timeout/timeout.c: PROC_REAP_ACQUIRE, PROC_REAP_STATUS, PROC_REAP_KILL; procctl(2)).
- Man pages: timeout(1).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from hactl.lab.commands.system.process import Row, duration, rows, signal_number
from hactl.lab.process import REAPED, SLICE_SECONDS, Result
from hactl.lab.program import Call, command, pause, run, spawn

_TIMEOUT_USAGE = "usage: timeout [-k time | --kill-after time] [-s sig | --signal sig] [-v | --verbose] [--foreground] [--preserve-status] <duration> <command> [arg ...]\n"  # noqa: E501


@dataclass(slots=True)
class _Limit:
    """The words of one timeout(1)."""

    seconds: float
    argv: list[str]
    kill_after: float | None = None
    signal: int = 15
    preserve: bool = False
    foreground: bool = False


@command("timeout")
async def timeout(call: Call) -> Result:
    """timeout(1): -k TIME, -s SIGNAL, --foreground, --preserve-status."""
    limit = _limit(call.argv)
    if isinstance(limit, str):
        return Result("", limit, 125)
    world, process = call.machine.world, spawn(call, limit.argv)
    #: usr.bin/timeout/timeout.c, PROC_REAP_ACQUIRE: daemons become its children, and it waits for every child.
    reaped: set[tuple[str, int]] = set()
    ended = False
    over: list[int] = []

    def end(number: int) -> None:
        nonlocal ended
        ended = ended or limit.kill_after is None or number == 9
        over.append(number)
        process.kill(number)
        for row in _below(call, reaped):
            row.kill(number)

    handles = [world.at(limit.seconds, lambda: end(limit.signal), machine=call.machine)] if limit.seconds else []
    if limit.kill_after is not None and handles:
        handles.append(world.at(limit.seconds + limit.kill_after, lambda: end(9), machine=call.machine))
    token = None if limit.foreground else REAPED.set(reaped)
    try:
        result = await run(call, limit.argv, process=process)
        while not ended and _below(call, reaped):
            await pause(call, SLICE_SECONDS)
    finally:
        if token is not None:
            with suppress(ValueError):  # collected together with its world, outside of its own context
                REAPED.reset(token)
        for handle in handles:
            handle.cancel()
    if (over or process.killed is not None) and not limit.preserve and call.process.killed is None:
        result.status = 137 if process.killed == 9 else 124
    return result


def _limit(words: list[str]) -> _Limit | str:
    """What the words say, or the complaint."""
    argv, limit = list(words), _Limit(0.0, [])
    while argv and argv[0].startswith("-"):
        word = argv.pop(0)
        if word in {"-k", "--kill-after"} and argv:
            limit.kill_after = duration(argv.pop(0))
        elif word in {"-s", "--signal"} and argv:
            limit.signal = signal_number(argv.pop(0)) or 15
        elif word == "--preserve-status":
            limit.preserve = True
        elif word in {"--foreground", "-f"}:
            limit.foreground = True
        elif word not in {"-v", "--verbose"}:
            return f"timeout: illegal option -- {word.lstrip('-')[:1]}\n{_TIMEOUT_USAGE}"
    if len(argv) < 2:
        return _TIMEOUT_USAGE
    seconds = duration(argv[0])
    if seconds is None:
        return "timeout: invalid duration\n"
    limit.seconds, limit.argv = seconds, argv[1:]
    return limit


def _below(call: Call, reaped: set[tuple[str, int]]) -> list[Row]:
    """What still runs of the processes a reaper took over, and their children."""
    if not reaped:
        return []
    mine = {pid for machine, pid in reaped if machine == call.machine.name}
    return [row for row in rows(call) if row.pid in mine or row.parent in mine]
