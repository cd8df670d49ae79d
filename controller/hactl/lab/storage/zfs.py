"""ZFS as far as a cluster needs it: pools of one vdev, exported or in use, by which host, with one dataset.

Rules:
- A pool is its providers' bytes: on each four labels (256 KiB at each end hold two); a table and file data (`vdev`).
- A pool that was not exported belongs to the host that had it: others need -f (docs/freebsd-facts.md#3.5).
- A pool is DEGRADED without a device while its layout has what is on it elsewhere too; without more of them it is
  suspended, and nothing but a reboot gets rid of it (docs/freebsd-facts.md#2.8).
- A device that was away is older than the others, and brought up to date when it is found again.
- zpool(8), zfs(8), zpool-import(8), zpoolconcepts(7).
"""

from __future__ import annotations

import errno
import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from hactl.lab.host import Host
from hactl.lab.storage.mounts import Mount, Mounts
from hactl.lab.storage.provider import Provider, device_error
from hactl.lab.storage.ufs import Entry
from hactl.lab.storage.vdev import FIRST_BYTE, LABEL_BYTES, RECORD_BYTES, Vdev, copies_of

_LABEL_AT = 16384
_MAGIC = b"ZFSLABEL"
_TABLE_AT = FIRST_BYTE
_DATA_AT = 4 * 1048576
#: So much devices of a mirror or raidz may differ in size, bytes (zpool_vdev.c, ZPOOL_FUZZ).
_FUZZ_BYTES = 16 * 1048576
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
    #: The word of zpool(8) for its vdev (`mirror`); empty: a plain stripe. And the numbers of its devices, in order.
    layout: str = ""
    devices: list[int] = field(default_factory=list)
    #: The number of the device this stands on.
    own: int = 0
    #: Counts what was written to the labels: a device with less of it was away meanwhile.
    txg: int = 0


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

    provider: Vdev
    entries: dict[str, Entry] = field(default_factory=dict)
    clean: bool = True
    last_mounted: str = ""

    def put(self, path: str, content: bytes, mode: int, changed: float) -> None:
        """Write a file's data to free space; it counts with the next `commit`. Raises OSError."""
        size = -(-max(1, len(content)) // RECORD_BYTES) * RECORD_BYTES
        taken = sorted(
            (entry.at, -(-max(1, entry.size) // RECORD_BYTES) * RECORD_BYTES)
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
    def end(self) -> int:
        """The byte behind everything it has."""
        return max((entry.at + entry.size for entry in self.entries.values()), default=_DATA_AT)

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
    vdev: Vdev
    dataset: Dataset
    mount: Mount | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.label.name

    @property
    def health(self) -> str:
        """SUSPENDED once something of it is on no device any more."""
        if not self.vdev.works:
            return "SUSPENDED"
        return "DEGRADED" if self.vdev.missing else "ONLINE"

    @property
    def rows(self) -> list[tuple[int, str, Provider | None]]:
        """Its vdev and devices as zpool(8) lists them: depth, name (a number: not found), provider."""
        above = self.label.layout
        rows: list[tuple[int, str, Provider | None]] = [(1, f"{above}-0", None)] if above else []
        depth = 2 if above else 1
        for number, device in zip(self.label.devices, self.vdev.devices, strict=True):
            rows.append((depth, str(number) if device is None else device.path, device))
        return rows

    def write_labels(self) -> None:
        """On every device that is there. Raises OSError."""
        self.label.txg += 1
        for number, device in zip(self.label.devices, self.vdev.devices, strict=True):
            if device is not None and not device.gone:
                write_label(device, replace(self.label, own=number))


@dataclass(slots=True)
class Offer:
    """A pool that was found on devices and is not imported here."""

    #: The newest one found.
    label: Label
    found: dict[int, tuple[Label, Provider]]

    @property
    def devices(self) -> list[Provider | None]:
        """In the pool's order; None: not found."""
        return [self.found[number][1] if number in self.found else None for number in self.label.devices]

    @property
    def fresh(self) -> list[Provider]:
        """The devices that were with it all the time."""
        return [provider for label, provider in self.found.values() if label.txg == self.label.txg]

    @property
    def state(self) -> str:
        """As `zpool import` says it."""
        lacking = len(self.label.devices) - len(self.fresh)
        if lacking >= copies_of(self.label.layout, len(self.label.devices)):
            return "UNAVAIL"
        return "DEGRADED" if len(self.found) < len(self.label.devices) else "ONLINE"


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

    def candidates(self, directory: str = "/dev") -> list[Offer]:
        """Pools on providers below a directory that are not imported here."""
        offers: dict[int, Offer] = {}
        for path in self.devices.device_nodes():
            provider = self.devices.provider(path)
            if provider is None or provider.stalled or not path.startswith(directory.rstrip("/") + "/"):
                continue
            label = read_label(provider)
            if label is None or label.name in self.imported:
                continue
            offer = offers.setdefault(label.guid, Offer(label, {}))
            offer.found[label.own] = label, provider
            if label.txg > offer.label.txg:
                offer.label = label
        return list(offers.values())

    def create(self, name: str, vdev: Vdev, mountpoint: str, properties: dict[str, str], *, force: bool) -> None:
        """zpool create. Raises PoolError, OSError."""
        if name in self.imported:
            raise PoolError(f"cannot create '{name}': pool already exists")
        wrong = [] if force else list(self._against(vdev))
        if wrong:
            raise PoolError(
                "invalid vdev specification\nuse '-f' to override the following errors:\n" + "\n".join(wrong)
            )
        self._open(name, vdev)
        machine = self.machine
        numbers = [machine.world.random.getrandbits(63) for _ in range(len(vdev.devices) + 1)]
        label = Label(name, numbers[0], machine.hostid, machine.hostname, False, mountpoint, properties)
        label.layout, label.devices = vdev.layout, numbers[1:]
        pool = self._add(label, vdev, Dataset(vdev))
        pool.dataset.commit()
        self._mount(pool)

    def _against(self, vdev: Vdev) -> Iterator[str]:
        for device in vdev.present:
            old = read_label(device)
            if old is not None:
                state = "exported" if old.exported else "potentially active"
                yield f"{device.path} is part of {state} pool '{old.name}'"
        sizes = [device.mediasize for device in vdev.present]
        if vdev.layout and max(sizes) - min(sizes) > _FUZZ_BYTES:
            yield f"{vdev.layout.rstrip('123')} contains devices of different sizes"

    def _open(self, name: str, vdev: Vdev) -> None:
        for device in vdev.present:
            try:
                device.open(f"zfs {name}", 1, 1, 1)
            except OSError:
                self._close(name, vdev)
                raise

    def _close(self, name: str, vdev: Vdev) -> None:
        for device in vdev.devices:
            if device is not None:
                device.close(f"zfs {name}")

    def _add(self, label: Label, vdev: Vdev, dataset: Dataset) -> Pool:
        pool = self.imported[label.name] = Pool(label, vdev, dataset)
        vdev.on_loss = pool.write_labels
        pool.write_labels()
        return pool

    def import_pool(
        self, name: str, directory: str, *, force: bool, mounting: bool = True, mountpoint: str = ""
    ) -> None:
        """zpool import NAME. Raises PoolError, OSError."""
        if name in self.imported:
            raise PoolError(
                f"cannot import '{name}': a pool with that name already exists\n"
                "use the form 'zpool import <pool | id> <newpool>' to give it a new name"
            )
        offers = (offer for offer in self.candidates(directory) if name in (offer.label.name, str(offer.label.guid)))
        offer = next(offers, None)
        if offer is None:
            raise PoolError(f"cannot import '{name}': no such pool available")
        label = offer.label
        if not label.exported and label.hostid != self.machine.hostid and not force:
            raise PoolError(
                f"cannot import '{name}': pool was previously in use from another system.\n"
                f"Last accessed by {label.hostname} (hostid={label.hostid:x}) at {self._time(label.last_import)}\n"
                "The pool can be imported, use 'zpool import -f' to import the pool."
            )
        if offer.state == "UNAVAIL":
            raise PoolError(f"cannot import '{name}': one or more devices is currently unavailable")
        pool = self._taken(offer, name)
        pool.label.mountpoint = mountpoint or label.mountpoint
        pool.write_labels()
        if mounting:
            self._mount(pool)

    def _taken(self, offer: Offer, name: str) -> Pool:
        """What is offered, read from the devices that were with it, which the others are then made equal to."""
        label, fresh = offer.label, offer.fresh
        vdev = Vdev(label.layout, offer.devices)
        dataset = Dataset(Vdev(label.layout, [device if device in fresh else None for device in offer.devices]))
        self._open(label.name, vdev)
        if not dataset.load():
            self._close(label.name, vdev)
            raise PoolError(
                f"cannot import '{name}': I/O error\n\tDestroy and re-create the pool from\n\ta backup source."
            )
        dataset.provider = vdev
        if len(fresh) < len(vdev.present):
            vdev.resilver(fresh, dataset.end)
        machine = self.machine
        label.exported, label.hostid, label.hostname = False, machine.hostid, machine.hostname
        label.last_import = machine.epoch()
        return self._add(label, vdev, dataset)

    def online(self, name: str, path: str) -> None:
        """zpool online: a device of the pool is there again. Raises PoolError, OSError."""
        pool, provider = self.get(name, "open"), self.devices.provider(path)
        label = read_label(provider) if provider is not None else None
        if provider is None or label is None or label.guid != pool.label.guid:
            raise PoolError(f"cannot online {path}: no such device in pool")
        fresh = pool.vdev.present
        if provider not in fresh:
            provider.open(f"zfs {name}", 1, 1, 1)
            pool.vdev.devices[pool.label.devices.index(label.own)] = provider
            pool.vdev.resilver(fresh, pool.dataset.end)
            pool.write_labels()

    def _time(self, epoch: float) -> str:
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(epoch))

    def export(self, name: str, *, force: bool, cwd: str = "") -> None:
        """zpool export. Raises PoolError, OSError."""
        pool = self.get(name, "open")
        if not pool.vdev.works:
            raise PoolError(f"cannot export '{name}': pool I/O is currently suspended")
        if pool.mount is not None:
            inside = cwd == pool.mount.node or cwd.startswith(f"{pool.mount.node}/")
            if (inside or self.devices.mounts.busy(pool.mount.node)) and not force:
                raise PoolError(f"cannot unmount '{pool.mount.node}': pool or dataset is busy")
            self.unmount(pool)
        pool.dataset.commit()
        pool.label.exported = True
        pool.write_labels()
        self._close(name, pool.vdev)
        del self.imported[name]

    def destroy(self, name: str) -> None:
        """zpool destroy. Raises PoolError, OSError."""
        pool = self.get(name, "open")
        self.export(name, force=True)
        for device in pool.vdev.present:
            clear_label(device)

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
