"""`hactl.ports.Objects` in SQLite: whole objects, their changes, the revision, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hactl.adapters.record import rules as object_rules
from hactl.adapters.record.bodies import Body
from hactl.adapters.record.sqlite.objects import (
    list_changes,
    list_event_rows,
    list_objects,
    list_origins,
    newest_revision,
)
from hactl.adapters.record.sqlite.threads import StoreThreads
from hactl.adapters.record.sqlite.tokens import (
    delete_token,
    insert_token,
    list_tokens,
    record_created,
    record_revoked,
    token_row,
)
from hactl.adapters.record.sqlite.writer import Writer
from hactl.ports import Document, ObjectChange


class ObjectStore(StoreThreads):
    """The API's side of the record."""

    async def revision(self) -> int:
        """See `hactl.ports.Objects`."""
        return await self._read(newest_revision)

    async def objects(self, resource: str, name: str | None = None) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.Objects`."""
        return await self._read_at_once(lambda connection: list_objects(connection, resource, name))

    async def origin(self, cluster: str) -> str | None:
        """See `hactl.ports.Objects`."""
        return (await self._read(lambda connection: list_origins(connection, cluster))).get(cluster)

    async def origins(self) -> Mapping[str, str]:
        """See `hactl.ports.Objects`."""
        return await self._read(lambda connection: list_origins(connection, None))

    async def create_object(
        self, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""

        def create(writer: Writer) -> Body:
            with writer.writing():
                return object_rules.create(writer.tables, resource, body, actor=actor, document=document)

        return await self._write(create)

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

        def update(writer: Writer) -> Body:
            kept = object_rules.kept_object(writer.tables, resource, body, expected=expected, document=document)
            if kept is not None:
                return kept
            with writer.writing():
                return object_rules.update(
                    writer.tables, resource, body, expected=expected, actor=actor, document=document
                )

        return await self._write(update)

    async def delete_object(
        self, resource: str, name: str, *, actor: str, expected: int | None = None
    ) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""

        def delete(writer: Writer) -> Body:
            with writer.writing():
                return object_rules.delete(writer.tables, resource, name, actor=actor, expected=expected)

        return await self._write(delete)

    async def create_operation(self, request: Mapping[str, Any], *, name: str) -> Mapping[str, Any]:
        """See `hactl.ports.Objects`."""
        return (await self._write(lambda writer: writer.open_operation(request, name)))[1]

    async def changes_since(self, revision: int, *, limit: int = 1000) -> Sequence[ObjectChange]:
        """See `hactl.ports.Objects`."""
        return await self._read_at_once(lambda connection: list_changes(connection, revision, limit))

    async def event_rows(
        self, *, after: int | None = None, limit: int = 1000
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """See `hactl.ports.Objects`."""
        return await self._read_at_once(lambda connection: list_event_rows(connection, after, limit))

    async def create_token(self, name: str, *, digest: str, role: str, actor: str, expires_at: datetime | None) -> None:
        """See `hactl.ports.Objects`."""
        row = token_row(name, digest=digest, role=role, actor=actor, now=self._clock.now(), expires_at=expires_at)

        def create(writer: Writer) -> None:
            with writer.writing() as connection:
                insert_token(connection, row)
                record_created(writer.event, row)

        await self._write(create)

    async def revoke_token(self, name: str, *, actor: str) -> bool:
        """See `hactl.ports.Objects`."""

        def revoke(writer: Writer) -> bool:
            with writer.writing() as connection:
                gone = delete_token(connection, name)
                if gone:
                    record_revoked(writer.event, name, actor)
            return gone

        return await self._write(revoke)

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Objects`."""
        return await self._read(list_tokens)
