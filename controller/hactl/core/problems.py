"""A problem in a document: what is wrong, where, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass


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

    def __str__(self) -> str:
        """One line for a terminal or an editor's error parser."""
        where = self.source
        if self.line:
            where += f":{self.line}:{self.column}"
        path = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{where}: {path}{self.message}{fix}"
