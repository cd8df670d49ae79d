"""The words of a pass: what it is given, how fast it goes, and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Operation
from hactl.core.pace.outcome import StageOutcome
from hactl.core.steps import Plan
from hactl.errors import HactlError
from hactl.ports import Document, Target
from hactl.runtime.passes.execute import OnStep, Secret, ignore_event


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document in force: what a pass works towards."""

    document: Document
    generation: int
    #: What is wrong around it (its file is broken now, another source has the same name), for its status.
    problems: tuple[str, ...] = ()
    #: The label of its source among those of the controller; "" when it came otherwise (`apply`).
    label: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document with its references looked up on the controller."""

    cluster: Cluster
    targets: Mapping[str, Target]
    #: The value of a secret, read when a step needs it. Raises SecretError.
    secret: Secret


#: Looks up references. Raises SecretError or DocumentError (a key file is missing ...), never with the secret.
Resolve = Callable[[Document, int], Awaitable[Resolved]]
#: Holds a cluster against every other hactl process. Entering raises Busy when another one holds it.
Lock = Callable[[str], AbstractAsyncContextManager[Any]]
#: Why a plan with stages was not carried out in this pass. Empty: it was, or there was nothing to do.
Gate = Literal[
    "",
    "Observe",
    "Paused",
    "WaitingForApproval",
    "FleetSilent",
    "LeaseLost",
    "Busy",
    "Backoff",
    "Stopped",
    "Store",
    "LookOnly",
    "References",
    "NeedsLock",
]


@dataclass(frozen=True, slots=True)
class Request:
    """What one pass is for."""

    accepted: Accepted
    #: Why now: "spec", "incident", "resync", "apply" ...
    cause: str = "resync"
    actor: str = "controller"
    #: False: look and record, never touch.
    act: bool = True
    #: The digest of the plan a person approved (mode Propose).
    approved: str | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    on_look: Callable[[Snapshot, Plan], None] | None = None
    on_step: OnStep = ignore_event


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass saw, decided and did."""

    plan: Plan
    status: Mapping[str, Any]
    next: Literal["again", "wait", "failed"]
    #: When to look again, seconds from now.
    after_seconds: float
    #: What became of the first stage; None when it was not carried out.
    outcome: StageOutcome | None = None
    gate: Gate = ""
    #: Steps that failed repeatedly: key -> what happened.
    failing: Mapping[str, str] = field(default_factory=dict)
    #: How often in a row the most unlucky step of the plan has failed.
    failures: int = 0
    #: How the nodes are reached; empty when references do not resolve.
    targets: Mapping[str, Target] = field(default_factory=dict)
    #: Requests of people that count for the cluster, and those of them that ended in this pass, as they ended.
    operations: tuple[Operation, ...] = ()
    ended: tuple[Operation, ...] = ()
    #: What kept the pass from doing its job: SecretError, DocumentError, StoreError, Busy.
    error: HactlError | None = None

    @property
    def ready(self) -> bool:
        """Condition Ready is True."""
        conditions: Sequence[Mapping[str, Any]] = self.status.get("conditions", ())
        return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)

    @property
    def converged(self) -> bool:
        """Nothing to do, nothing waited for, and Ready."""
        return self.ready and not self.plan.stages and not any(hold.passing for hold in self.plan.holds)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look, seconds."""

    resync_seconds: float = 30.0
    #: While something passes by itself: first this often, later more rarely.
    passing_seconds: float = 1.0
    passing_limit_seconds: float = 10.0
    #: While a group is to move and nothing can be done.
    moving_seconds: float = 2.0
    #: After Busy, or while the record cannot be written.
    blocked_seconds: float = 3.0
    #: Act on no snapshot older than this.
    fresh_seconds: float = 5.0
