"""This process on the record: its row and lock file, its transactions, and the steps of processes that died.

A process is in the record only once it has something to record; it holds a lock file of its own as long as it lives, so
that another can tell a step that still runs from one whose process died.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hactl.adapters.lock import lock_directory, open_lock_file, try_lock
from hactl.adapters.record.rows import CONTROLLER_DIED, stored_time
from hactl.adapters.record.sqlite.file import is_full, next_revision, transaction
from hactl.adapters.record.sqlite.reserve import Reserve
from hactl.core.steps import Outcome
from hactl.errors import StoreError
from hactl.ports import Clock

log = logging.getLogger("hactl.adapters.record")
_Result = TypeVar("_Result")


class Process:
    """Used in the thread that writes, over its connection."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        clock: Clock,
        *,
        actor: str,
        command: str,
        reserve: Reserve | None = None,
    ) -> None:
        """`actor` and `command` say who this process is; `reserve`: it begins nothing without one."""
        self.token = uuid.uuid4().hex
        self.command = command
        #: How many transactions were committed.
        self.commits = 0
        self._path = path
        self._connection = connection
        self._clock = clock
        self.actor = actor
        self._locks = lock_directory(path)
        self._identity = _identity(path)
        self._lock: int | None = None
        self._controller: int | None = None
        self._reserve = reserve
        self._has_last_words = False

    def last_words(self, work: Callable[[], _Result]) -> _Result:
        """Run what must be said of what was begun: with the room that is kept for it when there is no other."""
        self._has_last_words = True
        try:
            return work() if self._reserve is None else with_room(self._reserve, work)
        finally:
            self._has_last_words = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction. Raises StoreError when the file is not the one that was opened, or no room is kept."""
        if _identity(self._path) != self._identity:
            raise StoreError("was removed or replaced while hactl used it: restart hactl")
        if self._reserve is not None and not self._has_last_words:
            self._reserve.keep()
        with transaction(self._connection):
            yield
        self.commits += 1

    @property
    def controller(self) -> int | None:
        """The id of this process' row; None: it has recorded nothing yet."""
        return self._controller

    def registered(self) -> int:
        """The row of this process, made with its first record; inside a transaction."""
        if self._lock is None:
            self._lock = open_lock_file(self._locks, f"process-{self.token}.lock")
            try_lock(self._lock)
        if self._controller is None or not self._is_registered():
            made = self._connection.execute(
                "INSERT INTO controllers (token, pid, host, command, actor, started_at) VALUES (?, ?, ?, ?, ?, ?)",
                (self.token, os.getpid(), socket.gethostname(), self.command, self.actor, self._now()),
            )
            self._controller = made.lastrowid
        assert self._controller is not None
        return self._controller

    def _is_registered(self) -> bool:
        """The transaction that registered us may have been rolled back."""
        row = self._connection.execute("SELECT 1 FROM controllers WHERE token = ?", (self.token,)).fetchone()
        return row is not None

    def recover(self) -> int:
        """Settle the steps of processes that died: Indeterminate, "controller died". Returns how many."""
        rows = self._connection.execute("SELECT id, token FROM controllers WHERE ended_at IS NULL").fetchall()
        settled = 0
        for controller, token in rows:
            if token == self.token:
                continue
            path = self._locks / f"process-{token}.lock"
            descriptor = open_lock_file(self._locks, path.name) if path.exists() else None
            try:
                if descriptor is not None and not try_lock(descriptor):
                    continue
                settled += self._settle(controller, CONTROLLER_DIED)
                path.unlink(missing_ok=True)
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        return settled

    def end(self) -> None:
        """Say that this process ended; its lock file goes with `release`."""
        # A record that was removed meanwhile has nothing of ours that anybody could read.
        if self._controller is not None and _identity(self._path) == self._identity and self._is_registered():
            self._settle(self._controller, "hactl ended before the outcome was known")

    def release(self) -> None:
        """Let go of the lock file."""
        if self._lock is not None:
            (self._locks / f"process-{self.token}.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _settle(self, controller: int, why: str) -> int:
        now = self._now()
        with self.writing():
            running = self._connection.execute(
                "SELECT id FROM steps WHERE controller = ? AND outcome IS NULL ORDER BY id", (controller,)
            ).fetchall()
            self._connection.executemany(
                "UPDATE steps SET outcome = ?, output = ?, ended_at = ?, revision = ? WHERE id = ?",
                [(Outcome.INDETERMINATE.value, why, now, next_revision(self._connection), row[0]) for row in running],
            )
            self._connection.execute("UPDATE controllers SET ended_at = ? WHERE id = ?", (now, controller))
        return len(running)

    def _now(self) -> str:
        return stored_time(self._clock.now())


def with_room(reserve: Reserve, work: Callable[[], _Result]) -> _Result:
    """Run it; once more with the room of the reserve, if there is none without and it was not given back before."""
    try:
        return work()
    except sqlite3.Error as error:
        if not is_full(error) or not reserve.give_back():
            raise
        log.warning("the disk of the record is full: the room that was kept is used", extra={"error": str(error)})
        return work()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
