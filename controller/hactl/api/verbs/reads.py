"""Reading: get, list and watch of every resource, from the cache in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from hactl.api.cache import Entry, EventFeed, Feed, ObjectFeed, too_new
from hactl.api.request.negotiate import Form
from hactl.api.request.paths import ResourcePath
from hactl.api.request.selection import Presentation, in_namespace, page, presentation, selection, start, token_of
from hactl.api.request.wire import Request, Response
from hactl.api.verbs.watch import Event, Watching, error, ordered
from hactl.api.workers import INLINE_OBJECTS, Lane
from hactl.core.kube.errors import ApiError, not_found
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, NAMESPACE, NAMESPACES, STORED, Resource
from hactl.core.kube.tables import partial, partial_list, table
from hactl.errors import StoreError
from hactl.ports import Clock, ObjectLog

log = logging.getLogger("hactl.api")

#: Whether another process wrote to the record is asked this often while anybody watches, seconds.
POLL_SECONDS = 0.25
_NAMESPACE_BODY: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": NAMESPACE,
        "uid": "00000000-0000-0000-0000-000000000001",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"kubernetes.io/metadata.name": NAMESPACE},
    },
    "spec": {"finalizers": ["kubernetes"]},
    "status": {"phase": "Active"},
}


class _NamespaceFeed(Feed):
    """The one namespace, for ever."""

    async def _load(self) -> None:
        self._states[NAMESPACES.plural] = {NAMESPACE: _NAMESPACE_BODY}
        await self._pull()

    async def _pull(self) -> None:
        self.revision = max(1, await self._objects.revision())


class Reader:
    """Answers reads; keeps the cache up to date while anybody watches."""

    def __init__(self, objects: ObjectLog, clock: Clock, lane: Lane) -> None:
        """Nothing is read yet; long lists are made in `lane`."""
        self._lane = lane
        self._objects = objects
        self._clock = clock
        self.stored = ObjectFeed(objects)
        self.events = EventFeed(objects, self.stored)
        self._namespaces = _NamespaceFeed(objects)
        self._following: asyncio.Task[None] | None = None
        self._wrote = asyncio.Event()
        self._closed = False
        #: An object of the record as it may be believed now (`core.status.freshness`): what is got and listed.
        self.as_of_now: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    # -- the cache --------------------------------------------------------------------------------------------------

    async def feed(self, resource: Resource) -> Feed:
        """The up-to-date part of the cache that has this resource. Raises StoreError."""
        if resource == NAMESPACES:
            await self._namespaces.fresh()
            return self._namespaces
        await self.stored.fresh()
        if resource in STORED:
            return self.stored
        assert resource == EVENTS, resource
        await self.events.fresh()
        return self.events

    async def everything(self) -> tuple[Feed, ...]:
        """Every feed that changes, up to date and followed. Raises StoreError."""
        self.follow()
        await self.stored.fresh()
        await self.events.fresh()
        return self.stored, self.events

    def follow(self) -> None:
        """From now on changes are looked for, until `close`."""
        if self._following is None and not self._closed:
            # Before anything else is written, and not when the task gets its first turn.
            end = self._objects.on_change(self._wrote.set)
            self._following = asyncio.get_running_loop().create_task(self._keep_up(end))

    async def _keep_up(self, end: Callable[[], None]) -> None:
        trouble = ""
        try:
            while True:
                # Not wait_for: that of Python 3.11 may swallow a cancellation.
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wrote.wait()
                here = self._wrote.is_set()
                self._wrote.clear()
                try:
                    if here or await self._objects.changed_outside():
                        await self._catch_up()
                    trouble = ""
                except StoreError as broken:
                    # Watchers wait until the record can be read again; they have lost nothing.
                    if str(broken) != trouble:
                        log.error("the record cannot be read for watches", extra={"error": str(broken)})
                    trouble = str(broken)
        finally:
            end()

    async def _catch_up(self) -> None:
        """Read what somebody waits for."""
        events = self.events.watched > 0 or self.events.on_row is not None
        if events or self.stored.watched:
            await self.stored.fresh()
        if events:
            await self.events.fresh()

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return self.stored.watched + self.events.watched + self._namespaces.watched

    async def close(self) -> None:
        """End every watch."""
        self._closed = True
        for feed in (self.stored, self.events, self._namespaces):
            feed.close()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    # -- requests ---------------------------------------------------------------------------------------------------

    async def get(self, path: ResourcePath, request: Request) -> Response:
        """One object. Raises ApiError (404)."""
        shape = presentation(request)
        feed = await self.feed(path.resource)
        wanted = page(path.resource.plural, {"resourceVersion": request.query.get("resourceVersion", "")})
        if wanted.revision is not None and wanted.revision > feed.revision:
            raise too_new(wanted.revision, feed.revision)
        body = feed.state(path.resource.plural).get(path.name) if in_namespace(path) else None
        if body is None:
            raise not_found(path.resource.group, path.resource.plural, path.name)
        return Response(body=self.shown(path.resource, self._now(path.resource, body), shape))

    def _now(self, resource: Resource, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object with the status that may be believed now; its revision is that of what is stored."""
        if self.as_of_now is None or resource != HACLUSTERS or not body.get("status"):
            return body
        return self.as_of_now(body)

    def shown(self, resource: Resource, body: Mapping[str, Any], shape: Presentation) -> Any:
        """One object in that form."""
        if shape.form is Form.TABLE:
            version = body["metadata"].get("resourceVersion", "")
            return table(resource, [body], rv=version, wide_objects=shape.included, now=self._clock.now())
        return partial(body) if shape.form is Form.PARTIAL else body

    async def listed(self, path: ResourcePath, request: Request) -> Response:
        """The selected objects in the order of their names, or one page of them. Raises ApiError."""
        resource, shape = path.resource, presentation(request)
        selected, wanted = selection(path, request.query), page(path.resource.plural, request.query)
        feed = await self.feed(resource)
        revision = feed.revision
        if wanted.revision is not None and wanted.revision > revision:
            raise too_new(wanted.revision, revision)
        as_it_was = wanted.revision is not None and wanted.exact
        if wanted.revision is not None and wanted.exact:
            revision = wanted.revision
            state = await feed.state_at(resource.plural, revision)
        else:
            # As it is now: it changes while the list is made.
            state = dict(feed.state(resource.plural))

        def made() -> Mapping[str, Any]:
            names = [name for name in sorted(state) if name > wanted.after and selected.match(state[name])]
            more: dict[str, Any] = {}
            if wanted.limit is not None and len(names) > wanted.limit:
                more["continue"] = token_of(resource.plural, revision, names[wanted.limit - 1])
                if selected.everything:
                    more["remainingItemCount"] = len(names) - wanted.limit
                names = names[: wanted.limit]
            # What was at a revision is shown as it was.
            bodies = [state[name] if as_it_was else self._now(resource, state[name]) for name in names]
            return self._list_of(resource, bodies, str(revision), more, shape)

        if len(state) <= INLINE_OBJECTS:
            return Response(body=made())
        return Response(body=await self._lane.run(request.identity.actor, made))

    def _list_of(
        self,
        resource: Resource,
        bodies: list[Mapping[str, Any]],
        version: str,
        more: Mapping[str, Any],
        shape: Presentation,
    ) -> Mapping[str, Any]:
        if shape.form is Form.TABLE:
            now = self._clock.now()
            return table(resource, bodies, rv=version, wide_objects=shape.included, now=now, more=more)
        if shape.form is Form.PARTIAL:
            return partial_list(bodies, rv=version, more=more)
        return {
            "apiVersion": resource.api_version,
            "kind": f"{resource.kind}List",
            "metadata": {"resourceVersion": version, **more},
            "items": bodies,
        }

    async def watch(self, path: ResourcePath, request: Request) -> Response:
        """A stream of changes. Raises ApiError; a revision that is too old is told by the stream itself."""
        resource, shape = path.resource, presentation(request)
        selected, wanted = selection(path, request.query), start(request.query)
        feed = await self.feed(resource)
        if self._closed:
            return Response(stream=_stream())
        self.follow()
        try:
            if wanted.revision is not None and wanted.revision > feed.revision:
                # It has seen a revision of another record: this one was replaced. Only a new list helps.
                raise ApiError(410, "Expired", f"too large resource version: {wanted.revision} ({feed.revision})")
            backlog: tuple[Entry, ...] = ()
            if wanted.revision is not None and not wanted.replay:
                backlog = tuple(await feed.since(resource.plural, wanted.revision))
        except ApiError as refusal:
            if refusal.code != 410:
                raise
            return Response(stream=_stream(error(refusal)))
        # Nothing is awaited from here to the subscription: no change is missed and none told twice.
        initial = tuple(ordered(feed.state(resource.plural), selected)) if wanted.replay else ()
        revision = feed.revision if wanted.replay or wanted.revision is None else wanted.revision
        subscription = feed.subscribe(resource.plural)
        watching = Watching(
            resource, selected, shape, wanted, self._clock, subscription, feed, initial, backlog, revision
        )  # fmt: skip
        return Response(stream=watching.events())


async def _stream(*events: Event) -> AsyncIterator[Event]:
    """A stream that ends by itself."""
    for event in events:
        yield event
