"""`hactl.ports.Store` in one SQLite file.

- One thread makes and owns the connection that writes; a write that was begun is finished even if its caller is
  cancelled, so a caller never has to guess.
- Two threads read, each over a connection that cannot write.
- Every error is a StoreError that names the file and the way out; hactl then stops acting and keeps observing.
- `apply` and `run` share the file: see `store_writer` for how they tell each other's steps from dead ones.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from hactl.adapters.clock import SystemClock
from hactl.adapters.store_file import default_state_path, open_reader, translated
from hactl.adapters.store_requests import list_operations, list_requests
from hactl.adapters.store_rows import event_row, filters, merged, seconds_between, step_row
from hactl.adapters.store_schema import check_readable
from hactl.adapters.store_writer import Writer
from hactl.core.operations import Operation, State
from hactl.core.steps import Outcome
from hactl.errors import StoreError
from hactl.ports import Change, Clock, Document

__all__ = ["SQLiteStore", "default_state_path"]

READERS = 2
_Result = TypeVar("_Result")

_DOCUMENT_COLUMNS = "cluster, generation, digest, source, directory, actor, at, text"


class SQLiteStore:
    """The record. Made with `open`; belongs to one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Use `open`."""
        self.path = path
        self._clock = clock
        self._writer: Writer | None = None
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._reading = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._seen: dict[str, float] = {}
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        actor: str = "",
        command: str | None = None,
        clock: Clock | None = None,
        read_only: bool = False,
    ) -> SQLiteStore:
        """Open the record, making it when it is missing (not with `read_only`).

        `actor` and `command` say who this process is; default: its command line. Raises StoreError.
        """
        store = cls(path, clock or SystemClock())
        command = command or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])

        def make() -> None:
            store._writer = Writer(path, store._clock, actor, command)

        try:
            if read_only:
                await store._read(check_readable)
            else:
                await _finished(store._submit(make))
        except BaseException:
            await store.close()
            raise
        return store

    async def put_document(self, document: Document, *, actor: str) -> int:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.put_document(document, actor))

    async def unmanage(self, cluster: str, *, why: str) -> None:
        """See `hactl.ports.Store`."""
        await self._write(lambda writer: writer.unmanage(cluster, why))

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """See `hactl.ports.Store`. A caller that is cancelled meanwhile leaves a Failed step: it was never sent."""
        begun = self._submit(lambda: self._open_writer().begin_step(record, lease))
        try:
            return await _finished(begun)
        except asyncio.CancelledError:
            if not begun.cancelled() and begun.exception() is None:
                await self.end_step(
                    begun.result(),
                    outcome=Outcome.FAILED,
                    exit_status=None,
                    output="cancelled before it was sent",
                    seconds=0.0,
                )
            raise

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """See `hactl.ports.Store`."""
        await self._write(lambda writer: writer.end_step(step, outcome, exit_status, output, seconds))

    async def record(
        self, kind: str, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """See `hactl.ports.Store`."""
        await self._write(lambda writer: writer.record(kind, cluster, summary, node, detail))

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """See `hactl.ports.Store`."""
        changed = await self._write(lambda writer: writer.put_status(cluster, status, events))
        self._seen[cluster] = self._clock.monotonic()
        return changed

    async def lease(self, cluster: str) -> int:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.lease(cluster))

    async def open_operation(self, request: Mapping[str, Any]) -> int:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.open_operation(request))

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.end_operation(number, state, message, seconds))

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        return await self._read(lambda connection: list_operations(connection, cluster, open_only=open_only))

    async def requests(self, cluster: str) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        return await self._read(lambda connection: list_requests(connection, cluster))

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.prune(keep_days, keep_rows))

    async def recover(self) -> int:
        """Settle the steps of other processes that died since; returns how many. Done by `open` too."""
        return await self._write(lambda writer: writer.recover())

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        rows = await self._read(
            lambda connection: connection.execute(
                "SELECT cluster, status, statuses.changed_at AS changed_at, coalesce(managed, 1) AS managed "
                "FROM statuses LEFT JOIN clusters ON name = cluster ORDER BY cluster"
            ).fetchall()
        )
        return [
            {
                "cluster": row["cluster"],
                "managed": bool(row["managed"]),
                "status": json.loads(row["status"]),
                "changed_at": row["changed_at"],
                "age_seconds": self._age_seconds(row["cluster"], row["changed_at"]),
            }
            for row in rows
        ]

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        sql = (
            f"SELECT {_DOCUMENT_COLUMNS} FROM documents JOIN clusters ON name = cluster "
            "WHERE managed = 1 AND generation = (SELECT max(generation) FROM documents AS newer "
            "WHERE newer.cluster = documents.cluster) ORDER BY cluster"
        )
        return [dict(row) for row in await self._read(lambda connection: connection.execute(sql).fetchall())]

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        sql = f"SELECT {_DOCUMENT_COLUMNS} FROM documents WHERE cluster = ? ORDER BY generation"
        return [
            dict(row) for row in await self._read(lambda connection: connection.execute(sql, (cluster,)).fetchall())
        ]

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        (event_where, event_values), (step_where, step_values), limit = filters(query)

        def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            tail = " ORDER BY id DESC LIMIT ?"
            # One transaction: a step that ends between the two reads must not be missed or told twice.
            connection.execute("BEGIN")
            try:
                events = connection.execute(
                    f"SELECT * FROM events{event_where}{tail}", [*event_values, limit]
                ).fetchall()
                steps = connection.execute(f"SELECT * FROM steps{step_where}{tail}", [*step_values, limit]).fetchall()
            finally:
                connection.rollback()
            return [event_row(row) for row in events] + [step_row(row) for row in steps]

        return merged(await self._read(read), limit)

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
                await _finished(self._submit(self._writer.close))
        finally:
            self._writing.shutdown(wait=True)

    def _age_seconds(self, cluster: str, changed_at: str) -> float:
        """Since this process last put the status; else since it last changed."""
        if cluster in self._seen:
            return self._clock.monotonic() - self._seen[cluster]
        return seconds_between(changed_at, self._clock.now())

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"the database {self.path} was opened to read only")
        return self._writer

    def _submit(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        def translating() -> _Result:
            with translated(self.path):
                return work()

        return asyncio.get_running_loop().run_in_executor(self._writing, translating)

    async def _write(self, work: Callable[[Writer], _Result]) -> _Result:
        self._check_open()
        return await _finished(self._submit(lambda: work(self._open_writer())))

    async def _read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self._check_open()

        def reading() -> _Result:
            with translated(self.path):
                return work(self._reader())

        return await asyncio.get_running_loop().run_in_executor(self._reading, reading)

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


async def _finished(future: asyncio.Future[_Result]) -> _Result:
    """Await what a thread does; a cancellation waits for its end, because the thread cannot be stopped."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
