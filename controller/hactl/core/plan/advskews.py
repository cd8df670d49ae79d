"""Who should win the election of each vhid: the advskew of each node.

Rules: the document's numbers if it has any; else the address follows the storage, then the order of `preferred`; on a
guess nothing moves. Man page: carp(4).
"""

from __future__ import annotations

from hactl.core.facts import Vhid
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.plan.scene import Scene

#: Distance between the advskews of two nodes that follow each other in `preferred`, if there is room.
ADVSKEW_STEP = 100
#: The highest advskew that still counts (FACTS 1.1: the compared value is capped at 240).
ADVSKEW_LIMIT = 239


def wanted_advskews(scene: Scene, group: GroupSpec, vip: VirtualIP) -> dict[str, int]:
    """advskew by node: as the document says, else by order, the node that holds the storage first.

    With preemption on, the address would otherwise leave the node where the storage is (recording 06). While nobody
    knows where that is, the order that the nodes have now stays: no address moves on a guess.
    """
    if vip.advskews is not None:
        return dict(vip.advskews)
    order = list(group.preferred)
    step = min(ADVSKEW_STEP, ADVSKEW_LIMIT // max(1, len(order) - 1))
    active = scene.active.get(group.name)
    if group.storage and active in order:
        order.remove(active)
        order.insert(0, active)
    elif group.storage:
        now = {node: vhid.advskew // step for node in order if (vhid := _vhid(scene, vip, node)) is not None}
        places = {index for index in now.values() if index < len(order)}
        if len(places) == len(now):  # each has a place of its own
            free = iter([index for index in range(len(order)) if index not in places])
            order = sorted(order, key={node: now[node] if node in now else next(free) for node in order}.__getitem__)
    return {node: index * step for index, node in enumerate(order)}


def _vhid(scene: Scene, vip: VirtualIP, node: str) -> Vhid | None:
    interface = scene.interface(vip, node)
    return interface.vhid(vip.vhid) if interface else None
