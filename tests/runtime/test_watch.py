"""Which of devd's lines wake a look, and the script that listens."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
from pathlib import Path

import pytest

from hactl.core.probe.listening import LISTEN
from hactl.errors import NodeUnreachable
from hactl.ports import Target
from hactl.runtime.watch import KNOCKS_PER_SECOND, DevdWatch, worth_a_look
from support.limits import LIMIT_SECONDS
from support.toy_world import ToyNodes, VirtualClock, play

RECORDINGS = Path(__file__).parents[1] / "recordings"


def recorded_events() -> set[str]:
    """Every line of devd in the recordings of a real pair."""
    lines: set[str] = set()
    for file in RECORDINGS.glob("*.json"):
        for step in json.loads(file.read_text())["steps"]:
            lines.update(re.findall(r"^![a-z]+=.*$", step.get("stdout", ""), re.MULTILINE))
    return lines


def test_every_recorded_carp_and_link_event_wakes_a_look() -> None:
    """The lines are as FreeBSD 13.2 wrote them."""
    events = recorded_events()
    carp = {line for line in events if line.startswith("!system=CARP")}
    assert carp
    for line in events:
        expected = line in carp or bool(re.search(r"^!system=IFNET .*LINK_|cdev=hast/", line))
        assert worth_a_look(line) == expected, line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("!system=CARP subsystem=1@em0.100 type=INIT", True),
        ("!system=IFNET subsystem=em0 type=LINK_DOWN", True),
        ("!system=DEVFS subsystem=CDEV type=DESTROY cdev=hast/shared", True),
        ("!system=DEVFS subsystem=CDEV type=CREATE cdev=pts/0", False),
        ("!system=IFNET subsystem=em0 type=RENAME", False),
        ("!system=ZFS subsystem=ZFS type=misc.fs.zfs.config_sync", False),
        ("+CARP at nonsense", False),
        ("# listening", False),
        ("# a daemon ended", True),
        ("Nov 29 22:13:20 nas-a hastd[1064]: [data] (primary) Disconnected from tcp4://198.51.100.12.", True),
        ("Nov  2 22:13:20 nas-a hastd[1064]: [data] (secondary) Worker process exited", True),
        ("Nov 29 22:13:20 nas-a sshd[9]: hastd(1)", False),
        ("", False),
    ],
)
def test_lines_that_wake_and_lines_that_do_not(line: str, expected: bool) -> None:
    """Terminals come and go on every login: those must not wake anybody."""
    assert worth_a_look(line) is expected


def test_the_listening_script_is_posix_shell() -> None:
    """`sh -n` accepts it, and it uses nc's idle limit so that it cannot outlive us for long."""
    assert (
        subprocess.run(["/bin/sh", "-n"], input=LISTEN, text=True, check=False, timeout=LIMIT_SECONDS).returncode == 0
    )
    assert "nc -dU -w 60 /var/run/devd.pipe" in LISTEN


def make_target(node: str, host: str = "h") -> Target:
    """How to reach a node of the toy pair."""
    return Target("pair", node, host, 22, "root", ("ssh-ed25519 AAAA",))


def test_following_other_nodes_ends_the_old_streams_and_opens_the_new_ones() -> None:
    """A changed address is another stream; an unchanged one stays open; close ends everything."""

    async def story() -> None:
        nodes, clock = ToyNodes(VirtualClock()), VirtualClock()
        watch = DevdWatch(nodes, clock, random.Random(1), lambda cluster, seconds: None, "toy")
        watch.follow("pair", {"a": make_target("a"), "b": make_target("b")})
        await asyncio.sleep(1)
        kept = nodes.streams["pair", "a"]
        watch.follow("pair", {"a": make_target("a"), "b": make_target("b", "elsewhere")})
        await asyncio.sleep(1)
        assert nodes.streams_opened == 3
        assert nodes.streams["pair", "a"] is kept
        watch.unfollow("pair")
        await asyncio.sleep(200)
        assert nodes.streams_opened == 3
        assert nodes.streams_open == set()
        watch.follow("pair", {"a": make_target("a")})
        await asyncio.sleep(1)
        await watch.close()

    play(story)


def test_events_of_a_moment_are_one_look_and_later_ones_keep_their_distance() -> None:
    """75 ms gather a burst; a second look comes a second after the first at the earliest."""
    overrides: set[float] = set()

    async def story() -> None:
        nodes, clock = ToyNodes(VirtualClock()), VirtualClock()
        watch = DevdWatch(
            nodes, clock, random.Random(1), lambda _, s: overrides.add(round(clock.monotonic() + s, 3)), "toy"
        )
        watch.follow("pair", {"a": make_target("a")})
        await asyncio.sleep(0.5)
        overrides.clear()
        await asyncio.sleep(9.5)
        assert overrides == set()
        for pause in (0.0, 0.01, 0.04, 0.5, 0.1):
            await asyncio.sleep(pause)
            nodes.streams["pair", "a"].put_nowait("!system=CARP subsystem=80@vtnet1 type=MASTER")
        await asyncio.sleep(5)
        await watch.close()

    play(story)
    assert sorted(overrides) == [1010.075, 1011.075]


def test_a_node_that_is_away_is_logged_once_not_at_every_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """A node that is down for a day does not fill the log."""
    caplog.set_level("INFO", "hactl.runtime.watch")

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        nodes.node("a").unreachable = True
        watch = DevdWatch(nodes, VirtualClock(), random.Random(1), lambda cluster, seconds: None, "toy")
        watch.follow("pair", {"a": make_target("a")})
        await asyncio.sleep(3600)
        assert nodes.streams_opened == 1
        assert 3600 <= nodes.node("a").knocks <= 7200
        nodes.node("a").unreachable = False
        await asyncio.sleep(120)
        nodes.streams["pair", "a"].put_nowait(NodeUnreachable("a", "reset by peer"))
        await asyncio.sleep(5)
        await watch.close()

    play(story)
    assert [record.message for record in caplog.records] == [
        "node cannot be reached; knocking until it answers",
        "devd stream ended; will try again",
    ]


def test_a_node_that_returns_is_heard_and_looked_at_within_three_seconds() -> None:
    """However long it was away; the look is asked for at once."""
    woken: list[float] = []

    async def story() -> None:
        nodes, clock = ToyNodes(VirtualClock()), VirtualClock()
        nodes.node("a").unreachable = True
        watch = DevdWatch(
            nodes, clock, random.Random(1), lambda cluster, seconds: woken.append(clock.monotonic()), "toy"
        )
        watch.follow("pair", {"a": make_target("a")})
        await asyncio.sleep(500)
        assert woken == []
        assert not watch.hears("pair")
        nodes.node("a").unreachable = False
        back = clock.monotonic()
        await asyncio.sleep(5)
        assert woken[0] - back <= 3.0
        assert watch.hears("pair")
        nodes.node("a").unreachable = True
        nodes.streams["pair", "a"].put_nowait(NodeUnreachable("a", "gone"))
        await asyncio.sleep(1)
        assert not watch.hears("pair")
        await watch.close()

    play(story)


def test_many_nodes_that_are_gone_are_knocked_at_in_turn() -> None:
    """A site without power: no more than a bounded number of knocks a second in all."""

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        watch = DevdWatch(nodes, VirtualClock(), random.Random(1), lambda cluster, seconds: None, "toy")
        names = [f"n{number}" for number in range(400)]
        for name in names:
            nodes.node(name).unreachable = True
        watch.follow("pair", {name: make_target(name) for name in names})
        await asyncio.sleep(20)
        before = sum(nodes.node(name).knocks for name in names)
        await asyncio.sleep(100)
        knocks = sum(nodes.node(name).knocks for name in names) - before
        assert 0.5 * 100 * KNOCKS_PER_SECOND <= knocks <= 1.2 * 100 * KNOCKS_PER_SECOND
        await watch.close()

    play(story)


def test_a_node_that_knocks_back_but_streams_nothing_is_left_alone_ever_longer() -> None:
    """Its sshd answers and starts no session: that is no return."""

    class Full(ToyNodes):
        async def answers(self, target: Target) -> bool:
            return True

    async def story() -> None:
        nodes = Full(VirtualClock())
        nodes.node("a").unreachable = True
        woken: list[float] = []
        watch = DevdWatch(
            nodes, VirtualClock(), random.Random(1), lambda cluster, seconds: woken.append(seconds), "toy"
        )
        watch.follow("pair", {"a": make_target("a")})
        await asyncio.sleep(600)
        assert 10 <= nodes.streams_opened <= 30
        assert woken == []
        await watch.close()

    play(story)
