"""What HAST keeps at the beginning of a disk: the metadata list in the first 4096 bytes, then the dirty bitmap.

Rules:
- Everything is read from and written to the bytes of the disk: what dd destroys is gone, what dd copies is copied.
- Only a primary changes counters; a secondary writes once, when it adopts a resuid (docs/freebsd-facts.md#2.5).
- sbin/hastd/metadata.c and nv.c; docs/freebsd-facts.md#2.4, #2.5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from hactl.lab.storage.provider import Provider

METADATA_BYTES = 4096
#: hastctl create's defaults.
EXTENT_BYTES = 2097152
KEEP_DIRTY = 64

_MAGIC = b"\x8a\xea\x1e\x00HAST\x00\x00\x00\x00"
_STRINGS = ("resource", "prevrole")
_NUMBERS = ("datasize", "extentsize", "keepdirty", "offset", "resuid", "localcnt", "remotecnt")


class NoMetadata(Exception):
    """The first bytes of the disk are all zero: never initialised (errno ENOENT)."""


class InvalidMetadata(Exception):
    """The first bytes of the disk are something else (errno EINVAL)."""


@dataclass(slots=True)
class Metadata:
    """One disk's metadata; sizes in bytes, `dirty` the numbers of extents marked in the on-disk bitmap."""

    resource: str
    datasize: int
    extentsize: int
    keepdirty: int
    offset: int
    resuid: int = 0
    localcnt: int = 0
    remotecnt: int = 0
    prevrole: str = "init"
    dirty: set[int] = field(default_factory=set)

    @property
    def extents(self) -> int:
        """How many extents the data area has."""
        return -(-self.datasize // self.extentsize)

    def write(self, disk: Provider) -> None:
        """Write the list; the bitmap is written by `write_bitmap`. Raises OSError."""
        parts = [_MAGIC]
        for name in (*_STRINGS, *_NUMBERS):
            value = getattr(self, name)
            raw = value.encode() + b"\0" if isinstance(value, str) else struct.pack("<Q", value)
            parts.append(
                struct.pack("<BBI", 1 + isinstance(value, str), len(name) + 1, len(raw)) + name.encode() + b"\0" + raw
            )
        disk.write(0, b"".join(parts).ljust(METADATA_BYTES, b"\0"))

    def write_bitmap(self, disk: Provider) -> None:
        """Write the dirty bitmap. Raises OSError."""
        raw = bytearray(self.offset - METADATA_BYTES)
        for extent in self.dirty:
            raw[extent // 8] |= 1 << (extent % 8)
        disk.write(METADATA_BYTES, bytes(raw))


def layout(mediasize: int, extentsize: int, sectorsize: int = 512) -> tuple[int, int]:
    """(localoff, datasize) in bytes for a provider of that size."""
    extents = -(-(mediasize - METADATA_BYTES) // extentsize)
    map_bytes = -(-extents // 8)
    map_bytes = -(-map_bytes // sectorsize) * sectorsize
    return METADATA_BYTES + map_bytes, mediasize - METADATA_BYTES - map_bytes


def create(disk: Provider, resource: str, *, extentsize: int, keepdirty: int, mediasize: int) -> None:
    """What `hastctl create` writes, over anything that is there. Raises OSError."""
    offset, datasize = layout(mediasize, extentsize, disk.sectorsize)
    metadata = Metadata(resource, datasize, extentsize, keepdirty, offset)
    metadata.write(disk)
    metadata.write_bitmap(disk)


def read(disk: Provider) -> Metadata:
    """Read a disk. Raises NoMetadata, InvalidMetadata or OSError."""
    raw = disk.read(0, METADATA_BYTES)
    if raw.count(0) == len(raw):
        raise NoMetadata
    if not raw.startswith(_MAGIC):
        raise InvalidMetadata
    position, values = len(_MAGIC), dict[str, Any]()
    try:
        for _ in range(len(_STRINGS) + len(_NUMBERS)):
            kind, name_length, length = struct.unpack_from("<BBI", raw, position)
            position += 6
            name = raw[position : position + name_length - 1].decode()
            position += name_length
            value = raw[position : position + length]
            position += length
            values[name] = value[:-1].decode() if kind == 2 else struct.unpack("<Q", value)[0]
        metadata = Metadata(**values)
        bitmap = disk.read(METADATA_BYTES, metadata.offset - METADATA_BYTES)
    except (struct.error, TypeError, UnicodeDecodeError, ValueError) as problem:
        raise InvalidMetadata from problem
    metadata.dirty = {extent for extent in range(metadata.extents) if bitmap[extent // 8] >> (extent % 8) & 1}
    return metadata
