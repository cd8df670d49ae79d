"""Somebody who undoes what hactl does: the same step, done again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.steps import Outcome, StepKey
from hactl.core.verbs import VERBS

#: The same step Done this often within the rows that are looked at: somebody undoes it.
FIGHT_TIMES = 3


@dataclass(frozen=True, slots=True)
class Fight:
    """A step that was done several times."""

    step: StepKey
    times: int

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.step} was done {self.times} times and is undone each time"


def fights(rows: Iterable[Mapping[str, Any]]) -> tuple[Fight, ...]:
    """Steps that were done again and again, from rows of the history (`History.history`), oldest first.

    Only what puts something right that was right before counts: a note or a confirmation may well be written often.
    """
    done = Counter(
        StepKey(row["node"], row["verb"], row["target"])
        for row in rows
        if row.get("kind") == EventKind.STEP_ENDED and row.get("outcome") == Outcome.DONE and not _routine(row)
    )
    return tuple(Fight(step, times) for step, times in done.items() if times >= FIGHT_TIMES)


def _routine(row: Mapping[str, Any]) -> bool:
    traits = VERBS.get(row["verb"])
    return traits is not None and traits.routine
