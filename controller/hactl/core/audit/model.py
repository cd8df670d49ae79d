"""The audit's own model of the nodes: what is known at the start, and what each effect makes of it.

Rules: what is not known stays not known (None), and a role that is not known may be any role. A node changes only by
effects on itself; what an effect leads to on the peer is never assumed to its advantage. Shares no code with the
planner. Sources: docs/freebsd-facts.md#1.2, #1.7, #2.1, #2.3, #2.6, #2.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hactl.core.audit.effects import (
    CreatesMetadata,
    Effect,
    Ifconfig,
    LoadsModule,
    MakesFilesystem,
    Mounts,
    RunsService,
    SetsRc,
    SetsRole,
    SetsSysctl,
    Unmounts,
    Zpool,
)
from hactl.core.audit.reader.hastconf import ResourcePart, meaning
from hactl.core.cluster import Cluster, interface_on
from hactl.core.facts import (
    CarpState,
    Device,
    HastMetadata,
    HastResource,
    HastRole,
    Known,
    Mount,
    NodeFacts,
    NoMetadata,
    Reading,
    Snapshot,
    Vhid,
)

T = TypeVar("T")

ANY_ROLE = frozenset(role.value for role in HastRole)
NOT_PRIMARY = frozenset({"init"})
#: Metadata as `hastctl create` leaves it (recording 03).
CREATED = HastMetadata("", 0, 0, 0, 0, 0, 0, 0, "init")

HAST_CONF = "/etc/hast.conf"
HAST_DEVICES = "/dev/hast/"


def known(reading: Reading[T] | None) -> T | None:
    """The value, or None when it is not known."""
    return reading.value if isinstance(reading, Known) else None


@dataclass(slots=True)
class Addresses:
    """One interface: ip -> (prefix length, vhid), and its vhids by number."""

    addresses: dict[str, tuple[int, int | None]]
    vhids: dict[int, Vhid]
    #: vhids that were there when the node was looked at.
    old: frozenset[int]

    def of(self, vhid: int) -> list[str]:
        """The addresses of a vhid."""
        return [ip for ip, (_, number) in self.addresses.items() if number == vhid]


@dataclass(slots=True)
class Node:
    """What is known of one node at one point of the plan."""

    name: str
    facts: NodeFacts | None
    silence: str = ""
    modules: dict[str, bool] | None = None
    sysctls: dict[str, int] | None = None
    interfaces: dict[str, Addresses] | None = None
    hastd: bool | None = None
    #: Resource -> roles it may have.
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    #: What hastd runs with, as `hastctl list` showed it; None: not known.
    running_conf: dict[str, HastResource] | None = None
    metadata: dict[str, HastMetadata | NoMetadata | None] = field(default_factory=dict)
    mounts: tuple[Mount, ...] | None = None
    pools: frozenset[str] | None = None
    services: dict[str, bool | None] = field(default_factory=dict)
    enabled: dict[str, bool | None] = field(default_factory=dict)
    rc: dict[str, str] | None = None
    sysctl_conf: dict[str, str] | None = None
    #: Meaning of /etc/hast.conf; {} when there is none, None when it is not known.
    hast_conf: Mapping[str, ResourcePart] | None = None
    #: Resources whose metadata this plan created here.
    created: frozenset[str] = frozenset()
    #: Resources whose device nobody can be using: this plan freed it (umount, zpool export) or made it (role primary).
    freed: frozenset[str] = frozenset()
    #: Resources on whose device this plan made a filesystem or pool.
    filled: frozenset[str] = frozenset()
    #: Resources this plan demoted here.
    demoted: frozenset[str] = frozenset()
    #: hast.conf was written and hastd has not read it.
    conf_unread: bool = False
    #: This plan wrote hast.conf; `hastctl dump` could not be asked before.
    wrote_conf: bool = False

    def seen(self, part: Callable[[NodeFacts], Reading[T] | None]) -> T | None:
        """A reading of the facts; None when the node did not answer or it is not known."""
        return known(part(self.facts)) if self.facts else None

    def device(self, path: str) -> Device | None:
        """A local disk as the facts had it."""
        return self.seen(lambda facts: facts.devices.get(path))

    def resource(self, name: str) -> HastResource | None:
        """A resource as hastd showed it when the node was looked at."""
        return (self.seen(lambda facts: facts.resources) or {}).get(name)

    def may_be_primary(self, resource: str) -> bool:
        """Whether nothing rules out that the node is primary."""
        if "primary" in self.roles.get(resource, ANY_ROLE):
            return True
        if resource in self.demoted:
            return False
        device = self.hast_device(resource)
        if device is not None:
            return device.exists
        return any(mount.special == HAST_DEVICES + resource for mount in self.mounts or ())

    def says_primary(self, resource: str) -> bool:
        """Whether hastd says, or may say, that it is primary: only then can hastd take the device away."""
        return "primary" in self.roles.get(resource, ANY_ROLE)

    def is_primary(self, resource: str) -> bool:
        """Whether the node is known to be primary."""
        return self.roles.get(resource) == frozenset({"primary"})

    def hast_device(self, resource: str) -> Device | None:
        """/dev/hast/NAME as the facts had it."""
        return self.seen(lambda facts: facts.hast_devices.get(resource))

    def in_use(self, resource: str, pool: str | None) -> str:
        """Why /dev/hast/NAME may be in use here; empty when it is known not to be."""
        special = HAST_DEVICES + resource
        running = (self.running_conf or {}).get(resource)
        if running is not None and running.provname != resource:
            return f"its device is called {running.provname}, and who uses that is not known"
        if self.mounts is None:
            return "what is mounted is not known"
        if any(mount.special == special for mount in self.mounts):
            return f"{special} is mounted"
        if pool is not None:
            if self.pools is None:
                return "which pools are imported is not known"
            if pool in self.pools:
                return f"pool {pool} is imported"
        if resource in self.freed:
            return ""
        if self.facts is None or resource not in self.facts.hast_devices:
            return ""
        device = self.hast_device(resource)
        if device is None or not device.use_known:
            return f"use of {special} is not known"
        return f"{special} is used by {', '.join(device.used_by)}" if device.exists and device.used_by else ""

    def vhid(self, interface: str, number: int) -> Vhid | None:
        """The vhid as it is now; None when it is not there or not known."""
        here = (self.interfaces or {}).get(interface)
        return here.vhids.get(number) if here else None

    def may_be_master(self, interface: str, number: int) -> bool:
        """Whether the vhid was, or may have been, MASTER when the node was looked at."""
        if self.interfaces is None:
            return True
        here = self.interfaces.get(interface)
        vhid = here.vhids.get(number) if here else None
        return here is not None and vhid is not None and number in here.old and vhid.state is CarpState.MASTER


@dataclass(frozen=True, slots=True)
class World:
    """All nodes at one point of the plan."""

    cluster: Cluster
    nodes: Mapping[str, Node]
    now: float

    def others(self, name: str, among: Mapping[str, object] | None = None) -> list[Node]:
        """The other nodes (those of `among`, when given)."""
        return [node for node in self.nodes.values() if node.name != name and (among is None or node.name in among)]

    def with_node(self, node: Node) -> World:
        """The same with one node replaced."""
        return replace(self, nodes={**self.nodes, node.name: node})


def first_world(cluster: Cluster, snapshot: Snapshot, now: float) -> World:
    """What the facts say."""
    nodes = {spec.name: _first_node(cluster, spec.name, snapshot.nodes.get(spec.name)) for spec in cluster.nodes}
    return World(cluster, nodes, now)


def _first_node(cluster: Cluster, name: str, reading: Reading[NodeFacts] | None) -> Node:
    if not isinstance(reading, Known):
        return Node(name, None, silence=reading.reason if reading is not None else "it was not asked")
    facts = reading.value
    resources = known(facts.resources)
    hastd = known(facts.hastd)
    names = [storage.name for group in cluster.groups for storage in group.storage]
    modules, sysctls, boot = known(facts.modules), known(facts.carp_sysctls), known(facts.boot)
    pools = known(facts.pools)
    interfaces = known(facts.interfaces)
    return Node(
        name=name,
        facts=facts,
        modules=None if modules is None else dict(modules),
        sysctls=None if sysctls is None else dict(sysctls),
        interfaces=None
        if interfaces is None
        else {
            key: Addresses(
                {a.ip: (a.prefix_length, a.vhid) for a in entry.addresses},
                {v.vhid: v for v in entry.vhids},
                frozenset(v.vhid for v in entry.vhids),
            )
            for key, entry in interfaces.items()
        },
        hastd=None if hastd is None else hastd.running,
        roles={resource: _roles(resource, None if hastd is None else hastd.running, resources) for resource in names},
        running_conf=None if resources is None else dict(resources),
        metadata={resource: known(facts.metadata.get(resource)) for resource in names},
        mounts=known(facts.mounts),
        pools=None if pools is None else frozenset(pool.name for pool in pools.values() if pool.imported),
        services={key: s.running if (s := known(entry)) else None for key, entry in facts.services.items()},
        enabled={key: s.enabled if (s := known(entry)) else None for key, entry in facts.services.items()},
        rc=None if boot is None else dict(boot.rc),
        sysctl_conf=None if boot is None else dict(boot.sysctl_conf),
        hast_conf=_first_hast_conf(facts),
    )


def _roles(resource: str, running: bool | None, resources: Mapping[str, HastResource] | None) -> frozenset[str]:
    """Roles the resource may have: hastd not running, or not knowing the resource, means no role at all."""
    if running is False:
        return NOT_PRIMARY
    if resources is None:
        return ANY_ROLE
    return frozenset({resources[resource].role.value}) if resource in resources else NOT_PRIMARY


def _first_hast_conf(facts: NodeFacts) -> Mapping[str, ResourcePart] | None:
    file = known(facts.files.get(HAST_CONF))
    if file is None:
        return None
    return meaning(file.text or "") if file.exists else {}


def applied(node: Node, effect: Effect, cluster: Cluster) -> Node:
    """The node after the effect, if it ends as it should."""
    after = copy(node)
    match effect:
        case LoadsModule(module=module):
            after.modules = {**(node.modules or {}), module: True}
        case SetsSysctl(name=name, value=value):
            after.sysctls = _after_sysctl(node.sysctls, name, value)
        case Ifconfig():
            after.interfaces = _after_ifconfig(node, effect, cluster)
        case SetsRole(role=role, resources=names):
            after.roles = {**node.roles, **dict.fromkeys(names, frozenset({role}))}
            named = frozenset(names)
            after.demoted = node.demoted - named if role == "primary" else node.demoted | named
            after.freed = node.freed | named if role == "primary" else node.freed
        case CreatesMetadata(resources=names):
            after.metadata = {**node.metadata, **dict.fromkeys(names, CREATED)}
            after.created = node.created | frozenset(names)
        case RunsService(name=name, action=action):
            _after_service(after, name, action)
        case SetsRc(variable=variable, change=change, value=value):
            after.rc = _after_rc(node.rc, variable, change, value)
        case MakesFilesystem(device=device):
            after.filled = node.filled | {device.removeprefix(HAST_DEVICES)}
        case Mounts(special=special, node=place, options=options) if special:
            kept = tuple(mount for mount in node.mounts or () if mount.node != place)
            after.mounts = None if node.mounts is None else (*kept, Mount(special, place, "ufs", options))
            after.freed = node.freed - {special.removeprefix(HAST_DEVICES)}
        case Unmounts(target=target):
            gone = {mount for mount in node.mounts or () if target in (mount.node, mount.special)}
            after.freed = node.freed | {mount.special.removeprefix(HAST_DEVICES) for mount in gone}
            after.mounts = None if node.mounts is None else tuple(m for m in node.mounts if m not in gone)
        case Zpool(action=action, pool=pool, devices=devices):
            _after_zpool(after, action, pool, devices, cluster)
        case _:
            pass
    return after


def _after_sysctl(sysctls: dict[str, int] | None, name: str, value: str) -> dict[str, int] | None:
    short = name.removeprefix("net.inet.carp.")
    if sysctls is None or not value.lstrip("-").isdigit():
        return sysctls
    added = int(value) + (sysctls.get(short, 0) if short == "demotion" else 0)
    return {**sysctls, short: added}


def _after_service(node: Node, name: str, action: str) -> None:
    """`node` is a copy that may be changed."""
    word = action.removeprefix("one").removeprefix("force").removeprefix("quiet")
    if name == "hastd":
        if word in ("start", "restart", "stop"):
            node.hastd = word != "stop"
            node.roles = dict.fromkeys(node.roles, NOT_PRIMARY)
        if word in ("restart", "stop"):
            node.demoted = node.demoted | frozenset(node.roles)
        if word in ("start", "restart", "reload"):
            node.conf_unread = False
            node.running_conf = _reloaded(node.running_conf, node.hast_conf, node.name)
    elif word in ("start", "restart", "stop"):
        node.services = {**node.services, name: word != "stop"}
    elif word in ("enable", "disable"):
        node.enabled = {**node.enabled, name: word == "enable"}


def _reloaded(
    running: dict[str, HastResource] | None, conf: Mapping[str, ResourcePart] | None, node: str
) -> dict[str, HastResource] | None:
    """What hastd runs with once it has read the file."""
    if conf is None or running is None:
        return None
    return {
        name: replace(
            running[name],
            localpath=part.nodes[node].local,
            remoteaddr=part.nodes[node].remote,
            sourceaddr=part.nodes[node].source or None,
            replication=part.settings["replication"],
        )
        for name, part in conf.items()
        if name in running and node in part.nodes
    }


def _after_rc(rc: dict[str, str] | None, variable: str, change: str, value: str) -> dict[str, str] | None:
    if rc is None:
        return None
    present = rc.get(variable, "").split()
    match change:
        case "-x":
            return {key: entry for key, entry in rc.items() if key != variable}
        case "+=":
            return {**rc, variable: " ".join([*present, *(w for w in value.split() if w not in present)])}
        case "-=":
            return {**rc, variable: " ".join(w for w in present if w not in value.split())}
        case _:
            return {**rc, variable: value}


def _after_zpool(node: Node, action: str, pool: str, devices: tuple[str, ...], cluster: Cluster) -> None:
    """`node` is a copy that may be changed."""
    resources = {
        storage.name
        for group in cluster.groups
        for storage in group.storage
        if storage.filesystem and storage.filesystem.zfs and storage.filesystem.zfs.pool == pool
    }
    if action == "create":
        paths = (path for path in devices if path.startswith(HAST_DEVICES))
        node.filled = node.filled | {path.removeprefix(HAST_DEVICES) for path in paths}
    if node.pools is not None:
        node.pools = node.pools - {pool} if action == "export" else node.pools | {pool}
    node.freed = node.freed | resources if action == "export" else node.freed - resources


def _after_ifconfig(node: Node, effect: Ifconfig, cluster: Cluster) -> dict[str, Addresses] | None:
    if node.interfaces is None:
        return None
    present = node.interfaces.get(effect.interface, Addresses({}, {}, frozenset()))
    after = Addresses(dict(present.addresses), dict(present.vhids), present.old)
    if effect.vhid is not None:
        before = present.vhids.get(effect.vhid, Vhid(effect.vhid, CarpState.INIT, 1, 0, None))
        after.vhids[effect.vhid] = replace(
            before,
            advbase=effect.advbase or before.advbase,
            advskew=before.advskew if effect.advskew is None else effect.advskew,
            state=CarpState.MASTER if effect.state == "master" else before.state,
            key=_wanted_key(node.name, effect, cluster) if effect.secret else before.key,
        )
    if effect.ip and effect.alias is False:
        after.addresses.pop(effect.ip, None)
    elif effect.ip:
        after.addresses[effect.ip] = (effect.prefix_length or 0, effect.vhid)
    for number in [n for n in present.vhids if present.of(n) and not after.of(n)]:
        del after.vhids[number]  # a vhid goes with its last address
    return {**node.interfaces, effect.interface: after}


def _wanted_key(node: str, effect: Ifconfig, cluster: Cluster) -> str | None:
    """The key a secret variable carries: that of the virtual IP with this vhid on this interface."""
    for group in cluster.groups:
        for vip in group.virtual_ips:
            if vip.vhid == effect.vhid and interface_on(vip, node) == effect.interface:
                return cluster.keys.get((group.name, vip.name))
    return None
