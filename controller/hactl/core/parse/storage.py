"""Disks and filesystems: mount(8), swapinfo(8), diskinfo(8), geom(8), gpart(8), glabel(8), zpool(8).

What uses a device is told by GEOM's open counts (`Mode: r1w1e1`): a mount, swap, a pool and a hastd worker all open
it. The other queries only give it a name, or find what is written on it and not open.
Sources: sbin/mount/mount.c:prmount, lib/libgeom, sbin/geom/class/part/geom_part.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hactl.core.facts import Mount, Pool
from hactl.core.parse.text import NotUnderstood, number

_MOUNT = re.compile(r"(\S.*?) on (/.*) \(([^()]*)\)")
_MODE = re.compile(r"Mode: r([0-9]+)w([0-9]+)e([0-9]+)", re.ASCII)
_PROVIDER = re.compile(r"[0-9]+\. Name: (\S.*)", re.ASCII)
_TABLE = re.compile(r"=>\s+[0-9]+\s+[0-9]+\s+(\S+)\s+(\S+)\s+.*", re.ASCII)
#: Labels that come with the disk or its partition table entry, not from what is written on it.
_NEUTRAL_LABELS = ("diskid/", "gpt/", "gptid/")


@dataclass(frozen=True, slots=True)
class Provider:
    """A GEOM provider: size in bytes, and how often it is open (read, write, exclusive)."""

    name: str
    mediasize: int
    opens: tuple[int, int, int]


def parse_mount(text: str) -> tuple[Mount, ...]:
    """`mount`: rows `SPECIAL on NODE (TYPE, option, ...)`, in mount order. Names may hold blanks."""
    mounts: list[Mount] = []
    for line in filter(str.strip, text.split("\n")):
        match = _MOUNT.fullmatch(line.rstrip())
        if match is None:
            raise NotUnderstood("a row that mount does not print")
        fstype, *options = [word.strip() for word in match[3].split(",")]
        if not fstype:
            raise NotUnderstood("a mount without a type")
        mounts.append(Mount(match[1], match[2], fstype, frozenset(options)))
    if not mounts:
        raise NotUnderstood("mount shows nothing, not even /")
    return tuple(mounts)


def parse_swapinfo(text: str) -> tuple[str, ...]:
    """`swapinfo`: the devices swapped to."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or lines[0].split()[0] != "Device":
        raise NotUnderstood("not the table of swapinfo")
    return tuple(line.split()[0] for line in lines[1:] if not line.startswith("Total"))


def parse_diskinfo(text: str) -> tuple[int, int]:
    """`diskinfo DEV`: sector size and media size, both bytes."""
    words = text.split()
    if len(words) < 4 or not words[0].startswith("/"):
        raise NotUnderstood("not a row of diskinfo")
    return number(words[1], "a sector size"), number(words[2], "a media size")


def parse_geom_list(text: str) -> dict[str, Provider]:
    """`geom disk list`, `gpart list`, `glabel list`: providers by name (without /dev/)."""
    providers: dict[str, Provider] = {}
    in_providers = False
    name: str | None = None
    size: int | None = None
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped in ("Providers:", "Consumers:") or stripped.startswith("Geom name:"):
            in_providers, name, size = stripped == "Providers:", None, None
        elif in_providers and (match := _PROVIDER.fullmatch(stripped)):
            name, size = match[1], None
        elif name is not None and stripped.startswith("Mediasize: "):
            size = number(stripped.split()[1], "a media size")
        elif name is not None and stripped.startswith("Mode:"):
            mode = _MODE.fullmatch(stripped)
            if mode is None or size is None:
                raise NotUnderstood(f"the open counts of {name} are not understood")
            providers[name] = Provider(name, size, (int(mode[1]), int(mode[2]), int(mode[3])))
    return providers


def parse_gpart_show(text: str) -> dict[str, str]:
    """`gpart show`: device name -> scheme (GPT, MBR ...) of every partition table."""
    tables: dict[str, str] = {}
    for line in text.split("\n"):
        if line.startswith("=>"):
            match = _TABLE.fullmatch(line.rstrip())
            if match is None:
                raise NotUnderstood("a table that gpart show does not print")
            tables[match[1]] = match[2]
    return tables


def parse_glabel_status(text: str) -> dict[str, str]:
    """`glabel status`: label -> device name, for labels that stem from what is written on the device."""
    labels: dict[str, str] = {}
    lines = [line for line in text.split("\n") if line.strip()]
    if lines and lines[0].split() != ["Name", "Status", "Components"]:
        raise NotUnderstood("not the table of glabel status")
    for line in lines[1:]:
        words = line.split()
        if len(words) < 3:
            raise NotUnderstood("a row that glabel status does not print")
        if not words[0].startswith(_NEUTRAL_LABELS):
            labels[words[0]] = words[-1]
    return labels


def parse_zpool_list(text: str) -> dict[str, Pool]:
    """`zpool list -H -o name,health`: imported pools by name."""
    pools: dict[str, Pool] = {}
    for line in filter(str.strip, text.split("\n")):
        if line.strip() == "no pools available":
            continue
        name, tab, health = line.partition("\t")
        if not tab or not re.fullmatch(r"[A-Z_]+", health.strip()):
            raise NotUnderstood("a row that zpool list does not print")
        pools[name] = Pool(name, health.strip())
    return pools


def parse_zpool_import(text: str) -> dict[str, Pool]:
    """`zpool import -d DIR`: pools that could be imported, by name. Two pools of one name are not understood."""
    pools: dict[str, Pool] = {}
    name: str | None = None
    for line in text.split("\n"):
        key, colon, value = line.strip().partition(":")
        if colon and key == "pool":
            name = value.strip()
        elif colon and key == "state" and name is not None:
            if name in pools:
                raise NotUnderstood(f"two pools are called {name}")
            pools[name], name = Pool(name, value.strip(), imported=False), None
    if not pools and text.strip() and "no pools available to import" not in text:
        raise NotUnderstood("not what zpool import prints")
    return pools
