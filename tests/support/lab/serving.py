"""Whether a simulated cluster serves: asked of the world itself, not of hactl's facts."""

from __future__ import annotations

from hactl.core.choices import RunOn
from hactl.core.cluster import interface_on, pool_under
from hactl.core.objects import GroupSpec
from hactl.simulate.serving import primaries
from support.lab.closed_loop import Loop


def complaints(loop: Loop) -> list[str]:
    """What is not as a serving cluster should be; empty when all is well."""
    found: list[str] = []
    for group in loop.document.spec.groups:
        found += _group(loop, group)
    return found


def masters(loop: Loop, group: GroupSpec, vhid: int) -> list[str]:
    """Nodes that are MASTER of a vhid."""
    vip = next(vip for vip in group.virtual_ips if vip.vhid == vhid)
    return [
        node
        for node in group.preferred
        if loop.reaches(node) and f"carp: MASTER vhid {vhid} " in loop.sh(node, f"ifconfig {interface_on(vip, node)}")
    ]


def _group(loop: Loop, group: GroupSpec) -> list[str]:
    found = []
    active = set()
    for storage in group.storage:
        holders = primaries(loop, storage.name)
        active.update(holders)
        if len(holders) != 1:
            found.append(f"{storage.name} has primaries {holders}")
        elif storage.filesystem is not None:
            ufs, pool = storage.filesystem.ufs, pool_under(group, storage)
            point = ufs.mountpoint if ufs else pool.mounted_on if pool else ""
            if f" on {point} (" not in loop.sh(holders[0], "mount"):
                found.append(f"{storage.name} is not mounted on {holders[0]}")
    for vip in group.virtual_ips:
        holders = masters(loop, group, vip.vhid)
        if len(holders) != 1 or (active and set(holders) != active):
            found.append(f"vhid {vip.vhid} has masters {holders}, the storage is on {sorted(active)}")
        active = active or set(holders)
    for service in group.services:
        for node in group.preferred:
            runs = "is running" in loop.sh(node, f"service {service.name} onestatus") if loop.reaches(node) else False
            if runs != (service.run_on is RunOn.ALL or node in active):
                found.append(f"{service.name} on {node}: {'runs' if runs else 'does not run'}")
    return found
