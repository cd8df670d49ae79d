"""What a replicated disk holds, whoever may read it: read from the disk itself, below hastd and below the kernel."""

from __future__ import annotations

from hactl.core.objects import StorageSpec
from hactl.lab.hast.metadata import InvalidMetadata, NoMetadata, read
from hactl.lab.machine import Machine
from hactl.lab.storage import ufs, zfs
from hactl.lab.storage.provider import Provider


class Area(Provider):
    """What HAST replicates of a disk: all behind its metadata."""

    def __init__(self, disk: Provider, offset: int) -> None:
        """`offset`: where it begins, bytes."""
        super().__init__("area", disk.mediasize - offset)
        self.disk, self.offset = disk, offset

    def read(self, offset: int, length: int) -> bytes:
        """As the disk does."""
        return self.disk.read(self.offset + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Nothing is written from here."""
        raise PermissionError(offset, len(data))


def image(machine: Machine, device: str) -> ufs.Ufs | zfs.Dataset | None:
    """The filesystem on the replicated part of a device; None: none can be read."""
    disk = machine.disks.provider(device)
    if disk is None:
        return None
    try:
        area = Area(disk, read(disk).offset)
        found = ufs.load(area)
        if found is not None:
            return found
        dataset = zfs.Dataset(area)
        return dataset if zfs.read_label(area) is not None and dataset.load() else None
    except (OSError, NoMetadata, InvalidMetadata):
        return None


def file_on(machine: Machine, storage: StorageSpec, name: str) -> str:
    """A file in the root of the filesystem as it is on that node's disk; empty: it is not there, or cannot be read."""
    found = image(machine, storage.hast.devices[machine.name])
    try:
        return found.get(name).decode() if found is not None else ""
    except (OSError, KeyError):
        return ""
