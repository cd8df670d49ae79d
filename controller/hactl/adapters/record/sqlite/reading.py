"""What is asked of the record, as SELECTs over one connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hactl.adapters.record.backend import Newest, Row
from hactl.adapters.record.bodies import Body
from hactl.adapters.record.operations import operation
from hactl.adapters.record.rows import (
    FAILED_EVENTS,
    STEP_BEGUN,
    STEP_ENDED,
    by_revision,
    check_kept,
    check_query,
    event_row,
    merged,
    step_row,
    stored_time,
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
#: As the index `steps_not_done` has it.
_FAILED_STEPS: Final = "outcome IN ('Failed', 'Indeterminate')"
#: A wall clock is set back by no more than this; and this far away a row is looked for that bounds a time.
_CLOCK, _FAR = timedelta(days=1), timedelta(days=60)

#: SQL, and the values of its places.
_Condition = tuple[str, tuple[Any, ...]]


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
        # From the clusters to their newest generation, not through all generations there were.
        sql = (
            f"SELECT {_DOCUMENT_COLUMNS}, changed_at AS managed_at FROM clusters CROSS JOIN documents "
            "ON cluster = name AND generation = (SELECT max(generation) FROM documents AS newer "
            "WHERE newer.cluster = clusters.name) WHERE managed = 1 ORDER BY name"
        )
        return self._all(sql)

    def generations(self, cluster: str) -> list[dict[str, Any]]:
        sql = f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE cluster = ? ORDER BY generation"
        return self._all(sql, cluster)

    def knows(self, token: str) -> bool:
        return bool(self._all("SELECT 1 FROM controllers WHERE token = ?", token))

    def statuses(self, cluster: str | None = None) -> list[dict[str, Any]]:
        one, values = ("", ()) if cluster is None else (" WHERE cluster = ?", (cluster,))
        rows = self._all(
            "SELECT cluster, status, statuses.changed_at AS changed_at, coalesce(managed, 1) AS managed "
            f"FROM statuses LEFT JOIN clusters ON name = cluster{one} ORDER BY cluster",
            *values,
        )
        return [row | {"managed": bool(row["managed"]), "status": json.loads(row["status"])} for row in rows]

    # -- history ------------------------------------------------------------------------------------------------------

    def history(self, query: Row) -> list[dict[str, Any]]:
        since, until, limit = check_query(query)
        events, steps = _asked(query)
        rows: list[dict[str, Any]] = []
        for table, shown, conditions in [*(("events", event_row, each) for each in events),
                                         *(("steps", step_row, each) for each in steps)]:  # fmt: skip
            within = [*conditions, *self._between(table, since, until)]
            where = f" WHERE {' AND '.join(text for text, _ in within)}" if within else ""
            values = [value for _, given in within for value in given]
            found = self._all(f"SELECT * FROM {table}{where} ORDER BY id DESC LIMIT ?", *values, limit)
            rows += [shown(row) for row in found]
        return merged(rows, limit)

    def _between(self, table: str, since: str | None, until: str | None) -> list[_Condition]:
        """A time as a condition, and as a bound of the ids: they are in the order of writing, so that only rows of
        about that time are read. The wall clock may have been set back, by up to a day.
        """
        found: list[_Condition] = []
        if since is not None:
            found.append(("at >= ?", (since,)))
            bound = f"SELECT id FROM {table} WHERE at < ? AND at >= ? ORDER BY at DESC LIMIT 1"
            if earlier := self._all(bound, _moved(since, -_CLOCK), _moved(since, -_FAR)):
                found.append(("id > ?", (earlier[0]["id"],)))
            elif not self._all(f"SELECT 1 FROM {table} WHERE at >= ? LIMIT 1", since):
                found.append(("0", ()))
        if until is not None:
            found.append(("at <= ?", (until,)))
            bound = f"SELECT id FROM {table} WHERE at > ? AND at <= ? ORDER BY at LIMIT 1"
            if later := self._all(bound, _moved(until, _CLOCK), _moved(until, _FAR)):
                found.append(("id < ?", (later[0]["id"],)))
        return found

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


def _asked(query: Mapping[str, Any]) -> tuple[list[list[_Condition]], list[list[_Condition]]]:
    """What is looked for among events and among steps: of each the conditions of its queries, beside the time.

    Each is written so that one index gives its rows in the order of ids; `+` keeps SQLite from taking another one.
    """
    cluster, node, kind, failed = query.get("cluster"), query.get("node"), query.get("kind"), query.get("failed")
    shared: list[_Condition] = [] if node is None else [("node = ?", (node,))]
    if cluster is not None:
        shared.append(("cluster = ?" if node is None else "+cluster = ?", (cluster,)))
    column = "+kind" if shared else "kind"
    kinds = None if kind is None else {kind} - {"Step", STEP_BEGUN, STEP_ENDED}
    if failed:
        kinds = set(FAILED_EVENTS) if kinds is None else kinds & set(FAILED_EVENTS)
    events = [shared] if kinds is None else [[*shared, (f"{column} = ?", (each,))] for each in sorted(kinds)]
    if shared and kinds and len(kinds) > 1:
        # One walk along the rows of a cluster or node, not one for each kind.
        places = ", ".join("?" * len(kinds))
        events = [[*shared, (f"+kind IN ({places})", tuple(sorted(kinds)))]]
    states = {None: [], "Step": [], STEP_BEGUN: ["outcome IS NULL"], STEP_ENDED: ["outcome IS NOT NULL"]}
    if kind not in states:
        return events, []
    conditions = [*states[kind], *([_FAILED_STEPS] if failed else [])]
    return events, [[*shared, *((each, ()) for each in conditions)]]


def _moved(moment: str, by: timedelta) -> str:
    """That time, and so much later."""
    try:
        return stored_time(datetime.fromisoformat(moment) + by)
    except OverflowError:
        # Before the first or after the last year there is: it is its own bound.
        return moment
