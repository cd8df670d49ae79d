"""What people asked for, between the record and the planner: read in every pass, ended when the facts say so.

Rules: everything that decides is in core (`operations`, `pace.moves`); while the record cannot be read the last known
operations stay in force; an operation that ended as other than Done changes what is wanted, so that nothing more is
done in that pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Kind, OpenOperations, Operation, State, verdict
from hactl.core.pace.moves import HOUR, Moves, lost_groups
from hactl.core.plan.durations import measured_seconds
from hactl.core.plan.switchover import group_of
from hactl.errors import StoreError
from hactl.ports import Change, Clock, OperationLog

log = logging.getLogger("hactl.runtime.operations")

#: How many of the newest moves of a cluster are looked at for where its groups were.
MOVES = 50


class Operations:
    """Those of one cluster, and the moves of its groups; what is kept between passes may be lost at any time."""

    def __init__(self, store: OperationLog, clock: Clock) -> None:
        """Nothing is known yet."""
        self._store = store
        self._clock = clock
        self._open = OpenOperations()
        #: Numbers of the operations that something was to be done for, in any pass so far.
        self._begun: frozenset[int] = frozenset()
        #: Moves of its groups.
        self.moves = Moves()

    async def read(self, cluster: Cluster) -> OpenOperations:
        """What counts now. Never raises: without a record, what was known."""
        now = self._clock.now()
        try:
            found = await self._store.operations_in_force(cluster.name)
            if not self.moves.are_read:
                query = {"cluster": cluster.name, "kind": EventKind.GROUP_MOVED, "since": now - HOUR}
                self.moves.read(await self._store.history(query))
        except StoreError as error:
            log.error("operations cannot be read", extra={"cluster": cluster.name, "error": str(error)})
            return self._open
        frozen = self.moves.frozen(cluster, now)
        self._open = OpenOperations.at(found, cluster.name, now, frozen=frozen)
        return self._open

    def asked_anew(self) -> bool:
        """Whether a person asks for something to be done that was not asked for in the pass before."""
        now = self._clock.now()
        begun = frozenset(each.id for each in self._open.operations if each.kind.traits.tries_now and each.active(now))
        anew, self._begun = bool(begun - self._begun), begun
        return anew

    # -- their end ------------------------------------------------------------------------------------------------

    async def settle(
        self, cluster: Cluster, judge: Callable[[Operation], tuple[State, str] | None]
    ) -> tuple[Operation, ...]:
        """End what is over; returns what ended now. What could not be recorded is ended by a later pass."""
        ended = []
        now = self._clock.now()
        for each in self._open.operations:
            over = verdict(each, now, judge)
            if over is None:
                continue
            state, message = over
            try:
                seconds = await self._seconds(each, cluster, state)
                if await self._store.end_operation(each.id, state, message, seconds=seconds):
                    log.info("operation is over", extra={"cluster": cluster.name, "operation": each.id, "how": message})
            except StoreError as error:
                extra = {"operation": each.id, "error": str(error)}
                log.error("the end of an operation cannot be recorded", extra=extra)
                continue
            ended.append(replace(each, state=state, message=message, ended_at=now, seconds=seconds))
        return tuple(ended)

    async def _seconds(self, each: Operation, cluster: Cluster, state: State) -> float | None:
        """How long service was away, from the steps on record."""
        group = group_of(cluster, each.group)
        if each.kind is not Kind.SWITCHOVER or state is not State.DONE or group is None:
            return None
        since = max(each.opened_at, each.not_before or each.opened_at)
        rows = await self._store.history({"cluster": cluster.name, "kind": "Step", "since": since})
        return measured_seconds(group, rows, self._clock.now())

    # -- who moved ------------------------------------------------------------------------------------------------

    async def moved(
        self, cluster: str, previous: Mapping[str, Any] | None, status: Mapping[str, Any], snapshot: Snapshot
    ) -> Sequence[Change]:
        """Events for the groups that are active on another node than last time. Raises StoreError."""
        if not self.moves.has_begun:
            query = {"cluster": cluster, "kind": EventKind.GROUP_MOVED, "limit": MOVES}
            self.moves.begin(previous, await self._store.history(query) if lost_groups(previous) else ())
        return self.moves.events(status, self._open, snapshot)
