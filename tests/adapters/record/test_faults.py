"""Store when the disk or the file is not well: it says so, writes nothing by halves, and goes on when it can."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite import file as store_file
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.errors import StoreError
from support.contracts.store import document, intent
from support.store_process import damage, finish, make_read_only, process, rows, write


async def test_a_full_database_stops_and_goes_on(store: Store) -> None:
    """No room: StoreError that says so; nothing half-written; with room again it goes on."""
    await store.put_document(document(), actor="root")

    async def limit(pages: int) -> None:
        sql = f"PRAGMA max_page_count = {pages}"
        await store.backend.write(lambda tables: tables.connection.execute(sql).fetchone())

    await limit(1)
    with pytest.raises(StoreError, match="cannot grow"):
        await store.record("NodeLost", "nas", "x" * 200_000)
    assert [row["kind"] for row in await store.history({})] == ["DocumentAccepted", "RecordFull"]
    await limit(1_000_000)
    step = await store.begin_step(intent())
    told = [(row["id"], row["kind"]) for row in await store.history({})]
    assert told[2:] == [(step, "StepBegun"), (4, "RecordWritable")]


async def test_a_full_disk_stops_and_goes_on(path: Path) -> None:
    """A limit of the kernel on file size (as a quota or a full disk): StoreError, then on with room again."""
    other = process(
        """
        store = await open_record(path)
        await store.put_document(document(), actor="root")
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        try:
            await store.record("NodeLost", "nas", "x" * 500_000)
        except HactlError as error:
            print(error)
        print(len(await store.history({})))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(await store.begin_step(intent()))
        await store.close()
        """,
        path,
    )
    error, events, step = (await asyncio.to_thread(finish, other)).splitlines()
    assert str(path) in error
    assert re.search("cannot (grow|be read or written)", error)
    # That of the document; and perhaps, where a few bytes had room, that there was none for half a megabyte.
    assert (events, step) in (("1", "2"), ("2", "3"))


async def test_a_locked_database_is_told_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds it: StoreError when patience ends, reading goes on, and so does writing afterwards."""
    monkeypatch.setattr(store_file, "BUSY_SECONDS", 0.1)
    store = await open_record(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked by another process.*database is locked"):
        await store.record("NodeLost", "nas", "x")
    assert list(await store.history({})) == []
    holder.execute("COMMIT")
    holder.close()
    await store.record("NodeLost", "nas", "x")
    await store.close()


async def test_a_database_that_is_no_database(path: Path) -> None:
    """Text where the database should be: told with the file and the repair, and left as it is."""
    text = b"these are not the tables you are looking for\n" * 100
    write(path, text)
    with pytest.raises(StoreError, match=r"is damaged \(file is not a database\).*hactl record restore") as caught:
        await open_record(path)
    assert str(path) in str(caught.value)
    assert await asyncio.to_thread(path.read_bytes) == text


async def test_a_damaged_database(store: Store, path: Path) -> None:
    """Pages overwritten in the middle: StoreError for reads and writes, never a wrong answer."""
    for number in range(200):
        await store.record("NodeLost", "nas", f"{number} " + "x" * 500)
    await store.close()
    damage(path)
    with pytest.raises(StoreError, match="is damaged"):
        await read_once(path)


async def read_once(path: Path) -> None:
    """What `hactl history` does."""
    store = await open_record(path)
    try:
        await store.history({})
    finally:
        await store.close()


async def test_a_record_saved_in_part_goes_on(store: Store, path: Path) -> None:
    """After a repair that lost the clusters, the documents keep their generations."""
    await store.put_document(document(), actor="root")
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM clusters")
    connection.commit()
    connection.close()
    again = await open_record(path)
    assert await again.put_document(document(), actor="root") == 1
    assert len(await again.documents()) == 1
    await again.close()


async def test_a_newer_record_is_refused(store: Store, path: Path) -> None:
    """A migration we do not know: upgrade hactl, for writers and readers alike."""
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('hactl', '9999-future')")
    connection.commit()
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"newer hactl \(it has 9999-future\)"):
            await open_record(path, read_only=read_only)


async def test_another_programs_database_is_refused(path: Path) -> None:
    """A SQLite file with other tables is not made ours."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="another program"):
            await open_record(path, read_only=read_only)
    assert rows(path, "SELECT name FROM sqlite_master") == [("bookmarks",)]


async def test_reading_only(store: Store, path: Path) -> None:
    """`hactl history` and `status` open the record without being able to change it."""
    await store.put_status("nas", {"ready": True})
    reader = await open_record(path, read_only=True)
    assert len(await reader.statuses()) == 1
    with pytest.raises(StoreError, match="read only"):
        await reader.record("NodeLost", "nas", "x")
    await reader.close()


async def test_reading_a_record_that_is_not_there(path: Path) -> None:
    """Reading makes no file; the message has the path and --state."""
    with pytest.raises(StoreError, match=r"no record yet.*--state") as caught:
        await open_record(path, read_only=True)
    assert str(path) in str(caught.value)
    assert not path.parent.exists()


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the directory should be: --state is the way out."""
    (tmp_path / "var").write_text("")
    with pytest.raises(StoreError, match=r"cannot make the database.*--state"):
        await open_record(tmp_path / "var" / "deep" / "hactl.db")


async def test_a_file_that_cannot_be_written(store: Store, path: Path, tmp_path: Path) -> None:
    """A read-only file, tried by a process without root's rights."""
    await store.close()
    make_read_only(path, tmp_path.parent.parent)
    other = process(
        """
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            store = await open_record(path)
            await store.record("NodeLost", "nas", "x")
        except HactlError as error:
            print(error)
        """,
        path,
    )
    output = await asyncio.to_thread(finish, other)
    assert str(path) in output
    assert "--state" in output


async def test_a_record_removed_while_in_use(store: Store, path: Path) -> None:
    """Writing into a file nobody can find any more is no record: hactl must not act on."""
    await store.put_document(document(), actor="root")
    for name in ("hactl.db", "hactl.db-wal", "hactl.db-shm"):
        path.with_name(name).unlink()
    with pytest.raises(StoreError, match="removed or replaced"):
        await store.begin_step(intent())
    with pytest.raises(StoreError, match="no record yet"):
        await store.history({})
