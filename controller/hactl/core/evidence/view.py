"""What is seen of a cluster: the one place that says which facts count, and answers questions about them.

Rules: a node that did not answer, or answered too long ago, has no facts here, and nothing is concluded from its
silence; to act on, the facts must also be those of the machine that the document names (`View.to_act_on`). A reading
that is Unknown is neither healthy nor broken. What people are shown (`state`, `reported_role`, `mount`, `service`) is
what the nodes say; what hactl acts on (`role`) doubts a node that contradicts itself. The audit has a model of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hactl.core.catalogue import HoldReason
from hactl.core.cluster import Cluster, interface_on, pools_of
from hactl.core.facts import (
    CarpState,
    HastMetadata,
    HastResource,
    HastRole,
    HookFacts,
    Interface,
    Known,
    Mount,
    NodeFacts,
    NoMetadata,
    Reading,
    Snapshot,
    Unknown,
    Vhid,
    device_of,
    known,
)
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP

#: Facts older than this are shown with their age and believed no more (docs/safety.md#I6), seconds.
EVIDENCE_SECONDS = 30.0
#: A promotion needs the word of both nodes no older than this, seconds.
PROMOTION_EVIDENCE_SECONDS = 25.0
#: Dirty bytes up to this are writes on their way, not a copy that falls behind.
IN_FLIGHT_BYTES = 64 * 1024 * 1024


class VhidState(StrEnum):
    """`CarpState`, and what CARP has no word for."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


class ReportedRole(StrEnum):
    """`HastRole`, and what hastctl has no word for."""

    INIT = "init"
    PRIMARY = "primary"
    SECONDARY = "secondary"
    #: hastd does not run, or does not know the resource.
    ABSENT = "Absent"
    UNKNOWN = "Unknown"


class MountState(StrEnum):
    """Whether the filesystem or pool of a resource is in use on a node."""

    MOUNTED = "Mounted"
    NOT_MOUNTED = "NotMounted"
    #: In the table still, but /dev/hast/NAME is gone under it: its users get errors (docs/freebsd-facts.md#2.8).
    DEAD = "Dead"
    UNKNOWN = "Unknown"


class ServiceState(StrEnum):
    """An rc.d service on a node."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    MISSING = "Missing"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing that a node says counts."""

    #: The hold that follows from it.
    hold: HoldReason
    #: For people, without the node's name.
    message: str
    remedy: str = ""
    #: Whether time alone clears it.
    passing: bool = False
    #: PascalCase: what came instead of an answer (`Unknown.reason`); empty: an answer came.
    answer: str = ""

    @property
    def reason(self) -> str:
        """PascalCase, for people and programs."""
        return self.answer or self.hold.value


@dataclass(frozen=True, slots=True)
class View:
    """A cluster, and what counts of its nodes at `now` (monotonic seconds)."""

    cluster: Cluster
    snapshot: Snapshot
    now: float
    facts: Mapping[str, NodeFacts]
    #: Nodes without facts here.
    silent: Mapping[str, Silence]

    @classmethod
    def at(cls, cluster: Cluster, snapshot: Snapshot, now: float) -> View:
        """To show and explain: the facts of every node that answered a short while ago."""
        return cls._sorted(cluster, snapshot, now, strict=False)

    @classmethod
    def to_act_on(cls, cluster: Cluster, snapshot: Snapshot, now: float) -> View:
        """To act on: of these only FreeBSD machines that are the document's node and let us be root."""
        return cls._sorted(cluster, snapshot, now, strict=True)

    @classmethod
    def _sorted(cls, cluster: Cluster, snapshot: Snapshot, now: float, *, strict: bool) -> View:
        facts: dict[str, NodeFacts] = {}
        silent: dict[str, Silence] = {}
        for node in cluster.nodes:
            reading = snapshot.nodes.get(node.name)
            silence = _no_answer(node.name, reading, now)
            if silence is None and isinstance(reading, Known):
                silence = _not_the_node(node.name, reading.value) if strict else None
                if silence is None:
                    facts[node.name] = reading.value
            if silence is not None:
                silent[node.name] = silence
        return cls(cluster, snapshot, now, facts, silent)

    # --- the document's things ------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in document order."""
        return tuple(node.name for node in self.cluster.nodes)

    def vips(self) -> Iterator[tuple[GroupSpec, VirtualIP]]:
        """Every virtual IP with its group, in document order."""
        for group in self.cluster.groups:
            for vip in group.virtual_ips:
                yield group, vip

    def storages(self) -> Iterator[tuple[GroupSpec, StorageSpec]]:
        """Every HAST resource with its group, in document order."""
        for group in self.cluster.groups:
            for storage in group.storage:
                yield group, storage

    # --- a node ---------------------------------------------------------------------------------------------------

    def age_seconds(self, node: str) -> float:
        """How old the node's word, or its silence, is; 0 when it was never asked."""
        reading = self.snapshot.nodes.get(node)
        if reading is None:
            return 0.0
        return max(0.0, self.now - (reading.value.seen_at if isinstance(reading, Known) else reading.since))

    def fresh(self, node: str) -> bool:
        """Whether the node's word is new enough to promote by."""
        return node in self.facts and self.now - self.facts[node].seen_at <= PROMOTION_EVIDENCE_SECONDS

    def carp_loaded(self, node: str) -> bool:
        """Whether the node is known to have carp(4) in its kernel."""
        modules = known(self.facts[node].modules) if node in self.facts else None
        return modules is not None and modules.get("carp", False)

    def sysctl(self, node: str, name: str) -> int | None:
        """net.inet.carp.NAME; None: not known."""
        values = known(self.facts[node].carp_sysctls) if node in self.facts else None
        return values.get(name) if values is not None else None

    def hook(self, node: str) -> HookFacts | None:
        """What the node has of the node hook and what that wrote down; None: not known."""
        return known(self.facts[node].hook) if node in self.facts else None

    # --- CARP -----------------------------------------------------------------------------------------------------

    def interface(self, vip: VirtualIP, node: str) -> Interface | None:
        """The interface of the vhid; None when it is not there or not known."""
        interfaces = known(self.facts[node].interfaces) if node in self.facts else None
        return interfaces.get(interface_on(vip, node)) if interfaces is not None else None

    def vhid(self, vip: VirtualIP, node: str) -> Vhid | None:
        """The vhid on that node; None when it is not there or not known."""
        interface = self.interface(vip, node)
        return interface.vhid(vip.vhid) if interface else None

    def state(self, vip: VirtualIP, node: str) -> VhidState:
        """State of the vhid on that node."""
        if node not in self.facts or known(self.facts[node].interfaces) is None:
            return VhidState.UNKNOWN
        vhid = self.vhid(vip, node)
        return VhidState(vhid.state) if vhid else VhidState.ABSENT

    def states(self, vip: VirtualIP) -> dict[str, VhidState]:
        """State by node, in document order."""
        return {node: self.state(vip, node) for node in self.nodes}

    def masters(self, vip: VirtualIP) -> list[str]:
        """Nodes that are known to be MASTER."""
        return [node for node in self.nodes if (vhid := self.vhid(vip, node)) and vhid.state is CarpState.MASTER]

    # --- HAST -----------------------------------------------------------------------------------------------------

    def resource(self, name: str, node: str) -> HastResource | None:
        """What `hastctl list` shows; None when it shows none or that is not known."""
        resources = known(self.facts[node].resources) if node in self.facts else None
        return resources.get(name) if resources else None

    def reported_role(self, name: str, node: str) -> ReportedRole:
        """The role that hastd says it has, for people; to act on see `role`."""
        facts = self.facts.get(node)
        if facts is None:
            return ReportedRole.UNKNOWN
        hastd = known(facts.hastd)
        if hastd is not None and not hastd.running:
            return ReportedRole.ABSENT
        resources = known(facts.resources)
        if resources is None:
            return ReportedRole.UNKNOWN
        return ReportedRole(resources[name].role) if name in resources else ReportedRole.ABSENT

    def role(self, name: str, node: str) -> HastRole | None:
        """The role to act on; None: not known. Without hastd, or unknown to it, a resource is init: it has no worker.

        Only a primary has /dev/hast/NAME: a node that has it and says that it is not primary may be primary all the
        same (the role is being changed, or hastd died and its worker did not).
        """
        reported = self.reported_role(name, node)
        if reported is ReportedRole.PRIMARY:
            return HastRole.PRIMARY
        if reported is ReportedRole.UNKNOWN or self.has_device(name, node):
            return None
        return HastRole.SECONDARY if reported is ReportedRole.SECONDARY else HastRole.INIT

    def has_device(self, name: str, node: str) -> bool:
        """Whether /dev/hast/NAME is there; a mount of it counts while nobody could look."""
        facts = self.facts.get(node)
        device = known(facts.hast_devices.get(name)) if facts else None
        if device is not None:
            return device.exists
        return any(mount.special == device_of(name) for mount in self.mounts(node) or ())

    def roles(self, storage: StorageSpec) -> dict[str, ReportedRole]:
        """Reported role by node, in document order."""
        return {node: self.reported_role(storage.name, node) for node in self.nodes if node in storage.hast.devices}

    def primaries(self, storage: StorageSpec) -> list[str]:
        """Nodes that are known to be primary."""
        return [node for node, role in self.roles(storage).items() if role is ReportedRole.PRIMARY]

    def metadata(self, name: str, node: str) -> HastMetadata | NoMetadata | None:
        """What `hastctl dump` shows; None when that is not known."""
        return known(self.facts[node].metadata.get(name)) if node in self.facts else None

    def complete(self, storage: StorageSpec, node: str) -> bool:
        """Whether all is on both disks: the primary says so with nothing dirty (docs/freebsd-facts.md#2.4), and the
        other node says that it is secondary and connected, over links that are up. A primary without traffic says
        `complete` for minutes after its peer has died (docs/freebsd-facts.md#7.14).
        """
        resource = self.resource(storage.name, node)
        others = [self.resource(storage.name, other) for other in storage.hast.devices if other != node]
        return (
            resource is not None
            and resource.role is HastRole.PRIMARY
            and resource.status == "complete"
            and resource.dirty == 0
            and resource.local_errors == 0
            and all(other is not None and other.workerpid is not None for other in others)
            and not self.cut(storage)
        )

    def cut(self, storage: StorageSpec) -> list[str]:
        """What keeps the two copies apart on the wire, for people: replication interfaces that are known to be down."""
        found = []
        for node, address in storage.hast.addresses.items():
            interfaces = known(self.facts[node].interfaces) if node in self.facts else None
            for interface in (interfaces or {}).values():
                if not interface.up and any(each.ip == address for each in interface.addresses):
                    state = interface.status if "UP" in interface.flags else "down"
                    found.append(f"{interface.name} of {node} ({address}) has {state}" if state == "no carrier"
                                 else f"{interface.name} of {node} ({address}) is {state}")  # fmt: skip
        return found

    def unconnected(self, storage: StorageSpec) -> list[str]:
        """Secondaries that say that no primary is connected to them: they have a worker only while one is."""
        return [
            node
            for node, role in self.roles(storage).items()
            if role is ReportedRole.SECONDARY
            and (resource := self.resource(storage.name, node)) is not None
            and resource.workerpid is None
        ]

    # --- what is used ---------------------------------------------------------------------------------------------

    def mounts(self, node: str) -> tuple[Mount, ...] | None:
        """The node's mount table; None: not known."""
        return known(self.facts[node].mounts) if node in self.facts else None

    def imported(self, pool: str, node: str) -> bool | None:
        """Whether the node has the pool imported; None: not known."""
        pools = known(self.facts[node].pools) if node in self.facts else None
        return None if pools is None else pool in pools and pools[pool].imported

    def works_without(self, storage: StorageSpec, node: str) -> bool:
        """Whether the pool on the resource is imported there and works, though this device of it is gone.

        It has others, and ZFS has enough of them: else it would be suspended (docs/freebsd-facts.md#2.8).
        """
        zfs = storage.filesystem.zfs if storage.filesystem else None
        pools = known(self.facts[node].pools) if node in self.facts else None
        pool = pools.get(zfs.pool) if zfs is not None and pools is not None else None
        if zfs is None or pool is None or not (pool.imported and pool.works):
            return False
        members = (wanted.storages for group in self.cluster.groups for wanted in pools_of(group))
        others = [other for storages in members if storage in storages for other in storages if other != storage]
        return any(self.has_device(other.name, node) for other in others)

    def mount(self, storage: StorageSpec, node: str) -> MountState:
        """Whether the filesystem or pool is in use there; NotMounted too when nothing is to be mounted."""
        state = self._in_table(storage, node)
        device = known(self.facts[node].hast_devices.get(storage.name)) if node in self.facts else None
        gone = state is MountState.MOUNTED and device is not None and not device.exists
        return MountState.DEAD if gone and not self.works_without(storage, node) else state

    def _in_table(self, storage: StorageSpec, node: str) -> MountState:
        spec = storage.filesystem
        if spec is None:
            return MountState.NOT_MOUNTED
        if spec.zfs is not None:
            there = self.imported(spec.zfs.pool, node)
        else:
            mounts = self.mounts(node)
            there = None if mounts is None else any(mount.special == storage.device for mount in mounts)
        if there is None:
            return MountState.UNKNOWN
        return MountState.MOUNTED if there else MountState.NOT_MOUNTED

    def service(self, name: str, node: str) -> ServiceState:
        """Whether the service runs."""
        service = known(self.facts[node].services.get(name)) if node in self.facts else None
        if service is None:
            return ServiceState.UNKNOWN
        if not service.exists:
            return ServiceState.MISSING
        return ServiceState.RUNNING if service.running else ServiceState.STOPPED

    # --- the whole ------------------------------------------------------------------------------------------------

    def active(self, group: GroupSpec) -> str | None:
        """Where the group is: primary for all its storage, or MASTER of all its addresses; None: nowhere known.

        This is what is seen; where a group is to be placed, and on what doubt it is not, is the planner's.
        """
        if group.storage:
            places = [self.primaries(storage) for storage in group.storage]
        else:
            places = [self.masters(vip) for vip in group.virtual_ips]
        alone = {place[0] if len(place) == 1 else None for place in places}
        return alone.pop() if len(alone) == 1 else None

    def unknowns(self) -> dict[str, dict[str, str]]:
        """Node -> reading that the document needs -> why it is not known. Empty dicts are left out."""
        found = {node: {"node": silence.reason} for node, silence in self.silent.items()}
        for node, facts in self.facts.items():
            lacking = {
                name: reading.reason if isinstance(reading, Unknown) else "not asked"
                for name, reading in _needed(self.cluster, node, facts)
                if not isinstance(reading, Known)
            }
            if lacking:
                found[node] = lacking
        return found


# --- which facts count --------------------------------------------------------------------------------------------


def _no_answer(name: str, reading: Reading[NodeFacts] | None, now: float) -> Silence | None:
    if reading is None:
        return Silence(HoldReason.NODE_SILENT, "was not asked", answer="NotAsked")
    if isinstance(reading, Unknown):
        message = reading.raw.removeprefix(f"{name}: ") or f"no facts: {reading.reason}"
        return Silence(HoldReason.NODE_SILENT, message, answer=reading.reason)
    age = now - reading.value.seen_at
    if age > EVIDENCE_SECONDS:
        return Silence(HoldReason.STALE_FACTS, f"last seen {age:.0f} s ago", passing=True)
    return None


def _not_the_node(name: str, facts: NodeFacts) -> Silence | None:
    """Why facts that are fresh are not those of the node, or not worth a root's."""
    system = facts.system
    if not isinstance(system, Known):
        return Silence(HoldReason.SYSTEM_UNKNOWN, f"cannot tell what system it is: {system.reason}")
    if system.value.sysname != "FreeBSD":
        message = f"it runs {system.value.sysname}; hactl only changes FreeBSD"
        return Silence(HoldReason.NOT_FREE_BSD, message, "correct ssh.host of this node in the document")
    hostname = system.value.hostname
    if name not in (hostname, hostname.split(".")[0]):
        remedy = "correct ssh.host, or name the node in the document as `hostname` prints it"
        return Silence(HoldReason.WRONG_HOST, f"the machine there calls itself {hostname}", remedy)
    if system.value.uid != 0:
        message = f"the login has uid {system.value.uid}; root is needed"
        return Silence(HoldReason.NOT_ROOT, message, "log in as root, or set ssh.become to doas or sudo")
    return None


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
        yield storage.device, facts.hast_devices.get(storage.name)
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
