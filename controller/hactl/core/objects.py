"""The document: `HACluster` of `hactl.dev/v1alpha1`, as pydantic models.

Wire names are camelCase as Kubernetes writes them; unknown fields are errors; models are frozen.
Types and single-field rules live here; what needs more than one field (a vhid used twice, a map that
misses a node) lives in `hactl.core.meaning`. Field descriptions are what `hactl explain` and the CRD show.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

API_VERSION = "hactl.dev/v1alpha1"
KIND = "HACluster"

#: RFC 1123 label, as Kubernetes names are.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
#: A FreeBSD host name: what `hostname` prints, full or up to the first dot (hast.conf(5), "on").
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=255)]
#: An interface name has at most 15 characters (IFNAMSIZ, net/if.h).
Interface = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.]*$", max_length=15)]
#: A device path hast.conf can express: its strings are [a-zA-Z0-9.\-_/:\[\]]+ (hastd/token.l).
DevicePath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/:-]+$", max_length=1023)]
MountPoint = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/+:@-]+$", max_length=1023)]
ServiceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=63)]


class Model(BaseModel):
    """What every part of a document shares."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, validate_default=True
    )


class Mode(StrEnum):
    """How far hactl may go."""

    OBSERVE = "Observe"
    PROPOSE = "Propose"
    APPLY = "Apply"


class Failback(StrEnum):
    """Whether a group goes back to its preferred node by itself."""

    NEVER = "Never"
    WHEN_READY = "WhenReady"


class Replication(StrEnum):
    """HAST replication modes (hast.conf(5)); all three work in 13.2 and later."""

    MEMSYNC = "memsync"
    FULLSYNC = "fullsync"
    ASYNC = "async"


class Initialize(StrEnum):
    """Whether hactl may create HAST metadata and a filesystem on blank devices."""

    NEVER = "Never"
    IF_BLANK = "IfBlank"


class RunOn(StrEnum):
    """Where a service runs."""

    ACTIVE = "Active"
    ALL = "All"


class SecretRef(Model):
    """Where a secret is. Exactly one of the fields is set; secrets never stand in the document."""

    file: str | None = Field(
        None,
        min_length=1,
        description="A file on the controller, relative to the document. Its first line is the secret.",
    )
    env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="An environment variable of the controller."
    )


class FileRef(Model):
    """A file on the controller, relative to the document."""

    file: str = Field(min_length=1, description="Path of the file, relative to the document.")


class SSHSpec(Model):
    """How the controller reaches a node."""

    host: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._:%-]+$", description="Address or name to connect to.")
    port: int = Field(22, ge=1, le=65535, description="TCP port of sshd.")
    user: str = Field("root", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=32, description="Login name.")
    host_key: str | None = Field(
        None, description='The node\'s public host key, as in ssh_host_ed25519_key.pub: "ssh-ed25519 AAAA...".'
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
    addresses: list[str] = Field(min_length=1, description="Addresses with prefix length, IPv4 or IPv6.")
    advbase: int = Field(1, ge=1, le=255, description="Advertisement interval, seconds (1 to 255).")
    advskews: dict[str, int] | None = Field(
        None,
        description="advskew by node name (0 to 239), unit 1/256 s. Default: derived from the order of preferred.",
    )
    password_from: SecretRef | None = Field(None, description="The CARP password, at most 19 characters.")


class HastSpec(Model):
    """One HAST resource: a disk replicated between two nodes."""

    devices: dict[str, DevicePath] = Field(description="The local device by node name.")
    addresses: dict[str, str] = Field(description="The replication address by node name: numeric, not a virtual IP.")
    replication: Replication = Field(Replication.MEMSYNC, description="When a write counts as done.")
    initialize: Initialize = Field(
        Initialize.NEVER, description="IfBlank: create metadata and filesystem on provably blank devices."
    )
    checksum: Literal["none", "crc32", "sha256"] = Field("none", description="Checksum of replicated data.")
    compression: Literal["none", "hole", "lzf"] = Field("hole", description="Compression of replicated data.")
    timeout_seconds: int = Field(
        20, ge=1, le=3600, description="After how long a silent peer is given up; it also delays a promotion."
    )


class UfsSpec(Model):
    """A UFS filesystem on the replicated device."""

    mountpoint: MountPoint = Field(description="Where the active node mounts it.")
    options: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_=-]*$")]] = Field(
        default_factory=list, description="mount(8) options, e.g. noatime."
    )


class ZfsSpec(Model):
    """A ZFS pool on the replicated device."""

    pool: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$", max_length=255)] = Field(
        description="Name of the pool."
    )
    mountpoint: MountPoint | None = Field(None, description="Where the pool is mounted. Default: /POOL.")


class FilesystemSpec(Model):
    """What lives on the replicated device. Exactly one of the fields is set."""

    ufs: UfsSpec | None = Field(None, description="A UFS filesystem.")
    zfs: ZfsSpec | None = Field(None, description="A ZFS pool.")


class StorageSpec(Model):
    """A replicated device and what lives on it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)] = Field(
        description="Name of the HAST resource; the device is /dev/hast/NAME."
    )
    hast: HastSpec = Field(description="How it is replicated.")
    filesystem: FilesystemSpec | None = Field(None, description="What lives on it; absent: nothing hactl manages.")


class ServiceSpec(Model):
    """An rc.d service that follows the group."""

    name: ServiceName = Field(description="Name as service(8) takes it.")
    run_on: RunOn = Field(RunOn.ACTIVE, description="Active: only where the group is active. All: on every node.")


class GroupSpec(Model):
    """What moves together, all or nothing."""

    name: Name = Field(description="Name of the group.")
    preferred: list[HostName] = Field(min_length=1, description="Every node once, best first.")
    failback: Failback = Field(
        Failback.NEVER, description="Never: stay after a failover. WhenReady: go back to the preferred node."
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


class HAClusterSpec(Model):
    """What the cluster should be."""

    mode: Mode = Field(
        Mode.APPLY, description="Observe: never touch. Propose: plan and wait for approval. Apply: converge."
    )
    nodes: list[NodeSpec] = Field(min_length=1, description="The machines.")
    carp: CarpSpec = Field(default_factory=CarpSpec, description="CARP settings of every node.")
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
