"""What was seen: readings of a node, each Known with an age or Unknown with a reason.

Unknown is a value: it is never "absent" and never "healthy". Times called `seen_at`, `since` are seconds of the
controller's monotonic clock; times of a node (`boot_epoch`) are that node's wall clock, seconds since 1970.
CARP keys never stay in clear: only `fingerprint(key, salt)` is kept. Man pages: carp(4), ifconfig(8), hastctl(8),
geom(8), sysctl(8), kldstat(8), rc.conf(5).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

T_co = TypeVar("T_co", covariant=True)

#: kern.boottime moves by small amounts when a clock is disciplined; more than this is a reboot or a stepped clock.
BOOT_TIME_SLACK_SECONDS = 5


def device_of(resource: str) -> str:
    """The replicated device of a HAST resource."""
    return f"/dev/hast/{resource}"


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A reading that was understood."""

    value: T_co
    seen_at: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """A reading we do not have: no answer, or text we do not understand (kept, redacted, for a person)."""

    reason: str
    since: float
    raw: str = ""


Reading: TypeAlias = Known[T_co] | Unknown


def known(reading: Reading[T_co] | None) -> T_co | None:
    """The value of a reading; None when it is Unknown, or was not asked."""
    return reading.value if isinstance(reading, Known) else None


#: Its SHA-256, which a gate tells in the place of a CARP key (it is longer than any).
HIDDEN_KEY = re.compile(r"sha256:[0-9a-f]{64}")


def fingerprint(key: str, salt: bytes) -> str:
    """A comparable stand-in for a CARP key: HMAC of its SHA-256 under a salt that lives as long as the process."""
    digest = key[7:] if HIDDEN_KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()
    return hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest()[:16]


def rebooted(was: str, now: str) -> bool:
    """Whether two boot times of a node, ISO 8601, are those of two boots."""
    moved = datetime.fromisoformat(now) - datetime.fromisoformat(was)
    return abs(moved.total_seconds()) > BOOT_TIME_SLACK_SECONDS


class CarpState(StrEnum):
    """Per-vhid state (carp(4))."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"


class HastRole(StrEnum):
    """Role of a resource on a node (hastctl(8))."""

    INIT = "init"
    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True)
class System:
    """Identity and age of a node."""

    sysname: str
    #: `kern.osreldate`, e.g. 1302001; major version is value // 100000.
    osreldate: int
    #: `freebsd-version -u`, e.g. 13.2-RELEASE-p5.
    release: str
    hostname: str
    hostuuid: str
    #: Seconds since 1970 on the node's clock (kern.boottime); moves when the clock is stepped.
    boot_epoch: int
    securelevel: int
    uid: int


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an interface. `vhid` is None for an address that is not CARP's."""

    #: Canonical text (`ipaddress`), without zone.
    ip: str
    prefix_length: int
    vhid: int | None = None
    #: Flag words of IPv6 addresses: tentative, duplicated, deprecated ...
    flags: frozenset[str] = frozenset()

    @property
    def cidr(self) -> str:
        """`ip/prefix`."""
        return f"{self.ip}/{self.prefix_length}"


def family(ip: str) -> str:
    """`inet` or `inet6`, as ifconfig(8) wants it before an address."""
    return "inet6" if ":" in ip else "inet"


@dataclass(frozen=True, slots=True)
class Vhid:
    """One vhid of an interface, as `ifconfig -k` shows it."""

    vhid: int
    state: CarpState
    advbase: int
    advskew: int
    #: `fingerprint` of the key; None when no key is set.
    key: str | None = None
    #: 14.x and later: the multicast or unicast peer addresses.
    peer: str | None = None
    peer6: str | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface."""

    name: str
    flags: frozenset[str]
    mtu: int
    ether: str | None
    #: Text after `status:`: `active`, `no carrier` ...; None when ifconfig prints none.
    status: str | None
    addresses: tuple[Address, ...] = ()
    vhids: tuple[Vhid, ...] = ()
    #: Text after `media:`; None when ifconfig prints none.
    media: str | None = None
    #: Interface groups (`groups:`).
    groups: frozenset[str] = frozenset()
    #: 15.x: numbers that VRRPv3 uses here (`vrrp:` lines); hactl does not manage them, but they are taken.
    vrids: tuple[int, ...] = ()

    @property
    def up(self) -> bool:
        """UP flag set and link not known to be down."""
        return "UP" in self.flags and self.status in (None, "active", "associated")

    def vhid(self, number: int) -> Vhid | None:
        """The vhid of that number, or None."""
        return next((v for v in self.vhids if v.vhid == number), None)

    def of_vhid(self, number: int) -> tuple[Address, ...]:
        """The addresses that belong to that vhid."""
        return tuple(a for a in self.addresses if a.vhid == number)


@dataclass(frozen=True, slots=True)
class HastResource:
    """One resource as `hastctl list` shows it."""

    name: str
    role: HastRole
    provname: str
    localpath: str
    remoteaddr: str
    sourceaddr: str | None
    replication: str
    #: `complete`, `degraded`, or None when there is no worker (hastctl prints `-` or no line).
    status: str | None
    workerpid: int | None
    extentsize: int
    keepdirty: int
    #: Bytes of extents that are pending or not yet replicated.
    dirty: int
    writes: int = 0
    #: Sum of local read, write, delete and flush errors.
    local_errors: int = 0
    #: How long the worker of a primary without its device runs, seconds; None: not asked, or not known.
    worker_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class HastMetadata:
    """`hastctl dump`: what is on the disk. See FreeBSD hastd/metadata.c."""

    resource: str
    datasize: int
    extentsize: int
    keepdirty: int
    localoff: int
    resuid: int
    localcnt: int
    remotecnt: int
    prevrole: str


class NoMetadata(StrEnum):
    """`hastctl dump` found no metadata of this resource, and said why."""

    #: "Unable to read metadata ...: No such file or directory": first bytes are zero.
    ABSENT = "absent"
    #: "Metadata read from ... is invalid": something else is there.
    INVALID = "invalid"
    #: "Provider ... is not part of resource ...": another resource's disk.
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Hastd:
    """The daemon."""

    running: bool
    pid: int | None = None


class Connects(StrEnum):
    """Whether the hastd of a node connects to its peer when it is primary (docs/freebsd-facts.md#7.18)."""

    #: Every hastd before FreeBSD 15 does, and one without a resource has nothing to connect: nobody tries it.
    SURE = "sure"
    #: FreeBSD 15 or later, and this hastd was not tried on this kernel.
    UNTRIED = "untried"
    WORKS = "works"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Device:
    """A device node that the document names."""

    path: str
    exists: bool
    #: Bytes and bytes per sector (diskinfo(8)); 0 when unknown.
    mediasize: int = 0
    sectorsize: int = 0
    #: True: first and last MiB are all zero. None: not looked at (metadata is there) or could not be read.
    blank: bool | None = None
    #: Everything that uses it: mounts, swap, pools, whoever has it open or stands on it in GEOM, partition tables,
    #: labels. Empty: nothing does.
    used_by: tuple[str, ...] = ()
    #: False: use could not be established (a query failed), so nobody may call it unused.
    use_known: bool = True
    #: Why that is so.
    use_unknown: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mount(8)."""

    special: str
    node: str
    fstype: str
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Service:
    """An rc.d service. `enabled` is what rc.conf says for the next boot."""

    name: str
    exists: bool
    running: bool
    enabled: bool
    #: The rc.conf variable that enables it (nfsd's is nfs_server_enable); None when it has none.
    rcvar: str | None = None
    #: Daemons of it that do not run while others do: it runs all the same.
    off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RcAlias:
    """One `ifconfig_IF_aliasN` (or one word group of `_aliases`) of rc.conf that names a vhid."""

    variable: str
    interface: str
    #: inet or inet6.
    family: str
    #: Canonical address and prefix; prefix_length None when the entry has none.
    ip: str
    prefix_length: int | None
    vhid: int
    advbase: int | None
    advskew: int | None
    #: fingerprint of the password; None when none is given.
    key: str | None
    #: Words we do not know: their presence makes the entry differ.
    unknown_words: tuple[str, ...] = ()
    #: Options that say nothing about CARP, e.g. `mtu 9000`: they go where the entry goes.
    options: tuple[str, ...] = ()
    #: The file whose assignment of the variable is read last; empty when no line assigns it literally.
    file: str = ""
    #: True: that assignment stands between `# BEGIN hactl` and `# END hactl`.
    managed: bool = False
    #: How many entries of the same variable name no vhid, and are nothing that hactl looks after.
    beside: int = 0


@dataclass(frozen=True, slots=True)
class BootConfig:
    """What the files say for the next boot."""

    #: Effective rc.conf variables we care about (hastd_enable, kld_list, ...), after all rc.conf files.
    rc: Mapping[str, str]
    #: CARP aliases rc.d/netif will apply, in its order.
    aliases: tuple[RcAlias, ...]
    #: Interface -> variable: an alias variable set to the empty string stops rc.d/netif's scan there (network.subr).
    scan_stops: Mapping[str, str]
    #: Interfaces whose `ifconfig_IF_ipv6` is set: without it inet6 aliases are skipped (network.subr).
    ipv6_interfaces: frozenset[str]
    #: `carp_load="YES"` in /boot/loader.conf.
    loader_carp: bool
    #: name -> value lines of /etc/sysctl.conf and sysctl.conf.local, last one wins.
    sysctl_conf: Mapping[str, str]
    #: Variable of rc.conf, or name of sysctl.conf -> the file that decides: the last one read that sets it.
    set_in: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file hactl writes."""

    path: str
    exists: bool
    #: sha256 of the content, hex; None when it does not exist.
    sha256: str | None = None
    #: Permission bits, e.g. 0o600.
    mode: int | None = None
    #: Content of files without secrets; None for files with secrets, or when it does not exist.
    text: str | None = None
    is_directory: bool = False
    #: `# BEGIN hactl` and `# END hactl` lines are there, but not as one pair in that order: a person must look.
    block_damaged: bool = False
    #: It has NUL bytes, which a power cut puts where data did not reach the disk (docs/freebsd-facts.md#7.1).
    torn: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """A ZFS pool that is imported, or (importable) that could be."""

    name: str
    health: str
    imported: bool = True
    #: Paths of the devices that hold its data, in ZFS's order; a number stands for one that ZFS does not find.
    #: None: not told.
    devices: tuple[str, ...] | None = None
    #: How they are put together, in zpool(8)'s words: `mirror` for one mirror, empty for a plain stripe.
    layout: str = ""
    #: Devices it has besides that it is not imported without: for logs, special data, tables of dedup.
    besides: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it can be read and written, or (importable) could be: ZFS has enough of its devices."""
        return self.health in ("ONLINE", "DEGRADED")


@dataclass(frozen=True, slots=True)
class DevdRule:
    """A `notify` rule of devd.conf(5) that is not the node hook's own."""

    file: str
    #: Line of its `notify`, from 1.
    line: int
    priority: int
    #: What it runs.
    action: str = ""
    #: The events it is for (`80@em0 MASTER`), where MASTER or BACKUP of a vhid that was asked about is not among them.
    only: tuple[str, ...] = ()


class RivalKind(StrEnum):
    """What a script of an administrator's acts on."""

    ROLE = "role"
    #: It mounts, checks or imports what is on /dev/hast.
    DISK = "disk"
    VHID = "vhid"
    SYSCTL = "sysctl"
    #: It switches a machine off.
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Rival:
    """A line of a crontab or script that acts on what hactl and the node hook act on."""

    file: str
    #: From 1.
    line: int
    kind: RivalKind
    #: The words that say so, e.g. `role primary data`.
    words: str


@dataclass(frozen=True, slots=True)
class Owner:
    """For which cluster and by which process steps ran on a node last: the node's own note (`core.script`)."""

    cluster: str
    #: Token of the process on its record (`ports.Passes.holder`).
    holder: str
    #: The node's clock when that began, seconds since 1970.
    since: int
    #: The process for people: "root@ctl (hactl run ...)".
    who: str = ""


@dataclass(frozen=True, slots=True)
class HookFacts:
    """What a node has of the node hook and what the hook and earlier steps wrote down there."""

    #: Path -> sha256 (hex) and permission bits of the hook's files that exist.
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    #: sha256 of the rule file that the running devd was started with; empty: not known.
    devd_loaded: str = ""
    #: What the boot guard added to net.inet.carp.demotion and nobody took back yet; 0: nothing is held.
    held: int = 0
    #: Resource -> node's clock, seconds since 1970, when hactl confirmed that this copy is complete.
    confirmed: Mapping[str, int] = field(default_factory=dict)
    #: Resource -> node's clock when this secondary lost its primary.
    disconnected: Mapping[str, int] = field(default_factory=dict)
    #: Resource -> node's clock when it was taken away from this node, which had slept while its peer took over, and how
    #: many writes it had done at least meanwhile (None: not known). Until the copies are connected again, or this node
    #: is made primary.
    fenced: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    #: Why this node takes nothing over; None: it does.
    drained: str | None = None
    #: Generation of the lease that last acted here.
    lease: int = 0
    #: Who acted under that lease; None: the node does not say (nobody did, or a hactl that noted no owner).
    owner: Owner | None = None
    #: Of the last trial of hastd: which one it was, on which release, and what it came to (core/changes/trial.sh).
    tried: str = ""
    #: The last lines of /var/db/hactl/moves: "EPOCH GROUP WHAT SECONDS TEXT", oldest first.
    moves: tuple[str, ...] = ()
    #: Rules of others that devd prefers to the hook's for CARP events of its vhids; None: not known.
    overtaken_by: tuple[DevdRule, ...] | None = ()
    #: Rules of others that devd runs no more for these events once the hook's rule is there; None: not known.
    disarmed: tuple[DevdRule, ...] | None = ()
    #: Scripts and crontabs of others that act on the same; looked for where the node hook is not, or where the document
    #: keeps one. None: not known.
    rivals: tuple[Rival, ...] | None = ()
    #: Where devd looks for rules, by its devd.conf; None: not known.
    directories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Everything one probe of one node tells. Fields are readings: one odd answer spoils one field only."""

    node: str
    seen_at: float
    system: Reading[System]
    interfaces: Reading[Mapping[str, Interface]]
    #: Module name -> loaded (`carp`, `g_gate`, `zfs`).
    modules: Reading[Mapping[str, bool]]
    #: net.inet.carp.* without the prefix -> value; empty while the module is not loaded.
    carp_sysctls: Reading[Mapping[str, int]]
    #: netstat -s -p carp: counter text -> count; empty while the module is not loaded.
    carp_counters: Reading[Mapping[str, int]]
    #: Kernel log lines `carp: demoted by N to M (reason)`, oldest first: (N, M, reason).
    demotions: Reading[tuple[tuple[int, int, str], ...]]
    hastd: Reading[Hastd]
    #: hastctl list; empty when hastd does not run.
    resources: Reading[Mapping[str, HastResource]]
    #: hastctl dump, by resource name.
    metadata: Mapping[str, Reading[HastMetadata | NoMetadata]]
    #: Local devices of the document, by path.
    devices: Mapping[str, Reading[Device]]
    #: /dev/hast/NAME that exist, by resource name, with blankness when nothing is mounted from them.
    hast_devices: Mapping[str, Reading[Device]]
    mounts: Reading[tuple[Mount, ...]]
    pools: Reading[Mapping[str, Pool]]
    services: Mapping[str, Reading[Service]]
    boot: Reading[BootConfig]
    files: Mapping[str, Reading[File]]
    #: Free-form notes of the probe: a banner that was skipped, a query that timed out.
    notes: tuple[str, ...] = ()
    #: The last CARP state changes of the kernel log, oldest first: "80@vtnet1: BACKUP -> MASTER (master timed out)".
    carp_log: tuple[str, ...] = ()
    #: The node hook; Unknown when the probe could not read it.
    hook: Reading[HookFacts] = field(default_factory=lambda: Unknown("NotAsked", 0.0))
    #: Whether hastd connects as a primary.
    connects: Reading[Connects] = field(default_factory=lambda: Unknown("NotAsked", 0.0))
    #: Whether devd runs.
    devd: Reading[bool] = field(default_factory=lambda: Unknown("NotAsked", 0.0))
    #: Addresses on which hastd takes connections; `*`: all of a family.
    listening: Reading[frozenset[str]] = field(default_factory=lambda: Unknown("NotAsked", 0.0))
    #: Replication addresses of peers that a route of this node refuses.
    refused: Reading[frozenset[str]] = field(default_factory=lambda: Unknown("NotAsked", 0.0))
    #: Directory -> KiB that are free there.
    free: Reading[Mapping[str, int]] = field(default_factory=lambda: Unknown("NotAsked", 0.0))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of all nodes of a cluster at one moment."""

    taken_at: float
    nodes: Mapping[str, Reading[NodeFacts]] = field(default_factory=dict)
