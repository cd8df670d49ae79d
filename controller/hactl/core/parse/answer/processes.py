"""The processes of a node: section `ps` of the probe, rows `PPID PID STARTED COMMAND`.

A process is the same one while pid and time of start are the same. Man page: ps(1), -o ppid,pid,lstart,comm.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from hactl.core.parse.answer.frames import Section
from hactl.core.parse.text import NotUnderstood

_ROW = re.compile(r"([0-9]+) ([0-9]+) (\S+ \S+ \S+ [0-9:]+ [0-9]+) (\S.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Process:
    """A row of ps."""

    parent: int
    pid: int
    #: As ps prints it.
    started: str
    #: Name of its program.
    name: str


def parse_processes(section: Section) -> tuple[Process, ...]:
    """Raises NotUnderstood for anything but rows below a heading."""
    heading, *lines = [line for line in section.text.split("\n") if line.strip()] or [""]
    if section.status != 0 or heading.split()[:2] != ["PPID", "PID"]:
        raise NotUnderstood("not what ps prints")
    found = []
    for line in lines:
        row = _ROW.fullmatch(" ".join(line.split()))
        if row is None:
            raise NotUnderstood("a row that ps does not print")
        found.append(Process(int(row[1]), int(row[2]), row[3], row[4]))
    return tuple(found)


def telling(processes: Collection[Process], pids: Collection[int]) -> str:
    """The processes that tell whether a service has come or gone, as the probe writes them down (h_processes): children
    of init, and those with these pids.
    """
    chosen = [each for each in processes if each.parent == 1 or each.pid in pids]
    return "".join(f"{each.parent} {each.pid} {each.started} {each.name}\n" for each in chosen)
