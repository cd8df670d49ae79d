"""One node as its files describe it: name, interfaces with addresses of its own, CARP, modules, hastd, mounts.

Man pages: rc.conf(5), loader.conf(5), sysctl.conf(5), fstab(5), ifconfig(8), carp(4).
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from hactl.core.adopt.finding import Finding, Place, note
from hactl.core.adopt.hast import HastFile, read_hast
from hactl.core.adopt.running import POOLS, RIVALS, ROLES, SERVICES, Running
from hactl.core.adopt.shell import Assignment, read_assignments
from hactl.core.changes.boot import mangle
from hactl.core.facts import Interface, RcAlias
from hactl.core.parse.ifconfig import parse_ifconfig
from hactl.core.parse.rc import (
    address_groups,
    carp_aliases,
    checkyesno,
    counts,
    each_of_a_range,
    parse_loader_line,
    parse_sysctl_conf_line,
)
from hactl.core.parse.text import NotUnderstood, mask_length

IPInterface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

#: Answers of a running node that stand among its files.
IFCONFIG, MOUNTS, RUNNING_SYSCTL = "ifconfig -k", "mount -p", "sysctl net.inet.carp.preempt"
_PREEMPT = "net.inet.carp.preempt"
_IFCONFIG = re.compile(r"ifconfig_([A-Za-z0-9_]+?)(_ipv6|_aliases|_alias[0-9]+[A-Za-z0-9_]*)?", re.ASCII)
_IPV4_ADDRS = re.compile(r"ipv4_addrs_([A-Za-z0-9_]+)", re.ASCII)
#: Variables of an interface that are no addresses.
_NO_ADDRESSES = re.compile(r".*_(name|descr|vlan|fib)", re.ASCII)
#: An interface that carp(4) of FreeBSD 9 and before made for each address.
_OLD_CARP = re.compile(r"carp[0-9]+", re.ASCII)
#: A VLAN as rc.conf spells it: em0_100 is em0.100.
_VLAN = re.compile(r"([a-z]+[0-9]+)_([0-9]{1,4})", re.ASCII)
_HAST_DEVICE = re.compile(r"/dev/hast/(\S+)")
#: More lines than that one file of a node does not have.
_MAX_LINES = 20_000


@dataclass(frozen=True, slots=True)
class NodeFile:
    """One file of a node, as somebody named it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class CarpEntry:
    """One address on a vhid, with its line. The password is in `alias.key`, as it stands there."""

    alias: RcAlias
    place: Place


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of fstab(5) about a replicated device."""

    point: str
    kind: str
    options: tuple[str, ...]
    place: Place


@dataclass(slots=True)
class Node:
    """What the files of one node say."""

    files: tuple[NodeFile, ...]
    variables: dict[str, Assignment] = field(default_factory=dict)
    #: Interface -> addresses of its own.
    own: dict[str, list[IPInterface]] = field(default_factory=dict)
    entries: list[CarpEntry] = field(default_factory=list)
    hast: HastFile | None = None
    #: Resource -> where it is mounted.
    mounts: dict[str, Mount] = field(default_factory=dict)
    #: Interfaces as they are, where the node itself was asked; and what else it answered.
    running: dict[str, Interface] = field(default_factory=dict)
    answers: Running = field(default_factory=Running)
    carp_at_boot: bool = False
    preempt: tuple[str, Place] | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def hostname(self) -> str:
        """As rc.conf has it; empty: it does not say."""
        return self.value("hostname")

    @property
    def addresses(self) -> list[IPInterface]:
        """Every address of its own, the interfaces in the order of the files."""
        return [address for addresses in self.own.values() for address in addresses]

    @property
    def place(self) -> Place:
        """Where one would write what is missing: its rc.conf, else its first file."""
        kinds = [(kind_of(file.name, file.text) != "rc.conf", number) for number, file in enumerate(self.files)]
        return Place(self.files[min(kinds)[1]].name, 1) if kinds else Place("no file")

    def value(self, name: str) -> str:
        """Of a variable of rc.conf; empty: it is not set."""
        return self.variables[name].value if name in self.variables else ""

    def says(self, words: str) -> bool:
        """Whether any of its files has these words."""
        return any(words in file.text for file in self.files)


def read_node(files: tuple[NodeFile, ...]) -> Node:
    """Read the files of a node in the order given; a later one wins, as with rc(8)."""
    node = Node(files)
    for file in files:
        text = file.text.replace("\0", "")
        if len(text) != len(file.text):
            node.findings.append(Finding(Place(file.name), "there are NUL bytes in it", "compare it with a backup"))
        if text.count("\n") > _MAX_LINES:
            node.findings.append(Finding(Place(file.name), "this is too long for a file of a node", "it is not read"))
        else:
            _read(node, file.name, text)
    _interfaces(node)
    return node


def kind_of(name: str, text: str) -> str:
    """Which file it is: by its name, else by what stands in it."""
    base = posixpath.basename(name)
    for kind in (IFCONFIG, MOUNTS, RUNNING_SYSCTL, ROLES, POOLS, SERVICES, RIVALS):
        if name.endswith(f":{kind}"):
            return kind
    if base == "devd.conf" or re.search(r"/devd/[^/]+\.conf$", name):
        return "devd.conf"
    for kind in ("hast.conf", "loader.conf", "sysctl.conf", "fstab", "rc.conf"):
        if kind in base:
            return kind
    return "hast.conf" if re.search(r"^\s*resource\s+\S+\s*\{", text, re.MULTILINE) else "rc.conf"


def _read(node: Node, name: str, text: str) -> None:
    kind = kind_of(name, text)
    if kind == "hast.conf":
        node.hast, findings = read_hast(name, text)
        node.findings += findings
    elif kind == IFCONFIG:
        try:
            node.running = parse_ifconfig(text, str)
        except NotUnderstood as why:
            node.findings.append(
                note(Place(name), f"what ifconfig prints is not understood: {why}", "files alone count")
            )
    elif kind == "devd.conf":
        node.answers.devd[name] = text
    elif kind in (ROLES, POOLS, SERVICES, RIVALS):
        try:
            node.answers.read(kind, text)
        except ValueError as why:
            node.findings.append(note(Place(name), f"this answer is not understood: {why}", "it is not used"))
    elif kind == "rc.conf":
        assigned, findings = read_assignments(name, text, node.variables)
        # What stands in rc.conf.d for another script than the one that acts on it is nothing.
        node.variables = {**node.variables, **{v: each for v, each in assigned.items() if counts(v, each.place.file)}}
        node.findings += findings
    else:
        for number, line in enumerate(text.splitlines(), 1):
            _line(node, kind, line, Place(name, number))


def _line(node: Node, kind: str, line: str, place: Place) -> None:
    if kind == "loader.conf":
        loaded = parse_loader_line(line, "carp_load")
        node.carp_at_boot = checkyesno(loaded) if loaded is not None else node.carp_at_boot
    elif kind in ("sysctl.conf", RUNNING_SYSCTL):
        pair = parse_sysctl_conf_line(line)
        node.preempt = (pair[1], place) if pair is not None and pair[0] == _PREEMPT else node.preempt
    else:
        words = line.partition("#")[0].split()
        if kind == MOUNTS and len(words) >= 4 and words[2] == "zfs":
            node.answers.datasets[words[0]] = words[1]
        if len(words) >= 4 and (device := _HAST_DEVICE.fullmatch(words[0])):
            node.mounts[device[1]] = Mount(words[1], words[2], tuple(words[3].split(",")), place)


def _interfaces(node: Node) -> None:
    """Addresses and CARP entries of all interfaces that the variables name."""
    modules = {word.rsplit("/", 1)[-1].removesuffix(".ko") for word in node.value("kld_list").split()}
    node.carp_at_boot = node.carp_at_boot or "carp" in modules
    if "carp_load" in node.variables:
        place = node.variables["carp_load"].place
        node.findings.append(
            Finding(place, "carp_load is a variable of /boot/loader.conf, rc(8) does nothing with it",
                    "hactl adds carp to kld_list")
        )  # fmt: skip
    names = _names(node.variables, node.running)
    for name in names:
        spelled = f"ifconfig_{mangle(name)}"
        own = [v for v in node.variables if v == spelled or (v.startswith(f"{spelled}_") and _IFCONFIG.fullmatch(v))]
        values = [node.variables[v].value for v in own]
        # Each word of it is an address or a range of them (rc.conf(5)).
        values += [f"inet {word}" for word in node.value(f"ipv4_addrs_{mangle(name)}").split()]
        node.own[name] = [address for value in values for address in _addresses(value)]
    said = {name: assignment.value for name, assignment in node.variables.items()}
    aliases = carp_aliases(said, names, {}, str)
    node.entries = [CarpEntry(alias, node.variables[alias.variable].place) for alias in aliases.entries]
    for interface, variable in aliases.scan_stops.items():
        place = node.variables[variable].place
        message = f"{variable} is empty, and rc.d/netif takes no further alias of {interface}"
        node.findings.append(Finding(place, message, "hactl takes it out"))
    node.entries = [_on_a_real_interface(node, entry) for entry in node.entries]
    _without_interface(node)
    _what_runs(node)


def _without_interface(node: Node) -> None:
    """Leave out what brings nothing up, where the node itself says which interfaces it has."""
    for entry in node.entries if node.running else ():
        if entry.alias.interface not in node.running:
            message = f"{entry.alias.variable} is for {entry.alias.interface}, an interface that the node does not have"
            node.findings.append(note(entry.place, message, "the document leaves it out, and the line stays"))
    if node.running:
        node.entries = [entry for entry in node.entries if entry.alias.interface in node.running]


def _what_runs(node: Node) -> None:
    """Addresses that are there and no file brings up."""
    place = next((Place(file.name) for file in node.files if kind_of(file.name, file.text) == IFCONFIG), node.place)
    said = {(entry.alias.interface, entry.alias.vhid, entry.alias.ip) for entry in node.entries}
    for name, interface in node.running.items():
        own = node.own.setdefault(name, [])
        for address in interface.addresses:
            ip = ipaddress.ip_interface(f"{address.ip}/{address.prefix_length}")
            if (
                address.vhid is None
                and ip.ip not in [each.ip for each in own]
                and not (ip.is_loopback or ip.is_link_local)
            ):
                own.append(ip)
            if address.vhid is None or (name, address.vhid, address.ip) in said:
                continue
            vhid = next((each for each in interface.vhids if each.vhid == address.vhid), None)
            message = f"{address.ip} is on vhid {address.vhid} of {name} now, and no file brings it up at boot"
            node.findings.append(Finding(place, message, "the document has it, and hactl writes it for the next boot"))
            alias = RcAlias(
                "", name, "inet6" if ip.version == 6 else "inet", address.ip, address.prefix_length, address.vhid,
                vhid.advbase if vhid else None, vhid.advskew if vhid else None, vhid.key if vhid else None,
            )  # fmt: skip
            node.entries.append(CarpEntry(alias, place))


def _names(variables: Mapping[str, Assignment], running: Collection[str]) -> list[str]:
    """Interfaces, as far as rc.conf names them: it spells `.` and `-` of a name as `_`."""
    exact = {mangle(name): name for name in (*_exact_names(variables), *running)}
    found: dict[str, None] = {}
    for variable in variables:
        match = _IFCONFIG.fullmatch(variable) or _IPV4_ADDRS.fullmatch(variable)
        if match is None or _NO_ADDRESSES.fullmatch(variable) or match[1] == "DEFAULT":
            continue
        vlan = _VLAN.fullmatch(match[1])
        found[exact.get(match[1], f"{vlan[1]}.{vlan[2]}" if vlan else match[1])] = None
    return list(found)


def _exact_names(variables: Mapping[str, Assignment]) -> Iterator[str]:
    for name, assignment in variables.items():
        words = assignment.value.split()
        if name in ("cloned_interfaces", "network_interfaces"):
            yield from words
        elif name.startswith("vlans_"):
            yield from (f"{name.removeprefix('vlans_')}.{word}" if word.isdecimal() else word for word in words)
        elif name.startswith("ifconfig_") and name.endswith("_name"):
            yield from words


def _addresses(value: str) -> Iterator[IPInterface]:
    """Addresses of a variable that are on no vhid."""
    for words in (each for group in address_groups(value) for each in each_of_a_range(group)):
        if words[0] not in ("inet", "inet6") or "vhid" in words:
            continue
        ip, length = "", ""
        for word, after in zip(words[1:], [*words[2:], ""], strict=False):
            if word == "netmask":
                length = _length(after)
            elif word == "prefixlen":
                length = after
            elif not ip and _is_address(word):
                ip = word.partition("%")[0]
        bare, slash, prefix = ip.partition("/")
        text = f"{bare}/{prefix if slash else length}" if slash or length else bare
        try:
            yield ipaddress.ip_interface(text)
        except ValueError:
            continue


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word.partition("/")[0])
    except ValueError:
        return False
    return True


def _length(mask: str) -> str:
    try:
        return str(mask_length(mask))
    except NotUnderstood:
        return ""


def _on_a_real_interface(node: Node, entry: CarpEntry) -> CarpEntry:
    """A vhid of a carpN interface, on the interface that has the network of its address."""
    alias = entry.alias
    if not _OLD_CARP.fullmatch(alias.interface):
        return entry
    near = next((name for name, addresses in node.own.items() if _network_of(addresses, alias.ip)), "")
    message = f"{alias.interface} is an interface of FreeBSD 9 and before; since 10 a vhid is on the network interface"
    where = f"the document has it on {near}, which has its network" if near else "say which interface it is"
    node.findings.append(Finding(entry.place, message, where))
    return replace(entry, alias=replace(alias, interface=near)) if near else entry


def _network_of(addresses: list[IPInterface], ip: str) -> IPInterface | None:
    """The address whose network has this one."""
    return next((own for own in addresses if ip and ipaddress.ip_address(ip) in own.network), None)


def network_on(node: Node, interface: str, ip: str) -> IPInterface | None:
    """The address of the node's own on that interface whose network has this one."""
    return _network_of(node.own.get(interface, []), ip)


def carp_words(node: Node) -> Iterator[Finding]:
    """What is wrong with the CARP entries of one node, each by itself."""
    for entry in node.entries:
        alias, place = entry.alias, entry.place
        if not alias.ip:
            message = f"vhid {alias.vhid} has no address here, so there is nothing that could move"
            yield Finding(place, message, "write inet ADDRESS/LENGTH vhid N; the document leaves it out")
            continue
        if alias.prefix_length is None:
            yield Finding(
                place,
                f"{alias.ip} has no prefix length, and ifconfig(8) guesses one from the address's old class",
                "the document has that of the network of the interface",
            )
        if alias.variable and _vhid_first(node.value(alias.variable), alias.ip):
            between = " and `alias` between them" if "alias" in node.value(alias.variable).split() else ""
            yield note(
                place,
                f"vhid stands before the address {alias.ip}{between}; ifconfig(8) takes the address first, then vhid "
                "and its words, and rc.d/netif adds `alias` itself",
                f'hactl writes "{alias.family} {alias.ip}/LENGTH vhid {alias.vhid} advbase N advskew N pass ..."',
            )
        if alias.options:
            said = f"{alias.variable} also says {', '.join(alias.options)}, which is not about the vhid"
            yield note(place, said, f"put that into ifconfig_{mangle(alias.interface)}")
        if alias.unknown_words:
            said = f"{alias.variable} also says {', '.join(alias.unknown_words)}"
            yield note(place, said, "the document cannot say that")


def _vhid_first(value: str, ip: str) -> bool:
    """Whether the entry of that address has its vhid before it."""
    for words in address_groups(value):
        at = next((n for n, word in enumerate(words) if word.split("/")[0] == ip), 0)
        if "vhid" in words[:at]:
            return True
    return False


def boot_findings(node: Node) -> Iterator[Finding]:
    """What the next boot of the node leaves out."""
    if node.entries:
        place = node.entries[0].place
        if not node.carp_at_boot:
            message = "no file loads the carp module at boot, so ifconfig refuses vhid"
            yield Finding(place, message, 'hactl writes kld_list="carp"')
        if node.preempt is None:
            message = (
                f"no preemption is chosen ({_PREEMPT} in sysctl.conf): a better node does not take its addresses "
                "back, and after half a failure they are on different nodes"
            )
            yield Finding(place, message, "the document has carp.preempt: true")
    flags = node.variables.get("hastd_flags")
    if flags is not None and "-c" in flags.value.split():
        message = (
            f'hastd_flags="{flags.value}": hastd may read another file than /etc/hast.conf, which is what is read here'
        )
        yield Finding(flags.place, message, "put what that file says into /etc/hast.conf, and take -c out")
    if node.hast is not None and node.hast.resources and not checkyesno(node.value("hastd_enable")):
        place = node.variables["hastd_enable"].place if "hastd_enable" in node.variables else node.place
        yield Finding(place, "hastd does not start at boot", 'hactl writes hastd_enable="YES"')
