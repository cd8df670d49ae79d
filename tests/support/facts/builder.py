"""Hand-built clusters and snapshots for tests of the core: the pair of the recordings, and a firewall pair.

`healthy_pair()` is nas.yaml converged (nas-a active), `blank_pair()` is two fresh machines with zeroed disks,
`edge_pair()` is firewall.yaml converged. Each returns a `Scene`; every method of a Scene returns a new Scene, so
tests read as sentences: `healthy_pair().vhid("nas-b", advskew=200).silent("nas-a").snapshot`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from hactl.core.cluster import Cluster, hooked_groups
from hactl.core.facts import (
    Address,
    BootConfig,
    CarpState,
    Connects,
    Device,
    File,
    Hastd,
    HastMetadata,
    HastResource,
    HastRole,
    HookFacts,
    Interface,
    Known,
    Mount,
    NodeFacts,
    NoMetadata,
    Pool,
    RcAlias,
    Reading,
    Service,
    Snapshot,
    System,
    Unknown,
    Vhid,
    fingerprint,
)
from hactl.core.hook.installed import checksum
from hactl.core.hook.render import DEVD_RULE, hook_files
from hactl.core.objects import HACluster

#: Monotonic seconds at which every scene is looked at; facts were seen two seconds earlier.
NOW = 1000.0
SEEN = 998.0
SALT = b"salt of the tests"
#: Fingerprint of the password every vhid of the scenes has.
KEY = fingerprint("s3cret", SALT)
#: A device of 128 MiB, as in the recordings.
MEDIASIZE = 134217728
DATASIZE = 134213120

HAST_CONF = """\
exec /usr/local/libexec/hactl/hook
timeout 15
resource data {
	replication memsync
	on nas-a {
		local /dev/vtbd1
		remote tcp4://198.51.100.12
		source tcp4://198.51.100.11
	}
	on nas-b {
		local /dev/vtbd1
		remote tcp4://198.51.100.11
		source tcp4://198.51.100.12
	}
}
"""

_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"

_NAS: dict[str, Any] = {
    "apiVersion": "hactl.dev/v1alpha1",
    "kind": "HACluster",
    "metadata": {"name": "nas", "labels": {"site": "example"}},
    "spec": {
        "mode": "Apply",
        "nodes": [
            {"name": "nas-a", "ssh": {"host": "127.0.0.1", "port": 2221, "hostKey": _HOST_KEY}},
            {"name": "nas-b", "ssh": {"host": "127.0.0.1", "port": 2222, "hostKey": _HOST_KEY}},
        ],
        "groups": [
            {
                "name": "files",
                "preferred": ["nas-a", "nas-b"],
                "failback": "Never",
                "virtualIPs": [
                    {
                        "name": "files",
                        "vhid": 80,
                        "interface": "vtnet1",
                        "addresses": ["192.0.2.80/24"],
                        "advbase": 1,
                        "passwordFrom": {"file": "secrets/files.carp"},
                    }
                ],
                "storage": [
                    {
                        "name": "data",
                        "hast": {
                            "devices": {"nas-a": "/dev/vtbd1", "nas-b": "/dev/vtbd1"},
                            "addresses": {"nas-a": "198.51.100.11", "nas-b": "198.51.100.12"},
                            "replication": "memsync",
                            "initialize": "IfBlank",
                        },
                        "filesystem": {"ufs": {"mountpoint": "/data", "options": ["noatime"]}},
                    }
                ],
                "services": [{"name": "nfsd", "runOn": "Active"}],
            }
        ],
    },
}

_EDGE: dict[str, Any] = {
    "apiVersion": "hactl.dev/v1alpha1",
    "kind": "HACluster",
    "metadata": {"name": "edge"},
    "spec": {
        "nodes": [
            {"name": "fw-1", "ssh": {"host": "203.0.113.1", "hostKey": _HOST_KEY}},
            {"name": "fw-2", "ssh": {"host": "203.0.113.2", "hostKey": _HOST_KEY}},
        ],
        "groups": [
            {
                "name": "gateway",
                "preferred": ["fw-1", "fw-2"],
                "failback": "WhenReady",
                "virtualIPs": [
                    {
                        "name": "wan",
                        "vhid": 10,
                        "interfaces": {"fw-1": "ix0", "fw-2": "igb0"},
                        "addresses": ["198.51.100.1/24"],
                        "passwordFrom": {"env": "EDGE_WAN_PASSWORD"},
                    },
                    {
                        "name": "lan",
                        "vhid": 20,
                        "interfaces": {"fw-1": "ix1", "fw-2": "igb1"},
                        "addresses": ["192.0.2.1/24", "2001:db8:1::1/64"],
                        "passwordFrom": {"env": "EDGE_LAN_PASSWORD"},
                    },
                ],
            }
        ],
    },
}


def _cluster(document: dict[str, Any], edits: Mapping[str, Any], generation: int) -> Cluster:
    """The document with `edits` ({"spec.groups.0.virtualIPs.0.advbase": 2}) as a Cluster."""
    tree: Any = copy.deepcopy(document)
    for path, value in edits.items():
        *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        place = tree
        for word in way:
            place = place[word]
        place[last] = value
    wanted = HACluster.model_validate(tree)
    keys = {
        (group.name, vip.name): KEY
        for group in wanted.spec.groups
        for vip in group.virtual_ips
        if vip.password_from is not None
    }
    return Cluster(document=wanted, generation=generation, keys=keys)


def nas_cluster(edits: Mapping[str, Any] | None = None, *, generation: int = 1) -> Cluster:
    """manifests/examples/nas.yaml; `edits` maps wire paths (`spec.groups.0.failback`) to values."""
    return _cluster(_NAS, edits or {}, generation)


def zfs_cluster(edits: Mapping[str, Any] | None = None, *, generation: int = 1) -> Cluster:
    """nas.yaml with the pool `tank` instead of a UFS filesystem."""
    pool = {"spec.groups.0.storage.0.filesystem": {"zfs": {"pool": "tank", "mountpoint": "/data"}}}
    return _cluster(_NAS, {**pool, **(edits or {})}, generation)


def edge_cluster(edits: Mapping[str, Any] | None = None, *, generation: int = 1) -> Cluster:
    """manifests/examples/firewall.yaml."""
    return _cluster(_EDGE, edits or {}, generation)


@dataclass(frozen=True)
class Scene:
    """A cluster and what is known of its nodes. Methods return a changed copy."""

    cluster: Cluster
    nodes: Mapping[str, Reading[NodeFacts]]
    now: float = NOW

    @property
    def snapshot(self) -> Snapshot:
        """What a pass would hand to the core."""
        return Snapshot(taken_at=self.now, nodes=dict(self.nodes))

    def facts(self, node: str) -> NodeFacts:
        """The facts of a node that answered."""
        reading = self.nodes[node]
        assert isinstance(reading, Known)
        return reading.value

    def known(self, node: str, field: str) -> Any:
        """The value of one field that is known."""
        reading = getattr(self.facts(node), field)
        assert isinstance(reading, Known)
        return reading.value

    def wants(self, cluster: Cluster) -> Scene:
        """Another document for the same nodes, which have its node hook if they had the old one's."""
        scene = replace(self, cluster=cluster)
        for node, reading in self.nodes.items():
            if isinstance(reading, Known) and isinstance(reading.value.hook, Known) and reading.value.hook.value.files:
                scene = scene.hook(node, **_hook_in_place(cluster, node))
        return scene

    def hook(self, node: str, **changes: Any) -> Scene:
        """Change what the node has of the node hook."""
        return self.node(node, hook=replace(self.known(node, "hook"), **changes))

    def node(self, name: str, **changes: Any) -> Scene:
        """Replace fields of a node's facts; plain values become Known, Unknown stays."""
        facts = self.facts(name)
        for field, value in changes.items():
            plain = field in ("node", "seen_at", "metadata", "devices", "hast_devices", "services", "files", "notes")
            ready = plain or isinstance(value, Known | Unknown)
            facts = replace(facts, **{field: value if ready else Known(value, facts.seen_at)})
        return replace(self, nodes={**self.nodes, name: Known(facts, facts.seen_at)})

    def unknown(self, node: str, *names: str, reason: str = "not understood") -> Scene:
        """Make fields of a node Unknown (for mappings of readings: every entry)."""
        scene = self
        for name in names:
            value: Any = getattr(scene.facts(node), name)
            lost: Any = Unknown(reason, SEEN)
            scene = scene.node(node, **{name: dict.fromkeys(value, lost) if isinstance(value, Mapping) else lost})
        return scene

    def silent(self, node: str, reason: str = "Unreachable", since: float = SEEN - 60) -> Scene:
        """The node does not answer."""
        return replace(self, nodes={**self.nodes, node: Unknown(reason, since)})

    def aged(self, seconds: float, *only: str) -> Scene:
        """Make the facts of all (or the named) nodes that much older."""
        scene = self
        for node in only or tuple(self.nodes):
            facts = scene.facts(node)
            older = _older(facts, seconds)
            scene = replace(scene, nodes={**scene.nodes, node: Known(older, older.seen_at)})
        return scene

    def system(self, node: str, **changes: Any) -> Scene:
        """Change the node's System (hostname, boot_epoch, sysname ...)."""
        return self.node(node, system=replace(self.known(node, "system"), **changes))

    def interface(self, node: str, name: str = "vtnet1", **changes: Any) -> Scene:
        """Change one interface."""
        interfaces = dict(self.known(node, "interfaces"))
        interfaces[name] = replace(interfaces[name], **changes)
        return self.node(node, interfaces=interfaces)

    def vhid(self, node: str, number: int = 80, *, interface: str = "vtnet1", **changes: Any) -> Scene:
        """Change one vhid (state, advskew, advbase, key)."""
        present = self.known(node, "interfaces")[interface]
        vhids = tuple(replace(v, **changes) if v.vhid == number else v for v in present.vhids)
        return self.interface(node, interface, vhids=vhids)

    def without_vhid(self, node: str, number: int = 80, *, interface: str = "vtnet1") -> Scene:
        """The vhid and its addresses are not there."""
        present = self.known(node, "interfaces")[interface]
        return self.interface(
            node,
            interface,
            vhids=tuple(v for v in present.vhids if v.vhid != number),
            addresses=tuple(a for a in present.addresses if a.vhid != number),
        )

    def address(self, node: str, cidr: str, vhid: int | None, *, interface: str = "vtnet1") -> Scene:
        """The interface has one more address; its vhid is created in BACKUP if it is new."""
        present = self.known(node, "interfaces")[interface]
        ip, _, length = cidr.partition("/")
        vhids = present.vhids
        if vhid is not None and present.vhid(vhid) is None:
            vhids = (*vhids, Vhid(vhid, CarpState.BACKUP, 1, 0, KEY))
        return self.interface(
            node, interface, addresses=(*present.addresses, Address(ip, int(length), vhid)), vhids=vhids
        )

    def resource(self, node: str, name: str = "data", **changes: Any) -> Scene:
        """Change one HAST resource (role, status, dirty ...); a role without a worker loses its status."""
        resources = dict(self.known(node, "resources"))
        if changes.get("role") == HastRole.INIT:
            changes = {"status": None, "workerpid": None, "dirty": 0, **changes}
        resources[name] = replace(resources[name], **changes)
        return self.node(node, resources=resources)

    def metadata(self, node: str, name: str = "data", value: Any = None, **changes: Any) -> Scene:
        """Set the metadata reading (NoMetadata, Unknown) or change counters (localcnt, remotecnt, resuid)."""
        facts = self.facts(node)
        if value is None:
            present = facts.metadata[name]
            assert isinstance(present, Known)
            value = replace(present.value, **changes)
        reading = value if isinstance(value, Known | Unknown) else Known(value, facts.seen_at)
        return self.node(node, metadata={**facts.metadata, name: reading})

    def device(self, node: str, path: str = "/dev/vtbd1", **changes: Any) -> Scene:
        """Change a local device (exists, blank, used_by, use_known, mediasize)."""
        return self._device(node, "devices", path, changes)

    def hast_device(self, node: str, name: str = "data", **changes: Any) -> Scene:
        """Change /dev/hast/NAME (exists, blank, used_by, use_known)."""
        return self._device(node, "hast_devices", name, changes)

    def _device(self, node: str, field: str, key: str, changes: dict[str, Any]) -> Scene:
        facts = self.facts(node)
        present = getattr(facts, field)
        assert isinstance(present[key], Known)
        return self.node(
            node, **{field: {**present, key: Known(replace(present[key].value, **changes), facts.seen_at)}}
        )

    def unmounted(self, node: str, name: str = "data") -> Scene:
        """Nothing is mounted or imported from /dev/hast/NAME there, and nothing else has it open."""
        special = f"/dev/hast/{name}"
        mounts = tuple(m for m in self.known(node, "mounts") if m.special != special and m.fstype != "zfs")
        return self.node(node, mounts=mounts, pools={}).hast_device(node, name, used_by=())

    def service(self, node: str, name: str = "nfsd", **changes: Any) -> Scene:
        """Change a service (exists, running, enabled)."""
        facts = self.facts(node)
        present = facts.services[name]
        assert isinstance(present, Known)
        return self.node(
            node, services={**facts.services, name: Known(replace(present.value, **changes), facts.seen_at)}
        )

    def sysctl(self, node: str, **values: int) -> Scene:
        """Change net.inet.carp.* values."""
        return self.node(node, carp_sysctls={**self.known(node, "carp_sysctls"), **values})

    def boot(self, node: str, **changes: Any) -> Scene:
        """Change what the files say for the next boot."""
        return self.node(node, boot=replace(self.known(node, "boot"), **changes))

    def rc(self, node: str, **values: str | None) -> Scene:
        """Set rc.conf variables; None removes one."""
        merged = {**self.known(node, "boot").rc, **values}
        return self.boot(node, rc={name: value for name, value in merged.items() if value is not None})

    def file(self, node: str, path: str = "/etc/hast.conf", **changes: Any) -> Scene:
        """Change a file hactl writes (exists, text, mode)."""
        facts = self.facts(node)
        present = facts.files[path]
        assert isinstance(present, Known)
        return self.node(node, files={**facts.files, path: Known(replace(present.value, **changes), facts.seen_at)})


def _older(facts: NodeFacts, seconds: float) -> NodeFacts:
    """The same facts, every reading that much older."""

    def shift(value: Any) -> Any:
        if isinstance(value, Known):
            return replace(value, seen_at=value.seen_at - seconds)
        if isinstance(value, Mapping):
            return {key: shift(entry) for key, entry in value.items()}
        return value

    shifted = {f.name: shift(getattr(facts, f.name)) for f in fields(facts)}
    return replace(facts, **{**shifted, "seen_at": facts.seen_at - seconds})


# --- the parts of a node ------------------------------------------------------------------------------------------


def _system(node: str, number: int) -> System:
    return System(
        sysname="FreeBSD",
        osreldate=1302001,
        release="13.2-RELEASE",
        hostname=node,
        hostuuid=f"df054fd1-6fb3-4611-8597-2b06bfe944b{number}",
        boot_epoch=1795449300,
        securelevel=-1,
        uid=0,
    )


_FLAGS = frozenset({"UP", "BROADCAST", "RUNNING", "SIMPLEX", "MULTICAST"})


def _interface(name: str, *addresses: Address, vhids: tuple[Vhid, ...] = ()) -> Interface:
    return Interface(name, _FLAGS, 1500, "52:54:00:00:01:01", "active", addresses, vhids)


def _alias(interface: str, number: int, vhid: int, advskew: int, cidr: str) -> RcAlias:
    ip, _, length = cidr.partition("/")
    return RcAlias(
        variable=f"ifconfig_{interface}_alias{vhid}{number:02d}",
        interface=interface,
        family="inet6" if ":" in ip else "inet",
        ip=ip,
        prefix_length=int(length),
        vhid=vhid,
        advbase=1,
        advskew=advskew,
        key=KEY,
        file="/etc/rc.conf.d/netif",
        managed=True,
    )


_SYSCTLS = {
    "allow": 1,
    "preempt": 1,
    "log": 1,
    "demotion": 0,
    "ifdown_demotion_factor": 240,
    "senderr_demotion_factor": 240,
    "dscp": 56,
}


def _facts(node: str, **values: Any) -> NodeFacts:
    """NodeFacts of which only what differs from a converged node without CARP or HAST is given."""
    blank: dict[str, Any] = {
        "interfaces": {},
        "modules": {"carp": True, "g_gate": True, "zfs": False},
        "carp_sysctls": dict(_SYSCTLS),
        "carp_counters": {"discarded for bad authentication": 0},
        "demotions": (),
        "hastd": Hastd(running=False),
        "resources": {},
        "metadata": {},
        "devices": {},
        "hast_devices": {},
        "mounts": (Mount("/dev/vtbd0p2", "/", "ufs", frozenset({"local"})),),
        "pools": {},
        "services": {},
        "files": {},
        "hook": HookFacts(),
        "connects": Connects.SURE,
        "devd": True,
        "listening": frozenset({"*"}),
        "refused": frozenset(),
        "free": {"/var/db": 800_000, "/var/run": 800_000},
    }
    merged = {**blank, **values}
    nested = ("metadata", "devices", "hast_devices", "services", "files")
    ready = {
        name: {key: Known(entry, SEEN) for key, entry in value.items()} if name in nested else Known(value, SEEN)
        for name, value in merged.items()
    }
    return NodeFacts(node=node, seen_at=SEEN, **ready)


def _nas_resource(number: int, *, active: bool) -> HastResource:
    """`data` on one node of the converged pair."""
    return HastResource(
        name="data",
        role=HastRole.PRIMARY if active else HastRole.SECONDARY,
        provname="data",
        localpath="/dev/vtbd1",
        remoteaddr=f"tcp4://198.51.100.1{3 - number}",
        sourceaddr=f"tcp4://198.51.100.1{number}",
        replication="memsync",
        status="complete",
        workerpid=1519,
        extentsize=2097152,
        keepdirty=64 if active else 0,
        dirty=0,
    )


def _nas_node(node: str, *, active: bool) -> NodeFacts:
    """One node of the converged pair."""
    number = 1 if node == "nas-a" else 2
    advskew = 0 if node == "nas-a" else 100
    vhid = Vhid(80, CarpState.MASTER if active else CarpState.BACKUP, 1, advskew, KEY)
    metadata = HastMetadata(
        "data", DATASIZE, 2097152, 64, 4608, 4022304802173682088, 0, 0, "primary" if active else "secondary"
    )
    mounts = [Mount("/dev/vtbd0p2", "/", "ufs", frozenset({"local"}))]
    if active:
        mounts.append(Mount("/dev/hast/data", "/data", "ufs", frozenset({"local", "noatime", "soft-updates"})))
    boot = BootConfig(
        rc={"hastd_enable": "YES", "kld_list": "carp", "nfs_server_enable": "NO", "hactl_node_enable": "YES"},
        aliases=(_alias("vtnet1", 0, 80, advskew, "192.0.2.80/24"),),
        scan_stops={},
        ipv6_interfaces=frozenset(),
        loader_carp=False,
        sysctl_conf={"net.inet.carp.preempt": "1"},
    )
    return _facts(
        node,
        system=_system(node, number),
        interfaces={
            "vtnet0": _interface("vtnet0", Address("10.0.2.15", 24)),
            "vtnet1": _interface(
                "vtnet1", Address(f"192.0.2.1{number}", 24), Address("192.0.2.80", 24, 80), vhids=(vhid,)
            ),
            "vtnet2": _interface("vtnet2", Address(f"198.51.100.1{number}", 24)),
        },
        hastd=Hastd(running=True, pid=1473),
        resources={"data": _nas_resource(number, active=active)},
        metadata={"data": metadata},
        devices={"/dev/vtbd1": Device("/dev/vtbd1", True, MEDIASIZE, 512, None, ("hastd",))},
        hast_devices={
            "data": Device("/dev/hast/data", True, DATASIZE, 512, None, ("mounted on /data",))
            if active
            else Device("/dev/hast/data", False)
        },
        mounts=tuple(mounts),
        services={"nfsd": Service("nfsd", exists=True, running=active, enabled=False, rcvar="nfs_server_enable")},
        boot=boot,
        files={
            "/etc/hast.conf": File("/etc/hast.conf", True, "0" * 64, 0o644, HAST_CONF),
            "/etc/rc.conf.d/netif": File("/etc/rc.conf.d/netif", True, "1" * 64, 0o600, None),
        },
    )


def _blank_node(node: str) -> NodeFacts:
    """A fresh machine with a zeroed disk (recording 01)."""
    number = 1 if node == "nas-a" else 2
    return _facts(
        node,
        system=_system(node, number),
        interfaces={
            "vtnet0": _interface("vtnet0", Address("10.0.2.15", 24)),
            "vtnet1": _interface("vtnet1", Address(f"192.0.2.1{number}", 24)),
            "vtnet2": _interface("vtnet2", Address(f"198.51.100.1{number}", 24)),
        },
        modules={"carp": False, "g_gate": False, "zfs": False},
        carp_sysctls={},
        carp_counters={},
        metadata={"data": NoMetadata.ABSENT},
        devices={"/dev/vtbd1": Device("/dev/vtbd1", True, MEDIASIZE, 512, True, ())},
        hast_devices={"data": Device("/dev/hast/data", False)},
        services={"nfsd": Service("nfsd", exists=True, running=False, enabled=False, rcvar="nfs_server_enable")},
        boot=BootConfig({"hastd_enable": "NO"}, (), {}, frozenset(), False, {}),
        files={
            "/etc/hast.conf": File("/etc/hast.conf", False),
            "/etc/rc.conf.d/netif": File("/etc/rc.conf.d/netif", False),
        },
    )


def _edge_node(node: str, *, active: bool) -> NodeFacts:
    """One node of the converged firewall pair."""
    number = 1 if node == "fw-1" else 2
    wan, lan = ("ix0", "ix1") if node == "fw-1" else ("igb0", "igb1")
    advskew = 0 if node == "fw-1" else 100
    state = CarpState.MASTER if active else CarpState.BACKUP
    return _facts(
        node,
        system=_system(node, number),
        interfaces={
            wan: _interface(
                wan,
                Address(f"198.51.100.{10 + number}", 24),
                Address("198.51.100.1", 24, 10),
                vhids=(Vhid(10, state, 1, advskew, KEY),),
            ),
            lan: _interface(
                lan,
                Address(f"192.0.2.{10 + number}", 24),
                Address("192.0.2.1", 24, 20),
                Address("2001:db8:1::1", 64, 20),
                vhids=(Vhid(20, state, 1, advskew, KEY),),
            ),
        },
        boot=BootConfig(
            rc={"kld_list": "carp", f"ifconfig_{lan}_ipv6": "inet6 auto_linklocal"},
            aliases=(
                _alias(wan, 0, 10, advskew, "198.51.100.1/24"),
                _alias(lan, 0, 20, advskew, "192.0.2.1/24"),
                _alias(lan, 1, 20, advskew, "2001:db8:1::1/64"),
            ),
            scan_stops={},
            ipv6_interfaces=frozenset({lan}),
            loader_carp=False,
            sysctl_conf={"net.inet.carp.preempt": "1"},
        ),
        files={"/etc/rc.conf.d/netif": File("/etc/rc.conf.d/netif", True, "1" * 64, 0o600, None)},
    )


# --- scenes -------------------------------------------------------------------------------------------------------


def _scene(cluster: Cluster, *facts: NodeFacts) -> Scene:
    return Scene(cluster, {f.node: Known(f, f.seen_at) for f in facts})


def _hook_in_place(cluster: Cluster, node: str) -> dict[str, Any]:
    """The node hook's files as they should be, and devd knows."""
    files = {f.path: f for f in hook_files(cluster, node)} if hooked_groups(cluster, node) else {}
    rule = files.get(DEVD_RULE)
    return {
        "files": {path: (checksum(file.text), file.mode) for path, file in files.items()},
        "devd_loaded": checksum(rule.text) if rule else "",
    }


def healthy_pair(active: str = "nas-a") -> Scene:
    """nas.yaml converged: `active` is MASTER, primary, has /data mounted and runs nfsd."""
    cluster = nas_cluster()
    scene = _scene(cluster, *(_nas_node(node, active=node == active) for node in ("nas-a", "nas-b")))
    for node in ("nas-a", "nas-b"):
        confirmed = {} if node == active else {"data": 1700000000}
        scene = scene.hook(node, confirmed=confirmed, **_hook_in_place(cluster, node))
    return scene


def blank_pair() -> Scene:
    """nas.yaml and two fresh machines: no module, no vhid, no hastd, zeroed disks."""
    return _scene(nas_cluster(), _blank_node("nas-a"), _blank_node("nas-b"))


def zfs_pair(active: str = "nas-a") -> Scene:
    """The converged pair with the pool `tank` imported where it is active."""
    scene = healthy_pair(active).wants(zfs_cluster()).unmounted(active)
    return scene.node(
        active,
        pools={"tank": Pool("tank", "ONLINE")},
        mounts=(*scene.known(active, "mounts"), Mount("tank", "/data", "zfs", frozenset({"local"}))),
        modules={"carp": True, "g_gate": True, "zfs": True},
    ).hast_device(active, used_by=("pool tank",))


def edge_pair(active: str = "fw-1") -> Scene:
    """firewall.yaml converged."""
    return _scene(edge_cluster(), *(_edge_node(node, active=node == active) for node in ("fw-1", "fw-2")))


def rebooted_pair() -> Scene:
    """The converged pair after both nodes rebooted: VIP on nas-a, every role init, nothing mounted (recording 09)."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False, used_by=())
        scene = scene.device(node, used_by=())
    return scene


def fresh_primary() -> Scene:
    """A blank pair after metadata and roles: nas-a primary of an empty, provably blank /dev/hast/data."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    return scene.hast_device("nas-a", blank=True)
