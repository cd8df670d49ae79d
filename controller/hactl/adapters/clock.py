"""The machine's clocks.

Ages and deadlines use `monotonic`, which never goes back; what people read uses `now`, which may
(clock_gettime(2): CLOCK_MONOTONIC, CLOCK_REALTIME).
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """`hactl.ports.Clock` on the machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """Wall clock, timezone-aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less gives other tasks a turn."""
        await asyncio.sleep(max(0.0, seconds))
