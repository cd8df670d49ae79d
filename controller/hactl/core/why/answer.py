"""The words of an explanation: a headline, the few facts that carry it, and what to do.

Rules: a fact names its node and how old it is; a remedy is a command as it would be typed, with the machine to type it
on; nothing that is not seen is said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from hactl.core.catalogue import Cause, ConditionReason, HoldReason

What = Literal["active", "master", "primary"]
#: All of them.
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True, slots=True)
class Question:
    """Why a group is as it is; with `node` and `what`: why that node is not that."""

    group: str | None = None
    node: str | None = None
    what: What | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was seen, or that the document says."""

    text: str
    node: str | None = None
    #: How long ago the node said so, seconds; None: it is not a node's word.
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do."""

    command: str
    #: The node to type it on; None: where hactl runs.
    node: str | None = None
    #: When, or what for.
    note: str = ""

    @property
    def line(self) -> str:
        """For people, on one line."""
        where = f"on {self.node}: " if self.node else ""
        return f"{where}{self.command}" + (f"  ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer: the smallest set of facts that explains it, in causal order."""

    #: What it comes down to; what it takes over from a hold or an obstacle keeps that reason.
    cause: Cause | HoldReason | ConditionReason
    headline: str
    facts: tuple[Fact, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    #: True: things are as they should be.
    healthy: bool = False
    #: Headlines of what else is the matter.
    also: tuple[str, ...] = ()


def each(*facts: Fact | None) -> tuple[Fact, ...]:
    """Those that are there."""
    return tuple(fact for fact in facts if fact is not None)


def explanation_data(cluster: str, answer: Explanation) -> dict[str, Any]:
    """As JSON has it: what `-o json` prints, and what the API answers."""
    return {
        "cluster": cluster,
        "cause": answer.cause,
        "healthy": answer.healthy,
        "headline": answer.headline,
        "facts": [{"node": fact.node, "ageSeconds": fact.age_seconds, "text": fact.text} for fact in answer.facts],
        "remedies": [{"node": r.node, "command": r.command, "note": r.note} for r in answer.remedies],
        "also": list(answer.also),
    }
