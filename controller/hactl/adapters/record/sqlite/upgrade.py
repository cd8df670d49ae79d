"""Bringing a record up to date: its tables, objects for what was there before the API, its count of revisions.

- A document or status that cannot be understood any more is no reason to refuse the record: its object is made when it
  is next put.
- sqlite-utils is imported on first use: it costs 0.13 s.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from datetime import datetime
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from hactl.adapters.record.bodies import Body, assembled, at_revision, compact, name_of, of_document
from hactl.adapters.record.rules import operation_name
from hactl.adapters.record.sqlite.file import next_revision
from hactl.adapters.record.sqlite.reading import IS_NEWEST, SQLiteReading
from hactl.adapters.record.sqlite.schema import APPLICATION_ID, MIGRATIONS, check_ours
from hactl.adapters.yaml.documents import read_documents
from hactl.core.kube.codec import operation_body, status_view, time_text
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS
from hactl.ports import Document

if TYPE_CHECKING:
    from sqlite_utils.db import Database
    from sqlite_utils.migrations import Migrations

#: After its statements objects are made for what there is.
_FILLING = "0003-objects"


def _migrations() -> Migrations:
    """Every migration, oldest first."""
    from sqlite_utils.migrations import Migrations

    made = Migrations("hactl")
    for name, statements in MIGRATIONS.items():
        made(name=name)(_executing(name, statements))
    return made


def _executing(name: str, statements: tuple[str, ...]) -> Callable[[Database], None]:
    def migration(db: Database) -> None:
        for statement in statements:
            db.conn.execute(dedent(statement).strip())
        if name == _FILLING:
            _fill_objects(db.conn)

    return migration


def _database(connection: sqlite3.Connection) -> Database:
    from sqlite_utils.db import Database

    return Database(connection, execute_plugins=False)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file up to date; no write when it is. Raises StoreError for a file that is not ours or is newer."""
    if check_ours(connection) != MIGRATIONS.keys():
        db, migrations = _database(connection), _migrations()
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated while we waited for the lock; then nothing is pending any more.
            migrations.apply(db)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    _restore_revision(connection)


def _restore_revision(connection: sqlite3.Connection) -> None:
    """A record that was repaired may have lost the row that counts: count on from what is left; no write if not."""
    if connection.execute("SELECT 1 FROM revision").fetchone() is not None:
        return
    tables = ("objects", "changes", "events", "steps")
    newest = max(
        connection.execute(f"SELECT coalesce(max(revision), 0) FROM {table}").fetchone()[0] for table in tables
    )
    # Nobody knows whether all changes are still there.
    connection.execute("INSERT INTO revision (id, newest, forgotten) VALUES (1, ?, ?)", (newest, newest))
    connection.commit()


def _fill_objects(connection: sqlite3.Connection) -> None:
    """Objects of managed clusters and of operations; inside the migration's transaction.

    There is no change to tell of these, so watches begin after them.
    """
    newest = connection.execute(
        "SELECT max(coalesce((SELECT max(id) FROM steps), 0), coalesce((SELECT max(id) FROM events), 0))"
    ).fetchone()[0]
    connection.execute("UPDATE revision SET newest = ?", (newest,))
    _fill_clusters(connection)
    for operation in SQLiteReading(connection).operations(None, open_only=False):
        name = operation_name(operation)
        given = operation_body(operation, name)
        created = time_text(operation.opened_at)
        connection.execute("UPDATE operations SET name = ? WHERE id = ?", (name, operation.id))
        body = assembled(
            HAOPERATIONS.plural, given, uid=str(uuid.uuid4()), created=created, generation=1, status=given["status"]
        )
        _insert(connection, HAOPERATIONS.plural, body)
    connection.execute("UPDATE revision SET forgotten = newest")


def _fill_clusters(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        "SELECT id, cluster, generation, source, directory, at, text FROM documents JOIN clusters ON name = cluster "
        f"WHERE managed = 1 AND {IS_NEWEST} ORDER BY cluster"
    ).fetchall()
    for number, cluster, generation, source, directory, at, text in rows:
        document = _document(cluster, text, source, directory)
        if document is None:
            continue
        # The digest used to cover labels and annotations.
        connection.execute("UPDATE documents SET digest = ? WHERE id = ?", (document.digest, number))
        body = assembled(
            HACLUSTERS.plural,
            of_document(document.cluster, None),
            uid=str(uuid.uuid4()),
            created=time_text(datetime.fromisoformat(at)),
            generation=generation,
            status=_status(connection, cluster),
        )
        _insert(connection, HACLUSTERS.plural, body)


def _document(cluster: str, text: str, source: str, directory: str) -> Document | None:
    found = read_documents(text.encode(), source=source, directory=directory)
    return next((document for document in found.documents if document.cluster.name == cluster), None)


def _status(connection: sqlite3.Connection, cluster: str) -> dict[str, Any] | None:
    row = connection.execute("SELECT status FROM statuses WHERE cluster = ?", (cluster,)).fetchone()
    if row is not None:
        try:
            operations = SQLiteReading(connection).operations(cluster, open_only=True)
            return status_view(json.loads(row[0]), cluster=cluster, operations=operations)
        except (ValueError, LookupError, TypeError, AttributeError):
            connection.execute("UPDATE statuses SET meaning = '' WHERE cluster = ?", (cluster,))
    return None


def _insert(connection: sqlite3.Connection, resource: str, body: Body) -> None:
    revision = next_revision(connection)
    connection.execute(
        "INSERT INTO objects (resource, name, revision, body) VALUES (?, ?, ?, ?)",
        (resource, name_of(body), revision, compact(at_revision(body, revision))),
    )


def schema_sql() -> str:
    """state/schema.sql: what the migrations make, for people and for the drift check."""
    connection = sqlite3.connect(":memory:")
    try:
        migrate(connection)
        rows = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> '_sqlite_migrations' "
            "AND tbl_name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY rowid"
        ).fetchall()
    finally:
        connection.close()
    head = (
        "-- The tables of the record, as the migrations in "
        "controller/hactl/adapters/record/sqlite/schema.py make them.\n"
        "-- Generated: do not edit. How to query it: queries.sql. How to save and repair it: README.md.\n\n"
    )
    return head + "\n\n".join(f"{row[0]};" for row in rows) + "\n"
