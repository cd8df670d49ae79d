"""The disks of a probe's answer: local devices, /dev/hast, pools.

Rules: a device is unused only when every query about its use was understood, and blank only when every byte that was
to be read was read and is zero. Man pages: geom(4), dd(1), zpool(8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hactl.core.facts import Device, HastMetadata, HastResource, Known, Mount, NoMetadata, Pool, Reading, Unknown
from hactl.core.objects import StorageSpec
from hactl.core.parse import geom, kernel, storage
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.text import NotUnderstood, number

T = TypeVar("T")
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
    uses = _uses(reader, index, path, mounts) if examined else _Uses(unknown="nobody asked")
    # With metadata of HAST on it, the disk is hastd's, and nobody asks GEOM about it.
    of_hast = isinstance(metadata, Known) and isinstance(metadata.value, HastMetadata)
    blank = _blank(reader, f"d{index}", mediasize) if examined else None
    use_known = isinstance(mounts, Known) and (not uses.unknown or of_hast)
    return Known(
        Device(
            path,
            exists=True,
            mediasize=mediasize,
            sectorsize=sectorsize,
            blank=blank,
            used_by=tuple(dict.fromkeys([*used, *uses.by, *(["HAST metadata"] if of_hast else [])])),
            use_known=use_known,
            use_unknown="" if use_known else uses.unknown,
        ),
        reader.seen_at,
    )


@dataclass(slots=True)
class _Uses:
    """Who uses a local device, and what could not be found out about that (empty: nothing is missing)."""

    by: list[str] = field(default_factory=list)
    unknown: str = ""

    def ask(self, what: str, reading: Reading[T]) -> T | None:
        """What a query told; what it is called, where it told nothing."""
        if isinstance(reading, Known):
            return reading.value
        self.unknown = self.unknown or f"{what}: {reading.reason}"
        return None


def _uses(reader: Reader, index: int, path: str, mounts: Reading[tuple[Mount, ...]]) -> _Uses:
    """Who uses a local device or file: GEOM, swap, the dump device; of a file memory disks and processes."""
    uses = _Uses()
    mounted = uses.ask("mount", mounts) or ()
    swap = uses.ask("swapinfo", reader.read("swapinfo", lambda s: storage.parse_swapinfo(reader.good(s)))) or ()
    dump = uses.ask(
        "sysctl kern.shutdown.dumpdevname",
        reader.read("dumpdev", lambda s: storage.parse_dumpdev(reader.good(s))),
    )
    mesh = uses.ask("sysctl kern.geom.confxml", reader.read("mesh", lambda s: geom.parse_mesh(s.text)))
    real = path
    if f"real.d{index}" in reader.frames.sections:
        real = uses.ask("realpath", reader.read(f"real.d{index}", lambda s: reader.good(s).strip())) or path
    names = [name.removeprefix("/dev/") for name in dict.fromkeys((path, real))]
    uses.by += ["swap" for name in names if f"/dev/{name}" in swap][:1]
    uses.by += ["crash dumps (dumpon(8))" for name in names if name in (dump or ())][:1]
    if mesh is None:
        return uses
    if not real.startswith("/dev/"):
        _uses_of_file(reader, index, real, mesh, uses)
        return uses
    if not any(name in mesh for name in names):
        uses.unknown = uses.unknown or "it is no GEOM provider"
    uses.by += [_word(user, mounted) for name in names for user in mesh.users(name) if not _neutral(user)]
    return uses


def _uses_of_file(reader: Reader, index: int, path: str, mesh: geom.Mesh, uses: _Uses) -> None:
    """A file: what the kernel has open (a LUN of ctld(8)) no program tells; memory disks and processes are told."""
    uses.by += [f"memory disk {name}" for name in mesh.of_file(path)]
    processes = uses.ask("fstat", reader.read(f"fstat.d{index}", lambda s: storage.parse_fstat(reader.good(s))))
    uses.by += [f"open by {process}" for process in processes or ()]


#: Labels that come with the disk or its partition table entry, not from what is written on the device.
_NEUTRAL_LABELS = ("diskid/", "gpt/", "gptid/")


def _neutral(user: geom.User) -> bool:
    return user.geom_class == "LABEL" and user.name.startswith(_NEUTRAL_LABELS)


def _word(user: geom.User, mounted: tuple[Mount, ...]) -> str:
    """A user of a provider as people call it."""
    reads, writes, exclusive = user.opens
    match user.geom_class:
        case "DEV" | "":
            return f"open (r{reads}w{writes}e{exclusive})"
        case "PART":
            return f"{user.name} partition table"
        case "LABEL":
            return f"label {user.name}"
        case "SWAP":
            return "swap"
        case "ZFS::VDEV":
            return "a ZFS pool"
        case "ELI":
            return f"geli {user.name}"
        case "VFS":
            # ffs.mirror/gm0: the filesystem and the provider (sys/geom/geom_vfs.c, g_vfs_open).
            special = f"/dev/{user.name.partition('.')[2]}"
            node = next((mount.node for mount in mounted if mount.special == special), None)
            return f"mounted on {node}" if node else f"mounted filesystem {user.name}"
    return f"{user.geom_class.lower()} {user.name}"


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
