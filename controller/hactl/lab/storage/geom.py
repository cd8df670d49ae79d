"""GEOM: of which class a provider is by its name, what it is made of, and the mesh as the kernel prints it.

Rules:
- A provider's class follows from its path, as on FreeBSD: zvol/POOL/VOLUME, mirror/NAME, NAME.eli, md0, gpt/NAME,
  da1p2 ... What it is made of is there too, with bytes of its own: what is written above does not show below.
- Mirrors, stripes and geli hold their members open; labels, partitions and multipath pass on who has them open.
- geom(4), gpart(8), gmirror(8), geli(8), glabel(8), gmultipath(8); sys/geom/geom_dump.c for the text;
  docs/freebsd-facts.md#7.60.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hactl.lab.storage.provider import Access, Provider

GPT, MBR = b"EFI PART", b"\x55\xaa"
#: Directories below /dev whose providers are of a class of that name, over members.
_OVER_MEMBERS = {"mirror": 2, "stripe": 2, "concat": 2, "multipath": 2, "raid3": 3}
_LABELS = frozenset({"label", "gpt", "gptid", "diskid", "ufs", "ufsid"})
#: Classes that have their members open all the time.
HOLDING = frozenset({"MIRROR", "STRIPE", "CONCAT", "RAID3", "ELI"})
#: Classes whose geoms are called without the directory of their provider.
SHORT = frozenset({"MIRROR", "STRIPE", "CONCAT", "RAID3", "MULTIPATH"})
_PARTITION = re.compile(r"(.*[0-9])(?:p[0-9]+|s[0-9]+[a-h]?)")


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a provider is by its name: its GEOM class, the provider it stands on, or how many members it takes."""

    geom_class: str
    base: str | None = None
    members: int = 0


def anatomy(name: str) -> Anatomy:
    """Of a name without /dev/."""
    head, slash, _ = name.partition("/")
    if slash and head in _LABELS:
        return Anatomy("LABEL", members=1)
    if name.endswith(".eli"):
        return Anatomy("ELI", base=name.removesuffix(".eli"))
    if match := _PARTITION.fullmatch(name):
        return Anatomy("PART", base=match[1])
    if slash and head == "zvol":
        return Anatomy("ZFS::ZVOL")
    if slash and head in _OVER_MEMBERS:
        return Anatomy(head.upper(), members=_OVER_MEMBERS[head])
    return Anatomy("MD" if re.fullmatch(r"md[0-9]+", name) else "DISK")


def geom_name(provider: Provider) -> str:
    """What the geom of a provider is called: a mirror by its short name, a label by what it is on."""
    if provider.geom_class in ("LABEL", "PART"):
        return provider.made_of[0].name
    return posixpath.basename(provider.name) if provider.geom_class in SHORT else provider.name


def scheme(provider: Provider) -> str:
    """The partition scheme on a provider: GPT, MBR or nothing. Raises OSError."""
    head = provider.read(0, 2 * provider.sectorsize)
    if head[provider.sectorsize : provider.sectorsize + 8] == GPT:
        return "GPT"
    return "MBR" if head[510:512] == MBR else ""


def write_scheme(provider: Provider, kind: str) -> None:
    """Write a partition table ("gpt", "mbr"), or with "" remove the one that is there. Raises OSError."""
    provider.write(0, bytes(2 * provider.sectorsize))
    if kind:
        provider.write(510, MBR)
    if kind.upper() == "GPT":
        provider.write(provider.sectorsize, GPT)
        provider.write(provider.mediasize - provider.sectorsize, GPT)
    elif not kind:
        provider.write(provider.mediasize - provider.sectorsize, bytes(provider.sectorsize))


@dataclass(slots=True)
class _Made:
    """A provider to be printed."""

    name: str
    access: Access
    mediasize: int
    sectorsize: int


@dataclass(slots=True)
class _Geom:
    """One geom to be printed: whom it consumes, with its open counts there, and what it provides."""

    geom_class: str
    name: str
    consumes: list[tuple[str, Access]]
    provides: list[_Made] = field(default_factory=list)
    scheme: str = ""


_NOBODY = Access(0, 0, 0)


def confxml(providers: Sequence[Provider], labels: Sequence[tuple[str, Provider]]) -> str:
    """kern.geom.confxml. `labels`: what is written on providers and tasted ("ufs/data"); nobody opens these here."""
    geoms = [*_tables(providers)]
    for provider in providers:
        if provider.geom_class != "PART":
            consumes = [(lower.name, _access_to(provider, lower)) for lower in provider.made_of]
            geoms.append(_Geom(provider.geom_class, geom_name(provider), consumes, [_made(provider)]))
        geoms += _users(provider)
    for name, provider in labels:
        made = _Made(name, _NOBODY, provider.mediasize, provider.sectorsize)
        geoms += [_Geom("LABEL", provider.name, [(provider.name, _NOBODY)], [made])]
        geoms += [_Geom("DEV", name, [(name, _NOBODY)])]
    numbers = {name: number for number, name in enumerate(made.name for geom in geoms for made in geom.provides)}
    text = "<mesh>\n"
    for number, geom_class in enumerate(sorted({geom.geom_class for geom in geoms} | {"RAID", "MULTIPATH"})):
        text += f'  <class id="{_address(number, 0)}">\n    <name>{geom_class}</name>\n'
        for place, geom in enumerate(geoms):
            if geom.geom_class == geom_class:
                text += _printed(geom, _address(place, 1), _address(number, 0), numbers)
        text += "  </class>\n"
    return f"{text}</mesh>\n"


def _made(provider: Provider) -> _Made:
    return _Made(provider.name, provider.access, provider.mediasize, provider.sectorsize)


def _tables(providers: Sequence[Provider]) -> Iterator[_Geom]:
    """Partition tables: one geom on a provider, whatever the number of its partitions."""
    for provider in providers:
        found = _scheme(provider)
        if found:
            partitions = [each for each in provider.passing if each.geom_class == "PART"]
            access = _sum([each.access for each in partitions])
            yield _Geom("PART", provider.name, [(provider.name, access)], [_made(e) for e in partitions], found)


def _users(provider: Provider) -> Iterator[_Geom]:
    """Filesystems, pools, swap; and the device node, with what processes have open."""
    processes = []
    for holder, access in provider.opens.items():
        what = holder.partition(" ")[0]
        if what == "mount":
            yield _Geom("VFS", f"ffs.{provider.name}", [(provider.name, access)])
        elif what == "zfs":
            yield _Geom("ZFS::VDEV", "zfs::vdev", [(provider.name, access)])
        elif what == "swap":
            yield _Geom("SWAP", "swap", [(provider.name, access)])
        elif what not in HOLDING:
            processes.append(access)
    yield _Geom("DEV", provider.name, [(provider.name, _sum(processes))])


def _scheme(provider: Provider) -> str:
    try:
        return "" if provider.stalled else scheme(provider)
    except OSError:
        return ""


def _access_to(provider: Provider, lower: Provider) -> Access:
    """What a provider's geom has open of a member: what it holds itself, or who has the provider open."""
    if provider.geom_class in HOLDING:
        return lower.opens.get(provider.holder, _NOBODY)
    return provider.access


def _sum(accesses: Sequence[Access]) -> Access:
    return Access(sum(a.read for a in accesses), sum(a.write for a in accesses), sum(a.exclusive for a in accesses))


def _printed(geom: _Geom, address: str, class_address: str, numbers: dict[str, int]) -> str:
    """Tabs, blanks and order of sys/geom/geom_dump.c."""
    text = (
        f'    <geom id="{address}">\n      <class ref="{class_address}"/>\n      <name>{_escaped(geom.name)}</name>\n'
    )
    text += "      <rank>1</rank>\n"
    if geom.geom_class == "PART":
        text += f"      <config>\n\t<scheme>{geom.scheme}</scheme>\n\t<entries>128</entries>\n      </config>\n"
    for place, (name, access) in enumerate(geom.consumes):
        text += f'\t<consumer id="{_address(numbers[name] * 16 + place, 3)}">\n\t  <geom ref="{address}"/>\n'
        text += f'\t  <provider ref="{_address(numbers[name], 2)}"/>\n\t  <mode>{access}</mode>\n\t</consumer>\n'
    for made in geom.provides:
        text += f'\t<provider id="{_address(numbers[made.name], 2)}">\n\t  <geom ref="{address}"/>\n'
        text += f"\t  <mode>{made.access}</mode>\n\t  <name>{_escaped(made.name)}</name>\n"
        text += f"\t  <mediasize>{made.mediasize}</mediasize>\n\t  <sectorsize>{made.sectorsize}</sectorsize>\n"
        text += "\t  <stripesize>0</stripesize>\n\t  <stripeoffset>0</stripeoffset>\n"
        if geom.geom_class == "DISK":
            text += "\t  <config>\n\t    <fwheads>16</fwheads>\n\t    <fwsectors>63</fwsectors>\n"
            text += "\t    <rotationrate>unknown</rotationrate>\n\t    <ident></ident>\n\t    <descr>(null)</descr>\n"
            text += "\t  </config>\n"
        text += "\t</provider>\n"
    return f"{text}    </geom>\n"


def _address(number: int, kind: int) -> str:
    return f"{0xFFFFF80003000000 + kind * 0x100000 + number * 0x100:#x}"


def _escaped(name: str) -> str:
    """What g_conf_cat_escaped does not print as it is."""
    return "".join(f"&#x{ord(c):X};" if c in "&<>'\"" or ord(c) > 0x7E else c for c in name)
