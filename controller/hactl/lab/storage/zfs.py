"""ZFS as far as a cluster needs it: pools of one provider, exported or in use, by which host, with one dataset.

Rules:
- A pool is its provider's bytes: four labels (256 KiB at each end hold two), a table, file data.
- A pool that was not exported belongs to the host that had it: others need -f (docs/freebsd-facts.md#3.5).
- A pool whose provider was taken away is suspended: nothing but a reboot gets rid of it.
- zpool(8), zfs(8), zpool-import(8).
"""

from __future__ import annotations

import errno
import json
import struct
import time
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from hactl.lab.host import Host
from hactl.lab.storage.mounts import Mount, Mounts
from hactl.lab.storage.provider import Provider, device_error
from hactl.lab.storage.ufs import Entry

LABEL_BYTES = 262144
_LABEL_AT = 16384
_MAGIC = b"ZFSLABEL"
_TABLE_AT = 3 * 1048576
_DATA_AT = 4 * 1048576
_RECORD_BYTES = 131072
#: What a pool keeps for itself, bytes.
_RESERVED_BYTES = 24 * 1048576
#: What an empty pool already uses, bytes.
_BASE_BYTES = 110592


@dataclass(slots=True)
class Label:
    """What the labels say. `exported`: no host has the pool; otherwise `hostid` and `hostname` have (or had) it."""

    name: str
    guid: int
    hostid: int
    hostname: str
    exported: bool
    mountpoint: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    last_import: float = 0.0


def read_label(provider: Provider) -> Label | None:
    """The label on a provider; None if there is none that can be read."""
    try:
        raw = provider.read(_LABEL_AT, 8192)
    except OSError:
        return None
    if not raw.startswith(_MAGIC):
        return None
    length = struct.unpack_from("<I", raw, len(_MAGIC))[0]
    try:
        return Label(**json.loads(raw[len(_MAGIC) + 4 : len(_MAGIC) + 4 + length]))
    except (ValueError, TypeError):
        return None


def write_label(provider: Provider, label: Label) -> None:
    """Write all four labels. Raises OSError."""
    text = json.dumps({name: getattr(label, name) for name in Label.__dataclass_fields__}).encode()
    raw = _MAGIC + struct.pack("<I", len(text)) + text
    end = provider.mediasize // LABEL_BYTES * LABEL_BYTES
    for base in (0, LABEL_BYTES, end - 2 * LABEL_BYTES, end - LABEL_BYTES):
        provider.write(base + _LABEL_AT, raw.ljust(8192, b"\0"))


def clear_label(provider: Provider) -> None:
    """zpool labelclear. Raises OSError."""
    end = provider.mediasize // LABEL_BYTES * LABEL_BYTES
    for base in (0, LABEL_BYTES, end - 2 * LABEL_BYTES, end - LABEL_BYTES):
        provider.write(base + _LABEL_AT, bytes(8192))


@dataclass(slots=True)
class Dataset:
    """The pool's root dataset: files in memory, written by transaction (`commit`)."""

    provider: Provider
    entries: dict[str, Entry] = field(default_factory=dict)
    clean: bool = True
    last_mounted: str = ""

    def put(self, path: str, content: bytes, mode: int, changed: float) -> None:
        """Write a file's data to free space; it counts with the next `commit`. Raises OSError."""
        size = -(-max(1, len(content)) // _RECORD_BYTES) * _RECORD_BYTES
        taken = sorted(
            (entry.at, -(-max(1, entry.size) // _RECORD_BYTES) * _RECORD_BYTES)
            for entry in self.entries.values()
            if entry.at
        )
        position = _DATA_AT
        for start, length in taken:
            if start - position >= size:
                break
            position = max(position, start + length)
        if position + size > self.provider.mediasize - 2 * LABEL_BYTES:
            raise device_error(errno.ENOSPC)
        self.provider.write(position, content)
        self.entries[path] = Entry("file", mode, changed, position, len(content))

    def get(self, path: str) -> bytes:
        """A file's data. Raises OSError."""
        entry = self.entries[path]
        return self.provider.read(entry.at, entry.size)

    def make_directory(self, path: str, mode: int, changed: float) -> None:
        """Add a directory."""
        self.entries[path] = Entry("dir", mode, changed)

    def remove(self, path: str) -> None:
        """Remove a file or directory."""
        self.entries.pop(path, None)

    def commit(self) -> None:
        """A transaction group: the table as it is now. Raises OSError."""
        table = json.dumps(
            {path: [e.kind, e.mode, e.changed, e.at, e.size] for path, e in self.entries.items()}
        ).encode()
        self.provider.write(_TABLE_AT, struct.pack("<II", len(table), zlib.crc32(table)) + table)

    def save_superblock(self) -> None:
        """Nothing: a dataset is consistent at any moment."""

    def load(self) -> bool:
        """Read the table; False if it is torn. Raises OSError."""
        length, checksum = struct.unpack("<II", self.provider.read(_TABLE_AT, 8))
        table = self.provider.read(_TABLE_AT + 8, min(length, _DATA_AT - _TABLE_AT))
        if zlib.crc32(table) != checksum:
            return False
        self.entries = {path: Entry(*fields) for path, fields in json.loads(table).items()}
        return True

    @property
    def used_bytes(self) -> int:
        """Allocated bytes."""
        return _BASE_BYTES + sum(entry.size for entry in self.entries.values())

    @property
    def size_bytes(self) -> int:
        """What the pool offers in all."""
        return self.provider.mediasize - _RESERVED_BYTES

    def blocks(self) -> tuple[int, int, int]:
        """(size, used, available) in 1024-byte blocks, for df."""
        used = self.used_bytes // 1024
        return self.size_bytes // 1024, used, self.size_bytes // 1024 - used


@dataclass(slots=True, eq=False)
class Pool:
    """An imported pool."""

    label: Label
    provider: Provider
    dataset: Dataset
    mount: Mount | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.label.name

    @property
    def health(self) -> str:
        """ONLINE, or SUSPENDED without its only provider."""
        return "SUSPENDED" if self.provider.gone else "ONLINE"


class PoolError(Exception):
    """A zpool or zfs command fails with this text."""


class Devices(Protocol):
    """What pools need of a machine's disks."""

    mounts: Mounts

    def device_nodes(self) -> dict[str, str]: ...
    def provider(self, path: str) -> Provider | None: ...


class Pools:
    """The pools one machine has imported."""

    def __init__(self, machine: Host, devices: Devices) -> None:
        """None yet."""
        self.machine, self.devices = machine, devices
        self.imported: dict[str, Pool] = {}

    def on_boot(self) -> None:
        """Nothing is imported by itself: hactl keeps its pools out of the boot cache."""
        self.imported.clear()

    def on_power_off(self) -> None:
        """Memory is gone; the labels still name this host."""
        self.imported.clear()

    def candidates(self, directory: str = "/dev") -> list[tuple[Label, Provider]]:
        """Pools on providers below a directory that are not imported here."""
        found = []
        for path in self.devices.device_nodes():
            provider = self.devices.provider(path)
            if provider is None or provider.stalled or not path.startswith(directory.rstrip("/") + "/"):
                continue
            label = read_label(provider)
            if label is not None and label.name not in self.imported:
                found.append((label, provider))
        return found

    def create(
        self, name: str, provider: Provider, mountpoint: str, properties: dict[str, str], *, force: bool
    ) -> None:
        """zpool create. Raises PoolError, OSError."""
        if name in self.imported:
            raise PoolError(f"cannot create '{name}': pool already exists")
        old = read_label(provider)
        if old is not None and not force:
            state = "exported" if old.exported else "potentially active"
            raise PoolError(
                "invalid vdev specification\nuse '-f' to override the following errors:\n"
                f"{provider.path} is part of {state} pool '{old.name}'"
            )
        provider.open(f"zfs {name}", 1, 1, 1)
        machine = self.machine
        label = Label(
            name, machine.world.random.getrandbits(63), machine.hostid, machine.hostname, False, mountpoint, properties
        )
        dataset = Dataset(provider)
        write_label(provider, label)
        dataset.commit()
        pool = self.imported[name] = Pool(label, provider, dataset)
        self._mount(pool)

    def import_pool(
        self, name: str, directory: str, *, force: bool, mounting: bool = True, mountpoint: str = ""
    ) -> None:
        """zpool import NAME. Raises PoolError, OSError."""
        if name in self.imported:
            raise PoolError(
                f"cannot import '{name}': a pool with that name already exists\n"
                "use the form 'zpool import <pool | id> <newpool>' to give it a new name"
            )
        found = next(
            ((label, p) for label, p in self.candidates(directory) if name in (label.name, str(label.guid))), None
        )
        if found is None:
            raise PoolError(f"cannot import '{name}': no such pool available")
        label, provider = found
        if not label.exported and label.hostid != self.machine.hostid and not force:
            raise PoolError(
                f"cannot import '{name}': pool was previously in use from another system.\n"
                f"Last accessed by {label.hostname} (hostid={label.hostid:x}) at {self._time(label.last_import)}\n"
                "The pool can be imported, use 'zpool import -f' to import the pool."
            )
        dataset = Dataset(provider)
        provider.open(f"zfs {label.name}", 1, 1, 1)
        if not dataset.load():
            provider.close(f"zfs {label.name}")
            raise PoolError(
                f"cannot import '{name}': I/O error\n\tDestroy and re-create the pool from\n\ta backup source."
            )
        label.exported, label.hostid, label.hostname = False, self.machine.hostid, self.machine.hostname
        label.last_import = self.machine.epoch()
        label.mountpoint = mountpoint or label.mountpoint
        write_label(provider, label)
        pool = self.imported[label.name] = Pool(label, provider, dataset)
        if mounting:
            self._mount(pool)

    def _time(self, epoch: float) -> str:
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(epoch))

    def export(self, name: str, *, force: bool, cwd: str = "") -> None:
        """zpool export. Raises PoolError, OSError."""
        pool = self.get(name, "open")
        if pool.provider.gone:
            raise PoolError(f"cannot export '{name}': pool I/O is currently suspended")
        if pool.mount is not None:
            inside = cwd == pool.mount.node or cwd.startswith(f"{pool.mount.node}/")
            if (inside or self.devices.mounts.busy(pool.mount.node)) and not force:
                raise PoolError(f"cannot unmount '{pool.mount.node}': pool or dataset is busy")
            self.unmount(pool)
        pool.dataset.commit()
        pool.label.exported = True
        write_label(pool.provider, pool.label)
        pool.provider.close(f"zfs {name}")
        del self.imported[name]

    def destroy(self, name: str) -> None:
        """zpool destroy. Raises PoolError, OSError."""
        pool = self.get(name, "open")
        self.export(name, force=True)
        clear_label(pool.provider)

    def get(self, name: str, verb: str) -> Pool:
        """An imported pool. Raises PoolError."""
        pool = self.imported.get(name)
        if pool is None:
            raise PoolError(f"cannot {verb} '{name}': no such pool")
        return pool

    def _mount(self, pool: Pool) -> None:
        node = pool.label.mountpoint or f"/{pool.name}"
        if node not in ("none", "legacy"):
            self.mount_at(pool.name, node)

    def mount_at(self, name: str, node: str) -> None:
        """Mount a pool's dataset. Raises OSError."""
        pool = self.imported.get(name)
        if pool is None:
            raise device_error(errno.ENOENT)
        if pool.mount is not None:
            raise device_error(errno.EBUSY)
        self.machine.files.fs.mkdir(node, True)
        gone = partial(setattr, pool, "mount", None)
        pool.mount = Mount(name, node, "zfs", {"local", "nfsv4acls"}, pool.dataset, on_gone=gone)
        self.devices.mounts.cover(pool.mount)

    def unmount(self, pool: Pool) -> None:
        """Unmount a pool's dataset, everything written. Raises OSError."""
        if pool.mount is not None:
            mount, pool.mount = pool.mount, None
            if mount in self.devices.mounts.table:
                self.devices.mounts.unmount(mount, force=True)
