"""What people asked for, between the record and the planner: read in every pass, ended when the facts say so.

Rules: everything that decides is in core (`operations.overrides`, `moves.judge`); while the record cannot be read the
last known requests stay in force; a request that ended as other than Done changes what is wanted, so that nothing more
is done in that pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hactl.core.cluster import Cluster, failover_of
from hactl.core.facts import Snapshot
from hactl.core.operations import Kind, Operation, Overrides, State, overrides
from hactl.core.plan.durations import hook_seconds, measured_seconds
from hactl.core.plan.switchover import expired, group_of, judge
from hactl.core.steps import Plan
from hactl.errors import StoreError
from hactl.ports import Change, Clock, Store

log = logging.getLogger("hactl.runtime.operations")

#: For how long a group is brought back after a move that failed; later, what it failed from says nothing any more.
RETURN_SECONDS = 900.0
#: Moves within this long count for `maxMovesPerHour`, seconds.
HOUR_SECONDS = 3600.0

Judge = Callable[
    [Operation, Cluster, Snapshot, Plan, Mapping[str, str], float], tuple[State, str] | tuple[State, str, Any] | None
]


@dataclass(frozen=True, slots=True)
class OpenOperations:
    """The requests of one cluster in one pass."""

    operations: tuple[Operation, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def moving(self) -> bool:
        """Somebody waits for a group to be elsewhere."""
        return bool(self.overrides.moves)

    def next_seconds(self, wall: datetime) -> float | None:
        """When the first of them begins or expires; None: none does."""
        moments = [
            moment
            for each in self.operations
            if each.state is State.OPEN
            for moment in (each.not_before, each.expires_at)
            if moment is not None and moment > wall
        ]
        return (min(moments) - wall).total_seconds() if moments else None


class Requests:
    """Those of one cluster; what is kept between passes may be lost at any time."""

    def __init__(self, store: Store, clock: Clock, *, verdict: Judge = judge) -> None:
        """`verdict` says whether a request is over."""
        self._store = store
        self._clock = clock
        self._verdict = verdict
        self._asked = OpenOperations()
        #: Group -> node it was last known to be active on; None: not read yet.
        self._active: dict[str, str] | None = None
        #: Group -> where our own steps move it.
        self._moving: dict[str, str] = {}
        self._moves: list[tuple[datetime, str]] | None = None

    async def read(self, cluster: Cluster) -> OpenOperations:
        """What counts now. Never raises: without a record, what was known."""
        try:
            found = await self._store.requests(cluster.name)
            frozen = await self._frozen(cluster)
        except StoreError as error:
            log.error("requests cannot be read", extra={"cluster": cluster.name, "error": str(error)})
            return self._asked
        wall = self._clock.now()
        counted = [each for each in found if not _too_late_to_return(each, wall)]
        wanted = overrides(counted, cluster.name, wall) if counted else Overrides()
        self._asked = OpenOperations(tuple(counted), replace(wanted, frozen=frozen) if frozen else wanted)
        return self._asked

    async def _frozen(self, cluster: Cluster) -> dict[str, str]:
        """Groups that moved too often within the last hour, and what is said about it. Raises StoreError."""
        since = self._clock.now() - timedelta(seconds=HOUR_SECONDS)
        if self._moves is None:
            rows = await self._store.history({"cluster": cluster.name, "kind": "GroupMoved", "since": since})
            self._moves = [(datetime.fromisoformat(row["at"]), row["detail"]["group"]) for row in rows]
        if not self._moves:
            return {}
        self._moves = [(at, group) for at, group in self._moves if at > since]
        frozen = {}
        for group in cluster.groups:
            count = sum(1 for _, name in self._moves if name == group.name)
            limit = failover_of(cluster, group).max_moves_per_hour
            if count >= limit:
                frozen[group.name] = f"it moved {count} times within an hour (maxMovesPerHour is {limit})"
        return frozen

    # -- their end ------------------------------------------------------------------------------------------------

    async def settle(
        self,
        cluster: Cluster,
        asked: OpenOperations,
        snapshot: Snapshot,
        plan: Plan,
        failing: Mapping[str, str],
        now: float,
    ) -> tuple[Operation, ...]:
        """End what is over; returns what ended now. What could not be recorded is ended by a later pass."""
        ended = []
        wall = self._clock.now()
        for each in asked.operations:
            over = self._over(each, cluster, snapshot, plan, failing, now, wall)
            if over is None:
                continue
            try:
                seconds = await self._seconds(each, cluster, over[0])
                if await self._store.end_operation(each.id, over[0], over[1], seconds=seconds):
                    log.info("request is over", extra={"cluster": cluster.name, "operation": each.id, "how": over[1]})
            except StoreError as error:
                log.error("the end of a request cannot be recorded", extra={"operation": each.id, "error": str(error)})
                continue
            ended.append(replace(each, state=over[0], message=over[1], ended_at=wall, seconds=seconds))
        return tuple(ended)

    def _over(
        self,
        each: Operation,
        cluster: Cluster,
        snapshot: Snapshot,
        plan: Plan,
        failing: Mapping[str, str],
        now: float,
        wall: datetime,
    ) -> tuple[State, str] | None:
        if each.state is not State.OPEN:
            return None
        if expired(each, wall):
            return State.EXPIRED, "its time is over"
        if not each.cluster or not each.active(wall):
            return None
        found = self._verdict(each, cluster, snapshot, plan, failing, now)
        return None if found is None else (found[0], found[1])

    async def _seconds(self, each: Operation, cluster: Cluster, state: State) -> float | None:
        """How long service was away, from the steps on record."""
        group = group_of(cluster, each.group)
        if each.kind is not Kind.SWITCHOVER or state is not State.DONE or group is None:
            return None
        since = max(each.opened_at, each.not_before or each.opened_at)
        rows = await self._store.history({"cluster": cluster.name, "kind": "Step", "since": since})
        return measured_seconds(group, rows, self._clock.now())

    # -- who moved ------------------------------------------------------------------------------------------------

    def acting(self, plan: Plan) -> None:
        """A stage of that plan is carried out: what moves now moves because of us."""
        for group, goal in plan.goals.items():
            if goal is not None and plan.active.get(group) not in (None, goal):
                self._moving[group] = goal

    async def moved(
        self, cluster: str, previous: Mapping[str, Any] | None, status: Mapping[str, Any], snapshot: Snapshot
    ) -> list[Change]:
        """Events for the groups that are active on another node than last time. Raises StoreError."""
        if self._active is None:
            self._active = await self._last_active(cluster, previous)
        events: list[Change] = []
        for group in status.get("groups", ()):
            name, node = group["name"], group["active"]
            before = self._active.get(name)
            if node is None or node == before:
                continue
            if before is not None:
                events.append(self._event(name, before, node, snapshot))
        return events

    def recorded(self, status: Mapping[str, Any], events: Sequence[Change]) -> None:
        """That status, and the moves in it, are on record."""
        self._active = self._active or {}
        self._active |= {g["name"]: g["active"] for g in status.get("groups", ()) if g["active"] is not None}
        for kind, _, _, detail in events:
            if kind == "GroupMoved":
                self._moving.pop(detail["group"], None)
                # Read again: another process may have recorded some as well.
                self._moves = None

    async def _last_active(self, cluster: str, previous: Mapping[str, Any] | None) -> dict[str, str]:
        """Where the groups were when somebody last looked, also when they were in between at that moment."""
        known = {g["name"]: g["active"] for g in (previous or {}).get("groups", ()) if g["active"] is not None}
        lost = [g["name"] for g in (previous or {}).get("groups", ()) if g["active"] is None]
        if lost:
            for row in await self._store.history({"cluster": cluster, "kind": "GroupMoved", "limit": 50}):
                if row["detail"]["group"] in lost:
                    known[row["detail"]["group"]] = row["detail"]["to"]
        return known

    def _event(self, group: str, before: str, node: str, snapshot: Snapshot) -> Change:
        ours = self._moving.get(group) == node or self._asked.overrides.moves.get(group) == node
        operations = [
            o.id for o in self._asked.operations if o.kind is Kind.SWITCHOVER and o.group == group and o.node == node
        ]
        seconds = None if ours else hook_seconds(snapshot, node, group)
        who = "hactl" if ours else "the nodes themselves"
        took = f" in {seconds:.0f} s" if seconds is not None else ""
        detail = {
            "group": group,
            "from": before,
            "to": node,
            "by": "hactl" if ours else "nodes",
            "seconds": seconds,
            "operation": operations[-1] if ours and operations else None,
        }
        return "GroupMoved", f"{group} moved from {before} to {node}, by {who}{took}", node, detail


def _too_late_to_return(each: Operation, wall: datetime) -> bool:
    """A failed move of long ago says nothing about where the group belongs."""
    if each.state is State.OPEN:
        return False
    return each.ended_at is None or (wall - each.ended_at).total_seconds() > RETURN_SECONDS
