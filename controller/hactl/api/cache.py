"""Everything the API shows, in memory, as of one revision, and the changes that led there: the cache behind lists and
watches.

- A read waits until the cache has what was in the record when it asked (`fresh`): nobody reads an old state.
- Changes are kept with the object as it was before, so that a state of a moment ago can still be had, and a watch
  knows whether an object began or ceased to match.
- A subscriber that does not keep up is dropped, never waited for.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hactl.core.kube.codec import event_body
from hactl.core.kube.errors import ApiError, Details, gone
from hactl.core.kube.kinds import STORED
from hactl.errors import TooOld
from hactl.ports import ObjectChange, ObjectLog

Body: TypeAlias = Mapping[str, Any]
ChangeType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

#: Changes kept in memory, at most so many and of so many bytes of JSON together; and the newest events shown.
KEPT = 4096
KEPT_BYTES = 32 * 1024 * 1024
#: Changes that may wait for one subscriber, and their bytes of JSON; then it is dropped.
WAITING = 1024
WAITING_BYTES = 16 * 1024 * 1024
_PAGE = 1000
EVENTS_PLURAL: Final = "events"
#: What an object was before its oldest change that is still known.
UNKNOWN: Final[Body] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, with the object before and after; `before` None: there was none; UNKNOWN: nobody knows any more."""

    revision: int
    resource: str
    name: str
    type: ChangeType
    body: Body
    before: Body | None
    #: Characters of the JSON of `body`; 0 for what is always short.
    size: int = 0


def too_old(revision: int, floor: int) -> ApiError:
    """410."""
    return gone(f"too old resource version: {revision} ({floor})")


def too_new(revision: int, newest: int) -> ApiError:
    """504, as Kubernetes answers for a version that is still to come."""
    return ApiError(
        504, "Timeout", f"Too large resource version: {revision}, current: {newest}", Details(retry_after_seconds=1)
    )


class Subscription:
    """The changes of one resource (None: of all) from now on, for one watcher."""

    def __init__(self, resource: str | None, limit: int = WAITING) -> None:
        """At most `limit` changes wait."""
        self.resource = resource
        self._queue: asyncio.Queue[Entry | None] = asyncio.Queue(limit)
        self._bytes = 0
        #: dropped: it was too slow, or the cache lost its place, so that it would see gaps; closed: the server stops.
        self.state: Literal["open", "dropped", "closed"] = "open"

    def offer(self, entry: Entry) -> None:
        """Put a change in; when there is no room, end it."""
        if self.state != "open":
            return
        if self._queue.full() or (self._bytes + entry.size > WAITING_BYTES and self._bytes):
            self.drop()
        else:
            self._queue.put_nowait(entry)
            self._bytes += entry.size

    def drop(self) -> None:
        """What waits is thrown away: the watcher has to list again."""
        self.state = "dropped"
        self._clear()

    def close(self) -> None:
        """The server stops."""
        self.state = "closed"
        self._clear()

    def _clear(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self._bytes = 0
        self._queue.put_nowait(None)

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return self._queue.qsize()

    async def next(self, timeout_seconds: float) -> Entry | None:
        """The next change; None: the time is over, or it was dropped or closed."""
        try:
            async with asyncio.timeout(timeout_seconds):
                entry = await self._queue.get()
        except TimeoutError:
            return None
        if entry is not None:
            self._bytes -= entry.size
        return entry


class Feed(ABC):
    """A part of the record in memory: states by resource, and a log. Filled by what derives from it."""

    def __init__(self, objects: ObjectLog) -> None:
        """Empty; loaded when it is first asked."""
        self._objects = objects
        self._states: dict[str, dict[str, Body]] = {}
        self._log: deque[Entry] = deque()
        self._log_bytes = 0
        #: Every change after this revision is in the log.
        self.floor = 0
        #: Every change up to this revision is in the states.
        self.revision = 0
        self._loaded = False
        self._lock = asyncio.Lock()
        self._begun = 0
        self._subscriptions: set[Subscription] = set()

    # -- kept up to date --------------------------------------------------------------------------------------------

    async def fresh(self) -> None:
        """Wait until everything is here that was in the record when this was called. Raises StoreError."""
        mine = self._begun
        async with self._lock:
            if self._begun > mine:
                # A look that began after we asked is over.
                return
            self._begun += 1
            if not self._loaded:
                await self._load()
                self._loaded = True
            else:
                await self._pull_or_reload()

    async def _pull_or_reload(self) -> None:
        try:
            await self._pull()
        except TooOld:
            # So much was written elsewhere that the way from here to there is lost.
            for each in tuple(self._subscriptions):
                each.drop()
            self._log.clear()
            self._log_bytes = 0
            await self._load()

    @abstractmethod
    async def _load(self) -> None:
        """Everything as it is now."""

    @abstractmethod
    async def _pull(self) -> None:
        """What changed since. Raises TooOld."""

    def _apply(self, change: ObjectChange) -> None:
        resource, name, kind, body = change.resource, change.name, change.type, change.body
        state = self._states.setdefault(resource, {})
        entry = Entry(change.revision, resource, name, kind, body, state.get(name), change.size)
        if kind == "DELETED":
            state.pop(name, None)
        else:
            state[name] = body
        self._log.append(entry)
        self._log_bytes += entry.size
        while len(self._log) > KEPT or self._log_bytes > KEPT_BYTES:
            oldest = self._log.popleft()
            self._log_bytes -= oldest.size
            self.floor = oldest.revision
        for each in tuple(self._subscriptions):
            if each.resource in (None, resource):
                each.offer(entry)
                if each.state == "dropped":
                    self._subscriptions.discard(each)

    # -- asked ------------------------------------------------------------------------------------------------------

    def state(self, resource: str) -> Mapping[str, Body]:
        """What is there now, by name."""
        return self._states.get(resource, {})

    async def state_at(self, resource: str, revision: int) -> Mapping[str, Body]:
        """What was there at that revision. Raises ApiError (410) when that is not known any more."""
        if revision > self.revision:
            raise too_new(revision, self.revision)
        await self._reach(revision)
        state = dict(self.state(resource))
        for entry in reversed(self._log):
            if entry.revision <= revision:
                break
            if entry.resource != resource:
                continue
            if entry.before is UNKNOWN:
                raise too_old(revision, entry.revision)
            if entry.before is None:
                state.pop(entry.name, None)
            else:
                state[entry.name] = entry.before
        return state

    async def since(self, resource: str | None, revision: int) -> Sequence[Entry]:
        """The changes (of all resources: None) after that revision. Raises ApiError (410) when some are not known.

        What is returned reaches to the moment of the return: nothing is awaited after it was gathered.
        """
        await self._reach(revision)
        return [entry for entry in self._log if entry.revision > revision and resource in (None, entry.resource)]

    async def _reach(self, revision: int) -> None:
        """Make the log begin at that revision. Raises ApiError (410)."""
        if revision < self.floor:
            raise too_old(revision, self.floor)

    def subscribe(self, resource: str) -> Subscription:
        """Changes from now on; to be ended with `unsubscribe`."""
        made = Subscription(resource)
        self.join(made)
        return made

    def join(self, subscription: Subscription) -> None:
        """This feed's changes go there too."""
        self._subscriptions.add(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more of them."""
        self._subscriptions.discard(subscription)

    @property
    def watched(self) -> int:
        """How many watch."""
        return len(self._subscriptions)

    def close(self) -> None:
        """End every subscription."""
        for each in tuple(self._subscriptions):
            each.close()


class ObjectFeed(Feed):
    """Stored objects: clusters, operations, leases."""

    async def _load(self) -> None:
        read_at = {}
        for resource in STORED:
            revision, bodies = await self._objects.objects(resource.plural)
            read_at[resource.plural] = revision
            self._states[resource.plural] = {body["metadata"]["name"]: body for body in bodies}
        self.revision = min(read_at.values())
        await self._pull(read_at)
        self.floor = max(self.floor, *read_at.values())
        self.revision = max(self.revision, self.floor)

    async def _pull(self, read_at: Mapping[str, int] | None = None) -> None:
        target = await self._objects.revision()
        while self.revision < target:
            changes = await self._objects.changes_since(self.revision, limit=_PAGE)
            for change in changes:
                if change.revision > (read_at or {}).get(change.resource, 0):
                    self._apply(change)
                self.revision = max(self.revision, change.revision)
            if len(changes) < _PAGE:
                self.revision = max(self.revision, target)

    async def _reach(self, revision: int) -> None:
        """Older changes are read from the record: so a watch goes on after a restart."""
        if revision >= self.floor:
            return
        async with self._lock:
            found: list[ObjectChange] = []
            size, at = self._log_bytes, revision
            while at < self.floor:
                try:
                    page = await self._objects.changes_since(at, limit=_PAGE)
                except TooOld:
                    raise too_old(revision, self.floor) from None
                older = [change for change in page if change.revision <= self.floor]
                found += older
                size += sum(change.size for change in older)
                if len(found) + len(self._log) > KEPT or size > KEPT_BYTES:
                    raise too_old(revision, self.floor)
                if len(page) < _PAGE:
                    break
                at = page[-1].revision
            if revision < self.floor:
                self._log.extendleft(reversed(_with_before(found)))
                self._log_bytes = size
                self.floor = revision


def _with_before(changes: Sequence[ObjectChange]) -> list[Entry]:
    """Changes with what each object was before, as far as they tell themselves."""
    last: dict[tuple[str, str], Body | None] = {}
    entries = []
    for change in changes:
        key = (change.resource, change.name)
        before = last.get(key, None if change.type == "ADDED" else UNKNOWN)
        entries.append(
            Entry(change.revision, change.resource, change.name, change.type, change.body, before, change.size)
        )
        last[key] = None if change.type == "DELETED" else change.body
    return entries


class EventFeed(Feed):
    """Events of the history: the newest ones."""

    def __init__(self, objects: ObjectLog, clusters: ObjectFeed) -> None:
        """`clusters` knows the uids of what the events are about."""
        super().__init__(objects)
        self._clusters = clusters
        #: Called with every new row of the history, once each.
        self.on_row: Callable[[Mapping[str, Any]], None] | None = None

    async def _load(self) -> None:
        revision, rows = await self._objects.event_rows(limit=KEPT)
        self._states[EVENTS_PLURAL] = {body["metadata"]["name"]: body for body in map(self._body, rows)}
        self.revision = self.floor = max([revision, *(int(row["revision"]) for row in rows)])

    async def _pull(self) -> None:
        while True:
            revision, rows = await self._objects.event_rows(after=self.revision, limit=_PAGE)
            state = self._states.setdefault(EVENTS_PLURAL, {})
            for row in rows:
                body = self._body(row)
                name = body["metadata"]["name"]
                known = name in state
                kind: ChangeType = "MODIFIED" if known else "ADDED"
                self._apply(ObjectChange(int(row["revision"]), EVENTS_PLURAL, name, kind, body))
                if self.on_row is not None:
                    self.on_row(row)
                self.revision = max(self.revision, int(row["revision"]))
            while len(state) > KEPT:
                # The oldest leave, and watchers are told so, as of Kubernetes' events whose time is over.
                oldest = next(iter(state))
                metadata = {**state[oldest]["metadata"], "resourceVersion": str(self.revision)}
                gone_body = {**state[oldest], "metadata": metadata}
                self._apply(ObjectChange(self.revision, EVENTS_PLURAL, oldest, "DELETED", gone_body))
            if len(rows) < _PAGE:
                self.revision = max(self.revision, revision)
                return

    def _body(self, row: Mapping[str, Any]) -> Body:
        about = self._clusters.state("haclusters").get(row["cluster"] or "", {})
        return event_body(row, about.get("metadata", {}).get("uid", ""))
