"""What a power cut leaves of the root filesystem: docs/freebsd-facts.md#7.1 and #7.17."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from hactl.lab.files import Files
from hactl.lab.virtual_time import VirtualTime
from support.lab.recordings import Stage

#: How often a thing that is left to chance is tried.
TRIES = 12


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A booted pair under virtual time."""
    async with VirtualTime() as time:
        found = Stage(time)
        await found.start()
        yield found
        await found.nodes.close()


async def after_the_cut(stage: Stage, script: str, wait_seconds: float = 0.0) -> Files:
    """The files of nas-a when its power was cut after a script."""
    assert (await stage.do("nas-a", script))[0] == 0
    await stage.time.sleep(wait_seconds)
    stage.world.power_off("nas-a")
    return stage.world.machines["nas-a"].files


async def often(stage: Stage, script: str, read: Callable[[Files], str | None]) -> set[str | None]:
    """What is found after each of several cuts."""
    found = set()
    for _ in range(TRIES):
        found.add(read(await after_the_cut(stage, script)))
        stage.world.power_on("nas-a")
        await stage.time.sleep(stage.world.boot_seconds + 60)
        await stage.do("nas-a", "rm -rf /etc/x /etc/x.new /usr/local/d; fsync /etc /usr/local")
    return found


def text(path: str) -> Callable[[Files], str | None]:
    """Reads a file; None: it is not there."""
    return lambda files: files.read_text(path) if files.exists(path) else None


async def test_a_renamed_file_that_was_not_flushed_is_empty_or_was_not_renamed(stage: Stage) -> None:
    """Its name comes before its data, or not at all."""
    script = "echo old > /etc/x && fsync /etc/x && echo new > /etc/x.new && mv /etc/x.new /etc/x"
    assert await often(stage, script, text("/etc/x")) == {"", "old\n"}


async def test_a_flushed_file_is_whole_under_either_name(stage: Stage) -> None:
    """fsync NEW, mv: the old content or the new."""
    script = "echo old > /etc/x && fsync /etc/x && echo new > /etc/x.new && fsync /etc/x.new && mv /etc/x.new /etc/x"
    assert await often(stage, script, text("/etc/x")) == {"old\n", "new\n"}


async def test_with_its_directory_flushed_the_rename_is_certain(stage: Stage) -> None:
    """fsync NEW, mv, fsync DIR: the new content, and nothing stays behind."""
    script = (
        "echo old > /etc/x && fsync /etc/x; echo new > /etc/x.new; fsync /etc/x.new; mv /etc/x.new /etc/x; fsync /etc"
    )
    assert await often(stage, script, text("/etc/x")) == {"new\n"}
    assert await often(stage, script, text("/etc/x.new")) == {None}


async def test_a_directory_flushed_before_its_file_has_an_empty_one(stage: Stage) -> None:
    """The order matters: a name is no data."""
    script = "echo new > /etc/x.new && mv /etc/x.new /etc/x && fsync /etc"
    assert await often(stage, script, text("/etc/x")) <= {"", "\0\0\0\0"}


async def test_a_file_written_in_place_is_torn(stage: Stage) -> None:
    """As rc.conf was: NUL bytes where the new text should be, or nothing, or the old text."""
    script = "printf 'one\\n' > /etc/x && fsync /etc/x && printf 'two\\n' >> /etc/x"
    assert await often(stage, script, text("/etc/x")) == {"one\n", "", "one\n\0\0\0\0"}


async def test_sysrc_flushes_nothing(stage: Stage) -> None:
    """sysrc writes in place; fsync(1) of the file afterwards helps."""
    found = await often(stage, "sysrc -f /etc/x a=1", text("/etc/x"))
    assert found <= {None, ""}
    assert await often(stage, "sysrc -f /etc/x a=1 && fsync /etc/x", text("/etc/x")) == {'a="1"\n'}


async def test_a_removed_file_may_be_back(stage: Stage) -> None:
    """A name is gone for certain when its directory was flushed."""
    assert await often(stage, "echo a > /etc/x && fsync /etc/x && rm /etc/x", text("/etc/x")) == {None, "a\n"}
    assert await often(stage, "echo a > /etc/x && fsync /etc/x && rm /etc/x && fsync /etc", text("/etc/x")) == {None}


async def test_a_new_directory_takes_its_files_with_it(stage: Stage) -> None:
    """A flushed file in a directory that is not on the disk is nowhere."""
    made = "mkdir -p /usr/local/d && echo a > /usr/local/d/x && fsync /usr/local/d/x /usr/local/d"
    assert await often(stage, made, text("/usr/local/d/x")) == {None, "a\n"}
    assert await often(stage, f"{made} /usr/local", text("/usr/local/d/x")) == {"a\n"}


async def test_the_syncer_writes_what_is_old(stage: Stage) -> None:
    """Half a minute later nothing is lost; after an orderly shutdown neither."""
    files = await after_the_cut(stage, "echo a > /etc/x; mkdir /etc/d; echo b > /etc/d/y", 31.0)
    assert (files.read_text("/etc/x"), files.read_text("/etc/d/y")) == ("a\n", "b\n")
    stage.world.power_on("nas-a")
    await stage.time.sleep(stage.world.boot_seconds + 1)
    await stage.do("nas-a", "echo c > /etc/x; (shutdown -r now) >/dev/null 2>&1 &")
    await stage.time.sleep(stage.world.boot_seconds + 5)
    assert files.read_text("/etc/x") == "c\n"


async def test_what_is_not_on_the_disk_is_told(stage: Stage) -> None:
    """The paths a power cut could change."""
    root = stage.world.machines["nas-a"].disks.root
    await stage.time.sleep(40)
    assert root.volatile() == []
    await stage.do("nas-a", "echo a > /etc/x.new; echo b >> /etc/rc.conf; fsync /etc/x.new; mv /etc/x.new /etc/x")
    assert root.volatile() == ["/etc/rc.conf", "/etc/x", "/etc/x.new"]
    await stage.do("nas-a", "fsync /etc/rc.conf /etc")
    assert root.volatile() == []
