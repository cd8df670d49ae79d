"""How long moves take: what the steps on record took, and what a plan's move comes to by that.

Rules: what was not measured is None or what is usual, never a guess of something else; a command takes what the same
command took before, on whichever node. Rows are those of `ports.History.history`, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

from hactl.core.changes.carp import SetVhid
from hactl.core.cluster import targets_of
from hactl.core.objects import GroupSpec
from hactl.core.steps import Outcome, Plan, Step
from hactl.core.verbs import VERBS, Verb

#: So many of the newest of a kind count.
SAMPLES = 10
#: From the last step on one node to the first on the other, while nothing was measured: a look, and deciding, seconds.
USUAL_CHANGE_SECONDS = 1.0
#: From the advskew that gives an address away to the advertisement that tells it, seconds: half an interval. A node
#: that is told to be MASTER waits for none.
ELECTION_SECONDS = 0.7
#: A longer pause was no part of a move, seconds.
LONGEST_CHANGE_SECONDS = 30.0
_MOVES = frozenset(verb for verb, traits in VERBS.items() if traits.moves)
#: Giving a role up may be the first that takes service away; taking one comes after that.
_TAKES_AWAY = frozenset({Verb.SET_ROLE, *(verb for verb, traits in VERBS.items() if traits.lets_go)})


@dataclass(frozen=True, slots=True)
class Durations:
    """What was measured on a cluster, seconds."""

    by_command: Mapping[str, float] = field(default_factory=dict)
    by_verb: Mapping[str, float] = field(default_factory=dict)
    #: From the last step on one node to the first on the other.
    change: float = USUAL_CHANGE_SECONDS

    def of(self, step: Step) -> float:
        """What a step should take."""
        usual = VERBS[step.verb].usual_seconds or 0.0
        return self.by_command.get(step.command, self.by_verb.get(step.verb, usual))


def prediction(plan: Plan, durations: Durations) -> float:
    """Seconds without service that the plan's move should cost: from the first stop to the last address."""
    steps = list(moving_steps(plan))
    if not steps:
        return 0.0
    changes = sum(one.node != other.node and other.verb != Verb.SET_VHID for one, other in pairwise(steps))
    election = 0.0 if any(isinstance(s.change, SetVhid) and s.change.master for s in steps) else ELECTION_SECONDS
    return sum(map(durations.of, steps)) + changes * durations.change + election


def moving_steps(plan: Plan) -> Iterator[Step]:
    """The steps of a plan that belong to a move, from the first that takes service away."""
    begun = False
    for step in plan.steps:
        begun = begun or VERBS[step.verb].lets_go
        if begun and VERBS[step.verb].moves:
            yield step


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


def measured(rows: Sequence[Mapping[str, Any]]) -> Durations:
    """What the newest steps of moves took."""
    commands: dict[str, list[float]] = {}
    verbs: dict[str, list[float]] = {}
    changes: list[float] = []
    before: tuple[Mapping[str, Any], datetime] | None = None
    for row, began, end in _timed(rows):
        if row["verb"] not in _MOVES or row["outcome"] != Outcome.DONE.value or row["seconds"] is None:
            before = None
            continue
        commands.setdefault(row["command"], []).append(float(row["seconds"]))
        verbs.setdefault(row["verb"], []).append(float(row["seconds"]))
        if before is not None and before[0]["node"] != row["node"] and row["verb"] != Verb.SET_VHID:
            pause = (began - before[1]).total_seconds()
            changes += [pause] if 0 <= pause <= LONGEST_CHANGE_SECONDS else []
        before = row, end
    return Durations(_newest(commands), _newest(verbs), fmean(changes[-SAMPLES:]) if changes else USUAL_CHANGE_SECONDS)


def _newest(samples: Mapping[str, list[float]]) -> dict[str, float]:
    return {key: fmean(found[-SAMPLES:]) for key, found in samples.items()}


def _timed(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], datetime, datetime]]:
    """Each with its begin and end: those that shared an exec were noted at once and ran one after the other."""
    ended: dict[str, datetime] = {}
    for row in rows:
        noted = datetime.fromisoformat(row["at"])
        began = max(noted, ended.get(row["node"], noted))
        end = began + timedelta(seconds=float(row["seconds"] or 0.0))
        ended[row["node"]] = end
        yield row, began, end
