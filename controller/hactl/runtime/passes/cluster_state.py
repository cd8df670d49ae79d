"""What a process remembers of one cluster between passes; all of it may be lost at any time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hactl.core.facts import Known, Snapshot
from hactl.core.pace.approval import Approval
from hactl.core.pace.backoff import Attempts
from hactl.core.steps import Hold, Plan
from hactl.runtime.operations import Requests
from hactl.runtime.passes.types import Gate, Pace


class ClusterState:
    """One cluster's."""

    def __init__(self, chance: random.Random, requests: Requests) -> None:
        """Nothing is known yet."""
        self.generation = 0
        #: What the record has of it was read.
        self.remembered = False
        self.status: Mapping[str, Any] | None = None
        #: Why the record does not let this generation act; empty: it does.
        self.outdated = ""
        #: The lease of another controller that a node has seen, newer than ours; 0: none.
        self.newer_lease = 0
        self.attempts = Attempts(chance.random)
        #: The last pass had work: take the lock before looking.
        self.working = False
        #: What passes by itself, and since when.
        self.passing: tuple[tuple[str, str, str | None], ...] = ()
        self.passing_since = 0.0
        self.snapshot: Snapshot | None = None
        self.approval = Approval()
        self.requests = requests

    def renew(self, generation: int) -> None:
        """Another generation is in force: what failed before, or was approved, says nothing about it."""
        if self.generation != generation:
            self.attempts.forget()
            self.approval.forget()
            self.outdated = ""
            self.generation = generation

    def after_seconds(
        self, plan: Plan, gate: Gate, moving: bool, pace: Pace, now: float, spread: Callable[[float], float]
    ) -> float:
        """When to look again, seconds from `now` (monotonic). `moving`: somebody waits for a group to move."""
        passing = tuple(sorted((h.reason, h.target, h.node) for h in plan.holds if h.passing))
        if passing != self.passing:
            self.passing, self.passing_since = passing, now
        after = spread(pace.moving_seconds if moving else pace.resync_seconds)
        if gate in ("Busy", "Store"):
            after = spread(pace.blocked_seconds)
        if gate == "Backoff":
            after = min(after, self.attempts.quiet_at(plan.stages[0]) - now)
        rested = self.attempts.next_at(now)
        if rested is not None:
            after = min(after, rested - now)
        if passing:
            patience = (now - self.passing_since) / 10
            after = min(after, spread(min(pace.passing_limit_seconds, pace.passing_seconds + patience)))
        return after


@dataclass(frozen=True, slots=True)
class Look:
    """What one look gave."""

    snapshot: Snapshot
    plan: Plan


def looks(memories: Mapping[str, ClusterState]) -> Iterator[tuple[str, str, bool]]:
    """Cluster, node, and whether it gave facts, of every newest look: for `hactl.core.pace.circuit_breaker`."""
    for cluster, memory in memories.items():
        if memory.snapshot is not None:
            for node, reading in memory.snapshot.nodes.items():
                yield cluster, node, isinstance(reading, Known)


def with_hold(plan: Plan, gate: Gate, why: str) -> Plan:
    """The plan with the reason why it is only a plan, for people. `why`: what the gate itself has to say."""
    if gate == "Observe":
        hold = Hold("ObserveOnly", "the document's mode is Observe: hactl looks and never touches")
    elif gate == "WaitingForApproval":
        message = f"the document's mode is Propose: plan {plan.digest} waits for a person's approval"
        remedy = f"hactl approve {plan.cluster} {plan.digest} (or: hactl apply -f FILE --approve {plan.digest})"
        hold = Hold("WaitingForApproval", message, remedy=remedy)
    elif gate == "FleetSilent":
        hold = Hold("FleetSilent", f"nothing is changed: {why}", target=plan.cluster, passing=True)
    elif gate == "LeaseLost":
        remedy = (
            "stop one of the two controllers and restart the other; if there is no other: "
            "rm /var/db/hactl/lease on the nodes"
        )
        hold = Hold("LeaseLost", f"nothing is changed: {why}", target=plan.cluster, remedy=remedy)
    else:
        return plan
    return replace(plan, holds=(*plan.holds, hold))
