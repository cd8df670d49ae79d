"""Virtual time for asyncio: sleepers really suspend, and time jumps to the earliest one when nothing else can run.

Rules:
- The same object is the clock of a lab world and the `ports.Clock` of the code under test.
- Everything that is ready runs before time moves; world events run in order, at their own times.
- Time moves only while somebody sleeps on this clock; asyncio's own timers and threads stay in real time
  (wrap work in other threads in `hold()`).
- Start it inside the running loop (`async with VirtualTime() as time`); two runs of the same code are the same.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from hactl.lab.clock import START_EPOCH_SECONDS
from hactl.lab.events import Events


class VirtualTime:
    """A clock whose hands move when all tasks wait for it."""

    def __init__(self, start_epoch: float = START_EPOCH_SECONDS) -> None:
        """Seconds since 1970 at the start; `attach` a world before time is to move for it."""
        self.seconds = 0.0
        self._start_epoch = start_epoch
        self._worlds: list[Events] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0
        self._holds = 0
        self._changed: asyncio.Event | None = None
        self._pump: asyncio.Task[None] | None = None

    # the clock

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self.seconds

    def epoch(self) -> float:
        """Virtual seconds since 1970."""
        return self._start_epoch + self.seconds

    def now(self) -> datetime:
        """Virtual wall clock, UTC."""
        return datetime.fromtimestamp(self.epoch(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait until that much virtual time has passed."""
        if self._changed is None:
            raise RuntimeError("virtual time was not started: use `async with`")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self.seconds + max(0.0, seconds), self._order, future))
        self._changed.set()
        await future

    # the machinery

    def attach(self, world: Events) -> None:
        """Run this world's events as time passes."""
        self._worlds.append(world)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep time from moving, for work this loop cannot see (threads, sockets)."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._changed is not None:
                self._changed.set()

    async def __aenter__(self) -> VirtualTime:
        """Start moving time."""
        self._changed = asyncio.Event()
        self._pump = asyncio.get_running_loop().create_task(self._run(self._changed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; sleepers that are left are cancelled."""
        pump, self._pump, self._changed = self._pump, None, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            if not pump.cancelled() and pump.exception() is not None and kind is None:
                raise RuntimeError("virtual time stopped") from pump.exception()
        for _, _, future in self._sleepers:
            future.cancel()
        self._sleepers.clear()

    async def _run(self, changed: asyncio.Event) -> None:
        loop: Any = asyncio.get_running_loop()
        while True:
            # Everything ready runs first: our own turn is over each time we find others waiting for theirs.
            while loop._ready:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._holds:
                changed.clear()
                await changed.wait()
                continue
            self._step()

    def _step(self) -> None:
        """Run what is due; if nothing is, go to the next moment at which something is."""
        waits = [wait for world in self._worlds if (wait := world.run_due()) is not None]
        loop: Any = asyncio.get_running_loop()
        if loop._ready:
            return
        target = self._sleepers[0][0]
        for wait in waits:
            # Rounding must not keep time from getting there.
            target = min(target, max(self.seconds + wait, math.nextafter(self.seconds, math.inf)))
        if target > self.seconds:
            self.seconds = target
        if self._sleepers[0][0] <= self.seconds:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
