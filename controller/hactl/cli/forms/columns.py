"""Custom columns as kubectl has them: `NAME:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hactl.cli.forms.jsonpath import Path, TemplateError, as_text, parse_path

#: What stands in a column of an object that does not have it.
NONE = "<none>"
#: Commas that part columns: not those in brackets or quotes.
_COLUMN = re.compile(r"""(?:'[^']*'|"[^"]*"|\[(?:'[^']*'|"[^"]*"|[^\]'"])*\]|[^,\['"])+""")


@dataclass(frozen=True, slots=True)
class Columns:
    """Headers, and where the cells come from."""

    columns: tuple[tuple[str, Path], ...]

    @property
    def header(self) -> list[str]:
        """The line above."""
        return [name for name, _ in self.columns]

    def cells(self, one: Any) -> list[str]:
        """The line of one object; several values stand with commas. Raises TemplateError."""
        return [",".join(as_text(value) for value in path.find(one)) or NONE for _, path in self.columns]


def parse_columns(text: str) -> Columns:
    """Columns out of one text. Raises TemplateError."""
    if not text.strip():
        raise TemplateError("no column is named: write NAME:.metadata.name, the next one after a comma")
    found = []
    position = 0
    while position <= len(text):
        column = _COLUMN.match(text, position)
        part = column[0] if column else ""
        position += len(part)
        if position < len(text) and text[position] != ",":
            raise TemplateError(f"{text[position:]!r}: a bracket or quote is not closed")
        found.append(_column(part.strip()))
        position += 1
    return Columns(tuple(found))


def _column(text: str) -> tuple[str, Path]:
    name, colon, path = text.partition(":")
    if not colon or not name or not path:
        raise TemplateError(f"{text!r} is no column: write NAME:.metadata.name")
    try:
        return name, parse_path(path)
    except TemplateError as error:
        raise TemplateError(f"column {name}: {error}") from error


def text_of_file(text: str) -> str:
    """The columns of a file as one text: a line of headers, a line of paths, as kubectl's. Raises TemplateError."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise TemplateError("expected two lines, headers and paths, with as many words in each")
    joined = ",".join(f"{name}:{path}" for name, path in zip(*lines, strict=True))
    parse_columns(joined)
    return joined


def rows_of(data: Any) -> Sequence[Any]:
    """The objects of an answer: a list's, or the one that it is."""
    if isinstance(data, Mapping) and isinstance(data.get("items"), list):
        items: list[Any] = data["items"]
        return items
    return data if isinstance(data, list) else [data]
