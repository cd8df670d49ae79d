"""The words of ifconfig(8) that change an interface.

Rules:
- `Change` collects what the words say, then acts in ifconfig.c's order: CARP, delete, add.
- Everything that surprised us on real nodes is here on purpose: orphan vhids, silent moves of an address to
  another vhid, the bounce of a re-added address (recording 02; docs/freebsd-facts.md#1.7 and #5).
"""

from __future__ import annotations

import ipaddress
import re

from hactl.lab.commands.network.ifconfig.show import V14
from hactl.lab.kernel.address import Address, Family
from hactl.lab.kernel.carp import Vhid
from hactl.lab.kernel.errors import KernelError
from hactl.lab.kernel.net import Interface

V15 = 1500000
NO_MASK_WARNING = (
    "ifconfig: WARNING: setting interface address without mask is deprecated,\ndefault mask may not be correct.\n"
)
#: Words without an argument that change nothing the lab shows.
QUIET = {"arp", "-arp", "-promisc", "promisc", "no_dad", "-no_dad", "auto_linklocal", "-auto_linklocal", "anycast"}
QUIET |= {"accept_rtadv", "-accept_rtadv", "perform_nud", "-perform_nud", "prefer_source", "autoconf", "deprecated"}
QUIET |= {"rxcsum", "-rxcsum", "txcsum", "-txcsum", "tso", "-tso", "lro", "-lro", "vlanhwtag", "-vlanhwtag", "monitor"}
#: Words with one argument that change nothing the lab shows.
QUIET_WITH_VALUE = {"pltime", "vltime", "media", "mediaopt", "-mediaopt", "fib", "group", "-group"}


class Failure(Exception):
    """ifconfig stops with a message and exit 1; `warning` was printed before."""

    def __init__(self, text: str, warning: str = "") -> None:
        super().__init__(text)
        self.text, self.warning = text, warning


def number(text: str) -> int:
    """atoi(3): the leading digits, 0 without any."""
    match = re.match(r"\s*[-+]?\d+", text)
    return int(match.group()) if match else 0


class Change:
    """One invocation with parameters."""

    def __init__(self, port: Interface, family: str, *, root: bool) -> None:
        self.port, self.root = port, root
        self.osreldate = port.machine.osreldate
        self.family: Family = "inet6" if family == "inet6" else "inet"
        self.modern = self.osreldate >= V14
        self.warning = ""
        self.address: str | None = None
        self.prefixlen: int | None = None
        self.broadcast: str | None = None
        self.alias = 0
        self.clear = False
        self.add = True
        self.remove: str | None = None
        self.vhid: int | None = None
        self.wanted: dict[str, str] = {}

    def apply(self, words: list[str]) -> str:
        """Do what the words say; returns warnings. Raises Failure."""
        words = list(words)
        while words:
            self._word(words.pop(0), words)
        adding = self.add and (self.address is not None or self.prefixlen is not None)
        self._check_mask(adding)
        if self.vhid is not None:
            self._carp(self.vhid)
        if self.clear:
            self._delete()
        if adding:
            self._add()
        return self.warning

    def _fail(self, text: str) -> Failure:
        return Failure(text, self.warning)

    # words

    def _word(self, word: str, rest: list[str]) -> None:
        if word in ("alias", "add"):
            self.alias, self.clear = 1, False
        elif word in ("-alias", "delete", "remove"):
            if self.alias == 0 and self.address is not None:
                self.remove = self.address
            self.alias, self.clear, self.add = -1, True, False
        elif word in ("up", "down"):
            self._need_root("ioctl (set flags)")
            self.port.set_up(word == "up")
        elif word in QUIET or word == "-description":
            if word == "-description":
                self.port.description = None
        elif word in ("ifdisabled", "-ifdisabled"):
            self.port.ipv6_disabled = word == "ifdisabled"
        elif word in ("mcast", "mcast6") and self.modern:
            self.wanted["peer6" if word == "mcast6" else "peer"] = ""
        elif word in VALUED or word in QUIET_WITH_VALUE or (word in ("peer", "peer6") and self.modern):
            if not rest:
                raise self._fail(f"'{word}' requires argument")
            self._valued(word, rest.pop(0))
        else:
            self._take_address(word)

    def _valued(self, word: str, value: str) -> None:
        if word in ("vhid", "pass", "advskew", "advbase", "state", "peer", "peer6"):
            self._carp_word(word, value)
        elif word == "netmask":
            self.prefixlen = self._mask(value)
        elif word == "prefixlen":
            if not value.isdigit() or int(value) > 128:
                raise self._fail(f"{value}: bad value")
            self.prefixlen = int(value)
        elif word == "broadcast":
            self.broadcast = self._parse_address(value)
        elif word in ("mtu", "metric"):
            self._need_root(f"ioctl (set {word})")
            setattr(self.port, word, number(value))
        elif word in ("description", "descr"):
            self._need_root("ioctl (set descr)")
            self.port.description = value

    def _carp_word(self, word: str, value: str) -> None:
        if word == "vhid":
            vhid = number(value)
            if not 1 <= vhid <= 255:
                raise self._fail("vhid must be greater than 0 and less than 255")
            self.vhid = vhid
            return
        if self.vhid is None:
            raise self._fail(f"{'passwd' if word == 'pass' else word} requires vhid")
        if word == "state":
            value = value.upper()
            if value not in ("INIT", "BACKUP", "MASTER"):
                raise self._fail("unknown state")
        elif word in ("advskew", "advbase"):
            value = str(number(value))
            if int(value) < 0:
                return
        self.wanted[word] = value

    def _take_address(self, word: str) -> None:
        if self.alias >= 0 and self.address is not None:
            raise self._fail(f"{word}: bad value")
        if self.alias >= 0:
            if self.alias == 0:
                self.clear = True
            self.address = self._parse_with_length(word)
            return
        self.remove = self._parse_address(word)

    def _parse_with_length(self, word: str) -> str:
        text, slash, length = word.partition("/")
        if slash:
            self.prefixlen = self._length(word, length)
        return self._parse_address(text)

    def _length(self, word: str, length: str) -> int:
        if self.family == "inet6":
            if not length.isdigit() or int(length) > 128:
                raise self._fail(f"{length}: bad value")
            return int(length)
        if not length[:1].isdigit() or not length.isdigit():
            raise self._fail(f"{word}: bad value (width invalid)")
        if int(length) > 32:
            raise self._fail(f"{word}: bad value (width too large)")
        return int(length)

    def _parse_address(self, text: str) -> str:
        try:
            if self.family == "inet":
                return str(ipaddress.IPv4Address(text))
            return str(ipaddress.IPv6Address(text.partition("%")[0]))
        except ValueError:
            raise self._fail(f"{text}: bad value") from None

    def _mask(self, value: str) -> int:
        try:
            mask = int(value, 16) if value.startswith("0x") else int(ipaddress.IPv4Address(value))
        except ValueError:
            raise self._fail(f"{value}: bad value") from None
        return (mask & 0xFFFFFFFF).bit_count()

    def _check_mask(self, adding: bool) -> None:
        if not adding or self.address is None or self.prefixlen is not None:
            return
        if self.family == "inet6":
            self.prefixlen = 64
            return
        if not self.port.loopback:
            if self.osreldate >= V15:
                raise self._fail("ERROR: setting interface address without mask is no longer supported.")
            self.warning += NO_MASK_WARNING
        first = int(self.address.split(".")[0])
        self.prefixlen = 8 if first < 128 else 16 if first < 192 else 24

    def _need_root(self, what: str) -> None:
        if not self.root:
            raise self._fail(f"{what}: permission denied")

    # addresses

    def _delete(self) -> None:
        if not self.root:
            raise self._fail("ioctl (SIOCDIFADDR): permission denied")
        try:
            self.port.delete(self.remove, self.family)
        except KernelError as problem:
            if self.alias >= 0:
                return  # no previous address: not an error
            raise self._fail(f"ioctl (SIOCDIFADDR): {problem}") from None

    def _add(self) -> None:
        if not self.root:
            raise self._fail("ioctl (SIOCAIFADDR): permission denied")
        text, length = self.address or "0.0.0.0", self.prefixlen or 0
        if self.vhid is not None and self.modern:
            if self.port.network.carp is None:
                raise self._fail("ioctl (SIOCAIFADDR): Protocol not supported")
            if self.port.loopback:
                raise self._fail("ioctl (SIOCAIFADDR): Protocol not available")
        broadcast = None
        if self.family == "inet" and not self.port.loopback:
            network = ipaddress.IPv4Network(f"{text}/{length}", strict=False)
            broadcast = self.broadcast or str(network.broadcast_address)
        linklocal = self.family == "inet6" and ipaddress.IPv6Address(text).is_link_local
        try:
            self.port.add(Address(self.family, text, length, broadcast, self.vhid, linklocal=linklocal))
        except KernelError as problem:
            raise self._fail(f"ioctl (SIOCAIFADDR): {problem}") from None

    # CARP: setcarp_callback and the kernel's SIOCSVH

    def _carp(self, vhid: int) -> None:
        carp = self.port.network.carp
        if carp is None or self.port.loopback:
            if self.modern:
                return  # the callback returns silently; an address, if any, fails later
            raise self._fail(f"SIOCGVH: {'Protocol not supported' if carp is None else 'Operation not supported'}")
        if not self.root:
            raise self._fail("SIOCSVH: Operation not permitted")
        known = self.port.vhids.get(vhid)
        base = int(self.wanted.get("advbase", known.advbase if known else 0))
        skew = int(self.wanted.get("advskew", known.advskew if known else 0))
        bad = base > 255 or skew > 254
        if bad and self.osreldate >= V15:
            raise self._fail("SIOCSVH: No error: 0")
        target = carp.find_or_create(self.port, vhid)
        if 1 <= base <= 255:
            target.advbase = base
        if bad:
            raise self._fail(f"SIOCSVH: {'No error: 0' if self.modern else 'Invalid argument'}")
        target.advskew = skew
        target.set_key(self.wanted.get("pass", ""))
        self._peers(target)
        if "state" in self.wanted:
            target.request_state(self.wanted["state"])

    def _peers(self, vhid: Vhid) -> None:
        """14 resets a vhid to multicast whenever no peer is named; 15 leaves it (docs/freebsd-facts.md#1.7)."""
        for word in ("peer", "peer6"):
            if word in self.wanted:
                setattr(vhid, word, self.wanted[word] or None)
            elif self.osreldate < V15:
                setattr(vhid, word, None)


VALUED = {"vhid", "pass", "advskew", "advbase", "state", "netmask", "prefixlen", "broadcast", "mtu", "metric"}
VALUED |= {"description", "descr"}
