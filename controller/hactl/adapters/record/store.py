"""The record: every port of it (`hactl.ports`), written once over a backend (a SQLite file, or memory)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hactl.adapters.record import rules
from hactl.adapters.record.backend import Backend
from hactl.adapters.record.rows import seconds_between
from hactl.core.catalogue import EventKind
from hactl.core.operations import Operation, State
from hactl.core.steps import Outcome
from hactl.ports import Change, Document, Holder, ObjectChange, WriteHealth


class Store:
    """`History`, `Documents`, `Steps`, `Passes`, `OperationLog`, `Upkeep`, `Objects` and `Tokens` of `hactl.ports`."""

    def __init__(self, backend: Backend) -> None:
        """Over that backend, which is closed with this."""
        self.backend = backend
        #: When this process put the status of a cluster, by the monotonic clock.
        self._put_at: dict[str, float] = {}

    @property
    def writes(self) -> WriteHealth:
        """Whether it can be written, by the writes that were tried."""
        return self.backend.writes

    # -- history ------------------------------------------------------------------------------------------------------

    async def record(
        self, kind: EventKind, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """See `hactl.ports.History`."""
        await self.backend.write(lambda tables: rules.record(tables, kind, cluster, summary, node, detail))

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.History`."""
        return await self.backend.read(lambda reading: reading.history(query))

    # -- documents ----------------------------------------------------------------------------------------------------

    async def put_document(self, document: Document, *, actor: str, origin: str | None = None) -> int:
        """See `hactl.ports.Documents`."""
        return await self.backend.write(lambda tables: rules.put_document(tables, document, actor=actor, origin=origin))

    async def unmanage(self, cluster: str, *, why: str, origin: str | None = None) -> None:
        """See `hactl.ports.Documents`."""
        await self.backend.write(lambda tables: rules.unmanage(tables, cluster, why, origin))

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Documents`."""
        return await self.backend.read(lambda reading: reading.documents())

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Documents`."""
        return await self.backend.read(lambda reading: reading.generations(cluster))

    # -- passes and their steps ---------------------------------------------------------------------------------------

    async def lease(self, cluster: str, *, above: int = 0) -> int:
        """See `hactl.ports.Passes`."""
        return await self.backend.write(lambda tables: rules.take_lease(tables, cluster, above))

    async def holder(self) -> Holder:
        """See `hactl.ports.Passes`."""
        return await self.backend.write(lambda tables: Holder(tables.process, f"{tables.actor} ({tables.command})"))

    async def knows(self, token: str) -> bool:
        """See `hactl.ports.Passes`."""
        return await self.backend.read(lambda reading: reading.knows(token))

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """See `hactl.ports.Steps`. A caller that is cancelled meanwhile leaves a Failed step: it was never sent."""
        unsent = (Outcome.FAILED.value, None, "cancelled before it was sent", 0.0)
        return await self.backend.write(
            lambda tables: rules.begin_step(tables, record, lease),
            undo=lambda tables, step: rules.end_step(tables, step, *unsent),
        )

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """See `hactl.ports.Steps`."""
        await self.backend.write(lambda tables: rules.end_step(tables, step, outcome, exit_status, output, seconds))

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """See `hactl.ports.Passes`."""
        changed = await self.backend.write(lambda tables: rules.put_status(tables, cluster, status, events))
        self._put_at[cluster] = self.backend.clock.monotonic()
        return changed

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Passes`."""
        rows = await self.backend.read(lambda reading: reading.statuses())
        return [row | {"age_seconds": self._age_seconds(row["cluster"], row["changed_at"])} for row in rows]

    def _age_seconds(self, cluster: str, changed_at: str) -> float:
        """Since this process last put the status; else since it last changed."""
        clock = self.backend.clock
        if cluster in self._put_at:
            return clock.monotonic() - self._put_at[cluster]
        return seconds_between(changed_at, clock.now())

    # -- operations ---------------------------------------------------------------------------------------------------

    async def open_operation(self, fields: Mapping[str, Any]) -> int:
        """See `hactl.ports.OperationLog`."""
        return (await self.backend.write(lambda tables: rules.open_operation(tables, fields, "")))[0]

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """See `hactl.ports.OperationLog`."""
        return await self.backend.write(lambda tables: rules.end_operation(tables, number, state, message, seconds))

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """See `hactl.ports.OperationLog`."""
        return await self.backend.read(lambda reading: reading.operations(cluster, open_only=open_only))

    async def operations_in_force(self, cluster: str) -> Sequence[Operation]:
        """See `hactl.ports.OperationLog`."""
        return await self.backend.read(lambda reading: reading.operations_in_force(cluster))

    # -- the whole ----------------------------------------------------------------------------------------------------

    async def recover(self) -> int:
        """See `hactl.ports.Upkeep`. Done when the record is opened, too."""
        return await self.backend.write(lambda tables: tables.recover())

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """See `hactl.ports.Upkeep`."""
        return await self.backend.write(lambda tables: rules.prune(tables, keep_days, keep_rows))

    async def close(self) -> None:
        """See `hactl.ports.Upkeep`."""
        await self.backend.close()

    # -- objects ------------------------------------------------------------------------------------------------------

    async def revision(self) -> int:
        """See `hactl.ports.ObjectLog`."""
        return await self.backend.read(lambda reading: reading.revision())

    async def objects(self, resource: str, name: str | None = None) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.ObjectLog`."""
        return await self.backend.read(lambda reading: (reading.revision(), reading.objects(resource, name)))

    async def origins(self) -> Mapping[str, str]:
        """See `hactl.ports.ObjectLog`."""
        return {row["cluster"]: row["origin"] for row in await self.documents()}

    async def changes_since(self, revision: int, *, limit: int = 1000) -> Sequence[ObjectChange]:
        """See `hactl.ports.ObjectLog`."""
        return await self.backend.read(lambda reading: reading.changes_since(revision, limit))

    async def event_rows(
        self, *, after: int | None = None, limit: int = 1000
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.ObjectLog`."""
        return await self.backend.read(lambda reading: (reading.revision(), reading.event_rows(after, limit)))

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `hactl.ports.ObjectLog`."""
        return self.backend.on_change(listener)

    async def changed_outside(self) -> bool:
        """See `hactl.ports.ObjectLog`."""
        return await self.backend.changed_outside()

    async def origin(self, cluster: str) -> str | None:
        """See `hactl.ports.Objects`."""
        newest = await self.backend.read(lambda reading: reading.newest(cluster))
        return newest.origin if newest.managed else None

    async def create_object(
        self, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        return await self.backend.write(
            lambda tables: rules.create(tables, resource, body, actor=actor, document=document)
        )

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
        return await self.backend.write(
            lambda tables: rules.update(tables, resource, body, expected=expected, actor=actor, document=document)
        )

    async def delete_object(
        self, resource: str, name: str, *, actor: str, expected: int | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        return await self.backend.write(
            lambda tables: rules.delete(tables, resource, name, actor=actor, expected=expected)
        )

    async def create_operation(
        self, fields: Mapping[str, Any], *, name: str, metadata: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        return (await self.backend.write(lambda tables: rules.open_operation(tables, fields, name, metadata)))[1]

    # -- tokens -------------------------------------------------------------------------------------------------------

    async def create_token(self, name: str, *, digest: str, role: str, actor: str, expires_at: datetime | None) -> None:
        """See `hactl.ports.Tokens`."""
        await self.backend.write(
            lambda tables: rules.create_token(tables, name, digest, role=role, actor=actor, expires_at=expires_at)
        )

    async def use_tokens(self, uses: Mapping[str, datetime]) -> None:
        """See `hactl.ports.Tokens`."""
        await self.backend.write(lambda tables: rules.use_tokens(tables, uses))

    async def revoke_token(self, name: str, *, actor: str) -> bool:
        """See `hactl.ports.Tokens`."""
        return await self.backend.write(lambda tables: rules.revoke_token(tables, name, actor))

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Tokens`."""
        return await self.backend.read(lambda reading: reading.tokens())
