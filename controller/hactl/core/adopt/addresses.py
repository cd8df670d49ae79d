"""The virtual IPs that the CARP entries of several nodes mean together, and where the nodes disagree.

Man page: carp(4). Facts: docs/freebsd-facts.md#1.1 (limits), #1.2 (elections).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hactl.core.adopt.finding import Finding, Place, note
from hactl.core.adopt.node import CarpEntry, IPInterface, Node, network_on
from hactl.core.document.rules.check import MAX_PASSWORD_CHARACTERS, password_problem
from hactl.core.evidence.carp import advskew_ladder
from hactl.core.objects import MAX_ADVSKEW

_MAX_VHID = 255
_GUESSED_LENGTH = {4: 24, 6: 64}


@dataclass(frozen=True, slots=True)
class Vhid:
    """One vhid of one node, with all its addresses."""

    interface: str
    number: int
    entries: tuple[CarpEntry, ...]

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.entries[0].place

    @property
    def ips(self) -> list[str]:
        """Its addresses, without length."""
        return [entry.alias.ip for entry in self.entries]

    @property
    def advskew(self) -> int | None:
        """As said last; None: by no entry."""
        return next((e.alias.advskew for e in reversed(self.entries) if e.alias.advskew is not None), None)

    @property
    def advbase(self) -> int:
        """As said last, or carp(4)'s own."""
        return next((e.alias.advbase for e in reversed(self.entries) if e.alias.advbase is not None), 1)

    @property
    def password(self) -> str | None:
        """As said last; None: by no entry."""
        return next((e.alias.key for e in reversed(self.entries) if e.alias.key is not None), None)


@dataclass(slots=True)
class VirtualIP:
    """What is one virtual IP on all nodes."""

    #: By the number of the node.
    on: dict[int, Vhid]
    name: str = ""
    addresses: list[str] = field(default_factory=list)
    #: Numbers of the nodes, the one with the best advskew first.
    order: list[int] = field(default_factory=list)
    advskews: dict[int, int] = field(default_factory=dict)
    password: str | None = None
    #: It has one that no document can say, and that works.
    keeps_password: bool = False

    @property
    def first(self) -> Vhid:
        """That of the first node that has it: what the document says where the nodes disagree."""
        return self.on[min(self.on)]


def virtual_ips(nodes: Sequence[Node], names: Sequence[str]) -> tuple[list[VirtualIP], list[Finding]]:
    """The virtual IPs in the order of the files, and what is wrong with them between the nodes."""
    found: list[VirtualIP] = []
    for number, node in enumerate(nodes):
        _match(found, number, _vhids(node))
    findings: list[Finding] = []
    for vip in found:
        vip.name = _name(vip, found)
        findings += _addresses(vip, nodes, names)
        findings += _disagreements(vip, names)
        findings += _advskews(vip, names)
        findings += _passwords(vip, names, running=any(node.running for node in nodes))
    return found, findings


def _vhids(node: Node) -> list[Vhid]:
    found: dict[tuple[str, int], list[CarpEntry]] = {}
    for entry in node.entries:
        if entry.alias.ip:
            found.setdefault((entry.alias.interface, entry.alias.vhid), []).append(entry)
    return [Vhid(interface, vhid, tuple(entries)) for (interface, vhid), entries in found.items()]


def _match(found: list[VirtualIP], number: int, vhids: list[Vhid]) -> None:
    """Put each vhid of a node to the virtual IP of the others that it is most like; else it is one of its own."""
    scores = [
        (-score, at, index)
        for index, vhid in enumerate(vhids)
        for at, vip in enumerate(found)
        if (score := _alike(vip, vhid))
    ]
    taken: set[int] = set()
    for _, at, index in sorted(scores):
        if number not in found[at].on and index not in taken:
            found[at].on[number] = vhids[index]
            taken.add(index)
    found += [VirtualIP({number: vhid}) for index, vhid in enumerate(vhids) if index not in taken]


def _alike(vip: VirtualIP, vhid: Vhid) -> int:
    """0: these are two; else the more, the likelier it is that they are one."""
    best = 0
    for other in vip.on.values():
        address = bool(set(other.ips) & set(vhid.ips))
        interface, number = other.interface == vhid.interface, other.number == vhid.number
        if address or (interface and number):
            best = max(best, 1 + 4 * address + 2 * interface + number)
    return best


def _name(vip: VirtualIP, all_of_them: list[VirtualIP]) -> str:
    number = vip.first.number
    if sum(other.first.number == number for other in all_of_them) == 1:
        return f"vhid-{number}"
    return f"vhid-{number}-{re.sub(r'[^a-z0-9]+', '-', vip.first.interface.lower()).strip('-')}"


def _addresses(vip: VirtualIP, nodes: Sequence[Node], names: Sequence[str]) -> Iterator[Finding]:
    """Fill in the addresses with the prefix length of the document."""
    lengths: dict[str, int] = {}
    places: dict[str, Place] = {}
    for vhid in vip.on.values():
        for entry in vhid.entries:
            alias = entry.alias
            places.setdefault(alias.ip, entry.place)
            if alias.prefix_length is None:
                continue
            first = lengths.setdefault(alias.ip, alias.prefix_length)
            if first != alias.prefix_length:
                message = f"{alias.ip} has /{alias.prefix_length} here and /{first} elsewhere ({places[alias.ip]})"
                yield Finding(entry.place, message, f"the document has /{first}")
    for ip, place in places.items():
        if ip not in lengths:
            near = _network(vip, nodes, ip)
            lengths[ip] = near.network.prefixlen if near else _GUESSED_LENGTH[ipaddress.ip_address(ip).version]
            if near is None:
                message = f"no interface has an address in the network of {ip}"
                yield note(place, message, f"the document guesses /{lengths[ip]}: write that of the network")
        for number, vhid in vip.on.items():
            if ip not in vhid.ips:
                message = f"{names[number]} does not have {ip} on vhid {vhid.number} ({place} does)"
                yield Finding(vhid.place, message, "the document gives it to every node")
        for number, node in enumerate(nodes):
            if any(str(own.ip) == ip for own in node.addresses):
                message = f"{ip} is also an address of {names[number]}'s own"
                yield Finding(place, message, "a virtual IP is an address that no node has besides")
    vip.addresses = [f"{ip}/{length}" for ip, length in lengths.items()]


def _network(vip: VirtualIP, nodes: Sequence[Node], ip: str) -> IPInterface | None:
    """The address of a node's own that is in the same network."""
    own = (network_on(nodes[number], vhid.interface, ip) for number, vhid in vip.on.items())
    return next((address for address in own if address is not None), None)


def _disagreements(vip: VirtualIP, names: Sequence[str]) -> Iterator[Finding]:
    first, where = vip.first, names[min(vip.on)]
    for _, vhid in sorted(vip.on.items()):
        if vhid.number != first.number:
            yield Finding(
                vhid.place,
                f"{vhid.ips[0]} is on vhid {vhid.number} here and on vhid {first.number} on {where} ({first.place}): "
                "two vhids never fail over to each other, and both nodes would have the address at once",
                f"the document has vhid {first.number} on both",
            )
        if vhid.advbase != first.advbase:
            message = f"advbase is {vhid.advbase} here and {first.advbase} on {where} ({first.place})"
            yield Finding(vhid.place, message, f"the document has advbase {first.advbase}")
    for number in sorted(set(range(len(names))) - set(vip.on)):
        message = f"vhid {first.number} is on {where} only, so there is no {names[number]} to fail over to"
        yield Finding(first.place, message, f"the document has it on {names[number]} too, on {first.interface}")
    if not 1 <= first.number <= _MAX_VHID:
        message = f"no vhid: it is a number from 1 to {_MAX_VHID}"
        yield Finding(first.place, message, "without it no document is valid")


def _advskews(vip: VirtualIP, names: Sequence[str]) -> Iterator[Finding]:
    """Fill in the order of the nodes, and the advskews where hactl would choose others."""
    said = {number: vhid.advskew for number, vhid in sorted(vip.on.items())}
    skews = {number: said.get(number) or 0 for number in range(len(names))}
    vip.order = sorted(skews, key=lambda number: (number not in said, skews[number], number))
    ladder = {number: advskew_ladder([str(n) for n in vip.order])[str(number)] for number in vip.order}
    if len(said) < 2:
        return
    if len({skews[number] for number in said}) < len(said):
        one, *_, other = sorted(said)
        what = "nothing sets advskew" if said[one] is said[other] is None else f"advskew is {skews[other]}"
        yield Finding(
            vip.on[other].place,
            f"{what} here and on {names[one]} ({vip.on[one].place}): equal nodes race for the address, and which one "
            "has it is chance",
            f"the document prefers {names[vip.order[0]]}: advskew {', '.join(str(v) for v in ladder.values())}",
        )
    elif max(skews.values()) > MAX_ADVSKEW:
        worst = max(said, key=skews.__getitem__)
        message = f"advskew {skews[worst]} is more than a demoted node has: from {MAX_ADVSKEW + 1} on nodes tie"
        yield Finding(vip.on[worst].place, message, f"the document has {ladder[worst]}")
    elif skews != ladder and len(said) == len(names):
        vip.advskews = skews


def _passwords(vip: VirtualIP, names: Sequence[str], *, running: bool) -> Iterator[Finding]:
    """Fill in the password, if it is one that hactl can use; what is said of it never has it."""
    first, where = vip.first, names[min(vip.on)]
    vip.password = first.password
    for vhid in vip.on.values():
        if vhid.password != first.password:
            message = f"the password of vhid {vhid.number} is not that of {where} ({first.place})"
            fix = "nodes with different passwords do not hear each other; the document has that of the first"
            yield Finding(vhid.place, message, fix)
    if first.password is None:
        message = f"vhid {first.number} has no password: anybody on the network can take its addresses"
        yield note(first.place, message, "add passwordFrom to the document")
        return
    if len(first.password) == MAX_PASSWORD_CHARACTERS:
        message = f"ifconfig(8) uses the first {MAX_PASSWORD_CHARACTERS} characters of a password"
        yield note(first.place, message, "the secret has no more than these")
    problem = password_problem(first.password)
    if problem is not None:
        vip.password = None
        if running:
            vip.keeps_password = True
            fix = "the document does not name it, so the vhid keeps the one that it has; passwordFrom changes it"
            yield note(first.place, problem, fix)
        else:
            yield Finding(first.place, problem, "put another one into the file that passwordFrom names")
