"""Disks and filesystems: mount(8), swapinfo(8), diskinfo(8), fstat(1), zpool(8), the dump device.

Who uses a device is told by GEOM (`core/parse/geom.py`). Source: sbin/mount/mount.c:prmount.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hactl.core.facts import Mount, Pool
from hactl.core.parse.text import NotUnderstood, number

_MOUNT = re.compile(r"(\S.*?) on (/.*) \(([^()]*)\)")


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


def parse_dumpdev(text: str) -> tuple[str, ...]:
    """`sysctl -n kern.shutdown.dumpdevname`: the names (without /dev/) a crash dump goes to, one or several."""
    return tuple(name.strip().removeprefix("/dev/") for name in text.split(",") if name.strip())


def parse_fstat(text: str) -> tuple[str, ...]:
    """`fstat FILE`: the processes that have it open, by name and number."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or lines[0].split()[:3] != ["USER", "CMD", "PID"]:
        raise NotUnderstood("not the table of fstat")
    rows = [line.split() for line in lines[1:]]
    if any(len(row) < 3 or not row[2].isdecimal() for row in rows):
        raise NotUnderstood("a row that fstat does not print")
    return tuple(dict.fromkeys(f"{row[1]} (process {row[2]})" for row in rows))


#: A class of devices besides those of the data: `logs      -      -  ...`
_HEADING = re.compile(r"([a-z]+)(?:\s+-)+\s*")
#: Classes without which a pool is imported all the same.
_DISPENSABLE = frozenset({"cache", "spare", "spares"})


def parse_zpool_list(text: str) -> dict[str, Pool]:
    """`zpool list -HvP -o name,health`: imported pools by name, with their devices.

    The row of a device begins with a tab, whatever its depth; logs, cache and spares stand below a row of dashes
    (docs/freebsd-facts.md#7.65).
    """
    pools: dict[str, Pool] = {}
    rows: dict[str, list[tuple[str, str]]] = {}
    name = of = ""
    for line in filter(str.strip, text.split("\n")):
        if name and line.startswith("\t"):
            rows[name].append((of, line.split("\t")[1]))
        elif name and (heading := _HEADING.fullmatch(line)):
            of = heading[1]
        elif line.strip() != "no pools available":
            name, tab, health = line.partition("\t")
            if not tab or not re.fullmatch(r"[A-Z_]+", health.strip()):
                raise NotUnderstood("a row that zpool list does not print")
            pools[name], rows[name], of = Pool(name, health.strip()), [], ""
    return {name: _with_devices(pool, rows[name]) for name, pool in pools.items()}


def _with_devices(pool: Pool, rows: list[tuple[str, str]]) -> Pool:
    """The pool with what its rows say: of which class, empty for its data, and the device or the word above some."""
    if not rows:
        return pool
    data = [row for of, row in rows if not of]
    words = (re.sub(r"-[0-9]+$", "", row) for row in data if not _is_device(row))
    besides = tuple(row for of, row in rows if of and of not in _DISPENSABLE and _is_device(row))
    return replace(pool, devices=tuple(filter(_is_device, data)), layout=" ".join(words), besides=besides)


def _is_device(row: str) -> bool:
    """A path; or the number of a device that is not found (libzfs_pool.c, zpool_vdev_name)."""
    return row.startswith("/") or row.isdecimal()


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
