"""The node hook takes a group over by itself, and does not where it must not; on the lab, without a controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hactl.core.hook.render import HOOK
from hactl.lab.hast.processes import Resource, Role
from hactl.lab.storage.mounts import Mount
from support.documents import second_group
from support.lab.hook_pair import LAN, REPLICATION, STATE, A, B, HookPair


def _failover(**values: Any) -> Any:
    def change(data: dict[str, Any]) -> None:
        data["spec"]["failover"] = values

    return change


def test_the_standby_takes_over_when_the_active_node_loses_power() -> None:
    """Storage, filesystem and services follow the address; what it took is written down phase by phase."""
    pair = HookPair()
    pair.sh(A, "echo precious > /data/file; sync")
    pair.wait(35)  # soft updates
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "precious\n"
    assert pair.carp(B) == "MASTER 0"
    (took,) = pair.moves(B)
    word, *phases = took.split(" ")
    assert word == "took"
    assert phases[::2] == ["peer", "role", "filesystem", "services", "of"]
    assert all(seconds.isdigit() for seconds in phases[1:-2:2])
    assert phases[-1] == "1/1"


def test_a_copy_that_was_never_confirmed_is_not_promoted() -> None:
    """Nobody knows that it is complete (I4): the node says so, once, and stays as it is."""
    pair = HookPair()
    pair.sh(B, f"rm {STATE}/confirmed.data")
    pair.world.power_off(A)
    pair.wait(120)
    assert pair.role(B) == "secondary"
    assert pair.moves(B) == ["stopped the copy of data is not known to be complete; hactl or a person decides"]


def test_a_copy_that_was_lost_long_before_is_not_promoted() -> None:
    """The primary went on without it: it is old (I4)."""
    pair = HookPair()
    pair.world.cut(A, REPLICATION)
    pair.wait(60)
    pair.sh(A, "echo newer > /data/file; sync")
    pair.world.power_off(A)
    pair.wait(120)
    assert pair.role(B) == "secondary"
    assert pair.moves(B)[-1].startswith("stopped the copy of data was disconnected before the addresses came")


def test_a_drained_node_takes_nothing() -> None:
    """It reports that the addresses came."""
    pair = HookPair()
    pair.sh(B, f"echo maintenance > {STATE}/drained")
    pair.world.power_off(A)
    pair.wait(60)
    assert pair.role(B) == "secondary"
    assert pair.moves(B) == ["reported the addresses are here; the node is drained"]


def test_policy_manual_moves_nothing() -> None:
    """It reports that the addresses came."""
    pair = HookPair(_failover(policy="Manual"))
    pair.world.power_off(A)
    pair.wait(60)
    assert pair.role(B) == "secondary"
    assert pair.moves(B) == ["reported the addresses are here; the policy is Manual"]


def test_a_witness_decides() -> None:
    """A node that hears nobody stays as it is, and goes on when somebody answers again."""
    pair = HookPair(_failover(witness=["192.0.2.1", "192.0.2.2"]))
    pair.world.power_off(A)
    pair.wait(60)
    assert pair.role(B) == "secondary"
    assert pair.moves(B) == ["stopped no witness answers: this node may be cut off"]
    pair.world.hosts["192.0.2.2"] = "lan"
    pair.until(lambda: pair.complaints() == [], 60)


def test_a_peer_that_is_connected_is_primary() -> None:
    """Its hook is dead and its LAN is gone: the standby waits for it to let go, and never makes a second primary."""
    pair = HookPair()
    pair.sh(A, f"rm {HOOK}")
    pair.world.cut(A, LAN)
    for _ in range(120):
        pair.wait(1)
        assert pair.primaries() == [A]
    assert set(pair.moves(B)) == {"stopped the peer is still primary for data and connected"}
    pair.sh(A, "service nfsd onestop; umount /data; hastctl role secondary data")
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.primaries() == [B]


def test_a_peer_that_is_silent_only_on_the_replication_network_is_not_gone() -> None:
    """It answers where hactl reaches it, and may be primary there: nothing is promoted."""

    def reached_on_the_lan(data: dict[str, Any]) -> None:
        for node, address in zip(data["spec"]["nodes"], ("192.0.2.11", "192.0.2.12"), strict=True):
            node["ssh"] = {**node["ssh"], "host": address, "port": 22}

    pair = HookPair(reached_on_the_lan)
    pair.sh(A, f"rm {HOOK}")
    pair.world.cut(A, REPLICATION)
    pair.sh(A, "sysctl net.inet.carp.demotion=240")
    for _ in range(90):
        pair.wait(1)
        assert pair.primaries() == [A]
    assert pair.carp(B).startswith("MASTER")
    assert any("only the replication network is silent" in move for move in pair.moves(B))


def test_two_events_at_once_are_one_move() -> None:
    """Triggers are hints: whoever comes second finds nothing left to do."""
    pair = HookPair()
    pair.world.power_off(A)
    pair.wait(5)
    pair.sh(B, f"{HOOK} carp 80@vtnet1 MASTER; {HOOK} carp 80@vtnet1 BACKUP; {HOOK} carp 80@vtnet1 MASTER")
    pair.sh(B, f"{HOOK} react >/dev/null 2>&1 </dev/null &")
    pair.until(lambda: pair.complaints() == [], 60)
    pair.wait(60)
    assert [move.split(" ")[0] for move in pair.moves(B)] == ["took"]
    assert pair.complaints() == []


def test_an_event_returns_at_once() -> None:
    """devd waits for its actions and delays everybody's events meanwhile."""
    pair = HookPair()
    pair.world.power_off(A)
    pair.wait(4)
    before = pair.world.clock.monotonic()
    pair.sh(B, f"{HOOK} carp 80@vtnet1 MASTER")
    assert pair.world.clock.monotonic() - before < 0.5


@pytest.mark.parametrize("seconds", [5, 7, 9, 12, 15, 18, 21, 24, 26, 27, 28, 30])
def test_a_killed_hook_is_healed_by_the_next_run(seconds: int) -> None:
    """Killed anywhere in a takeover; the next run, whenever it comes, brings the group up."""
    pair = HookPair()
    pair.world.power_off(A)
    pair.wait(seconds)
    pair.kill_hooks(B)
    pair.wait(3)
    pair.sh(B, f"{HOOK} follow >/dev/null 2>&1 </dev/null &")
    pair.until(lambda: pair.complaints() == [], 90)
    pair.until(lambda: pair.carp(B) == "MASTER 0", 30)


def test_a_serving_node_is_left_alone() -> None:
    """Nothing differs, nothing is done, nothing is written down."""
    pair = HookPair()
    before = pair.sh(A, f"ls -la {STATE}; ifconfig {LAN}; mount")
    assert pair.sh(A, f"{HOOK} react") == ""
    assert pair.sh(B, f"{HOOK} react") == ""
    assert pair.sh(A, f"ls -la {STATE}; ifconfig {LAN}; mount") == before
    assert (pair.moves(A), pair.moves(B)) == ([], [])
    assert pair.complaints() == []


def test_a_serving_node_has_the_better_advskew() -> None:
    """A hook that was killed after everything but that: the next run sets it."""
    pair = HookPair()
    pair.sh(A, f"ifconfig {LAN} vhid 80 advskew 100; {HOOK} react")
    assert pair.carp(A) == "MASTER 0"


def test_a_service_that_does_not_start_stops_the_takeover_and_nothing_else() -> None:
    """What is up stays up; as soon as it starts, the rest follows."""
    pair = HookPair()
    pair.sh(B, "mv /etc/rc.d/nfsd /tmp/nfsd")
    pair.world.power_off(A)
    pair.wait(60)
    assert pair.mounted(B)
    assert pair.moves(B)[-1].startswith("stopped service nfsd does not start: nfsd does not exist in /etc/rc.d")
    pair.sh(B, "mv /tmp/nfsd /etc/rc.d/nfsd")
    pair.until(lambda: pair.complaints() == [], 30)


def test_nothing_is_mounted_over_anything() -> None:
    """Somebody uses the mountpoint: it is said, and the next run goes on once it is free."""
    pair = HookPair()
    other = Mount("/dev/vtbd9", "/data", "ufs", {"local"})
    pair.machine(B).disks.mounts.table.append(other)
    pair.world.power_off(A)
    pair.wait(60)
    assert not pair.mounted(B)
    assert pair.moves(B)[-1] == "stopped something else is mounted on /data"
    pair.machine(B).disks.mounts.table.remove(other)
    pair.until(lambda: pair.complaints() == [], 30)


def test_the_device_mounted_elsewhere_is_not_taken_for_the_document() -> None:
    """The services would run on an empty directory."""
    pair = HookPair()
    pair.sh(B, "mv /etc/rc.d/nfsd /tmp/nfsd")
    pair.world.power_off(A)
    pair.until(lambda: pair.mounted(B), 60)
    pair.sh(B, "umount /data; mkdir -p /else; mount -t ufs /dev/hast/data /else; mv /tmp/nfsd /etc/rc.d/nfsd")
    pair.wait(30)
    assert not pair.runs(B)
    assert pair.moves(B)[-1] == "stopped /dev/hast/data is mounted, but not on /data"


def test_a_pool_is_imported() -> None:
    """ZFS: the pool was last used by the other node."""

    def zfs(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["storage"][0]["filesystem"] = {"zfs": {"pool": "tank", "mountpoint": "/data"}}

    pair = HookPair(zfs)
    pair.sh(A, "echo precious > /data/file; sync")
    pair.wait(35)  # soft updates
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "precious\n"


def test_services_without_storage_follow_the_addresses() -> None:
    """Nothing to replicate: the services are started where the addresses are."""

    def bare(data: dict[str, Any]) -> None:
        del data["spec"]["groups"][0]["storage"]

    pair = HookPair(bare)
    pair.world.cut(A, LAN)
    pair.until(lambda: pair.runs(B) and not pair.runs(A), 30)
    assert pair.moves(B)[-1].startswith("took services")
    assert pair.moves(A) == ["gave"]


def test_hastd_started_anew_has_an_unproven_copy() -> None:
    """Its role was init: no primary could connect, so that none did says nothing (I1)."""
    pair = HookPair()
    pair.sh(A, f"rm {HOOK}")
    pair.sh(B, "pkill -9 hastd; sleep 1; service hastd onestart")
    pair.world.cut(A, LAN)
    pair.wait(60)
    assert pair.primaries() == [A]
    assert "stopped data had no role: it is secondary now, and its copy is not known to be complete" in pair.moves(B)
    assert pair.role(B) == "secondary"
    assert "confirmed" not in pair.notes(B)


def test_no_answer_of_hastd_is_no_answer() -> None:
    """The hook says so instead of taking silence for a peer that is gone, and goes on trying."""
    pair = HookPair()
    pair.sh(B, "pkill -9 hastd")
    pair.world.power_off(A)
    pair.wait(60)
    assert pair.moves(B) == ["stopped hastd does not tell the role of data"]
    assert pair.hooks(B)


def _both_on_a(data: dict[str, Any]) -> None:
    second_group(data)
    data["spec"]["groups"][1]["preferred"].reverse()


def test_no_role_changes_while_another_device_is_on_its_way() -> None:
    """hastd would hang (docs/freebsd-facts.md#7.49): not in one group, nor in two that are taken side by side."""
    pair = HookPair(_both_on_a)
    hast = pair.machine(B).hast
    change, order, early = hast.change_role, [], []

    def watched(resource: Resource, role: Role) -> Iterator[float]:
        order.append(resource.name)
        others = [each.name for each in hast.resources.values() if each.role == "primary"]
        early.extend(name for name in others if pair.machine(B).files.kind(f"/dev/hast/{name}") is None)
        yield from change(resource, role)

    hast.change_role = watched  # type: ignore[method-assign]
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 90)
    assert sorted(order) == ["data", "data2", "data3"]
    assert early == []


def test_a_peer_that_was_heard_a_moment_ago_is_cut_off_and_not_gone() -> None:
    """Nothing of the active node arrives on the replication network, and somebody demotes it: it lives."""
    pair = HookPair()
    pair.wait(35)
    pair.world.cut(A, REPLICATION, "out")
    pair.sh(A, "sysctl net.inet.carp.demotion=240")
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 3)
    pair.wait(60)
    assert pair.role(B) == "secondary"
    assert any(move.startswith("stopped the peer lived when the addresses came") for move in pair.moves(B))


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0, 8.0])
def test_a_peer_that_answers_when_it_is_asked_anew_is_waited_for(seconds: float) -> None:
    """Packets are lost for a moment while the addresses move in order: one node is primary, and then serves."""
    pair = HookPair()
    pair.wait(35)
    pair.world.cut(A, REPLICATION, "out")
    pair.sh(A, "sysctl net.inet.carp.demotion=240")
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 3)
    together = []
    for step in range(400):
        if step * 0.1 >= seconds:
            pair.world.join(A, REPLICATION)
        together += [step] * (pair.primaries() == [A, B])
        pair.wait(0.1)
    assert together == []
    pair.until(lambda: len(pair.primaries()) == 1 and pair.runs(pair.primaries()[0]), 60)


def test_who_gave_up_waiting_goes_on_when_the_primary_is_gone() -> None:
    """A lost its LAN and could not let go; half an hour later nobody on B waits any more, and A loses its power."""
    pair = HookPair()
    pair.wait(35)
    pair.machine(A).disks.mounts.hold("/data/file", 4711, "tar")
    pair.world.cut(A, LAN)
    pair.until(lambda: pair.carp(B).startswith("MASTER"), 10)
    pair.wait(60)
    assert pair.role(B) == "secondary"
    pair.kill_hooks(B)
    pair.wait(10)
    assert pair.role(B) == "secondary"
    pair.world.power_off(A)
    pair.until(lambda: pair.runs(B) and pair.carp(B) == "MASTER 0", 90)
