"""The sync thread of a primary's worker: extent after extent from the newer side to the older.

Rules:
- It starts with every connection; with nothing to copy it is done at once, and that too sets the counters (rule 5).
- The status is `complete` all the while; only `dirty` tells (docs/freebsd-facts.md#2.4).
- Promoting the other side in the middle is not refused and leaves half a filesystem.
- sbin/hastd/primary.c:sync_thread; docs/freebsd-facts.md#2.5.
"""

from __future__ import annotations

import errno

from hactl.lab.hast.processes import Primary, Secondary, SyncSource
from hactl.lab.storage.provider import device_error


class Sync:
    """The sync thread of one worker."""

    def __init__(self, worker: Primary) -> None:
        """Idle."""
        self.worker = worker
        self.running = False
        #: Where the newer data is; reads of dirty extents go there.
        self.source: SyncSource = "primary"

    def start(self, source: SyncSource) -> None:
        """A connection was made."""
        self.running, self.source = True, source
        if self.worker.dirty:
            self.worker.hast.run_hook(self.worker.resource, "syncstart")
            self.resume()
        else:
            self._done(copied=False)

    def stop(self) -> None:
        """The connection is lost."""
        if self.running and self.worker.dirty:
            self.worker.hast.run_hook(self.worker.resource, "syncintr")
        self.running = False

    def resume(self) -> None:
        """Go on with the next extent."""
        if self.running:
            seconds = self.worker.metadata.extentsize / self.worker.hast.sync_bytes_per_second
            self.worker.later(seconds, self._step)

    def _step(self) -> None:
        worker = self.worker
        link = worker.link
        if link is None or not self.running or worker.stalled_until is not None:
            return
        if not link.carries():
            worker.stall()
            return
        if link.secondary is None:
            worker.disconnect()
            return
        extent = min(worker.dirty, default=None)
        if extent is not None:
            try:
                self._copy(link.secondary, extent)
            except OSError:
                worker.disconnect()
                return
            worker.extent_synced(extent)
        if worker.dirty:
            self.resume()
        else:
            self._done(copied=True)

    def _copy(self, secondary: Secondary, extent: int) -> None:
        metadata, disk = self.worker.metadata, self.worker.disk
        offset = extent * metadata.extentsize
        length = min(metadata.extentsize, metadata.datasize - offset)
        if self.source == "secondary":
            disk.write(metadata.offset + offset, secondary.fetch(offset, length))
        elif not secondary.store(offset, disk.read(metadata.offset + offset, length)):
            raise device_error(errno.EIO)

    def _done(self, *, copied: bool) -> None:
        link = self.worker.link
        if link is None or link.secondary is None:
            return
        self.running, self.source = False, "primary"
        self.worker.in_sync(link.secondary.metadata)
        if copied:
            self.worker.hast.run_hook(self.worker.resource, "syncdone")
