"""Whether a plan may be carried out now, and if not, why: one pure function from what is known to a `Gate`.

Rules: the first reason that holds is the one that is told; a reason a person knows of (the mode, a pause) comes before
one that passes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hactl.core.catalogue import HoldReason
from hactl.core.choices import Mode
from hactl.core.steps import Hold, Plan


class Gate(StrEnum):
    """Why a plan with stages is not carried out in this pass."""

    #: It may be carried out, or there is nothing to do.
    OPEN = ""
    #: The pass is only to look.
    LOOK_ONLY = "LookOnly"
    OBSERVE = "Observe"
    PAUSED = "Paused"
    FLEET_SILENT = "FleetSilent"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    #: A step may still be running where the next one would run.
    BACKOFF = "Backoff"
    #: This process was told to stop.
    STOPPED = "Stopped"
    #: A newer controller acts on the nodes.
    LEASE_LOST = "LeaseLost"
    #: Another process holds the cluster.
    BUSY = "Busy"
    #: The record cannot be read or written.
    STORE = "Store"
    #: References of the document do not resolve.
    REFERENCES = "References"
    #: There is work, and the cluster's lock is not held yet.
    NEEDS_LOCK = "NeedsLock"

    @property
    def is_for_people(self) -> bool:
        """Nothing that this process could wait for changes it."""
        return self in _FOR_PEOPLE

    @property
    def is_blocked(self) -> bool:
        """Something else than the cluster is in the way: look again soon."""
        return self in (Gate.BUSY, Gate.STORE)

    @property
    def keeps_working(self) -> bool:
        """The next pass may act, so that it takes the lock before it looks."""
        return self in (Gate.OPEN, Gate.BUSY, Gate.LEASE_LOST)


_FOR_PEOPLE = frozenset(
    {Gate.LOOK_ONLY, Gate.OBSERVE, Gate.PAUSED, Gate.FLEET_SILENT, Gate.WAITING_FOR_APPROVAL, Gate.LEASE_LOST}
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides whether a plan may be carried out, as far as it is known. Times are monotonic seconds."""

    mode: Mode
    now: float
    #: False: the pass is only to look.
    act: bool = True
    #: Who paused the cluster or the fleet, and why; empty: nobody.
    paused: str = ""
    #: Why our own network is suspected (`circuit_breaker.fleet_silent`); empty: it is not.
    fleet_silent: str = ""
    #: A person approved the plan's next stage.
    approved: bool = False
    #: When surely nothing of ours runs any more where the next stage would run.
    quiet_at: float = float("-inf")
    stopped: bool = False
    #: The lease under which this process acts; None: not taken yet.
    lease: int | None = None
    #: The newest lease of another controller that a node has seen; 0: none.
    newer_lease: int = 0
    #: Whose it is and what would free the node, for people; "": nobody knows.
    held_by: str = ""
    #: What kept the pass from taking the lock or the lease: `Gate.BUSY` or `Gate.STORE`.
    blocked: Gate = Gate.OPEN


def gate(plan: Plan, circumstances: Circumstances) -> Gate:
    """Why this plan may not be carried out now; `Gate.OPEN`: it may, or has no stages."""
    if not plan.stages:
        return Gate.OPEN
    known = circumstances
    reasons = (
        (Gate.LOOK_ONLY, not known.act),
        (Gate.OBSERVE, known.mode is Mode.OBSERVE),
        (Gate.PAUSED, known.paused != ""),
        (Gate.FLEET_SILENT, known.fleet_silent != ""),
        (Gate.WAITING_FOR_APPROVAL, known.mode is Mode.PROPOSE and not known.approved),
        (Gate.BACKOFF, known.quiet_at > known.now),
        (Gate.STOPPED, known.stopped),
        (Gate.LEASE_LOST, known.lease is not None and known.lease <= known.newer_lease),
        (known.blocked, known.blocked is not Gate.OPEN),
    )
    return next((reason for reason, holds in reasons if holds), Gate.OPEN)


def refused(plan: Plan, hold: Hold) -> Plan:
    """Nothing of a plan is to be done, whatever it holds besides."""
    return replace(plan, stages=(), holds=(hold, *plan.holds))


def as_recorded(plan: Plan, status: Mapping[str, Any] | None) -> Plan:
    """A plan made from a look alone, with what only a pass finds out: by the last status, whose the nodes are."""
    for each in reversed((status or {}).get("holds", ())):
        known = each["message"], each["node"], each["target"], each["remedy"], each["passing"]
        if each["reason"] == HoldReason.MACHINE_TAKEN:
            plan = refused(plan, Hold(HoldReason.MACHINE_TAKEN, *known))
        elif each["reason"] == HoldReason.LEASE_LOST:
            plan = replace(plan, holds=(Hold(HoldReason.LEASE_LOST, *known), *plan.holds))
    return plan


def lease_lost(lease: int | None, newer_lease: int) -> str:
    """Why nothing is changed under that lease, for people."""
    return f"a newer controller (lease {newer_lease}) acts on its nodes; this one has lease {lease or 0}"


def with_hold(plan: Plan, reason: Gate, circumstances: Circumstances) -> Plan:
    """The plan with the reason why it is only a plan, for people. A pause has a hold of its own (`plan.pauses`)."""
    match reason:
        case Gate.OBSERVE:
            hold = Hold(HoldReason.OBSERVE_ONLY, "the document's mode is Observe: hactl looks and never touches")
        case Gate.WAITING_FOR_APPROVAL:
            hold = Hold(
                HoldReason.WAITING_FOR_APPROVAL,
                f"the document's mode is Propose: plan {plan.digest} waits for a person's approval",
                remedy=f"hactl approve {plan.cluster} {plan.digest} (or: hactl apply -f FILE --approve {plan.digest})",
            )
        case Gate.FLEET_SILENT:
            why = f"nothing is changed: {circumstances.fleet_silent}"
            hold = Hold(HoldReason.FLEET_SILENT, why, target=plan.cluster, passing=True)
        case Gate.LEASE_LOST:
            lost = lease_lost(circumstances.lease, circumstances.newer_lease)
            hold = Hold(
                HoldReason.LEASE_LOST,
                f"nothing is changed: {lost}{circumstances.held_by and '; '}{circumstances.held_by}",
                target=plan.cluster,
                remedy="stop one of the two controllers: this one goes on within a minute when the other one listens "
                "on no node any more; if there is no other: rm /var/db/hactl/lease on the nodes",
            )
        case _:
            return plan
    return replace(plan, holds=(*plan.holds, hold))
