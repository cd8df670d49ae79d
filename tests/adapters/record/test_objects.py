"""Objects in SQLite: what a crash leaves, what an older record becomes, what other processes see."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from hactl.adapters.record import backend
from hactl.adapters.record.rows import canonical
from hactl.adapters.record.sqlite.schema import APPLICATION_ID, MIGRATIONS
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.sqlite.tables import SQLiteTables
from hactl.adapters.record.store import Store
from hactl.adapters.yaml.documents import read_documents
from hactl.core.operations import State
from hactl.errors import StoreError, TooOld
from support.contracts.objects import body, create, labelled, lease, only
from support.contracts.store import ManualClock, document, intent
from support.documents import NAS
from support.limits import LIMIT_SECONDS
from support.store_process import finish, process, rows


def agreed(path: Path) -> int:
    """Check that documents, objects, changes, operations, history and revision agree; how many objects there are."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    objects = {(row["resource"], row["name"]): row for row in connection.execute("SELECT * FROM objects")}
    newest, forgotten = tuple(connection.execute("SELECT newest, forgotten FROM revision").fetchone())
    changes = connection.execute("SELECT * FROM changes ORDER BY revision").fetchall()
    assert (
        [row["id"] for row in changes] == list(range(changes[0]["id"], changes[0]["id"] + len(changes)))
        if changes
        else True
    )
    replayed = {}
    for row in changes:
        assert json.loads(row["body"])["metadata"]["resourceVersion"] == str(row["revision"])
        replayed[row["resource"], row["name"]] = row
    for key, row in replayed.items():
        if row["type"] == "DELETED":
            assert key not in objects
        else:
            assert (objects[key]["revision"], objects[key]["body"]) == (row["revision"], row["body"])
    managed = connection.execute(
        "SELECT cluster, max(generation) FROM documents JOIN clusters ON name = cluster WHERE managed GROUP BY cluster"
    ).fetchall()
    clusters = {name: json.loads(row["body"]) for (kind, name), row in objects.items() if kind == "haclusters"}
    assert {name: each["metadata"]["generation"] for name, each in clusters.items()} == {
        row[0]: row[1] for row in managed
    }
    operations = connection.execute("SELECT id, name, state FROM operations WHERE removed = 0").fetchall()
    bodies = {name: json.loads(row["body"]) for (kind, name), row in objects.items() if kind == "haoperations"}
    assert {row["name"]: row["state"] for row in operations} == {
        name: each["status"]["state"] for name, each in bodies.items()
    }
    accepted = connection.execute("SELECT count(*) FROM events WHERE kind = 'DocumentAccepted'").fetchone()[0]
    assert accepted >= connection.execute("SELECT count(*) FROM documents").fetchone()[0]
    taken = [row[0] for table in ("events", "steps", "changes", "objects")
             for row in connection.execute(f"SELECT revision FROM {table}")]  # fmt: skip
    assert newest == max([0, *taken])
    assert forgotten <= newest
    connection.close()
    return len(objects)


async def everything(store: Store) -> None:
    """Each kind of write once, some of them twice."""
    await store.put_document(document(), actor="controller", origin="x")
    await store.put_status("nas", {"a": 1})
    await store.put_document(labelled(document(), site="b"), actor="controller", origin="x")
    made = await create(store, "web")
    number = await store.open_operation({"kind": "Pause", "cluster": "", "actor": "kim"})
    step = await store.begin_step(intent())
    await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
    revision = int(made["metadata"]["resourceVersion"])
    await store.update_object(
        "haclusters", body("web", labels={"a": "b"}), expected=revision, actor="a", document=document("web", "d2")
    )
    await store.create_object("leases", lease(), actor="a")
    await store.put_status("web", {"a": 1}, events=[("NodeLost", "x", None, None)])
    await store.end_operation(number, State.DONE, "")
    pause = await store.create_operation({"kind": "Pause", "cluster": "web", "actor": "kim"}, name="mine")
    await store.delete_object("haoperations", pause["metadata"]["name"], actor="kim")
    await store.delete_object("haclusters", "web", actor="a")
    await store.unmanage("nas", why="gone", origin="x")
    await store.put_document(document("nas", "d3"), actor="controller", origin="x")
    await store.prune(keep_days=0)


async def test_a_crash_between_any_two_statements_leaves_a_whole_record(
    store: Store, path: Path, tmp_path: Path
) -> None:
    """The files as they were before each statement, as a dying process leaves them: everything agrees in each."""
    snapshots: list[Path] = []

    def snapshot(statement: str) -> None:
        where = tmp_path / f"crash-{len(snapshots)}" / "hactl.db"
        where.parent.mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{where}{suffix}")
        snapshots.append(where)

    await store.backend.write(lambda tables: tables.connection.set_trace_callback(snapshot))
    await everything(store)
    await store.backend.write(lambda tables: tables.connection.set_trace_callback(None))
    assert len(snapshots) > 100
    objects = {agreed(where) for where in snapshots}
    assert len(objects) > 3, "the snapshots are of different moments"


async def test_a_killed_process_leaves_a_whole_record(path: Path) -> None:
    """kill -9 while it writes as fast as it can."""
    for words in (30, 75):
        killed = process(
            f"""
            from support.contracts.objects import create
            store = await open_record(path)
            statements = 0
            def count(statement):
                nonlocal statements
                statements += 1
                if statements == {words}:
                    os.kill(os.getpid(), signal.SIGKILL)
            await store.backend.write(lambda tables: tables.connection.set_trace_callback(count))
            for n in range(100):
                await create(store, f"c{words}-{{n}}")
                await store.put_status(f"c{words}-{{n}}", {{"a": n}})
            """,
            path,
        )
        await asyncio.to_thread(killed.communicate, timeout=LIMIT_SECONDS)
        assert killed.returncode == -signal.SIGKILL
        assert agreed(path) > 0
    store = await open_record(path)
    await create(store, "after")
    await store.close()
    agreed(path)


async def test_a_refused_write_leaves_nothing(store: Store, path: Path) -> None:
    """A body that is not JSON, found out when everything else is written already."""
    await create(store)
    before = rows(path, "SELECT newest FROM revision")
    with pytest.raises(StoreError, match="not JSON"):
        await store.put_status("nas", {"a": float("nan")})
    assert rows(path, "SELECT newest FROM revision") == before
    assert rows(path, "SELECT count(*) FROM statuses") == [(0,)]
    agreed(path)


async def test_a_watch_goes_on_after_a_restart(store: Store, path: Path, clock: ManualClock) -> None:
    """The log of changes is in the file."""
    await create(store)
    revision = await store.revision()
    await store.put_status("nas", {"a": 1})
    await store.close()
    again = await open_record(path, clock=clock)
    assert [change.type for change in await again.changes_since(revision)] == ["MODIFIED"]
    assert await again.revision() == revision + 1
    await again.close()


async def test_writes_of_another_process_are_told(store: Store, path: Path) -> None:
    """Once each, whatever we wrote ourselves; the listeners are told too, and the changes can be read."""
    await create(store)
    calls: list[int] = []
    store.on_change(lambda: calls.append(1))
    await asyncio.sleep(0)
    calls.clear()
    assert not await store.changed_outside()
    other = process(
        """
        store = await open_record(path)
        await store.put_status("nas", {"a": 1})
        await store.close()
        """,
        path,
    )
    await asyncio.to_thread(finish, other)
    await store.put_status("fw", {"a": 1})
    await asyncio.sleep(0)
    calls.clear()
    assert await store.changed_outside()
    await asyncio.sleep(0)
    assert calls == [1]
    assert not await store.changed_outside()
    assert (await store.changes_since(0))[-1].body["status"]["a"] == 1


async def test_a_record_that_is_only_read_is_told_too(store: Store, path: Path) -> None:
    """For the writer everybody else is outside, for a reader everybody is; nothing can be changed through it."""
    reader = await open_record(path, read_only=True)
    assert not await reader.changed_outside()
    await create(store)
    assert await reader.changed_outside()
    assert not await reader.changed_outside()
    assert (await only(reader))["metadata"]["name"] == "nas"
    with pytest.raises(StoreError, match="read only"):
        await reader.create_object("leases", lease(), actor="a")
    await reader.close()


async def test_what_another_process_wrote_just_before_counts(store: Store, path: Path) -> None:
    """Between the look that finds something to write and the transaction: the rules hold then, too."""
    await store.put_document(document(), actor="root", origin="clusters")

    def comes_from(origin: str) -> None:
        other = sqlite3.connect(path)
        with other:
            other.execute("UPDATE documents SET origin = ?", (origin,))
        other.close()

    def overtaken(tables: SQLiteTables) -> None:
        begin = tables.writing

        def writing() -> AbstractContextManager[None]:
            comes_from("")
            return begin()

        tables.writing = writing  # type: ignore[method-assign]

    await store.backend.write(overtaken)
    await store.unmanage("nas", why="gone", origin="clusters")
    assert await store.origin("nas") == ""
    comes_from("clusters")
    with pytest.raises(StoreError, match="made through the API"):
        await store.put_document(document(digest="d2"), actor="controller", origin="clusters")
    assert len(await store.generations("nas")) == 1


async def test_a_failing_listener_keeps_nobody_else_from_being_told(store: Store) -> None:
    """Nor the write from being done; the loop's handler is told."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    calls: list[int] = []

    def failing() -> None:
        raise RuntimeError("listener")

    store.on_change(failing)
    store.on_change(lambda: calls.append(1))
    await create(store)
    await asyncio.sleep(0)
    assert calls == [1]
    assert [str(error) for error in told] == ["listener"]


async def test_asking_writes_nothing(store: Store, path: Path) -> None:
    """Not a page: lists, watches, tokens, and updates that change nothing."""
    made = await create(store)
    watcher = sqlite3.connect(path)

    def version() -> int:
        return int(watcher.execute("PRAGMA data_version").fetchone()[0])

    before = version()
    await store.update_object(
        "haclusters", made, expected=int(made["metadata"]["resourceVersion"]), actor="a", document=document()
    )
    await store.put_document(document(), actor="controller", origin="")
    for question in (store.objects("haclusters"), store.changes_since(0), store.event_rows(), store.tokens()):
        await question
    await store.changed_outside()
    await store.origins()
    assert version() == before
    await store.create_object("leases", lease(), actor="a")
    assert version() != before
    watcher.close()


async def test_the_log_of_changes_stays_small(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is gone from the file too; where it ends is known after a restart."""
    monkeypatch.setattr(backend, "CHANGES_KEPT", 128)
    await store.put_document(document(), actor="root")
    for number in range(300):
        await store.put_status("nas", {"a": number})
    ((count, oldest),) = rows(path, "SELECT count(*), min(revision) FROM changes")
    assert 128 <= count < 128 + 64
    await store.close()
    again = await open_record(path)
    with pytest.raises(TooOld):
        await again.changes_since(oldest - 2)
    assert (await again.changes_since(oldest - 1, limit=1))[0].revision == oldest
    await again.close()


def older_record(path: Path, upto: str = "0002-requests") -> None:
    """A record as hactl made it before there were objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    db = Database(connection, execute_plugins=False)
    old = Migrations("hactl")
    for name, statements in MIGRATIONS.items():
        if name <= upto:
            old(name=name)(lambda db, statements=statements: [db.conn.execute(each) for each in statements])
    old.apply(db)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    at = "2026-11-20T03:00:00.000Z"
    connection.execute(
        "INSERT INTO controllers (id, token, pid, host, command, actor, started_at, ended_at) "
        "VALUES (1, 't', 1, 'h', 'hactl run', 'root', ?, ?)",
        (at, at),
    )
    for name, managed, text_of in (("nas", 1, NAS), ("gone", 0, NAS), ("odd", 1, "not a document")):
        connection.execute("INSERT INTO clusters VALUES (?, ?, 'x', ?)", (name, managed, at))
        for generation in (1, 2):
            connection.execute(
                "INSERT INTO documents (cluster, generation, digest, source, directory, actor, at, text) "
                "VALUES (?, ?, ?, 'clusters/nas.yaml', '/etc/hactl', 'controller', ?, ?)",
                (name, generation, f"old{generation}", at, text_of),
            )
    status = canonical({"name": "nas", "generation": 2, "a": 1})
    connection.execute("INSERT INTO statuses VALUES ('nas', ?, ?, ?)", (status, status, at))
    for number, kind in ((1, "DocumentAccepted"), (3, "NodeLost")):
        connection.execute("INSERT INTO events VALUES (?, ?, ?, 'nas', NULL, 'x', NULL, 1)", (number, at, kind))
    connection.execute(
        "INSERT INTO steps VALUES (2, 'nas', 2, 'p', 'nas-a', 'v', 't', 'c', 'none', 'w', 'root', 'apply', 1, ?, ?, "
        "'Done', 0, '', 1)",
        (at, at),
    )
    for cluster, state in (("nas", "Done"), ("", "Open")):
        connection.execute(
            "INSERT INTO operations (cluster, kind, actor, reason, opened_at, group_name, node, resource, detail, "
            "state, message, ended_at) VALUES (?, 'Pause', 'kim', '', ?, '', '', '', '{}', ?, '', ?)",
            (cluster, at, state, at if state == "Done" else None),
        )
    connection.commit()
    connection.close()


async def test_an_older_record_gets_its_objects(path: Path) -> None:
    """Of what is managed and can be read, with status and generation; of every operation; watches begin afterwards."""
    older_record(path)
    store = await open_record(path)
    revision, clusters = await store.objects("haclusters")
    (found,) = clusters
    metadata = found["metadata"]
    assert (metadata["name"], metadata["generation"], metadata["labels"]) == ("nas", 2, {"site": "example"})
    assert metadata["creationTimestamp"] == "2026-11-20T03:00:00Z"
    assert found["status"]["a"] == 1
    assert [each["type"] for each in found["status"]["requests"]] == ["Pause"]
    assert [each["metadata"]["name"] for each in (await store.objects("haoperations"))[1]] == ["pause-1", "pause-2"]
    assert await store.origin("nas") == "files"
    assert [(row["id"], row["revision"]) for row in (await store.event_rows())[1]] == [(1, 1), (2, 2), (3, 3)]
    assert revision == 6
    assert list(await store.changes_since(revision)) == []
    with pytest.raises(TooOld):
        await store.changes_since(revision - 1)
    await store.end_operation(2, State.DONE, "")
    assert (await store.objects("haoperations", "pause-2"))[1][0]["status"]["state"] == "Done"
    await store.close()


async def test_an_upgrade_makes_no_new_generation(path: Path) -> None:
    """The digest used to cover the labels: what is in force is known by the new one, and its status is not news."""
    older_record(path)
    store = await open_record(path)
    text = rows(path, "SELECT text FROM documents WHERE cluster = 'nas' AND generation = 2")[0][0]
    (read,) = read_documents(text.encode(), source="clusters/nas.yaml", directory="/etc/hactl").documents
    assert await store.put_document(read, actor="controller", origin="/etc/hactl") == 2
    assert not await store.put_status("nas", {"name": "nas", "generation": 2, "a": 1})
    assert await store.origin("nas") == "/etc/hactl"
    # What could not be read gets its object when a document comes that can.
    assert await store.put_document(document("odd"), actor="controller", origin="/etc/hactl") == 3
    assert len((await store.objects("haclusters"))[1]) == 2
    await store.close()


async def test_a_status_that_cannot_be_shown_is_put_again(path: Path) -> None:
    """A status of a much older hactl is no reason to refuse the record."""
    older_record(path)
    connection = sqlite3.connect(path)
    connection.execute("""UPDATE statuses SET status = '{"groups": [1]}'""")
    connection.commit()
    connection.close()
    store = await open_record(path)
    assert "status" not in await only(store)
    assert await store.put_status("nas", {"name": "nas", "generation": 2, "a": 1})
    assert (await only(store))["status"]["a"] == 1
    await store.close()


async def test_a_repaired_record_counts_on(store: Store, path: Path) -> None:
    """The row that counts was lost: no revision is used twice, and watches begin anew."""
    await create(store)
    newest = await store.revision()
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM revision")
    connection.commit()
    connection.close()
    again = await open_record(path)
    assert await again.revision() == newest
    with pytest.raises(TooOld):
        await again.changes_since(newest - 1)
    await again.put_status("nas", {"a": 1})
    assert await again.revision() == newest + 1
    await again.close()


async def test_objects_that_were_lost_are_made_again(store: Store, path: Path) -> None:
    """A repair that lost the objects: the next time its source is read a cluster has one again."""
    await store.put_document(document(), actor="controller", origin="x")
    await store.put_status("nas", {"a": 1})
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM objects")
    connection.commit()
    connection.close()
    again = await open_record(path)
    assert await again.put_document(document(), actor="controller", origin="x") == 1
    assert await again.put_status("nas", {"a": 1})
    assert (await only(again))["status"]["a"] == 1
    await again.close()
