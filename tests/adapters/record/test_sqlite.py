"""Store: the contract, its files, and several processes on one record."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from hactl.adapters.lock import lock_directory
from hactl.adapters.record.sqlite.file import default_state_path, exposed
from hactl.adapters.record.sqlite.schema import APPLICATION_ID, MIGRATIONS, schema_sql
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.sqlite.tables import SQLiteTables
from hactl.adapters.record.store import Store
from hactl.errors import Busy, StoreError
from support.contracts.objects import ObjectsContract
from support.contracts.store import ManualClock, StoreContract, document, intent
from support.limits import LIMIT_SECONDS
from support.store_process import REPOSITORY, finish, process, rows, stamp


class TestSQLiteStoreContract(StoreContract):
    """The contract, in a file."""


class TestSQLiteObjectsContract(ObjectsContract):
    """The API's side of the contract, in a file."""


async def test_files_are_private(store: Store, path: Path) -> None:
    """The database and its log are 0600, the directory and the locks' 0700."""
    await store.record("NodeLost", "nas", "x")
    modes = {found.name: oct(found.stat().st_mode & 0o777) for found in path.parent.iterdir()}
    assert modes == {
        "hactl.db": "0o600",
        "hactl.db-wal": "0o600",
        "hactl.db-shm": "0o600",
        "hactl.db.locks": "0o700",
    }
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {found.stat().st_mode & 0o777 for found in lock_directory(path).iterdir()} == {0o600}


async def test_the_connection_is_durable(store: Store) -> None:
    """Write-ahead log, synced at every commit, foreign keys, patience with other processes."""

    def ask(tables: SQLiteTables) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [tables.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.backend.write(ask) == ["wal", 2, 1, 5000]


async def test_an_unchanged_pass_writes_nothing(store: Store, path: Path) -> None:
    """Not a page: neither the file nor its log is touched, and another connection sees no change."""
    await store.put_document(document(), actor="root")
    await store.put_status("nas", {"ageSeconds": 1, "ready": True})
    watcher = sqlite3.connect(path)
    log = path.with_name("hactl.db-wal")

    def seen() -> tuple[Any, ...]:
        version = watcher.execute("PRAGMA data_version").fetchone()[0]
        return version, *((found.stat().st_mtime_ns, found.stat().st_size) for found in (path, log))

    async def changes() -> int:
        return int(await store.backend.write(lambda tables: tables.connection.total_changes))

    before, changes_before = seen(), await changes()
    for age in range(2, 5):
        assert await store.put_document(document(), actor="root") == 1
        assert not await store.put_status("nas", {"ageSeconds": age, "ready": True})
        await store.unmanage("fw", why="gone")
        await store.statuses()
        await store.documents()
        await store.history({})
        await store.recover()
    assert (seen(), await changes()) == (before, changes_before)
    await store.put_status("nas", {"ageSeconds": 5, "ready": False})
    assert seen() != before
    watcher.close()


async def test_opening_a_record_writes_nothing(store: Store, path: Path) -> None:
    """A plan or an apply that finds nothing to do leaves no trace of itself."""
    await store.close()
    before = stamp(path)
    again = await open_record(path)
    await again.close()
    assert stamp(path) == before
    assert rows(path, "SELECT count(*) FROM controllers") == [(0,)]


async def test_what_was_written_is_there_after_reopening(store: Store, path: Path, clock: ManualClock) -> None:
    """Everything survives a close."""
    await store.put_document(document(), actor="root")
    step = await store.begin_step(intent())
    await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0.5)
    await store.put_status("nas", {"ready": True})
    history, documents = await store.history({}), await store.documents()
    await store.close()
    assert {found.name for found in path.parent.iterdir()} == {"hactl.db", "hactl.db.locks"}
    clock.seconds = 60
    again = await open_record(path, clock=clock)
    assert await again.history({}) == history
    assert await again.documents() == documents
    assert (await again.statuses())[0]["age_seconds"] == 60
    await again.close()


async def test_a_killed_process_leaves_an_indeterminate_step(path: Path) -> None:
    """kill -9 between intent and outcome: the next one that opens the record says what is known."""
    killed = process(
        """
        store = await open_record(path, actor="eve", command="hactl run")
        await store.put_document(document(), actor="eve")
        await store.begin_step(intent())
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
    )
    killed.communicate(timeout=LIMIT_SECONDS)
    assert killed.returncode == -signal.SIGKILL
    store = await open_record(path)
    (step,) = await store.history({"kind": "Step"})
    assert (step["outcome"], step["output"]) == ("Indeterminate", "controller died")
    assert list(lock_directory(path).glob("process-*")) == []
    await store.close()


async def test_a_living_process_keeps_its_step(path: Path) -> None:
    """Opening the record beside a process that works does not touch its steps; after its death, recover does."""
    other = process(
        """
        store = await open_record(path)
        await store.put_document(document(), actor="eve")
        await store.begin_step(intent())
        print("begun", flush=True)
        sys.stdin.read()
        """,
        path,
    )
    assert other.stdout is not None
    assert await asyncio.to_thread(other.stdout.readline) == "begun\n"
    store = await open_record(path)
    assert await store.recover() == 0
    assert (await store.history({"kind": "Step"}))[0]["outcome"] is None
    other.kill()
    other.communicate(timeout=LIMIT_SECONDS)
    assert await store.recover() == 1
    assert (await store.history({"failed": True}))[0]["output"] == "controller died"
    await store.close()


async def test_two_stores_of_one_process_keep_apart(store: Store, path: Path) -> None:
    """One does not settle the other's steps, and cannot end them."""
    await store.put_document(document(), actor="root")
    step = await store.begin_step(intent())
    second = await open_record(path)
    await second.record("ControllerStarted", "nas", "second")
    with pytest.raises(StoreError, match="running step"):
        await second.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
    await second.close()
    await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
    assert (await store.history({"kind": "Step"}))[0]["outcome"] == "Done"


async def test_a_document_applied_by_another_process_makes_a_plan_stale(store: Store, path: Path) -> None:
    """`run` planned for generation 1, `apply` brings generation 2: the step is refused before it runs."""
    await store.put_document(document(), actor="root")
    other = process(
        """
        store = await open_record(path)
        await store.put_document(document(digest="d2"), actor="eve")
        await store.close()
        """,
        path,
    )
    finish(other)
    with pytest.raises(Busy, match="generation 2"):
        await store.begin_step(intent(generation=1))


async def test_another_process_that_acts_takes_the_lease(store: Store, path: Path) -> None:
    """The one that held it may not begin a step any more, asks again, and gets a newer one; both are on record."""
    await store.put_document(document(), actor="root")
    first = await store.lease("nas")
    other = process(
        """
        store = await open_record(path, command="hactl run")
        print(await store.lease("nas"))
        await store.close()
        """,
        path,
    )
    second = int(await asyncio.to_thread(finish, other))
    assert second > first
    with pytest.raises(Busy, match="another hactl process"):
        await store.begin_step(intent(), lease=first)
    third = await store.lease("nas")
    assert third > second
    assert await store.begin_step(intent(), lease=third) > 0
    taken = [row["summary"] for row in await store.history({"kind": "LeaseTaken"})]
    assert taken == [f"hactl run acts now, with lease {second}", f"hactl apply acts now, with lease {third}"]


async def test_a_record_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    """What it holds stays; operations and leases are there afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    db = Database(connection, execute_plugins=False)
    old = Migrations("hactl")
    old(name="0001-first")(lambda db: [db.conn.execute(s) for s in MIGRATIONS["0001-first"]])
    old.apply(db)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("INSERT INTO statuses VALUES ('nas', '{}', '{}', '2026-11-24T03:00:00.000Z')")
    connection.commit()
    connection.close()
    store = await open_record(path)
    assert await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "root"}) == 1
    assert [row["cluster"] for row in await store.statuses()] == ["nas"]
    await store.close()


async def test_an_orderly_end_settles_its_own_steps(store: Store, path: Path) -> None:
    """A process that ends with a step in flight does not leave it running for ever."""
    await store.put_document(document(), actor="root")
    await store.begin_step(intent())
    await store.close()
    assert rows(path, "SELECT outcome, output FROM steps") == [
        ("Indeterminate", "hactl ended before the outcome was known")
    ]
    assert rows(path, "SELECT count(*) FROM controllers WHERE ended_at IS NULL") == [(0,)]
    assert rows(path, "SELECT actor, command FROM controllers") == [("root", "hactl apply")]


async def test_many_processes_make_one_record(path: Path) -> None:
    """Four that start at once on a missing file all work, and their ids are one sequence."""
    body = """
    store = await open_record(path)
    for n in range(5):
        await store.record("NodeLost", "nas", str(n))
    await store.close()
    """
    running = [process(body, path) for _ in range(4)]
    for one in running:
        await asyncio.to_thread(finish, one)
    assert rows(path, "SELECT count(*), max(id) FROM events") == [(20, 20)]
    assert rows(path, "SELECT count(*) FROM _sqlite_migrations") == [(len(MIGRATIONS),)]


async def test_a_cancelled_intent_is_settled(store: Store) -> None:
    """The thread cannot be stopped, so the step is recorded as never sent."""
    await store.put_document(document(), actor="root")
    task = asyncio.create_task(store.begin_step(intent()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (step,) = await store.history({"kind": "Step"})
    assert (step["outcome"], step["output"]) == ("Failed", "cancelled before it was sent")


async def test_a_cancelled_write_is_finished(store: Store) -> None:
    """Cancelling a caller does not lose what it was about to record."""
    task = asyncio.create_task(store.record("NodeLost", "nas", "x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await store.history({})) == 1


def test_the_default_path_is_the_checkouts_or_the_systems(tmp_path: Path) -> None:
    """state/hactl.db in a checkout (of the working directory or of the package), /var/db/hactl otherwise."""
    installed = tmp_path / "lib" / "python3.11" / "site-packages" / "hactl" / "__init__.py"
    assert default_state_path(tmp_path, installed) == Path("/var/db/hactl/hactl.db")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert default_state_path(tmp_path, installed) == Path("/var/db/hactl/hactl.db")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "hactl"\n')
    assert default_state_path(tmp_path, installed) == tmp_path / "state" / "hactl.db"
    assert default_state_path(Path("/")) == REPOSITORY / "state" / "hactl.db"


def test_schema_file_is_what_the_migrations_make() -> None:
    """state/schema.sql is generated (`make gen`)."""
    assert (REPOSITORY / "state" / "schema.sql").read_text() == schema_sql()


async def test_every_operators_query_runs(store: Store, path: Path) -> None:
    """Each query of state/queries.sql runs on a record with something of everything, and most find something."""
    await store.put_document(document(), actor="root")
    await store.begin_step(intent())
    step = await store.begin_step(intent())
    await store.end_step(step, outcome="Failed", exit_status=1, output="no", seconds=2)
    await store.record("NodeLost", "nas", "nas-a: no answer", node="nas-a")
    conditions = [{"type": "Ready", "status": "True", "reason": "AsWanted", "message": "fine"}]
    await store.put_status("nas", {"conditions": conditions})
    await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "root"})
    await store.lease("nas")
    await store.create_token("ci", digest="a" * 64, role="viewer", actor="root", expires_at=None)
    await store.record("RequestRefused", "nas", "x", detail={"actor": "eve", "verb": "update", "code": 403})
    text = (REPOSITORY / "state" / "queries.sql").read_text()
    queries = [query for query in text.split(";\n") if query.strip()]
    assert len(queries) >= 10
    for query in queries:
        found = rows(path, query)
        assert found or "'-1 day'" in query, query


def test_the_backup_without_the_command_line_tool_works(tmp_path: Path) -> None:
    """The Python line of state/README.md copies a record."""
    text = (REPOSITORY / "state" / "README.md").read_text()
    (code,) = re.findall(r"python3\.11 -c '([^']+)'", text)
    source, copy = tmp_path / "a.db", tmp_path / "b.db"
    connection = sqlite3.connect(source)
    connection.executescript(schema_sql())
    connection.close()
    subprocess.run([sys.executable, "-c", code, str(source), str(copy)], check=True, timeout=LIMIT_SECONDS)
    assert ("steps",) in rows(copy, "SELECT name FROM sqlite_master")
    assert str(APPLICATION_ID) in text


def test_a_record_that_others_can_open_or_replace_is_told(tmp_path: Path) -> None:
    """Each with the chmod that ends it; nothing of one that is private, or not there yet."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    path = directory / "hactl.db"
    assert exposed(path) == []
    path.touch(mode=0o600)
    assert exposed(path) == []
    directory.chmod(0o777)
    path.chmod(0o644)
    assert [each.partition(": ")[2] for each in exposed(path)] == [f"chmod go-w {directory}", f"chmod 600 {path}"]
