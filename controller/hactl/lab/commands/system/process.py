"""Processes: sleep, ps, pgrep, pkill, kill, nc on devd's socket, reboot, shutdown, logger, lockf, tail -f.

Rules:
- A process is ended by killing its `Process`; what it waits for is interrupted (process.attend).
- `nc -U /var/run/devd.pipe` prints events as they come; there is no history (docs/freebsd-facts.md#1.5).
- Man pages: sleep(1), ps(1), pgrep(1), kill(1), nc(1), devd(8), reboot(8), shutdown(8), logger(1),
  lockf(1).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hactl.lab.commands.getopt import options
from hactl.lab.commands.network.ping import arrives
from hactl.lab.hast.worker.route import HAST_PORT
from hactl.lab.process import Process, Result
from hactl.lab.program import Call, command, pause, run

SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 30, "USR2": 31, "PIPE": 13, "ALRM": 14, "TERM": 15}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def signal_number(text: str) -> int | None:
    """A signal by name or number."""
    if text.isdigit():
        return int(text)
    return SIGNALS.get(text.upper().removeprefix("SIG"))


def duration(text: str) -> float | None:
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", text)
    return float(found.group(1)) * _UNITS[found.group(2) or "s"] if found else None


_SLEEP_USAGE = (
    "usage: sleep number[unit] [...]\nUnit can be 's' (seconds, the default), m (minutes), h (hours), or d (days).\n"
)


@command("sleep")
async def sleep(call: Call) -> Result:
    """sleep(1): seconds, fractions and units."""
    durations = [duration(word) for word in call.argv]
    if not durations:
        return Result("", _SLEEP_USAGE, 1)
    if None in durations:
        return Result("", f"sleep: invalid time interval: {call.argv[durations.index(None)]}\n", 1)
    await pause(call, sum(each for each in durations if each is not None))
    return Result()


# what runs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of ps."""

    pid: int
    parent: int
    name: str
    command: str
    kill: Callable[[int], object]
    #: When it was started, as far as the lab knows: not before the boot.
    started: str = ""
    #: How long it runs, seconds.
    seconds: int = 0

    @property
    def shown(self) -> str:
        """As ps prints it: a title a process gave itself is followed by its name."""
        return f"{self.command} ({self.name})" if self.command.startswith(f"{self.name}: ") else self.command


def rows(call: Call) -> list[Row]:
    """Every process of the machine but the asking one, by pid."""
    machine = call.machine
    booted = time.asctime(time.gmtime(round(machine.epoch() - machine.uptime_seconds())))

    def runs(pid: int) -> int:
        now = machine.uptime_seconds()
        return int(now - machine.born.get(pid, now))

    def row(process: Process) -> Row:
        name = process.command.split()[0].rsplit("/", 1)[-1] if process.command else "sh"
        return Row(process.pid, process.parent, name, process.command, process.kill, booted, runs(process.pid))

    found = [Row(1, 0, "init", "/sbin/init --", lambda _: None, booted)]
    found += [row(process) for process in machine.rc.processes.values() if process is not call.process]
    found += [
        Row(pid, parent, "hastd", title, partial(machine.hast.signal, pid), booted, runs(pid))
        for pid, parent, title in machine.hast.processes()
    ]
    return sorted(found, key=lambda each: each.pid)


@command("ps")
async def ps(call: Call) -> Result:
    """ps(1): -a -x -w -o pid,ppid,lstart,command -p PIDS; other layouts print pid and command."""
    argv = [word if word.startswith("-") or position else f"-{word}" for position, word in enumerate(call.argv)]
    _, values, operands, bad = options(argv, "aAcdefHhjlmrSTuvwxXZ", "oOpUtNMDG")
    if bad is not None:
        return Result("", f"ps: illegal option -- {bad}\nusage: ps [-aCcdeHhjlmrSTuvwXxZ] [-O fmt | -o fmt]\n", 1)
    listed = rows(call)
    chosen = values.get("p", ",".join(operands))
    if chosen:
        wanted = {int(pid) for pid in re.split(r"[, ]+", chosen) if pid.isdigit()}
        listed = [row for row in listed if row.pid in wanted]
    columns = values.get("o", "pid,command").replace(" ", ",").split(",")
    heads, cells = [], []
    for column in columns:
        name, _, title = column.partition("=")
        field = _COLUMNS.get(name)
        if field is None:
            return Result("", f"ps: {name}: keyword not found\nps: no valid keywords; valid keywords:\n", 1)
        heads.append(title if "=" in column else {"args": "COMMAND"}.get(name, name.upper()))
        cells.append([field(row) for row in listed])
    widths = [max([len(head), *map(len, column)]) for head, column in zip(heads, cells, strict=True)]
    lines = []
    for values_ in [heads, *map(list, zip(*cells, strict=True))]:
        line = [
            value.ljust(width) if name.partition("=")[0] in _LEFT else value.rjust(width)
            for value, width, name in zip(values_, widths, columns, strict=True)
        ]
        lines.append(" ".join(line).rstrip())
    if not any(heads):
        lines = lines[1:]
    return Result("".join(f"{line}\n" for line in lines), "", 0 if listed else 1)


_LEFT = frozenset({"command", "args", "comm", "user", "ucomm", "stat", "state", "lstart"})
_COLUMNS: dict[str, Callable[[Row], str]] = {
    "pid": lambda row: str(row.pid),
    "ppid": lambda row: str(row.parent),
    "command": lambda row: row.shown,
    "args": lambda row: row.shown,
    "comm": lambda row: row.name,
    "ucomm": lambda row: row.name,
    "lstart": lambda row: row.started,
    "user": lambda _: "root",
    "stat": lambda _: "S",
    "state": lambda _: "S",
    "etimes": lambda row: str(row.seconds),
}


def _matching(call: Call, pattern: str, flags: set[str]) -> list[Row]:
    expression = re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
    found = []
    for row in rows(call):
        text = row.command if "f" in flags else row.name
        hit = expression.fullmatch(text) if "x" in flags else expression.search(text)
        if bool(hit) != ("v" in flags):
            found.append(row)
    return found


@command("pgrep")
async def pgrep(call: Call) -> Result:
    """pgrep(1): -f -l -q -x -n -o -i -v -F PIDFILE."""
    flags, values, operands, bad = options(call.argv, "LSafilnoqvx", "FGMNPUcdgjstu")
    if bad is not None or (not operands and "F" not in values):
        return Result("", "usage: pgrep [-LSfilnoqvx] [-d delim] pattern ...\n", 2)
    found = [row for pattern in operands or [""] for row in _matching(call, pattern, flags)]
    if "F" in values:
        path = call.path(values["F"])
        if not call.files.exists(path):
            return Result("", f"pgrep: Cannot open pidfile '{values['F']}': No such file or directory\n", 3)
        text = call.files.read_text(path).strip()
        found = [row for row in found if text.isdigit() and row.pid == int(text)]
    if "n" in flags or "o" in flags:
        found = found[-1:] if "n" in flags else found[:1]
    if "q" in flags:
        return Result("", "", 0 if found else 1)
    lines = [
        f"{row.pid} {row.command if 'f' in flags else row.name}" if "l" in flags else str(row.pid) for row in found
    ]
    return Result("".join(f"{line}\n" for line in lines), "", 0 if found else 1)


@command("pkill")
async def pkill(call: Call) -> Result:
    """pkill(1): -SIGNAL -f -x."""
    argv, number = list(call.argv), 15
    if argv and re.fullmatch(r"-(\d+|[A-Z][A-Z0-9]+)", argv[0]):
        chosen = signal_number(argv.pop(0)[1:])
        number = chosen if chosen is not None else 15
    flags, _, operands, bad = options(argv, "LSafilnoqvxI", "FGMNPUcgjstu")
    if bad is not None or not operands:
        return Result("", "usage: pkill [-signal] [-ILSfilnovx] pattern ...\n", 2)
    found = [row for pattern in operands for row in _matching(call, pattern, flags)]
    for row in found:
        row.kill(number)
    return Result("", "", 0 if found else 1)


@command("kill", "__kill")
async def kill(call: Call) -> Result:
    """kill(1): -SIGNAL, -s SIGNAL, -0, -l."""
    argv, number = list(call.argv), 15
    if argv and argv[0] == "-l":
        return Result("hup int quit ill trap abrt emt fpe kill bus segv sys pipe alrm term urg stop tstp cont chld\n")
    if argv and argv[0] == "-s" and len(argv) > 1:
        number = signal_number(argv[1]) or 15
        argv = argv[2:]
    elif argv and argv[0].startswith("-"):
        word = argv.pop(0)[1:]
        chosen = signal_number(word)
        if chosen is None:
            return Result("", f"kill: unknown signal {word}; valid signals:\n", 2)
        number = chosen
    if not argv:
        return Result("", "usage: kill [-s signal_name] pid ...\n", 2)
    errors, known = "", {row.pid: row for row in rows(call)}
    for word in argv:
        if not word.lstrip("-").isdigit():
            errors += f"kill: illegal process id: {word}\n"
        elif int(word) not in known:
            errors += f"kill: {word}: No such process\n"
        elif number:
            known[int(word)].kill(number)
    return Result("", errors, 1 if errors else 0)


# devd's socket


@command("nc")
async def nc(call: Call) -> Result:
    """nc(1): `-U PATH` (with -d, -N) reads devd's stream socket until it or the process ends; `-l 127.0.0.1 PORT`;
    `-z -w SECONDS HOST 8457`: whether hastd takes connections there.
    """
    flags, values, operands, bad = options(call.argv, "46DdEFhklNnrStuvzU", "IieMmOPpqsTVwXxY")
    if bad is not None or not operands:
        return Result(
            "", "usage: nc [-46DdEFhklNnrStUuvz] [-e policy] [-I length] [-i interval] [hostname] [port]\n", 1
        )
    path = call.path(operands[0])
    if "l" in flags and len(operands) == 2:
        return await _listen(call, int(operands[1]))
    if "z" in flags and len(operands) == 2:
        return await _connect(call, operands[0], int(operands[1]), float(values.get("w", "75")))
    if "U" not in flags:
        return Result("", f"nc: connect to {operands[0]} failed: Connection refused\n", 1)
    if call.files.kind(path) != "socket":
        return Result("", f"nc: {operands[0]}: No such file or directory\n" if "v" in flags else "", 1)
    rc = call.machine.rc
    if path != "/var/run/devd.pipe" or rc.pid_of("devd") is None or len(call.machine.devctl.listeners) >= 10:
        return Result("", "", 1)
    heard: list[str] = []

    def hear(line: str) -> None:
        if call.emit is not None:
            call.emit(f"{line}\n")
        else:
            heard.append(f"{line}\n")

    listeners, devd = call.machine.devctl.listeners, rc.pid_of("devd")
    listeners.append(hear)
    try:
        while rc.pid_of("devd") == devd:
            await pause(call, 1.0)
    except BaseException:
        call.process.leftover = "".join(heard)
        raise
    finally:
        if hear in listeners:
            listeners.remove(hear)
    return Result("".join(heard))


async def _connect(call: Call, host: str, port: int, seconds: float) -> Result:
    """Whether something listens: only hastd's port is known."""
    peer = call.machine.reaches(host)
    refused = host in call.machine.net.refused
    if not refused and (peer is None or not arrives(call, peer, host)):
        await pause(call, seconds)
    elif not refused and peer is not None and port == HAST_PORT and peer.rc.pid_of("hastd") is not None:
        return Result()
    return Result("", "", 1)


async def _listen(call: Call, port: int) -> Result:
    """Print what comes to a port of 127.0.0.1, until somebody ends it."""
    ears = call.machine.hast.loopback.ears
    if port in ears:
        return Result("", "nc: Address already in use\n", 1)
    unheard: list[str] = []
    ears[port] = call.emit or unheard.append
    try:
        while True:
            await pause(call, 1.0)
    finally:
        ears.pop(port, None)


@command("tail")
async def tail(call: Call) -> Result:
    """tail(1): the last lines of a file or of what comes through a pipe; with -f or -F new text as it comes."""
    flags, values, operands, bad = options(call.argv, "Ffqrv", "bcn")
    count = int(values.get("n", "10").lstrip("+-") or 10)
    if bad is None and not operands and not flags:
        return Result("".join(call.stdin.splitlines(keepends=True)[-count:] if count else []))
    if bad is not None or len(operands) != 1:
        return Result("", "usage: tail [-F | -f | -r] [-q] [-b # | -c # | -n #] [file ...]\n", 1)
    path = call.path(operands[0])
    if not call.files.exists(path):
        return Result("", f"tail: {operands[0]}: No such file or directory\n", 1)
    text = call.files.read_text(path)
    start = "".join(text.splitlines(keepends=True)[-count:] if count else [])
    if call.emit is None:
        return Result(start)
    call.emit(start)
    position = len(text)
    while flags:
        await pause(call, 0.25)
        text = call.files.read_text(path) if call.files.exists(path) else ""
        if len(text) < position:
            position = 0
        if len(text) > position:
            call.emit(text[position:])
            position = len(text)
    return Result()


# the machine


@command("reboot", "fastboot")
async def reboot(call: Call) -> Result:
    """reboot(8): filesystems are written back and the machine goes down; rc.shutdown does not run (recording 08)."""
    machine = call.machine

    def go() -> None:
        machine.disks.unmount_all()
        machine.world.power_off(machine.name)
        machine.world.power_on(machine.name)

    machine.world.at(0.0, go, machine=machine)
    return Result()


@command("shutdown", "halt", "poweroff")
async def shutdown(call: Call) -> Result:
    """shutdown(8): -r, -p, -h with `now` or +minutes."""
    flags, _, operands, _ = options(call.argv, "chknoprl")
    machine = call.machine
    if call.name == "shutdown" and not operands:
        return Result("", "usage: shutdown [-] [-c | -f | -h | -p | -r | -k] [-o [-n]] time [warning-message ...]\n", 1)
    minutes = float(operands[0][1:]) if operands and re.fullmatch(r"\+\d+", operands[0]) else 0.0

    async def power_down() -> None:
        await machine.shutdown()
        machine.world.power_off(machine.name)

    def go() -> None:
        if "r" in flags:
            machine.world.reboot(machine.name)
        else:
            machine.world.spawn(power_down(), machine=machine)

    machine.world.at(minutes * 60, go, machine=machine)
    return Result("Shutdown NOW!\n" if not minutes else "")


@command("logger")
async def logger(call: Call) -> Result:
    """logger(1): -t tag, -p priority, -i, -s; without words it reads standard input."""
    flags, values, operands, bad = options(call.argv, "46Ais", "fhpPStH")
    if bad is not None:
        return Result(
            "",
            "usage: logger [-46Ais] [-f file] [-h host] [-P port] [-p pri] [-t tag] [-S addr:port] [message ...]\n",
            1,
        )
    lines = [" ".join(operands)] if operands else call.stdin.splitlines()
    facility, _, level = values.get("p", "user.notice").rpartition(".")
    for line in lines:
        if level not in {"debug", "info"} or facility == "kern":
            call.machine.log("messages", f"{values.get('t', 'root')}[{call.process.pid}]", line)
        if facility == "daemon":
            call.machine.log("daemon", f"{values.get('t', 'root')}[{call.process.pid}]", line)
    return Result("", "".join(f"{line}\n" for line in lines) if "s" in flags else "")


@command("lockf")
async def lockf(call: Call) -> Result:
    """lockf(1): -k -n -s -w -t SECONDS; 75 when the lock is not had in time."""
    argv = list(call.argv)
    flags, values, rest, bad = options(argv, "knsw", "t")
    if bad is not None or len(rest) < 2:
        return Result("", "usage: lockf [-knsw] [-t seconds] file command [arguments]\n", 64)
    path, locks = call.path(rest[0]), call.machine.rc.locks
    if "n" in flags and not call.files.exists(path):
        return Result("", "" if "s" in flags else f"lockf: cannot open {rest[0]}: No such file or directory\n", 69)
    limit = float(values["t"]) if "t" in values else None
    waited = 0.0
    while path in locks:
        if limit is not None and waited >= limit:
            return Result("", "" if "s" in flags else f"lockf: {rest[0]}: already locked\n", 75)
        await pause(call, 0.1)
        waited += 0.1
    try:
        call.files.touch(path)
    except OSError as problem:
        return Result("", f"lockf: cannot open {rest[0]}: {problem.strerror}\n", 73)
    locks.add(path)
    try:
        return await run(call, rest[1:])
    finally:
        locks.discard(path)
        if "k" not in flags and call.files.exists(path):
            call.files.remove(path)
