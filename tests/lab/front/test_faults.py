"""LabNodes speaks `ports.Nodes` and fails in every way a link can; VirtualTime is fair and repeats itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hactl.errors import NodeGarbled, NodeUnreachable
from hactl.lab.front.nodes import Trouble
from hactl.lab.virtual_time import VirtualTime
from hactl.ports import Target
from support.lab.recordings import Stage

TARGET = Target("nas", "nas-a", "127.0.0.1", 22, "root", ("none",))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A booted pair under virtual time."""
    async with VirtualTime() as time:
        found = Stage(time)
        await found.start()
        yield found
        await found.nodes.close()


async def test_answer(stage: Stage) -> None:
    """Status, both streams, and the virtual seconds it took; output is heard as it comes."""
    heard: list[str] = []
    answer = await stage.nodes.run(
        TARGET, "echo a; sleep 2; echo b >&2; exit 4", timeout_seconds=10, on_output=heard.append
    )
    assert (answer.exit_status, answer.stdout, answer.stderr, answer.timed_out) == (4, "a\n", "b\n", False)
    assert answer.seconds == pytest.approx(2.0)
    assert heard == ["a\n"]


async def test_giving_up_kills_the_script(stage: Stage) -> None:
    """After the timeout the answer has no status, what was printed is there, and nothing goes on."""
    answer = await stage.nodes.run(TARGET, "echo a; sleep 60; touch /var/db/late", timeout_seconds=5)
    assert (answer.exit_status, answer.stdout, answer.timed_out) == (None, "a\n", True)
    await stage.time.sleep(100)
    assert not stage.world.machines["nas-a"].files.exists("/var/db/late")


async def test_lost_answer_ran(stage: Stage) -> None:
    """The script ran; only its answer is lost, once."""
    stage.nodes.faults["nas-a"] = Trouble("lost", once=True)
    with pytest.raises(NodeGarbled):
        await stage.nodes.run(TARGET, "touch /var/db/ran", timeout_seconds=10)
    assert stage.world.machines["nas-a"].files.exists("/var/db/ran")
    assert (await stage.nodes.run(TARGET, "echo ok", timeout_seconds=10)).stdout == "ok\n"


@pytest.mark.parametrize("fault", ["unreachable", "refused"])
async def test_refused_before_sending(stage: Stage, fault: str) -> None:
    """Nothing was sent, so nothing ran."""
    stage.nodes.faults["nas-a"] = Trouble(fault)  # type: ignore[arg-type]
    with pytest.raises(NodeUnreachable):
        await stage.nodes.run(TARGET, "touch /var/db/ran", timeout_seconds=10)
    assert not stage.world.machines["nas-a"].files.exists("/var/db/ran")


async def test_slow_garbage_and_cut(stage: Stage) -> None:
    """A slow node costs its time, a garbled one answers something else, a cut one breaks in the middle."""
    stage.nodes.faults["nas-a"] = Trouble("slow", seconds=30)
    assert (await stage.nodes.run(TARGET, "echo ok", timeout_seconds=60)).seconds == pytest.approx(30)
    assert (await stage.nodes.run(TARGET, "echo ok", timeout_seconds=20)).timed_out
    stage.nodes.faults["nas-a"] = Trouble("garbage", text="<html>")
    assert (await stage.nodes.run(TARGET, "echo ok", timeout_seconds=60)).stdout == "<html>"
    stage.nodes.faults["nas-a"] = Trouble("cut")
    with pytest.raises(NodeGarbled):
        await stage.nodes.run(TARGET, "echo ok", timeout_seconds=60)


async def test_power_loss_during_a_script(stage: Stage) -> None:
    """The connection breaks at that moment; afterwards the machine refuses until it is up."""
    stage.world.at(3.0, lambda: stage.world.power_off("nas-a"))
    before = stage.time.monotonic()
    with pytest.raises(NodeGarbled):
        await stage.nodes.run(TARGET, "sleep 60", timeout_seconds=100)
    assert stage.time.monotonic() - before == pytest.approx(3.0)
    with pytest.raises(NodeUnreachable):
        await stage.nodes.run(TARGET, "true", timeout_seconds=10)
    stage.world.power_on("nas-a")
    await stage.time.sleep(stage.world.boot_seconds + 1)
    assert (await stage.nodes.run(TARGET, "echo up", timeout_seconds=10)).stdout == "up\n"


async def test_frozen_machines_answer_after_the_thaw(stage: Stage) -> None:
    """A frozen machine costs the caller its timeout; a thawed one answers."""
    stage.world.freeze("nas-a")
    answer = await stage.nodes.run(TARGET, "echo no", timeout_seconds=10)
    assert answer.timed_out
    assert answer.stdout == ""
    stage.world.at(4.0, lambda: stage.world.thaw("nas-a"))
    answer = await stage.nodes.run(TARGET, "echo yes", timeout_seconds=10)
    assert (answer.stdout, answer.exit_status) == ("yes\n", 0)


async def test_stream_of_devd(stage: Stage) -> None:
    """Events arrive at the moment they happen; closing the stream ends nc; a power cut breaks it."""
    stream = stage.nodes.stream(TARGET, "exec nc -dU /var/run/devd.pipe")
    first = asyncio.ensure_future(anext(stream))
    await stage.time.sleep(1)
    await stage.do("nas-a", "kldload carp; ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 pass x alias")
    assert await first == "!system=CARP subsystem=80@vtnet1 type=BACKUP"
    assert await anext(stream) == "!system=CARP subsystem=80@vtnet1 type=MASTER"
    machine = stage.world.machines["nas-a"]
    assert len(machine.devctl.listeners) == 1
    stage.world.power_off("nas-a")
    with pytest.raises(NodeGarbled):
        await anext(stream)
    assert machine.devctl.listeners == []


async def test_stream_closed_by_its_reader(stage: Stage) -> None:
    """aclose ends the program on the node."""
    stream = stage.nodes.stream(TARGET, "exec nc -dU /var/run/devd.pipe")
    waiting = asyncio.ensure_future(anext(stream))
    await stage.time.sleep(1)
    assert len(stage.world.machines["nas-a"].devctl.listeners) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert stage.world.machines["nas-a"].devctl.listeners == []


async def test_restarting_devd_ends_its_readers(stage: Stage) -> None:
    """nc sees the end of its stream and exits 0."""
    reading = asyncio.ensure_future(stage.do("nas-a", "nc -dU /var/run/devd.pipe; echo $?"))
    await stage.time.sleep(1)
    await stage.do("nas-a", "service devd restart")
    assert (await reading)[1] == "0\n"


async def test_time_jumps_and_events_keep_their_order() -> None:
    """A day passes at once; sleepers wake in order of their times; world events run between."""
    seen: list[tuple[str, float]] = []
    async with VirtualTime() as time:
        stage = Stage(time)

        async def sleeper(name: str, seconds: float) -> None:
            await time.sleep(seconds)
            seen.append((name, time.monotonic()))

        stage.world.at(50.0, lambda: seen.append(("event", time.monotonic())))
        await asyncio.gather(sleeper("long", 86400.0), sleeper("short", 1.0), sleeper("middle", 60.0))
    assert seen == [("short", 1.0), ("event", 50.0), ("middle", 60.0), ("long", 86400.0)]


async def test_hold_keeps_time_still() -> None:
    """While a thread works nobody's sleep ends."""
    async with VirtualTime() as time:
        woken = asyncio.ensure_future(time.sleep(5))
        with time.hold():
            await asyncio.to_thread(lambda: None)
            assert time.monotonic() == 0.0
            assert not woken.done()
        await woken
        assert time.monotonic() == 5.0


async def test_unstarted_time_says_so() -> None:
    """Sleeping on a clock nobody moves is an error, not a hang."""
    with pytest.raises(RuntimeError, match="async with"):
        await VirtualTime().sleep(1)
