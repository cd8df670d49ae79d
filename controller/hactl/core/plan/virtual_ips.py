"""What is wanted of each virtual IP: its addresses, its password, and which node wins its election.

Rules: the document's advskews if it has any; else the address follows the storage, then the order of `preferred`; on a
guess nothing moves. Man page: carp(4).
"""

from __future__ import annotations

import ipaddress

from hactl.core.changes.change import SecretUse
from hactl.core.choices import Failback
from hactl.core.evidence.carp import advskew_ladder, advskew_step
from hactl.core.facts import Address
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.plan.scene import Scene
from hactl.core.plan.serving import driven_off, serves_fully


def wanted_addresses(vip: VirtualIP) -> list[Address]:
    """The addresses of a virtual IP in canonical form."""
    parsed = [ipaddress.ip_interface(text) for text in vip.addresses]
    return [Address(str(address.ip), address.network.prefixlen, vip.vhid) for address in parsed]


def password_of(scene: Scene, group: GroupSpec, vip: VirtualIP) -> SecretUse | None:
    """The shell variable that carries the password of this virtual IP; None when the document names none."""
    if vip.password_from is None:
        return None
    numbers = {(group.name, vip.name): number for number, (group, vip) in enumerate(scene.view.vips(), start=1)}
    return SecretUse(f"HACTL_PASS_{numbers[group.name, vip.name]}", group.name, vip.name)


def key_of(scene: Scene, group: GroupSpec, vip: VirtualIP) -> str | None:
    """fingerprint of the wanted password; None when the document names none."""
    return scene.view.cluster.keys.get((group.name, vip.name))


def wanted_advskews(scene: Scene, group: GroupSpec, vip: VirtualIP) -> dict[str, int]:
    """advskew by node: as the document says, else by order, the node that serves the group first.

    With preemption on, the address would otherwise leave the node where the storage is (recording 06). While nobody
    knows where that is, or while the node does not serve yet, the places that the nodes have now stay: no address
    moves on a guess, and in a switchover it moves last (docs/safety.md#switchover).
    """
    if vip.advskews is not None:
        return dict(vip.advskews)
    order = list(group.preferred)
    lead = _lead(scene, group)
    if lead is None:
        return _places_now(scene, vip, order) or advskew_ladder(order)
    if lead in order:
        order.remove(lead)
        order.insert(0, lead)
    return advskew_ladder(order)


def given_away(scene: Scene, group: GroupSpec, vip: VirtualIP, node: str, goal: str) -> int | None:
    """The advskew with which the MASTER of a vhid lets the goal take it, once that has the best one; None: as it is.

    Until then the address stays: a BACKUP takes it from a worse one only (docs/freebsd-facts.md#1.2), and nobody is
    worse before that.
    """
    wanted = advskew_ladder([goal, node, *(other for other in group.preferred if other not in (goal, node))])[node]
    here = scene.view.vhid(vip, node)
    others = [scene.view.vhid(vip, other) for other in group.preferred if other != node]
    if vip.advskews is not None or scene.view.masters(vip) != [node] or here is None or here.advskew >= wanted:
        return None
    if scene.view.sysctl(node, "demotion") != 0 or any(o is None or o.advskew < wanted for o in others):
        return None
    return wanted


def _lead(scene: Scene, group: GroupSpec) -> str | None:
    """The node whose addresses should win; None: the order they have stays."""
    active = scene.active.get(group.name)
    if group.storage:
        return active if active is not None and (_undecided(scene, group) or serves_fully(scene, group)) else None
    if group.failback is Failback.NEVER or scene.goals.get(group.name) != active:
        return scene.goals.get(group.name)
    # To a drained node, or where a service failed, CARP is not to bring the addresses back.
    kept_off = [n for n in group.preferred if n in scene.overrides.drained or driven_off(scene, group, n, active)]
    return next((node for node in group.preferred if node not in kept_off), active)


def _undecided(scene: Scene, group: GroupSpec) -> bool:
    """Whether the vhids of the group have no places of their own yet, so that there is nothing to keep."""
    return any(_places_now(scene, vip, list(group.preferred)) is None for vip in group.virtual_ips)


def _places_now(scene: Scene, vip: VirtualIP, nodes: list[str]) -> dict[str, int] | None:
    """advskew by node by the places the vhid has on them now; None when it is nowhere or in no order.

    Two nodes may share a place, as in a move: another place would move the address. Where it is the first one, which a
    vhid gets that nobody gave one, only while one of them is MASTER.
    """
    step = advskew_step(len(nodes))
    now = {node: vhid.advskew // step for node in nodes if (vhid := scene.view.vhid(vip, node)) is not None}
    places = {index for index in now.values() if index < len(nodes)}
    if len(places) == len(now) and now:
        free = iter([index for index in range(len(nodes)) if index not in places])
        key = {node: now[node] if node in now else next(free) for node in nodes}
        return advskew_ladder(sorted(nodes, key=key.__getitem__))
    shared = len(now) == len(nodes) and max(now.values()) < len(nodes)
    shared = shared and (0 not in places or len(scene.view.masters(vip)) == 1)
    return {node: place * step for node, place in now.items()} if shared else None
