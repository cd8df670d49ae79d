"""The long-running loop: documents come in, names go through the queue, each look decides when the next one is.

Rules: every trigger (a file, devd, a timer, SIGHUP) only puts a name in the queue; one cluster's trouble is never
another's; a slow source keeps no other waiting; stopping takes a bounded time, and dying at any moment costs nothing
but a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from hactl.core.catalogue import EventKind, HoldReason
from hactl.core.pace.result import PassResult
from hactl.core.status.freshness import limit_seconds
from hactl.core.why.looked import Seen
from hactl.errors import StoreError
from hactl.ports import Clock, Documents, OperationLog, SourceHealth, Upkeep
from hactl.runtime.documents import Changes, DocumentsInForce
from hactl.runtime.leadership import Leadership, SharedSource
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import Accepted, PassRequest
from hactl.runtime.timeouts import discard, pause
from hactl.runtime.watch import DevdWatch
from hactl.runtime.workqueue import Priority, WorkQueue

log = logging.getLogger("hactl.runtime.controller")


#: A stop takes no longer than this, seconds.
STOP_SECONDS = 20.0
#: Sources are read again this often even if nothing tells of a change, seconds.
REREAD_SECONDS = 60.0
#: After a source could not be read, or no longer tells of changes, seconds.
RETRY_SECONDS = 5.0
#: What people ask for (moves, pauses ...) is noticed within this time, seconds.
OPERATIONS_SECONDS = 1.0
#: Nothing tells when a daemon of these clusters ends: they are looked at this often, seconds.
UNHEARD_SECONDS = 8.0
#: The record forgets what is older than this, days, and what is beyond a budget; looked at once an hour.
KEEP_DAYS = 400.0
HOUSEKEEPING_SECONDS = 3600.0


class Record(Documents, OperationLog, Upkeep, Protocol):
    """What of the record a controller needs, for itself and for the documents of its sources."""


class Controller:
    """Keeps every cluster of its sources as its document says."""

    def __init__(
        self,
        documents: DocumentsInForce,
        store: Record,
        reconciler: Reconciler,
        queue: WorkQueue,
        watch: DevdWatch,
        clock: Clock,
    ) -> None:
        """What its sources say is taken in by `documents`; everything is injected."""
        sources = documents.sources
        self._sources = sources
        self._store = store
        self._reconciler = reconciler
        self._queue = queue
        self._watch = watch
        self._clock = clock
        self._documents = documents
        self._taking = asyncio.Lock()
        self._stop = asyncio.Event()
        self._hints = {label: asyncio.Event() for label in sources}
        #: Of the sources that several controllers share.
        self._leaderships = {
            label: Leadership(label, source, store, clock, changed=self._lead_changed)
            for label, source in sources.items()
            if isinstance(source, SharedSource)
        }
        #: Source -> when it was read well last, monotonic seconds.
        self._read_at: dict[str, float] = {}
        self._causes: dict[str, str] = {}
        self._results: dict[str, PassResult] = {}
        #: Told how every look ended (`PassResult.next`) and how long it took, seconds.
        self.passed: Callable[[str, float], None] | None = None

    # -- for faces ------------------------------------------------------------------------------------------------

    @property
    def accepted(self) -> Mapping[str, Accepted]:
        """What is in force, by cluster name."""
        return self._documents.accepted

    @property
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        """What is wrong with the sources, by source."""
        return self._documents.problems

    @property
    def statuses(self) -> Mapping[str, Mapping[str, Any]]:
        """The newest status of every cluster looked at, also while the record cannot be written."""
        return {name: result.status for name, result in self._results.items()}

    def seen(self, cluster: str) -> Seen | None:
        """The last look at a cluster, for who asks why it is as it is; None: nobody has looked."""
        return self._reconciler.seen(cluster) if cluster in self._documents.accepted else None

    def wake(self, cluster: str, seconds: float = 0.0) -> None:
        """Something may have happened to the cluster: look at it soon."""
        if cluster in self._documents.accepted:
            self._causes[cluster] = "incident"
            self._queue.add_after(cluster, seconds, Priority.INCIDENT)

    def reread(self) -> None:
        """Read every source soon and look at every cluster (SIGHUP). Returns at once."""
        log.info("reading all sources again")
        for hint in self._hints.values():
            hint.set()
        for name in self._documents.accepted:
            self._queue.add(name, Priority.SPEC)

    def nudge(self, label: str | None = None) -> None:
        """Read one source soon (None: every one); somebody says that it changed. Raises KeyError for an unknown one."""
        for hint in self._hints.values() if label is None else [self._hints[label]]:
            hint.set()

    @property
    def sources(self) -> tuple[str, ...]:
        """The labels of the sources."""
        return tuple(self._sources)

    @property
    def source_health(self) -> Mapping[str, SourceHealth]:
        """How each source is."""
        now = self._clock.monotonic()
        return {
            label: SourceHealth(trouble, refused, now - self._read_at[label] if label in self._read_at else None)
            for label, (trouble, refused) in self._documents.troubles.items()
        }

    @property
    def fresh_seconds(self) -> float:
        """A status that is older says nothing about now."""
        return limit_seconds(self._reconciler.pace.resync_seconds)

    @property
    def depth(self) -> int:
        """How many clusters wait to be looked at now."""
        return len(self._queue.waiting)

    def leads(self, cluster: str) -> bool:
        """Whether this process may change a cluster: false while another controller leads its source."""
        accepted = self._documents.accepted.get(cluster)
        leadership = self._leaderships.get(accepted.label) if accepted is not None else None
        return leadership is None or leadership.leads

    def stop(self) -> None:
        """End `run` soon: looks are dropped, a running step gets its grace, no new one starts. Callable repeatedly."""
        if not self._stop.is_set():
            log.info("stopping")
            self._stop.set()
            self._queue.stop()
            for leadership in self._leaderships.values():
                leadership.stop()

    # -- running --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop`. Raises InvariantBroken when a promise of ours does not hold: then the process must end."""
        await self._settle_the_dead()
        await self._record(
            EventKind.CONTROLLER_STARTED, f"controller started with {', '.join(self._sources) or 'no source'}"
        )
        followers = [asyncio.ensure_future(self._follow(label)) for label in self._sources]
        followers += [
            asyncio.ensure_future(each) for each in (self._hear_operations(), self._keep_house(), self._await_record())
        ]
        followers += [asyncio.ensure_future(each.run()) for each in self._leaderships.values()]
        working = asyncio.ensure_future(self._queue.run(self._work))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await self._finish(working)
        finally:
            await discard(self._clock, *followers, stopping)
            await discard(self._clock, working, linger_seconds=STOP_SECONDS)
            await self._watch.close()
        if working.done() and not working.cancelled():
            working.result()
        await self._record(EventKind.CONTROLLER_STOPPED, "controller stopped")

    async def _finish(self, working: asyncio.Future[None]) -> None:
        """Give running passes their time."""
        alarm = asyncio.ensure_future(self._clock.sleep(STOP_SECONDS))
        await asyncio.wait({working, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            log.error("some work did not end in time; abandoning it", extra={"clusters": sorted(self._queue.running)})
        alarm.cancel()

    async def _settle_the_dead(self) -> None:
        """Steps of processes that died have no outcome on record yet."""
        try:
            settled = await self._store.recover()
        except StoreError as error:
            log.error("the record cannot be written", extra={"error": str(error)})
        else:
            if settled:
                log.warning("steps of a process that died are now Indeterminate", extra={"steps": settled})

    async def _record(self, kind: EventKind, summary: str) -> None:
        log.info(summary)
        try:
            await self._store.record(kind, "", summary)
        except StoreError as error:
            log.error("the record cannot be written", extra={"error": str(error)})

    async def _keep_house(self) -> None:
        """Forget old history, now and once an hour. A record that cannot be written is tried an hour later."""
        while True:
            try:
                forgotten = await self._store.prune(keep_days=KEEP_DAYS)
            except StoreError as error:
                log.error("old history cannot be forgotten", extra={"error": str(error)})
            else:
                if forgotten:
                    log.info("old history forgotten", extra={"rows": forgotten, "keep_days": KEEP_DAYS})
            await self._clock.sleep(HOUSEKEEPING_SECONDS)

    async def _await_record(self) -> None:
        """A record that could not be written is tried again: with nothing new to say nobody else would."""
        while True:
            await self._clock.sleep(RETRY_SECONDS)
            if await self._store.try_writing():
                # What was seen meanwhile is recorded, and what waited for the record goes on.
                self._look_soon(self._documents.accepted, "resync")

    # -- documents ------------------------------------------------------------------------------------------------

    async def _follow(self, label: str) -> None:
        """Take one source in, whenever it may have changed, for ever."""
        hint = self._hints[label]
        listening = asyncio.ensure_future(self._hear(label, hint))
        # The second read finds what changed between the first one and the moment the source began to tell of changes.
        seconds = RETRY_SECONDS
        try:
            while True:
                hint.clear()
                settled = await self._take(label)
                await pause(self._clock, seconds if settled else RETRY_SECONDS, hint)
                seconds = REREAD_SECONDS
        finally:
            await discard(self._clock, listening)

    async def _hear_operations(self) -> None:
        """Look soon at the clusters that somebody asked something for, or took it back."""
        known: dict[int, str] = {}
        while True:
            try:
                now = {each.id: each.cluster for each in await self._store.operations(open_only=True)}
            except StoreError:
                # Every pass says so; there is nothing else to do about it here.
                now = known
            clusters = {(known | now)[number] for number in known.keys() ^ now.keys()}
            accepted = self._documents.accepted.keys()
            self._look_soon(accepted if "" in clusters else accepted & clusters, "request")
            known = now
            await self._clock.sleep(OPERATIONS_SECONDS)

    async def _hear(self, label: str, hint: asyncio.Event) -> None:
        while True:
            try:
                async for _ in self._sources[label].changes():
                    hint.set()
            except Exception:
                log.exception("a source no longer tells of changes; reading it now and then", extra={"source": label})
            await self._clock.sleep(RETRY_SECONDS)

    async def _take(self, label: str) -> bool:
        """Read one source; whether everything is settled."""
        try:
            state = await self._documents.read(label)
            if state.down is None:
                self._read_at[label] = self._clock.monotonic()
            async with self._taking:
                changes = await self._documents.take(label, state)
                self._apply(changes)
        except Exception:
            log.exception("reading a source failed; what is in force stays", extra={"source": label})
            return False
        return not changes.unsettled

    def _apply(self, changes: Changes) -> None:
        for name in changes.vanished:
            self._queue.drop(name)
            self._watch.unfollow(name)
            self._reconciler.forget(name)
            self._results.pop(name, None)
            for leadership in self._leaderships.values():
                leadership.forget(name)
        accepted = self._documents.accepted
        self._reconciler.ownerships.know({name: each.document for name, each in accepted.items()})
        changed = set(changes.new | changes.touched)
        if changed or changes.vanished:
            # Whoever was in the way of these may be gone.
            changed |= {name for name, result in self._results.items() if _is_refused(result)} & accepted.keys()
        self._look_soon(changed, "spec")

    def _lead_changed(self, label: str) -> None:
        """Look at the clusters of a source that we may change now, or not any more."""
        self._look_soon([name for name, each in self._documents.accepted.items() if each.label == label], "lead")

    def _look_soon(self, names: Iterable[str], cause: str) -> None:
        for name in names:
            self._causes[name] = cause
            self._queue.add(name, Priority.SPEC)

    # -- work -----------------------------------------------------------------------------------------------------

    async def _work(self, name: str) -> None:
        """One look at one cluster, and when the next one is."""
        accepted = self._documents.accepted.get(name)
        if accepted is None:
            return
        cause = self._causes.pop(name, "resync")
        request = self._request(accepted, cause)
        began = self._clock.monotonic()
        result = await self._reconciler.reconcile(request)
        if self.passed is not None:
            self.passed(result.next, self._clock.monotonic() - began)
        if name not in self._documents.accepted:
            # It vanished while we looked.
            self._reconciler.forget(name)
            return
        if self._stop.is_set():
            return
        self._results[name] = result
        self._queue.forget(name)
        if request.act and accepted.label in self._leaderships:
            self._leaderships[accepted.label].note(name, result.status)
        if targets := self._reconciler.targets(name):
            self._watch.follow(name, targets)
        if result.next == "again":
            # Work in progress is not routine, but one busy cluster must not keep the queue to itself.
            self._causes.setdefault(name, cause)
            self._queue.add_after(name, result.after_seconds, Priority.SPEC)
        else:
            unheard = UNHEARD_SECONDS if not self._watch.hears(name) else result.after_seconds
            self._queue.add_after(name, min(result.after_seconds, unheard))

    def _request(self, accepted: Accepted, cause: str) -> PassRequest:
        """What a pass is for; without the lead of its source it only looks, and says so."""
        leadership = self._leaderships.get(accepted.label)
        problem = leadership.problem if leadership is not None else ""
        if problem:
            accepted = replace(accepted, problems=(*accepted.problems, problem))
            return PassRequest(accepted, cause=cause, act=False, stop=self._stop)
        return PassRequest(accepted, cause=cause, stop=self._stop if leadership is None else leadership.leash)


def _is_refused(result: PassResult) -> bool:
    """Whether a machine of it is another cluster's."""
    return any(hold.reason == HoldReason.MACHINE_TAKEN for hold in result.plan.holds)
