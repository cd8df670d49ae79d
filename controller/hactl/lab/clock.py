"""The lab's two clocks: virtual time for tests, real time for people.

Rules:
- A command of a simulated node waits by `sleep` only, so that it runs the same under both clocks.
- Under virtual time a sleeper that a test drives never suspends: it runs the world's events and returns. A sleeper
  the world itself resumes (`hactl.lab.fiber`) suspends, and the world goes on.
- Times are seconds; `epoch` is seconds since 1970 (a machine adds its own offset, see `Machine.epoch`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from hactl.lab.fiber import RUNNING
from hactl.lab.process import CURRENT, SLICE_SECONDS, check_alive

#: Where virtual time begins unless told otherwise: the first minute of the recordings (2026-11-23 15:33:38 UTC).
START_EPOCH_SECONDS = 1795448018.0


class LabClock(Protocol):
    """What a world needs of a clock: seconds since a moment that never steps, seconds since 1970, and to wait."""

    def monotonic(self) -> float: ...
    def epoch(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class VirtualClock:
    """Time that moves only when the world is advanced."""

    def __init__(self, start_epoch: float = START_EPOCH_SECONDS) -> None:
        self.now = 0.0
        self._start_epoch = start_epoch
        self._advance: Callable[[float], None] | None = None

    def attach(self, advance: Callable[[float], None]) -> None:
        """Let sleepers drive this world's events."""
        self._advance = advance

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self.now

    def epoch(self) -> float:
        """Virtual seconds since 1970."""
        return self._start_epoch + self.now

    async def sleep(self, seconds: float) -> None:
        """Run all events of the coming seconds (a fiber: suspend); raises process.Killed if one of them kills us."""
        fiber = RUNNING.get()
        if fiber is not None:
            await fiber.sleep(seconds)
            return
        if self._advance is None:
            raise RuntimeError("the virtual clock belongs to no world")
        end = self.now + max(0.0, seconds)
        if CURRENT.get() is not None:
            while end - self.now > SLICE_SECONDS:
                self._advance(SLICE_SECONDS)
                check_alive()
        self._advance(max(0.0, end - self.now))
        check_alive()


class RealClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC."""
        return time.monotonic()

    def epoch(self) -> float:
        """CLOCK_REALTIME."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """asyncio's sleep."""
        await asyncio.sleep(max(0.0, seconds))
