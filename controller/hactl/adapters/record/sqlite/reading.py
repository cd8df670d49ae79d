"""What is asked of the record, as SELECTs over one connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hactl.adapters.record.backend import Newest, Row
from hactl.adapters.record.bodies import Body
from hactl.adapters.record.operations import operation
from hactl.adapters.record.rows import (
    FAILED_EVENTS,
    NOT_DONE,
    STEP_BEGUN,
    STEP_ENDED,
    by_revision,
    check_kept,
    check_query,
    event_row,
    merged,
    step_row,
)
from hactl.core.operations import Operation
from hactl.ports import ObjectChange

_DOCUMENT_COLUMNS: Final = (
    "cluster, generation, digest, source, directory, actor, at, text, origin, revision, author, revised_at"
)
#: Of the rows of `documents`: the newest generation of their cluster.
IS_NEWEST: Final = (
    "generation = (SELECT max(generation) FROM documents AS newer WHERE newer.cluster = documents.cluster)"
)


class SQLiteReading:
    """`hactl.adapters.record.backend.Reading`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Its rows become `sqlite3.Row`."""
        self.connection = connection
        connection.row_factory = sqlite3.Row

    def _all(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(sql, values).fetchall()]

    # -- documents and statuses ---------------------------------------------------------------------------------------

    def newest(self, cluster: str) -> Newest:
        found = self._all(
            "SELECT generation, digest, coalesce(managed, 0) AS managed, origin, source, directory, text "
            "FROM documents LEFT JOIN clusters ON name = cluster WHERE cluster = ? ORDER BY generation DESC LIMIT 1",
            cluster,
        )
        return Newest(**found[0] | {"managed": bool(found[0]["managed"])}) if found else Newest()

    def documents(self) -> list[dict[str, Any]]:
        sql = (
            f"SELECT {_DOCUMENT_COLUMNS}, changed_at AS managed_at FROM documents JOIN clusters ON name = cluster "
            f"WHERE managed = 1 AND {IS_NEWEST} ORDER BY cluster"
        )
        return self._all(sql)

    def generations(self, cluster: str) -> list[dict[str, Any]]:
        sql = f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE cluster = ? ORDER BY generation"
        return self._all(sql, cluster)

    def knows(self, token: str) -> bool:
        return bool(self._all("SELECT 1 FROM controllers WHERE token = ?", token))

    def statuses(self) -> list[dict[str, Any]]:
        rows = self._all(
            "SELECT cluster, status, statuses.changed_at AS changed_at, coalesce(managed, 1) AS managed "
            "FROM statuses LEFT JOIN clusters ON name = cluster ORDER BY cluster"
        )
        return [row | {"managed": bool(row["managed"]), "status": json.loads(row["status"])} for row in rows]

    # -- history ------------------------------------------------------------------------------------------------------

    def history(self, query: Row) -> list[dict[str, Any]]:
        (event_where, event_values), (step_where, step_values), limit = _filters(query)
        tail = " ORDER BY id DESC LIMIT ?"
        events = self._all(f"SELECT * FROM events{event_where}{tail}", *event_values, limit)
        steps = self._all(f"SELECT * FROM steps{step_where}{tail}", *step_values, limit)
        return merged([event_row(row) for row in events] + [step_row(row) for row in steps], limit)

    def event_rows(self, after: int | None, limit: int) -> list[dict[str, Any]]:
        values: tuple[int, ...]
        if after is None:
            tail, values = " ORDER BY revision DESC LIMIT ?", (limit,)
        else:
            tail, values = " WHERE revision > ? ORDER BY revision LIMIT ?", (after, limit)
        events = self._all(f"SELECT * FROM events{tail}", *values)
        steps = self._all(f"SELECT * FROM steps{tail}", *values)
        rows = [event_row(row) | {"revision": row["revision"]} for row in events]
        rows += [step_row(row) | {"revision": row["revision"]} for row in steps]
        return by_revision(rows, after, limit)

    # -- operations ---------------------------------------------------------------------------------------------------

    def operations(self, cluster: str | None, *, open_only: bool) -> list[Operation]:
        conditions = ["1" if cluster is None else "cluster IN ('', ?)", "state = 'Open'" if open_only else "1"]
        values = () if cluster is None else (cluster,)
        rows = self._all(f"SELECT * FROM operations WHERE {' AND '.join(conditions)} ORDER BY id", *values)
        return [operation(row) for row in rows]

    def operations_in_force(self, cluster: str) -> list[Operation]:
        rows = self._all(
            "SELECT * FROM operations WHERE cluster IN ('', ?) "
            "AND (state = 'Open' OR (state = 'Failed' AND kind = 'Switchover' AND id = "
            "(SELECT max(id) FROM operations AS newer WHERE newer.kind = 'Switchover' "
            "AND newer.cluster = operations.cluster AND newer.group_name = operations.group_name))) ORDER BY id",
            cluster,
        )
        return [operation(row) for row in rows]

    # -- objects and tokens -------------------------------------------------------------------------------------------

    def revision(self) -> int:
        return int(self._all("SELECT newest FROM revision")[0]["newest"])

    def objects(self, resource: str, name: str | None = None) -> list[Body]:
        one, values = ("", (resource,)) if name is None else (" AND name = ?", (resource, name))
        rows = self._all(f"SELECT body FROM objects WHERE resource = ?{one} ORDER BY name", *values)
        return [json.loads(row["body"]) for row in rows]

    def changes_since(self, revision: int, limit: int) -> list[ObjectChange]:
        (kept,) = self._all("SELECT newest, forgotten FROM revision")
        check_kept(revision, kept["newest"], kept["forgotten"])
        rows = self._all(
            "SELECT revision, resource, name, type, body FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
            revision,
            limit,
        )
        return [ObjectChange(**row | {"body": json.loads(row["body"]), "size": len(row["body"])}) for row in rows]

    def tokens(self) -> list[dict[str, Any]]:
        return self._all("SELECT * FROM tokens ORDER BY name")


def _filters(query: Mapping[str, Any]) -> tuple[tuple[str, list[Any]], tuple[str, list[Any]], int]:
    """A query as SQL: (condition, values) for events, the same for steps, and the limit. Raises ValueError."""
    since, until, limit = check_query(query)
    shared: list[tuple[str, Any]] = []
    for condition, value in (
        ("cluster = ?", query.get("cluster")),
        ("node = ?", query.get("node")),
        ("at >= ?", since),
        ("at <= ?", until),
    ):
        if value is not None:
            shared.append((condition, value))
    events, steps = list(shared), list(shared)
    kind = query.get("kind")
    if kind is not None:
        events.append(("kind = ?", kind))
        wanted = {"Step": "1", STEP_BEGUN: "outcome IS NULL", STEP_ENDED: "outcome IS NOT NULL"}.get(kind, "0")
        steps.append((f"({wanted}) = ?", 1))
    if query.get("failed"):
        events.append((f"kind IN {FAILED_EVENTS} = ?", 1))
        steps.append((f"coalesce(outcome IN {NOT_DONE}, 0) = ?", 1))
    return _where(events), _where(steps), limit


def _where(conditions: Sequence[tuple[str, Any]]) -> tuple[str, list[Any]]:
    text = " AND ".join(condition for condition, _ in conditions)
    return (f" WHERE {text}" if text else ""), [value for _, value in conditions]
