"""The disks of one machine: GEOM providers with sparse contents, who has them open, and their device nodes.

Rules:
- A provider is bytes. Filesystems, pools and HAST metadata are kept in those bytes (ufs.py, zfs.py,
  hast_metadata.py), so that replication, half a synchronisation and dd have the effect they would have.
- Disks survive power; opens, mounts and everything below /dev do not.
- OSError carries Linux's numbers; `error_text` of files.py says them as FreeBSD does.
- Man pages: geom(4), g_access(9), dd(1), diskinfo(8).
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hactl.lab.machine import Machine
    from hactl.lab.storage.mounts import Mounts
    from hactl.lab.storage.zfs import Pools

MIB = 1048576
DISK_BYTES = 128 * MIB
#: Granularity of the sparse contents.
CHUNK_BYTES = 65536
_ZEROS = bytes(CHUNK_BYTES)


def device_error(number: int) -> OSError:
    """An OSError of that number."""
    return OSError(number, os.strerror(number))


@dataclass(frozen=True, slots=True)
class Access:
    """One consumer's open counts."""

    read: int
    write: int
    exclusive: int


class Provider(ABC):
    """A GEOM provider: a name below /dev, a size, contents, consumers."""

    def __init__(self, name: str, mediasize: int, sectorsize: int = 512) -> None:
        """Size in bytes."""
        self.name = name
        self.mediasize = mediasize
        self.sectorsize = sectorsize
        self.opens: dict[str, Access] = {}
        #: Taken away by force; every access answers ENXIO.
        self.gone = False

    @property
    def path(self) -> str:
        """Its device node."""
        return f"/dev/{self.name}"

    def open(self, holder: str, read: int = 1, write: int = 0, exclusive: int = 0) -> None:
        """Add a consumer. Raises OSError: ENXIO if gone, EPERM where g_access(9) refuses."""
        if self.gone:
            raise device_error(errno.ENXIO)
        others = [access for name, access in self.opens.items() if name != holder]
        if (write and any(access.exclusive for access in others)) or (
            exclusive and any(access.write for access in others)
        ):
            raise device_error(errno.EPERM)
        self.opens[holder] = Access(read, write, exclusive)

    def close(self, holder: str) -> None:
        """Remove a consumer if it is there."""
        self.opens.pop(holder, None)

    @property
    def mode(self) -> str:
        """The open counts as `geom disk list` prints them: r1w1e0."""
        counts = self.opens.values()
        return f"r{sum(a.read for a in counts)}w{sum(a.write for a in counts)}e{sum(a.exclusive for a in counts)}"

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Bytes, fewer at the end of the media. Raises OSError."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Store bytes; what does not fit is refused with ENOSPC. Raises OSError."""

    @property
    def stalled(self) -> bool:
        """Whether I/O sent to it now is not answered yet."""
        return False


class Disk(Provider):
    """A local disk with sparse contents."""

    def __init__(self, name: str, mediasize: int = DISK_BYTES) -> None:
        """All zero."""
        super().__init__(name, mediasize)
        self.chunks: dict[int, bytearray] = {}
        #: Every access fails with EIO.
        self.failed = False
        #: Writes fail with EIO, reads do not.
        self.fails_writes = False

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from the media. Raises OSError EIO on a failed disk."""
        if self.failed:
            raise device_error(errno.EIO)
        length = max(0, min(length, self.mediasize - offset))
        parts, end = [], offset + length
        while offset < end:
            number, start = divmod(offset, CHUNK_BYTES)
            size = min(CHUNK_BYTES - start, end - offset)
            chunk = self.chunks.get(number, _ZEROS)
            parts.append(bytes(chunk[start : start + size]))
            offset += size
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Bytes onto the media. Raises OSError EIO on a failed disk, ENOSPC beyond its end."""
        if self.failed or self.fails_writes:
            raise device_error(errno.EIO)
        if offset + len(data) > self.mediasize:
            raise device_error(errno.ENOSPC)
        position = 0
        while position < len(data):
            number, start = divmod(offset + position, CHUNK_BYTES)
            piece = data[position : position + CHUNK_BYTES - start]
            if number not in self.chunks and piece.count(0) != len(piece):
                self.chunks[number] = bytearray(CHUNK_BYTES)
            if number in self.chunks:
                self.chunks[number][start : start + len(piece)] = piece
            position += len(piece)


class Disks:
    """All block devices of one machine and what is mounted from them."""

    def __init__(self, machine: Machine) -> None:
        """Only the system disk; `add` the others."""
        self.machine = machine
        self.disks: dict[str, Disk] = {"vtbd0": Disk("vtbd0", 1024 * MIB)}
        #: Providers of running HAST primaries by name ("hast/data"), device node present or not yet.
        self.gates: dict[str, Provider] = {}

    @cached_property
    def mounts(self) -> Mounts:
        """The mount table."""
        from hactl.lab.storage.mounts import Mounts

        return Mounts(self.machine)

    @cached_property
    def pools(self) -> Pools:
        """Imported ZFS pools."""
        from hactl.lab.storage.zfs import Pools

        return Pools(self.machine)

    def add(self, name: str, mediasize: int = DISK_BYTES) -> Disk:
        """Plug in a blank disk ("vtbd1" or "/dev/vtbd1"), size in bytes; one already there is returned."""
        name = name.removeprefix("/dev/")
        if name not in self.disks:
            self.disks[name] = Disk(name, mediasize)
            if self.machine.powered:
                self.machine.files.make_node(f"/dev/{name}")
        return self.disks[name]

    def provider(self, path: str) -> Provider | None:
        """The provider of a device path ("/dev/hast/data", "vtbd1", "/dev/ufs/data"), if its node exists."""
        name = path.removeprefix("/dev/")
        if name in self.disks:
            return self.disks[name]
        gate = self.gates.get(name)
        if gate is not None and self.machine.files.kind(gate.path) == "char":
            return gate
        return next((found for label, found in self.labels() if label == name), None)

    def labels(self) -> list[tuple[str, Provider]]:
        """(label, provider) of every UFS label GEOM has tasted: ("ufs/data", ...)."""
        from hactl.lab.storage import ufs

        found = []
        for provider in [*self.disks.values(), *self.gates.values()]:
            if provider.stalled or (isinstance(provider, Disk) and provider.failed):
                continue
            label = ufs.label(provider)
            if label:
                found.append((f"ufs/{label}", provider))
        return found

    def device_nodes(self) -> dict[str, str]:
        """Every block device node by path; the kind is always "char" (FreeBSD has no block devices)."""
        shown = [disk.path for disk in self.disks.values()]
        shown += [gate.path for gate in self.gates.values() if self.machine.files.kind(gate.path) == "char"]
        return dict.fromkeys(sorted(shown), "char")

    # faults and power

    def fail(self, device: str) -> None:
        """Every access to a disk fails with EIO from now on."""
        self.disks[device.removeprefix("/dev/")].failed = True

    def mend(self, device: str) -> None:
        """A failed disk works again, with what was on it."""
        disk = self.disks[device.removeprefix("/dev/")]
        disk.failed = disk.fails_writes = False

    def on_boot(self) -> None:
        """The kernel found the disks; / and /dev are mounted."""
        for disk in self.disks.values():
            disk.opens.clear()
            self.machine.files.make_node(disk.path)
        self.disks["vtbd0"].open("mount /", 1, 1, 1)
        self.mounts.on_boot()
        self.pools.on_boot()

    def on_power_off(self) -> None:
        """Memory is gone: what was not written is lost, what was mounted read-write stays dirty."""
        self.mounts.on_power_off()
        self.pools.on_power_off()
        self.gates.clear()
        for disk in self.disks.values():
            disk.opens.clear()

    # gates

    def attach_gate(self, gate: Provider) -> None:
        """geom_gate made a provider; its node follows when GEOM has tasted it (`show_gate`)."""
        self.gates[gate.name] = gate

    def show_gate(self, gate: Provider) -> None:
        """The device node appears."""
        self.machine.files.make_node(gate.path)
        for system in ("DEVFS", "GEOM"):
            subsystem = "CDEV" if system == "DEVFS" else "DEV"
            self.machine.devd(f"!system={system} subsystem={subsystem} type=CREATE cdev={gate.name}")

    def detach_gate(self, gate: Provider) -> None:
        """The provider is destroyed by force, whoever has it open (docs/freebsd-facts.md#2.8)."""
        gate.gone = True
        self.gates.pop(gate.name, None)
        if self.machine.files.kind(gate.path) == "char":
            self.machine.files.remove_node(gate.path)
            for system in ("GEOM", "DEVFS"):
                subsystem = "CDEV" if system == "DEVFS" else "DEV"
                self.machine.devd(f"!system={system} subsystem={subsystem} type=DESTROY cdev={gate.name}")
