"""What the audit demands of every step that writes a file: a power cut finds the old one or the new one, whole.

Rules (docs/freebsd-facts.md#7.1, #7.17): nothing that has to outlive a boot is written in place; what is written is
flushed before it takes its name, and the directory afterwards; so is a directory in which something was removed or
made. Man pages: fsync(1), mv(1).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from hactl.core.audit.reader.getopt import getopt, unwrapped
from hactl.core.audit.reader.lexer import Command, read_commands
from hactl.core.audit.reader.programs import BESIDE

#: Nothing below outlives a boot.
_VOLATILE = re.compile(r"/dev/|/tmp/|/var/run/")


def durable(text: str) -> Iterator[str]:
    """Complaints about the files a command writes. Raises Unreadable."""
    commands, _ = read_commands(text)
    for at, command in enumerate(commands):
        before, after = commands[:at], commands[at + 1 :]
        for path in _lasting(_written(command)):
            if path in command.writes and not _renamed(after, path):
                yield f"writes {path} in place: a power cut could tear it"
            if not _flushed(after, path):
                yield f"does not flush {path}: it could be empty after a power cut"
        for path in _lasting(_renaming(command)[:1]):
            if not _flushed(before, path):
                yield f"renames {path} before it is flushed: it could be empty after a power cut"
        # What comes after the next rename may be in a branch that is not taken.
        mine = after[: next((at for at, other in enumerate(after) if _renaming(other)), len(after))]
        for path, flushes in (*((p, mine) for p in _renaming(command)[1:]), *((p, after) for p in _named(command))):
            if not _VOLATILE.match(path) and not _flushed(flushes, posixpath.dirname(path)):
                yield f"does not flush the directory of {path}: a power cut could undo it"


def _lasting(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if not _VOLATILE.match(path)]


def _operands(command: Command, program: str) -> list[str]:
    words = unwrapped(list(command.words))
    return [word for word in words[1:] if not word.startswith("-")] if words[:1] == [program] else []


def _written(command: Command) -> list[str]:
    copies = [word[3:] for word in command.words if command.words[0] == "dd" and word.startswith("of=")]
    return [*command.writes, *copies, *_operands(command, "cp")[-1:]]


def _renaming(command: Command) -> list[str]:
    return _operands(command, "mv")


def _named(command: Command) -> list[str]:
    """What else is made or removed, but for files that stand beside another one only until that is replaced."""
    made = getopt(list(command.words[1:]), "pv", "m")[1] if command.words[:1] == ("mkdir",) else []
    removed = [path for path in _operands(command, "rm") if not BESIDE.search(path)]
    return [*made, *removed]


def _renamed(commands: Iterable[Command], path: str) -> bool:
    return any(_renaming(command)[:1] == [path] for command in commands)


def _flushed(commands: Iterable[Command], path: str) -> bool:
    return any(path in _operands(command, "fsync") for command in commands)
