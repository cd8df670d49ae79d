"""hastd's worker of a primary: the provider below /dev/hast, replication, synchronisation, the counters.

Rules:
- A request is stored locally at once; whoever sent it waits while `Gate.stalled` (the acknowledgement is missing).
- Only this worker changes localcnt and remotecnt (docs/freebsd-facts.md#2.5), by the five rules and nothing else.
- Kinder than FreeBSD in one point: requests in flight when the connection breaks stay marked for the next
  synchronisation (docs/freebsd-facts.md#2.7 says they may be missed until the worker restarts).
- sbin/hastd/primary.c; docs/freebsd-facts.md#2.1, #2.5 to #2.8.
"""

from __future__ import annotations

import errno
from collections import OrderedDict
from collections.abc import Callable

from hactl.lab.hast.metadata import Metadata
from hactl.lab.hast.processes import Link, MainProcess, Resource, Role, Secondary, Statistics, Verdict
from hactl.lab.hast.worker.gate import Gate
from hactl.lab.hast.worker.guard import Guard
from hactl.lab.hast.worker.secondary import WorkerExit, open_local
from hactl.lab.hast.worker.sync import Sync
from hactl.lab.storage.provider import device_error

#: From an answer to the first connection attempt to the device node.
DEVICE_SECONDS = 0.03


class PrimaryWorker:
    """The process of one resource in role primary."""

    kind: Role = "primary"

    def __init__(self, hast: MainProcess, resource: Resource) -> None:
        """Open the disk, make the provider, try to connect. Raises WorkerExit after logging why."""
        self.hast, self.resource, self.world = hast, resource, hast.machine.world
        self.pid = hast.machine.pid()
        self.holder = f"hastd {resource.name}"
        try:
            self.disk, self.metadata = open_local(hast, resource, self.holder)
        except WorkerExit as end:
            hast.log_worker("error", self.pid, resource, end.text)
            end.pid = self.pid
            raise
        self.statistics = Statistics()
        #: The mode in force, and the one a reconnect goes back to.
        self.replication = self._first_replication = resource.config.replication
        #: Extents whose copy on the secondary is not known to be the same.
        self.dirty: set[int] = set(self.metadata.dirty)
        #: Extents written lately: kept in the on-disk bitmap so that the next write needs no update of it.
        self.kept: OrderedDict[int, None] = OrderedDict()
        self.link: Link | None = None
        self.sync = Sync(self)
        self.serving = False
        self.ended = False
        self.ever_connected = False
        #: The last remote counter a secondary told this worker; 0 until a handshake succeeds.
        self.secondary_remote = 0
        self.outstanding: list[tuple[int, bytes]] = []
        self.stalled_until: float | None = None
        if self.metadata.resuid == 0:
            self.metadata.localcnt = self.metadata.remotecnt = 0
            self._write_metadata()
        self.gate = self._take_gate()
        self._shown = False
        self.guard = Guard(self)

    # what hastctl and ps ask

    @property
    def status(self) -> str:
        """complete: both connections are up, also during a synchronisation."""
        return "complete" if self.link is not None else "degraded"

    @property
    def keepdirty(self) -> int:
        """Extents kept marked."""
        return self.metadata.keepdirty

    @property
    def dirty_bytes(self) -> int:
        """Dirty extents in bytes."""
        return len(self.dirty) * self.metadata.extentsize

    @property
    def stalled(self) -> bool:
        """Whether requests sent now are not answered."""
        waits = self.stalled_until is not None and self.replication != "async"
        return self.ended or not self.serving or waits

    @property
    def terminate_seconds(self) -> float:
        """How long it takes to end after SIGTERM: the guard thread finishes a running connection attempt first."""
        ends = self.guard.attempt_ends
        return max(0.0, ends - self._now()) if ends is not None else 0.0

    def _now(self) -> float:
        return self.world.clock.monotonic()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in the life of this worker."""

        def run() -> None:
            if not self.ended:
                action()

        self.world.at(seconds, run, machine=self.hast.machine)

    def _write_metadata(self) -> None:
        self.metadata.prevrole = "primary"
        try:
            self.metadata.write(self.disk)
        except OSError:
            self.statistics.write_errors += 1

    def take_resuid(self) -> bool:
        """Make a resuid if there is none yet; whether there was none ("virgin": no write was ever made)."""
        if self.metadata.resuid:
            return False
        self.metadata.resuid = self.world.random.getrandbits(64) or 1
        self._write_metadata()
        return True

    def _take_gate(self) -> Gate:
        """Make the provider, or take over the one a killed worker left behind."""
        disks, name = self.hast.machine.disks, f"hast/{self.resource.config.provname}"
        left = disks.gates.get(name)
        if isinstance(left, Gate):
            left.worker = self
            self.hast.log_worker("info", self.pid, self.resource, f"Device {name} recovered.")
            return left
        gate = Gate(self)
        disks.attach_gate(gate)
        self.hast.log_worker("info", self.pid, self.resource, f"Device {name} created.")
        return gate

    def reconfigure(self, *, reconnect: bool) -> None:
        """A reload changed the configuration; a new replication mode lasts until the next reconnect.

        See docs/freebsd-facts.md#2.3.
        """
        self.replication = self.resource.config.replication
        if reconnect:
            # The main process is waiting for this worker, and runs no program meanwhile.
            self.disconnect(told=False)

    # connecting (the guard thread does the rest)

    def serve(self) -> None:
        """The first connection attempt ended, one way or the other: requests are answered from now on."""
        self.serving = True
        self.show()

    def show(self) -> None:
        """GEOM tastes the provider: its device node appears in a moment."""
        if not self._shown:
            self._shown = True
            self.later(DEVICE_SECONDS, self._appear)

    def _appear(self) -> None:
        self.statistics.reads += 1
        if self.hast.machine.files.kind(self.gate.path) != "char":
            self.hast.machine.disks.show_gate(self.gate)

    def connected(self, worker: Secondary, link: Link, verdict: Verdict) -> None:
        """Both connections are up, the secondary has decided (docs/freebsd-facts.md#2.6)."""
        if worker.resource.worker is not worker or link.secondary is not worker or not link.carries():
            return
        theirs, ours = worker.metadata, self.metadata
        if verdict.error == "split-brain":
            self.hast.run_hook(self.resource, "split-brain")
            return
        if verdict.error:
            return
        if (ours.datasize, ours.extentsize) != (theirs.datasize, theirs.extentsize):
            worker.lost()
            return
        if verdict.virgin and ours.localcnt == 0:
            ours.localcnt = 1
            self._write_metadata()
        self.secondary_remote = theirs.remotecnt
        if verdict.full:
            self._mark(set(range(ours.extents)))
            self.dirty = set(range(ours.extents))
        elif not verdict.adopt:
            self._mark(set(theirs.dirty))
            self.dirty |= theirs.dirty
        self.link, self.ever_connected = link, True
        self.replication = self._first_replication
        link.heard_at = self._now()
        worker.serve(link)
        self.hast.run_hook(self.resource, "connect")
        peer = worker.hast
        peer.run_hook(worker.resource, "connect")
        self.sync.start(verdict.source)

    # losing the connection

    def disconnect(self, *, told: bool = True) -> None:
        """Drop the connection; requests without answer succeed locally. `told`: the resource's program is run."""
        link = self.link
        if link is None:
            return
        self.link = link.primary = None
        if link.secondary is not None and link.carries():
            link.secondary.lost()
        self.sync.stop()
        if told:
            self.hast.run_hook(self.resource, "disconnect")
        self.stalled_until = None
        if self.outstanding:
            self.outstanding.clear()
            self._count_write()

    # requests

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the data area. Raises OSError."""
        remote_first = self.sync.source == "secondary" and any(
            extent in self.dirty for extent in self._extents(offset, length)
        )
        if not self.ever_connected or remote_first:
            self.statistics.count("reads", length)
        if remote_first:
            if self.link is None or self.link.secondary is None:
                raise device_error(errno.EIO)
            return self.link.secondary.fetch(offset, length)
        try:
            return self.disk.read(self.metadata.offset + offset, length)
        except OSError:
            self.statistics.read_errors += 1
            if self.link is None or self.link.secondary is None or not self.link.carries():
                raise
            return self.link.secondary.fetch(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Store and send. Raises OSError if neither side can store it."""
        extents = self._extents(offset, len(data))
        if self.metadata.resuid == 0 and self.metadata.localcnt == 0:
            self.metadata.localcnt = 1
        self._mark(extents)
        self.statistics.count("writes", len(data))
        local = True
        try:
            self.disk.write(self.metadata.offset + offset, data)
        except OSError as problem:
            self.statistics.write_errors += 1
            local = False
            failure = problem
        sent = self._send(offset, data)
        if not sent:
            self.dirty |= extents
        if not local and not sent:
            raise failure
        if self.link is None:
            self._count_write()

    def _send(self, offset: int, data: bytes) -> bool:
        """Whether the secondary has it now."""
        link = self.link
        if link is None:
            return False
        if link.carries():
            if link.secondary is None:
                self.disconnect()
                return False
            link.heard_at = self._now()
            return link.secondary.store(offset, data)
        self.outstanding.append((offset, data))
        self.stall()
        return False

    def stall(self) -> None:
        if self.stalled_until is None:
            self.stalled_until = self._now() + self.resource.config.timeout
            self.later(0.5, self._stall_watch)

    def _stall_watch(self) -> None:
        """Outstanding requests: answered when packets go again, given up after `timeout`."""
        link = self.link
        if self.stalled_until is None or link is None:
            return
        if link.carries():
            self.stalled_until = None
            waiting, self.outstanding = self.outstanding, []
            if link.secondary is None:
                self.outstanding = waiting
                self.disconnect()
                return
            link.heard_at = self._now()
            for offset, data in waiting:
                if link.secondary.store(offset, data) and not self.sync.running:
                    self.dirty -= self._extents(offset, len(data))
            self.sync.resume()
        elif self._now() >= self.stalled_until:
            self.disconnect()
        else:
            self.later(0.5, self._stall_watch)

    def _count_write(self) -> None:
        """Rule 3: the first write a lost secondary misses makes our counter one higher, on disk."""
        if self.metadata.localcnt == self.secondary_remote:
            self.metadata.localcnt += 1
            self._write_metadata()

    def _extents(self, offset: int, length: int) -> set[int]:
        size = self.metadata.extentsize
        return set(range(offset // size, (offset + max(1, length) - 1) // size + 1))

    def _mark(self, extents: set[int]) -> None:
        """Set bits in the on-disk map before data is written; old ones beyond `keepdirty` are cleared."""
        new = extents - self.metadata.dirty
        self.metadata.dirty |= extents
        for extent in extents:
            self.kept.pop(extent, None)
            self.kept[extent] = None
        while len(self.kept) > self.metadata.keepdirty:
            oldest, _ = self.kept.popitem(last=False)
            if oldest not in self.dirty:
                self.metadata.dirty.discard(oldest)
        if new:
            self.statistics.activemap_updates += len(new)
            self._write_bitmap()

    def _write_bitmap(self) -> None:
        try:
            self.metadata.write_bitmap(self.disk)
        except OSError:
            self.statistics.write_errors += 1

    def extent_synced(self, extent: int) -> None:
        """Both sides have the same extent now."""
        self.dirty.discard(extent)
        if extent not in self.kept:
            self.metadata.dirty.discard(extent)

    def in_sync(self, theirs: Metadata) -> None:
        """Rule 5: everything is the same on both sides."""
        self.metadata.localcnt, self.metadata.remotecnt = theirs.remotecnt, theirs.localcnt
        self.secondary_remote = theirs.remotecnt
        self._write_metadata()
        self._write_bitmap()

    # ending

    def terminate(self) -> None:
        """SIGTERM by the main process: the provider goes by force."""
        self._stop()
        self.hast.machine.disks.detach_gate(self.gate)

    def kill(self) -> None:
        """SIGKILL: the provider stays and answers nothing until a new worker takes it over."""
        self._stop()

    def vanish(self) -> None:
        """The machine lost power."""
        self.ended = True
        if self.link is not None:
            self.link.primary = None
            self.link = None

    def _stop(self) -> None:
        link, self.link = self.link, None
        self.ended = True
        self.disk.close(self.holder)
        if link is not None:
            link.primary = None
            if link.secondary is not None and link.carries():
                link.secondary.lost()
