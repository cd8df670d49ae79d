"""ClusterLock: one pass per cluster, one controller per database, whatever happens to the holder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hactl.adapters.lock import ClusterLock, lock_directory
from hactl.errors import Busy, StoreError
from support.contracts.store import ManualClock
from support.limits import LIMIT_SECONDS

HOLD = """
import asyncio, sys
from pathlib import Path
from hactl.adapters.lock import ClusterLock
async def main():
    async with ClusterLock(Path(sys.argv[1]), command="hactl run --source clusters").{what}:
        print("held", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the locks are; it does not exist yet."""
    return lock_directory(tmp_path / "hactl.db")


def holder(directory: Path, what: str = "cluster('nas')") -> subprocess.Popen[str]:
    """Another process that holds a lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(what=what), str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def test_one_at_a_time(directory: Path) -> None:
    """Two tasks of one process exclude each other; other clusters are free; afterwards it is free again."""
    first, second = ClusterLock(directory), ClusterLock(directory)
    async with first.cluster("nas"):
        with pytest.raises(Busy):
            async with second.cluster("nas"):
                pass
        async with second.cluster("fw"):
            pass
    async with second.cluster("nas"):
        pass


async def test_busy_says_who_holds_it(directory: Path) -> None:
    """Pid, command, and since when."""
    clock = ManualClock()
    mine = ClusterLock(directory, clock=clock, command="hactl --state x.db apply -f nas.yaml")
    async with mine.cluster("nas"):
        with pytest.raises(Busy, match=r"cluster nas is in use by hactl apply \(pid \d+ on ") as caught:
            async with mine.cluster("nas"):
                pass
    assert "since 2026-11-24T03:00:00Z" in str(caught.value)


async def test_a_dead_holder_holds_nothing(directory: Path) -> None:
    """kill -9: the kernel lets go, and what still stands in the file does not matter."""
    process = await asyncio.to_thread(holder, directory)
    locks = ClusterLock(directory)
    with pytest.raises(Busy, match=rf"in use by hactl run \(pid {process.pid} on "):
        async with locks.cluster("nas"):
            pass
    process.kill()
    process.communicate(timeout=LIMIT_SECONDS)
    async with locks.cluster("nas"):
        pass


async def test_one_controller_per_database(directory: Path) -> None:
    """A second `run` is told about the first; a cluster's lock is another matter."""
    process = await asyncio.to_thread(holder, directory, "controller()")
    locks = ClusterLock(directory)
    with pytest.raises(Busy, match=r"another controller runs on this database: hactl run"):
        async with locks.controller():
            pass
    assert (locks.controller_holder() or pytest.fail("nobody")).pid == process.pid
    async with locks.cluster("nas"):
        pass
    process.communicate(timeout=LIMIT_SECONDS)
    assert locks.controller_holder() is None
    async with locks.controller():
        pass


async def test_waiting_gets_it_when_it_is_free(directory: Path) -> None:
    """Who waits gets the lock, and the event loop goes on meanwhile."""
    locks, order = ClusterLock(directory), []

    async def first() -> None:
        async with locks.cluster("nas"):
            order.append("first")
            await asyncio.sleep(0.05)
            order.append("first ends")

    async def second() -> None:
        async with locks.cluster("nas", wait_seconds=5):
            order.append("second")

    await asyncio.gather(first(), second())
    assert order == ["first", "first ends", "second"]


async def test_waiting_ends_in_time(directory: Path) -> None:
    """After wait_seconds, Busy; counted on the clock that was given."""
    clock = ManualClock()
    locks = ClusterLock(directory, clock=clock)
    async with locks.cluster("nas"):
        with pytest.raises(Busy):
            async with locks.cluster("nas", wait_seconds=30):
                pass
    assert clock.seconds == pytest.approx(30)


async def test_a_cancelled_wait_leaves_nothing(directory: Path) -> None:
    """Cancelling who waits neither takes nor breaks the lock."""
    locks = ClusterLock(directory)

    async def wait() -> None:
        async with locks.cluster("nas", wait_seconds=30):
            pytest.fail("it was held")

    async with locks.cluster("nas"):
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Busy):
            async with locks.cluster("nas"):
                pytest.fail("it was held")
    async with locks.cluster("nas"):
        pass


async def test_an_error_inside_lets_go(directory: Path) -> None:
    """What goes wrong in a pass does not leave its lock behind."""
    locks = ClusterLock(directory)
    with pytest.raises(RuntimeError):
        async with locks.cluster("nas"):
            raise RuntimeError
    async with locks.cluster("nas"):
        pass


def modes(directory: Path) -> dict[str, int]:
    """Permissions of a directory and of what is in it."""
    return {found.name: found.stat().st_mode & 0o777 for found in (directory, *directory.iterdir())}


async def test_files_are_private_and_stay(directory: Path) -> None:
    """0600 in 0700; never removed, because another process may be about to lock the same file."""
    locks = ClusterLock(directory)
    async with locks.cluster("nas"), locks.controller():
        pass
    assert modes(directory) == {
        directory.name: 0o700,
        "cluster-nas.lock": 0o600,
        "controller.lock": 0o600,
    }
    elsewhere = directory / "elsewhere"
    assert ClusterLock(elsewhere).controller_holder() is None
    assert not elsewhere.exists()


async def test_names_stay_in_the_directory(directory: Path) -> None:
    """A cluster's name cannot lead anywhere else, and neither can a link in the place of a lock."""
    locks = ClusterLock(directory)
    with pytest.raises(ValueError, match="file name"):
        async with locks.cluster("../../etc/passwd"):
            pass
    async with locks.cluster("nas"):
        pass
    (directory / "cluster-fw.lock").symlink_to(directory / "elsewhere")
    with pytest.raises(StoreError, match="cannot open the lock file"):
        async with locks.cluster("fw"):
            pass
    assert not (directory / "elsewhere").exists()


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the directory should be is a StoreError with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--state"):
        async with ClusterLock(tmp_path / "file" / "locks").cluster("nas"):
            pass


async def test_garbage_in_a_lock_file_decides_nothing(directory: Path) -> None:
    """What stands in the file is only for people."""
    locks = ClusterLock(directory)
    async with locks.cluster("nas"):
        (directory / "cluster-nas.lock").write_text("\x00garbage")
        with pytest.raises(Busy, match="has not said who it is"):
            async with locks.cluster("nas"):
                pass
    (directory / "cluster-nas.lock").write_text('{"pid": "x"}')
    async with locks.cluster("nas"):
        pass
