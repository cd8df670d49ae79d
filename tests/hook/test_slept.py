"""A node that was frozen while its peer took over, and wakes: what it wrote then is shown, and goes by one word."""

from __future__ import annotations

from typing import Any

from hactl.core.hook.render import HOOK
from hactl.core.operations import Overrides
from hactl.lab.rc.costs import EMULATED
from support.lab.hook_pair import LAN, A, B, HookPair

#: Writes and flushes numbers for as long as it can.
WRITER = "n=0; while n=$((n + 1)); echo $n > /data/sleeper && fsync /data/sleeper; do sleep 0.1; done"


def _discard(data: dict[str, Any]) -> None:
    data["spec"]["failover"] = {"onStaleWriter": "Discard"}


def _slept(pair: HookPair) -> None:
    """A writes all the time, sleeps, and wakes after B took over."""
    pair.sh(A, f"({WRITER}) </dev/null >/dev/null 2>&1 &")
    pair.wait(35)
    pair.world.freeze(A)
    pair.until(lambda: pair.runs(B), 60)
    pair.sh(B, "echo newer > /data/file; sync")
    pair.wait(35)
    pair.world.thaw(A)


def test_the_device_of_a_sleeper_goes_at_once() -> None:
    """Within two seconds nothing can be written there; the note says what was."""
    pair = HookPair()
    _slept(pair)
    pair.until(lambda: pair.sh(A, "[ -c /dev/hast/data ] || echo gone") == "gone\n", 2)
    pair.until(lambda: any(move.startswith("fenced") for move in pair.moves(A)), 5)
    pair.until(lambda: not pair.mounted(A) and not pair.runs(A), 40)
    assert pair.role(A) == "secondary"
    assert (pair.role(B), pair.carp(B), pair.sh(B, "cat /data/file")) == ("primary", "MASTER 0", "newer\n")
    epoch, writes = pair.sh(A, "cat /var/db/hactl/fenced.data").split()
    assert int(epoch) > 0
    assert int(writes) >= 0


def test_one_word_throws_away_what_the_sleeper_wrote() -> None:
    """By default a person is asked, and told which copy and why."""
    pair = HookPair()
    _slept(pair)
    pair.wait(60)
    pair.loop.converge()
    plan = pair.loop.plan()
    (hold,) = (hold for hold in plan.holds if hold.reason == "SplitBrain")
    assert f"{A} slept or was cut off while its peer took over, and " in hold.message
    assert hold.remedy == f"hactl resolve nas data --discard {A}"
    assert pair.role(A) == "secondary"


def test_the_document_can_say_that_it_is_thrown_away() -> None:
    """`onStaleWriter: Discard`: the copy of the node that slept is filled again by the other one."""
    pair = HookPair(_discard)
    _slept(pair)
    pair.wait(60)
    pair.loop.converge()
    pair.wait(60)
    pair.loop.converge()
    assert pair.complaints() == []
    assert pair.sh(B, "cat /data/file") == "newer\n"
    assert "fenced" not in pair.notes(A)


def _takes_the_role_only(pair: HookPair) -> None:
    """A was frozen; B took the role and nothing else when it wakes."""
    pair.sh(A, "echo kept > /data/file; sync")
    pair.wait(30)
    for node in (A, B):
        pair.machine(node).rc.costs = EMULATED
    pair.world.freeze(A)
    for _ in range(2000):
        if pair.role(B) == "primary":
            break
        pair.wait(0.01)
    assert not pair.mounted(B)
    pair.world.thaw(A)


def test_who_took_the_role_and_nothing_else_gives_it_back_to_a_node_that_wakes() -> None:
    """Seen on the real pair after a freeze of 5 s: both stayed primary, and each refused the other for good."""
    pair = HookPair()
    _takes_the_role_only(pair)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.primaries() == [A]


def test_what_was_taken_and_not_used_is_not_the_newest_copy_later() -> None:
    """The node that woke wrote, and is gone before the role was given back: nobody serves what is older."""
    pair = HookPair()
    _takes_the_role_only(pair)
    pair.until(lambda: pair.carp(B).startswith("BACKUP"), 10)
    pair.sh(A, "echo newer > /data/file; fsync /data/file")
    pair.world.power_off(A)
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 10)
    for _ in range(60):
        pair.wait(1)
        assert not pair.mounted(B)
    assert pair.role(B) == "secondary"


def test_what_a_sleeper_wrote_never_goes_over_the_copy_that_is_served() -> None:
    """B counts for itself since an earlier failover, so that what it writes alone is not counted, and A's writes are.

    To hastd A's copy is the newer one (docs/freebsd-facts.md#2.6): A gets no role, not after a reboot either, until its
    copy is thrown away.
    """
    pair = HookPair()
    pair.lose("first")
    pair.world.power_off(B)
    pair.come_back()
    for _ in range(3):
        pair.loop.converge()
        pair.wait(20)
    assert pair.primaries() == [A]
    # Nobody tells the hook in time: hastd counts what A writes alone.
    pair.sh(A, "service devd onestop")
    _slept(pair)
    pair.wait(30)
    pair.sh(A, f"{HOOK} carp 80@{LAN} BACKUP")
    pair.until(lambda: any(move.startswith("fenced") for move in pair.moves(A)), 10)
    pair.wait(30)
    assert (pair.role(A), pair.sh(B, "cat /data/file")) == ("init", "newer\n")
    pair.sh(A, "shutdown -r now")
    pair.wait(150)
    assert pair.machine(A).running
    pair.loop.converge()
    (hold,) = (hold for hold in pair.loop.plan().holds if hold.reason == "SplitBrain")
    assert (pair.role(A), hold.remedy) == ("init", f"hactl resolve nas data --discard {A}")
    pair.loop.overrides = Overrides(discards={"data": (A, "")})
    for _ in range(3):
        pair.loop.converge()
        pair.wait(60)
    assert pair.complaints() == []
    assert (pair.primaries(), pair.sh(B, "cat /data/file")) == ([B], "newer\n")
    assert "fenced" not in pair.notes(A)


def test_what_came_to_use_is_not_given_back_when_it_is_unmounted_later() -> None:
    """Somebody unmounts it on the node that took over and claimed the addresses back: it is mounted again."""
    pair = HookPair()
    _slept(pair)
    pair.wait(60)
    assert "took.data" not in pair.sh(B, "ls /var/run")
    pair.sh(B, "service nfsd onestop; umount /data")
    assert not pair.mounted(B)
    pair.sh(B, f"{HOOK} react")
    pair.until(lambda: pair.mounted(B) and pair.runs(B), 30)
    assert pair.role(B) == "primary"
