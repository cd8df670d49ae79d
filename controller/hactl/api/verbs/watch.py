"""A watch: what is there now if asked for, then every change that matters to the watcher, as values, one after another.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hactl.api.cache import UNKNOWN, Body, Entry, Feed, Subscription, too_old
from hactl.api.request.negotiate import Form
from hactl.api.request.selection import Presentation, Selection, Start
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import Resource
from hactl.core.kube.tables import bookmark_table, partial, table_of_one
from hactl.ports import Clock

#: A quiet watch that allows bookmarks gets one this often, seconds.
BOOKMARK_SECONDS = 60.0
#: A watch ends by itself after a random time between these, seconds: clients come back, and spread.
LONGEST_SECONDS = (1800.0, 3600.0)
#: A bookmark with this annotation ends the initial events.
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watching:
    """One watch, ready to be told."""

    resource: Resource
    selection: Selection
    shape: Presentation
    start: Start
    clock: Clock
    subscription: Subscription
    feed: Feed
    #: What is there now, if that was asked for.
    initial: tuple[Body, ...]
    #: Changes between the revision asked for and the moment of the subscription.
    backlog: tuple[Entry, ...]
    #: What the client has when it has the initial events.
    revision: int

    async def events(self) -> AsyncIterator[Event]:
        """The events, until the time is over, the server stops, or the watcher was too slow (an ERROR event)."""
        seconds = self.start.timeout_seconds or random.uniform(*LONGEST_SECONDS)
        deadline = self.clock.monotonic() + seconds
        writer = _EventWriter(self.resource, self.shape, self.clock)
        revision = self.revision
        try:
            for body in self.initial:
                yield writer.event("ADDED", body)
            if self.start.marked:
                yield writer.bookmark(revision, {INITIAL_EVENTS_END: "true"})
            for entry in self.backlog:
                if (seen := as_seen(entry, self.selection)) is not None:
                    yield writer.event(*seen)
            if self.backlog:
                revision = max(revision, self.backlog[-1].revision)
            while (left := deadline - self.clock.monotonic()) > 0:
                change = await self.subscription.next(min(left, BOOKMARK_SECONDS))
                if self.subscription.state == "dropped":
                    yield error(too_old(revision, self.feed.revision))
                    return
                if self.subscription.state == "closed":
                    return
                if change is not None:
                    revision = change.revision
                    if (seen := as_seen(change, self.selection)) is not None:
                        yield writer.event(*seen)
                elif self.start.bookmarks:
                    # Nothing waits, so everything up to here has been told.
                    revision = max(revision, self.feed.revision)
                    yield writer.bookmark(revision)
        finally:
            self.feed.unsubscribe(self.subscription)


def as_seen(entry: Entry, selection: Selection) -> tuple[str, Body] | None:
    """What the change is to somebody who sees only the selected objects; None: nothing.

    An object that begins to match is ADDED, one that ceases to is DELETED. Where it is not known any more what an
    object was before, it is taken for one that was seen.
    """
    now = entry.type != "DELETED" and selection.match(entry.body)
    if entry.before is UNKNOWN:
        before = entry.type != "DELETED" or selection.match(entry.body)
    else:
        before = entry.before is not None and selection.match(entry.before)
    if now:
        return ("MODIFIED" if before else "ADDED"), entry.body
    if not before:
        return None
    if entry.type == "DELETED" or not entry.before:
        return "DELETED", entry.body
    version = {"resourceVersion": str(entry.revision)}
    return "DELETED", {**entry.before, "metadata": {**entry.before["metadata"], **version}}


def error(refusal: ApiError) -> Event:
    """The event that ends a watch."""
    return {"type": "ERROR", "object": refusal.status()}


class _EventWriter:
    """Writes objects in the form the watcher wants."""

    def __init__(self, resource: Resource, shape: Presentation, clock: Clock) -> None:
        self._resource = resource
        self._shape = shape
        self._clock = clock
        self._first = True

    def event(self, kind: str, body: Body) -> Event:
        """One change."""
        shown: Any = body
        if self._shape.form is Form.TABLE:
            shown = table_of_one(
                self._resource, body, first=self._first, wide_objects=self._shape.included, now=self._clock.now()
            )
            self._first = False
        elif self._shape.form is Form.PARTIAL:
            shown = partial(body)
        return {"type": kind, "object": shown}

    def bookmark(self, revision: int, annotations: Mapping[str, str] | None = None) -> Event:
        """Everything up to that revision has been told."""
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        body = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        shown: Any = body
        if self._shape.form is Form.TABLE:
            shown = bookmark_table(body)
        elif self._shape.form is Form.PARTIAL:
            shown = partial(body)
        return {"type": "BOOKMARK", "object": shown}


def ordered(state: Mapping[str, Body], selection: Selection) -> Iterable[Body]:
    """The selected objects in the order of their names."""
    return (state[name] for name in sorted(state) if selection.match(state[name]))
