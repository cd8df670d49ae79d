"""The tables of the record, as migrations: each runs once, in order, in a transaction of its own.

- A migration that was released is never changed; a new one is added.
- A file with a migration we do not know was written by a newer hactl and is refused.
- Times are ISO 8601 text in UTC with milliseconds, so that text order is time order.
- Events and steps share one sequence of ids: their order is the order of writing, whatever the wall clock did.
- sqlite-utils is imported on first use: it costs 0.13 s.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from textwrap import dedent
from typing import TYPE_CHECKING

from hactl.adapters.record.sqlite.upgrade import fill_objects, restore_revision
from hactl.errors import StoreError

if TYPE_CHECKING:
    from sqlite_utils.db import Database
    from sqlite_utils.migrations import Migrations

#: "hact": file(1) and a careful reader can tell the file by it (PRAGMA application_id).
APPLICATION_ID = 0x68616374

_FIRST = (
    """
    CREATE TABLE controllers (
        id INTEGER PRIMARY KEY,
        token TEXT NOT NULL UNIQUE,  -- names its lock file: process-TOKEN.lock
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        command TEXT NOT NULL,
        actor TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT  -- NULL: it runs, or it died
    )
    """,
    """
    CREATE TABLE clusters (
        name TEXT PRIMARY KEY,
        managed INTEGER NOT NULL,  -- 0: its document vanished from the source
        why TEXT NOT NULL,
        changed_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        cluster TEXT NOT NULL REFERENCES clusters (name),
        generation INTEGER NOT NULL,  -- 1, 2, 3 ...
        digest TEXT NOT NULL,  -- sha256 of its canonical JSON
        source TEXT NOT NULL,
        directory TEXT NOT NULL,
        actor TEXT NOT NULL,
        at TEXT NOT NULL,
        text TEXT NOT NULL,  -- the YAML as found
        UNIQUE (cluster, generation)
    )
    """,
    """
    CREATE TABLE steps (
        id INTEGER PRIMARY KEY,  -- one sequence with events
        cluster TEXT NOT NULL,
        generation INTEGER NOT NULL,
        plan TEXT NOT NULL,  -- digest of the plan
        node TEXT NOT NULL,
        verb TEXT NOT NULL,
        target TEXT NOT NULL,
        command TEXT NOT NULL,  -- secrets only as shell variables
        risk TEXT NOT NULL,
        why TEXT NOT NULL,
        actor TEXT NOT NULL,
        cause TEXT NOT NULL,
        controller INTEGER NOT NULL REFERENCES controllers (id),
        at TEXT NOT NULL,  -- intent, before it ran
        ended_at TEXT,
        outcome TEXT,  -- Done, Failed, Indeterminate; NULL: running
        exit_status INTEGER,
        output TEXT,
        seconds REAL
    )
    """,
    "CREATE INDEX steps_by_cluster ON steps (cluster, id)",
    "CREATE INDEX steps_running ON steps (controller) WHERE outcome IS NULL",
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,  -- one sequence with steps
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        cluster TEXT NOT NULL,
        node TEXT,
        summary TEXT NOT NULL,
        detail TEXT,  -- JSON
        controller INTEGER NOT NULL REFERENCES controllers (id)
    )
    """,
    "CREATE INDEX events_by_cluster ON events (cluster, id)",
    """
    CREATE TABLE statuses (
        cluster TEXT PRIMARY KEY,
        status TEXT NOT NULL,  -- JSON, wire names; ages as they were when it last changed
        meaning TEXT NOT NULL,  -- the same without ages: what decides whether it changed
        changed_at TEXT NOT NULL
    )
    """,
)

_OPERATIONS = (
    """
    CREATE TABLE operations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- people name it; never used twice
        cluster TEXT NOT NULL,  -- empty: the whole fleet
        kind TEXT NOT NULL,  -- Switchover, Drain, Pause, Approve, Resolve
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        opened_at TEXT NOT NULL,
        group_name TEXT NOT NULL,
        node TEXT NOT NULL,
        resource TEXT NOT NULL,
        detail TEXT NOT NULL,  -- JSON
        not_before TEXT,
        expires_at TEXT,
        state TEXT NOT NULL,  -- Open, Done, Failed, Cancelled, Expired
        message TEXT NOT NULL,  -- how it ended, for people
        ended_at TEXT,
        seconds REAL  -- as measured
    )
    """,
    "CREATE INDEX operations_open ON operations (cluster) WHERE state = 'Open'",
    "CREATE INDEX operations_moves ON operations (cluster, group_name, id) WHERE kind = 'Switchover'",
    """
    CREATE TABLE leases (
        cluster TEXT PRIMARY KEY,
        holder TEXT NOT NULL,  -- token of the process that acts
        generation INTEGER NOT NULL,  -- only grows; travels with each step
        at TEXT NOT NULL
    )
    """,
)

_OBJECTS = (
    """
    CREATE TABLE revision (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        newest INTEGER NOT NULL,  -- grows with every change of an object, event or step
        forgotten INTEGER NOT NULL  -- changes up to this one are no longer kept
    )
    """,
    "INSERT INTO revision (id, newest, forgotten) VALUES (1, 0, 0)",
    """
    CREATE TABLE objects (
        resource TEXT NOT NULL,  -- haclusters, haoperations, leases
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,  -- the same as its resourceVersion
        body TEXT NOT NULL,  -- JSON, whole
        PRIMARY KEY (resource, name)
    )
    """,
    """
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY,  -- dense, for trimming
        revision INTEGER NOT NULL UNIQUE,
        resource TEXT NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,  -- ADDED, MODIFIED, DELETED
        body TEXT NOT NULL  -- JSON, whole, as of then
    )
    """,
    """
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,  -- sha256 of the token, hex
        role TEXT NOT NULL,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        expires_at TEXT
    )
    """,
    "ALTER TABLE events ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE steps ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE operations ADD COLUMN name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE operations ADD COLUMN removed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE documents ADD COLUMN origin TEXT NOT NULL DEFAULT 'files'",
    "ALTER TABLE documents ADD COLUMN revision TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE documents ADD COLUMN author TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE documents ADD COLUMN revised_at TEXT NOT NULL DEFAULT ''",
    # Ids of events and steps are one sequence already.
    "UPDATE events SET revision = id",
    "UPDATE steps SET revision = id",
    "CREATE INDEX events_by_revision ON events (revision)",
    "CREATE INDEX steps_by_revision ON steps (revision)",
)

_TOKEN_USE = ("ALTER TABLE tokens ADD COLUMN last_used_at TEXT",)

#: Name -> statements. Released ones are never changed or renamed.
MIGRATIONS: dict[str, tuple[str, ...]] = {
    "0001-first": _FIRST,
    "0002-requests": _OPERATIONS,
    "0003-objects": _OBJECTS,
    "0004-token-use": _TOKEN_USE,
}


#: What a migration does after its statements.
_AFTERWARDS: dict[str, Callable[[sqlite3.Connection], None]] = {"0003-objects": fill_objects}


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
        if name in _AFTERWARDS:
            _AFTERWARDS[name](db.conn)

    return migration


def _database(connection: sqlite3.Connection) -> Database:
    from sqlite_utils.db import Database

    return Database(connection, execute_plugins=False)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file up to date; no write when it is. Raises StoreError for a file that is not ours or is newer."""
    db = _database(connection)
    _check_ours(db)
    migrations = _migrations()
    if migrations.pending(db):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated while we waited for the lock; then nothing is pending any more.
            migrations.apply(db)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    restore_revision(connection)


def _check_ours(db: Database) -> None:
    """Refuse a database of another program, and one of a newer hactl."""
    found = db.conn.execute("PRAGMA application_id").fetchone()[0]
    if found not in {0, APPLICATION_ID} or (found == 0 and db.table_names()):
        raise StoreError("is a database of another program; choose another file with --state")
    unknown = {migration.name for migration in _migrations().applied(db)} - MIGRATIONS.keys()
    if unknown:
        raise StoreError(
            f"was written by a newer hactl (it has {', '.join(sorted(unknown))}); upgrade this hactl, "
            "or choose another file with --state"
        )


def check_readable(connection: sqlite3.Connection) -> None:
    """Refuse to read what is not ours, is newer, or has not been brought up to date. Raises StoreError."""
    db = _database(connection)
    _check_ours(db)
    if _migrations().pending(db):
        raise StoreError("holds no record of this version yet: apply or run makes it")


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
