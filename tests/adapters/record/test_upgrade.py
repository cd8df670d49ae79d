"""Records of every version there was, brought up to date; and a newer one, which an older hactl refuses in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from hactl.adapters.record.sqlite import schema, upgrade
from hactl.adapters.record.sqlite.copies import examine
from hactl.adapters.record.sqlite.schema import APPLICATION_ID, MIGRATIONS
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.sqlite.tables import DOCUMENT_BYTES, EVENT_BYTES, STEP_BYTES
from hactl.adapters.record.sqlite.upgrade import schema_sql
from hactl.errors import StoreError
from support.documents import NAS
from support.store_process import rows, stamp

#: Every version that was released had the first so many migrations.
VERSIONS = range(1, len(MIGRATIONS) + 1)
AT = "2026-11-24T03:00:00.000Z"
#: What each version could hold, in the columns that it had: (first version, table, row).
HELD: Sequence[tuple[int, str, dict[str, Any]]] = (
    (1, "controllers", {"id": 1, "token": "t", "pid": 7, "host": "gw", "command": "hactl run", "actor": "kim@gw",
                        "started_at": AT, "ended_at": AT}),
    (1, "clusters", {"name": "nas", "managed": 1, "why": "document nas.yaml", "changed_at": AT}),
    (1, "documents", {"cluster": "nas", "generation": 1, "digest": "old", "source": "nas.yaml", "directory": "/c",
                      "actor": "kim@gw", "at": AT, "text": NAS.replace("3h", "2h")}),
    (1, "documents", {"cluster": "nas", "generation": 2, "digest": "new", "source": "nas.yaml", "directory": "/c",
                      "actor": "kim@gw", "at": AT, "text": NAS}),
    (1, "events", {"id": 1, "at": AT, "kind": "NodeLost", "cluster": "nas", "node": "nas-a", "summary": "silent \u00e9",
                   "detail": '{"reason":"x"}', "controller": 1}),
    (1, "steps", {"id": 2, "cluster": "nas", "generation": 2, "plan": "abc", "node": "nas-a", "verb": "SetVhid",
                  "target": "vtnet1 vhid 80", "command": "ifconfig", "risk": "none", "why": "\u00fcber", "actor": "k",
                  "cause": "spec", "controller": 1, "at": AT, "ended_at": AT, "outcome": "Failed", "exit_status": 1,
                  "output": "no", "seconds": 0.5}),
    (1, "statuses", {"cluster": "nas", "status": '{"ready":true}', "meaning": '{"ready":true}', "changed_at": AT}),
    (2, "operations", {"id": 5, "cluster": "nas", "kind": "Pause", "actor": "kim@gw", "reason": "r", "opened_at": AT,
                       "group_name": "", "node": "", "resource": "", "detail": "{}", "state": "Open", "message": ""}),
    (2, "leases", {"cluster": "nas", "holder": "t", "generation": 1790000000, "at": AT}),
    (3, "tokens", {"name": "ci", "digest": "d", "role": "viewer", "created_at": AT, "created_by": "kim"}),
)  # fmt: skip


def released(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record as that version left it."""
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path)
    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "MIGRATIONS", dict(list(MIGRATIONS.items())[:version]))
        upgrade._migrations().apply(Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for since, table, row in HELD:
        if since <= version:
            places = ", ".join(f":{column}" for column in row)
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_a_version_held_is_there_in_the_newest(
    path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row with every column it had; the tables are those of a new record; it counts on and is written to."""
    released(path, version, monkeypatch)
    with pytest.raises(StoreError, match="apply or run makes it") if version < len(MIGRATIONS) else nullcontext():
        await (await open_record(path, read_only=True)).close()
    store = await open_record(path, actor="kim", command="hactl run")
    try:
        for since, table, row in HELD:
            # The digest covers less since objects came.
            kept = {column: value for column, value in row.items() if column != "digest"}
            where = " AND ".join(f"{column} IS {_quoted(value)}" for column, value in kept.items())
            found = rows(path, f"SELECT count(*) FROM {table} WHERE {where}")
            assert found == [(int(since <= version),)], (table, row)
        assert [row["generation"] for row in await store.documents()] == [2]
        assert [row["id"] for row in await store.history({"failed": True})] == [1, 2]
        for table, kind, size in (
            ("events", "NodeLost", EVENT_BYTES), ("steps", "StepEnded", STEP_BYTES),
            ("documents", "Document", DOCUMENT_BYTES),
        ):  # fmt: skip
            (counted,) = rows(path, f"SELECT bytes FROM sizes WHERE kind = '{kind}'")
            assert [counted] == rows(path, f"SELECT sum({size}) FROM {table}")
        await store.record("NodeBack", "nas", "again")
        assert [row["id"] for row in await store.history({})] == [1, 2, 3]
        assert await store.lease("nas") > 1790000000 * (version >= 2)
    finally:
        await store.close()
    assert examine(path).problems == ()
    fresh = path.with_name("fresh.db")
    with sqlite3.connect(fresh) as connection:
        connection.executescript(schema_sql())
    connection.close()
    tables = "SELECT name FROM sqlite_master WHERE tbl_name <> '_sqlite_migrations' ORDER BY name"
    assert rows(path, tables) == rows(fresh, tables)


@pytest.mark.parametrize("version", VERSIONS[:-1])
async def test_an_older_version_refuses_it_in_words(path: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To write and to read: what it does not know is named, and the file stays as it is."""
    await (await open_record(path)).close()
    before = stamp(path)
    newer = ", ".join(list(MIGRATIONS)[version:])
    monkeypatch.setattr(schema, "MIGRATIONS", dict(list(MIGRATIONS.items())[:version]))
    for read_only in (False, True):
        with pytest.raises(StoreError, match=rf"newer hactl \(it has {newer}\); upgrade this hactl"):
            await open_record(path, read_only=read_only)
    assert stamp(path) == before


def _quoted(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"
