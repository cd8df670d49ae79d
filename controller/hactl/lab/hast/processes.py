"""hastd's processes as they see each other: the main process, its resources, their workers, and the link between two.

Rules:
- A worker knows its main process, its resource and the other end of its link; nobody knows more than is said here.
- sbin/hastd/hast.h (struct hast_resource); docs/freebsd-facts.md#2.1, #2.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hactl.lab.events import Events
from hactl.lab.hast.config_grammar import ResourceConfig
from hactl.lab.hast.metadata import Metadata
from hactl.lab.kernel.kernel import Kernel, KernelHost
from hactl.lab.process import Process, Result
from hactl.lab.storage.provider import Provider

Level = Literal["info", "warning", "error"]
Role = Literal["init", "primary", "secondary"]
SyncSource = Literal["primary", "secondary"]
#: How often a primary without connection tries, and one with connection says it is there; seconds.
KEEPALIVE_SECONDS = 10.0
#: What one request carries in the recordings, bytes (the limit is MAXPHYS, 1 MiB).
REQUEST_BYTES = 524288


@dataclass(slots=True)
class Statistics:
    """What `hastctl list` counts."""

    reads: int = 0
    writes: int = 0
    deletes: int = 0
    flushes: int = 0
    activemap_updates: int = 0
    read_errors: int = 0
    write_errors: int = 0
    delete_errors: int = 0
    flush_errors: int = 0

    def count(self, what: Literal["reads", "writes"], length: int) -> None:
        """Add the requests it takes to move that many bytes."""
        setattr(self, what, getattr(self, what) + max(1, -(-length // REQUEST_BYTES)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a secondary decides at the handshake. `full`: every extent is copied. `error` ends it instead."""

    source: SyncSource = "primary"
    full: bool = False
    adopt: bool = False
    virgin: bool = False
    error: Literal["", "mismatch", "split-brain"] = ""


class HastHost(KernelHost, Protocol):
    """A machine that runs hastd."""

    hostuuid: str
    kernel: Kernel

    @property
    def hast(self) -> MainProcess: ...
    def reaches(self, address: str) -> HastHost | None: ...
    def hears(self, node: str, segment: str) -> bool: ...
    async def execute(self, argv: Sequence[str], process: Process) -> Result: ...


class MainProcess(Protocol):
    """hastd's main process, as its workers and its peers see it."""

    machine: HastHost
    resources: dict[str, Resource]
    sync_bytes_per_second: float
    connects: bool

    @property
    def busy(self) -> bool: ...
    def listens_on(self, host: str, port: int) -> bool: ...
    def route(self, resource: Resource) -> Route: ...
    def accept(self, primary: Primary, source: str) -> Answer: ...
    def run_hook(self, resource: Resource, event: str, *arguments: str) -> None: ...
    def log_main(self, level: Level, text: str, resource: Resource | None = None, role: str = "") -> None: ...
    def log_worker(self, level: Level, pid: int, resource: Resource, text: str) -> None: ...
    def child_ended(self, resource: Resource, pid: int, status: int, worker: Worker | None = None) -> None: ...


class Worker(Protocol):
    """A worker, as its main process and hastctl(8) see it."""

    hast: MainProcess
    resource: Resource
    pid: int
    metadata: Metadata
    statistics: Statistics

    @property
    def kind(self) -> Role: ...
    @property
    def status(self) -> str: ...
    @property
    def keepdirty(self) -> int: ...
    @property
    def dirty_bytes(self) -> int: ...
    @property
    def terminate_seconds(self) -> float: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def vanish(self) -> None: ...


class Primary(Worker, Protocol):
    """A primary's worker, as its threads, its provider and its peer see it."""

    world: Events
    disk: Provider
    link: Link | None
    ended: bool
    dirty: set[int]
    stalled_until: float | None

    @property
    def stalled(self) -> bool: ...
    def take_resuid(self) -> bool: ...
    def later(self, seconds: float, action: Callable[[], None]) -> None: ...
    def serve(self) -> None: ...
    def show(self) -> None: ...
    def connected(self, worker: Secondary, link: Link, verdict: Verdict) -> None: ...
    def disconnect(self) -> None: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def stall(self) -> None: ...
    def extent_synced(self, extent: int) -> None: ...
    def in_sync(self, theirs: Metadata) -> None: ...


class Secondary(Worker, Protocol):
    """A secondary's worker, as its primary sees it."""

    def serve(self, link: Link) -> None: ...
    def store(self, offset: int, data: bytes) -> bool: ...
    def fetch(self, offset: int, length: int) -> bytes: ...
    def lost(self) -> None: ...


@dataclass(slots=True, eq=False)
class Resource:
    """One resource of a running hastd."""

    name: str
    config: ResourceConfig
    role: Role = "init"
    worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """noroute: fails at once with `error`; silent: nobody answers; refused: nobody listens; ok: `peer` answers."""

    outcome: Literal["noroute", "silent", "refused", "ok"]
    peer: MainProcess | None = None
    source: str = ""
    segment: str = ""
    error: str = ""


@dataclass(slots=True, eq=False)
class Link:
    """The two TCP connections between a primary's worker and a secondary's; an end that closed is None."""

    segment: str
    primary_host: HastHost
    secondary_host: HastHost
    primary: Primary | None
    secondary: Secondary | None
    #: World time of the last keepalive or request the secondary got.
    heard_at: float
    #: The peer answered a keepalive with RST; the primary's next send fails.
    reset: bool = False
    #: World time of the first keepalive that nobody acknowledged.
    unanswered_since: float | None = None

    def carries(self) -> bool:
        """Whether packets go both ways now."""
        a, b = self.primary_host, self.secondary_host
        return b.hears(a.name, self.segment) and a.hears(b.name, self.segment)


#: The secondary's worker and its verdict, or in one word why there is none.
Answer = str | tuple[Secondary, Link, Verdict]
