"""The record in memory: passes the same tests as the real one, for tests and for looking without a record.

Nothing is durable, and there is no other process, so `recover` has nothing to settle. What would be JSON in a file is
JSON text here, so that nobody can change what is kept.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from hactl.adapters.clock import SystemClock
from hactl.adapters.record import backend
from hactl.adapters.record.backend import Lease, Listeners, Newest, Row
from hactl.adapters.record.bodies import Body, at_revision, compact, name_of, revision_of
from hactl.adapters.record.operations import in_force, operation
from hactl.adapters.record.rows import (
    FAILED_EVENTS,
    NOT_DONE,
    ROW_BYTES,
    by_revision,
    canonical,
    check_kept,
    check_query,
    document_row,
    event_row,
    merged,
    step_row,
    stored_time,
)
from hactl.adapters.record.store import Store
from hactl.core.catalogue import EventKind
from hactl.core.operations import Operation, State
from hactl.errors import StoreError
from hactl.ports import Clock, Document, ObjectChange, WriteHealth

_UNENDED: dict[str, Any] = dict.fromkeys(("ended_at", "outcome", "exit_status", "output", "seconds"))
_Result = TypeVar("_Result")


def memory_record(*, clock: Clock | None = None) -> Store:
    """An empty record, for as long as the process lives."""
    return Store(MemoryBackend(clock or SystemClock()))


class MemoryBackend:
    """`hactl.adapters.record.backend.Backend`."""

    def __init__(self, clock: Clock) -> None:
        """Empty."""
        self.clock = clock
        self.tables = MemoryTables(clock)
        self.writes = WriteHealth()
        self._listeners = Listeners()
        self._closed = False

    async def read(self, work: Callable[[MemoryTables], _Result]) -> _Result:
        """See `Backend`."""
        self._check_open()
        return work(self.tables)

    async def write(
        self,
        work: Callable[[MemoryTables], _Result],
        *,
        undo: Callable[[MemoryTables, _Result], object] | None = None,  # noqa: ARG002 - nobody is cancelled here
    ) -> _Result:
        """See `Backend`. Nothing is awaited meanwhile."""
        self._check_open()
        before = self.tables.writes
        result = work(self.tables)
        if self.tables.writes != before:
            self._listeners.call()
        return result

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `Backend`."""
        return self._listeners.add(listener)

    async def changed_outside(self) -> bool:
        """See `Backend`: there is no other process."""
        self._check_open()
        return False

    async def close(self) -> None:
        """Nothing is pending; nothing is taken any more."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the record in memory is closed")


class MemoryTables:
    """`hactl.adapters.record.backend.Tables`."""

    command = "in memory"
    actor = "this process"

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self.process = uuid.uuid4().hex
        self._unmanaged: dict[str, str] = {}
        #: Since when the others are managed.
        self._managed_at: dict[str, str] = {}
        self._leases: dict[str, Lease] = {}
        self._steps: dict[int, dict[str, Any]] = {}
        self._events: dict[int, dict[str, Any]] = {}
        self._statuses: dict[str, dict[str, Any]] = {}
        self._operations: dict[int, Operation] = {}
        self._operation_names: dict[int, str | None] = {}
        self._objects: dict[tuple[str, str], str] = {}
        self._changes: deque[tuple[ObjectChange, str]] = deque()
        self._changes_bytes = 0
        self._tokens: dict[str, dict[str, Any]] = {}
        self._revision = 0
        self._forgotten = 0
        self._last_id = 0
        self._last_uid = 0
        self._last_operation = 0
        #: How often something was written: an unchanged pass writes nothing.
        self.writes = 0

    def writing(self) -> AbstractContextManager[None]:
        """The rules refuse before they write, so there is nothing to take back."""
        return nullcontext()

    def now(self) -> datetime:
        return self._clock.now()

    def _now(self) -> str:
        return stored_time(self._clock.now())

    def new_uid(self) -> str:
        """Counted, so that what happens twice is the same twice."""
        self._last_uid += 1
        return str(uuid.UUID(int=self._last_uid))

    # -- documents ----------------------------------------------------------------------------------------------------

    def newest(self, cluster: str) -> Newest:
        known = self._documents.get(cluster)
        if not known:
            return Newest()
        kept = {key: known[-1][key] for key in ("generation", "digest", "origin", "source", "directory", "text")}
        return Newest(managed=cluster not in self._unmanaged, **kept)

    def documents(self) -> list[dict[str, Any]]:
        return [
            {**rows[-1], "managed_at": self._managed_at[name]}
            for name, rows in sorted(self._documents.items())
            if name not in self._unmanaged
        ]

    def knows(self, token: str) -> bool:
        return token == self.process

    def generations(self, cluster: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._documents.get(cluster, ())]

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        row = document_row(document, generation, actor=actor, origin=origin, at=self._now())
        self._documents.setdefault(document.cluster.name, []).append(row)

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        self.writes += 1
        (row,) = (row for row in self._documents[document.cluster.name] if row["generation"] == generation)
        row |= {"source": document.source, "directory": document.directory, "text": document.text, "origin": origin}

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        self.writes += 1
        if managed:
            self._unmanaged.pop(cluster, None)
            self._managed_at[cluster] = self._now()
        else:
            self._unmanaged[cluster] = why

    # -- steps and history --------------------------------------------------------------------------------------------

    def held_lease(self, cluster: str) -> Lease | None:
        return self._leases.get(cluster)

    def set_lease(self, cluster: str, generation: int) -> None:
        self.writes += 1
        self._leases[cluster] = Lease(self.process, generation)

    def _head(self) -> dict[str, Any]:
        """What the row of an event or step begins with: they share one sequence of ids."""
        self._last_id += 1
        return {"id": self._last_id, "at": self._now(), "revision": self._next_revision()}

    def insert_step(self, fields: Row) -> int:
        row = {**fields, **_UNENDED, **self._head()}
        self._steps[row["id"]] = row
        return self._last_id

    def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> bool:
        row = self._steps.get(step)
        if row is None or row["outcome"] is not None:
            return False
        row |= {"outcome": outcome, "exit_status": exit_status, "output": output, "seconds": seconds}
        row |= {"ended_at": self._now(), "revision": self._next_revision()}
        return True

    def event(self, kind: EventKind, cluster: str, summary: str, node: str | None = None, detail: Any = None) -> None:
        text = None if detail is None else canonical(detail)
        row = {"kind": kind, "cluster": cluster, "node": node, "summary": summary, "detail": text, **self._head()}
        self._events[row["id"]] = row

    def history(self, query: Row) -> list[dict[str, Any]]:
        since, until, limit = check_query(query)
        rows = [event_row(row) for row in self._events.values()] + [step_row(row) for row in self._steps.values()]
        return merged([row for row in rows if _matches(row, query, since, until)], limit)

    def event_rows(self, after: int | None, limit: int) -> list[dict[str, Any]]:
        rows = [event_row(row) | {"revision": row["revision"]} for row in self._events.values()]
        rows += [step_row(row) | {"revision": row["revision"]} for row in self._steps.values()]
        return by_revision([row for row in rows if after is None or row["revision"] > after], after, limit)

    def recover(self) -> int:
        """There are no other processes."""
        return 0

    # -- statuses -----------------------------------------------------------------------------------------------------

    def status_meaning(self, cluster: str) -> str | None:
        return self._statuses[cluster]["meaning"] if cluster in self._statuses else None

    def set_status(self, cluster: str, status: str, meaning: str) -> None:
        self.writes += 1
        self._statuses[cluster] = {"status": status, "meaning": meaning, "changed_at": self._now()}

    def next_status_is_news(self, cluster: str) -> None:
        if cluster in self._statuses:
            self._statuses[cluster]["meaning"] = ""

    def statuses(self) -> list[dict[str, Any]]:
        return [
            {
                "cluster": name,
                "managed": name not in self._unmanaged,
                "status": json.loads(kept["status"]),
                "changed_at": kept["changed_at"],
            }
            for name, kept in sorted(self._statuses.items())
        ]

    # -- operations ---------------------------------------------------------------------------------------------------

    def operations(self, cluster: str | None, *, open_only: bool) -> list[Operation]:
        return [
            each
            for each in self._operations.values()
            if (cluster is None or each.about(cluster)) and (not open_only or each.state is State.OPEN)
        ]

    def operations_in_force(self, cluster: str) -> list[Operation]:
        return in_force(self._operations.values(), cluster)

    def insert_operation(self, row: Row) -> Operation:
        self._last_operation += 1
        made = self._operations[self._last_operation] = operation({**row, "id": self._last_operation})
        return made

    def operation(self, number: int) -> Operation | None:
        return self._operations.get(number)

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation:
        ended_at = datetime.fromisoformat(self._now())
        ended = replace(self._operations[number], state=state, message=message, ended_at=ended_at, seconds=seconds)
        self._operations[number] = ended
        return ended

    def name_operation(self, number: int, name: str | None) -> None:
        self._operation_names[number] = name

    def operation_name(self, number: int) -> str | None:
        return self._operation_names.get(number)

    # -- objects and tokens -------------------------------------------------------------------------------------------

    def revision(self) -> int:
        return self._revision

    def _next_revision(self) -> int:
        self.writes += 1
        self._revision += 1
        return self._revision

    def objects(self, resource: str, name: str | None = None) -> list[Body]:
        found = sorted(key for key in self._objects if key[0] == resource and name in (None, key[1]))
        return [json.loads(self._objects[key]) for key in found]

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        stored = at_revision(body, self._next_revision())
        self._objects[resource, name_of(body)] = self._log(resource, stored, kind)
        return stored

    def remove_object(self, resource: str, body: Body) -> Body:
        last = at_revision(body, self._next_revision())
        del self._objects[resource, name_of(body)]
        self._log(resource, last, "DELETED")
        return last

    def _log(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED", "DELETED"]) -> str:
        """Append to the log of changes, which forgets the oldest; the body as it is kept."""
        text = compact(body)
        self._changes.append((ObjectChange(revision_of(body), resource, name_of(body), kind, {}, len(text)), text))
        self._changes_bytes += len(text)
        while len(self._changes) > backend.CHANGES_KEPT or self._changes_bytes > backend.CHANGES_BYTES:
            oldest, forgotten = self._changes.popleft()
            self._changes_bytes -= len(forgotten)
            self._forgotten = oldest.revision
        return text

    def changes_since(self, revision: int, limit: int) -> list[ObjectChange]:
        check_kept(revision, self._revision, self._forgotten)
        found = [entry for entry in self._changes if entry[0].revision > revision][:limit]
        return [replace(change, body=json.loads(text)) for change, text in found]

    def tokens(self) -> list[dict[str, Any]]:
        return [dict(row) for _, row in sorted(self._tokens.items())]

    def insert_token(self, row: Row) -> None:
        self._tokens[row["name"]] = dict(row)

    def use_token(self, name: str, at: str) -> None:
        if name in self._tokens:
            self._tokens[name]["last_used_at"] = at

    def delete_token(self, name: str) -> bool:
        return self._tokens.pop(name, None) is not None

    # -- retention ----------------------------------------------------------------------------------------------------

    def old_operations(self, before: str) -> list[int]:
        ended = [(each.id, each.ended_at) for each in self._operations.values()]
        return [number for number, at in ended if at is not None and stored_time(at) < before]

    def forget_beyond(self, kind: EventKind, size: int) -> int:
        total, deleted, newest = 0, 0, max(self._events, default=0)
        for key, row in sorted(self._events.items(), reverse=True):
            if row["kind"] != kind:
                continue
            total += len(row["summary"].encode()) + len((row["detail"] or "").encode()) + ROW_BYTES
            if total > size and key != newest:
                del self._events[key]
                deleted += 1
        self.writes += deleted
        return deleted

    def forget(self, before: str, keep_rows: int | None) -> int:
        ids = sorted(self._events.keys() | self._steps.keys())
        first_kept = ids[-max(1, keep_rows)] if keep_rows is not None and len(ids) >= max(1, keep_rows) else 0
        deleted = 0
        for rows in (self._events, self._steps):
            for key, row in list(rows.items()):
                runs = rows is self._steps and row["outcome"] is None
                if not runs and key != ids[-1] and (row["at"] < before or key < first_kept):
                    del rows[key]
                    deleted += 1
        used = {(row["cluster"], row["generation"]) for row in self._steps.values()}
        for name, known in self._documents.items():
            kept = [row for row in known[:-1] if row["at"] >= before or (name, row["generation"]) in used]
            deleted += len(known[:-1]) - len(kept)
            self._documents[name] = kept + known[-1:]
        for number in self.old_operations(before):
            del self._operations[number], self._operation_names[number]
            deleted += 1
        self.writes += deleted
        return deleted


def _matches(row: Row, query: Mapping[str, Any], since: str | None, until: str | None) -> bool:
    kind = query.get("kind")
    is_step = "verb" in row
    return (
        query.get("cluster") in {None, row["cluster"]}
        and query.get("node") in {None, row["node"]}
        and (kind is None or row["kind"] == kind or (kind == "Step" and is_step))
        and (since is None or row["at"] >= since)
        and (until is None or row["at"] <= until)
        and (not query.get("failed") or (row["outcome"] in NOT_DONE if is_step else row["kind"] in FAILED_EVENTS))
    )
