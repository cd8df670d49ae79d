"""Rules about virtual IPs: vhids, interfaces, advskews and addresses. Table: `RULES`.

carp(4), ifconfig(8); docs/freebsd-facts.md#1.1 (limits), #1.2 (why advskews must differ and stay below 240), #1.7
(addresses). One vhid may carry IPv4 and IPv6 addresses (allowed, though each family has its own timer).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from itertools import combinations
from typing import TypeAlias

from hactl.core.changes.boot import mangle
from hactl.core.document.problems import Fault, FieldPath, shown
from hactl.core.document.rules.nodes import names_every_node, repeated
from hactl.core.objects import HACluster, VirtualIP

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPInterface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

#: CARP runs on Ethernet, VLAN, lagg and bridge; these never can (docs/freebsd-facts.md#1.1, "interface types").
_NO_CARP = re.compile(r"(lo|tun|wg|gif|gre|pflog|pfsync|enc|stf|ipsec|ovpn|usbus)[0-9]+")
_RESERVED_V4 = ipaddress.IPv4Network("240.0.0.0/4")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def virtual_ips(cluster: HACluster) -> Iterator[tuple[FieldPath, VirtualIP]]:
    """Every virtual IP with its path."""
    for group_index, group in enumerate(cluster.spec.groups):
        for index, vip in enumerate(group.virtual_ips):
            yield ("spec", "groups", group_index, "virtualIPs", index), vip


def parse_address(text: str) -> IPInterface | None:
    """An address with a prefix length written as a number; None for anything else."""
    address, slash, prefix = text.partition("/")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", prefix) or "%" in address:
        return None
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        return None


def numeric(text: str) -> IP | None:
    """An address without zone and prefix length; None for anything else."""
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def not_usable(address: IP) -> str | None:
    """Why no node can own this address on a shared network, or None."""
    if address.is_unspecified or (address.version == 4 and address in _THIS_NETWORK):
        return "is no address of a node"
    if address.is_multicast:
        return "is a multicast address"
    if address.is_loopback:
        return "is a loopback address"
    if address.version == 4 and address in _RESERVED_V4:
        return "is reserved"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return "is an IPv4 address written as IPv6"
    return None


def interfaces_of(cluster: HACluster, vip: VirtualIP) -> dict[str, str]:
    """The interface by node name, as far as the document says."""
    if vip.interfaces is not None:
        return dict(vip.interfaces)
    return {node.name: vip.interface for node in cluster.spec.nodes} if vip.interface is not None else {}


def _names(cluster: HACluster) -> Iterator[Fault]:
    for index, group in enumerate(cluster.spec.groups):
        base = ("spec", "groups", index, "virtualIPs")
        yield from repeated([((*base, at, "name"), vip.name) for at, vip in enumerate(group.virtual_ips)], "virtual IP")


def _interfaces(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in virtual_ips(cluster):
        if (vip.interface is None) == (vip.interfaces is None):
            what = "no interface is given" if vip.interface is None else "both interface and interfaces are given"
            yield Fault(path, what, "give interface (the same on every node) or interfaces (by node name)")
        elif vip.interfaces is not None:
            yield from names_every_node(cluster, (*path, "interfaces"), vip.interfaces, "interface")
        named: list[tuple[FieldPath, str]] = [((*path, "interface"), vip.interface)] if vip.interface else []
        named += [((*path, "interfaces", node), name) for node, name in (vip.interfaces or {}).items()]
        for where, name in named:
            if _NO_CARP.fullmatch(name):
                yield Fault(where, f"CARP does not run on {name}", "an Ethernet, VLAN, lagg or bridge interface")


def _spellings(cluster: HACluster) -> Iterator[Fault]:
    """rc.conf(5) spells `.` and `-` of an interface as `_`: two names may become one variable (network.subr)."""
    first: dict[tuple[str, str], str] = {}
    for path, vip in virtual_ips(cluster):
        for node, name in interfaces_of(cluster, vip).items():
            spelled = mangle(name)
            other = first.setdefault((node, spelled), name)
            if other != name:
                where = (*path, "interface") if vip.interface is not None else (*path, "interfaces", node)
                message = f"rc.conf spells {name} and {other} of {node} the same, ifconfig_{spelled}"
                yield Fault(where, message, "what one is given at boot the other would get: rename one")
                break


def _advskews(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in virtual_ips(cluster):
        if vip.advskews is None:
            continue
        base = (*path, "advskews")
        yield from names_every_node(cluster, base, vip.advskews, "advskew")
        first: dict[int, str] = {}
        for node, skew in vip.advskews.items():
            if skew in first:
                message = f"{skew} is also the advskew of {first[skew]}"
                yield Fault((*base, node), message, "equal nodes race for the address; give each its own")
            first.setdefault(skew, node)


def _vhids(cluster: HACluster) -> Iterator[Fault]:
    for (path, one), (other_path, other) in combinations(virtual_ips(cluster), 2):
        if one.vhid == other.vhid and (where := _same_segment(cluster, one, other)):
            message = f"vhid {other.vhid} is also that of {{other}}, {where}"
            fix = "a vhid is unique on a network segment: choose another"
            yield Fault((*other_path, "vhid"), message, fix, other=path)


def _same_segment(cluster: HACluster, one: VirtualIP, other: VirtualIP) -> str | None:
    """What proves that two virtual IPs are on the same segment; None: nothing does.

    A link-local network is on every segment, and an address may be on two of them: neither says anything.
    """
    theirs = interfaces_of(cluster, other)
    for node, interface in interfaces_of(cluster, one).items():
        if theirs.get(node) == interface:
            return f"on the same interface ({interface})"
    for a, b in _pairs(one, other):
        if a.network.overlaps(b.network) and a.ip != b.ip and not (a.is_link_local or b.is_link_local):
            return f"and {a.network} and {b.network} are the same network"
    return None


def _pairs(one: VirtualIP, other: VirtualIP) -> Iterator[tuple[IPInterface, IPInterface]]:
    """Pairs of understood addresses of the same family."""
    for text in one.addresses:
        for text_other in other.addresses:
            a, b = parse_address(text), parse_address(text_other)
            if a is not None and b is not None and a.version == b.version:
                yield a, b


def _address_forms(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in virtual_ips(cluster):
        for index, text in enumerate(vip.addresses):
            fault = _address_fault((*path, "addresses", index), text)
            if fault is not None:
                yield fault


def _address_fault(path: FieldPath, text: str) -> Fault | None:
    """What is wrong with one address of a virtual IP."""
    parsed = parse_address(text)
    if parsed is None:
        return Fault(path, f"{shown(text)} {_why_no_address(text)}", _address_advice(text))
    if wrong := not_usable(parsed.ip):
        return Fault(path, f"{parsed.ip} {wrong}", "use an address of the shared network")
    network = parsed.network
    if network.prefixlen == 0:
        return Fault(path, f"{text} says that the whole Internet is on this wire", "use the prefix of the network")
    if network.num_addresses > 2 and parsed.ip == network.network_address:
        what = "the network address" if parsed.version == 4 else "the subnet-router anycast address"
        return Fault(path, f"{parsed.ip} is {what} of {network}", "use an address inside the network")
    if parsed.version == 4 and network.num_addresses > 2 and parsed.ip == network.broadcast_address:
        return Fault(path, f"{parsed.ip} is the broadcast address of {network}", "use an address inside the network")
    return None


def _why_no_address(text: str) -> str:
    address, slash, prefix = text.partition("/")
    if "%" in address:
        return "has a zone"
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "is no IPv4 or IPv6 address"
    if not slash:
        return "has no prefix length"
    return "has a netmask, not a prefix length" if "." in prefix else "has a wrong prefix length"


def _address_advice(text: str) -> str:
    address, _, prefix = text.partition("/")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "write it like 192.0.2.80/24 or 2001:db8::80/64"
    try:
        length = ipaddress.ip_network(f"0.0.0.0/{prefix}").prefixlen if parsed.version == 4 and prefix else None
    except ValueError:
        length = None
    if length is not None:
        return f"write {parsed}/{length}"
    return f"write {parsed}/{24 if parsed.version == 4 else 64}, with the prefix length of the network"


def virtual_addresses(cluster: HACluster) -> Iterator[tuple[FieldPath, VirtualIP, IPInterface]]:
    """Every address of a virtual IP that is understood, with its path."""
    for path, vip in virtual_ips(cluster):
        for index, text in enumerate(vip.addresses):
            parsed = parse_address(text)
            if parsed is not None:
                yield (*path, "addresses", index), vip, parsed


def _addresses_differ(cluster: HACluster) -> Iterator[Fault]:
    """An address is once on an interface of a node; on another segment it may be again (in_control, ifaddr(4))."""
    first: dict[tuple[IP, str, str], FieldPath] = {}
    for path, vip, address in virtual_addresses(cluster):
        places = [(address.ip, node, interface) for node, interface in interfaces_of(cluster, vip).items()]
        taken = next((first[place] for place in places if place in first), None)
        if taken is not None:
            message = f"{address.ip} is there twice (first at {{other}})"
            yield Fault(path, message, "give each virtual IP of an interface its own address", other=taken)
        for place in places:
            first.setdefault(place, path)


def _networks_agree(cluster: HACluster) -> Iterator[Fault]:
    """Networks that overlap must be the same network on the same interface; /32 and /128 stand beside any."""
    known: list[tuple[FieldPath, VirtualIP, IPInterface]] = []
    for path, vip, address in virtual_addresses(cluster):
        if address.network.num_addresses == 1 or address.network.prefixlen == 0 or address.is_link_local:
            continue
        fault = next((fault for entry in known if (fault := _disagreement(cluster, path, vip, address, entry))), None)
        if fault is None:
            known.append((path, vip, address))
        else:
            yield fault


def _disagreement(
    cluster: HACluster,
    path: FieldPath,
    vip: VirtualIP,
    address: IPInterface,
    entry: tuple[FieldPath, VirtualIP, IPInterface],
) -> Fault | None:
    other_path, other_vip, other = entry
    if address.version != other.version or not address.network.overlaps(other.network):
        return None
    if address.ip == other.ip:
        return None
    if address.network != other.network:
        message = f"{address.network} overlaps {other.network} of {{other}}"
        return Fault(path, message, "write the same prefix length, that of the network", other=other_path)
    theirs = interfaces_of(cluster, other_vip)
    for node, interface in interfaces_of(cluster, vip).items():
        if node in theirs and theirs[node] != interface:
            message = f"{address.network} is on {interface} here and on {theirs[node]} at {{other}}"
            return Fault(path, message, "one network is on one interface of a node", other=other_path)
    return None


def _not_how_nodes_are_reached(cluster: HACluster) -> Iterator[Fault]:
    virtual = {address.ip: path for path, _, address in virtual_addresses(cluster)}
    for index, node in enumerate(cluster.spec.nodes):
        host = numeric(node.ssh.host)
        if host is not None and host in virtual:
            message = f"{host} is a virtual IP ({{other}}): it answers for whichever node is active"
            path = ("spec", "nodes", index, "ssh", "host")
            yield Fault(path, message, "use the node's own address", other=virtual[host])


RULES = (
    _names,
    _interfaces,
    _spellings,
    _vhids,
    _advskews,
    _address_forms,
    _addresses_differ,
    _networks_agree,
    _not_how_nodes_are_reached,
)
