"""A GEOM provider: bytes below a name in /dev, who has it open, and the local disk as one.

Rules:
- A provider is bytes. Filesystems, pools and HAST metadata are kept in those bytes (`storage.ufs`, `storage.zfs`,
  `hast.metadata`), so that replication, half a synchronisation and dd have the effect they would have.
- OSError carries Linux's numbers; `error_text` of `files` says them as FreeBSD does.
- Man pages: geom(4), g_access(9), dd(1).
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass

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

    def __str__(self) -> str:
        """As GEOM prints it: r1w1e0."""
        return f"r{self.read}w{self.write}e{self.exclusive}"


class Provider(ABC):
    """A GEOM provider: a name below /dev, a size, contents, consumers."""

    def __init__(self, name: str, mediasize: int, sectorsize: int = 512) -> None:
        """Size in bytes."""
        self.name = name
        #: Of GEOM: DISK, GATE, MIRROR ... and the providers it is made of.
        self.geom_class = "GATE"
        self.made_of: list[Provider] = []
        #: Labels and partitions on it: who has them open has this open too.
        self.passing: list[Provider] = []
        self.mediasize = mediasize
        self.sectorsize = sectorsize
        self.opens: dict[str, Access] = {}
        #: Of a geom_gate: its number, with which ggatel(8) names it.
        self.unit = 0
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
    def holder(self) -> str:
        """The name under which it has what it is made of open."""
        return f"{self.geom_class} {self.name}"

    @property
    def access(self) -> Access:
        """All open counts together, those of labels and partitions on it too."""
        counts = [*self.opens.values(), *(above.access for above in self.passing)]
        return Access(sum(a.read for a in counts), sum(a.write for a in counts), sum(a.exclusive for a in counts))

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
        self.geom_class = "DISK"
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
