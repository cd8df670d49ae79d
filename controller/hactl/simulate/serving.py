"""Who serves a group of a simulated cluster: asked of the world itself, not of hactl's facts."""

from __future__ import annotations

from hactl.core.cluster import interface_on
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.lab.machine import Machine
from hactl.lab.storage.mounts import Mount
from hactl.simulate.cluster import SimulatedCluster


def primaries(simulated: SimulatedCluster, resource: str) -> list[str]:
    """Nodes whose hastd has the resource as primary."""
    return [
        name for name, machine in simulated.world.machines.items() if machine.powered and is_primary(machine, resource)
    ]


def is_primary(machine: Machine, resource: str) -> bool:
    """Whether hastd there has the resource as primary."""
    return resource in machine.hast.resources and machine.hast.resources[resource].role == "primary"


def mounts(machine: Machine, resource: str) -> list[Mount]:
    """What the kernel there has mounted of /dev/hast/NAME."""
    return [row for row in machine.disks.mounts.table if row.special == f"/dev/hast/{resource}"]


def unplugged(machine: Machine, resource: str) -> bool:
    """Whether the device under every such mount is gone: nothing written there gets onto the disk any more."""
    rows = mounts(machine, resource)
    return bool(rows) and all(row.provider is not None and row.provider.gone for row in rows)


def is_master(machine: Machine, interface: str, vhid: int) -> bool:
    """Whether clients on the interface's network get to the vhid's addresses there."""
    port = machine.net.interfaces.get(interface)
    found = port.vhids.get(vhid) if port is not None else None
    return port is not None and found is not None and found.state == "MASTER" and port.can_send and port.can_receive


def serving(simulated: SimulatedCluster, group: GroupSpec) -> tuple[str, ...]:
    """Nodes that have everything of the group: every address, every disk with its filesystem, every service."""
    return tuple(node for node in simulated.nodes if node in group.preferred and _serves(simulated, group, node))


def _serves(simulated: SimulatedCluster, group: GroupSpec, node: str) -> bool:
    machine = simulated.machine(node)
    return (
        machine.awake
        and machine.running
        and all(is_master(machine, interface_on(vip, node), vip.vhid) for vip in group.virtual_ips)
        and all(usable(machine, storage) for storage in group.storage)
        and all(machine.rc.pid_of(service.name) is not None for service in group.services)
    )


def usable(machine: Machine, storage: StorageSpec) -> bool:
    """Whether programs there can use the replicated disk, with the filesystem that belongs on it."""
    if not is_primary(machine, storage.name):
        return False
    if storage.filesystem is None:
        return True
    if storage.filesystem.zfs is not None:
        pool = machine.disks.pools.imported.get(storage.filesystem.zfs.pool)
        return pool is not None and pool.mount is not None and pool.vdev.works
    return bool(mounts(machine, storage.name)) and not unplugged(machine, storage.name)
