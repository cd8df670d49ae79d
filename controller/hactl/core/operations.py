"""What people asked for besides the document: moves, drains, pauses, approvals, as values; and what they come to now.

Rules: an operation has an owner and a reason and is kept in the record until it is over; it holds no workflow state,
the facts say how far it is. `overrides` turns the open operations of a cluster into what the planner is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

#: For how long a group is brought back after a move that failed; later, what it failed from says nothing any more.
RETURN_SECONDS = 900.0


class Kind(StrEnum):
    """What is asked for."""

    #: Move a group to another node.
    SWITCHOVER = "Switchover"
    #: Keep everything off a node until it is uncordoned.
    DRAIN = "Drain"
    #: Change nothing (fleet, cluster, group or node) for a while.
    PAUSE = "Pause"
    #: Mode Propose: carry out the plan of that digest.
    APPROVE = "Approve"
    #: Throw away one of two diverged copies.
    RESOLVE = "Resolve"
    #: Let hactl end something that was on a node before it and that the document does not say.
    GIVE_UP = "GiveUp"

    @property
    def traits(self) -> KindTraits:
        """Everything that is to be known of the kind."""
        return KINDS[self]


@dataclass(frozen=True, slots=True)
class KindTraits:
    """What is to be known of a kind of operations."""

    #: What an open one is called in a listing.
    word: str
    #: Fields of the spec of an HAOperation that such a one must have.
    needs: tuple[str, ...] = ()
    #: Two open ones that have these in common are the same, and the second is refused; (): they may overlap.
    same: tuple[str, ...] = ()
    #: A person waits for something to be done: it is tried now, whatever failed before it was asked for.
    tries_now: bool = True


KINDS: dict[Kind, KindTraits] = {
    Kind.SWITCHOVER: KindTraits("Switchover", ("cluster", "group", "node"), ("cluster", "group")),
    Kind.DRAIN: KindTraits("Drained", ("cluster", "node"), ("cluster", "node")),
    Kind.PAUSE: KindTraits("Paused", tries_now=False),
    Kind.APPROVE: KindTraits("Approved", ("cluster", "digest"), ("cluster", "detail")),
    Kind.RESOLVE: KindTraits("Resolving", ("cluster", "resource", "node"), ("cluster", "resource")),
    Kind.GIVE_UP: KindTraits("Giving up", ("cluster", "node", "setting"), ("cluster", "node", "detail")),
}


class State(StrEnum):
    """Where an operation is."""

    OPEN = "Open"
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    EXPIRED = "Expired"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation."""

    id: int
    #: Name of the cluster; empty: the whole fleet.
    cluster: str
    kind: Kind
    actor: str
    reason: str
    opened_at: datetime
    group: str = ""
    #: Switchover: the node it goes to. Drain, Pause: the node meant. Resolve: the node whose copy is thrown away.
    node: str = ""
    resource: str = ""
    #: Approve: `digest`. Resolve: `preserve` (a path on that node). Switchover: `from`. GiveUp: `setting`.
    detail: Mapping[str, str] = field(default_factory=dict)
    not_before: datetime | None = None
    expires_at: datetime | None = None
    state: State = State.OPEN
    #: How it ended, for people.
    message: str = ""
    ended_at: datetime | None = None
    #: How long service was interrupted or the work took, seconds, as measured; None: not known.
    seconds: float | None = None

    def active(self, now: datetime) -> bool:
        """Open, begun and not expired."""
        return (
            self.state is State.OPEN
            and (self.not_before is None or self.not_before <= now)
            and (self.expires_at is None or now < self.expires_at)
        )

    def expired(self, now: datetime) -> bool:
        """Open, and its time is over; `now` is the wall clock."""
        return self.state is State.OPEN and self.expires_at is not None and now >= self.expires_at

    def about(self, cluster: str) -> bool:
        """Whether it is about that cluster (or the whole fleet)."""
        return self.cluster in ("", cluster)

    @property
    def asked_by(self) -> str:
        """Who and why, for people."""
        return f"{self.actor}: {self.reason}" if self.reason else self.actor


@dataclass(frozen=True, slots=True)
class Failures:
    """What is on record of a service that stopped by itself on one node (`onFailure`); times are the wall clock's."""

    #: When hactl started it again, within the last `withinSeconds`, oldest first.
    restarts: tuple[datetime, ...] = ()
    #: Since when it does not run although it did, or was started; None: it runs, or that is not known.
    stopped_at: datetime | None = None
    #: Since when hactl starts it there no more; None: it may.
    given_up_at: datetime | None = None
    #: The group has been active elsewhere since: where it comes back nothing counts.
    left: bool = False


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the planner is given besides document and facts."""

    #: Group -> node it is to be active on.
    moves: Mapping[str, str] = field(default_factory=dict)
    #: Group -> node to go back to, after a move that did not work.
    returning: Mapping[str, str] = field(default_factory=dict)
    #: Node -> why it is kept empty.
    drained: Mapping[str, str] = field(default_factory=dict)
    #: Why nothing of the cluster is changed; empty: it may be.
    paused: str = ""
    paused_groups: Mapping[str, str] = field(default_factory=dict)
    paused_nodes: Mapping[str, str] = field(default_factory=dict)
    #: Group -> why hactl moves it no more by itself.
    frozen: Mapping[str, str] = field(default_factory=dict)
    #: (service, node) -> how often it failed there, for services with `onFailure`; absent: it did not.
    failures: Mapping[tuple[str, str], Failures] = field(default_factory=dict)
    #: Resource -> (node whose copy is thrown away, path its copy is kept in first, or empty).
    discards: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    #: Digests that were approved.
    approved: frozenset[str] = frozenset()
    #: (node, setting) that may be ended although the document does not say them.
    given_up: frozenset[tuple[str, str]] = frozenset()


def overrides(operations: Iterable[Operation], cluster: str, now: datetime) -> Overrides:
    """What the operations come to for that cluster; `now` is the wall clock. Later ones win over earlier ones."""
    moves: dict[str, str] = {}
    returning: dict[str, str] = {}
    drained: dict[str, str] = {}
    paused: list[str] = []
    groups: dict[str, str] = {}
    nodes: dict[str, str] = {}
    discards: dict[str, tuple[str, str]] = {}
    approved: set[str] = set()
    given_up: set[tuple[str, str]] = set()
    for operation in sorted(operations, key=lambda each: each.id):
        if not operation.about(cluster):
            continue
        if operation.kind is Kind.SWITCHOVER and operation.state is State.FAILED:
            returning[operation.group] = operation.detail.get("from", "")
            continue
        if operation.kind is Kind.SWITCHOVER:
            returning.pop(operation.group, None)
        if not operation.active(now):
            continue
        match operation.kind:
            case Kind.SWITCHOVER:
                moves[operation.group] = operation.node
            case Kind.DRAIN:
                drained[operation.node] = operation.asked_by
            case Kind.APPROVE:
                approved.add(operation.detail.get("digest", ""))
            case Kind.RESOLVE:
                discards[operation.resource] = (operation.node, operation.detail.get("preserve", ""))
            case Kind.GIVE_UP:
                given_up.add((operation.node, operation.detail.get("setting", "")))
            case Kind.PAUSE if operation.node:
                nodes[operation.node] = operation.asked_by
            case Kind.PAUSE if operation.group:
                groups[operation.group] = operation.asked_by
            case Kind.PAUSE:
                paused.append(operation.asked_by)
    return Overrides(
        moves,
        {group: node for group, node in returning.items() if node},
        drained,
        "; ".join(paused),
        groups,
        nodes,
        discards=discards,
        approved=frozenset(approved - {""}),
        given_up=frozenset(given_up),
    )


@dataclass(frozen=True, slots=True)
class OpenOperations:
    """The operations that count for one cluster in one pass, and what they come to."""

    operations: tuple[Operation, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)

    @classmethod
    def at(
        cls, operations: Iterable[Operation], cluster: str, now: datetime, *, frozen: Mapping[str, str]
    ) -> OpenOperations:
        """Of the operations on record that are in force. `frozen`: groups that move too often, and why that is so."""
        counted = tuple(each for each in operations if not _too_late_to_return(each, now))
        return cls(counted, replace(overrides(counted, cluster, now), frozen=frozen))

    @property
    def moving(self) -> bool:
        """Somebody waits for a group to be elsewhere."""
        return bool(self.overrides.moves)

    def next_seconds(self, now: datetime) -> float | None:
        """When the first of them begins or expires; None: none does."""
        moments = [
            moment
            for each in self.operations
            if each.state is State.OPEN
            for moment in (each.not_before, each.expires_at)
            if moment is not None and moment > now
        ]
        return (min(moments) - now).total_seconds() if moments else None


def _too_late_to_return(operation: Operation, now: datetime) -> bool:
    """A failed move of long ago says nothing about where the group belongs."""
    if operation.state is State.OPEN:
        return False
    return operation.ended_at is None or (now - operation.ended_at).total_seconds() > RETURN_SECONDS


def waits_for(operation: Operation, others: Iterable[Operation], now: datetime) -> str:
    """Why nothing is done for an open operation: what of the others pauses what it is about, for people; "": none does.

    A group or node that is left alone says so by itself where the operation names it.
    """
    if operation.kind is Kind.PAUSE or operation.state is not State.OPEN:
        return ""
    pauses = [
        f"{_paused_part(each)} is paused by {each.asked_by}"
        for each in sorted(others, key=lambda each: each.id)
        if each.kind is Kind.PAUSE
        and each.active(now)
        and each.about(operation.cluster)
        and (not each.group or each.group == operation.group)
        and (not each.node or each.node == operation.node)
    ]
    return f"it waits: {'; '.join(pauses)}" if pauses else ""


def _paused_part(pause: Operation) -> str:
    part = f"node {pause.node}" if pause.node else f"group {pause.group}" if pause.group else pause.cluster
    return part or "the whole fleet"


def verdict(
    operation: Operation, now: datetime, judge: Callable[[Operation], tuple[State, str] | None]
) -> tuple[State, str] | None:
    """Whether an operation is over, and how, for people; None: it goes on. `judge` goes by the facts."""
    if operation.expired(now):
        return State.EXPIRED, "its time is over"
    return judge(operation) if operation.cluster and operation.active(now) else None
