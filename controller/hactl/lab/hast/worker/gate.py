"""The provider /dev/hast/NAME of a running primary: the local disk behind HAST's own blocks, replicated.

Rules:
- It answers while its worker does; destroyed by force it answers ENXIO to whoever still has it open
  (docs/freebsd-facts.md#2.8).
- ggate(4), g_gate.c; sbin/hastd/primary.c:ggate_recv_thread.
"""

from __future__ import annotations

import errno

from hactl.lab.hast.processes import Primary
from hactl.lab.storage.provider import Provider, device_error


class Gate(Provider):
    """The provider /dev/hast/NAME."""

    def __init__(self, worker: Primary) -> None:
        """As large as the data area."""
        super().__init__(f"hast/{worker.resource.config.provname}", worker.metadata.datasize, worker.disk.sectorsize)
        self.worker = worker

    @property
    def stalled(self) -> bool:
        """The worker does not answer yet: first connection attempt, or a peer that does not acknowledge."""
        return not self.gone and self.worker.stalled

    def _check(self) -> None:
        if self.gone:
            raise device_error(errno.ENXIO)
        if self.worker.ended:
            raise device_error(errno.EIO)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the resource. Raises OSError."""
        self._check()
        return self.worker.read(offset, max(0, min(length, self.mediasize - offset)))

    def write(self, offset: int, data: bytes) -> None:
        """Replicate bytes. Raises OSError."""
        self._check()
        if offset + len(data) > self.mediasize:
            raise device_error(errno.ENOSPC)
        self.worker.write(offset, data)
