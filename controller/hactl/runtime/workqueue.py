"""A queue of names: which cluster to look at next.

Rules: a name is queued once however often it is added; one piece of work per name at a time, and a name added while
its work runs is run once more afterwards; incidents and new specs go before routine, but nothing waits forever; a
name whose work hangs costs nobody else their turn. Names are hints: the work reads the world again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Awaitable, Callable
from enum import IntEnum

from hactl.ports import Clock
from hactl.runtime.timeouts import discard

log = logging.getLogger("hactl.runtime.workqueue")

Work = Callable[[str], Awaitable[None]]


class Priority(IntEnum):
    """Who goes first. The order is by waiting time with a handicap, so a patient routine look is never starved."""

    INCIDENT = 0
    SPEC = 1
    ROUTINE = 2


#: How much longer a name of that priority waits than an incident that came at the same moment, seconds.
HANDICAP_SECONDS = {Priority.INCIDENT: 0.0, Priority.SPEC: 0.5, Priority.ROUTINE: 10.0}


class WorkQueue:
    """Names to work on, soonest and most urgent first. Everything runs on one event loop."""

    def __init__(
        self,
        clock: Clock,
        chance: random.Random,
        *,
        workers: int = 64,
        slow_after_seconds: float = 3.0,
        backoff_seconds: float = 1.0,
        backoff_limit_seconds: float = 300.0,
    ) -> None:
        """At most `workers` at once; work older than `slow_after_seconds` waits for a node and no longer counts."""
        self._clock = clock
        self._chance = chance
        self._workers = workers
        self._slow_after_seconds = slow_after_seconds
        self._backoff_seconds = backoff_seconds
        self._backoff_limit_seconds = backoff_limit_seconds
        #: name -> (order, priority); lower order first.
        self._ready: dict[str, tuple[float, int, Priority]] = {}
        #: name -> (when due, priority).
        self._delayed: dict[str, tuple[float, Priority]] = {}
        #: name -> priority, for names added while their work runs.
        self._again: dict[str, Priority] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._slow: set[str] = set()
        self._failures: dict[str, int] = {}
        self._alarms: list[tuple[float, int, str, asyncio.Task[None] | None]] = []
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self._count = 0
        self._work: Work | None = None
        self._ended: asyncio.Event = asyncio.Event()
        self._stopping = False
        self._fatal: BaseException | None = None

    # -- adding ---------------------------------------------------------------------------------------------------

    def add(self, name: str, priority: Priority = Priority.ROUTINE) -> None:
        """Look at `name` as soon as its turn comes. Adding it again only ever raises its priority."""
        if self._stopping:
            return
        if name in self._running:
            self._again[name] = min(priority, self._again.get(name, priority))
            return
        order = self._clock.monotonic() + HANDICAP_SECONDS[priority]
        current = self._ready.get(name)
        if current is None or order < current[0]:
            self._count += 1
            self._ready[name] = (order, self._count, priority)
        self._pump()

    def add_after(self, name: str, seconds: float, priority: Priority = Priority.ROUTINE) -> None:
        """Look at `name` in `seconds`; of several such overrides the earliest counts, and any look settles them all."""
        if seconds <= 0:
            self.add(name, priority)
            return
        if self._stopping or name in self._ready:
            return
        due = self._clock.monotonic() + seconds
        current = self._delayed.get(name)
        if current is not None and current[0] <= due:
            if priority < current[1]:
                self._delayed[name] = (current[0], priority)
            return
        self._delayed[name] = (due, min(priority, current[1]) if current else priority)
        self._set_alarm(due, name, None)

    def retry(self, name: str, priority: Priority = Priority.ROUTINE) -> float:
        """Look at `name` again after a backoff that doubles with each retry; returns the delay in seconds."""
        ceiling = min(self._backoff_limit_seconds, self._backoff_seconds * 2.0 ** self._failures.get(name, 0))
        self._failures[name] = min(self._failures.get(name, 0) + 1, 60)
        delay = self._chance.uniform(min(self._backoff_seconds, ceiling), ceiling)
        self.add_after(name, delay, priority)
        return delay

    def forget(self, name: str) -> None:
        """Its work went well: the next retry starts from the shortest delay again."""
        self._failures.pop(name, None)

    def drop(self, name: str) -> None:
        """Do not look at `name` again; work that runs now is not touched."""
        self._ready.pop(name, None)
        self._delayed.pop(name, None)
        self._again.pop(name, None)
        self._failures.pop(name, None)

    # -- looking at it --------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> frozenset[str]:
        """Names whose turn has not come yet, those not due yet included."""
        return frozenset(self._ready) | frozenset(self._delayed) | frozenset(self._again)

    @property
    def running(self) -> frozenset[str]:
        """Names whose work runs now."""
        return frozenset(self._running)

    # -- running --------------------------------------------------------------------------------------------------

    async def run(self, work: Work) -> None:
        """Run `work(name)` for names as they come, until `stop`; then returns when the running work has ended.

        Work that raises an Exception is logged and retried with backoff. Anything worse (InvariantBroken) stops the
        queue and is raised here. Cancelling `run` cancels the work.
        """
        self._work = work
        self._pump()
        try:
            await self._ended.wait()
        finally:
            self._stopping = True
            self._work = None
            tasks = list(self._running.values())
            if self._timer is not None:
                tasks.append(self._timer)
            await discard(self._clock, *tasks, linger_seconds=30.0)
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Start no more work. Names that wait are dropped: whoever starts next looks at everything anyway."""
        self._stopping = True
        self._ready.clear()
        self._delayed.clear()
        self._again.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._check_end()

    def _check_end(self) -> None:
        if self._stopping and not self._running:
            self._ended.set()

    def _pump(self) -> None:
        """Start work while there is a name and a free worker."""
        if self._work is None or self._stopping:
            return
        while self._ready and len(self._running) - len(self._slow) < self._workers:
            name = min(self._ready, key=lambda ready: self._ready[ready])
            del self._ready[name]
            self._delayed.pop(name, None)
            task = asyncio.ensure_future(self._run_one(self._work, name))
            self._running[name] = task
            self._set_alarm(self._clock.monotonic() + self._slow_after_seconds, name, task)
            task.add_done_callback(lambda done, name=name: self._done(name, done))  # type: ignore[misc]

    async def _run_one(self, work: Work, name: str) -> None:
        try:
            await work(name)
        except Exception:
            delay = self.retry(name)
            log.exception("work failed unexpectedly", extra={"cluster": name, "retry_seconds": round(delay, 1)})

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        del self._running[name]
        self._slow.discard(name)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._fatal = self._fatal or failure
            self._stopping = True
            self._ended.set()
            return
        again = self._again.pop(name, None)
        if again is not None:
            self.add(name, again)
        self._pump()
        self._check_end()

    # -- time -----------------------------------------------------------------------------------------------------

    def _set_alarm(self, due: float, name: str, task: asyncio.Task[None] | None) -> None:
        self._count += 1
        heapq.heappush(self._alarms, (due, self._count, name, task))
        self._arm()

    def _arm(self) -> None:
        """Have exactly one timer, for the earliest alarm that still means something."""
        while self._alarms and not self._meaningful(self._alarms[0]):
            heapq.heappop(self._alarms)
        if not self._alarms or self._stopping:
            return
        due = self._alarms[0][0]
        if self._timer is not None and not self._timer.done():
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.ensure_future(self._ring(due))

    def _meaningful(self, alarm: tuple[float, int, str, asyncio.Task[None] | None]) -> bool:
        due, _, name, task = alarm
        if task is not None:
            return not task.done()
        return self._delayed.get(name, (None,))[0] == due

    async def _ring(self, due: float) -> None:
        await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
        now = self._clock.monotonic()
        while self._alarms and self._alarms[0][0] <= now:
            alarm = heapq.heappop(self._alarms)
            if not self._meaningful(alarm):
                continue
            _, _, name, task = alarm
            if task is None:
                self.add(name, self._delayed.pop(name)[1])
            else:
                self._slow.add(name)
        self._timer = None
        self._pump()
        self._arm()
