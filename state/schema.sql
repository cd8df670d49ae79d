-- The tables of the record, as the migrations in controller/hactl/adapters/record/sqlite/schema.py make them.
-- Generated: do not edit. How to query it: queries.sql. How to save and repair it: README.md.

CREATE TABLE controllers (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,  -- names its lock file: process-TOKEN.lock
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    command TEXT NOT NULL,
    actor TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT  -- NULL: it runs, or it died
);

CREATE TABLE clusters (
    name TEXT PRIMARY KEY,
    managed INTEGER NOT NULL,  -- 0: its document vanished from the source
    why TEXT NOT NULL,
    changed_at TEXT NOT NULL
);

CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL REFERENCES clusters (name),
    generation INTEGER NOT NULL,  -- 1, 2, 3 ...
    digest TEXT NOT NULL,  -- sha256 of its canonical JSON
    source TEXT NOT NULL,
    directory TEXT NOT NULL,
    actor TEXT NOT NULL,
    at TEXT NOT NULL,
    text TEXT NOT NULL, origin TEXT NOT NULL DEFAULT 'files', revision TEXT NOT NULL DEFAULT '', author TEXT NOT NULL DEFAULT '', revised_at TEXT NOT NULL DEFAULT '',  -- the YAML as found
    UNIQUE (cluster, generation)
);

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
, revision INTEGER NOT NULL DEFAULT 0);

CREATE INDEX steps_by_cluster ON steps (cluster, id);

CREATE INDEX steps_running ON steps (controller) WHERE outcome IS NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,  -- one sequence with steps
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    cluster TEXT NOT NULL,
    node TEXT,
    summary TEXT NOT NULL,
    detail TEXT,  -- JSON
    controller INTEGER NOT NULL REFERENCES controllers (id)
, revision INTEGER NOT NULL DEFAULT 0);

CREATE INDEX events_by_cluster ON events (cluster, id);

CREATE TABLE statuses (
    cluster TEXT PRIMARY KEY,
    status TEXT NOT NULL,  -- JSON, wire names; ages as they were when it last changed
    meaning TEXT NOT NULL,  -- the same without ages: what decides whether it changed
    changed_at TEXT NOT NULL
);

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
, name TEXT NOT NULL DEFAULT '', removed INTEGER NOT NULL DEFAULT 0);

CREATE INDEX operations_open ON operations (cluster) WHERE state = 'Open';

CREATE INDEX operations_moves ON operations (cluster, group_name, id) WHERE kind = 'Switchover';

CREATE TABLE leases (
    cluster TEXT PRIMARY KEY,
    holder TEXT NOT NULL,  -- token of the process that acts
    generation INTEGER NOT NULL,  -- only grows; travels with each step
    at TEXT NOT NULL
);

CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    newest INTEGER NOT NULL,  -- grows with every change of an object, event or step
    forgotten INTEGER NOT NULL  -- changes up to this one are no longer kept
);

CREATE TABLE objects (
    resource TEXT NOT NULL,  -- haclusters, haoperations, leases
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,  -- the same as its resourceVersion
    body TEXT NOT NULL,  -- JSON, whole
    PRIMARY KEY (resource, name)
);

CREATE TABLE changes (
    id INTEGER PRIMARY KEY,  -- dense, for trimming
    revision INTEGER NOT NULL UNIQUE,
    resource TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,  -- ADDED, MODIFIED, DELETED
    body TEXT NOT NULL  -- JSON, whole, as of then
);

CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,  -- sha256 of the token, hex
    role TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT
, last_used_at TEXT);

CREATE INDEX events_by_revision ON events (revision);

CREATE INDEX steps_by_revision ON steps (revision);
