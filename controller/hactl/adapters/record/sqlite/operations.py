"""Operations and leases in the tables, inside transactions of `store_writer`.

- A lease says which process acts on a cluster, with a generation that only grows; nodes refuse an older one (I9).
- Generations start from the wall clock, so that a record that was lost or copied does not start over from one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hactl.adapters.record.operations import COLUMNS, check_new, operation, request_row
from hactl.core.operations import Operation, State
from hactl.errors import Busy, StoreError

_KEYS = ("id", *COLUMNS, "state", "message", "ended_at", "seconds")
_SELECT = f"SELECT {', '.join(_KEYS)} FROM operations"


def _rows(connection: sqlite3.Connection, where: str, *values: Any) -> list[Operation]:
    found = connection.execute(f"{_SELECT} {where} ORDER BY id", values).fetchall()
    return [operation(dict(zip(_KEYS, tuple(row), strict=True))) for row in found]


def list_operations(connection: sqlite3.Connection, cluster: str | None, *, open_only: bool) -> list[Operation]:
    """See `hactl.ports.Store.operations`."""
    conditions, values = [], []
    if cluster is not None:
        conditions.append("cluster IN ('', ?)")
        values.append(cluster)
    if open_only:
        conditions.append("state = 'Open'")
    return _rows(connection, f"WHERE {' AND '.join(conditions)}" if conditions else "", *values)


def list_requests(connection: sqlite3.Connection, cluster: str) -> list[Operation]:
    """See `hactl.ports.Store.requests`."""
    return _rows(
        connection,
        "WHERE cluster IN ('', ?) AND (state = 'Open' OR (state = 'Failed' AND kind = 'Switchover' AND id = "
        "(SELECT max(id) FROM operations AS newer WHERE newer.kind = 'Switchover' "
        "AND newer.cluster = operations.cluster AND newer.group_name = operations.group_name)))",
        cluster,
    )


def insert_operation(connection: sqlite3.Connection, request: Mapping[str, Any], now: datetime) -> Operation:
    """Make the row. Raises Busy when it is asked for already."""
    row = request_row(request, now)
    check_new(operation(row | {"id": 0}), list_operations(connection, None, open_only=True), now)
    places = ", ".join("?" * len(COLUMNS))
    made = connection.execute(
        f"INSERT INTO operations ({', '.join(COLUMNS)}, state, message) VALUES ({places}, ?, '')",
        (*(row[column] for column in COLUMNS), row["state"]),
    )
    return operation(row | {"id": made.lastrowid})


def close_operation(
    connection: sqlite3.Connection, number: int, state: State, message: str, seconds: float | None, now: str
) -> Operation | None:
    """End it; None when it is over already. Raises StoreError when there is no such operation."""
    found = _rows(connection, "WHERE id = ?", number)
    if not found:
        raise StoreError(f"has no operation {number}")
    if found[0].state is not State.OPEN:
        return None
    connection.execute(
        "UPDATE operations SET state = ?, message = ?, ended_at = ?, seconds = ? WHERE id = ?",
        (state.value, message, now, seconds, number),
    )
    return _rows(connection, "WHERE id = ?", number)[0]


def old_operations(connection: sqlite3.Connection, before: str) -> list[int]:
    """Numbers of those that were over before that time and still have an object."""
    rows = connection.execute(
        "SELECT id FROM operations WHERE state <> 'Open' AND ended_at < ? AND removed = 0 ORDER BY id", (before,)
    ).fetchall()
    return [int(row[0]) for row in rows]


def held_lease(connection: sqlite3.Connection, cluster: str) -> tuple[str, int] | None:
    """Holder and generation of the newest lease."""
    row = connection.execute("SELECT holder, generation FROM leases WHERE cluster = ?", (cluster,)).fetchone()
    return None if row is None else (str(row[0]), int(row[1]))


def take_lease(connection: sqlite3.Connection, cluster: str, holder: str, epoch: float, now: str) -> int:
    """Be the holder from now on; the new generation."""
    before = held_lease(connection, cluster)
    generation = max(0 if before is None else before[1] + 1, int(epoch))
    connection.execute(
        "INSERT INTO leases (cluster, holder, generation, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (cluster) DO UPDATE SET holder = excluded.holder, generation = excluded.generation, "
        "at = excluded.at",
        (cluster, holder, generation, now),
    )
    return generation


def check_lease(found: tuple[str, int] | None, cluster: str, holder: str, generation: int | None) -> None:
    """Refuse a step under a lease that is no longer the newest. Raises Busy."""
    if generation is not None and found != (holder, generation):
        newest = "none" if found is None else f"lease {found[1]}"
        raise Busy(
            f"another hactl process has acted on {cluster} ({newest}; this is lease {generation}); looking again"
        )
