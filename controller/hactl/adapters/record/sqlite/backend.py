"""One SQLite file: one thread that writes, two that read.

- One thread makes and owns the connection that writes; a write that was begun is finished even if its caller is
  cancelled, so a caller never has to guess.
- Two threads read, each over a connection that cannot write.
- Every error is a StoreError that names the file and the way out; hactl then stops acting and keeps observing.
- `apply` and `run` share the file: see `process` for how they tell each other's steps from dead ones.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.backend import Listeners
from hactl.adapters.record.rules import record
from hactl.adapters.record.sqlite.file import data_version, is_full, open_reader, open_writer, translated
from hactl.adapters.record.sqlite.process import Process
from hactl.adapters.record.sqlite.reading import SQLiteReading
from hactl.adapters.record.sqlite.reserve import Reserve
from hactl.adapters.record.sqlite.schema import check_readable
from hactl.adapters.record.sqlite.tables import SQLiteTables
from hactl.adapters.record.store import Store
from hactl.core.catalogue import EventKind
from hactl.errors import StoreError
from hactl.ports import Clock, WriteHealth

log = logging.getLogger("hactl.adapters.record")

READERS = 2
_Result = TypeVar("_Result")
Migrate = Callable[[sqlite3.Connection], None]


async def open_reading(path: Path, *, clock: Clock | None = None) -> Store:
    """Open a record that is there so that nothing can change it. It belongs to one event loop. Raises StoreError."""
    backend = SQLiteBackend(path, clock or SystemClock())
    try:
        await backend.read(lambda reading: check_readable(reading.connection))
        await backend.changed_outside()
    except BaseException:
        await backend.close()
        raise
    return Store(backend)


class _Session:
    """The connection that writes. Made, used and closed in one thread."""

    def __init__(
        self, path: Path, clock: Clock, actor: str, command: str, migrate: Migrate, reserve: Reserve | None
    ) -> None:
        """Open the file, bring its tables up to date, and settle the steps of processes that died."""
        if reserve is not None and reserve.give_back_to_open():
            log.warning("the disk of the record is full: the room that was kept is used to open it")
        self.connection = open_writer(path)
        try:
            migrate(self.connection)
            self.process = Process(path, self.connection, clock, actor=actor, command=command, reserve=reserve)
            self.tables = SQLiteTables(self.connection, self.process, clock)
            self.process.last_words(self.tables.recover)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Say that this process ended, and close."""
        try:
            self.process.end()
        finally:
            self.connection.close()
            self.process.release()


class SQLiteBackend:
    """`hactl.adapters.record.backend.Backend`; made by `open_reading` and `store.open_record`."""

    def __init__(self, path: Path, clock: Clock, reserve: Reserve | None = None) -> None:
        """Nothing is opened yet."""
        self.path = path
        self.clock = clock
        self._session: _Session | None = None
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._reading = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._listeners = Listeners()
        self._told_commits = 0
        #: Shows what others wrote: the one that writes or, in a record that is only read, one of its own.
        self._watching: sqlite3.Connection | None = None
        self._version = -1
        self._closed = False
        self._reserve = reserve
        self.writes = WriteHealth()
        #: When the first of the writes failed that failed one after the other, by the monotonic clock.
        self._failing_since = 0.0

    async def begin_writing(self, actor: str, command: str, migrate: Migrate) -> None:
        """Open the connection that writes; `migrate` brings the tables up to date. Raises StoreError."""

        def begin() -> None:
            self._session = _Session(self.path, self.clock, actor, command, migrate, self._reserve)
            self._watching = self._session.connection
            self._version = data_version(self._watching)

        await _finished(self._submit(begin))

    async def read(self, work: Callable[[SQLiteReading], _Result]) -> _Result:
        """See `Backend`."""
        self._check_open()

        def reading() -> _Result:
            with translated(self.path):
                reader = self._reader()
                # What is read in several statements must be of one moment.
                reader.connection.execute("BEGIN")
                try:
                    return work(reader)
                finally:
                    reader.connection.rollback()

        return await asyncio.get_running_loop().run_in_executor(self._reading, reading)

    def _reader(self) -> SQLiteReading:
        """The connection of this reader thread."""
        reading: SQLiteReading | None = getattr(self._local, "reading", None)
        if reading is None:
            reading = self._local.reading = SQLiteReading(open_reader(self.path))
            self._readers.append(reading.connection)
        return reading

    async def write(
        self,
        work: Callable[[SQLiteTables], _Result],
        *,
        undo: Callable[[SQLiteTables, _Result], object] | None = None,
        last_words: bool = False,
    ) -> _Result:
        """See `Backend`."""
        self._check_open()
        done = self._submit(lambda: work(self._tables()), last_words=last_words)
        try:
            return await _finished(done)
        except asyncio.CancelledError:
            if undo is not None and not done.cancelled() and done.exception() is None:
                result = done.result()
                await _finished(self._submit(lambda: undo(self._tables(), result), last_words=True))
            raise

    def _tables(self) -> SQLiteTables:
        if self._session is None:
            raise StoreError(f"the database {self.path} was opened to read only")
        return self._session.tables

    def _submit(self, work: Callable[[], _Result], *, last_words: bool = False) -> asyncio.Future[_Result]:
        def translating() -> _Result:
            before = self._commits()
            try:
                with translated(self.path):
                    result = work() if not last_words or self._session is None else self._last_words(work)
            except StoreError as error:
                self._failed(error)
                raise
            # Last words may have had the last of the room.
            if self._commits() != before and self.writes.trouble and not last_words:
                self._writable_again()
            return result

        future = asyncio.get_running_loop().run_in_executor(self._writing, translating)
        future.add_done_callback(self._call_listeners)
        return future

    def _last_words(self, work: Callable[[], _Result]) -> _Result:
        assert self._session is not None
        return self._session.process.last_words(work)

    def _failed(self, error: StoreError) -> None:
        """In the thread that writes: keep why, and say it where there is room for that."""
        cause = error.__cause__
        if not isinstance(cause, sqlite3.Error | OSError):
            # What a rule refuses is no trouble of the file's.
            return
        first = not self.writes.trouble
        self.writes.failed += 1
        self.writes.trouble = str(error)
        if first:
            self._failing_since = self.clock.monotonic()
            if is_full(cause):
                self._tell(EventKind.RECORD_FULL, f"nothing is begun until there is room: {error}")

    def _writable_again(self) -> None:
        """In the thread that writes: a write succeeded after others had failed."""
        why, self.writes.trouble = self.writes.trouble, ""
        seconds = self.clock.monotonic() - self._failing_since
        log.warning("the record can be written again", extra={"seconds": round(seconds, 1), "was": why})
        self._tell(EventKind.RECORD_WRITABLE, f"the record can be written again, after {seconds:.0f} s: {why}")

    def _tell(self, kind: EventKind, summary: str) -> None:
        if self._session is None:
            return
        tables = self._session.tables
        try:
            self._last_words(lambda: record(tables, kind, "", summary, None, None))
        except (StoreError, sqlite3.Error) as error:
            log.error("there is no room even to say so in the record", extra={"summary": summary, "error": str(error)})

    async def try_writing(self) -> bool:
        """See `hactl.ports.Upkeep`."""
        self._check_open()
        if not self.writes.trouble or self._session is None:
            return False

        def touch() -> None:
            tables = self._tables()
            with tables.writing():
                # A page of it and of the log: what cannot be written is found out, and nothing is changed.
                tables.connection.execute("UPDATE revision SET newest = newest").close()

        try:
            await _finished(self._submit(touch))
        except StoreError:
            # Why is in `writes`, for everybody who asks.
            return False
        return True

    def _call_listeners(self, _: object) -> None:
        """If anything was committed since."""
        commits = self._commits()
        if commits != self._told_commits:
            self._told_commits = commits
            self._listeners.call()

    def _commits(self) -> int:
        return 0 if self._session is None else self._session.process.commits

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `Backend`."""
        return self._listeners.add(listener)

    async def changed_outside(self) -> bool:
        """See `Backend`. Our own commits do not count."""
        self._check_open()
        changed = await _finished(self._submit(self._changed_since_last))
        if changed:
            self._listeners.call()
        return changed

    def _changed_since_last(self) -> bool:
        """In the thread that writes, or would."""
        if self._watching is None:
            self._watching = open_reader(self.path)
            self._readers.append(self._watching)
        before, self._version = self._version, data_version(self._watching)
        return before != self._version

    async def close(self) -> None:
        """See `Backend`."""
        if self._closed:
            return
        self._closed = True
        # Readers first: the last connection to close tidies the log away, and only one that writes can.
        await asyncio.to_thread(self._reading.shutdown)
        for connection in self._readers:
            connection.close()
        try:
            if self._session is not None:
                await _finished(self._submit(self._session.close, last_words=True))
        finally:
            self._writing.shutdown(wait=True)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the database {self.path} is closed")


async def _finished(future: asyncio.Future[_Result]) -> _Result:
    """Await what a thread does; a cancellation waits for its end, because the thread cannot be stopped."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
