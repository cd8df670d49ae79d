"""A problem in a document: what is wrong, where, and what would be right.

`Fault` is a problem before it has a place: pure code finds faults by field path, and whoever read the document
knows the line and column of each path and makes a `Problem` of it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

#: Where in a document, in wire spelling: ("spec", "groups", 0, "virtualIPs", 1, "vhid").
FieldPath: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHOWN_CHARACTERS = 60
#: So much of a word says what was begun.
_BEGUN_CHARACTERS = 4
_SECRET_FIELD = re.compile(r"pass|secret|private|token", re.IGNORECASE)


class Stage(StrEnum):
    """How far a document got before something was wrong with it."""

    #: It cannot be read, or is no YAML.
    TEXT = "text"
    #: A field that is unknown, missing, or of another type.
    SHAPE = "shape"
    #: Fields that each could be right and together are not.
    MEANING = "meaning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. `str()` gives `file:line:column: path: what is wrong; what would be right`.

    Line and column count from 1; 0 means unknown (the whole file).
    """

    source: str
    line: int
    column: int
    #: The field path as written on the wire, e.g. `spec.groups[0].virtualIPs[1].vhid`; empty for the whole document.
    path: str
    message: str
    #: What would be right; empty when the message says it all.
    fix: str = ""
    #: Two problems that say the same are the same.
    stage: Stage = field(default=Stage.TEXT, compare=False)

    def __str__(self) -> str:
        """One line for a terminal or an editor's error parser."""
        where = self.source
        if self.line:
            where += f":{self.line}:{self.column}"
        path = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{where}: {path}{self.message}{fix}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a field path."""

    path: FieldPath
    message: str
    fix: str = ""
    #: True: the key of the field is to blame (an unknown field), not its value.
    at_key: bool = False
    #: The other place of a conflict; stands where `message` says `{other}`.
    other: FieldPath | None = None

    @property
    def text(self) -> str:
        """The message for people."""
        return self.message if self.other is None else self.message.replace("{other}", path_text(self.other))


def path_text(path: FieldPath) -> str:
    """The path for people: `spec.groups[0].interfaces.fw-1`; a key that is no plain word is quoted in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def printable(text: str) -> str:
    """The text with control characters escaped, so that it cannot play tricks on a terminal."""
    if text.isprintable():
        # Nearly always; a thousand lines of a status are then no work.
        return text
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


def shown(value: object) -> str:
    """A value of a document, safe to print: quoted, control characters escaped, cut at 60 characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def may_show(path: FieldPath) -> bool:
    """Whether the value at this path may be repeated in a message: not where somebody may have written a secret."""
    return not any(isinstance(part, str) and _SECRET_FIELD.search(part) for part in path)


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice somebody most likely meant, or None."""
    by_fold = {choice.casefold().replace("_", "").replace("-", ""): choice for choice in choices}
    folded = word.casefold().replace("_", "").replace("-", "")
    if folded in by_fold:
        return by_fold[folded]
    # What was begun comes before what is alike: of `raidz` that is Raidz1.
    found = [fold for fold in by_fold if len(folded) >= _BEGUN_CHARACTERS and fold.startswith(folded)]
    found = found or difflib.get_close_matches(folded[:_SHOWN_CHARACTERS], by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def listed(words: Iterable[str], *, last: str = "or") -> str:
    """`a, b or c`."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
