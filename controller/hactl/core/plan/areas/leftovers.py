"""Addresses of virtual IPs that left the document: taken off where hactl once brought them up.

The block that hactl writes for the next boot says which addresses were its own; others are left alone (I10).
Man page: ifconfig(8).
"""

from __future__ import annotations

from hactl.core.cluster import interface_on
from hactl.core.facts import CarpState, family
from hactl.core.plan import checks
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Risk, Step


def removal(node: str, interface: str, ip: str, cidr: str, vhid: int, why: str) -> Step:
    """Take one address off a vhid; the vhid goes with its last address."""
    return Step(
        node,
        "RemoveAddress",
        f"{interface} vhid {vhid} {cidr}",
        why,
        f"ifconfig {quote_plain(interface)} {family(ip)} {ip} -alias",
        Risk.OUTAGE,
        before=(checks.address_on(interface, ip, vhid),),
        after=(checks.address_gone(interface, ip, vhid),),
    )


def leftover_steps(scene: Scene) -> Steps:
    """Addresses that hactl wrote for the next boot once and the document no longer has: a virtual IP was removed.

    They go where they answer last (I5), so that no standby becomes MASTER of what is taken away.
    """
    from hactl.core.plan.areas.boot import ours

    wanted = {(node, interface_on(vip, node), vip.vhid) for group, vip in scene.vips() for node in group.preferred}
    idle: Steps = []
    answering: Steps = []
    for node in reversed(scene.nodes):
        facts = scene.facts.get(node)
        boot = known(facts.boot) if facts else None
        interfaces = known(facts.interfaces) if facts else None
        if boot is None or interfaces is None:
            continue
        for alias in boot.aliases:
            interface = interfaces.get(alias.interface)
            if not ours(alias) or interface is None or (node, alias.interface, alias.vhid) in wanted:
                continue
            vhid = interface.vhid(alias.vhid)
            steps = answering if vhid is not None and vhid.state is CarpState.MASTER else idle
            steps += [
                removal(node, interface.name, a.ip, a.cidr, alias.vhid, f"the document has no vhid {alias.vhid} there")
                for a in interface.of_vhid(alias.vhid)
                if a.ip == alias.ip
            ]
    if not scene.silent:
        return idle + answering
    for step in answering:
        until = f"until {', '.join(sorted(scene.silent))} can be changed first"
        scene.hold("StandbyFirst", f"{step.target} stays on {step.node} {until}", node=step.node, target=step.target)
    return idle
