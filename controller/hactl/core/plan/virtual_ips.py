"""Who should win the election of each vhid: the advskew of each node.

Rules: the document's numbers if it has any; else the address follows the storage, then the order of `preferred`; on a
guess nothing moves. Man page: carp(4).
"""

from __future__ import annotations

from hactl.core.evidence.carp import advskew_ladder, advskew_step
from hactl.core.facts import Vhid
from hactl.core.objects import Failback, GroupSpec, VirtualIP
from hactl.core.plan.scene import Scene


def wanted_advskews(scene: Scene, group: GroupSpec, vip: VirtualIP) -> dict[str, int]:
    """advskew by node: as the document says, else by order, the node that serves the group first.

    With preemption on, the address would otherwise leave the node where the storage is (recording 06). While nobody
    knows where that is, or while the node does not serve yet, the order that the nodes have now stays: no address
    moves on a guess, and in a switchover it moves last (docs/safety.md#switchover).
    """
    if vip.advskews is not None:
        return dict(vip.advskews)
    order = list(group.preferred)
    lead = _lead(scene, group)
    if lead is None:
        order = _order_now(scene, vip, order) or order
    if lead in order:
        order.remove(lead)
        order.insert(0, lead)
    return advskew_ladder(order)


def _lead(scene: Scene, group: GroupSpec) -> str | None:
    """The node whose addresses should win; None: the order they have stays."""
    from hactl.core.plan.areas.services import serves_fully

    active = scene.active.get(group.name)
    if group.storage:
        return active if active is not None and (_undecided(scene, group) or serves_fully(scene, group)) else None
    if group.failback is Failback.NEVER or scene.goals.get(group.name) != active:
        return scene.goals.get(group.name)
    return group.preferred[0]


def _undecided(scene: Scene, group: GroupSpec) -> bool:
    """Whether the vhids of the group have no order of their own yet, so that there is nothing to keep."""
    return any(_order_now(scene, vip, list(group.preferred)) is None for vip in group.virtual_ips)


def _order_now(scene: Scene, vip: VirtualIP, nodes: list[str]) -> list[str] | None:
    """The order the vhid has on the nodes now; None when it is nowhere, or two nodes have the same place."""
    step = advskew_step(len(nodes))
    now = {node: vhid.advskew // step for node in nodes if (vhid := _vhid(scene, vip, node)) is not None}
    places = {index for index in now.values() if index < len(nodes)}
    if not now or len(places) != len(now):
        return None
    free = iter([index for index in range(len(nodes)) if index not in places])
    key = {node: now[node] if node in now else next(free) for node in nodes}
    return sorted(nodes, key=key.__getitem__)


def _vhid(scene: Scene, vip: VirtualIP, node: str) -> Vhid | None:
    interface = scene.interface(vip, node)
    return interface.vhid(vip.vhid) if interface else None
