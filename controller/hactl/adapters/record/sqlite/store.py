"""`hactl.ports.Store` and `hactl.ports.Objects` in one SQLite file.

- Its threads and connections are in `store_threads`, the API's side in `store_api`.
- `apply` and `run` share the file: see `store_writer` for how they tell each other's steps from dead ones.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.rows import event_row, filters, merged, seconds_between, step_row
from hactl.adapters.record.sqlite.api import ObjectStore
from hactl.adapters.record.sqlite.file import default_state_path
from hactl.adapters.record.sqlite.operations import list_operations, list_requests
from hactl.adapters.record.sqlite.schema import check_readable
from hactl.adapters.record.sqlite.threads import finished
from hactl.adapters.record.sqlite.writer import Writer
from hactl.core.operations import Operation, State
from hactl.core.steps import Outcome
from hactl.ports import Change, Clock, Document

__all__ = ["SQLiteStore", "default_state_path"]

_DOCUMENT_COLUMNS = (
    "cluster, generation, digest, source, directory, actor, at, text, origin, revision, author, revised_at"
)


class SQLiteStore(ObjectStore):
    """The record. Made with `open`; belongs to one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Use `open`."""
        super().__init__(path, clock)
        self._seen: dict[str, float] = {}

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
                await store.changed_outside()
            else:
                await finished(store._submit(make))
        except BaseException:
            await store.close()
            raise
        return store

    async def put_document(self, document: Document, *, actor: str, origin: str | None = None) -> int:
        """See `hactl.ports.Store`."""
        return await self._write(lambda writer: writer.put_document(document, actor, origin))

    async def unmanage(self, cluster: str, *, why: str, origin: str | None = None) -> None:
        """See `hactl.ports.Store`."""
        await self._write(lambda writer: writer.unmanage(cluster, why, origin))

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """See `hactl.ports.Store`. A caller that is cancelled meanwhile leaves a Failed step: it was never sent."""
        begun = self._submit(lambda: self._open_writer().begin_step(record, lease))
        try:
            return await finished(begun)
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
        return (await self._write(lambda writer: writer.open_operation(request, "")))[0]

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
            events = connection.execute(f"SELECT * FROM events{event_where}{tail}", [*event_values, limit]).fetchall()
            steps = connection.execute(f"SELECT * FROM steps{step_where}{tail}", [*step_values, limit]).fetchall()
            return [event_row(row) for row in events] + [step_row(row) for row in steps]

        # Of one moment: a step that ends between the two reads must not be missed or told twice.
        return merged(await self._read_at_once(read), limit)

    def _age_seconds(self, cluster: str, changed_at: str) -> float:
        """Since this process last put the status; else since it last changed."""
        if cluster in self._seen:
            return self._clock.monotonic() - self._seen[cluster]
        return seconds_between(changed_at, self._clock.now())
