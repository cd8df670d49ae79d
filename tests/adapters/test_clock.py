"""SystemClock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hactl.adapters.clock import SystemClock
from hactl.ports import Clock


async def test_the_clocks_are_the_machines() -> None:
    """The wall clock is UTC and aware; the monotonic one never goes back; sleeping takes its time."""
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009
    await clock.sleep(-1)
