"""The tables of the record, as migrations: each runs once, in order, in a transaction of its own.

- A migration that was released is never changed; a new one is added.
- A file with a migration we do not know was written by a newer hactl and is refused.
- Times are ISO 8601 text in UTC with milliseconds, so that text order is time order.
- Events and steps share one sequence of ids: their order is the order of writing, whatever the wall clock did.
- What carries them out is in `upgrade`: to look at a record is to be quick.
"""

from __future__ import annotations

import sqlite3

from hactl.errors import StoreError

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

#: What of a row counts in `sizes`: its texts in bytes and, about, what the rest of it takes with its indexes.
_EVENT_BYTES = "length(CAST({0}summary AS BLOB)) + coalesce(length(CAST({0}detail AS BLOB)), 0) + 200"
_STEP_BYTES = (
    "length(CAST({0}command AS BLOB)) + length(CAST({0}why AS BLOB)) "
    "+ coalesce(length(CAST({0}output AS BLOB)), 0) + 400"
)
_DOCUMENT_BYTES = "length(CAST({0}text AS BLOB)) + 400"


def _counted(table: str, kind: str, size: str, changed: str = "") -> tuple[str, ...]:
    """Triggers that keep the sum of a table in `sizes`, by `kind`; `changed`: a column that may get longer."""
    new, old = size.format("NEW."), size.format("OLD.")
    new_kind, old_kind = kind.format("NEW."), kind.format("OLD.")
    add = f"""
    CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN
        INSERT INTO sizes (kind, bytes) VALUES ({new_kind}, {new})
        ON CONFLICT (kind) DO UPDATE SET bytes = bytes + excluded.bytes;
    END
    """
    forget = f"""
    CREATE TRIGGER {table}_forgotten AFTER DELETE ON {table} BEGIN
        UPDATE sizes SET bytes = bytes - ({old}) WHERE kind = {old_kind};
    END
    """
    change = f"""
    CREATE TRIGGER {table}_changed AFTER UPDATE OF {changed} ON {table} BEGIN
        UPDATE sizes SET bytes = bytes + ({new}) - ({old}) WHERE kind = {new_kind};
    END
    """
    return (add, forget, change) if changed else (add, forget)


_SIZES = (
    """
    CREATE TABLE sizes (
        kind TEXT PRIMARY KEY,  -- of events; StepEnded: all steps; Document: all generations
        bytes INTEGER NOT NULL  -- kept by triggers: what a budget is compared with
    )
    """,
    f"INSERT INTO sizes SELECT kind, sum({_EVENT_BYTES.format('')}) FROM events GROUP BY kind",
    f"INSERT INTO sizes SELECT 'StepEnded', coalesce(sum({_STEP_BYTES.format('')}), 0) FROM steps",
    f"INSERT INTO sizes SELECT 'Document', coalesce(sum({_DOCUMENT_BYTES.format('')}), 0) FROM documents",
    *_counted("events", "{0}kind", _EVENT_BYTES),
    *_counted("steps", "'StepEnded'", _STEP_BYTES, "output"),
    *_counted("documents", "'Document'", _DOCUMENT_BYTES, "text"),
    "CREATE INDEX events_by_kind ON events (kind)",
    "CREATE INDEX events_by_node ON events (node) WHERE node IS NOT NULL",
    "CREATE INDEX events_by_time ON events (at)",
    "CREATE INDEX events_by_controller ON events (controller)",
    "CREATE INDEX steps_by_node ON steps (node)",
    "CREATE INDEX steps_by_time ON steps (at)",
    "CREATE INDEX steps_by_controller ON steps (controller)",
    "CREATE INDEX steps_not_done ON steps (id) WHERE outcome IN ('Failed', 'Indeterminate')",
    "CREATE INDEX steps_in_flight ON steps (id) WHERE outcome IS NULL",
    "CREATE INDEX documents_by_time ON documents (at)",
    "CREATE INDEX operations_by_cluster ON operations (cluster)",
)

#: Name -> statements. Released ones are never changed or renamed.
MIGRATIONS: dict[str, tuple[str, ...]] = {
    "0001-first": _FIRST,
    "0002-requests": _OPERATIONS,
    "0003-objects": _OBJECTS,
    "0004-token-use": _TOKEN_USE,
    "0005-sizes": _SIZES,
}


def check_ours(connection: sqlite3.Connection) -> set[str]:
    """The migrations it has. Raises StoreError for a database of another program, and one of a newer hactl.

    As sqlite-utils keeps them, which is not imported for it: `status` and `history` are to answer at once.
    """
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if found not in {0, APPLICATION_ID} or (found == 0 and names):
        raise StoreError("is a database of another program; choose another file with --state")
    applied: set[str] = set()
    if "_sqlite_migrations" in names:
        rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'hactl'")
        applied = {row[0] for row in rows}
    if unknown := applied - MIGRATIONS.keys():
        raise StoreError(
            f"was written by a newer hactl (it has {', '.join(sorted(unknown))}); upgrade this hactl, "
            "or choose another file with --state"
        )
    return applied


def check_readable(connection: sqlite3.Connection) -> None:
    """Refuse to read what is not ours, is newer, or has not been brought up to date. Raises StoreError."""
    if check_ours(connection) != MIGRATIONS.keys():
        raise StoreError("holds no record of this version yet: apply or run makes it")
