"""The threads and connections of the record: one that writes, two that read, and who is told that it was written.

- One thread makes and owns the connection that writes; a write that was begun is finished even if its caller is
  cancelled, so a caller never has to guess.
- Two threads read, each over a connection that cannot write.
- Every error is a StoreError that names the file and the way out; hactl then stops acting and keeps observing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hactl.adapters.record.sqlite.file import data_version, open_reader, translated
from hactl.adapters.record.sqlite.writer import Writer
from hactl.errors import StoreError
from hactl.ports import Clock

READERS = 2
_Result = TypeVar("_Result")


class StoreThreads:
    """What both sides of the record, `Store` and `Objects`, work with. Belongs to one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Nothing is opened yet."""
        self.path = path
        self._clock = clock
        self._writer: Writer | None = None
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._reading = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._listeners: dict[object, Callable[[], None]] = {}
        self._told_commits = 0
        self._watching: sqlite3.Connection | None = None
        self._version = -1
        self._closed = False

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `hactl.ports.Objects`."""
        key = object()
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def changed_outside(self) -> bool:
        """See `hactl.ports.Objects`."""
        if self._writer is not None:
            changed = await self._write(lambda writer: writer.changed_outside())
        else:
            self._check_open()
            changed = await asyncio.get_running_loop().run_in_executor(self._writing, self._changed_since_last)
        if changed:
            self._tell()
        return changed

    def _changed_since_last(self) -> bool:
        """For a record that is only read; in the thread that would write."""
        with translated(self.path):
            if self._watching is None:
                self._watching = open_reader(self.path)
                self._readers.append(self._watching)
            before, self._version = self._version, data_version(self._watching)
            return before != self._version

    def _tell(self) -> None:
        for listener in tuple(self._listeners.values()):
            # Each on its own: one that fails does not keep the others from being told.
            asyncio.get_running_loop().call_soon(listener)

    async def close(self) -> None:
        """Write what is pending and close. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        # Readers first: the last connection to close tidies the log away, and only one that writes can.
        await asyncio.to_thread(self._reading.shutdown)
        for connection in self._readers:
            connection.close()
        try:
            if self._writer is not None:
                await finished(self._submit(self._writer.close))
        finally:
            self._writing.shutdown(wait=True)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"the database {self.path} was opened to read only")
        return self._writer

    def _submit(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        def translating() -> _Result:
            with translated(self.path):
                return work()

        future = asyncio.get_running_loop().run_in_executor(self._writing, translating)
        future.add_done_callback(self._written)
        return future

    def _written(self, _: object) -> None:
        """Tell the listeners if anything was committed since."""
        commits = 0 if self._writer is None else self._writer.commits
        if commits != self._told_commits:
            self._told_commits = commits
            self._tell()

    async def _write(self, work: Callable[[Writer], _Result]) -> _Result:
        self._check_open()
        return await finished(self._submit(lambda: work(self._open_writer())))

    async def _read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self._check_open()

        def reading() -> _Result:
            with translated(self.path):
                return work(self._reader())

        return await asyncio.get_running_loop().run_in_executor(self._reading, reading)

    async def _read_at_once(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Several reads of one moment."""

        def reading(connection: sqlite3.Connection) -> _Result:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.rollback()

        return await self._read(reading)

    def _reader(self) -> sqlite3.Connection:
        """The connection of this reader thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self.path)
            self._readers.append(connection)
        return connection

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the database {self.path} is closed")


async def finished(future: asyncio.Future[_Result]) -> _Result:
    """Await what a thread does; a cancellation waits for its end, because the thread cannot be stopped."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
