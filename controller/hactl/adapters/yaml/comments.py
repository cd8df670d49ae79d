"""Comments of a YAML document that hold a word, each with the line it is about.

What looks like a comment inside a quoted text or a block of text is none: the scanner says where scalars begin and end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hactl.adapters.yaml.tree import Tree

#: A comment begins with # at the start of a line or after a blank (YAML 1.2.2, 6.6).
_SIGN = re.compile(r"(?:(?<=\s)|^)#")
#: A line on which no value can stand.
_EMPTY = re.compile(r"\s*(#.*)?|---\s*(#.*)?")

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment. Line and column count from 1, in the file."""

    line: int
    column: int
    #: Without its #.
    text: str
    #: The line it is about: its own, or the next one with content if it stands alone; 0: it stands before everything
    #: and is about the whole document.
    about: int


def comments(tree: Tree, word: str) -> tuple[Comment, ...]:
    """The comments of the document that hold the word, those before its `---` included."""
    found = [
        Comment(tree.before_line + number, sign.start() + 1, line[sign.end() :].strip(), 0)
        for number, line in enumerate(tree.before.split("\n"))
        if word in line and (sign := _SIGN.search(line))
    ]
    if word not in tree.text:
        return tuple(found)
    lines = tree.text.split("\n")
    content = [number for number, line in enumerate(lines) if not _EMPTY.fullmatch(line)]
    scalars = _scalars(tree.text)
    for number, line in enumerate(lines):
        start = _comment_in(line, number, scalars) if word in line else None
        if start is None or word not in line[start:]:
            continue
        if content and number < content[0]:
            about = 0
        elif number in content:
            about = tree.line + number
        else:
            about = tree.line + next((later for later in content if later > number), number)
        found.append(Comment(tree.line + number, start + 1, line[start + 1 :].strip(), about))
    return tuple(found)


def _comment_in(line: str, number: int, scalars: list[tuple[_Place, _Place]]) -> int | None:
    """Where the comment of a line begins; None: it has none."""
    for sign in _SIGN.finditer(line):
        place = (number, sign.start())
        if not any(start <= place < end for start, end in scalars):
            return sign.start()
    return None


def _scalars(text: str) -> list[tuple[_Place, _Place]]:
    """Where each scalar of a readable document begins and ends; lines and columns from 0."""
    from ruamel.yaml import YAML
    from ruamel.yaml.tokens import ScalarToken

    return [
        ((token.start_mark.line, token.start_mark.column), (token.end_mark.line, token.end_mark.column))
        for token in YAML(typ="safe", pure=True).scan(text)
        if isinstance(token, ScalarToken)
    ]
