"""What a kind of storage offers to the record: tables that are read and written, and a way to run what does so.

`hactl.adapters.record.store.Store` and the rules are written once, over this. There are two: a SQLite file, and memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from hactl.adapters.record.bodies import Body
from hactl.core.catalogue import EventKind
from hactl.core.operations import Operation, State
from hactl.ports import Clock, Document, ObjectChange, WriteHealth

#: Changes of objects that are kept for watches, at most so many and of so many bytes of JSON together.
CHANGES_KEPT = 4096
CHANGES_BYTES = 64 * 1024 * 1024

Row = Mapping[str, Any]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest generation of a cluster; generation 0: there is none."""

    generation: int = 0
    digest: str = ""
    managed: bool = False
    origin: str = ""
    source: str = ""
    directory: str = ""
    text: str = ""


class Lease(NamedTuple):
    """Which process acts on a cluster; the generation only grows."""

    process: str
    generation: int


class Reading(Protocol):
    """What is asked of the tables."""

    def newest(self, cluster: str) -> Newest:
        """The newest generation of a cluster."""
        ...

    def documents(self) -> list[dict[str, Any]]:
        """See `hactl.ports.Documents`."""
        ...

    def generations(self, cluster: str) -> list[dict[str, Any]]:
        """See `hactl.ports.Documents`."""
        ...

    def statuses(self) -> list[dict[str, Any]]:
        """By cluster: cluster, managed, status, changed_at."""
        ...

    def history(self, query: Row) -> list[dict[str, Any]]:
        """See `hactl.ports.History`."""
        ...

    def event_rows(self, after: int | None, limit: int) -> list[dict[str, Any]]:
        """See `hactl.ports.ObjectLog`."""
        ...

    def operations(self, cluster: str | None, *, open_only: bool) -> list[Operation]:
        """See `hactl.ports.OperationLog`."""
        ...

    def operations_in_force(self, cluster: str) -> list[Operation]:
        """See `hactl.ports.OperationLog`."""
        ...

    def revision(self) -> int:
        """See `hactl.ports.ObjectLog`."""
        ...

    def objects(self, resource: str, name: str | None = None) -> list[Body]:
        """In the order of their names; with `name` at most one."""
        ...

    def changes_since(self, revision: int, limit: int) -> list[ObjectChange]:
        """See `hactl.ports.ObjectLog`."""
        ...

    def tokens(self) -> list[dict[str, Any]]:
        """See `hactl.ports.Tokens`."""
        ...

    def knows(self, token: str) -> bool:
        """Whether that is, or was, a process of this record."""
        ...


class Tables(Reading, Protocol):
    """What the rules read and write."""

    #: Names this process among those that write, what it was started as, and by whom.
    process: str
    command: str
    actor: str

    def writing(self) -> AbstractContextManager[None]:
        """One transaction: everything that is written inside, or nothing of it."""
        ...

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def new_uid(self) -> str:
        """A uid nobody had before."""
        ...

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        """Keep a document as a generation."""
        ...

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        """The same generation, told otherwise: another file, other labels, a comment."""
        ...

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        """From now on it is, or is not."""
        ...

    def held_lease(self, cluster: str) -> Lease | None:
        """The newest lease."""
        ...

    def set_lease(self, cluster: str, generation: int) -> None:
        """This process holds it from now on."""
        ...

    def insert_step(self, fields: Row) -> int:
        """A step that runs; its id."""
        ...

    def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> bool:
        """False: it is no running step of this process."""
        ...

    def event(self, kind: EventKind, cluster: str, summary: str, node: str | None = None, detail: Any = None) -> None:
        """Record an event."""
        ...

    def status_meaning(self, cluster: str) -> str | None:
        """What the newest status says, without ages; None: there is none."""
        ...

    def set_status(self, cluster: str, status: str, meaning: str) -> None:
        """Keep the newest status, as JSON."""
        ...

    def next_status_is_news(self, cluster: str) -> None:
        """The next status is written even if it is the same: there is a new object that has none."""
        ...

    def insert_operation(self, row: Row) -> Operation:
        """Keep an operation under the next number."""
        ...

    def operation(self, number: int) -> Operation | None:
        """One operation."""
        ...

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation:
        """It ended now; one that is there."""
        ...

    def name_operation(self, number: int, name: str | None) -> None:
        """Keep the name of its object; None: the object was removed."""
        ...

    def operation_name(self, number: int) -> str | None:
        """The name of its object; None when that was removed."""
        ...

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        """Store an object under the next revision; returns it with that."""
        ...

    def remove_object(self, resource: str, body: Body) -> Body:
        """Remove an object under the next revision; returns it with that."""
        ...

    def insert_token(self, row: Row) -> None:
        """Keep a token."""
        ...

    def use_token(self, name: str, at: str) -> None:
        """Keep when it was used last, if it is still there."""
        ...

    def delete_token(self, name: str) -> bool:
        """False: there was none."""
        ...

    def recover(self) -> int:
        """See `hactl.ports.Upkeep`."""
        ...

    def old_operations(self, before: str) -> list[int]:
        """Numbers of those that were over before that time and still have an object."""
        ...

    def forget(self, before: str, keep_rows: int | None) -> int:
        """Delete what `hactl.ports.Upkeep.prune` says; returns how many rows."""
        ...

    def forget_beyond(self, kind: EventKind, size: int) -> int:
        """Delete the oldest events of a kind, so that at most `size` bytes of it are left; returns how many rows."""
        ...


class Backend(Protocol):
    """Where the tables are, and how work on them is run. Belongs to one event loop."""

    clock: Clock
    writes: WriteHealth

    async def read(self, work: Callable[[Reading], _Result]) -> _Result:
        """Run it; everything it reads is of one moment. Raises StoreError."""
        ...

    async def write(
        self, work: Callable[[Tables], _Result], *, undo: Callable[[Tables, _Result], object] | None = None
    ) -> _Result:
        """Run it to its end, even if the caller is cancelled meanwhile; then `undo` is run too. Raises StoreError."""
        ...

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `hactl.ports.ObjectLog`."""
        ...

    async def changed_outside(self) -> bool:
        """See `hactl.ports.ObjectLog`."""
        ...

    async def close(self) -> None:
        """See `hactl.ports.Upkeep`; closing twice is harmless."""
        ...


class Listeners:
    """Who is called soon after something was written."""

    def __init__(self) -> None:
        """Nobody."""
        self._listeners: dict[object, Callable[[], None]] = {}

    def add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call it from now on; returns what ends it."""
        key = object()
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    def call(self) -> None:
        """Soon, and each on its own: one that fails does not keep the others from being called."""
        for listener in tuple(self._listeners.values()):
            asyncio.get_running_loop().call_soon(listener)
