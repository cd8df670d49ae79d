"""Between operations as the core knows them and as they stand in the tables; which may be open at once.

Pure functions, shared by the real store and the one in memory. A row has the columns of the table `operations`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from hactl.adapters.record.rows import canonical, stored_time
from hactl.core.operations import Kind, Operation, State
from hactl.errors import Busy, StoreError

#: What `open_operation` takes; the first three must be there.
FIELDS: Final = (
    "kind",
    "cluster",
    "actor",
    "reason",
    "group",
    "node",
    "resource",
    "detail",
    "not_before",
    "expires_at",
)
_UNENDED: Final[Mapping[str, Any]] = {"state": State.OPEN.value, "message": "", "ended_at": None, "seconds": None}


def operation_row(fields: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The row of a new one. Raises StoreError when keys are missing or unknown, ValueError for an unknown kind."""
    missing = [key for key in FIELDS[:3] if key not in fields]
    unknown = sorted(set(fields) - set(FIELDS))
    if missing or unknown:
        raise StoreError(f"does not take this operation: missing {missing}, unknown {unknown}")
    values: dict[str, Any] = {key: str(fields.get(key, "")) for key in ("cluster", "actor", "reason", "node")}
    values |= {
        "kind": Kind(fields["kind"]).value,
        "group_name": str(fields.get("group", "")),
        "resource": str(fields.get("resource", "")),
        "detail": canonical(dict(fields.get("detail") or {})),
        "opened_at": stored_time(now),
        "not_before": _text(fields.get("not_before")),
        "expires_at": _text(fields.get("expires_at")),
    }
    return values | dict(_UNENDED)


def operation(row: Mapping[str, Any]) -> Operation:
    """A row as the core knows it."""
    return Operation(
        id=row["id"],
        cluster=row["cluster"],
        kind=Kind(row["kind"]),
        actor=row["actor"],
        reason=row["reason"],
        opened_at=datetime.fromisoformat(row["opened_at"]),
        group=row["group_name"],
        node=row["node"],
        resource=row["resource"],
        detail=json.loads(row["detail"]),
        not_before=_moment(row["not_before"]),
        expires_at=_moment(row["expires_at"]),
        state=State(row["state"]),
        message=row["message"],
        ended_at=_moment(row["ended_at"]),
        seconds=row["seconds"],
    )


def check_new(wanted: Operation, others: Iterable[Operation], now: datetime) -> None:
    """Refuse what is asked for already. Raises Busy."""
    keys = wanted.kind.traits.same
    for other in others if keys else ():
        over = other.state is not State.OPEN or other.expired(now)
        same = other.kind is wanted.kind and all(getattr(other, key) == getattr(wanted, key) for key in keys)
        if same and not over:
            raise Busy(f"this is asked for already: operation {other.id}, {described(other)}")


def in_force(operations: Iterable[Operation], cluster: str) -> list[Operation]:
    """What counts now for a cluster: what is open, and the newest switchover of each group if it failed."""
    mine = [each for each in operations if each.about(cluster)]
    newest = {each.group: each.id for each in mine if each.kind is Kind.SWITCHOVER}
    return [
        each
        for each in mine
        if each.state is State.OPEN
        or (each.kind is Kind.SWITCHOVER and each.state is State.FAILED and newest[each.group] == each.id)
    ]


def described(operation: Operation) -> str:
    """One line for people: what, of what, by whom and why."""
    of = operation.group or operation.resource
    parts = [
        operation.kind.value,
        f"of {of}" if of else "",
        (f"to {operation.node}" if operation.kind is Kind.SWITCHOVER else f"of {operation.node}")
        if operation.node and not (of and operation.kind is Kind.RESOLVE)
        else "",
        f"of plan {operation.detail['digest']}" if operation.kind is Kind.APPROVE else "",
        f"({operation.detail['setting']})" if operation.kind is Kind.GIVE_UP else "",
        f"from {stored_time(operation.not_before)} on" if operation.not_before else "",
        f"until {stored_time(operation.expires_at)}" if operation.expires_at else "",
        f"by {operation.asked_by}",
    ]
    return " ".join(part for part in parts if part)


def opened_detail(operation: Operation) -> dict[str, Any]:
    """What the event of its opening keeps."""
    return {
        "operation": operation.id,
        "kind": operation.kind.value,
        "actor": operation.actor,
        "reason": operation.reason,
        **{key: value for key in ("group", "node", "resource") if (value := getattr(operation, key))},
        **({"detail": dict(operation.detail)} if operation.detail else {}),
    }


def ended_summary(operation: Operation) -> str:
    """One line for people."""
    took = f" in {operation.seconds:.1f} s" if operation.seconds is not None else ""
    says = f": {operation.message}" if operation.message else ""
    return f"operation {operation.id}, {described(operation)}: {operation.state.value}{took}{says}"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else stored_time(moment)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
