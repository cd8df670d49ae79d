"""What the kernel says: sysctl(8), kldstat(8), netstat(1) -s -p carp, dmesg(8).

Man pages: sysctl(8), kldstat(8), netstat(1), dmesg(8), carp(4). Sources: sys/netinet/ip_carp.c (log texts),
usr.bin/netstat/inet.c:carp_stats.
"""

from __future__ import annotations

import re

from hactl.core.parse.text import NotUnderstood

_NAME = re.compile(r"[A-Za-z0-9_.%-]+", re.ASCII)
_UNKNOWN_OID = re.compile(r"sysctl: unknown oid '([^']+)'")
_BOOTTIME = re.compile(r"\{ sec = ([0-9]{1,12}), usec = [0-9]{1,7} \}.*", re.ASCII)
_COUNTER = re.compile(r"\t+([0-9]{1,20}) (\S.*)", re.ASCII)
#: kern.msgbuf_show_timestamp=1 puts "[123] " before each line, =2 "[123.456789] ".
_STAMP = r"(?:\[[0-9.]+\] )?"
_DEMOTED = re.compile(_STAMP + r"carp: demoted by (-?[0-9]{1,10}) to (-?[0-9]{1,10}) \((.*)\)", re.ASCII)
_CHANGED = re.compile(
    _STAMP + r"carp: ([0-9]{1,3}@\S+: (?:INIT|BACKUP|MASTER) -> (?:INIT|BACKUP|MASTER) \(.*\))", re.ASCII
)
#: CARP state changes that are kept.
LOG_LIMIT = 10


def parse_sysctl(text: str) -> dict[str, str]:
    """`name: value` lines, also `name: old -> new` (the new one counts). Unknown oids are left out.

    Raises NotUnderstood for any other line.
    """
    values: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon and _NAME.fullmatch(name) and name != "sysctl":
            values[name] = value.strip().rpartition(" -> ")[2]
        elif line.strip() and not _UNKNOWN_OID.fullmatch(line.strip()):
            raise NotUnderstood("a line that sysctl does not print")
    return values


def parse_boottime(value: str) -> int:
    """Seconds since 1970 of `kern.boottime`: `{ sec = 1700000000, usec = 123456 } Tue Nov 14 ...`."""
    match = _BOOTTIME.fullmatch(value.strip())
    if match is None:
        raise NotUnderstood("kern.boottime is not understood")
    return int(match[1])


def parse_kldstat(status: int, text: str) -> bool:
    """`kldstat -q -m NAME` says it with its exit status alone."""
    if text.strip() or status not in (0, 1):
        raise NotUnderstood("kldstat -q printed something")
    return status == 0


def parse_netstat_carp(text: str) -> dict[str, int]:
    """`netstat -s -p carp`: counter text -> count. Empty when the module is not loaded: netstat prints nothing."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return {}
    if lines[0].strip() != "carp:":
        raise NotUnderstood("not the counters of carp")
    counters: dict[str, int] = {}
    for line in lines[1:]:
        match = _COUNTER.fullmatch(line.rstrip())
        if match is None:
            raise NotUnderstood("a counter that netstat does not print")
        counters[match[2]] = int(match[1])
    return counters


def parse_carp_log(text: str) -> tuple[tuple[tuple[int, int, str], ...], tuple[str, ...]]:
    """Kernel log: demotions (N, M, reason) and the last state changes, both oldest first. Other lines are not ours."""
    demotions: list[tuple[int, int, str]] = []
    changes: list[str] = []
    for line in text.split("\n"):
        line = line.strip()
        if match := _DEMOTED.fullmatch(line):
            demotions.append((int(match[1]), int(match[2]), match[3]))
        elif match := _CHANGED.fullmatch(line):
            changes.append(match[1])
    return tuple(demotions), tuple(changes[-LOG_LIMIT:])
