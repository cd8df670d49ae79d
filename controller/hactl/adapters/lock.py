"""Which hactl process may act: one pass per cluster, one controller per database.

- A lock is flock(2) on a file of its own: the kernel lets go of it however its process ends, kill -9 included.
- Files are 0600 in a directory that is 0700, next to the database. Those of clusters and of the controller are never
  removed: a second process could then lock another file of the same name.
- What stands in the file is for people and never decides anything.
- Waiting polls, because a blocking flock would stop the event loop.
- flock does not work between machines: the database and its locks belong on a local disk (UFS or ZFS, not NFS).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hactl.adapters.clock import SystemClock
from hactl.errors import Busy, StoreError
from hactl.ports import Clock

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    pid: int
    #: What it was started as, e.g. "hactl run --source clusters". Never holds secrets: those are not in argv.
    command: str
    #: ISO 8601, UTC.
    since: str
    host: str

    def __str__(self) -> str:
        """For people: `hactl run (pid 4711 on gw1, since 2026-11-24T03:12:00Z)`."""
        return f"{self.name} (pid {self.pid} on {self.host}, since {self.since})"

    @property
    def name(self) -> str:
        """Program and subcommand: a whole command line says nothing more to who waits, in many more words."""
        program, *rest = self.command.split()
        while rest and rest[0].startswith("-"):
            # An option of the program itself has its value in the same word or in the next.
            rest = rest[1:] if "=" in rest[0] else rest[2:]
        return " ".join([program, *rest[:1]])


def lock_directory(state: Path) -> Path:
    """Where the locks of a database are: `hactl.db.locks` next to `hactl.db`."""
    return state.with_name(state.name + ".locks")


class ClusterLock:
    """The locks of one database. Two holders in one process exclude each other as two processes do."""

    def __init__(self, directory: Path, *, clock: Clock | None = None, command: str | None = None) -> None:
        """`directory`: see `lock_directory`; it is made when it is needed."""
        self._directory = directory
        self._clock = clock or SystemClock()
        self._command = command or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])

    @asynccontextmanager
    async def cluster(self, name: str, *, wait_seconds: float = 0.0) -> AsyncIterator[None]:
        """Hold one cluster for one pass. Raises Busy with its holder when it is not free in time."""
        async with self._held(f"cluster-{name}.lock", f"cluster {name} is in use by", wait_seconds):
            yield

    @asynccontextmanager
    async def controller(self, *, wait_seconds: float = 0.0) -> AsyncIterator[None]:
        """Be the one controller of the database. Raises Busy with the one that runs."""
        async with self._held("controller.lock", "another controller runs on this database:", wait_seconds):
            yield

    def controller_holder(self) -> Holder | None:
        """The controller that runs now; None: none does."""
        filename = "controller.lock"
        if not (self._directory / filename).exists():
            return None
        descriptor = self._open(filename)
        try:
            return None if try_lock(descriptor) else _read(descriptor)
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def _held(self, filename: str, says: str, wait_seconds: float) -> AsyncIterator[None]:
        descriptor = self._open(filename)
        try:
            deadline = self._clock.monotonic() + wait_seconds
            while not try_lock(descriptor):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    raise Busy(f"{says} {_read(descriptor) or 'a process that has not said who it is'}")
                await self._clock.sleep(min(POLL_SECONDS, remaining))
            self._sign(descriptor)
            try:
                yield
            finally:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _sign(self, descriptor: int) -> None:
        since = self._clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        holder = Holder(os.getpid(), self._command, since, socket.gethostname())
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except OSError as error:
            raise StoreError(f"cannot write the lock file in {self._directory}: {error.strerror}") from error

    def _open(self, filename: str) -> int:
        if "/" in filename or "\0" in filename:
            raise ValueError(f"{filename!r} cannot be part of a file name")
        return open_lock_file(self._directory, filename)


def open_lock_file(directory: Path, filename: str) -> int:
    """Open a lock file, making it and its directory. Raises StoreError. The caller closes the descriptor."""
    path = directory / filename
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot open the lock file {path}: {error.strerror}; it stands beside the database, see --state PATH"
        ) from error


def try_lock(descriptor: int) -> bool:
    """Take the lock if it is free. Raises StoreError where the filesystem has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}:
            return False
        raise StoreError(
            f"the filesystem of the database has no flock(2): {error.strerror}; use a local disk"
        ) from error
    return True


def _read(descriptor: int) -> Holder | None:
    """What the holder wrote; None when it has not written yet, or something else stands there."""
    try:
        fields = json.loads(os.pread(descriptor, 65536, 0))
        return Holder(int(fields["pid"]), str(fields["command"]), str(fields["since"]), str(fields["host"]))
    except (ValueError, KeyError, TypeError):
        return None
