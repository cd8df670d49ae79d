"""What a look left to explain a cluster from, whoever looked: a command, or the controller a moment ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hactl.core.cluster import Cluster
from hactl.core.evidence.failures import on_record
from hactl.core.evidence.hook_log import GAVE, TOOK, moves_of
from hactl.core.evidence.view import View
from hactl.core.facts import Snapshot
from hactl.core.steps import Plan
from hactl.core.why.answer import Explanation, Question
from hactl.core.why.ask import explain
from hactl.core.why.fights import fights
from hactl.core.why.subject import Background

#: How far back the history is read for steps that are undone again and again, hours.
FIGHT_HOURS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A cluster, what was seen of it, and what was planned then."""

    cluster: Cluster
    snapshot: Snapshot
    plan: Plan
    #: The document's file, for commands.
    source: str = "FILE"
    #: An earlier look, when two MASTERs made one worth it.
    before: Snapshot | None = None


def answer(
    seen: Seen,
    question: Question,
    *,
    now: float,
    status: Mapping[str, Any] | None,
    rows: Sequence[Mapping[str, Any]],
) -> Explanation:
    """The answer to one question, at `now` (monotonic seconds).

    `status`: the last one on record; `rows`: events and steps of the last hour (`History.history`). Raises KeyError for
    a group or a node that the document does not have.
    """
    view = View.at(seen.cluster, seen.snapshot, now)
    moved = [
        move.epoch
        for group in seen.cluster.groups
        for node in group.preferred
        for move in moves_of(view.hook(node), group.name)
        if move.what in (TOOK, GAVE)
    ]
    background = Background(
        before=seen.before, fights=fights(rows, moved), source=seen.source, failures=on_record(status)
    )
    return explain(view, seen.plan, question, background)
