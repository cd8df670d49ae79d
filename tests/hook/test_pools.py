"""A pool over several resources: roles first, one import; exported before any role goes. On the lab, hook alone."""

from __future__ import annotations

from hactl.lab.storage.zfs import clear_label
from support.lab.hook_pair import A, B, HookPair
from support.lab.pools import POOL, has_pool, health, pool_over


def roles(pair: HookPair, node: str) -> set[str]:
    """The roles of all resources there."""
    return {resource.role for resource in pair.machine(node).hast.resources.values()}


def test_the_node_that_serves_a_mirror_of_two_loses_its_power() -> None:
    """The other one takes both roles, imports once and serves."""
    pair = HookPair(pool_over("disk1", "disk2", layout="Mirror"))
    pair.sh(A, "echo precious > /data/file; fsync /data/file")
    pair.wait(35)
    pair.world.power_off(A)
    pair.until(lambda: pair.complaints() == [], 60)
    assert pair.sh(B, "cat /data/file") == "precious\n"
    assert health(pair.loop, B) == "ONLINE"


def test_a_stripe_of_three_leaves_a_demoted_node_in_order() -> None:
    """The pool is exported, once, while every role is still there; the other node has what was written last."""
    pair = HookPair(pool_over("disk1", "disk2", "disk3"))
    pair.sh(A, "echo last > /data/file; sysctl net.inet.carp.demotion=240")
    seen = set()
    for _ in range(120):
        pair.wait(0.25)
        seen.add((health(pair.loop, A), frozenset(roles(pair, A))))
        if pair.runs(B):
            break
    assert {roles_then for had, roles_then in seen if had} == {frozenset({"primary"})}
    assert {had for had, _ in seen} == {"ONLINE", ""}
    pair.until(lambda: pair.complaints() == [], 30)
    assert pair.sh(B, "cat /data/file") == "last\n"
    assert pair.moves(A) == ["gave"]

    # What is on one of them is lost, on both disks: nothing is served with a part of the pool.
    pair.sh(A, "sysctl net.inet.carp.demotion=-240")
    pair.loop.converge()
    clear_label(pair.machine(B).disks.gates["hast/disk2"])
    pair.world.power_off(B)
    pair.until(lambda: roles(pair, A) == {"primary"}, 30)
    pair.wait(5)
    assert (roles(pair, A), has_pool(pair.loop, A), pair.runs(A)) == ({"primary"}, False, False)
    assert pair.moves(A)[-1] == f"stopped zpool import {POOL} fails"
