"""Interfaces, addresses and ARP of one machine, as the kernel keeps them.

Rules:
- What ifconfig(8) asks for is done here and in `carp`; what it prints is in `commands.network.ifconfig`.
- Adding an address that exists removes it first and puts it last (in.c: in_aifaddr_ioctl).
- A link-local IPv6 address comes with the first IPv6 address (recording 02, steps 133 and 134).
- Man pages: ifconfig(8), arp(4), vtnet(4). What fails raises KernelError.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, Protocol

from hactl.lab.host import Host
from hactl.lab.kernel.address import Address, Family
from hactl.lab.kernel.carp import Ad, Carp, Vhid
from hactl.lab.kernel.errors import KernelError

#: How long duplicate address detection takes, seconds (nd6_nbr.c).
DAD_SECONDS = 1.0
#: How long a port that just got its cable back hears no multicast, seconds: a vhid with advskew 0 times out before
#: it hears the master (recording 02, step 86), any other hears it in time.
SETTLE_SECONDS = 3.1
#: Received packets a stopped machine's network card holds.
RING_PACKETS = 256


ADDRESS_NOT_AVAILABLE = "Can't assign requested address"


class NetHost(Host, Protocol):
    """A machine with a network."""

    osreldate: int


def subnet(address: Address) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network an address lies in, by its prefix length."""
    return ipaddress.ip_interface(f"{address.text.partition('%')[0]}/{address.prefixlen}").network


class Interface:
    """One network interface."""

    def __init__(self, network: Network, name: str, segment: str, ether: str | None, wire: list[Interface]) -> None:
        """Plugged into `wire`, where the other interfaces of the segment are."""
        self.machine, self.network, self.wire = network.machine, network, wire
        self.name, self.index, self.segment, self.ether = name, len(network.interfaces) + 1, segment, ether
        self.loopback = ether is None
        self.up = False
        #: A cable is in: what the card itself knows.
        self.carrier = True
        #: What the stack believes; unknown until the interface first comes up.
        self.link: Literal["up", "down", "unknown"] = "unknown"
        #: Lose packets one way.
        self.blocked_in = self.blocked_out = False
        #: The errno of every send, for a card that fails; None: sends work.
        self.send_error: int | None = None
        self.deaf_until = 0.0
        self.addresses: list[Address] = []
        self.vhids: dict[int, Vhid] = {}
        self.arp: dict[str, str] = {}
        self.ipv6_disabled = True
        self.mtu = 16384 if self.loopback else 1500
        self.metric = 0
        self.description: str | None = None
        #: What a DHCP server would give: (address, prefix length).
        self.lease: tuple[str, int] | None = None
        self.ring: list[Ad] = []

    # who hears

    @property
    def can_send(self) -> bool:
        """A packet sent now leaves the machine."""
        return self.machine.awake and self.up and self.carrier and not self.blocked_out

    @property
    def can_receive(self) -> bool:
        """A packet arriving now is processed."""
        return self.machine.awake and self.up and self.carrier and not self.blocked_in

    @property
    def operational(self) -> bool:
        """What CARP needs: up, and the link known to be up."""
        return self.up and self.link == "up"

    def neighbours(self) -> list[Interface]:
        """The other interfaces on this segment."""
        return [other for other in self.wire if other is not self]

    def receive(self, ad: Ad) -> None:
        """An advertisement arrives."""
        if self.can_receive:
            carp = self.network.carp
            if carp is not None and self.vhids and self.machine.world.clock.monotonic() >= self.deaf_until:
                carp.input(self, ad)
        elif self.machine.frozen and self.carrier and not self.blocked_in and len(self.ring) < RING_PACKETS:
            self.ring.append(ad)

    # link and flags

    def set_carrier(self, carrier: bool) -> None:
        """The cable is pulled or plugged in."""
        if carrier == self.carrier:
            return
        self.carrier = carrier
        if carrier:
            self.deaf_until = self.machine.world.clock.monotonic() + SETTLE_SECONDS
        if self.machine.powered and self.up:
            self._set_link("up" if carrier else "down")

    def set_link_unknown(self) -> None:
        """The card cannot tell whether there is a link (an unattached VLAN): CARP counts it as down."""
        self.link = "unknown"
        self._carp_event()

    def set_up(self, up: bool) -> None:
        """ifconfig up and down."""
        if up == self.up:
            return
        self.up = up
        if not up:
            self._carp_event()
            return
        now = self.machine.world.clock.monotonic()
        for address in self.addresses:
            if address.family == "inet6":
                address.tentative_until = now + DAD_SECONDS
        link: Literal["up", "down"] = "up" if self.carrier else "down"
        if self.link == link or (self.link == "unknown" and link == "down"):
            self._carp_event()
        else:
            self._set_link(link)

    def _set_link(self, link: Literal["up", "down"]) -> None:
        self.link = link
        self._carp_event()
        word = link.upper()
        self.machine.devd(f"!system=IFNET subsystem={self.name} type=LINK_{word}")
        self.machine.klog(f"{self.name}: link state changed to {word}")

    def _carp_event(self) -> None:
        for vhid in list(self.vhids.values()):
            vhid.hardware_event()

    # addresses

    def find(self, text: str, family: Family | None = None) -> Address | None:
        """An address by its canonical text."""
        for address in self.addresses:
            if address.text == text and family in (None, address.family):
                return address
        return None

    def first(self, family: Family) -> Address | None:
        """The first address of a family."""
        return next((address for address in self.addresses if address.family == family), None)

    def answers_for(self, address: Address) -> bool:
        """Whether ARP or ND requests for the address are answered here."""
        if address.vhid is None:
            return True
        vhid = self.vhids.get(address.vhid)
        return vhid is not None and vhid.state == "MASTER"

    def add(self, address: Address) -> None:
        """SIOCAIFADDR. The vhid must exist. Raises KernelError."""
        if address.vhid is not None and address.vhid not in self.vhids:
            raise KernelError("No such file or directory")
        old = self.find(address.text, address.family)
        if old is not None:
            self._remove(old, keep_vhid=True)
        if address.family == "inet6":
            address.tentative_until = self.machine.world.clock.monotonic() + DAD_SECONDS
        self.addresses.append(address)
        if address.vhid is not None:
            self.vhids[address.vhid].address_event()
        if address.family == "inet6":
            self._enable_ipv6()
        self.set_up(True)

    def delete(self, text: str | None, family: Family) -> None:
        """SIOCDIFADDR; None: the first address of the family. Raises KernelError."""
        address = self.first(family) if text is None else self.find(text, family)
        if address is None:
            raise KernelError(ADDRESS_NOT_AVAILABLE)
        self._remove(address, keep_vhid=False)

    def _remove(self, address: Address, *, keep_vhid: bool) -> None:
        self.addresses.remove(address)
        self.arp.pop(address.text, None)
        vhid = self.vhids.get(address.vhid) if address.vhid is not None else None
        if vhid is None:
            return
        vhid.address_event()
        if not keep_vhid and not vhid.has_addresses:
            vhid.destroy()

    def _enable_ipv6(self) -> None:
        """The first IPv6 address clears IFDISABLED; with AUTO_LINKLOCAL the link-local address follows."""
        self.ipv6_disabled = False
        if self.ether is None or any(address.linklocal for address in self.addresses):
            return
        octets = [int(part, 16) for part in self.ether.split(":")]
        eui = [octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]
        text = str(ipaddress.IPv6Address(bytes([0xFE, 0x80, 0, 0, 0, 0, 0, 0, *eui])))
        until = self.machine.world.clock.monotonic() + DAD_SECONDS
        self.addresses.append(Address("inet6", text, 64, tentative_until=until, linklocal=True))

    # ARP: only what CARP makes visible in the kernel log

    def announce(self, text: str, mac: str) -> None:
        """Broadcast a gratuitous ARP request for an address."""
        if not self.can_send:
            return
        for other in self.neighbours():
            if other.can_receive:
                other.hear_arp(self, text, mac, request=True)

    def hear_arp(self, sender: Interface, text: str, mac: str, *, request: bool) -> None:
        """in_arpinput for a packet whose sender and target are `text`.

        A BACKUP holding the address answers the master's announcement with its own hardware address
        (the sender's address is looked up without asking CARP): hence `arp: ... moved from ...` on the master.
        """
        held = self.find(text, "inet")
        if held is None or self.ether is None:
            return
        vhid = self.vhids.get(held.vhid) if held.vhid is not None else None
        mine = vhid.mac if vhid is not None and vhid.state == "MASTER" else self.ether
        if mac == mine:
            return
        known = self.arp.get(text)
        if known is not None and known != mac:
            self.machine.klog(f"arp: {text} moved from {known} to {mac} on {self.name}")
        if known is not None or self._on_link(text):
            self.arp[text] = mac
        if request and self.can_send and sender.can_receive:
            sender.hear_arp(self, text, mine, request=False)

    def _on_link(self, text: str) -> bool:
        """Whether a prefix route of this interface covers an address (in_lltable_rtcheck)."""
        wanted = ipaddress.IPv4Address(text)
        return any(
            address.family == "inet"
            and address.prefixlen < 32
            and wanted in ipaddress.IPv4Network(f"{address.text}/{address.prefixlen}", strict=False)
            for address in self.addresses
        )

    def reset(self) -> None:
        """A power loss: everything configured is gone; cables stay as they are."""
        for vhid in self.vhids.values():
            vhid.stop()
        self.vhids.clear()
        self.addresses.clear()
        self.arp.clear()
        self.ring.clear()
        self.up, self.ipv6_disabled, self.description, self.link = False, True, None, "unknown"


class Network:
    """All interfaces of a machine, and CARP while its module is loaded."""

    def __init__(self, machine: NetHost, segments: dict[str, list[Interface]]) -> None:
        """No interfaces yet; `segments` is the world's."""
        self.machine, self.segments = machine, segments
        self.interfaces: dict[str, Interface] = {}
        self.carp: Carp | None = None
        #: Host routes that refuse: connecting fails at once (reject), packets vanish (blackhole). In memory only.
        self.refused: dict[str, Literal["reject", "blackhole"]] = {}
        #: A firewall keeps ping out.
        self.answers_no_ping = False

    def plug(self, name: str, segment: str, ether: str | None, *, lease: tuple[str, int] | None = None) -> Interface:
        """Give the machine an interface (ether None: the loopback)."""
        wire = self.segments.setdefault(segment, []) if ether is not None else []
        interface = Interface(self, name, segment, ether, wire)
        interface.lease = lease
        self.interfaces[name] = interface
        wire.append(interface)
        return interface

    def reset(self) -> None:
        """A power loss."""
        for interface in self.interfaces.values():
            interface.reset()
        self.carp = None
        self.refused.clear()

    def boot(self) -> None:
        """What the kernel and the first line of rc.d/netif do: the loopback is there."""
        for interface in self.interfaces.values():
            if interface.loopback:
                interface.ipv6_disabled = False
                interface.addresses.append(Address("inet6", "::1", 128))
                interface.addresses.append(Address("inet6", "fe80::1", 64, linklocal=True))
                interface.set_up(True)
                interface.addresses[0].tentative_until = interface.addresses[1].tentative_until = 0.0
                interface.addresses.append(Address("inet", "127.0.0.1", 8))

    def way_out(self, host: str) -> tuple[Interface, Address] | None:
        """The interface behind which an address is, and our address there; None: `No route to host`."""
        try:
            target = ipaddress.ip_address(host)
        except ValueError:
            return None
        if self.refused.get(host) == "reject":
            return None
        for interface in self.interfaces.values():
            for address in interface.addresses:
                if address.vhid is None and target in subnet(address) and interface.up and interface.carrier:
                    return interface, address
        return None

    def refuses(self, other: Network) -> bool:
        """Whether no packet of ours goes to the addresses of another machine that a route refuses."""
        return any(port.find(host) is not None for host in self.refused for port in other.interfaces.values())

    def thaw(self, pause_seconds: float) -> None:
        """The machine was frozen: timers go on where they were, then the card's ring is worked off."""
        for interface in self.interfaces.values():
            for vhid in interface.vhids.values():
                vhid.postpone(pause_seconds)
        for interface in self.interfaces.values():
            waiting, interface.ring = interface.ring, []
            for ad in waiting:
                interface.receive(ad)
