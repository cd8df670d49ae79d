"""The API's own clusters as a source of the controller: the haclusters of the record whose origin is the API.

What a document refers to (`passwordFrom.file` and the like) is held to what documents from a network may name, and
starts from the directory of secrets; unless the object says where its references start, which only somebody on this
machine may have written (`hactl.core.kube.codec.REFERENCES`, kept so by the API).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from hactl.adapters.record.bodies import compact, name_of
from hactl.adapters.sources.text import Origin, object_document
from hactl.adapters.yaml.documents import FileContent, read_documents
from hactl.core.kube.codec import REFERENCES, document_data
from hactl.core.kube.kinds import HACLUSTERS
from hactl.errors import StoreError, TooOld
from hactl.ports import API_LABEL, API_ORIGIN, ObjectChange, ObjectLog, SourceState

#: How long a change that another process wrote may stay unseen, seconds.
POLL_SECONDS = 0.5


def place(name: str) -> str:
    """Where a document that was made through the API stands, for people."""
    return f"{API_LABEL}/{name}"


class ApiSource:
    """`hactl.ports.Source` over the objects of the record."""

    def __init__(self, objects: ObjectLog, directory: str) -> None:
        """`directory`: where relative references start."""
        self._objects = objects
        self._directory = directory
        #: Of each cluster: its document as JSON, and what came of it.
        self._held: dict[str, tuple[str, FileContent]] = {}
        self._revision = 0

    async def read(self) -> SourceState:
        """Every cluster that was made through the API; those that do not load (any more) are broken."""
        try:
            origins = await self._objects.origins()
            revision, bodies = await self._objects.objects(HACLUSTERS.plural)
        except StoreError as error:
            return SourceState({}, (), down=str(error))
        mine = {name_of(body): body for body in bodies if origins.get(name_of(body)) == API_ORIGIN}
        self._held = {name: self._content(name, body) for name, body in mine.items()}
        self._revision = revision
        found = [document for _, content in self._held.values() for document in content.documents]
        documents = {document.cluster.name: document for document in found}
        problems = sorted(problem for _, content in self._held.values() for problem in content.problems)
        # The record says itself what was deleted: nothing is here is nothing wanted.
        return SourceState(documents, tuple(problems), frozenset(mine.keys() - documents.keys()), certain=True)

    async def changes(self) -> AsyncIterator[None]:
        """Yields when a cluster came, went, or has another document; statuses that change are no news."""
        written = asyncio.Event()
        # What happened since `read`.
        written.set()
        end = self._objects.on_change(written.set)
        seen = self._revision
        try:
            while True:
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await written.wait()
                except TimeoutError:
                    if not await self._changed_outside():
                        continue
                written.clear()
                # Whoever read meanwhile knows what happened until then.
                seen, news = await self._news(max(seen, self._revision))
                if news:
                    yield None
        finally:
            end()

    async def _changed_outside(self) -> bool:
        try:
            return await self._objects.changed_outside()
        except StoreError:
            # A record that cannot be read: the next `read` says so.
            return True

    async def _news(self, seen: int) -> tuple[int, bool]:
        """(the revision that was looked at, whether a document may have changed since `seen`)."""
        try:
            while changes := await self._objects.changes_since(seen):
                seen = changes[-1].revision
                if any(self._is_news(change) for change in changes):
                    return seen, True
        except TooOld:
            # Whoever reads now begins anew; the record may be another one, that counts less.
            return 0, True
        except StoreError:
            return seen, True
        return seen, False

    def _is_news(self, change: ObjectChange) -> bool:
        """Whether it may be one of ours, and says something else than what was read."""
        if change.resource != HACLUSTERS.plural:
            return False
        held = self._held.get(change.name)
        if held is None:
            # One that a command handed in may become the API's (see `hactl.adapters.record.rules.update`).
            return change.type == "ADDED" or _references(change.body) is not None
        return change.type != "MODIFIED" or held[0] != _text(change.body)

    def _content(self, name: str, body: Mapping[str, Any]) -> tuple[str, FileContent]:
        """What is in an object; looked at again only when its document changed."""
        text = _text(body)
        held = self._held.get(name)
        if held is not None and held[0] == text:
            return held
        directory = _references(body)
        if directory is None:
            return text, object_document(body, source=place(name), directory=self._directory, origin=Origin())
        found = read_documents(text.encode(), source=place(name), directory=directory)
        # There is no file whose lines would help.
        problems = sorted({replace(problem, line=0, column=0) for problem in found.problems})
        return text, replace(found, problems=tuple(problems))


def _references(body: Mapping[str, Any]) -> str | None:
    """Where somebody on this machine said that references of the document start."""
    found = (body["metadata"].get("annotations") or {}).get(REFERENCES)
    return found if isinstance(found, str) and found else None


def _text(body: Mapping[str, Any]) -> str:
    return compact(document_data(body))
