"""One queue of events and the background work that goes on with it, in the order of time.

Rules:
- Single-threaded; events of one instant run in the order they were scheduled.
- An event that belongs to a machine dies with its power; while the machine is frozen it waits, and
  afterwards has the rest of its time still to go (a stopped virtual machine: recording 06).
- Real time is the same queue with `run_due` called by a pump; `on_earlier` tells the pump to look again.
- What machines do in the background (`spawn`) goes on as events under virtual time, as tasks otherwise.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from hactl.lab.clock import LabClock, VirtualClock
from hactl.lab.fiber import Fiber, Job, Owner


class Handle:
    """A scheduled event."""

    __slots__ = ("action", "boot", "cancelled", "machine", "order", "time")

    def __init__(self, time: float, order: int, action: Callable[[], object], machine: Owner | None) -> None:
        self.time, self.order, self.action, self.machine = time, order, action, machine
        self.boot = machine.power_cycles if machine is not None else 0
        self.cancelled = False

    def __lt__(self, other: Handle) -> bool:
        return self.time < other.time or (self.time == other.time and self.order < other.order)

    def cancel(self) -> None:
        """The event will not happen."""
        self.cancelled = True

    @property
    def dead(self) -> bool:
        """Cancelled, or its machine lost power since."""
        return self.cancelled or (self.machine is not None and self.machine.power_cycles != self.boot)


class Events:
    """What happens, and when."""

    def __init__(self, clock: LabClock, seed: int = 0) -> None:
        """Nothing is to happen yet."""
        self.clock = clock
        self.random = random.Random(seed)
        #: How late kernel timers fire, seconds: tvtohz adds a tick (hz is 100 in a virtual machine). The recorded
        #: machines were emulated and later than that: about 0.06.
        self.timer_lateness_seconds = 0.01
        #: Called when an event becomes the earliest (real time only).
        self.on_earlier: Callable[[], None] | None = None
        self._queue: list[Handle] = []
        self._parked: list[Handle] = []
        self._order = 0
        self._jobs: dict[Job, Owner | None] = {}
        if isinstance(clock, VirtualClock):
            clock.attach(self.advance)

    def at(self, delay_seconds: float, action: Callable[[], object], *, machine: Owner | None = None) -> Handle:
        """Run `action` after a delay; cancelled when the machine loses power, deferred while it is frozen."""
        self._order += 1
        handle = Handle(self.clock.monotonic() + delay_seconds, self._order, action, machine)
        if machine is not None and machine.frozen_at is not None:
            handle.time = machine.frozen_at + delay_seconds  # `thaw` adds the pause
            self._parked.append(handle)
            return handle
        heapq.heappush(self._queue, handle)
        if self.on_earlier is not None and self._queue[0] is handle:
            self.on_earlier()
        return handle

    def advance(self, seconds: float) -> None:
        """Virtual time only: run the events of the coming seconds in order."""
        clock = self.clock
        if not isinstance(clock, VirtualClock):
            raise RuntimeError("real time advances by itself")
        target = clock.now + seconds
        while self._queue and self._queue[0].time <= target:
            handle = heapq.heappop(self._queue)
            if handle.time > clock.now:
                clock.now = handle.time
            self._fire(handle)
        if target > clock.now:
            clock.now = target

    def run_due(self) -> float | None:
        """Run what is due; seconds to the next event, or None if there is none."""
        while self._queue:
            wait = self._queue[0].time - self.clock.monotonic()
            if wait > 0:
                return wait
            self._fire(heapq.heappop(self._queue))
        return None

    def _fire(self, handle: Handle) -> None:
        if handle.dead:
            return
        if handle.machine is not None and handle.machine.frozen_at is not None:
            self._parked.append(handle)
            return
        handle.action()

    def resume(self, machine: Owner, pause_seconds: float) -> None:
        """A frozen machine goes on: its events have the rest of their time still to go."""
        for handle in self._queue:
            if handle.machine is machine:
                handle.time += pause_seconds
        for handle in self._parked:
            if handle.machine is machine:
                handle.time += pause_seconds
                self._queue.append(handle)
        self._parked = [handle for handle in self._parked if handle.machine is not machine]
        heapq.heapify(self._queue)

    def spawn(
        self, work: Coroutine[Any, Any, Any], *, machine: Owner | None = None, context: Context | None = None
    ) -> Job:
        """Run a coroutine of the simulated side in the background: a fiber under virtual time, a task under asyncio.

        A fiber has run to its first sleep when this returns. With a machine it ends where it stands when that
        machine loses power. `context`: what it sees of its maker's context variables (None: nothing).
        """
        if isinstance(self.clock, VirtualClock):
            fiber = Fiber(self, work, machine, context)
            self._jobs[fiber] = machine
            fiber.begin()
            return fiber
        task = asyncio.get_running_loop().create_task(work, context=context or Context())
        self._jobs[task] = machine
        task.add_done_callback(self.forget)
        return task

    def forget(self, job: Job) -> None:
        """A background job ended."""
        self._jobs.pop(job, None)

    def end_jobs(self, machine: Owner | None = None) -> list[Job]:
        """End what runs in the background, of one machine or everywhere; returns it (tasks end a little later)."""
        ended = [job for job, owner in self._jobs.items() if machine is None or owner is machine]
        for job in ended:
            job.cancel()
        self._parked = [handle for handle in self._parked if not handle.dead]
        return ended

    async def close(self) -> None:
        """End everything that runs in the background, and wait for its end."""
        tasks = [job for job in self.end_jobs() if isinstance(job, asyncio.Task)]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_until(
        self, predicate: Callable[[], bool], timeout_seconds: float, step_seconds: float = 0.1
    ) -> bool:
        """Wait for a condition; False if it did not come true in time."""
        deadline = self.clock.monotonic() + timeout_seconds
        while not predicate():
            left = deadline - self.clock.monotonic()
            if left <= 0:
                return False
            await self.clock.sleep(min(step_seconds, left))
        return True
