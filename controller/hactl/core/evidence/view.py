"""What is seen of a cluster, in the words the conditions need: states, roles, mounts, and what is not known.

Rules: facts that are too old to act on are not known; a reading that is Unknown is neither healthy nor broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hactl.core.cluster import Cluster, interface_on
from hactl.core.facts import (
    CarpState,
    HastMetadata,
    HastResource,
    HastRole,
    Interface,
    Known,
    NodeFacts,
    NoMetadata,
    Reading,
    Snapshot,
    Unknown,
    Vhid,
)
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP

T = TypeVar("T")

#: Facts older than this are shown with their age and believed no more (docs/safety.md#I6), seconds.
BELIEVED_SECONDS = 30.0

#: Dirty bytes up to this are writes on their way, not a copy that falls behind.
IN_FLIGHT_BYTES = 64 * 1024 * 1024

#: States of a vhid that CARP has no word for.
ABSENT = "Absent"
UNKNOWN = "Unknown"
#: Whether the filesystem or pool of a resource is there.
MOUNTED = "Mounted"
NOT_MOUNTED = "NotMounted"
#: In the table still, but /dev/hast/NAME is gone under it: whatever uses it gets errors (docs/freebsd-facts.md#2.8).
DEAD = "Dead"


def known(reading: Reading[T] | None) -> T | None:
    """The value, or None when it is not known."""
    return reading.value if isinstance(reading, Known) else None


@dataclass(frozen=True, slots=True)
class Seen:
    """A cluster and what may be believed of its nodes at `now` (monotonic seconds)."""

    cluster: Cluster
    facts: Mapping[str, NodeFacts]
    #: Node -> why nothing is known of it: a PascalCase reason.
    silent: Mapping[str, str]

    @classmethod
    def at(cls, cluster: Cluster, snapshot: Snapshot, now: float) -> Seen:
        """Sort the nodes into those that may be believed and those that are silent."""
        facts: dict[str, NodeFacts] = {}
        silent: dict[str, str] = {}
        for node in cluster.nodes:
            reading = snapshot.nodes.get(node.name, Unknown("NotAsked", now))
            if isinstance(reading, Unknown):
                silent[node.name] = reading.reason
            elif now - reading.value.seen_at > BELIEVED_SECONDS:
                silent[node.name] = "StaleFacts"
            else:
                facts[node.name] = reading.value
        return cls(cluster, facts, silent)

    def vhid(self, vip: VirtualIP, node: str) -> Vhid | None:
        """The vhid on that node; None when it is not there or not known."""
        interface = self.interface(vip, node)
        return interface.vhid(vip.vhid) if interface else None

    def interface(self, vip: VirtualIP, node: str) -> Interface | None:
        """The interface of the vhid; None when it is not there or not known."""
        interfaces = known(self.facts[node].interfaces) if node in self.facts else None
        return interfaces.get(interface_on(vip, node)) if interfaces is not None else None

    def state(self, vip: VirtualIP, node: str) -> str:
        """INIT, BACKUP, MASTER, Absent or Unknown."""
        if node not in self.facts or known(self.facts[node].interfaces) is None:
            return UNKNOWN
        vhid = self.vhid(vip, node)
        return vhid.state.value if vhid else ABSENT

    def states(self, vip: VirtualIP) -> dict[str, str]:
        """State by node, in document order."""
        return {node.name: self.state(vip, node.name) for node in self.cluster.nodes}

    def masters(self, vip: VirtualIP) -> list[str]:
        """Nodes that are known to be MASTER."""
        return [node for node, state in self.states(vip).items() if state == CarpState.MASTER.value]

    def resource(self, name: str, node: str) -> HastResource | None:
        """What `hastctl list` shows; None when it shows none or that is not known."""
        resources = known(self.facts[node].resources) if node in self.facts else None
        return resources.get(name) if resources else None

    def role(self, name: str, node: str) -> str:
        """init, primary, secondary, Absent (hastd does not run, or does not have it) or Unknown."""
        facts = self.facts.get(node)
        hastd = known(facts.hastd) if facts else None
        resources = known(facts.resources) if facts else None
        if hastd is not None and not hastd.running:
            return ABSENT
        if resources is None:
            return UNKNOWN
        return resources[name].role.value if name in resources else ABSENT

    def roles(self, storage: StorageSpec) -> dict[str, str]:
        """Role by node, in document order."""
        return {n.name: self.role(storage.name, n.name) for n in self.cluster.nodes if n.name in storage.hast.devices}

    def primaries(self, storage: StorageSpec) -> list[str]:
        """Nodes that are known to be primary."""
        return [node for node, role in self.roles(storage).items() if role == HastRole.PRIMARY.value]

    def metadata(self, name: str, node: str) -> HastMetadata | NoMetadata | None:
        """What `hastctl dump` shows; None when that is not known."""
        return known(self.facts[node].metadata.get(name)) if node in self.facts else None

    def diverged(self, storage: StorageSpec) -> bool:
        """Whether both copies were written while they were apart (docs/freebsd-facts.md#2.6)."""
        copies = [self.metadata(storage.name, node) for node in storage.hast.devices]
        real = [copy for copy in copies if isinstance(copy, HastMetadata) and copy.resuid]
        return len(real) == 2 and (
            real[0].resuid == real[1].resuid
            and real[0].localcnt > real[1].remotecnt
            and real[1].localcnt > real[0].remotecnt
        )

    def mount(self, storage: StorageSpec, node: str) -> str:
        """Mounted (or imported), Dead, NotMounted or Unknown; NotMounted too when nothing is to be mounted."""
        state = self._in_table(storage, node)
        device = known(self.facts[node].hast_devices.get(storage.name)) if node in self.facts else None
        return DEAD if state == MOUNTED and device is not None and not device.exists else state

    def _in_table(self, storage: StorageSpec, node: str) -> str:
        facts, spec = self.facts.get(node), storage.filesystem
        if spec is None:
            return NOT_MOUNTED
        if facts is None:
            return UNKNOWN
        if spec.zfs is not None:
            pools = known(facts.pools)
            if pools is None:
                return UNKNOWN
            return MOUNTED if spec.zfs.pool in pools and pools[spec.zfs.pool].imported else NOT_MOUNTED
        mounts = known(facts.mounts)
        if mounts is None:
            return UNKNOWN
        special = f"/dev/hast/{storage.name}"
        return MOUNTED if any(mount.special == special for mount in mounts) else NOT_MOUNTED

    def unconnected(self, storage: StorageSpec) -> list[str]:
        """Secondaries that say that no primary is connected to them: they have a worker only while one is."""
        return [
            node
            for node, role in self.roles(storage).items()
            if role == HastRole.SECONDARY.value
            and (resource := self.resource(storage.name, node)) is not None
            and resource.workerpid is None
        ]

    def service(self, name: str, node: str) -> str:
        """Running, Stopped, Missing or Unknown."""
        service = known(self.facts[node].services.get(name)) if node in self.facts else None
        if service is None:
            return UNKNOWN
        if not service.exists:
            return "Missing"
        return "Running" if service.running else "Stopped"

    def active(self, group: GroupSpec) -> str | None:
        """Where the group is: primary for all its storage, or MASTER of all its addresses; None: nowhere known."""
        if group.storage:
            places = [self.primaries(storage) for storage in group.storage]
        else:
            places = [self.masters(vip) for vip in group.virtual_ips]
        alone = {place[0] if len(place) == 1 else None for place in places}
        return alone.pop() if len(alone) == 1 else None

    def unknowns(self) -> dict[str, dict[str, str]]:
        """Node -> reading that the document needs -> why it is not known. Empty dicts are left out."""
        found = {node: {"node": reason} for node, reason in self.silent.items()}
        for node, facts in self.facts.items():
            lacking = {
                name: reading.reason if isinstance(reading, Unknown) else "not asked"
                for name, reading in _needed(self.cluster, node, facts)
                if not isinstance(reading, Known)
            }
            if lacking:
                found[node] = lacking
        return found


def _needed(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[tuple[str, Reading[object] | None]]:
    """The readings that decide whether this node is as the document says."""
    yield "system", facts.system
    yield "boot", facts.boot
    if any(group.virtual_ips for group in cluster.groups):
        yield "interfaces", facts.interfaces
        yield "modules", facts.modules
        yield "carp sysctls", facts.carp_sysctls
    storages = [s for group in cluster.groups for s in group.storage if node in s.hast.devices]
    if storages:
        yield "hastd", facts.hastd
        yield "resources", facts.resources
        yield "file /etc/hast.conf", facts.files.get("/etc/hast.conf")
    for storage in storages:
        yield f"metadata {storage.name}", facts.metadata.get(storage.name)
        yield f"/dev/hast/{storage.name}", facts.hast_devices.get(storage.name)
        if not isinstance(known(facts.metadata.get(storage.name)), HastMetadata):
            # With metadata read from it the device is evidently there; without, everything about it counts.
            yield f"device {storage.hast.devices[node]}", facts.devices.get(storage.hast.devices[node])
        if storage.filesystem and storage.filesystem.ufs:
            yield "mounts", facts.mounts
        if storage.filesystem and storage.filesystem.zfs:
            yield "pools", facts.pools
    for group in cluster.groups:
        for service in group.services:
            yield f"service {service.name}", facts.services.get(service.name)
