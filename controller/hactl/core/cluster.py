"""A cluster as it is wanted: the document, its generation, and what was resolved for it on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hactl.core.choices import PoolLayout, RunOn
from hactl.core.objects import (
    FailoverSpec,
    GroupSpec,
    HACluster,
    NodeSpec,
    ServiceCheck,
    ServiceSpec,
    StorageSpec,
    VirtualIP,
)

#: hastd's own port (hastd/hast.h HASTD_DEFAULT_PORT).
HAST_PORT = 8457


class LeftKind(StrEnum):
    """What can be left on a node by a document that named it."""

    SERVICE = "service"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Left:
    """Something that an earlier document had on a node, and this one has not."""

    what: LeftKind
    name: str
    node: str


@dataclass(frozen=True, slots=True)
class WantedPool:
    """A ZFS pool of the document: one thing to create, import and export, whatever the number of its resources."""

    name: str
    #: The resources it stands on; their order is that of its devices.
    storages: tuple[StorageSpec, ...]
    #: None: the document does not say.
    layout: PoolLayout | None
    #: None: the document does not say.
    mountpoint: str | None

    @property
    def mounted_on(self) -> str:
        """Where it is mounted: without a word, where zpool(8) does it."""
        return self.mountpoint or f"/{self.name}"

    @property
    def resources(self) -> tuple[str, ...]:
        """The names of its resources."""
        return tuple(storage.name for storage in self.storages)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `make_plan` wants to reach."""

    document: HACluster
    generation: int = 1
    #: fingerprint of the wanted CARP key by (group, virtual IP) name; absent where the document names no password.
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    #: What earlier documents left on the nodes, as far as nobody has seen it gone.
    left: tuple[Left, ...] = ()

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.document.metadata.name

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """The machines, in document order."""
        return tuple(self.document.spec.nodes)

    @property
    def groups(self) -> tuple[GroupSpec, ...]:
        """What moves together, in document order."""
        return tuple(self.document.spec.groups)


def services_of(cluster: Cluster) -> tuple[str, ...]:
    """The services that a node is asked about: those of the document, and those that left it."""
    names = [service.name for group in cluster.groups for service in group.services]
    return tuple(dict.fromkeys([*names, *(left.name for left in cluster.left if left.what is LeftKind.SERVICE)]))


def checks_of(cluster: Cluster) -> dict[str, ServiceCheck]:
    """Service -> what the document names to tell whether it runs."""
    specs = (service for group in cluster.groups for service in group.services)
    return {spec.name: spec.check for spec in specs if spec.check is not None}


def storages_of(cluster: Cluster, node: str) -> list[StorageSpec]:
    """The resources that have a disk on this node."""
    return [s for group in cluster.groups for s in group.storage if node in s.hast.devices]


def pools_of(group: GroupSpec) -> tuple[WantedPool, ...]:
    """The pools of a group, each once, in the order of their first resources."""
    members: dict[str, list[StorageSpec]] = {}
    for storage in group.storage:
        if storage.filesystem is not None and storage.filesystem.zfs is not None:
            members.setdefault(storage.filesystem.zfs.pool, []).append(storage)
    found = []
    for name, storages in members.items():
        specs = [s.filesystem.zfs for s in storages if s.filesystem is not None and s.filesystem.zfs is not None]
        layout = next((spec.layout for spec in specs if spec.layout is not None), None)
        mountpoint = next((spec.mountpoint for spec in specs if spec.mountpoint is not None), None)
        found.append(WantedPool(name, tuple(storages), layout, mountpoint))
    return tuple(found)


def pool_under(group: GroupSpec, storage: StorageSpec) -> WantedPool | None:
    """The pool that stands on that resource; None: it holds something else, or nothing of the document."""
    return next((pool for pool in pools_of(group) if storage.name in pool.resources), None)


def interface_on(vip: VirtualIP, node: str) -> str:
    """The interface that carries the vhid on that node (the document is already validated)."""
    if vip.interfaces is not None:
        return vip.interfaces[node]
    assert vip.interface is not None
    return vip.interface


def start_order(group: GroupSpec) -> tuple[ServiceSpec, ...]:
    """The group's services in the order they start: that of the document, but each behind those it names in `after`.

    They stop in reverse. The document is already validated: no circle, no name that is not there.
    """
    ordered: dict[str, ServiceSpec] = {}
    waiting = list(group.services)
    while waiting:
        ready = next((spec for spec in waiting if all(name in ordered for name in spec.after)), waiting[0])
        ordered[ready.name] = ready
        waiting.remove(ready)
    return tuple(ordered.values())


def failover_of(cluster: Cluster, group: GroupSpec) -> FailoverSpec:
    """What the nodes do by themselves for that group."""
    return group.failover if group.failover is not None else cluster.document.spec.failover


def hooked_groups(cluster: Cluster, node: str) -> tuple[GroupSpec, ...]:
    """The groups that the node hook of that node looks after: there is something besides addresses to move."""
    return tuple(
        group for group in cluster.groups if node in group.preferred and group.virtual_ips and follows_addresses(group)
    )


def follows_addresses(group: GroupSpec) -> bool:
    """Whether there is something besides addresses that moves with the group."""
    return bool(group.storage) or any(service.run_on is RunOn.ACTIVE for service in group.services)


def targets_of(group: GroupSpec) -> frozenset[str]:
    """What steps about the group are about, in FreeBSD's words; addresses not included."""
    found = {service.name for service in group.services}
    for storage in group.storage:
        found |= {storage.name, storage.device}
        spec = storage.filesystem
        if spec is not None and spec.ufs is not None:
            found.add(spec.ufs.mountpoint)
        if spec is not None and spec.zfs is not None:
            found.add(spec.zfs.pool)
    return frozenset(found)
