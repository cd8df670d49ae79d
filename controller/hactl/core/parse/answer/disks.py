"""The disks of a probe's answer: local devices, /dev/hast, pools.

Rules: a device is unused only when every query about its use was understood, and blank only when every byte that was
to be read was read and is zero. Man pages: geom(8), dd(1), zpool(8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hactl.core.facts import Device, HastMetadata, HastResource, Known, Mount, NoMetadata, Pool, Reading, Unknown
from hactl.core.objects import StorageSpec
from hactl.core.parse import kernel, storage
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.text import NotUnderstood, number

_MIB = 1048576


def read_mounts(reader: Reader) -> Reading[tuple[Mount, ...]]:
    """What is mounted."""
    return reader.read("mount", lambda s: storage.parse_mount(reader.good(s)))


def _kind(reader: Reader, mark: str) -> Reading[str]:
    def find(section: Section) -> str:
        for line in section.text.split("\n"):
            name, _, kind = line.partition(" ")
            if name == mark and kind in ("c", "f", "-"):
                return kind
        raise NotUnderstood("the probe did not say whether the device exists")

    return reader.read("nodes", find)


def _sizes(reader: Reader, mark: str) -> tuple[int, int]:
    """Media size and sector size; 0, 0 when they were not asked for or not told."""
    sizes = reader.read(f"diskinfo.{mark}", lambda s: storage.parse_diskinfo(reader.good(s)))
    return (sizes.value[1], sizes.value[0]) if isinstance(sizes, Known) else (0, 0)


def _blank(reader: Reader, mark: str, mediasize: int) -> bool | None:
    """Whether the first MiB, and the last one to two, are all zero; None when that is not known."""
    if mediasize <= 0:
        return None
    first = _zero(reader, f"first.{mark}", min(_MIB, mediasize))
    if first is not True or mediasize < _MIB:
        return first
    return _zero(reader, f"last.{mark}", mediasize - max(mediasize // _MIB - 1, 0) * _MIB)


def _zero(reader: Reader, name: str, expected: int) -> bool | None:
    """Whether all of `expected` bytes were read and zero. A read that fell short is not known, never blank."""

    def count(section: Section) -> bool | None:
        zeros, total = [number(word, "a count") for word in section.text.split()]
        return True if zeros == expected else False if total == expected else None

    reading = reader.read(name, count)
    return reading.value if isinstance(reading, Known) else None


def read_device(
    reader: Reader,
    index: int,
    spec: StorageSpec,
    metadata: Reading[HastMetadata | NoMetadata],
    resources: Reading[Mapping[str, HastResource]],
    mounts: Reading[tuple[Mount, ...]],
) -> Reading[Device]:
    """A local disk. Use and blankness are only asked for where hactl may create metadata on it."""
    path = spec.hast.devices[reader.node]
    kind = _kind(reader, f"d{index}")
    if isinstance(kind, Unknown):
        return kind
    if kind.value == "-":
        return reader.known(Device(path, exists=False))
    mediasize, sectorsize = _sizes(reader, f"d{index}")
    used = [f"mounted on {m.node}" for m in mounts.value if m.special == path] if isinstance(mounts, Known) else []
    if isinstance(resources, Known) and any(r.localpath == path and r.workerpid for r in resources.value.values()):
        used.append("hastd")
    examined = f"diskinfo.d{index}" in reader.frames.sections
    names, use_known = _uses(reader, path.removeprefix("/dev/")) if examined else ([], False)
    # With metadata of HAST on it, the disk is hastd's, and nobody asks GEOM about it.
    of_hast = isinstance(metadata, Known) and isinstance(metadata.value, HastMetadata)
    blank = _blank(reader, f"d{index}", mediasize) if examined else None
    return Known(
        Device(
            path,
            exists=True,
            mediasize=mediasize,
            sectorsize=sectorsize,
            blank=blank,
            used_by=tuple(dict.fromkeys([*used, *names, *(["HAST metadata"] if of_hast else [])])),
            use_known=isinstance(mounts, Known) and (use_known or of_hast),
        ),
        reader.seen_at,
    )


#: geom(8) when the kernel has no such class: list and status are then "not available".
_NO_CLASS = re.compile(r"Class '?\w+'? not found|Command '\w+' not available")


def _uses(reader: Reader, name: str) -> tuple[list[str], bool]:
    """Who uses a disk, partition or label, and whether every query about it was understood."""
    used: list[str] = []
    swap = reader.read("swapinfo", lambda s: storage.parse_swapinfo(reader.good(s)))
    tables = reader.read("gpart", lambda s: storage.parse_gpart_show(_of_class(reader, s)))
    labels = reader.read("glabel", lambda s: storage.parse_glabel_status(_of_class(reader, s)))
    if isinstance(swap, Known):
        used += ["swap"] if f"/dev/{name}" in swap.value else []
    if isinstance(tables, Known):
        used += [f"{tables.value[name]} partition table"] if name in tables.value else []
    if isinstance(labels, Known):
        used += [f"label {label}" for label, on in labels.value.items() if on == name]
    known = all(isinstance(reading, Known) for reading in (swap, tables, labels))
    provider: storage.Provider | None = None
    for section in ("geom", "gpartlist", "glabellist"):
        listed = reader.read(section, lambda s: storage.parse_geom_list(_of_class(reader, s)))
        if isinstance(listed, Known):
            provider = provider or listed.value.get(name)
    if provider is None:
        return used, False
    if any(provider.opens):
        reads, writes, exclusive = provider.opens
        used.append(f"open (r{reads}w{writes}e{exclusive})")
    return used, known


def _of_class(reader: Reader, section: Section) -> str:
    """What a GEOM class says. A kernel without the class has nothing of it (sbin/geom/core/geom.c, both wordings)."""
    return "" if _NO_CLASS.search(section.text) else reader.good(section)


def read_gate(
    reader: Reader,
    index: int,
    spec: StorageSpec,
    mounts: Reading[tuple[Mount, ...]],
    pools: Reading[Mapping[str, Pool]],
) -> Reading[Device]:
    """/dev/hast/NAME: blank is None unless it is the primary's, unused, and something may be made on it."""
    path = spec.device
    kind = _kind(reader, f"h{index}")
    if isinstance(kind, Unknown):
        return kind
    mediasize, sectorsize = _sizes(reader, f"h{index}")
    used = [f"mounted on {m.node}" for m in mounts.value if m.special == path] if isinstance(mounts, Known) else []
    pool = spec.filesystem.zfs.pool if spec.filesystem is not None and spec.filesystem.zfs is not None else ""
    if isinstance(pools, Known) and pool in pools.value and pools.value[pool].imported:
        used.append(f"pool {pool}")
    return Known(
        Device(
            path,
            exists=kind.value == "c",
            mediasize=mediasize,
            sectorsize=sectorsize,
            blank=_blank(reader, f"h{index}", mediasize),
            used_by=tuple(used),
            use_known=isinstance(mounts, Known) and isinstance(pools, Known),
        ),
        reader.seen_at,
    )


def read_pools(reader: Reader) -> Reading[Mapping[str, Pool]]:
    """Pools; empty while the zfs module is not loaded, and when the document has no pool on this node."""
    if not any(s.filesystem is not None and s.filesystem.zfs is not None for s in reader.storages):
        return reader.known({}) if reader.uname is None else reader.missing("zpool")
    module = reader.read("zfs", lambda s: kernel.parse_kldstat(s.status, s.text))
    if isinstance(module, Unknown):
        return module
    if not module.value:
        return reader.known({})
    pools = reader.read("zpool", lambda s: storage.parse_zpool_list(reader.good(s)))
    if isinstance(pools, Unknown) or "import" not in reader.frames.sections:
        return pools
    found = reader.read("import", lambda s: storage.parse_zpool_import(s.text))
    if isinstance(found, Unknown):
        reader.note(f"zpool import: {found.reason}")
        return pools
    return reader.known({**found.value, **pools.value})
