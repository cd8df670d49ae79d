"""Objects, their changes and the revision in SQLite: what `object_rules` writes to, and what is read for the API.

- One row counts: `revision`. Whatever takes the next number does so inside its own transaction, so numbers have no
  gaps and their order is the order of commits.
- Bodies are kept as the JSON they are sent as. The log of changes keeps whole bodies, the newest `CHANGES_KEPT`;
  it is trimmed `_TRIM_EVERY` at a time, by its own dense numbers.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from hactl.adapters.record.bodies import Body, at_revision, compact, name_of
from hactl.adapters.record.rows import event_row, step_row, time_text
from hactl.adapters.record.rules import Newest
from hactl.adapters.record.sqlite.operations import close_operation, insert_operation, list_operations
from hactl.core.operations import Operation, State
from hactl.errors import TooOld
from hactl.ports import Clock, Document, ObjectChange

CHANGES_KEPT = 4096
_TRIM_EVERY = 64

Event = Callable[[str, str, str, str | None, Any], None]


def next_revision(connection: sqlite3.Connection) -> int:
    """The next number; inside a transaction."""
    row = connection.execute("UPDATE revision SET newest = newest + 1 RETURNING newest").fetchone()
    return int(row[0])


def ensure_revision(connection: sqlite3.Connection) -> bool:
    """A record that was repaired may have lost the row that counts: count on from what is left; False: it is there."""
    if connection.execute("SELECT 1 FROM revision").fetchone() is not None:
        return False
    tables = ("objects", "changes", "events", "steps")
    newest = max(
        connection.execute(f"SELECT coalesce(max(revision), 0) FROM {table}").fetchone()[0] for table in tables
    )
    # Nobody knows whether all changes are still there.
    connection.execute("INSERT INTO revision (id, newest, forgotten) VALUES (1, ?, ?)", (newest, newest))
    return True


class StoreTables:
    """`hactl.adapters.record.rules.Tables` over the connection that writes."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, event: Event) -> None:
        """`event` records one, inside the transaction."""
        self._connection = connection
        self._clock = clock
        self.event = event

    def now(self) -> datetime:
        """See `Tables`."""
        return self._clock.now()

    def new_uid(self) -> str:
        """See `Tables`."""
        return str(uuid.uuid4())

    def newest(self, cluster: str) -> Newest:
        """See `Tables`."""
        row = self._connection.execute(
            "SELECT generation, digest, coalesce(managed, 0), origin, source, directory, text "
            "FROM documents LEFT JOIN clusters ON name = cluster WHERE cluster = ? ORDER BY generation DESC LIMIT 1",
            (cluster,),
        ).fetchone()
        return Newest() if row is None else Newest(row[0], row[1], bool(row[2]), *row[3:])

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        """See `Tables`."""
        self._connection.execute(
            "INSERT INTO documents (cluster, generation, digest, source, directory, actor, at, text, origin, revision, "
            "author, revised_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                document.cluster.name,
                generation,
                document.digest,
                document.source,
                document.directory,
                actor,
                time_text(self.now()),
                document.text,
                origin,
                document.revision,
                document.author,
                document.revised_at,
            ),
        )

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        """See `Tables`."""
        self._connection.execute(
            "UPDATE documents SET source = ?, directory = ?, text = ?, origin = ? WHERE cluster = ? AND generation = ?",
            (document.source, document.directory, document.text, origin, document.cluster.name, generation),
        )

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        """See `Tables`."""
        self._connection.execute(
            "INSERT INTO clusters (name, managed, why, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET managed = excluded.managed, why = excluded.why, changed_at = excluded.changed_at",
            (cluster, int(managed), why, time_text(self.now())),
        )

    def next_status_is_news(self, cluster: str) -> None:
        """See `Tables`."""
        self._connection.execute("UPDATE statuses SET meaning = '' WHERE cluster = ?", (cluster,))

    def get_object(self, resource: str, name: str) -> Body | None:
        """See `Tables`."""
        row = self._connection.execute(
            "SELECT body FROM objects WHERE resource = ? AND name = ?", (resource, name)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def object_names(self, resource: str) -> list[str]:
        """See `Tables`."""
        rows = self._connection.execute("SELECT name FROM objects WHERE resource = ? ORDER BY name", (resource,))
        return [str(row[0]) for row in rows.fetchall()]

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        """See `Tables`."""
        revision = next_revision(self._connection)
        stored = at_revision(body, revision)
        text = compact(stored)
        self._connection.execute(
            "INSERT INTO objects (resource, name, revision, body) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (resource, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
            (resource, name_of(body), revision, text),
        )
        self._log(revision, resource, name_of(body), kind, text)
        return stored

    def remove_object(self, resource: str, body: Body) -> Body:
        """See `Tables`."""
        revision = next_revision(self._connection)
        last = at_revision(body, revision)
        self._connection.execute("DELETE FROM objects WHERE resource = ? AND name = ?", (resource, name_of(body)))
        self._log(revision, resource, name_of(body), "DELETED", compact(last))
        return last

    def _log(self, revision: int, resource: str, name: str, kind: str, text: str) -> None:
        """Append to the log of changes, and forget the oldest now and then."""
        made = self._connection.execute(
            "INSERT INTO changes (revision, resource, name, type, body) VALUES (?, ?, ?, ?, ?)",
            (revision, resource, name, kind, text),
        ).lastrowid
        assert made is not None
        if made % _TRIM_EVERY == 0 and made > CHANGES_KEPT:
            last = (made - CHANGES_KEPT,)
            self._connection.execute(
                "UPDATE revision SET forgotten = (SELECT revision FROM changes WHERE id = ?)", last
            )
            self._connection.execute("DELETE FROM changes WHERE id <= ?", last)

    def open_operations(self) -> list[Operation]:
        """See `Tables`."""
        return list_operations(self._connection, None, open_only=True)

    def insert_operation(self, request: Mapping[str, Any]) -> Operation:
        """See `Tables`."""
        return insert_operation(self._connection, request, self.now())

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation | None:
        """See `Tables`."""
        return close_operation(self._connection, number, state, message, seconds, time_text(self.now()))

    def name_operation(self, number: int, name: str | None) -> None:
        """See `Tables`."""
        if name is None:
            self._connection.execute("UPDATE operations SET removed = 1 WHERE id = ?", (number,))
        else:
            self._connection.execute("UPDATE operations SET name = ? WHERE id = ?", (name, number))

    def operation_name(self, number: int) -> str | None:
        """See `Tables`."""
        row = self._connection.execute("SELECT name FROM operations WHERE id = ? AND removed = 0", (number,)).fetchone()
        return None if row is None else str(row[0])


def newest_revision(connection: sqlite3.Connection) -> int:
    """See `hactl.ports.Objects.revision`."""
    return int(connection.execute("SELECT newest FROM revision").fetchone()[0])


def list_objects(connection: sqlite3.Connection, resource: str, name: str | None) -> tuple[int, list[Body]]:
    """See `hactl.ports.Objects.objects`; inside a transaction."""
    one, values = ("", [resource]) if name is None else (" AND name = ?", [resource, name])
    rows = connection.execute(f"SELECT body FROM objects WHERE resource = ?{one} ORDER BY name", values).fetchall()
    return newest_revision(connection), [json.loads(row[0]) for row in rows]


def list_origins(connection: sqlite3.Connection, cluster: str | None) -> dict[str, str]:
    """See `hactl.ports.Objects.origins`."""
    one, values = ("", []) if cluster is None else (" AND documents.cluster = ?", [cluster])
    rows = connection.execute(
        "SELECT cluster, origin FROM documents JOIN clusters ON name = cluster WHERE managed = 1 "
        "AND generation = (SELECT max(generation) FROM documents AS newer "
        f"WHERE newer.cluster = documents.cluster){one}",
        values,
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def list_changes(connection: sqlite3.Connection, revision: int, limit: int) -> list[ObjectChange]:
    """See `hactl.ports.Objects.changes_since`; inside a transaction."""
    newest, forgotten = connection.execute("SELECT newest, forgotten FROM revision").fetchone()
    check_kept(revision, newest, forgotten)
    rows = connection.execute(
        "SELECT revision, resource, name, type, body FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
        (revision, limit),
    ).fetchall()
    return [ObjectChange(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]


def check_kept(revision: int, newest: int, forgotten: int) -> None:
    """Raises TooOld: for a revision before what is kept, and for one of another record."""
    if revision < forgotten:
        raise TooOld(f"changes up to revision {forgotten} are no longer kept; {revision} is before that")
    if revision > newest:
        raise TooOld(f"revision {revision} is not of this record: its newest is {newest}")


def list_event_rows(connection: sqlite3.Connection, after: int | None, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """See `hactl.ports.Objects.event_rows`; inside a transaction."""
    if after is None:
        tail, values = " ORDER BY revision DESC LIMIT ?", [limit]
    else:
        tail, values = " WHERE revision > ? ORDER BY revision LIMIT ?", [after, limit]
    events = connection.execute(f"SELECT * FROM events{tail}", values).fetchall()
    steps = connection.execute(f"SELECT * FROM steps{tail}", values).fetchall()
    rows = [event_row(row) | {"revision": row["revision"]} for row in events]
    rows += [step_row(row) | {"revision": row["revision"]} for row in steps]
    return newest_revision(connection), by_revision(rows, after, limit)


def by_revision(rows: Sequence[dict[str, Any]], after: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` rows (`after` None), or the oldest, in the order of their revisions."""
    ordered = sorted(rows, key=lambda row: row["revision"])
    return ordered[max(0, len(ordered) - limit) :] if after is None else ordered[:limit]
