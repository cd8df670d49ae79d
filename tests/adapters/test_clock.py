"""SystemClock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hactl.adapters.clock import SystemClock
from hactl.ports import Clock


async def test_the_clocks_are_the_machines() -> None:
    """The wall clock is UTC and aware; the monotonic one never goes back; sleeping takes its time."""
    clock: Clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    before, now, after = datetime.now(UTC), clock.now(), datetime.now(UTC)
    assert before <= now <= after
    began = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.009
    await clock.sleep(-1)
