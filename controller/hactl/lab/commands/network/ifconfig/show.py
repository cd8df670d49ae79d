"""What ifconfig(8) prints of an interface, in the wording of 13.2 and of 14 and 15.

Rules:
- Line order: header, description, options, ether, addresses, groups, carp, media, status, nd6 options.
- Addresses are grouped by family in the order the families first appear, then in insertion order.
- With a family named, only its lines and no carp lines are printed (docs/freebsd-facts.md#1.6).
"""

from __future__ import annotations

from hactl.lab.kernel.address import Address
from hactl.lab.kernel.net import Interface

V14 = 1400000
FLAGS = (
    (0x1, "UP"),
    (0x2, "BROADCAST"),
    (0x8, "LOOPBACK"),
    (0x40, "RUNNING"),
    (0x100, "PROMISC"),
    (0x800, "SIMPLEX"),
    (0x8000, "MULTICAST"),
    (0x1000000, "LOWER_UP"),
)
#: IFF_KNOWSEPOCH: set for Ethernet up to 13, never named (recording 01: 8863).
KNOWS_EPOCH = 0x20


def flags(interface: Interface) -> int:
    """The interface's flag word."""
    modern = interface.machine.osreldate >= V14
    word = 0x8008 if interface.loopback else 0x8802
    if not interface.loopback and not modern:
        word |= KNOWS_EPOCH
    if interface.up:
        word |= 0x41
        if modern and interface.carrier:
            word |= 0x1000000
    if interface.vhids:
        word |= 0x100
    return word


def show(interface: Interface, *, family: str | None, keys: bool, formats: dict[str, str], lifetimes: bool) -> str:
    """Everything about one interface."""
    word = flags(interface)
    names = ",".join(name for bit, name in FLAGS if word & bit)
    lines = [f"{interface.name}: flags={word:x}<{names}> metric {interface.metric} mtu {interface.mtu}"]
    if interface.description is not None:
        lines.append(f"\tdescription: {interface.description}")
    if interface.loopback:
        lines.append("\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>")
    else:
        lines.append("\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>")
        if family in (None, "link", "ether"):
            lines.append(f"\tether {interface.ether}")
    shown = [address for address in ordered(interface.addresses) if family in (None, address.family)]
    lines += [_address(interface, address, formats, lifetimes) for address in shown]
    if family is None:
        lines += _others(interface, keys)
    if family in (None, "inet6"):
        lines.append(f"\tnd6 options={_nd6(interface)}")
    return "\n".join(lines) + "\n"


def ordered(addresses: list[Address]) -> list[Address]:
    """Grouped by family, families in order of first appearance."""
    families = list(dict.fromkeys(address.family for address in addresses))
    return sorted(addresses, key=lambda address: families.index(address.family))


def _others(interface: Interface, keys: bool) -> list[str]:
    lines = ["\tgroups: lo"] if interface.loopback else []
    for vhid in interface.vhids.values():
        key = f' key "{vhid.key}"' if keys and vhid.key else ""
        lines.append(f"\tcarp: {vhid.state} vhid {vhid.number} advbase {vhid.advbase} advskew {vhid.advskew}{key}")
        if interface.machine.osreldate >= V14:
            lines.append(f"\t      peer {vhid.peer or '224.0.0.18'} peer6 {vhid.peer6 or 'ff02::12'}")
    if not interface.loopback:
        active = interface.carrier
        lines.append(f"\tmedia: Ethernet autoselect ({'10Gbase-T <full-duplex>' if active else 'none'})")
        lines.append(f"\tstatus: {'active' if active else 'no carrier'}")
    return lines


def _nd6(interface: Interface) -> str:
    return "29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>" if interface.ipv6_disabled else "21<PERFORMNUD,AUTO_LINKLOCAL>"


def _address(interface: Interface, address: Address, formats: dict[str, str], lifetimes: bool) -> str:
    vhid = f" vhid {address.vhid}" if address.vhid is not None else ""
    if address.family == "inet":
        return _inet(address, formats.get("inet", "default")) + vhid
    scope = f"%{interface.name}" if address.linklocal else ""
    text = f"\tinet6 {address.text}{scope}"
    text += f"/{address.prefixlen}" if formats.get("inet6") == "cidr" else f" prefixlen {address.prefixlen}"
    if interface.machine.world.clock.monotonic() < address.tentative_until:
        text += " tentative"
    if address.linklocal:
        text += f" scopeid 0x{interface.index:x}"
    if lifetimes:
        text += " pltime infty vltime infty"
    return text + vhid


def _inet(address: Address, form: str) -> str:
    mask = (0xFFFFFFFF << (32 - address.prefixlen)) & 0xFFFFFFFF
    text = f"\tinet {address.text}"
    if form == "cidr":
        text += f"/{address.prefixlen}"
    elif form == "dotted":
        text += " netmask " + ".".join(str(mask >> shift & 255) for shift in (24, 16, 8, 0))
    else:
        text += f" netmask 0x{mask:08x}"
    return text if address.broadcast is None else f"{text} broadcast {address.broadcast}"
