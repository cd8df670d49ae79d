"""The list of mutations: what each changes, what that breaks, and where it should be noticed.

The list is tests/mutants/*.toml. A mutation replaces one text that occurs exactly once in one file of
controller/hactl, so that it can only mean one thing; when the code moves on, the list has to follow.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ROOT / "controller" / "hactl"


class DoesNotApply(ValueError):
    """The text to replace is not there exactly once, or replacing it changes nothing."""


@dataclass(frozen=True)
class Mutation:
    """One mistake somebody could make."""

    name: str
    #: Relative to controller/hactl.
    file: str
    old: str
    new: str
    #: One sentence: what goes wrong.
    breaks: str
    #: What is violated: an invariant of docs/safety.md#invariants (I1 to I10), or `wait`, `order`, `record`,
    #: `convergence`, `truth`.
    invariant: str
    #: What pytest is given first, relative to tests/: the tests that should notice.
    tests: tuple[str, ...]

    def applied_to(self, text: str) -> str:
        """The source text with the mistake in it. Raises DoesNotApply."""
        count = text.count(self.old)
        if count != 1:
            raise DoesNotApply(f"{self.name}: its text occurs {count} times in controller/hactl/{self.file}")
        if self.old == self.new:
            raise DoesNotApply(f"{self.name}: it changes nothing")
        return text.replace(self.old, self.new)


def read_mutations() -> tuple[Mutation, ...]:
    """All mutations, in the order of the files' names and then as they stand there."""
    found: list[Mutation] = []
    for path in sorted(HERE.glob("*.toml")):
        listed = tomllib.loads(path.read_text())
        usual = tuple(listed["tests"])
        found += [
            Mutation(
                name=entry["name"],
                file=entry["file"],
                old=entry["old"],
                new=entry["new"],
                breaks=entry["breaks"],
                invariant=entry["invariant"],
                tests=tuple(entry.get("tests", usual)),
            )
            for entry in listed["mutation"]
        ]
    return tuple(found)
