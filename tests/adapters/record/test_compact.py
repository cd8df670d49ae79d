"""A record made smaller: beside those who use it, one of an older hactl too, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite import compact as compacting
from hactl.adapters.record.sqlite.compact import compact
from hactl.adapters.record.sqlite.copies import examine
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.errors import StoreError
from support.store_process import rows


async def much_forgotten(store: Store) -> None:
    """Some megabytes of history, of which the newest row is left."""
    for _ in range(150):
        await store.record("NodeLost", "nas", "x" * 20_000)
    await store.prune(keep_rows=1)


async def test_others_go_on_while_it_gets_smaller(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file gives its room back in pieces, between which others write; a reader sees one moment of it."""
    monkeypatch.setattr(compacting, "_SLICE", 32)
    await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "kim"})
    await much_forgotten(store)
    running = asyncio.create_task(asyncio.to_thread(compact, path))
    written = 0
    while not running.done():
        await store.record("NodeBack", "nas", f"during {written}")
        written += 1
        # A controller does more than to write: nobody gets his turn beside one who lets go of the lock for no time.
        await asyncio.sleep(0.01)
        assert len(await store.operations()) == 1
    found = await running
    assert (found.before > 4 * found.after, found.rewritten) == (True, False)
    assert written > 5
    assert len(await store.history({"kind": "NodeBack"})) == written
    await store.close()
    assert examine(path).problems == ()
    found = compact(path)
    assert found.before == found.after


async def test_one_of_an_older_hactl_is_written_anew_once(store: Store, path: Path) -> None:
    """Afterwards it gives room back in pieces as any other."""
    await much_forgotten(store)
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("VACUUM")
    connection.close()
    assert rows(path, "PRAGMA auto_vacuum") == [(0,)]
    again = await open_record(path)
    await much_forgotten(again)
    found = await asyncio.to_thread(compact, path)
    assert (found.before > 4 * found.after, found.rewritten) == (True, True)
    await much_forgotten(again)
    found = await asyncio.to_thread(compact, path)
    assert (found.before > 4 * found.after, found.rewritten) == (True, False)
    assert len(await again.history({})) == 1
    await again.close()
    assert examine(path).problems == ()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Nor one that is another program's touched."""
    with pytest.raises(StoreError, match="no record yet"):
        compact(tmp_path / "none.db")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        compact(other)
    assert (other.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (before, ["other.db"])
