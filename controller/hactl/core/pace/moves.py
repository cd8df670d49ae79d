"""Which groups moved, by whom, and whether they move too often.

Rules: a group that is nowhere for a while has not moved until it is somewhere else; what our own steps were to bring
about was us, anything else was the nodes; a group that moves too often is moved no more by hactl itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.changes.hast import SetRole
from hactl.core.choices import FailureAction
from hactl.core.cluster import Cluster, failover_of
from hactl.core.evidence.hook_log import TOOK, moves_of
from hactl.core.facts import HastRole, Snapshot, known
from hactl.core.operations import Kind, OpenOperations
from hactl.core.steps import Plan

#: kind, summary, node, detail (see `ports.Change`).
Event = tuple[EventKind, str, str | None, Any]

#: Moves within this long count for `maxMovesPerHour`.
HOUR = timedelta(hours=1)


def active_nodes(status: Mapping[str, Any] | None) -> dict[str, str]:
    """Group -> node, of the groups that a status says are active somewhere."""
    return {g["name"]: g["active"] for g in (status or {}).get("groups", ()) if g["active"] is not None}


def lost_groups(status: Mapping[str, Any] | None) -> set[str]:
    """Groups that a status says are active nowhere: they are on their way, or down."""
    return {g["name"] for g in (status or {}).get("groups", ()) if g["active"] is None}


class Moves:
    """The moves of one cluster; all of it may be lost at any time, and is on record."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        #: Group -> node it was last known to be active on; None: not read yet.
        self._active: dict[str, str] | None = None
        #: Group -> where our own steps move it.
        self._heading: dict[str, str] = {}
        #: Resource -> node that our own steps make primary: nobody was, so the group came there because of us.
        self._promoted: dict[str, str] = {}
        #: Node -> the notes of its hook that were there when somebody last looked.
        self._notes: dict[str, frozenset[str]] = {}
        #: Moves of the last hour, oldest first; None: to be read from the record.
        self._recent: list[tuple[datetime, str]] | None = None

    # -- too often ------------------------------------------------------------------------------------------------

    @property
    def are_read(self) -> bool:
        """Whether the moves of the last hour are known."""
        return self._recent is not None

    def read(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in the events GroupMoved of the last hour, as the record has them."""
        self._recent = [(datetime.fromisoformat(row["at"]), row["detail"]["group"]) for row in rows]

    def frozen(self, cluster: Cluster, now: datetime) -> dict[str, str]:
        """Groups that moved too often within the last hour, and what is said about it. `now`: the wall clock."""
        self._recent = [(at, group) for at, group in self._recent or () if at > now - HOUR]
        names = [name for _, name in self._recent]
        frozen = {}
        for group in cluster.groups:
            count, limit = names.count(group.name), failover_of(cluster, group).max_moves_per_hour
            if count >= limit:
                frozen[group.name] = f"it moved {count} times within an hour (maxMovesPerHour is {limit})"
        return frozen

    # -- who moved ------------------------------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        """Whether it is known where the groups were."""
        return self._active is not None

    def begin(self, previous: Mapping[str, Any] | None, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Where the groups were when somebody last looked.

        `rows`: the newest events GroupMoved, for the groups that were in between at that moment (`lost_groups`).
        """
        self._active = active_nodes(previous)
        lost = lost_groups(previous)
        self._active |= {r["detail"]["group"]: r["detail"]["to"] for r in rows if r["detail"]["group"] in lost}
        self._note(previous)

    def acting(self, plan: Plan) -> None:
        """A stage of that plan is carried out: what moves now moves because of us."""
        for group, goal in plan.goals.items():
            if goal is not None and plan.active.get(group) not in (None, goal):
                self._heading[group] = goal
        for step in plan.next_stage.steps if plan.next_stage is not None else ():
            if isinstance(step.change, SetRole) and step.change.role is HastRole.PRIMARY:
                self._promoted[step.change.resource] = step.node

    def events(self, status: Mapping[str, Any], operations: OpenOperations, snapshot: Snapshot) -> list[Event]:
        """Events for the groups that are active on another node than last time."""
        known = self._active or {}
        return [
            self._event(group, known[group["name"]], operations, snapshot)
            for group in status.get("groups", ())
            if group["active"] is not None and known.get(group["name"], group["active"]) != group["active"]
        ]

    def _event(self, found: Mapping[str, Any], before: str, operations: OpenOperations, snapshot: Snapshot) -> Event:
        group, node = found["name"], found["active"]
        promoted = any(self._promoted.get(storage["name"]) == node for storage in found.get("storage", ()))
        ours = promoted or node in (self._heading.get(group), operations.overrides.moves.get(group))
        numbers = [o.id for o in operations.operations if (o.kind, o.group, o.node) == (Kind.SWITCHOVER, group, node)]
        seconds = None if ours else _hook_seconds(snapshot, node, group, self._notes.get(node, frozenset()))
        who = "hactl" if ours else "the nodes themselves"
        took = f" in {seconds:.0f} s" if seconds is not None else ""
        failed = [] if not ours or numbers or before in operations.overrides.drained else _failed_on(found, before)
        because = f", because {' and '.join(failed)} failed there" if failed else ""
        detail = {
            "group": group,
            "from": before,
            "to": node,
            "by": "hactl" if ours else "nodes",
            "seconds": seconds,
            "operation": numbers[-1] if ours and numbers else None,
            **({"because": failed} if failed else {}),
        }
        return EventKind.GROUP_MOVED, f"{group} moved from {before} to {node}, by {who}{took}{because}", node, detail

    def recorded(self, status: Mapping[str, Any], events: Sequence[Event]) -> None:
        """That status, and the moves in it, are on record."""
        self._active = (self._active or {}) | active_nodes(status)
        self._note(status)
        for kind, _, _, detail in events:
            if kind == EventKind.GROUP_MOVED:
                self._heading.pop(detail["group"], None)
                self._promoted.clear()
                # Read again: another process may have recorded some as well.
                self._recent = None

    def _note(self, status: Mapping[str, Any] | None) -> None:
        """What the hooks have noted so far: it is about earlier moves."""
        for node in (status or {}).get("nodes", ()):
            if node.get("hook"):
                self._notes[node["name"]] = frozenset(node["hook"]["moves"])


def _failed_on(group: Mapping[str, Any], node: str) -> list[str]:
    """The services that say `onFailure: Move` and that hactl has given up on that node."""
    return [
        service["name"]
        for service in group.get("services", ())
        if service.get("onFailure") == FailureAction.MOVE
        and service.get("failures", {}).get(node, {}).get("givenUpAt") is not None
    ]


def _hook_seconds(snapshot: Snapshot, node: str, group: str, before: frozenset[str]) -> float | None:
    """How long the node's hook took to take the group over, by a note that was not there before; None: not known."""
    facts = known(snapshot.nodes.get(node))
    hook = known(facts.hook) if facts is not None else None
    if hook is None:
        return None
    new = replace(hook, moves=tuple(line for line in hook.moves if line not in before))
    taken = [move.seconds for move in moves_of(new, group) if move.what == TOOK]
    return taken[-1] if taken else None
