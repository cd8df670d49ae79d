"""`hactl.ports.Objects` in memory, and the tables both sides of the record in memory have."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from hactl.adapters.clock import SystemClock
from hactl.adapters.record import rules as object_rules
from hactl.adapters.record.bodies import Body, at_revision, compact, name_of
from hactl.adapters.record.operations import check_new, operation, request_row
from hactl.adapters.record.rows import canonical, check_kind, event_row, step_row, time_text
from hactl.adapters.record.rules import Newest
from hactl.adapters.record.sqlite import objects as store_objects
from hactl.adapters.record.sqlite.objects import by_revision, check_kept
from hactl.adapters.record.sqlite.tokens import record_created, record_revoked, token_row
from hactl.core.operations import Operation, State
from hactl.errors import AlreadyExists, StoreError
from hactl.ports import Clock, Document, ObjectChange


class MemoryTables:
    """`hactl.adapters.record.rules.Tables`, and everything else that is kept."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self.documents: dict[str, list[dict[str, Any]]] = {}
        self.unmanaged: dict[str, str] = {}
        self.steps: dict[int, dict[str, Any]] = {}
        self.events: dict[int, dict[str, Any]] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.operations: dict[int, Operation] = {}
        self.operation_names: dict[int, str | None] = {}
        self.objects: dict[tuple[str, str], Body] = {}
        self.changes: deque[ObjectChange] = deque()
        self.tokens: dict[str, dict[str, Any]] = {}
        self.revision = 0
        self.forgotten = 0
        self._last_id = 0
        self._last_uid = 0
        self._last_operation = 0
        #: How many calls changed the record: an unchanged pass changes nothing.
        self.writes = 0

    def now(self) -> datetime:
        """See `Tables`."""
        return self._clock.now()

    def new_uid(self) -> str:
        """See `Tables`; counted, so that what happens twice is the same twice."""
        self._last_uid += 1
        return str(uuid.UUID(int=self._last_uid))

    def next_id(self) -> int:
        """Of events and steps."""
        self.writes += 1
        self._last_id += 1
        return self._last_id

    def next_revision(self) -> int:
        """Of objects, events and steps."""
        self.revision += 1
        return self.revision

    def newest(self, cluster: str) -> Newest:
        """See `Tables`."""
        known = self.documents.get(cluster)
        if not known:
            return Newest()
        row = known[-1]
        kept = {key: row[key] for key in ("generation", "digest", "origin", "source", "directory", "text")}
        return Newest(managed=cluster not in self.unmanaged, **kept)

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        """See `Tables`."""
        row = {
            "cluster": document.cluster.name,
            "generation": generation,
            "digest": document.digest,
            "source": document.source,
            "directory": document.directory,
            "actor": actor,
            "at": time_text(self.now()),
            "text": document.text,
            "origin": origin,
            "revision": document.revision,
            "author": document.author,
            "revised_at": document.revised_at,
        }
        self.documents.setdefault(document.cluster.name, []).append(row)

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        """See `Tables`."""
        self.writes += 1
        for row in self.documents[document.cluster.name]:
            if row["generation"] == generation:
                row |= {"source": document.source, "directory": document.directory}
                row |= {"text": document.text, "origin": origin}

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        """See `Tables`."""
        if managed:
            self.unmanaged.pop(cluster, None)
        else:
            self.unmanaged[cluster] = why

    def next_status_is_news(self, cluster: str) -> None:
        """See `Tables`."""
        if cluster in self.statuses:
            self.statuses[cluster]["meaning"] = ""

    def event(self, kind: str, cluster: str, summary: str, node: str | None, detail: Any) -> None:
        """See `Tables`."""
        check_kind(kind)
        text = None if detail is None else canonical(detail)
        event = self.next_id()
        self.events[event] = {
            "id": event,
            "at": time_text(self.now()),
            "kind": kind,
            "cluster": cluster,
            "node": node,
            "summary": summary,
            "detail": text,
            "revision": self.next_revision(),
        }

    def get_object(self, resource: str, name: str) -> Body | None:
        """See `Tables`."""
        return self.objects.get((resource, name))

    def object_names(self, resource: str) -> list[str]:
        """See `Tables`."""
        return sorted(name for kind, name in self.objects if kind == resource)

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        """See `Tables`."""
        stored = at_revision(body, self.next_revision())
        self.objects[resource, name_of(body)] = stored
        return self._log(resource, kind, stored)

    def remove_object(self, resource: str, body: Body) -> Body:
        """See `Tables`."""
        del self.objects[resource, name_of(body)]
        return self._log(resource, "DELETED", at_revision(body, self.next_revision()))

    def _log(self, resource: str, kind: Literal["ADDED", "MODIFIED", "DELETED"], body: Body) -> Body:
        self.changes.append(ObjectChange(self.revision, resource, name_of(body), kind, body))
        if len(self.changes) > store_objects.CHANGES_KEPT:
            self.forgotten = self.changes.popleft().revision
        return body

    def open_operations(self) -> list[Operation]:
        """See `Tables`."""
        return [each for each in self.operations.values() if each.state is State.OPEN]

    def insert_operation(self, request: Mapping[str, Any]) -> Operation:
        """See `Tables`."""
        now = self.now()
        made = operation(request_row(request, now) | {"id": self._last_operation + 1})
        check_new(made, self.operations.values(), now)
        self._last_operation = made.id
        self.operations[made.id] = made
        return made

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation | None:
        """See `Tables`."""
        if number not in self.operations:
            raise StoreError(f"has no operation {number}")
        if self.operations[number].state is not State.OPEN:
            return None
        ended_at = datetime.fromisoformat(time_text(self.now()))
        ended = replace(self.operations[number], state=state, message=message, ended_at=ended_at, seconds=seconds)
        self.operations[number] = ended
        return ended

    def name_operation(self, number: int, name: str | None) -> None:
        """See `Tables`."""
        self.operation_names[number] = name

    def operation_name(self, number: int) -> str | None:
        """See `Tables`."""
        return self.operation_names.get(number)


class MemoryObjects:
    """The API's side of the record in memory."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Start empty."""
        self._clock = clock or SystemClock()
        self._tables = MemoryTables(self._clock)
        self._listeners: dict[object, Callable[[], None]] = {}
        self._closed = False

    @property
    def writes(self) -> int:
        """How many calls changed the record: an unchanged pass changes nothing."""
        return self._tables.writes

    async def revision(self) -> int:
        """See `hactl.ports.Objects`."""
        self._check_open()
        return self._tables.revision

    async def objects(self, resource: str, name: str | None = None) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        found = sorted(key for key in self._tables.objects if key[0] == resource and name in (None, key[1]))
        return self._tables.revision, [plain_copy(self._tables.objects[key]) for key in found]

    async def origin(self, cluster: str) -> str | None:
        """See `hactl.ports.Objects`."""
        return (await self.origins()).get(cluster)

    async def origins(self) -> Mapping[str, str]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        newest = {name: self._tables.newest(name) for name in self._tables.documents}
        return {name: each.origin for name, each in newest.items() if each.managed}

    async def create_object(
        self, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        with self._writing():
            made = object_rules.create(self._tables, resource, plain_copy(body), actor=actor, document=document)
        return plain_copy(made)

    async def update_object(
        self,
        resource: str,
        body: Mapping[str, Any],
        *,
        expected: int,
        actor: str,
        document: Document | None = None,
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        given = plain_copy(body)
        kept = object_rules.kept_object(self._tables, resource, given, expected=expected, document=document)
        if kept is not None:
            return plain_copy(kept)
        with self._writing():
            made = object_rules.update(self._tables, resource, given, expected=expected, actor=actor, document=document)
        return plain_copy(made)

    async def delete_object(
        self, resource: str, name: str, *, actor: str, expected: int | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        with self._writing():
            return plain_copy(object_rules.delete(self._tables, resource, name, actor=actor, expected=expected))

    async def create_operation(self, request: Mapping[str, Any], *, name: str) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        with self._writing():
            return plain_copy(object_rules.open_operation(self._tables, request, name)[1])

    async def changes_since(self, revision: int, *, limit: int = 1000) -> Sequence[ObjectChange]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        check_kept(revision, self._tables.revision, self._tables.forgotten)
        found = [change for change in self._tables.changes if change.revision > revision][:limit]
        return [replace(change, body=plain_copy(change.body)) for change in found]

    async def event_rows(
        self, *, after: int | None = None, limit: int = 1000
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        tables = self._tables
        rows = [event_row(row) | {"revision": row["revision"]} for row in tables.events.values()]
        rows += [step_row(row) | {"revision": row["revision"]} for row in tables.steps.values()]
        wanted = [row for row in rows if after is None or row["revision"] > after]
        return tables.revision, by_revision(wanted, after, limit)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `hactl.ports.Objects`."""
        key = object()
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def changed_outside(self) -> bool:
        """See `hactl.ports.Objects`: there is no other process."""
        self._check_open()
        return False

    async def create_token(self, name: str, *, digest: str, role: str, actor: str, expires_at: datetime | None) -> None:
        """See `hactl.ports.Objects`."""
        self._check_open()
        if name in self._tables.tokens:
            raise AlreadyExists(f"there is a token {name} already")
        row = token_row(name, digest=digest, role=role, actor=actor, now=self._clock.now(), expires_at=expires_at)
        with self._writing():
            self._tables.tokens[name] = row
            record_created(self._tables.event, row)

    async def revoke_token(self, name: str, *, actor: str) -> bool:
        """See `hactl.ports.Objects`."""
        self._check_open()
        if self._tables.tokens.pop(name, None) is None:
            return False
        with self._writing():
            record_revoked(self._tables.event, name, actor)
        return True

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Objects`."""
        self._check_open()
        return [dict(row) for _, row in sorted(self._tables.tokens.items())]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What is done inside may write: the listeners are told afterwards."""
        yield
        if self._listeners:
            loop = asyncio.get_running_loop()
            for listener in tuple(self._listeners.values()):
                loop.call_soon(listener)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the record in memory is closed")


def plain_copy(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body nobody else holds, as it comes out of a file. Raises StoreError for what is not JSON."""
    copied: dict[str, Any] = json.loads(compact(body))
    return copied
