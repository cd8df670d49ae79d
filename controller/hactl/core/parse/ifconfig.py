"""`ifconfig -k`: interfaces, addresses, vhids. Formats of 13.2, 14.x (a `peer` line) and 15.x (`vrrp:` lines).

Rules: a line that looks like CARP's and is not understood spoils the whole reading, so that no vhid is ever
overlooked; lines of other kinds may be new to us. Keys are fingerprinted here and go no further.
Man pages: ifconfig(8), carp(4). Sources: sbin/ifconfig/{ifconfig,carp,af_inet,af_inet6}.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from hactl.core.facts import Address, CarpState, Interface, Vhid
from hactl.core.parse.text import NotUnderstood, ip_address, mask_length, number

_HEADER = re.compile(
    r"([A-Za-z0-9_][^\s:]{0,30}): flags=[0-9a-f]+<([^<>]*)>(?: metric [0-9]+)?(?: mtu ([0-9]{1,9}))?.*", re.ASCII
)
_CARP = re.compile(
    r'carp: (INIT|BACKUP|MASTER) vhid ([0-9]{1,3}) advbase ([0-9]{1,3}) advskew ([0-9]{1,3})(?: key "(.*)")?', re.ASCII
)
_PEER = re.compile(r"peer (\S+) peer6 (\S+)")
_VRRP = re.compile(r"vrrp: (\w+) vrid ([0-9]{1,3}) prio ([0-9]{1,3}) interval ([0-9]{1,5})", re.ASCII)


@dataclass(slots=True)
class _Draft:
    name: str
    flags: frozenset[str]
    mtu: int
    ether: str | None = None
    status: str | None = None
    media: str | None = None
    groups: frozenset[str] = frozenset()
    addresses: list[Address] = field(default_factory=list)
    vhids: list[Vhid] = field(default_factory=list)
    vrids: list[int] = field(default_factory=list)
    #: The line before was a carp line: a peer line may follow.
    after_carp: bool = False

    def finish(self) -> Interface:
        return Interface(
            name=self.name,
            flags=self.flags,
            mtu=self.mtu,
            ether=self.ether,
            status=self.status,
            addresses=tuple(self.addresses),
            vhids=tuple(self.vhids),
            media=self.media,
            groups=self.groups,
            vrids=tuple(self.vrids),
        )


def parse_ifconfig(text: str, fingerprint: Callable[[str], str]) -> dict[str, Interface]:
    """Interfaces by name, in ifconfig's order. `fingerprint` turns a key into what is kept of it.

    Raises NotUnderstood when the structure does not hold or a line of CARP's is not understood.
    """
    drafts: dict[str, _Draft] = {}
    draft: _Draft | None = None
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        if not line[0].isspace():
            match = _HEADER.fullmatch(line)
            if match is None or match[1] in drafts:
                raise NotUnderstood("a line that is neither an interface's first nor belongs to one")
            draft = _Draft(match[1], frozenset(filter(None, match[2].split(","))), int(match[3] or 0))
            drafts[draft.name] = draft
        elif draft is None:
            raise NotUnderstood("a line before the first interface")
        else:
            _line(draft, line.strip(), fingerprint)
    return {name: draft.finish() for name, draft in drafts.items()}


def _line(draft: _Draft, line: str, fingerprint: Callable[[str], str]) -> None:
    word, _, rest = line.partition(" ")
    after_carp, draft.after_carp = draft.after_carp, False
    if word in ("inet", "inet6"):
        draft.addresses.append(_address(word, rest.split()))
    elif re.match(r"carp\b", line, re.IGNORECASE):
        draft.vhids.append(_vhid(line, draft, fingerprint))
        draft.after_carp = True
    elif re.match(r"vrrp\b", line, re.IGNORECASE):
        draft.vrids.append(_vrid(line))
    elif word == "peer" and after_carp:
        match = _PEER.fullmatch(line)
        if match is None:
            raise NotUnderstood("the peer line of a vhid is not understood")
        last = draft.vhids[-1]
        draft.vhids[-1] = Vhid(last.vhid, last.state, last.advbase, last.advskew, last.key, match[1], match[2])
    elif word == "ether":
        draft.ether = rest.strip() or None
    elif word == "status:":
        draft.status = rest.strip()
    elif word == "media:":
        draft.media = rest.strip()
    elif word == "groups:":
        draft.groups = frozenset(rest.split())


def _vhid(line: str, draft: _Draft, fingerprint: Callable[[str], str]) -> Vhid:
    match = _CARP.fullmatch(line)
    if match is None or not 1 <= int(match[2]) <= 255:
        raise NotUnderstood(f"a carp line of {draft.name} is not understood")
    if any(vhid.vhid == int(match[2]) for vhid in draft.vhids):
        raise NotUnderstood(f"{draft.name} shows vhid {int(match[2])} twice")
    key = fingerprint(match[5]) if match[5] else None
    return Vhid(int(match[2]), CarpState(match[1]), int(match[3]), int(match[4]), key)


def _vrid(line: str) -> int:
    match = _VRRP.fullmatch(line)
    if match is None:
        raise NotUnderstood("a vrrp line is not understood")
    return int(match[2])


def _address(family: str, words: list[str]) -> Address:
    """`ADDR[/LEN] [--> PEER]`, then netmask, prefixlen, broadcast, scopeid, lifetimes and flags, `vhid N` last."""
    if not words:
        raise NotUnderstood(f"an {family} line without an address")
    host, slash, length = words[0].partition("/")
    prefix = number(length, "a prefix length") if slash else None
    vhid: int | None = None
    flags: set[str] = set()
    rest = iter(words[1:])
    for word in rest:
        if word not in ("-->", "netmask", "prefixlen", "broadcast", "scopeid", "vltime", "pltime", "vhid"):
            flags.add(word)
            continue
        value = next(rest, None)
        if value is None:
            raise NotUnderstood(f"an {family} line that ends after {word}")
        if word == "netmask":
            prefix = mask_length(value)
        elif word == "prefixlen":
            prefix = number(value, "a prefix length")
        elif word == "vhid":
            vhid = number(value, "a vhid")
    if prefix is None or not 0 <= prefix <= (32 if family == "inet" else 128):
        raise NotUnderstood(f"an {family} line without a prefix length")
    return Address(ip_address(host, family), prefix, vhid, frozenset(flags))
