"""Copies of the record: saved under load, examined, put back; and what is left of a damaged one."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite import copies
from hactl.adapters.record.sqlite.copies import examine, in_use, put_back, save
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.core.operations import State
from hactl.errors import StoreError

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(each.name for each in directory.iterdir())


def content(file: Path) -> bytes:
    """All of it."""
    return file.read_bytes()


async def pauses(store: Store, count: int, first: int = 0) -> None:
    """So many rows of history, and objects."""
    for number in range(first, first + count):
        await store.create_operation({"kind": "Pause", "cluster": f"c{number}", "actor": "kim"}, name=f"p{number}")


async def test_a_copy_is_of_one_moment_and_keeps_nobody_from_writing(store: Store, path: Path, tmp_path: Path) -> None:
    """What was written before is in it, and every operation in it has its object and its event."""
    await pauses(store, 30)
    writing = asyncio.create_task(pauses(store, 60, 30))
    found = []
    for number in range(3):
        target = tmp_path / f"copy{number}.db"
        found.append(await asyncio.to_thread(save, path, target))
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        rows = {each.name: each.rows for each in found[-1].tables}
        assert rows["operations"] == rows["objects"] >= 30
        assert (found[-1].problems, examine(target).problems) == ((), ())
    await writing
    assert names(tmp_path) == ["copy0.db", "copy1.db", "copy2.db", "var"]


async def test_a_copy_that_cannot_be_made_leaves_what_was_there(
    store: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half; another file is written over only when that is said."""
    await pauses(store, 1)
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        save(path, target)

    def full(_: Path) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(copies, "_flush", full)
        with pytest.raises(StoreError, match="No space left"):
            save(path, target, over=True)
    assert target.read_text() == "mine"
    assert names(tmp_path) == ["copy.db", "var"]
    save(path, target, over=True)
    assert examine(target).problems == ()


async def test_a_record_that_is_put_back_goes_on_behind_all_that_anybody_saw(path: Path, tmp_path: Path) -> None:
    """Watches list again, leases are newer; a switchover is not done a second time, a drain and a pause hold."""
    store = await open_record(path, actor="kim", command="hactl run")
    await pauses(store, 2)
    move = {"kind": "Switchover", "cluster": "c0", "group": "files", "node": "nas-b", "actor": "kim"}
    await store.create_operation(move, name="move")
    backup = tmp_path / "backup.db"
    save(path, backup)
    await pauses(store, 5, 2)
    newest = await store.revision()
    assert in_use(path) == 1
    with pytest.raises(StoreError, match="1 hactl process uses"):
        await put_back(path, backup, actor="kim", now=NOW)
    await store.close()

    kept, cancelled = await put_back(path, backup, actor="kim", now=NOW)
    assert (cancelled, kept) == (1, path.with_name("hactl.db.before-20261201T030000Z"))
    assert kept is not None
    assert names(path.parent) == sorted([path.name, kept.name, f"{path.name}.locks"])
    assert {each.name: each.rows for each in examine(kept).tables}["operations"] == 8
    again = await open_record(path, actor="kim", command="hactl run")
    try:
        assert await again.revision() > newest
        found = {each.kind: each.state for each in await again.operations()}
        assert found == {"Pause": State.OPEN, "Switchover": State.CANCELLED}
        _, (body,) = await again.objects("haoperations", "move")
        assert "restored from backup.db" in body["status"]["message"]
    finally:
        await again.close()


async def test_what_cannot_be_put_back(store: Store, path: Path, tmp_path: Path) -> None:
    """A damaged copy, a newer hactl's, another program's: refused before anything is touched."""
    await pauses(store, 200)
    await store.close()
    good, before = tmp_path / "good.db", content(path)
    save(path, good)
    damaged = tmp_path / "damaged.db"
    text = bytearray(content(good))
    text[len(text) // 2 : len(text) // 2 + 8192] = os.urandom(8192)
    damaged.write_bytes(text)
    newer = tmp_path / "newer.db"
    save(path, newer)
    other = tmp_path / "other.db"
    for file, statement in (
        (newer, "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('hactl', '9999_future', '')"),
        (other, "CREATE TABLE t (a)"),
    ):
        connection = sqlite3.connect(file)
        connection.execute(statement)
        connection.commit()
        connection.close()
    for file, why in ((damaged, "is damaged"), (newer, "newer hactl"), (other, "another program")):
        with pytest.raises(StoreError, match=why):
            await put_back(path, file, actor="kim", now=NOW)
    assert content(path) == before

    found = examine(damaged)
    assert found.problems
    whole = {each.name: each.rows for each in examine(good).tables}
    left = {each.name: each.rows for each in found.tables}
    assert 0 < sum(left.values()) <= sum(whole.values())
    assert all(left[name] <= rows for name, rows in whole.items())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
async def test_what_can_be_read_of_a_damaged_record_makes_a_new_one(path: Path, share: float) -> None:
    """It is sound, counts on, has nothing that was not there, and lets nothing be done twice; the other one is kept."""
    store = await open_record(path, actor="kim", command="hactl run")
    await store.create_token("ci", digest="a" * 64, role="viewer", actor="kim", expires_at=None)
    await pauses(store, 300)
    move = {"kind": "Switchover", "cluster": "c0", "group": "files", "node": "nas-b", "actor": "kim"}
    await store.create_operation(move, name="move")
    newest, before = await store.revision(), await store.history({"limit": 1000})
    with pytest.raises(StoreError, match="1 hactl process uses"):
        await copies.salvage(path, actor="kim", now=NOW)
    await store.close()
    text = bytearray(content(path))
    middle = int(len(text) * share) // 4096 * 4096
    text[middle : middle + 3 * 4096] = os.urandom(3 * 4096)
    path.write_bytes(text)  # noqa: ASYNC240
    assert examine(path).problems

    found = await copies.salvage(path, actor="kim", now=NOW)
    assert found.kept is not None
    assert content(found.kept) == bytes(text)
    assert examine(path).problems == ()
    again = await open_record(path, actor="kim", command="hactl run")
    try:
        assert await again.revision() > newest
        kept = [row for row in await again.history({"limit": 1000}) if row["id"] <= len(before)]
        assert kept
        assert all(row in before for row in kept)
        acting = [each for each in await again.operations(open_only=True) if each.kind == "Switchover"]
        assert acting == []
        await pauses(again, 1, 1000)
    finally:
        await again.close()
    left = {each for each in names(path.parent) if not each.startswith(found.kept.name)}
    assert left == {path.name, f"{path.name}.locks"}


async def test_of_a_file_that_is_no_record_nothing_is_saved(path: Path) -> None:
    """An empty one begins, and the file is kept; another program's database is refused and left alone."""
    path.parent.mkdir()
    path.write_bytes(b"not the tables you are looking for\n" * 500)  # noqa: ASYNC240
    found = await copies.salvage(path, actor="kim", now=NOW)
    assert (sum(each.rows for each in found.tables), examine(path).problems) == (0, ())
    assert found.kept is not None
    assert content(found.kept).startswith(b"not the tables")
    other = path.with_name("other.db")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = content(other)
    with pytest.raises(StoreError, match="another program"):
        await copies.salvage(other, actor="kim", now=NOW)
    assert content(other) == before
