"""How long moves took, from the steps on record.

Rules: what was not measured is None, never a guess. Rows are those of `ports.History.history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from hactl.core.cluster import targets_of
from hactl.core.objects import GroupSpec
from hactl.core.steps import Outcome
from hactl.core.verbs import VERBS, Verb

#: So many of the newest steps of a verb count.
SAMPLES = 10
_MOVES = frozenset(verb for verb, traits in VERBS.items() if traits.moves)
#: Giving a role up may be the first that takes service away; taking one comes after that.
_TAKES_AWAY = frozenset({Verb.SET_ROLE, *(verb for verb, traits in VERBS.items() if traits.lets_go)})


def measured_seconds(group: GroupSpec, rows: Iterable[Mapping[str, Any]], arrived_at: datetime) -> float | None:
    """From the first step that took service away to the look that saw the group served, addresses and all.

    That is what it was without service at most. None: no step of ours took service away, or the clock was set back.
    """
    targets = targets_of(group)
    begun = [row["at"] for row in rows if row["verb"] in _TAKES_AWAY and row["target"] in targets]
    if not begun:
        return None
    seconds = (arrived_at - datetime.fromisoformat(begun[0])).total_seconds()
    return seconds if seconds >= 0 else None


def seconds_by_verb(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What the steps of a move usually took, for `switchover.prediction`."""
    taken: dict[str, list[float]] = {}
    for row in reversed(rows):
        if row["verb"] in _MOVES and row["outcome"] == Outcome.DONE.value and row["seconds"] is not None:
            taken.setdefault(row["verb"], []).append(float(row["seconds"]))
    return {verb: fmean(samples[:SAMPLES]) for verb, samples in taken.items()}
