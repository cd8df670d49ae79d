"""Generated pairs: what two machines do is drawn first, then how their owner wrote it down.

Rules: nothing in here looks at hactl's own readers; what runs and what stands in files is made from one plan of the
pair, so that a sound pair is sound by construction. Sources of the styles: rc.conf(5), hast.conf(5), devd.conf(5), the
handbook, and public configurations (docs/freebsd-facts.md#1.8).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from random import Random

from support.pairs import hast_conf, scripts
from support.pairs.pair import Machine, Pair, Port, Vhid
from support.pairs.rc_conf import LOCAL, NETIF, NETWORK, RC_CONF, RcFiles

_NAMES = [
    ("nas-a", "nas-b"), ("fw1.example.org", "fw2.example.org"), ("web_1", "web_2"), ("left", "right"),
    ("db01.dc1.example.net", "db02.dc2.example.net"), ("Alpha", "Beta"), ("a", "b"),
]  # fmt: skip
#: Name, how rc.conf makes it (NAME, and VAR as rc.conf spells it), and names that stand in for it on the other node.
_PORTS: list[tuple[str, list[tuple[str, str]]]] = [
    ("em0", []),
    ("igb1", []),
    ("vtnet1", []),
    ("ix1.10", [("vlans_ix1", "10"), ("ifconfig_ix1", "up")]),
    ("ix0.20", [("vlans_ix0", "20 30"), ("ifconfig_ix0", "up mtu 9000")]),
    ("vlan10", [("cloned_interfaces", "vlan10"), ("create_args_vlan10", "vlan 10 vlandev em4")]),
    ("lagg0", [("cloned_interfaces", "lagg0"), ("ifconfig_em2", "up"), ("ifconfig_em3", "up")]),
    ("bridge0", [("cloned_interfaces", "bridge0 tap0"), ("autobridge_interfaces", "bridge0")]),
    ("epair0a", [("cloned_interfaces", "epair0")]),
    ("lan0", [("ifconfig_em1_name", "lan0")]),
    ("servers", [("vlans_em5", "servers"), ("create_args_servers", "vlan 12"), ("ifconfig_em5", "up")]),
    ("lagg1.7", [("cloned_interfaces", "lagg1"), ("vlans_lagg1", "7")]),
    ("wan-1", [("ifconfig_igb0_name", "wan-1")]),
]  # fmt: skip
_PASSWORDS = ["s3cret", "a.b_c+d=e:f@g", "X" * 19, "0123456789abcdef0123456789abcdef", "pa,ss%w0rd", "vhid", "1", None,
    "xyz-1", "wow!", "a#b", "x~y", "{curly}",
]  # fmt: skip
#: What a document cannot say, and FreeBSD can: hactl leaves it as it is.
_ONLY_FREEBSD = frozenset("-!#~{}")
_LADDERS = [(0, 100), (0, 100), (100, 0), (0, 50), (10, 20), (None, 100), (1, 200), (None, 1)]


@dataclass
class Wanted:
    """One vhid of the pair."""

    number: int
    addresses: list[str]
    advbase: int
    #: As written for each node; None: the line does not say it.
    advskews: tuple[int | None, int | None]
    password: str | None
    #: Written as one range of addresses.
    range: bool


@dataclass
class Link:
    """One network of the pair, and its interface on each node."""

    names: tuple[str, str]
    network: ipaddress.IPv4Network
    network6: ipaddress.IPv6Network | None
    vhids: list[Wanted] = field(default_factory=list)


def generated(seed: int) -> Pair:
    """The pair of that seed; the same one each time."""
    random = Random(seed)
    names = random.choice(_NAMES)
    pair = Pair(seed, [Machine(name, number + 1) for number, name in enumerate(names)])
    pair.machines[0].preempt = pair.machines[1].preempt = random.choice([1, 1, 1, 0])
    links = _links(random)
    active = _active(links)
    resources = hast_conf.drawn(random, pair) if random.random() < 0.6 else []
    for at, machine in enumerate(pair.machines):
        rc = RcFiles(random)
        rc.set("hostname", machine.name)
        _modules(random, pair, machine, rc)
        _sysctls(random, pair, machine)
        for link in links:
            _interface(random, pair, machine, at, link, rc, active)
        if resources:
            _replication(machine, at, rc)
        if random.random() < 0.2:
            pair.drawn.append("an interface that is gone")
            rc.set("ifconfig_bge7_alias0", "inet 10.9.9.9/24 vhid 99 advskew 7 pass gone")
        if random.random() < 0.2:
            rc.raw('#ifconfig_em0_alias9="inet 10.8.8.8/24 vhid 98 pass old"')
        hast_conf.write(random, pair, machine, at, active, resources, rc)
        machine.files |= rc.texts()
    scripts.write(random, pair, resources)
    if not resources and not pair.machines[0].preempt and random.random() < 0.4:
        pair.drawn.append("the other one serves")
        for vhid in (
            vhid for machine in pair.machines for port in machine.ports.values() for vhid in port.vhids.values()
        ):
            vhid.state = "BACKUP" if vhid.state == "MASTER" else "MASTER"
    return pair


def _links(random: Random) -> list[Link]:
    chosen = random.sample(_PORTS, random.choice([1, 1, 2, 3]))
    links = []
    for at, (name, _) in enumerate(chosen):
        other = name
        if random.random() < 0.15:
            other = next(n for n in ("re0", "re1", "re2", "re3") if n not in [link.names[1] for link in links])
        network6 = ipaddress.IPv6Network(f"2001:db8:{at + 1}::/64") if random.random() < 0.35 else None
        links.append(Link((name, other), ipaddress.IPv4Network(f"192.0.{at + 2}.0/24"), network6))
    number = random.choice([1, 10, 80, 200])
    ladder = random.choice(_LADDERS)
    for at, link in enumerate(links):
        # A vhid is one of its network: another one may have the number too.
        number -= at > 0 and random.random() < 0.2
        for _ in range(random.choice([1, 1, 2]) if at == 0 else random.choice([0, 1, 1])):
            mixed = random.random() < 0.1
            link.vhids.append(_vhid(random, link, number, random.choice(_LADDERS) if mixed else ladder))
            number += 1
    return links


def _vhid(random: Random, link: Link, number: int, ladder: tuple[int | None, int | None]) -> Wanted:
    base = 50 + 10 * len(link.vhids)
    length = random.choice([24, 24, 32])
    addresses = [f"{link.network[base + n]}/{length}" for n in range(random.choice([1, 1, 2, 3]))]
    if link.network6 is not None and random.random() < 0.6:
        addresses.append(f"{link.network6[0x50 + number]}/{random.choice([64, 128])}")
        if random.random() < 0.3:
            addresses.append(f"fe80::{number:x}/64")
        if random.random() < 0.2:
            addresses = [each for each in addresses if ":" in each and not each.startswith("fe80")]
    ranged = len(addresses) > 1 and not any(":" in each for each in addresses) and random.random() < 0.4
    if ranged:
        # network.subr gives the first one the prefix, and the others /32.
        addresses = [addresses[0], *(f"{each.partition('/')[0]}/32" for each in addresses[1:])]
    return Wanted(number, addresses, random.choice([1, 1, 1, 2]), ladder, random.choice(_PASSWORDS), ranged)


def _active(links: list[Link]) -> int:
    """Which node serves: by the first vhid; with a storage group that is the one that hactl follows."""
    first = next(vhid for link in links for vhid in link.vhids)
    skews = [skew or 0 for skew in first.advskews]
    return skews.index(min(skews))


def _modules(random: Random, pair: Pair, machine: Machine, rc: RcFiles) -> None:
    style = random.choice(["rc.conf", "rc.conf", "rc.conf", "words", "local", "kld", "loader", "decoy", "ko"])
    pair.drawn.append(f"carp in {style}")
    if style == "rc.conf":
        rc.set("kld_list", "carp")
    elif style == "words":
        rc.set("kld_list", "if_bridge carp nullfs")
    elif style == "ko":
        rc.set("kld_list", random.choice(["/boot/kernel/carp.ko", "carp.ko zfs"]))
    elif style == "local":
        rc.set("kld_list", "zfs")
        rc.set("kld_list", "zfs carp", LOCAL)
    elif style == "kld":
        rc.set("kld_list", "carp", random.choice(["/etc/rc.conf.d/kld", "/usr/local/etc/rc.conf.d/kld"]))
    elif style == "loader":
        file = random.choice(["/boot/loader.conf", "/boot/loader.conf.local", "/boot/loader.conf.d/carp.conf"])
        machine.files[file] = f'autoboot_delay="3"\ncarp_load={random.choice(["YES", chr(34) + "YES" + chr(34)])}\n'
        pair.missing.add((f"{machine.name} SetRcVariable", "kld_list"))
    else:
        # rc.d/kld does not read the file of netif, whatever stands there.
        rc.set("kld_list", "carp")
        rc.set("kld_list", "if_lagg", random.choice([NETIF, NETWORK]))


def _sysctls(random: Random, pair: Pair, machine: Machine) -> None:
    line = f"net.inet.carp.preempt={pair.machines[0].preempt}"
    style = random.choice(["plain", "plain", "remark", "local", "twice", "nowhere"])
    pair.drawn.append(f"sysctl {style}")
    if style == "nowhere":
        # Somebody ran sysctl(8) once.
        if machine.preempt:
            pair.missing.add((f"{machine.name} SetSysctlConf", "net.inet.carp.preempt"))
        return
    text = {
        "plain": f"# tuning\nkern.maxfiles=20000\n{line}\n",
        "remark": f"{line}  # both at once\n",
        "local": "kern.maxfiles=20000\n",
        "twice": f"net.inet.carp.preempt={1 - pair.machines[0].preempt}\n",
    }[style]
    machine.files["/etc/sysctl.conf"] = text
    if style in ("local", "twice"):
        machine.files["/etc/sysctl.conf.local"] = f"{line}\nnet.inet.carp.log=1\n"


def _replication(machine: Machine, at: int, rc: RcFiles) -> None:
    cidr = f"198.51.100.{11 + at}/24"
    machine.ports["cxl0"] = Port("cxl0", [cidr])
    rc.set("ifconfig_cxl0", f"inet {cidr}")


def _interface(random: Random, pair: Pair, machine: Machine, at: int, link: Link, rc: RcFiles, active: int) -> None:
    name = link.names[at]
    spelled = f"ifconfig_{name.replace('.', '_').replace('-', '_')}"
    for variable, value in next((made for port, made in _PORTS if port == name), []):
        rc.set(variable, value)
    port = machine.ports[name] = Port(name, [f"{link.network[11 + at]}/24"])
    _own_address(random, pair, port, spelled, link, at, rc)
    if link.network6 is not None:
        own = f"{link.network6[0x11 + at]}/64"
        port.own.append(own)
        said = own.replace("/64", " prefixlen 64") if random.random() < 0.7 else own
        rc.set(f"{spelled}_ipv6", f"inet6 {said}{random.choice(['', ' accept_rtadv', ' -ifdisabled'])}")
    place = random.choice([RC_CONF, RC_CONF, RC_CONF, LOCAL, NETIF, NETWORK, f"{NETIF}/20-carp"])
    if any(file.startswith(f"{NETIF}/") for file in rc.lines) and place == NETIF:
        place = f"{NETIF}/10-more"
    if NETIF in rc.lines and place.startswith(f"{NETIF}/"):
        place = NETIF
    pair.drawn.append(f"{name} in {place}")
    style = random.choice(["numbered", "numbered", "gaps", "aliases", "mixed"])
    entries = []
    for wanted in link.vhids:
        skew = wanted.advskews[at]
        state = "MASTER" if at == active_of(wanted) else "BACKUP"
        port.vhids[wanted.number] = Vhid(
            wanted.number, wanted.advbase, skew or 0, wanted.password, state, list(wanted.addresses)
        )
        password = wanted.password
        if password is not None and not _ONLY_FREEBSD & set(password) and random.random() < 0.2:
            rc.raw(f'carp_{wanted.number}_pass="{password}"', place)
            password = random.choice([f"${{carp_{wanted.number}_pass}}", f"$carp_{wanted.number}_pass"])
        entries += _entries(random, wanted, skew, password)
    _write_entries(random, spelled, style, entries, place, rc)
    pair.drawn.append(style)


def active_of(wanted: Wanted) -> int:
    """The node that has the better advskew."""
    skews = [skew or 0 for skew in wanted.advskews]
    return skews.index(min(skews))


def _own_address(random: Random, pair: Pair, port: Port, spelled: str, link: Link, at: int, rc: RcFiles) -> None:
    ip = link.network[11 + at]
    style = random.choice(["netmask", "prefix", "bare", "ipv4_addrs", "hex", "more"])
    pair.drawn.append(f"own address {style}")
    if style == "netmask":
        rc.set(spelled, f"inet {ip} netmask 255.255.255.0")
    elif style == "hex":
        rc.set(spelled, f"inet {ip} netmask 0xffffff00 up")
    elif style == "prefix":
        rc.set(spelled, f"inet {ip}/24")
    elif style == "bare":
        rc.set(spelled, f"{ip}/24")
    elif style == "ipv4_addrs":
        rc.set(spelled, "up")
        rc.set(spelled.replace("ifconfig_", "ipv4_addrs_"), f"{ip}/24")
    else:
        port.mtu, port.groups = 9000, ["ha"]
        rc.set(spelled, f"inet {ip}/24 mtu 9000 group ha -lro")
        rc.set(f"{spelled}_descr", "the LAN")


def _entries(random: Random, wanted: Wanted, skew: int | None, password: str | None) -> list[str]:
    """A line for each address, its words in an order of somebody's; others may leave out what the first one says."""
    found = []
    brief = random.random() < 0.3
    addresses = wanted.addresses
    if wanted.range:
        first, last = wanted.addresses[0].partition("/")[0], wanted.addresses[-1].rpartition(".")[2].partition("/")[0]
        addresses = [f"{first}-{last}/{wanted.addresses[0].partition('/')[2]}"]
    for number, cidr in enumerate(addresses):
        ip, _, length = cidr.partition("/")
        carp = [f"vhid {wanted.number}"]
        if wanted.advbase != 1 or random.random() < 0.2:
            carp.append(f"advbase {wanted.advbase}")
        if skew is not None:
            carp.append(f"advskew {skew}")
        if password is not None:
            carp.append(f"pass {password}")
        if number and brief:
            carp = carp[:1]  # ifconfig(8) leaves alone what it is not told (SIOCGVH before SIOCSVH)
        if random.random() < 0.3:
            carp = [carp[0], *random.sample(carp[1:], len(carp) - 1)]
        if ":" in ip:
            address = random.choice([cidr, f"{ip} prefixlen {length}"])
            found.append(f"inet6 {address} {' '.join(carp)}")
            continue
        if wanted.range:
            found.append(f"inet {cidr} {' '.join(carp)}")
            continue
        mask = ipaddress.ip_interface(cidr).netmask
        address = random.choice([cidr, cidr, f"{ip} netmask {mask}", f"{ip} netmask {int(mask):#010x}"])
        first = random.choice(["address", "address", "vhid", "alias"])
        if first == "address":
            found.append(f"inet {address} {' '.join(carp)}{random.choice(['', '', ' up', ' alias'])}")
        elif first == "vhid":
            found.append(f"inet {' '.join(carp)} {address}")
        else:
            found.append(f"{random.choice(['inet ', ''])}{' '.join(carp)} alias {address}")
    return found


def _write_entries(random: Random, spelled: str, style: str, entries: list[str], place: str, rc: RcFiles) -> None:
    if style == "aliases" and not all(each.startswith("inet") for each in entries):
        style = "numbered"
    if style == "aliases":
        if entries:
            joined = random.choice([" ", "\n\t", " \\\n\t"]).join(entries)
            rc.raw(f'{spelled}_aliases="{joined}"', place)
        return
    number = random.choice([0, 0, 1, 5])
    rest = entries
    if style == "mixed" and entries and entries[0].startswith("inet"):
        rc.raw(f'{spelled}_aliases="{entries[0]}"', place)
        rest = entries[1:]
    for entry in rest:
        rc.set(f"{spelled}_alias{number}", entry, place)
        number += 1 if style != "gaps" else random.choice([1, 2, 9])
