"""What stat(1) says of the files that a look reads: section `stat` of the probe.

`root DIRECTORY`, then a row for each file: device, inode, mode, owner, size, times, name.
Only the rows that matter to a reading are taken apart; together they tell whether anything has changed (`question`).
Man page: stat(1), -f %d %i %p %u %g %z %Fm %Fc %N.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hactl.core.facts import Reading
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.text import NotUnderstood

_ROW = re.compile(r"-?[0-9]+ ([0-9]+) ([0-7]{4,7}) ([0-9]+) [0-9]+ ([0-9]+ -?[0-9.]+ -?[0-9.]+) (/.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stat:
    """A file that exists."""

    #: Permission bits.
    mode: int
    is_directory: bool
    uid: int
    #: Inode, size and times as stat(1) prints `%i %z %Fm %Fc`: another file, or another content, has another one.
    identity: str


def read_stats(reader: Reader) -> Reading[Mapping[str, Stat]]:
    """Path -> what it is."""
    return reader.read("stat", parse_stats)


def parse_stats(section: Section) -> Mapping[str, Stat]:
    """Raises NotUnderstood for anything but rows."""
    first, *lines = [line for line in section.text.split("\n") if line]
    root = first.removeprefix("root ").rstrip()
    found: dict[str, Stat] = {}
    for line in lines:
        row = _ROW.fullmatch(line)
        if row is None:
            raise NotUnderstood("not what stat prints")
        mode = int(row[2], 8)
        stat = Stat(mode & 0o7777, mode & 0o170000 == 0o040000, int(row[3]), f"{row[1]} {row[4]}")
        found[row[5].removeprefix(root)] = stat
    return found
