"""A source that several controllers share: who leads, and telling the source what came of its documents.

Rules: without the lead its clusters are looked at and nothing is changed; a lost lead stops a running pass at once;
only the leader reports; what could not be reported is reported later, the newest status only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from hactl.core.catalogue import EventKind
from hactl.core.status.changes import same_but_for_ages
from hactl.errors import HactlError
from hactl.ports import Clock, History
from hactl.runtime.timeouts import discard

log = logging.getLogger("hactl.runtime.leadership")

RETRY_SECONDS = 5.0
#: A status is told again after this, seconds, although nothing changed: whoever keeps it sees that we still look
#: (`hactl.core.status.freshness`), as of a node of Kubernetes that renews its lease.
AGAIN_SECONDS = 60.0
#: Rows of the history that are reported with a status at most.
EVENT_ROWS = 200


@runtime_checkable
class SharedSource(Protocol):
    """A source that several controllers may watch: one of them leads and acts, and tells the source what came of it."""

    @property
    def leads(self) -> bool:
        """Whether this process may act on its clusters now. Cheap; false as soon as that is in doubt."""
        ...

    @property
    def leader(self) -> str:
        """Who leads as far as is known, for people; "" when nobody is known to."""
        ...

    async def campaign(self, changed: Callable[[], None]) -> None:
        """Seek and keep the lead until cancelled, then give it back; `changed` is called after each change of it."""
        ...

    async def report(self, cluster: str, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
        """Tell the source the newest status of a cluster and what happened (rows of `History.history`).

        Doing so again is harmless. Raises HactlError when the source could not be reached.
        """
        ...

    async def close(self) -> None:
        """End its connections."""
        ...


class Leash(asyncio.Event):
    """Set when acting has to end. Asked by `is_set`, it also asks the lead itself: a process may have been frozen."""

    def __init__(self, source: SharedSource) -> None:
        """Of one term of leading."""
        super().__init__()
        self._source = source

    def is_set(self) -> bool:
        """Whether acting has to end."""
        return super().is_set() or not self._source.leads


class Leadership:
    """Who leads one shared source, and what is reported to it, for the controller."""

    def __init__(
        self,
        label: str,
        source: SharedSource,
        store: History,
        clock: Clock,
        *,
        changed: Callable[[str], None],
    ) -> None:
        """`changed` is called with the label when the lead was won or lost."""
        self._label = label
        self._source = source
        self._store = store
        self._clock = clock
        self._changed = changed
        self._leash = Leash(source)
        self._stopped = False
        self._led = False
        self._since: datetime | None = None
        self._due: dict[str, Mapping[str, Any]] = {}
        self._reported: dict[str, Mapping[str, Any]] = {}
        #: When that was, by the monotonic clock.
        self._reported_at: dict[str, float] = {}
        self._events: dict[str, frozenset[int]] = {}
        self._wake = asyncio.Event()

    @property
    def leads(self) -> bool:
        """Whether its clusters may be changed now."""
        return self._source.leads

    @property
    def leash(self) -> asyncio.Event:
        """Set as soon as they may not be changed any more."""
        return self._leash

    @property
    def problem(self) -> str:
        """Why nothing is changed, for the status; "" while we lead."""
        if self._source.leads:
            return ""
        leader = self._source.leader
        who = f"{leader} is the leader" if leader else "nobody leads it yet"
        return f"{self._label}: {who}; this hactl looks and changes nothing"

    def stop(self) -> None:
        """End what runs."""
        self._stopped = True
        self._leash.set()

    def note(self, cluster: str, status: Mapping[str, Any]) -> None:
        """A pass ended with this status."""
        if not self._source.leads:
            return
        old = self._clock.monotonic() >= self._reported_at.get(cluster, 0.0) + AGAIN_SECONDS
        if old or not same_but_for_ages(self._reported.get(cluster, {}), status):
            self._due[cluster] = status
            self._wake.set()

    def forget(self, cluster: str) -> None:
        """It is not managed any more."""
        for known in (self._due, self._reported, self._reported_at, self._events):
            known.pop(cluster, None)

    async def run(self) -> None:
        """Campaign and report, until cancelled."""
        self._since = self._clock.now()
        reporting = asyncio.ensure_future(self._report_for_ever())
        try:
            while True:
                try:
                    await self._source.campaign(self._noticed)
                except Exception:
                    log.exception("the campaign for the lead broke; trying again", extra={"source": self._label})
                self._noticed()
                await self._clock.sleep(RETRY_SECONDS)
        finally:
            await discard(self._clock, reporting)
            await self._source.close()

    def _noticed(self) -> None:
        """The lead may have changed."""
        leads = self._source.leads
        if leads == self._led:
            return
        self._led = leads
        if leads:
            log.info("leading now", extra={"source": self._label})
            self._leash = Leash(self._source)
            if self._stopped:
                self._leash.set()
            self._reported.clear()
        else:
            log.warning("not leading any more", extra={"source": self._label, "leader": self._source.leader})
            self._leash.set()
            self._due.clear()
        self._changed(self._label)

    async def _report_for_ever(self) -> None:
        complained = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = False
            for cluster in list(self._due):
                if not self._source.leads:
                    break
                status = self._due.pop(cluster)
                try:
                    await self._report(cluster, status)
                except HactlError as error:
                    self._due.setdefault(cluster, status)
                    failed = True
                    if not complained:
                        log.error("cannot report to a source", extra={"source": self._label, "error": str(error)})
                except Exception:
                    log.exception("reporting to a source broke", extra={"source": self._label, "cluster": cluster})
                    failed = True
            complained = failed
            if failed:
                await self._clock.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _report(self, cluster: str, status: Mapping[str, Any]) -> None:
        rows = await self._happened(cluster)
        known = self._events.get(cluster, frozenset())
        await self._source.report(cluster, status, [row for row in rows if row["id"] not in known])
        self._reported[cluster], self._reported_at[cluster] = status, self._clock.monotonic()
        self._events[cluster] = frozenset(row["id"] for row in rows)

    async def _happened(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """What is over, since we run."""
        rows = await self._store.history({"cluster": cluster, "since": self._since, "limit": EVENT_ROWS})
        return [row for row in rows if row["kind"] != EventKind.STEP_BEGUN]
