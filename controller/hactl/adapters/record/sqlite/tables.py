"""What the rules write to, as plain SQL over the connection that writes.

- One row counts: `revision`. Whatever takes the next number does so inside its own transaction, so numbers have no
  gaps and their order is the order of commits.
- Bodies are kept as the JSON they are sent as. The log of changes keeps whole bodies, the newest `CHANGES_KEPT` of
  `CHANGES_BYTES`; it is trimmed `_TRIM_EVERY` at a time, by its own dense numbers.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, Literal

from hactl.adapters.record import backend
from hactl.adapters.record.backend import Lease, Row
from hactl.adapters.record.bodies import Body, at_revision, compact, name_of, revision_of
from hactl.adapters.record.operations import operation
from hactl.adapters.record.rows import CONTROLLER_DIED, ROW_BYTES, canonical, document_row, stored_time
from hactl.adapters.record.sqlite.file import next_revision
from hactl.adapters.record.sqlite.process import Process
from hactl.adapters.record.sqlite.reading import IS_NEWEST, SQLiteReading
from hactl.core.catalogue import EventKind
from hactl.core.operations import Operation, State
from hactl.ports import Clock, Document

_TRIM_EVERY = 64
_NEWEST_ID: Final = "SELECT max(coalesce((SELECT max(id) FROM steps), 0), coalesce((SELECT max(id) FROM events), 0))"


class SQLiteTables(SQLiteReading):
    """`hactl.adapters.record.backend.Tables`."""

    def __init__(self, connection: sqlite3.Connection, process: Process, clock: Clock) -> None:
        """`process` writes."""
        super().__init__(connection)
        self._process = process
        self._clock = clock
        self.process = process.token
        self.command = process.command
        self.actor = process.actor

    def writing(self) -> AbstractContextManager[None]:
        return self._process.writing()

    def now(self) -> datetime:
        return self._clock.now()

    def new_uid(self) -> str:
        return str(uuid.uuid4())

    def _now(self) -> str:
        return stored_time(self.now())

    def _insert(self, table: str, row: Row) -> int:
        """Add a row; its number."""
        places = ", ".join(f":{column}" for column in row)
        made = self.connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", dict(row)).lastrowid
        assert made is not None
        return made

    # -- documents ----------------------------------------------------------------------------------------------------

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        self._insert("documents", document_row(document, generation, actor=actor, origin=origin, at=self._now()))

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        self.connection.execute(
            "UPDATE documents SET source = ?, directory = ?, text = ?, origin = ? WHERE cluster = ? AND generation = ?",
            (document.source, document.directory, document.text, origin, document.cluster.name, generation),
        )

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        self.connection.execute(
            "INSERT INTO clusters (name, managed, why, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET managed = excluded.managed, why = excluded.why, changed_at = excluded.changed_at",
            (cluster, int(managed), why, self._now()),
        )

    # -- steps and history --------------------------------------------------------------------------------------------

    def held_lease(self, cluster: str) -> Lease | None:
        row = self.connection.execute("SELECT holder, generation FROM leases WHERE cluster = ?", (cluster,)).fetchone()
        return None if row is None else Lease(row["holder"], row["generation"])

    def set_lease(self, cluster: str, generation: int) -> None:
        self.connection.execute(
            "INSERT INTO leases (cluster, holder, generation, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (cluster) DO UPDATE SET holder = excluded.holder, generation = excluded.generation, "
            "at = excluded.at",
            (cluster, self.process, generation, self._now()),
        )

    def _head(self) -> dict[str, Any]:
        """What the row of an event or step begins with: they share one sequence of ids."""
        return {
            "controller": self._process.registered(),
            "id": 1 + self.connection.execute(_NEWEST_ID).fetchone()[0],
            "at": self._now(),
            "revision": next_revision(self.connection),
        }

    def insert_step(self, fields: Row) -> int:
        return self._insert("steps", {**fields, **self._head()})

    def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> bool:
        """One that others took for dead is ended by its own process still."""
        done = self.connection.execute(
            "UPDATE steps SET ended_at = ?, outcome = ?, exit_status = ?, output = ?, seconds = ?, revision = ? "
            "WHERE id = ? AND controller = ? AND (outcome IS NULL OR output = ?)",
            (
                self._now(),
                outcome,
                exit_status,
                output,
                seconds,
                next_revision(self.connection),
                step,
                self._process.controller,
                CONTROLLER_DIED,
            ),
        )
        return done.rowcount == 1

    def event(self, kind: EventKind, cluster: str, summary: str, node: str | None = None, detail: Any = None) -> None:
        text = None if detail is None else canonical(detail)
        row = {"kind": kind, "cluster": cluster, "node": node, "summary": summary, "detail": text}
        self._insert("events", {**row, **self._head()})

    def recover(self) -> int:
        return self._process.recover()

    # -- statuses -----------------------------------------------------------------------------------------------------

    def status_meaning(self, cluster: str) -> str | None:
        row = self.connection.execute("SELECT meaning FROM statuses WHERE cluster = ?", (cluster,)).fetchone()
        return None if row is None else row["meaning"]

    def set_status(self, cluster: str, status: str, meaning: str) -> None:
        self.connection.execute(
            "INSERT INTO statuses (cluster, status, meaning, changed_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (cluster) DO UPDATE SET status = excluded.status, meaning = excluded.meaning, "
            "changed_at = excluded.changed_at",
            (cluster, status, meaning, self._now()),
        )

    def next_status_is_news(self, cluster: str) -> None:
        self.connection.execute("UPDATE statuses SET meaning = '' WHERE cluster = ?", (cluster,))

    # -- operations ---------------------------------------------------------------------------------------------------

    def insert_operation(self, row: Row) -> Operation:
        return operation({**row, "id": self._insert("operations", row)})

    def operation(self, number: int) -> Operation | None:
        row = self.connection.execute("SELECT * FROM operations WHERE id = ?", (number,)).fetchone()
        return None if row is None else operation(row)

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation:
        row = self.connection.execute(
            "UPDATE operations SET state = ?, message = ?, ended_at = ?, seconds = ? WHERE id = ? RETURNING *",
            (state.value, message, self._now(), seconds, number),
        ).fetchone()
        return operation(row)

    def name_operation(self, number: int, name: str | None) -> None:
        if name is None:
            self.connection.execute("UPDATE operations SET removed = 1 WHERE id = ?", (number,))
        else:
            self.connection.execute("UPDATE operations SET name = ? WHERE id = ?", (name, number))

    def operation_name(self, number: int) -> str | None:
        row = self.connection.execute("SELECT name FROM operations WHERE id = ? AND removed = 0", (number,)).fetchone()
        return None if row is None else row["name"]

    # -- objects and tokens -------------------------------------------------------------------------------------------

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        stored = at_revision(body, next_revision(self.connection))
        self.connection.execute(
            "INSERT INTO objects (resource, name, revision, body) VALUES (:resource, :name, :revision, :body) "
            "ON CONFLICT (resource, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
            self._log(resource, stored, kind),
        )
        return stored

    def remove_object(self, resource: str, body: Body) -> Body:
        last = at_revision(body, next_revision(self.connection))
        self.connection.execute("DELETE FROM objects WHERE resource = ? AND name = ?", (resource, name_of(body)))
        self._log(resource, last, "DELETED")
        return last

    def _log(self, resource: str, body: Body, kind: str) -> Row:
        """Append to the log of changes, and forget the oldest now and then; the row of the object."""
        text = compact(body)
        row = {"resource": resource, "name": name_of(body), "revision": revision_of(body), "body": text}
        made = self._insert("changes", {**row, "type": kind})
        if made % _TRIM_EVERY == 0:
            self._trim(max(made - backend.CHANGES_KEPT, self._oversized()))
        return row

    def _trim(self, last: int) -> None:
        """Forget the changes up to that one."""
        found = self.connection.execute("SELECT revision FROM changes WHERE id = ?", (last,)).fetchone()
        if found is not None:
            self.connection.execute("UPDATE revision SET forgotten = ?", (found["revision"],))
            self.connection.execute("DELETE FROM changes WHERE id <= ?", (last,))

    def _oversized(self) -> int:
        """The newest change that has no room beside those after it; 0: all have."""
        sums = "SELECT id, sum(length(CAST(body AS BLOB))) OVER (ORDER BY id DESC) AS total FROM changes"
        found = self.connection.execute(
            f"SELECT max(id) AS last FROM ({sums}) WHERE total > ?", (backend.CHANGES_BYTES,)
        ).fetchone()
        return int(found["last"] or 0)

    def insert_token(self, row: Row) -> None:
        self._insert("tokens", row)

    def use_token(self, name: str, at: str) -> None:
        self.connection.execute("UPDATE tokens SET last_used_at = ? WHERE name = ?", (at, name))

    def delete_token(self, name: str) -> bool:
        return self.connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount == 1

    # -- retention ----------------------------------------------------------------------------------------------------

    def old_operations(self, before: str) -> list[int]:
        rows = self.connection.execute(
            "SELECT id FROM operations WHERE state <> 'Open' AND ended_at < ? AND removed = 0 ORDER BY id", (before,)
        ).fetchall()
        return [row["id"] for row in rows]

    def forget_beyond(self, kind: EventKind, size: int) -> int:
        # Lengths in bytes, as SQLite keeps text in UTF-8; what the rest of a row and its index take is about the same.
        total = (
            "SELECT id, sum(length(CAST(summary AS BLOB)) + coalesce(length(CAST(detail AS BLOB)), 0) + :row) "
            "OVER (ORDER BY id DESC) AS total FROM events WHERE kind = :kind"
        )
        return self.connection.execute(
            f"DELETE FROM events WHERE id IN (SELECT id FROM ({total}) WHERE total > :size)"
            " AND id <> (SELECT max(id) FROM events)",
            {"row": ROW_BYTES, "kind": kind.value, "size": size},
        ).rowcount

    def forget(self, before: str, keep_rows: int | None) -> int:
        newest = self.connection.execute(_NEWEST_ID).fetchone()[0]
        first_kept = 0
        if keep_rows is not None:
            row = self.connection.execute(
                "SELECT id FROM (SELECT id FROM steps UNION ALL SELECT id FROM events) "
                "ORDER BY id DESC LIMIT 1 OFFSET ?",
                (max(1, keep_rows) - 1,),
            ).fetchone()
            first_kept = 0 if row is None else row["id"]
        old = "(at < ? OR id < ?) AND id <> ?"
        deleted = 0
        for statement, values in (
            (f"DELETE FROM events WHERE {old}", (before, first_kept, newest)),
            (f"DELETE FROM steps WHERE outcome IS NOT NULL AND {old}", (before, first_kept, newest)),
            (
                f"DELETE FROM documents WHERE at < ? AND NOT {IS_NEWEST} AND NOT EXISTS (SELECT 1 FROM steps "
                "WHERE steps.cluster = documents.cluster AND steps.generation = documents.generation)",
                (before,),
            ),
            ("DELETE FROM operations WHERE state <> 'Open' AND ended_at < ?", (before,)),
        ):
            deleted += self.connection.execute(statement, values).rowcount
        self.connection.execute(
            "DELETE FROM controllers WHERE ended_at IS NOT NULL AND id NOT IN (SELECT controller FROM steps) "
            "AND id NOT IN (SELECT controller FROM events)"
        )
        return deleted
