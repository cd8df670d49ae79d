"""What a replicated disk holds, whoever may read it: read from the disk itself, below hastd and below the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from hactl.core.objects import StorageSpec
from hactl.lab.hast.metadata import InvalidMetadata, NoMetadata, read
from hactl.lab.machine import Machine
from hactl.lab.storage import ufs, zfs
from hactl.lab.storage.provider import Provider
from hactl.lab.storage.vdev import Vdev


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


def image(machine: Machine, device: str, *others: str) -> ufs.Ufs | zfs.Dataset | None:
    """The filesystem on the replicated part of a device, `others` with it for a pool; None: none can be read."""
    disks = [machine.disks.provider(each) for each in (device, *others)]
    areas = []
    for disk in disks:
        try:
            areas += [Area(disk, read(disk).offset)] if disk is not None else []
        except (OSError, NoMetadata, InvalidMetadata):
            continue
    try:
        found = ufs.load(areas[0]) if areas else None
        if found is not None:
            return found
        labels: dict[int, tuple[zfs.Label, Provider]] = {}
        for area in areas:
            label = zfs.read_label(area)
            if label is not None:
                labels[label.own] = label, area
        if not labels:
            return None
        offer = zfs.Offer(max((label for label, _ in labels.values()), key=lambda label: label.txg), labels)
        devices = [each if each in offer.fresh else None for each in offer.devices]
        dataset = zfs.Dataset(Vdev(offer.label.layout, devices))
        return dataset if offer.state != "UNAVAIL" and dataset.load() else None
    except OSError:
        return None


def file_on(machine: Machine, storages: Sequence[StorageSpec], name: str) -> str:
    """A file in the root of the filesystem on these resources' disks there; empty: not there, or not to be read."""
    found = image(machine, *(storage.hast.devices[machine.name] for storage in storages))
    try:
        return found.get(name).decode() if found is not None else ""
    except (OSError, KeyError):
        return ""
