"""The devices of a ZFS pool as one range of bytes: a stripe, a mirror or a raidz of them.

Rules:
- A record is on one device of a stripe, on every one of a mirror, and on one more than a raidz has of parity: it is
  lost with as many devices as in ZFS. (A real raidz keeps parity, not copies, and so has more room.)
- What was written while a device was away is not on it (zpoolconcepts(7)).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from hactl.lab.storage.provider import Provider, device_error

#: The labels at one end of a device, each; two are there.
LABEL_BYTES = 262144
RECORD_BYTES = 131072
#: Where the range begins on each device: labels and room for a boot block are in front of it.
FIRST_BYTE = 3 * 1048576


def copies_of(layout: str, devices: int) -> int:
    """On how many devices each record is; with as many gone some of it is lost. `layout`: the word of zpool(8)."""
    if layout == "mirror":
        return devices
    return int(layout.removeprefix("raidz") or "1") + 1 if layout else 1


@dataclass(slots=True, eq=False)
class Vdev:
    """Devices in their order; None: not found when the pool was imported."""

    layout: str
    devices: list[Provider | None]
    #: Called when a write finds another number of devices than the last one.
    on_loss: Callable[[], None] = field(default=lambda: None)
    _missing: int | None = None

    @property
    def copies(self) -> int:
        """On how many devices each record is."""
        return copies_of(self.layout, len(self.devices))

    @property
    def present(self) -> list[Provider]:
        """Those that are there."""
        return [device for device in self.devices if device is not None and not device.gone]

    @property
    def missing(self) -> int:
        """How many are not."""
        return len(self.devices) - len(self.present)

    @property
    def works(self) -> bool:
        """Whether every record is on a device that is there."""
        return self.missing < self.copies

    @property
    def stalled(self) -> bool:
        """Whether one of them does not answer now."""
        return any(device.stalled for device in self.present)

    @property
    def mediasize(self) -> int:
        """Bytes of the range, the labels of one device included; the smallest device counts."""
        smallest = min(device.mediasize for device in self.devices if device is not None)
        if len(self.devices) == 1:
            return smallest
        rows = (smallest - FIRST_BYTE - 2 * LABEL_BYTES) // RECORD_BYTES
        return FIRST_BYTE + rows // self.copies * len(self.devices) * RECORD_BYTES + 2 * LABEL_BYTES

    def _places(self, offset: int, length: int) -> Iterator[tuple[int, list[tuple[Provider, int]]]]:
        """The pieces of a range: how long each is, and where it stands on which devices that are there."""
        while length > 0:
            record, start = divmod(offset - FIRST_BYTE, RECORD_BYTES)
            row, first = divmod(record, len(self.devices))
            size = min(RECORD_BYTES - start, length)
            places = []
            for copy in range(self.copies):
                device = self.devices[(first + copy) % len(self.devices)]
                if device is not None and not device.gone:
                    places.append((device, FIRST_BYTE + (row * self.copies + copy) * RECORD_BYTES + start))
            yield size, places
            offset, length = offset + size, length - size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the range. Raises OSError: ENXIO where no device has them."""
        parts = []
        for size, places in self._places(offset, length):
            if not places:
                raise device_error(errno.ENXIO)
            parts.append(places[0][0].read(places[0][1], size))
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Onto every device that keeps them and is there. Raises OSError: ENXIO where none is."""
        if not self.works:
            raise device_error(errno.ENXIO)
        if self._missing != self.missing:
            self._missing = self.missing
            self.on_loss()
        position = 0
        for size, places in self._places(offset, len(data)):
            for device, place in places:
                device.write(place, data[position : position + size])
            position += size

    def resilver(self, fresh: Sequence[Provider], end: int) -> None:
        """Give the other devices what those have, up to that byte. Raises OSError."""
        known = Vdev(self.layout, [device if device in fresh else None for device in self.devices])
        for offset in range(FIRST_BYTE, end, RECORD_BYTES):
            self.write(offset, known.read(offset, min(RECORD_BYTES, end - offset)))
