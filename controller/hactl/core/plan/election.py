"""What CARP decides by itself: waited for, and named while it is not as it should be.

Man page: carp(4). Timing: a vhid that hears nobody becomes MASTER after 3*advbase + advskew/256 seconds.
"""

from __future__ import annotations

from hactl.core.cluster import interface_on
from hactl.core.evidence.carp import master_down_seconds
from hactl.core.evidence.two_masters import two_masters_cause
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, Vhid
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.plan.scene import Scene
from hactl.core.plan.virtual_ips import wanted_advskews


def election_waits(scene: Scene) -> None:
    """A hold for every vhid that does not have exactly one MASTER, on the node where its group is active."""
    for group, vip in scene.vips():
        seen = _seen(scene, group, vip)
        if not seen:
            continue
        masters = [node for node, vhid in seen.items() if vhid.state is CarpState.MASTER]
        if len(masters) > 1:
            cause = two_masters_cause(View.at(scene.cluster, scene.snapshot, scene.now), group, vip)
            scene.hold("TwoMasters", cause.message, target=f"vhid {vip.vhid}", passing=True, remedy=cause.remedy)
        elif not masters:
            _nobody(scene, group, vip, seen)
        else:
            _elsewhere(scene, group, vip, masters[0])


def _seen(scene: Scene, group: GroupSpec, vip: VirtualIP) -> dict[str, Vhid]:
    seen = {}
    for node in group.preferred:
        interface = scene.interface(vip, node)
        vhid = interface.vhid(vip.vhid) if interface else None
        if vhid is not None and interface is not None and interface.of_vhid(vip.vhid):
            seen[node] = vhid
    return seen


def _nobody(scene: Scene, group: GroupSpec, vip: VirtualIP, seen: dict[str, Vhid]) -> None:
    down = [node for node, vhid in seen.items() if vhid.state is CarpState.INIT]
    for node in down:
        name = interface_on(vip, node)
        scene.hold(
            "InterfaceDown",
            f"vhid {vip.vhid} on {node} is INIT: {name} is down or has no link",
            node=node,
            target=f"{name} vhid {vip.vhid}",
            remedy=f"ifconfig {name} up; check the cable and the switch port",
        )
    if len(down) < len(seen) and not any(node in scene.silent for node in group.preferred):
        wait = master_down_seconds(vip.advbase, max(wanted_advskews(scene, group, vip).values()))
        scene.hold(
            "Electing",
            f"vhid {vip.vhid}: nobody is MASTER yet; it takes up to {wait:.1f} s",
            target=f"vhid {vip.vhid}",
            passing=True,
        )


def _elsewhere(scene: Scene, group: GroupSpec, vip: VirtualIP, master: str) -> None:
    """The address is not where the group is; with everything as the document says, preemption brings it.

    By advskews of the document it stays, and the storage follows: not while a person has to decide about that.
    """
    active = scene.active.get(group.name)
    if not group.storage or active in (None, master):
        return
    scene.hold(
        "AddressElsewhere",
        f"vhid {vip.vhid}: {master} is MASTER, {group.name} is active on {active}",
        target=f"vhid {vip.vhid}",
        passing=vip.advskews is None or all(hold.passing for hold in scene.holds),
        remedy=f"if it lasts, on {active}: sysctl net.inet.carp.demotion; ifconfig {interface_on(vip, master)}",
    )
