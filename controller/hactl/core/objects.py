"""The document: `HACluster` of `hactl.dev/v1alpha1`, as pydantic models.

Wire names are camelCase as Kubernetes writes them; unknown fields are errors; models are frozen.
Types and single-field rules live here; what needs more than one field (a vhid used twice, a map that
misses a node) lives in `hactl.core.document.rules.check`. Field descriptions are what `hactl explain` and the CRD show.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hactl.core.choices import (
    Failback,
    FailoverPolicy,
    FailureAction,
    Initialize,
    Mode,
    NeedsPerson,
    NodeAccess,
    OnStaleWriter,
    PoolLayout,
    Replication,
    RunOn,
)

API_VERSION = "hactl.dev/v1alpha1"
KIND = "HACluster"

#: advskew is capped at 240 on the wire, and a demoted node has 240: from there on nodes tie (docs/freebsd-facts.md#1.1,
#: #1.2).
MAX_ADVSKEW = 239

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_HOST_NAME = r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"
_INTERFACE = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_DEVICE = r"^/[A-Za-z0-9._/:-]+$"
_MOUNT_POINT = r"^/[A-Za-z0-9._/+:@-]+$"
_SERVICE = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_FILE = r"^[^\x00-\x1f\x7f]+$"
_ENV = r"^[A-Za-z_][A-Za-z0-9_]*$"
_SSH_HOST = r"^[A-Za-z0-9._:%-]+$"
_USER = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
_MOUNT_OPTION = r"^[a-z][a-z0-9_=-]*$"
_POOL = r"^[A-Za-z][A-Za-z0-9_.:-]*$"
_COMMAND = r"^[^\x00-\x08\x0a-\x1f\x7f]+$"
_RESOURCE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_SETTING = r"^/[^\x00-\x1f\x7f]*$"
_LISTEN = r"^[A-Za-z0-9.:/\[\]-]+$"

#: What each pattern asks for, in words: for messages and for `hactl explain`.
PATTERNS: dict[str, str] = {
    _NAME: "lower-case letters, digits and -, beginning and ending with a letter or digit",
    _HOST_NAME: "letters, digits, - . and _, beginning and ending with a letter, digit or _",
    _INTERFACE: "an interface name such as em0, lagg0.100 or vm-public: letters, digits, _ . and -",
    _DEVICE: "a path such as /dev/da1: / and then letters, digits, . _ / : - (hast.conf can say no more)",
    _MOUNT_POINT: "an absolute path: / and then letters, digits, . _ / + : @ -",
    _SERVICE: "a name as service(8) takes it: letters, digits, _ . -",
    _FILE: "a path without control characters",
    _ENV: "the name of a variable: letters, digits and _, not beginning with a digit",
    _SSH_HOST: "an address or a host name, without user and port",
    _USER: "a login name: letters, digits, _ . -",
    _MOUNT_OPTION: "one mount(8) option such as noatime, without commas and blanks",
    _POOL: "a letter, then letters, digits, _ . : -",
    _RESOURCE: "a letter or digit, then letters, digits, . _ -",
    _SETTING: "a name as `hactl plan` gives it: a file, or FILE:SETTING",
    _LISTEN: "an address as hast.conf(5) has it, such as tcp://0.0.0.0 or tcp6://[::]:8457",
    _COMMAND: "one line for sh(1), without control characters",
}


def _canonical_address(text: str) -> str:
    """`2001:DB8:0::1/64` as ifconfig prints it; what is no address is left for the rules to refuse."""
    address, slash, prefix = text.partition("/")
    if slash and not re.fullmatch(r"[0-9]{1,3}", prefix):
        return text
    try:
        return f"{ipaddress.ip_address(address)}{slash}{prefix}"
    except ValueError:
        return text


#: RFC 1123 label, as Kubernetes names are.
Name = Annotated[str, Field(pattern=_NAME, max_length=63)]
#: A FreeBSD host name: what `hostname` prints, full or up to the first dot (hast.conf(5), "on").
HostName = Annotated[str, Field(pattern=_HOST_NAME, max_length=255)]
#: An interface name has at most 15 characters (IFNAMSIZ, net/if.h).
Interface = Annotated[str, Field(pattern=_INTERFACE, max_length=15)]
#: A device path hast.conf can express: its strings are [a-zA-Z0-9.\-_/:\[\]]+ (hastd/token.l).
DevicePath = Annotated[str, Field(pattern=_DEVICE, max_length=1023)]
#: A program that devd runs: no blanks and nothing that sh or devd.conf(5) would take for more.
Program = Annotated[str, Field(pattern=_MOUNT_POINT, max_length=1023)]
MountPoint = Annotated[str, Field(pattern=_MOUNT_POINT, max_length=1023)]
ServiceName = Annotated[str, Field(pattern=_SERVICE, max_length=63)]
FilePath = Annotated[str, Field(pattern=_FILE, max_length=4096)]
#: An address in the spelling ifconfig prints, so that comparing texts is comparing addresses.
Address = Annotated[str, AfterValidator(_canonical_address), Field(max_length=64)]
Advskew = Annotated[int, Field(ge=0, le=MAX_ADVSKEW)]
MountOption = Annotated[str, Field(pattern=_MOUNT_OPTION, max_length=63)]


class Model(BaseModel):
    """What every part of a document shares."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class SecretRef(Model):
    """Where a secret is. Exactly one of the fields is set; secrets never stand in the document."""

    file: FilePath | None = Field(
        None, description="A file on the controller, relative to the document. Its first line is the secret."
    )
    env: Annotated[str, Field(pattern=_ENV, max_length=255)] | None = Field(
        None, description="An environment variable of the controller."
    )


class FileRef(Model):
    """A file on the controller, relative to the document."""

    file: FilePath = Field(description="Path of the file, relative to the document.")


class SSHSpec(Model):
    """How the controller reaches a node."""

    host: str = Field(pattern=_SSH_HOST, max_length=255, description="Address or name to connect to.")
    port: int = Field(22, ge=1, le=65535, description="TCP port of sshd.")
    user: str = Field("root", pattern=_USER, max_length=32, description="Login name; not root: see become.")
    host_key: str | None = Field(
        None,
        max_length=16384,
        description='The node\'s public host key, as in ssh_host_ed25519_key.pub: "ssh-ed25519 AAAA...".',
    )
    host_key_from: FileRef | None = Field(
        None, description="A file that holds the node's public host key(s), one per line."
    )
    identity_from: FileRef | None = Field(
        None, description="The private key to log in with. Default: HACTL_IDENTITY, else the user's own ~/.ssh/id_*."
    )
    become: Literal["doas", "sudo"] | None = Field(
        None, description="How a login that is not root becomes root: doas or sudo, without a password."
    )
    access: NodeAccess = Field(
        NodeAccess.ROOT,
        description="What the key can do there: Root: everything. Observe: only look, through a gate on the node that "
        "`hactl node-access` installs; enough for mode Observe and Propose.",
    )


class NodeSpec(Model):
    """One FreeBSD machine."""

    name: HostName = Field(description="The FreeBSD host name, as `hostname` prints it (full, or up to the first dot).")
    ssh: SSHSpec = Field(description="How the controller reaches the node.")


class VirtualIP(Model):
    """One CARP vhid: its addresses move together."""

    name: Name = Field(description="A name for people and for history.")
    vhid: int = Field(ge=1, le=255, description="CARP virtual host id, unique on the network segment (1 to 255).")
    interface: Interface | None = Field(None, description="The interface on every node; or use interfaces.")
    interfaces: dict[str, Interface] | None = Field(None, description="The interface by node name.")
    addresses: list[Address] = Field(
        min_length=1,
        max_length=100,
        description="Addresses with prefix length, IPv4 or IPv6, e.g. 192.0.2.80/24. They move together.",
    )
    advbase: int = Field(
        1, ge=1, le=255, description="Seconds between advertisements; a standby takes over after three of them."
    )
    advskews: dict[str, Advskew] | None = Field(
        None,
        description=(
            "advskew by node name, unit 1/256 s, lower is better, all different. "
            "Default: derived from the order of preferred."
        ),
    )
    password_from: SecretRef | None = Field(
        None, description="Where the CARP password is: 1 to 19 characters, letters, digits and _ . + = : @ % ,"
    )


class HastSpec(Model):
    """One HAST resource: a disk replicated between two nodes."""

    devices: dict[str, DevicePath] = Field(
        description="The local device by node name: a GEOM provider of any class, or a file."
    )
    addresses: dict[str, Address] = Field(
        description="The replication address by node name: numeric, without prefix length, not a virtual IP."
    )
    replication: Replication = Field(Replication.MEMSYNC, description="When a write counts as done.")
    initialize: Initialize = Field(
        Initialize.NEVER, description="IfBlank: create metadata and filesystem on provably blank devices."
    )
    checksum: Literal["none", "crc32", "sha256"] = Field("none", description="Checksum of replicated data.")
    compression: Literal["none", "hole", "lzf"] = Field("hole", description="Compression of replicated data.")
    #: hastd's own default is 20. Its keepalive is 10 s (hastd/primary.c, HAST_KEEPALIVE): 10 or less would break
    #: idle connections again and again.
    timeout_seconds: int = Field(
        15,
        ge=1,
        le=3600,
        description=(
            "After how long a silent peer is given up: a dead peer freezes writes for as long, and delays a promotion "
            "by it where the node hook may not refuse the peer by a route. An idle connection speaks every 10 s: with "
            "10 or less it breaks again and again."
        ),
    )
    metaflush: bool = Field(
        True,
        description=(
            "Whether hastd flushes the disk after it wrote its own metadata. false is for disks that cannot flush."
        ),
    )


class UfsSpec(Model):
    """A UFS filesystem on the replicated device."""

    mountpoint: MountPoint = Field(description="Where the active node mounts it.")
    options: list[MountOption] = Field(default_factory=list, description="mount(8) options, e.g. noatime.")


class ZfsSpec(Model):
    """A ZFS pool on the replicated device, or on this and others of the group that name the same pool."""

    pool: Annotated[str, Field(pattern=_POOL, max_length=255)] = Field(
        description=(
            "Name of the pool. Several resources of one group may name the same pool: it stands on all of them, in "
            "their order."
        )
    )
    layout: PoolLayout | None = Field(
        None,
        description=(
            "How a pool on several resources spreads its data; said at one of them is enough. Default: Stripe for a "
            "pool that hactl creates, and any layout for one that is there."
        ),
    )
    mountpoint: MountPoint | None = Field(
        None, description="Where the pool is mounted; said at one of its resources is enough. Default: /POOL."
    )


class FilesystemSpec(Model):
    """What lives on the replicated device. Exactly one of the fields is set."""

    ufs: UfsSpec | None = Field(None, description="A UFS filesystem.")
    zfs: ZfsSpec | None = Field(None, description="A ZFS pool, or a part of one.")


class StorageSpec(Model):
    """A replicated device and what lives on it."""

    name: Annotated[str, Field(pattern=_RESOURCE, max_length=63)] = Field(
        description="Name of the HAST resource; the device is /dev/hast/NAME."
    )
    hast: HastSpec = Field(description="How it is replicated.")
    filesystem: FilesystemSpec | None = Field(None, description="What lives on it; absent: nothing hactl manages.")

    @property
    def device(self) -> str:
        """The replicated device: it exists where the resource is primary."""
        return f"/dev/hast/{self.name}"


class ServiceCheck(Model):
    """How a node tells whether a service runs, where its own script cannot. Exactly one of tcp and command is set."""

    tcp: int | None = Field(
        None, ge=1, le=65535, description="It runs while a process of the node listens on this TCP port."
    )
    command: Annotated[str, Field(pattern=_COMMAND, max_length=1000)] | None = Field(
        None,
        description=(
            "One line for sh(1), run as root on the node: it runs while this exits with 0. It only looks, on the "
            "standby too, and holds no password."
        ),
    )
    timeout_seconds: int = Field(5, ge=1, le=60, description="How long the command may take.")


class OnFailureSpec(Model):
    """What hactl does when a service stops by itself where it should run. The nodes' own hook starts nothing again."""

    action: FailureAction = Field(
        description=(
            "Restart: start it again, at most limit times within withinSeconds; then it rests for withinSeconds and "
            "is told. Move: after the limit the group moves to a node that is ready and where the service did not "
            "fail; without one it rests. Nothing: it is told, and starts again when the group comes to a node."
        )
    )
    limit: int = Field(3, ge=1, le=1000, description="How often it is started again on one node (Restart, Move).")
    within_seconds: int = Field(
        600,
        ge=10,
        le=86400,
        description=(
            "Starts longer ago do not count; for so long after the limit hactl does not start it on that node, and "
            "does not move the group back there for its sake."
        ),
    )


class ServiceSpec(Model):
    """An rc.d service that follows the group."""

    name: ServiceName = Field(description="Name as service(8) takes it.")
    run_on: RunOn = Field(RunOn.ACTIVE, description="Active: only where the group is active. All: on every node.")
    check: ServiceCheck | None = Field(
        None, description="What decides whether it runs. Default: what `service NAME onestatus` says and exits with."
    )
    after: list[ServiceName] = Field(
        default_factory=list,
        max_length=64,
        description=(
            "Services of the group that it needs: it starts once they run, and stops before they do. Others keep the "
            "order of the list."
        ),
    )
    on_failure: OnFailureSpec | None = Field(
        None,
        description="What hactl does when it stops by itself. Default: it is started again, however often.",
    )


class FailoverSpec(Model):
    """What the nodes do by themselves when the addresses of a group move (the node hook)."""

    policy: FailoverPolicy = Field(
        FailoverPolicy.AUTOMATIC,
        description="Automatic: the node that gets the addresses takes storage and services. Manual: it only reports.",
    )
    witness: list[Address] = Field(
        default_factory=list,
        max_length=16,
        description=(
            "Addresses outside the cluster (a router, a switch), numeric, without prefix length: one must answer ping "
            "before a node promotes itself. Empty: not asked."
        ),
    )
    settle_seconds: int = Field(
        1, ge=0, le=300, description="How long the addresses must have been here before anything is moved."
    )
    solo_start: int = Field(
        0,
        ge=0,
        le=86400,
        description=(
            "Both nodes were off and only one is back: after so many seconds without its peer it serves alone, if it "
            "was the last to serve as far as it knows. 0: never. The risk: where the peer took over after this node "
            "failed, and failed later, the peer has newer data; serving the older copy makes them diverge, and a "
            "person has to choose one."
        ),
    )
    on_stale_writer: OnStaleWriter = Field(
        OnStaleWriter.ASK,
        description=(
            "A node was frozen and woke after its peer had taken over, or was cut off from everything while that took "
            "over, and wrote for a moment what is nowhere else: the copies refuse each other. Ask: a person throws "
            "one away (hactl resolve). Discard: hactl throws the copy of that node away, once the other one serves, "
            "and HAST fills it again."
        ),
    )
    max_moves_per_hour: int = Field(
        4,
        ge=1,
        le=1000,
        description="After this many moves of a group within an hour hactl moves it no more by itself.",
    )


class GroupSpec(Model):
    """What moves together, all or nothing."""

    name: Name = Field(description="Name of the group.")
    preferred: list[HostName] = Field(min_length=1, description="Every node once, best first.")
    failback: Failback = Field(
        Failback.NEVER, description="Never: stay after a failover. WhenReady: go back to the preferred node."
    )
    failover: FailoverSpec | None = Field(
        None, description="What the nodes do by themselves for this group. Default: spec.failover."
    )
    virtual_ips: list[VirtualIP] = Field(
        default_factory=list, alias="virtualIPs", description="The addresses of the group, one entry per vhid."
    )
    storage: list[StorageSpec] = Field(default_factory=list, description="The replicated disks of the group.")
    services: list[ServiceSpec] = Field(
        default_factory=list, description="Services in start order; stopped in reverse order."
    )


class CarpSpec(Model):
    """CARP settings of every node (carp(4))."""

    preempt: bool = Field(True, description="net.inet.carp.preempt: a better node takes over at once.")
    notify: list[Program] = Field(
        default_factory=list,
        max_length=16,
        description=(
            "Programs of your own that devd calls at each change of a vhid on a node that moves storage or services, "
            "after hactl's own: PROGRAM VHID@INTERFACE MASTER, BACKUP or INIT."
        ),
    )


class HastDaemonSpec(Model):
    """Settings of hastd itself, on every node (hast.conf(5))."""

    listen: list[Annotated[str, Field(pattern=_LISTEN, max_length=255)]] = Field(
        default_factory=list,
        max_length=16,
        description="Addresses hastd takes connections on, as hast.conf has them, e.g. tcp://0.0.0.0. Empty: all.",
    )
    notify: list[Program] = Field(
        default_factory=list,
        max_length=16,
        description=(
            "Programs of your own that hear of hastd's events on a node that moves storage, as `exec` of hast.conf(5) "
            "would call them for every resource: PROGRAM EVENT RESOURCE ... Nobody waits for them."
        ),
    )


class ObjectivesSpec(Model):
    """What `hactl simulate` judges: it exits with 1 when one of these is missed. Nothing else follows from them."""

    unavailable_seconds: int | None = Field(
        None,
        ge=0,
        le=86400,
        description="For how long no node may serve a group while at least one runs. Absent: not judged.",
    )
    lost_writes: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="How many writes may be gone that a node had acknowledged (fsync(2)). Absent: not judged.",
    )
    needs_person: NeedsPerson | None = Field(
        None,
        description=(
            "Once what broke works again: Never: the cluster becomes Ready by itself. WhileServing: a person may have "
            "to decide something, but one node serves meanwhile. Absent: not judged."
        ),
    )
    faults: int = Field(
        1,
        ge=1,
        le=2,
        description="For how many faults at once they hold. The power of all nodes counts as two.",
    )


class HAClusterSpec(Model):
    """What the cluster should be."""

    mode: Mode = Field(
        Mode.APPLY, description="Observe: never touch. Propose: plan and wait for approval. Apply: converge."
    )
    managed_by: Name | None = Field(
        None,
        description=(
            "The controller that looks after it: the one that was started with `hactl run --managed-by NAME`. Absent: "
            "one that was started without. All others leave it alone, and take its status as that one tells it."
        ),
    )
    nodes: list[NodeSpec] = Field(min_length=1, description="The machines.")
    carp: CarpSpec = Field(default_factory=CarpSpec, description="CARP settings of every node.")
    hast: HastDaemonSpec = Field(default_factory=HastDaemonSpec, description="Settings of hastd on every node.")
    failover: FailoverSpec = Field(
        default_factory=FailoverSpec, description="What the nodes do by themselves, for groups that do not say."
    )
    keep: list[Annotated[str, Field(pattern=_SETTING, max_length=4096)]] = Field(
        default_factory=list,
        max_length=256,
        description=(
            "What was on a node before hactl and is to be left alone although the document does not say it: names as "
            "`hactl plan` gives them, e.g. /etc/hast.conf:data.exec or /usr/local/etc/devd/carp.conf."
        ),
    )
    objectives: ObjectivesSpec | None = Field(
        None, description="What `hactl simulate` judges a simulation by. Absent: nothing is judged."
    )
    groups: list[GroupSpec] = Field(min_length=1, description="What moves together.")


class Metadata(Model):
    """Name and labels."""

    name: Name = Field(description="Name of the cluster, unique in the source.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels for selection.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Notes for tools and people.")


class HACluster(Model):
    """A FreeBSD high-availability cluster: CARP addresses, HAST disks and services that move together."""

    api_version: Literal["hactl.dev/v1alpha1"] = Field(description="Always hactl.dev/v1alpha1.")
    kind: Literal["HACluster"] = Field(description="Always HACluster.")
    metadata: Metadata = Field(description="Name and labels.")
    spec: HAClusterSpec = Field(description="What the cluster should be.")

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.metadata.name
