"""A generated pair: for each node its files and what runs there, and what no document can take over silently."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

#: Characters of a CARP password that the kernel keeps (CARP_KEY_LEN, netinet/ip_carp.h).
KEPT_OF_A_PASSWORD = 19


@dataclass
class Vhid:
    """One vhid as the kernel has it."""

    number: int
    advbase: int
    advskew: int
    password: str | None
    state: str
    #: With prefix length.
    addresses: list[str]


@dataclass
class Port:
    """One interface as the kernel has it."""

    name: str
    #: Addresses of its own, with prefix length.
    own: list[str]
    mtu: int = 1500
    groups: list[str] = field(default_factory=list)
    vhids: dict[int, Vhid] = field(default_factory=dict)


@dataclass
class Resource:
    """One resource as hastd has it."""

    name: str
    called: str
    device: str
    remote: str
    role: str
    replication: str
    mountpoint: str = ""
    source: str = ""


@dataclass
class Machine:
    """One node."""

    name: str
    number: int
    files: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    preempt: int = 1
    resources: dict[str, Resource] = field(default_factory=dict)
    #: The service that the owner's scripts start, if it runs here.
    services: list[str] = field(default_factory=list)


@dataclass
class Pair:
    """Two nodes that serve."""

    seed: int
    machines: list[Machine]
    #: Styles that were drawn, for a person who reads of a failure.
    drawn: list[str] = field(default_factory=list)
    #: File that waits for an answer (`NotInDocument` names it), on both nodes; as spec.keep would call it.
    waiting: set[str] = field(default_factory=set)
    #: Reasons of holds that a pair of this kind has as long as its owner keeps what he has.
    held: set[str] = field(default_factory=set)
    #: Steps that a sound pair of this kind still needs on each node: verb and target.
    missing: set[tuple[str, str]] = field(default_factory=set)

    def __str__(self) -> str:
        """Everything needed to see it: the seed, what was drawn, the files."""
        lines = [f"seed {self.seed}: {', '.join(self.drawn)}"]
        for machine in self.machines:
            for path, text in machine.files.items():
                lines += [f"--- {machine.name}:{path}", text.rstrip("\n")]
        return "\n".join(lines)


def shown_ifconfig(machine: Machine) -> str:
    """`ifconfig -k` (format: recordings of 13.2)."""
    lines = []
    for number, port in enumerate(machine.ports.values(), 1):
        lines += [
            f"{port.name}: flags=8943<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST> metric 0 mtu {port.mtu}",
            f"\tether 52:54:00:00:{number:02x}:{machine.number:02x}",
        ]
        lines += [_address(cidr, number) for cidr in port.own]
        for vhid in port.vhids.values():
            lines += [f"{_address(cidr, number)} vhid {vhid.number}" for cidr in vhid.addresses]
        for vhid in port.vhids.values():
            key = f' key "{vhid.password[:KEPT_OF_A_PASSWORD]}"' if vhid.password is not None else ""
            said = f"vhid {vhid.number} advbase {vhid.advbase} advskew {vhid.advskew}"
            lines.append(f"\tcarp: {vhid.state} {said}{key}")
        lines += [f"\tgroups: {' '.join(port.groups)}"] if port.groups else []
        lines.append("\tstatus: active")
    return "\n".join(lines) + "\n"


def _address(cidr: str, number: int) -> str:
    ip = ipaddress.ip_interface(cidr)
    if isinstance(ip, ipaddress.IPv4Interface):
        mask = int(ip.netmask)
        return f"\tinet {ip.ip} netmask {mask:#010x} broadcast {ip.network.broadcast_address}"
    scope = f" scopeid {number:#x}" if ip.is_link_local else ""
    return f"\tinet6 {ip.ip}{f'%if{number}' if scope else ''} prefixlen {ip.network.prefixlen}{scope}"


NEWLINE = "\n"


def shown_list(machine: Machine) -> str:
    """`hastctl list`."""
    blocks = [
        f"""\
{r.name}:
  role: {r.role}
  provname: {r.called}
  localpath: {r.device}
  extentsize: 2097152 (2.0MB)
  keepdirty: {64 if r.role == "primary" else 0}
  remoteaddr: {r.remote}
{f"  sourceaddr: {r.source}{NEWLINE}" if r.source else ""}  replication: {r.replication}
  status: complete
  workerpid: {1500 + at}
  dirty: 0 (0B)
  statistics:
    reads: 1
    writes: 8
    deletes: 0
    flushes: 0
    activemap updates: 4
    local errors: read: 0, write: 0, delete: 0, flush: 0
    queues: local: 0, send: 0, recv: 0, done: 0, idle: 255
"""
        if r.role != "init"
        else f"""\
{r.name}:
  role: init
  provname: {r.called}
  localpath: {r.device}
  extentsize: 0 (0B)
  keepdirty: 0
  remoteaddr: {r.remote}
{f"  sourceaddr: {r.source}{NEWLINE}" if r.source else ""}  replication: {r.replication}
  dirty: 0 (0B)
"""
        for at, r in enumerate(machine.resources.values())
    ]
    return "".join(blocks)


def shown_dump(resource: Resource) -> str:
    """`hastctl dump`."""
    return f"""\
resource: {resource.name}
    datasize: 134213120 (128MB)
    extentsize: 2097152 (2.0MB)
    keepdirty: 64
    localoff: 4608
    resuid: 7002664860023442459
    localcnt: 0
    remotecnt: 0
    prevrole: {"primary" if resource.role == "primary" else "secondary"}
"""


def shown_mounts(machine: Machine, *, fstab: bool = False) -> str:
    """mount(8), or with `fstab` what `mount -p` prints."""
    mounts = [("/dev/vtbd0p2", "/", ["local"])]
    mounts += [
        (f"/dev/hast/{r.called}", r.mountpoint, ["local", "noatime", "soft-updates"])
        for r in machine.resources.values()
        if r.mountpoint and r.role == "primary"
    ]
    if fstab:
        return "".join(
            f"{special}\t{node}\tufs\trw{''.join(f',{o}' for o in options if o == 'noatime')} 1 1\n"
            for special, node, options in mounts
        )
    return "".join(f"{special} on {node} (ufs, {', '.join(options)})\n" for special, node, options in mounts)
