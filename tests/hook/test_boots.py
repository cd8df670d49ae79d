"""The node hook at boot and at shutdown; on the lab, without a controller."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.hook.render import HOOK
from support.lab.hook_pair import STATE, A, B, HookPair


def _solo_start(seconds: int) -> Any:
    def change(data: dict[str, Any]) -> None:
        data["spec"]["failover"] = {"soloStart": seconds}

    return change


def _demotion(pair: HookPair, node: str) -> int:
    return int(pair.sh(node, "sysctl -n net.inet.carp.demotion"))


def test_the_active_node_reboots_in_order() -> None:
    """It hands over on its way down, comes back as standby, and is held back until it could serve."""
    pair = HookPair()
    pair.sh(A, "echo last > /data/file")
    pair.world.reboot(A)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.primaries() == [B]
    assert pair.sh(B, "cat /data/file") == "last\n"
    pair.until(lambda: pair.loop.reaches(A) and _demotion(pair, A) == 0, 120)
    assert pair.role(A) == "secondary"
    assert pair.carp(A) == "BACKUP 100"
    pair.wait(60)
    assert pair.complaints() == []


def test_a_node_that_returns_is_held_until_it_is_connected() -> None:
    """Its role is secondary, its notes of old are void, its demotion is 240 until a primary is there."""
    pair = HookPair()
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 60)
    pair.world.power_on(A)
    pair.until(lambda: pair.machine(A).running, 30)
    pair.until(lambda: pair.sh(A, "cat /var/run/hactl.held 2>/dev/null") == "240\n", 1)
    assert _demotion(pair, A) == 240 + 240  # its own, and one for the vhid that CARP keeps in INIT
    assert pair.carp(A).startswith("INIT")
    pair.until(lambda: _demotion(pair, A) == 0, 60)
    assert pair.role(A) == "secondary"
    assert pair.sh(A, "hastctl status data | grep -c complete") == "1\n"
    assert pair.complaints() == []


def test_a_boot_forgets_what_the_node_knew_of_its_copy() -> None:
    """While it was away the peer may have gone on."""
    pair = HookPair()
    pair.world.power_off(B)
    pair.world.power_on(B)
    pair.until(lambda: pair.machine(B).running, 30)
    assert "confirmed" not in pair.notes(B)


def _both_off(pair: HookPair) -> None:
    pair.sh(A, "echo kept > /data/file; sync")
    pair.wait(35)
    for node in (A, B):
        pair.world.power_off(node)


@pytest.mark.parametrize("solo", [0, 60])
def test_the_standby_alone_serves_nothing_and_has_no_address(solo: int) -> None:
    """It was not the last to serve; an address without data is worse than none."""
    pair = HookPair(_solo_start(solo))
    _both_off(pair)
    pair.world.power_on(B)
    for _ in range(24):
        pair.wait(10)
        assert not pair.carp(B).startswith("MASTER")
    assert pair.role(B) == "secondary"


def test_the_last_to_serve_waits_for_its_peer() -> None:
    """Without soloStart it does not serve alone, however long that takes; then both copies are compared."""
    pair = HookPair()
    _both_off(pair)
    pair.world.power_on(A)
    pair.wait(300)
    assert pair.role(A) == "secondary"
    assert not pair.carp(A).startswith("MASTER")
    pair.world.power_on(B)
    pair.until(lambda: pair.complaints() == [], 90)
    assert pair.primaries() == [A]
    assert pair.sh(A, "cat /data/file") == "kept\n"


def test_the_last_to_serve_serves_alone_after_solo_start() -> None:
    """The document says after how long."""
    pair = HookPair(_solo_start(60))
    _both_off(pair)
    pair.world.power_on(A)
    pair.wait(50)
    assert pair.role(A) == "secondary"
    pair.until(lambda: pair.runs(A) and pair.carp(A) == "MASTER 0", 60)
    assert pair.sh(A, "cat /data/file") == "kept\n"
    assert any(move.startswith("woke alone") for move in pair.moves(A))
    pair.world.power_on(B)
    pair.until(lambda: pair.complaints() == [], 90)
    assert pair.primaries() == [A]


@pytest.mark.parametrize("first", [A, B])
@pytest.mark.parametrize("clean", [True, False])
def test_both_were_off_and_come_back(first: str, clean: bool) -> None:
    """No controller: who served last serves again, with what was written."""
    pair = HookPair()
    pair.sh(A, "echo kept > /data/file; sync")
    pair.wait(35)
    for node in (A, B):
        if clean:
            pair.sh(node, "shutdown -p now")
        else:
            pair.world.power_off(node)
    pair.wait(120)
    second = B if first == A else A
    pair.world.power_on(first)
    pair.wait(5)
    pair.world.power_on(second)
    pair.until(lambda: pair.machine(second).running, 60)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(pair.primaries()[0], "cat /data/file") == "kept\n"


def test_both_were_off_after_a_failover_and_the_newer_copy_is_served() -> None:
    """Both served at their last moment: hastd brings over what the other one wrote alone."""
    pair = HookPair()
    pair.lose("newer")
    pair.world.power_off(B)
    pair.come_back()
    assert pair.sh(pair.primaries()[0], "cat /data/file") == "newer\n"


@pytest.mark.parametrize("later", [0, 40])
def test_what_hastd_did_not_count_is_not_overwritten(later: int) -> None:
    """The second time it does not count what B wrote alone (docs/freebsd-facts.md#2.6): A, which knows that B once did,
    lets B go first, also when B is back later.
    """
    pair = HookPair()
    for text in ("first", "second"):
        pair.lose(text)
        pair.world.power_off(B)
        pair.come_back(later=later)
        assert pair.sh(pair.primaries()[0], "cat /data/file") == f"{text}\n"
        for _ in range(2):
            pair.loop.converge()
            pair.wait(20)
    assert pair.primaries() == [B]


def test_a_wake_that_was_killed_is_gone_on_with() -> None:
    """The role was taken and nothing was compared yet: it is given back, and taken anew."""
    pair = HookPair()
    _both_off(pair)
    pair.world.power_on(A)
    pair.until(lambda: pair.machine(A).running, 60)
    pair.wait(20)
    assert pair.role(A) == "secondary"
    pair.sh(A, f"echo copy > {STATE}/doubt.data; hastctl role primary data")
    pair.world.power_on(B)
    pair.until(lambda: pair.complaints() == [], 120)
    assert pair.sh(pair.primaries()[0], "cat /data/file") == "kept\n"


def test_the_guard_by_hand_holds_nothing() -> None:
    """`service hactl_guard start` on a node that serves would send its addresses away."""
    pair = HookPair()
    assert "this is no boot" in pair.sh(A, "service hactl_guard start")
    assert _demotion(pair, A) == 0
    assert pair.complaints() == []


def test_the_boot_script_by_hand_changes_nothing() -> None:
    """`service hactl_node start` on nodes that are well."""
    pair = HookPair()
    for node in (A, B):
        pair.sh(node, "service hactl_node start")
    pair.wait(30)
    assert pair.complaints() == []
    assert (pair.moves(A), pair.moves(B)) == ([], [])


def test_a_release_lifts_exactly_what_is_held() -> None:
    """The write adds: without a note, or without the demotion it speaks of, nothing is taken back."""
    pair = HookPair()
    pair.sh(B, f"{HOOK} release")
    assert _demotion(pair, B) == 0
    pair.sh(B, f"echo 240 > /var/run/hactl.held; {HOOK} release")
    assert _demotion(pair, B) == 0
    pair.sh(B, f"echo 240 > /var/run/hactl.held; sysctl net.inet.carp.demotion=250; {HOOK} release; {HOOK} release")
    assert _demotion(pair, B) == 10


def test_the_address_leaves_at_shutdown_whoever_has_the_lock() -> None:
    """Somebody holds the lock: the address goes all the same, and soon."""
    pair = HookPair()
    pair.sh(A, "lockf -k -t 5 /var/run/hactl.lock sleep 300 </dev/null >/dev/null 2>&1 &")
    pair.sh(A, f"{HOOK} shutdown >/dev/null 2>&1 </dev/null &")
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 8)


def test_at_shutdown_the_address_leaves_when_the_storage_is_free() -> None:
    """The other node finds nobody to wait for, and the address is never where the service cannot be."""
    pair = HookPair()
    pair.wait(30)
    pair.sh(A, f"{HOOK} shutdown >/dev/null 2>&1 </dev/null &")
    pair.until(lambda: pair.role(A) == "secondary", 30)
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 5)
    pair.until(lambda: pair.primaries() == [B] and pair.runs(B), 15)
    assert pair.moves(B)[-1].startswith("took")


def test_the_moves_are_kept_short() -> None:
    """At most two hundred lines, the newest last, and what repeats is written once."""
    pair = HookPair()
    pair.sh(B, f'for n in $(seq 250); do echo "1 files gave $n"; done > {STATE}/moves')
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 60)
    assert len(pair.moves(B)) == 200
    assert pair.moves(B)[-1].startswith("took")


def test_the_status_is_for_people() -> None:
    """What is served, what is known of the copies, what holds the node back."""
    pair = HookPair()
    assert pair.sh(A, HOOK).splitlines()[:2] == [
        "files: policy Automatic, addresses MASTER, serving",
        "  data: primary, copy not known to be complete",
    ]
    pair.sh(B, f"echo maintenance > {STATE}/drained")
    assert pair.sh(B, f"{HOOK} status").splitlines() == [
        "files: policy Automatic, addresses BACKUP, not serving",
        "  data: secondary, copy complete",
        "drained: maintenance",
    ]


@pytest.mark.parametrize("later", [0, 60])
def test_who_served_last_goes_before_who_was_only_once_primary(later: int) -> None:
    """Also where that one is back first, is preferred, and hears the other one's network before its hook begins."""
    pair = HookPair()
    pair.lose("kept")
    pair.world.power_on(A)
    pair.until(lambda: pair.machine(A).running and pair.complaints() == [], 120)
    pair.wait(20)
    assert ("last" in pair.notes(A), "last" in pair.notes(B)) == (False, True)
    for node in (A, B):
        pair.world.power_off(node)
    pair.come_back(later=later)
    assert pair.primaries() == [B]
    assert pair.sh(B, "cat /data/file") == "kept\n"
