"""hastd's worker of a secondary, and who of the two has the newer data.

Rules:
- A worker is one process; what it logs after it gave up its privileges is lost (recordings 03, 05): only what
  it says before, and what the main process says about it, is in the logs.
- A secondary writes its metadata once, when it adopts a resuid; everything else it stores is the primary's data.
- sbin/hastd/secondary.c; docs/freebsd-facts.md#2.5 to #2.7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from hactl.lab.files import error_text
from hactl.lab.hast import metadata
from hactl.lab.hast.metadata import InvalidMetadata, Metadata, NoMetadata
from hactl.lab.hast.processes import KEEPALIVE_SECONDS, Link, MainProcess, Resource, Role, Statistics, Verdict
from hactl.lab.storage.provider import Provider

#: sysexits(3) of workers.
EX_NOINPUT = 66
EX_TEMPFAIL = 75
EX_CONFIG = 78


class WorkerExit(Exception):
    """A worker ends before it serves: `text` was logged, `status` is its exit status."""

    def __init__(self, text: str, status: int) -> None:
        """Keep both."""
        super().__init__(text)
        self.text = text
        self.status = status
        self.pid = 0


def decide(primary: Metadata, secondary: Metadata, *, primary_virgin: bool) -> Verdict:
    """The table of docs/freebsd-facts.md#2.6, first match wins; counters are those before the handshake."""
    ours_local, ours_remote = secondary.localcnt, secondary.remotecnt
    theirs_local, theirs_remote = primary.localcnt, primary.remotecnt
    if secondary.resuid == 0:
        return Verdict(adopt=True) if primary_virgin else Verdict(adopt=True, full=True, virgin=True)
    if secondary.resuid != primary.resuid:
        return Verdict(error="mismatch")
    if ours_local > theirs_remote and ours_remote == theirs_local:
        return Verdict("secondary")
    if ours_local == theirs_remote and ours_remote == theirs_local:
        return Verdict()
    if ours_local == theirs_remote and ours_remote < theirs_local:
        return Verdict()
    if ours_local > theirs_remote and theirs_local > ours_remote:
        return Verdict(error="split-brain")
    return Verdict("secondary" if ours_local > theirs_remote else "primary", full=True)


def open_local(hast: MainProcess, resource: Resource, holder: str) -> tuple[Provider, Metadata]:
    """Open the local component and read its metadata. Raises WorkerExit with the text that is logged."""
    config = resource.config
    disk = hast.machine.disks.provider(config.local)
    if disk is None:
        raise WorkerExit(f"Unable to open {config.local}: No such file or directory.", EX_NOINPUT)
    if any(name.startswith("hastd ") and name != holder for name in disk.opens):
        raise WorkerExit(f"Unable to lock {config.local}: Resource temporarily unavailable.", EX_NOINPUT)
    try:
        disk.open(holder, 1, 1, 0)
    except OSError as problem:
        raise WorkerExit(f"Unable to open {config.local}: {error_text(problem)}.", EX_NOINPUT) from problem
    try:
        found = metadata.read(disk)
    except NoMetadata:
        text = f"Unable to read metadata from {config.local}: No such file or directory."
    except InvalidMetadata:
        text = f"Metadata read from {config.local} is invalid: Invalid argument."
    except OSError as problem:
        text = f"Unable to read metadata from {config.local}: {error_text(problem)}."
    else:
        if found.resource == config.resource:
            return disk, found
        text = f"Provider {config.local} is not part of resource {config.resource}."
    disk.close(holder)
    raise WorkerExit(text, EX_NOINPUT)


@dataclass(slots=True, eq=False)
class SecondaryWorker:
    """The process that stores what a primary sends. `link` is None while the handshake is judged."""

    hast: MainProcess
    resource: Resource
    pid: int
    disk: Provider
    metadata: Metadata
    statistics: Statistics = field(default_factory=Statistics)
    link: Link | None = None

    #: A secondary's list shows neither (docs/freebsd-facts.md#2.4).
    dirty_bytes = 0
    keepdirty = 0
    status = "complete"
    kind: ClassVar[Role] = "secondary"
    #: It ends at once after SIGTERM.
    terminate_seconds = 0.0

    @classmethod
    def start(cls, hast: MainProcess, resource: Resource) -> SecondaryWorker:
        """Fork one. Raises WorkerExit after logging why."""
        pid = hast.machine.pid()
        holder = f"hastd {resource.name}"
        try:
            disk, found = open_local(hast, resource, holder)
        except WorkerExit as end:
            hast.log_worker("error", pid, resource, end.text)
            hast.child_ended(resource, pid, end.status)
            raise
        return cls(hast, resource, pid, disk, found)

    def adopt(self, resuid: int) -> None:
        """Take over the primary's resuid: the one time a secondary writes metadata."""
        self.metadata.resuid = resuid
        self.metadata.prevrole = "secondary"
        self.metadata.write(self.disk)

    def serve(self, link: Link) -> None:
        """The handshake is done."""
        self.link = link
        self._watch()

    def _watch(self) -> None:
        link, world = self.link, self.hast.machine.world
        if link is None or self.resource.worker is not self:
            return
        quiet_at = link.heard_at + 2 * KEEPALIVE_SECONDS
        wait = quiet_at - world.clock.monotonic()
        if wait <= 0:
            if link.primary is not None and link.primary.link is link and link.carries():
                link.heard_at = world.clock.monotonic()
                wait = 2 * KEEPALIVE_SECONDS
            else:
                self.lost()
                return
        world.at(wait, self._watch, machine=self.hast.machine)

    def store(self, offset: int, data: bytes) -> bool:
        """Write what the primary sent; False if the disk refuses (only counted)."""
        self.statistics.count("writes", len(data))
        try:
            self.disk.write(self.metadata.offset + offset, data)
        except OSError:
            self.statistics.write_errors += 1
            return False
        return True

    def fetch(self, offset: int, length: int) -> bytes:
        """Read for the primary. Raises OSError."""
        self.statistics.count("reads", length)
        return self.disk.read(self.metadata.offset + offset, length)

    def lost(self) -> None:
        """The connection ended: exit 75, the role stays."""
        self.hast.run_hook(self.resource, "disconnect")
        self.exit(EX_TEMPFAIL)

    def exit(self, status: int) -> None:
        """End by itself; the main process notices when it wakes."""
        self._release()
        self.hast.child_ended(self.resource, self.pid, status, self)

    def terminate(self) -> None:
        """SIGTERM by the main process, which waits for the end."""
        link = self.link
        self._release()
        if link is not None and link.primary is not None and link.carries():
            link.primary.disconnect()

    def kill(self) -> None:
        """SIGKILL: the kernel closes what it had open, as at any end."""
        self.terminate()

    def vanish(self) -> None:
        """The machine lost power."""
        if self.link is not None:
            self.link.secondary = None
            self.link = None

    def _release(self) -> None:
        self.disk.close(f"hastd {self.resource.name}")
        if self.link is not None:
            self.link.secondary = None
            self.link = None
