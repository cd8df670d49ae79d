"""The node hook gives a group up in order, and keeps what no other node can have; on the lab, without a controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hactl.core.hook.render import HOOK
from hactl.lab.hast.processes import Resource, Role
from hactl.lab.rc.costs import EMULATED, FREE, Costs
from support.lab.hook_pair import LAN, REPLICATION, A, B, HookPair

#: Notes each number once it is on the disk; in a directory that is nowhere else.
WRITER = (
    "mkdir /data/own; n=0; "
    "while n=$((n + 1)); echo $n >/data/own/n && fsync /data/own/n && echo $n >/tmp/acknowledged; do :; done"
)


def _second_address(data: dict[str, Any]) -> None:
    """Another interface, another vhid."""
    data["spec"]["groups"][0]["virtualIPs"].append(
        {"name": "second", "vhid": 81, "interface": "vtnet3", "addresses": ["203.0.113.80/24"]}
    )


def _never_under_a_mount(pair: HookPair, node: str, seconds: int) -> None:
    """Time goes by; I2 is watched."""
    for _ in range(seconds * 4):
        before = pair.mounted(node)
        pair.wait(0.25)
        assert not (before and pair.mounted(node) and pair.role(node) != "primary")


def test_the_lan_is_lost_and_the_group_goes_in_order() -> None:
    """Services, filesystem, role; the standby gets what was written last."""
    pair = HookPair()
    pair.sh(A, "echo last > /data/file")
    pair.world.cut(A, LAN)
    _never_under_a_mount(pair, A, 15)
    assert (pair.role(A), pair.mounted(A), pair.runs(A)) == ("secondary", False, False)
    assert pair.moves(A) == ["gave"]
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "last\n"
    pair.world.join(A, LAN)
    pair.wait(60)
    assert pair.complaints() == []
    assert pair.carp(A) == "BACKUP 100"


def test_one_of_two_interfaces_is_lost() -> None:
    """One vhid is INIT, the other is taken by the peer: no address is here, so the group goes."""
    pair = HookPair(_second_address)
    pair.world.cut(A, LAN)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.primaries() == [B]


def test_addresses_on_different_nodes_move_nothing() -> None:
    """The hook says so and waits; when they are together again all is well."""
    pair = HookPair(_second_address)
    pair.world.cut(B, "vtnet3", "in")
    pair.wait(40)
    assert pair.primaries() == [A]
    assert pair.moves(B) == []
    assert "its addresses are on different nodes" in pair.sh(B, "grep hactl /var/log/messages")
    pair.world.join(B, "vtnet3")
    pair.wait(30)
    assert pair.complaints() == []


def _second_disk(data: dict[str, Any]) -> None:
    """Another replicated disk, on which hactl mounts nothing: a pool of the owner's may stand on both."""
    first = data["spec"]["groups"][0]["storage"][0]
    devices = {"devices": {A: "/dev/vtbd2", B: "/dev/vtbd2"}}
    data["spec"]["groups"][0]["storage"].append({"name": "disk1", "hast": {**first["hast"], **devices}})


def test_everything_is_let_go_of_before_any_role_goes() -> None:
    """The role of the second disk goes first of the two, and not while anything of the group is mounted."""
    pair = HookPair(_second_disk)
    hast = pair.machine(A).hast
    change, seen = hast.change_role, []

    def watched(resource: Resource, role: Role) -> Iterator[float]:
        seen.append((resource.name, role, pair.mounted(A)))
        yield from change(resource, role)

    hast.change_role = watched  # type: ignore[method-assign]
    pair.world.cut(A, LAN)
    pair.until(lambda: pair.moves(A) == ["gave"], 60)
    assert seen == [("disk1", "secondary", False), ("data", "secondary", False)]


def test_a_device_in_use_is_left_alone() -> None:
    """Never by force, never a role under a mount (I2): it is said, tried again, and done once it is free."""
    pair = HookPair()
    pair.machine(A).disks.mounts.hold("/data/file", 4711, "tar")
    pair.world.cut(A, LAN)
    _never_under_a_mount(pair, A, 60)
    assert (pair.role(A), pair.mounted(A)) == ("primary", True)
    assert pair.moves(A) == ["stopped /dev/hast/data is in use (fstat -f /data): left as it is"]
    assert pair.primaries() == [A]
    pair.machine(A).disks.mounts.release(4711)
    pair.until(lambda: pair.complaints() == [], 90)
    assert pair.primaries() == [B]


@pytest.mark.parametrize("seconds", [1, 2, 3, 4, 5])
def test_a_killed_hook_is_healed_by_the_next_run(seconds: int) -> None:
    """Killed anywhere while it gives up; the next run ends it."""
    pair = HookPair()
    pair.world.cut(A, LAN)
    pair.wait(seconds)
    pair.kill_hooks(A)
    _never_under_a_mount(pair, A, 3)
    pair.sh(A, f"{HOOK} follow >/dev/null 2>&1 </dev/null &")
    _never_under_a_mount(pair, A, 15)
    pair.until(lambda: pair.complaints() == [], 90)
    assert pair.primaries() == [B]


def test_a_vhid_that_was_only_touched_moves_nothing() -> None:
    """Re-adding an address makes it BACKUP for a moment; nothing is stopped for that."""
    pair = HookPair()
    pid = pair.machine(A).rc.pid_of("nfsd")
    pair.sh(A, f"ifconfig {LAN} vhid 80 state backup")
    pair.wait(30)
    assert pair.complaints() == []
    assert pair.machine(A).rc.pid_of("nfsd") == pid
    assert pair.moves(A) == []


def test_both_networks_are_cut_at_once() -> None:
    """The one without a carrier gives up before the other one takes over: never two primaries with a filesystem."""
    pair = HookPair()
    pair.world.cut(A)
    for _ in range(240):
        pair.wait(0.25)
        assert not (pair.mounted(A) and pair.mounted(B))
    assert pair.primaries() == [B]
    assert not pair.runs(A)


@pytest.mark.parametrize("costs", [FREE, EMULATED], ids=["fast", "slow"])
def test_a_node_that_is_cut_off_acknowledges_nothing_once_its_peer_serves(costs: Costs) -> None:
    """Seen on the real pair: hastd held a write back until it gave the peer up, and acknowledged it when that served.

    The device goes before that: neither copy is ahead of the other one, and no person is needed.
    """
    pair = HookPair()
    for node in (A, B):
        pair.machine(node).rc.costs = costs
    pair.sh(A, f"({WRITER}) </dev/null >/dev/null 2>&1 &")
    pair.wait(5)
    pair.world.cut(A)
    pair.until(lambda: pair.mounted(B), 30)
    acknowledged = pair.sh(A, "cat /tmp/acknowledged")
    pair.wait(40)
    assert pair.sh(A, "cat /tmp/acknowledged") == acknowledged
    assert "hangs in mntref" not in pair.sh(A, "dmesg")
    assert pair.primaries() == [B]
    pair.world.join(A)
    pair.wait(30)
    assert pair.complaints() == []
    assert int(pair.sh(B, "cat /data/own/n")) >= int(acknowledged)


def test_the_replication_network_goes_while_a_program_keeps_the_device() -> None:
    """The LAN went first, and the peer waited; now it takes over, so the device goes."""
    pair = HookPair()
    pair.machine(A).disks.mounts.hold("/data/file", 4711, "tar")
    pair.sh(A, f"({WRITER}) </dev/null >/dev/null 2>&1 &")
    pair.world.cut(A, LAN)
    pair.wait(20)
    assert (pair.primaries(), pair.mounted(A)) == ([A], True)
    pair.world.cut(A, REPLICATION)
    pair.until(lambda: pair.mounted(B), 40)
    acknowledged = pair.sh(A, "cat /tmp/acknowledged")
    pair.wait(5)
    assert pair.sh(A, "[ -c /dev/hast/data ] || echo gone") == "gone\n"
    pair.wait(30)
    assert pair.sh(A, "cat /tmp/acknowledged") == acknowledged
    assert "fenced it is cut off, and the peer takes over" in pair.moves(A)


def test_who_cannot_be_pinged_is_not_cut_off() -> None:
    """A firewall keeps ping out, never hastd: the group goes in order."""
    pair = HookPair()
    pair.machine(B).net.answers_no_ping = True
    pair.world.cut(A, LAN)
    pair.until(lambda: pair.moves(A) == ["gave"], 30)


@pytest.mark.parametrize("first", [A, B])
def test_a_switch_of_both_networks_that_was_off_costs_only_that_while(first: str) -> None:
    """Both are cut off; whoever is back first waits for the other one, and hastd compares the copies."""
    pair = HookPair()
    for node in (A, B):
        pair.machine(node).rc.costs = EMULATED
    pair.sh(A, "echo precious > /data/file; sync")
    pair.sh(A, f"({WRITER}) </dev/null >/dev/null 2>&1 &")
    pair.wait(5)
    for node in (A, B):
        pair.world.cut(node)
    pair.wait(60)
    assert pair.primaries() == []
    assert any(move.startswith("fenced") for move in pair.moves(A))
    acknowledged = pair.sh(A, "cat /tmp/acknowledged")
    other = B if first == A else A
    pair.world.join(first)
    pair.wait(15)
    assert pair.primaries() == []
    pair.world.join(other)
    pair.until(lambda: pair.complaints() == [], 90)
    (active,) = pair.primaries()
    assert pair.sh(active, "cat /data/file") == "precious\n"
    assert int(pair.sh(active, "cat /data/own/n")) >= int(acknowledged)


def test_a_switch_that_was_off_for_a_while_costs_only_that_while() -> None:
    """Both nodes lost the addresses, nobody could serve: whoever gets them back goes on, once hastd compared copies."""
    pair = HookPair()
    pair.sh(A, "echo precious > /data/file; sync")
    for node in (A, B):
        pair.world.cut(node, LAN)
    pair.wait(120)
    assert pair.primaries() == []
    for node in (A, B):
        pair.world.join(node, LAN)
    pair.until(lambda: pair.complaints() == [], 60)
    (active,) = pair.primaries()
    assert pair.sh(active, "cat /data/file") == "precious\n"
    assert pair.moves(active)[-1].startswith("took")


def test_after_such_a_while_the_old_standby_may_serve_alone() -> None:
    """It saw the other one let go, and nobody connected since: its copy is complete even if the other is gone."""
    pair = HookPair()
    pair.sh(A, "echo precious > /data/file; sync")
    for node in (A, B):
        pair.world.cut(node, LAN)
    pair.wait(120)
    pair.world.power_off(A)
    pair.world.join(B, LAN)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "precious\n"


def test_after_such_a_while_the_old_active_node_may_not_serve_alone() -> None:
    """The other one may have served since: it decides nothing without it."""
    pair = HookPair()
    for node in (A, B):
        pair.world.cut(node, LAN)
    pair.wait(60)
    pair.world.power_off(B)
    pair.world.join(A, LAN)
    pair.wait(120)
    assert pair.role(A) == "secondary"
    assert pair.moves(A)[-1].startswith("stopped the copy of data was disconnected before")


def test_a_copy_that_cannot_be_compared_is_given_back() -> None:
    """The peer answers ping but its hastd is gone: nothing is mounted, the role goes back (I4)."""
    pair = HookPair()
    for node in (A, B):
        pair.world.cut(node, LAN)
    pair.wait(60)
    pair.sh(B, "pkill -9 hastd")
    pair.world.join(A, LAN)
    for _ in range(480):
        pair.wait(0.25)
        assert not pair.mounted(A)
    assert pair.role(A) == "secondary"
    assert pair.moves(A)[-1].startswith("stopped the copy of the peer for data cannot be compared with this one")


def _alone(pair: HookPair) -> None:
    """The replication network is gone, and A has written since then."""
    pair.world.cut(B, REPLICATION)
    pair.wait(10)
    pair.sh(A, "echo newer > /data/file; sync")
    pair.wait(120)
    assert "alone" in pair.notes(A)


def test_the_only_complete_copy_stays_where_it_is() -> None:
    """No other hook may take over, so the loss of the LAN stops nothing, and its return is enough."""
    pair = HookPair()
    _alone(pair)
    pid = pair.machine(A).rc.pid_of("nfsd")
    pair.world.cut(A, LAN)
    pair.wait(60)
    assert (pair.primaries(), pair.mounted(A)) == ([A], True)
    assert pair.moves(A)[-1].startswith("stopped the addresses are not here; no other node can have the data")
    pair.world.join(A, LAN)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.primaries() == [A]
    assert pair.machine(A).rc.pid_of("nfsd") == pid


def test_a_node_that_slept_does_not_get_the_group_back() -> None:
    """Both have the best advskew; the sleeper speaks first. The one with the data claims the addresses.

    See docs/freebsd-facts.md#1.2.
    """
    pair = HookPair()
    pair.world.freeze(A)
    pair.until(lambda: pair.moves(B) != [], 90)
    assert pair.primaries() == [A, B]
    pair.sh(B, "echo newer > /data/file; sync")
    pair.wait(60)
    pair.world.thaw(A)
    pair.sh(A, "sysctl net.inet.carp.demotion=0")  # it advertises at once (docs/freebsd-facts.md#1.3): it speaks first
    assert pair.carp(A) == "MASTER 0"
    pair.until(lambda: pair.primaries() == [B] and pair.carp(B) == "MASTER 0", 30)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "newer\n"
    assert "claiming" in pair.sh(B, "grep hactl /var/log/messages")


def test_claiming_is_not_done_again_and_again() -> None:
    """Somebody demoted the node with the only copy: it claims once a minute at most, and keeps what it has."""
    pair = HookPair()
    _alone(pair)
    pair.sh(A, "sysctl net.inet.carp.demotion=240")
    pair.wait(50)
    assert pair.sh(A, "grep -c 'claiming' /var/log/messages") == "1\n"
    assert (pair.primaries(), pair.mounted(A)) == ([A], True)
    assert pair.role(B) == "secondary"
    pair.sh(A, "sysctl net.inet.carp.demotion=-240")
    pair.until(lambda: pair.complaints() == [], 60)
