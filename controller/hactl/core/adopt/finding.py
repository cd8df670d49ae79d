"""What is found in a file that somebody wrote: where, what is wrong with it, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file. Lines count from 1; 0: the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        """As compilers write it."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about a place, and what the document does about it. No secret is in either."""

    place: Place
    message: str
    fix: str = ""
    #: Not wrong: worth knowing, or a guess.
    note: bool = False

    def __str__(self) -> str:
        """One line."""
        word = "note: " if self.note else ""
        return f"{self.place}: {word}{self.message}{f'; {self.fix}' if self.fix else ''}"


def note(place: Place, message: str, fix: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(place, message, fix, note=True)
