"""A full disk: what was begun is recorded to its end, nothing else is begun, and all goes on when there is room."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite import reserve
from hactl.adapters.record.sqlite.reserve import Reserve
from hactl.adapters.record.sqlite.store import open_record
from hactl.errors import StoreError
from support.contracts.store import document, intent
from support.limits import LIMIT_SECONDS
from support.record.small_disk import SmallDisk, small_disk
from support.store_process import finish, process, rows

MIB = 1024 * 1024
#: Small, so that tests are quick; two pages of output need more than one of it.
ROOM = 256 * 1024
#: A process in the middle of a step that asks us what to do next, one word a line.
CONTROLLER = """
from hactl.core.catalogue import EventKind
store = await open_record(path, actor="eve", command="hactl run", reserve_bytes=1048576)
step = None
for line in sys.stdin:
    word = line.strip()
    try:
        if word == "begin":
            await store.put_document(document(), actor="eve")
            step = await store.begin_step(intent())
            said = "begun"
        elif word == "end":
            await store.end_step(step, outcome="Done", exit_status=0, output="x" * 60000, seconds=1)
            said = "ended"
        elif word == "try":
            said = str(await store.try_writing())
        else:
            said = store.writes.trouble
    except HactlError as error:
        said = str(error)
    print(said.replace(chr(10), " "), flush=True)
await store.close()
"""


class Controller:
    """Such a process on a small disk."""

    def __init__(self, disk: SmallDisk) -> None:
        """It has opened its record."""
        self.running = process(CONTROLLER, disk.path / "hactl.db", disk.inside)
        assert self("trouble") == ""

    def __call__(self, word: str) -> str:
        """What it says to that."""
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.write(f"{word}\n")
        self.running.stdin.flush()
        said = self.running.stdout.readline()
        assert said, self.running.communicate(timeout=LIMIT_SECONDS)[1]
        return said.rstrip("\n")

    def kill(self) -> None:
        """As `kill -9`: of the process itself, not of what entered the namespace for it (which became it)."""
        self.running.send_signal(signal.SIGKILL)
        self.running.communicate(timeout=LIMIT_SECONDS)
        assert self.running.returncode == -signal.SIGKILL

    def stop(self) -> None:
        """In order."""
        assert finish(self.running) == ""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """8 MiB."""
    with small_disk(tmp_path / "disk", 8 * MIB) as found:
        yield found


def kinds(disk: SmallDisk) -> list[str]:
    """What the history has, steps with their outcomes; asked where the disk is."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*[r[0] for r in c.execute("
        "\"SELECT kind, id FROM events UNION ALL SELECT coalesce(outcome, 'running'), id FROM steps ORDER BY 2\")])"
    )
    asked = subprocess.run(
        [*disk.inside, "python3", "-c", code, str(disk.path / "hactl.db")], capture_output=True, text=True, check=True
    )
    return asked.stdout.split()


def test_the_outcome_of_a_step_is_recorded_on_a_full_disk(disk: SmallDisk) -> None:
    """With the room that is kept; nothing is begun then, until there is room again: and all is in the history."""
    controller = Controller(disk)
    assert controller("begin") == "begun"
    assert (disk.here / "hactl.db.reserve").stat().st_size == MIB
    disk.fill()
    assert controller("end") == "ended"
    assert not (disk.here / "hactl.db.reserve").exists()
    disk.fill(leave=64 * 1024)
    for _ in range(3):
        assert "hactl begins nothing until then" in controller("begin")
    assert controller("try") == "False"
    assert "make room" in controller("trouble")
    disk.make_room()
    assert controller("try") == "True"
    assert controller("trouble") == ""
    assert (disk.here / "hactl.db.reserve").stat().st_size == MIB
    assert controller("begin") == "begun"
    assert controller("end") == "ended"
    assert kinds(disk) == ["DocumentAccepted", "Done", "RecordFull", "RecordWritable", "Done"]
    controller.stop()


def test_a_process_that_is_killed_on_a_full_disk(disk: SmallDisk) -> None:
    """The next one opens the record there, settles the step of the dead one, begins nothing; and goes on with room."""
    killed = Controller(disk)
    assert killed("begin") == "begun"
    disk.fill()
    killed.kill()
    again = Controller(disk)
    assert kinds(disk) == ["DocumentAccepted", "Indeterminate"]
    disk.fill()
    assert "hactl begins nothing until then" in again("begin")
    again.kill()
    # With not a block left and the room given back, a record may not even open: that is said then.
    disk.make_room()
    disk.fill(leave=MIB)
    third = Controller(disk)
    assert "hactl begins nothing until then" in third("begin")
    disk.make_room()
    assert third("begin") == "begun"
    assert third("end") == "ended"
    third.stop()
    assert kinds(disk)[-2:] == ["Done", "RecordWritable"]


def test_a_record_is_made_smaller_on_a_full_disk(disk: SmallDisk) -> None:
    """What may free the disk does not need the room that it is to make."""
    path = disk.path / "hactl.db"
    body = """
    store = await open_record(path, reserve_bytes=1048576)
    for number in range(100):
        await store.record("NodeLost", "nas", str(number % 10) * 20000)
    await store.prune(keep_rows=1)
    await store.close()
    """
    finish(process(body, path, disk.inside))
    disk.fill()
    body = """
    from hactl.adapters.record.sqlite.compact import compact
    found = compact(path)
    print(found.before > 2 * found.after, found.rewritten)
    """
    assert finish(process(body, path, disk.inside)) == "True False\n"
    assert disk.free > MIB // 2


# -- the same without a small disk: everywhere ------------------------------------------------------------------------


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much room the disk says it has; to be changed."""
    found = [1024 * MIB]
    monkeypatch.setattr(reserve, "free_bytes", lambda directory: found[0])
    return found


def test_the_room_is_made_once_and_again_when_there_is_enough(tmp_path: Path, free: list[int]) -> None:
    """Not where nothing would be left besides; one that was not made to its end is made anew."""
    kept = Reserve(tmp_path / "hactl.db", ROOM)
    kept.keep()
    made = kept.file.stat()
    assert (made.st_size, made.st_mode & 0o777) == (ROOM, 0o600)
    free[0] = 0
    kept.keep()
    assert kept.file.stat().st_ino == made.st_ino
    assert kept.give_back()
    assert not kept.give_back()
    free[0] = ROOM + reserve.SPARE_BYTES - 1
    with pytest.raises(StoreError, match="make room"):
        kept.keep()
    assert not kept.file.exists()
    kept.file.write_bytes(b"half")
    free[0] += 1
    kept.keep()
    assert kept.file.stat().st_size == ROOM
    assert not kept.give_back_to_open()
    free[0] = reserve.LEAST_BYTES - 1
    assert kept.give_back_to_open()


async def test_what_was_begun_is_said_and_nothing_is_begun(path: Path, free: list[int]) -> None:
    """SQLite's own limit plays the disk: the reserve goes to the outcome only, and the trouble is told."""
    store = await open_record(path, reserve_bytes=ROOM)
    kept = Reserve(path, ROOM)
    await store.put_document(document(), actor="root")
    step = await store.begin_step(intent())
    assert kept.file.exists()
    free[0] = 0

    async def limit(pages: int) -> None:
        sql = f"PRAGMA max_page_count = {pages}"
        await store.backend.write(lambda tables: tables.connection.execute(sql).fetchone())

    await limit(1)
    with pytest.raises(StoreError, match="cannot grow"):
        await store.record("NodeLost", "nas", "x" * 200_000)
    assert (store.writes.failed, "cannot grow" in store.writes.trouble) == (1, True)
    assert kept.file.exists()
    with pytest.raises(StoreError, match="cannot grow"):
        await store.end_step(step, outcome="Done", exit_status=0, output="x" * 60_000, seconds=0)
    assert not kept.file.exists()
    await limit(1_000_000)
    await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
    assert "cannot grow" in store.writes.trouble
    for _ in range(2):
        with pytest.raises(StoreError, match="begins nothing"):
            await store.begin_step(intent())
    assert not await store.try_writing()
    assert "begins nothing" in store.writes.trouble
    free[0] = 1024 * MIB
    assert await store.try_writing()
    assert (store.writes.trouble, kept.file.exists()) == ("", True)
    assert not await store.try_writing()
    await store.begin_step(intent())
    told = [row["kind"] for row in await store.history({}) if row["kind"].startswith("Record")]
    assert told == ["RecordFull", "RecordWritable"]
    await store.close()


async def test_another_process_does_not_take_the_room_that_was_given_back(path: Path, free: list[int]) -> None:
    """It is for what was begun, whoever gave it back."""
    one, other = await open_record(path, reserve_bytes=ROOM), await open_record(path, reserve_bytes=ROOM)
    await one.put_document(document(), actor="root")
    step = await other.begin_step(intent())
    assert Reserve(path, ROOM).give_back()
    free[0] = 0
    with pytest.raises(StoreError, match="begins nothing"):
        await other.begin_step(intent())
    await other.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
    await asyncio.gather(one.close(), other.close())
    assert rows(path, "SELECT outcome FROM steps") == [("Done",)]


async def test_a_record_that_is_only_looked_at_keeps_no_room(path: Path) -> None:
    """It is made with the first write, not before."""
    store = await open_record(path, reserve_bytes=ROOM)
    await store.statuses()
    assert not Reserve(path, ROOM).file.exists()
    await store.close()
    assert not Reserve(path, ROOM).file.exists()
