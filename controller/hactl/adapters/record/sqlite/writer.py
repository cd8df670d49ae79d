"""Everything that writes the record, as plain SQL in the one thread that owns the connection.

- What would change nothing is found out by reading, and then nothing is written: not a page, not a timestamp.
- A process is in the record only once it has something to record; it holds a lock file of its own as long as it
  lives, so that another can tell a step that still runs from one whose process died.
- A step of an older generation than the newest is refused: somebody applied another document meanwhile (I9).
"""

from __future__ import annotations

import os
import socket
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from hactl.adapters.lock import lock_directory, open_lock_file, try_lock
from hactl.adapters.record.bodies import Body
from hactl.adapters.record.rows import (
    CONTROLLER_DIED,
    STEP_KEYS,
    canonical,
    check_kind,
    check_newest,
    shortened,
    step_values,
    time_text,
    without_ages,
)
from hactl.adapters.record.rules import (
    end_operation,
    forget_operations,
    is_unmanaged,
    kept_generation,
    open_operation,
    put_document,
    put_status,
    unmanage,
)
from hactl.adapters.record.sqlite.file import data_version, open_writer, transaction
from hactl.adapters.record.sqlite.objects import StoreTables, ensure_revision, next_revision
from hactl.adapters.record.sqlite.operations import check_lease, held_lease, old_operations, take_lease
from hactl.adapters.record.sqlite.schema import migrate
from hactl.core.operations import State
from hactl.core.steps import Outcome
from hactl.errors import StoreError
from hactl.ports import Change, Clock, Document

_NEXT_ID = "SELECT 1 + max(coalesce((SELECT max(id) FROM steps), 0), coalesce((SELECT max(id) FROM events), 0))"


class Writer:
    """The write connection. Every method runs in the thread that made the object."""

    def __init__(self, path: Path, clock: Clock, actor: str, command: str) -> None:
        """Open the file, bring its tables up to date, and settle the steps of processes that died."""
        self._path = path
        self._clock = clock
        self._actor = actor
        self._command = command
        self._locks = lock_directory(path)
        self._token = uuid.uuid4().hex
        self._lock: int | None = None
        self._controller: int | None = None
        #: How many transactions were committed.
        self.commits = 0
        self.db = open_writer(path)
        try:
            self._identity = _identity(path)
            migrate(self.db)
            if ensure_revision(self.db.conn):
                self.db.conn.commit()
            self.tables = StoreTables(self.db.conn, clock, self.event)
            self._version = data_version(self.db.conn)
            self.recover()
        except BaseException:
            self.db.close()
            raise

    def put_document(self, document: Document, actor: str, origin: str | None) -> int:
        """See `hactl.ports.Store.put_document`."""
        kept = kept_generation(self.tables, document, origin)
        if kept is not None:
            return kept
        with self.writing():
            return put_document(self.tables, document, actor=actor, origin=origin)

    def unmanage(self, cluster: str, why: str, origin: str | None) -> None:
        """See `hactl.ports.Store.unmanage`."""
        if is_unmanaged(self.tables, cluster, origin):
            return
        with self.writing():
            unmanage(self.tables, cluster, why, origin)

    def begin_step(self, record: Mapping[str, Any], lease: int | None) -> int:
        """See `hactl.ports.Store.begin_step`."""
        values = step_values(record)
        cluster, wanted = record["cluster"], int(record["generation"])
        with self.writing() as connection:
            newest = self.tables.newest(cluster)
            check_newest(cluster, wanted, newest.generation, newest.managed)
            check_lease(held_lease(connection, cluster), cluster, self._token, lease)
            controller = self._registered()
            step = int(connection.execute(_NEXT_ID).fetchone()[0])
            connection.execute(
                f"INSERT INTO steps (id, {', '.join(STEP_KEYS)}, controller, at, revision) "
                f"VALUES ({', '.join('?' * (len(STEP_KEYS) + 4))})",
                (step, *values, controller, self._now(), next_revision(connection)),
            )
        return step

    def end_step(self, step: int, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """See `hactl.ports.Store.end_step`."""
        with self.writing() as connection:
            done = connection.execute(
                "UPDATE steps SET ended_at = ?, outcome = ?, exit_status = ?, output = ?, seconds = ?, revision = ? "
                "WHERE id = ? AND controller = ? AND (outcome IS NULL OR output = ?)",
                (
                    self._now(),
                    Outcome(outcome).value,
                    exit_status,
                    shortened(output),
                    seconds,
                    next_revision(connection),
                    step,
                    self._controller,
                    CONTROLLER_DIED,
                ),
            )
            if done.rowcount != 1:
                raise StoreError(f"has no running step {step} of this process")

    def record(self, kind: str, cluster: str, summary: str, node: str | None, detail: Any) -> None:
        """See `hactl.ports.Store.record`."""
        with self.writing():
            self.event(kind, cluster, summary, node, detail)

    def event(self, kind: str, cluster: str, summary: str, node: str | None, detail: Any) -> None:
        """Inside a transaction."""
        check_kind(kind)
        text = None if detail is None else canonical(detail)
        controller = self._registered()
        event = int(self.db.conn.execute(_NEXT_ID).fetchone()[0])
        self.db.conn.execute(
            "INSERT INTO events (id, at, kind, cluster, node, summary, detail, controller, revision) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (event, self._now(), kind, cluster, node, summary, text, controller, next_revision(self.db.conn)),
        )

    def lease(self, cluster: str) -> int:
        """See `hactl.ports.Store.lease`."""
        before = held_lease(self.db.conn, cluster)
        if before is not None and before[0] == self._token:
            return before[1]
        with self.writing() as connection:
            taken = take_lease(connection, cluster, self._token, self._clock.now().timestamp(), self._now())
            if before is not None:
                self.event("LeaseTaken", cluster, f"{self._command} acts now, with lease {taken}", None, None)
        return taken

    def open_operation(self, request: Mapping[str, Any], name: str) -> tuple[int, Body]:
        """See `hactl.ports.Objects.create_operation`; the number and the object."""
        with self.writing():
            return open_operation(self.tables, request, name)

    def end_operation(self, number: int, state: State, message: str, seconds: float | None) -> bool:
        """See `hactl.ports.Store.end_operation`."""
        with self.writing():
            return end_operation(self.tables, number, state, message, seconds)

    def put_status(self, cluster: str, status: Mapping[str, Any], events: Sequence[Change]) -> bool:
        """See `hactl.ports.Store.put_status`."""
        text, meaning = canonical(status), canonical(without_ages(status))
        row = self.db.conn.execute("SELECT meaning FROM statuses WHERE cluster = ?", (cluster,)).fetchone()
        if row is not None and row[0] == meaning:
            return False
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO statuses (cluster, status, meaning, changed_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (cluster) DO UPDATE SET status = excluded.status, meaning = excluded.meaning, "
                "changed_at = excluded.changed_at",
                (cluster, text, meaning, self._now()),
            )
            put_status(self.tables, cluster, status)
            for kind, summary, node, detail in events:
                self.event(kind, cluster, summary, node, detail)
        return True

    def prune(self, keep_days: float | None, keep_rows: int | None) -> int:
        """See `hactl.ports.Store.prune`."""
        before = "" if keep_days is None else time_text(self._clock.now() - timedelta(days=keep_days))
        with self.writing() as connection:
            newest = int(connection.execute(_NEXT_ID).fetchone()[0]) - 1
            first_kept = 0
            if keep_rows is not None:
                row = connection.execute(
                    "SELECT id FROM (SELECT id FROM steps UNION ALL SELECT id FROM events) "
                    "ORDER BY id DESC LIMIT 1 OFFSET ?",
                    (max(1, keep_rows) - 1,),
                ).fetchone()
                first_kept = 0 if row is None else int(row[0])
            old = "(at < ? OR id < ?) AND id <> ?"
            forget_operations(self.tables, old_operations(connection, before))
            deleted = 0
            for statement, values in (
                (f"DELETE FROM events WHERE {old}", (before, first_kept, newest)),
                (f"DELETE FROM steps WHERE outcome IS NOT NULL AND {old}", (before, first_kept, newest)),
                (
                    "DELETE FROM documents WHERE at < ? "
                    "AND generation < (SELECT max(generation) FROM documents AS newer "
                    "WHERE newer.cluster = documents.cluster) "
                    "AND NOT EXISTS (SELECT 1 FROM steps "
                    "WHERE steps.cluster = documents.cluster AND steps.generation = documents.generation)",
                    (before,),
                ),
                ("DELETE FROM operations WHERE state <> 'Open' AND ended_at < ?", (before,)),
            ):
                deleted += connection.execute(statement, values).rowcount
            connection.execute(
                "DELETE FROM controllers WHERE ended_at IS NOT NULL AND id NOT IN (SELECT controller FROM steps) "
                "AND id NOT IN (SELECT controller FROM events)"
            )
        return deleted

    def recover(self) -> int:
        """Settle the steps of processes that died: Indeterminate, "controller died". Returns how many."""
        rows = self.db.conn.execute("SELECT id, token FROM controllers WHERE ended_at IS NULL").fetchall()
        settled = 0
        for controller, token in rows:
            if token == self._token:
                continue
            path = self._locks / f"process-{token}.lock"
            descriptor = open_lock_file(self._locks, path.name) if path.exists() else None
            try:
                if descriptor is not None and not try_lock(descriptor):
                    continue
                settled += self._settle(controller, CONTROLLER_DIED)
                path.unlink(missing_ok=True)
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        return settled

    def close(self) -> None:
        """Say that this process ended, and close."""
        try:
            # A record that was removed meanwhile has nothing of ours that anybody could read.
            if self._controller is not None and _identity(self._path) == self._identity and self._is_registered():
                self._settle(self._controller, "hactl ended before the outcome was known")
        finally:
            self.db.close()
            if self._lock is not None:
                (self._locks / f"process-{self._token}.lock").unlink(missing_ok=True)
                os.close(self._lock)
                self._lock = None

    def _settle(self, controller: int, why: str) -> int:
        now = self._now()
        with self.writing() as connection:
            running = connection.execute(
                "SELECT id FROM steps WHERE controller = ? AND outcome IS NULL ORDER BY id", (controller,)
            ).fetchall()
            connection.executemany(
                "UPDATE steps SET outcome = ?, output = ?, ended_at = ?, revision = ? WHERE id = ?",
                [(Outcome.INDETERMINATE.value, why, now, next_revision(connection), row[0]) for row in running],
            )
            connection.execute("UPDATE controllers SET ended_at = ? WHERE id = ?", (now, controller))
        return len(running)

    def _registered(self) -> int:
        """The row of this process, made with its first record; inside a transaction."""
        if self._lock is None:
            self._lock = open_lock_file(self._locks, f"process-{self._token}.lock")
            try_lock(self._lock)
        if self._controller is None or not self._is_registered():
            made = self.db.conn.execute(
                "INSERT INTO controllers (token, pid, host, command, actor, started_at) VALUES (?, ?, ?, ?, ?, ?)",
                (self._token, os.getpid(), socket.gethostname(), self._command, self._actor, self._now()),
            )
            self._controller = made.lastrowid
        assert self._controller is not None
        return self._controller

    def _is_registered(self) -> bool:
        """The transaction that registered us may have been rolled back."""
        row = self.db.conn.execute("SELECT 1 FROM controllers WHERE token = ?", (self._token,)).fetchone()
        return row is not None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises StoreError when the file is not the one that was opened."""
        if _identity(self._path) != self._identity:
            raise StoreError("was removed or replaced while hactl used it: restart hactl")
        with transaction(self.db) as connection:
            yield connection
        self.commits += 1

    def changed_outside(self) -> bool:
        """Whether another connection wrote since this was asked last; our own commits do not count."""
        before, self._version = self._version, data_version(self.db.conn)
        return before != self._version

    def _now(self) -> str:
        return time_text(self._clock.now())


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
