"""How long a test waits for what should come: generous, and longer by HACTL_SLOW on a slow or a busy machine.

A limit only ends the wait for something that never comes; no test asserts how long anything took. Where hactl itself
gives up after a while, what must succeed gets LIMIT_SECONDS and what must fail gets as little as it likes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

#: How many times slower than usual everything may be: `HACTL_SLOW=4 make test`.
SLOW = float(os.environ.get("HACTL_SLOW") or 1)
#: A command, an answer, anything a test waits for. A whole test has more (pyproject.toml: timeout, times SLOW).
LIMIT_SECONDS = 100.0 * SLOW


def wait_until(condition: Callable[[], object], what: str = "it", *, every_seconds: float = 0.02) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {LIMIT_SECONDS:.0f} s"
        time.sleep(every_seconds)


async def until(condition: Callable[[], object], what: str = "it", *, every_seconds: float = 0.01) -> None:
    """The same while the loop goes on."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(every_seconds)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {LIMIT_SECONDS:.0f} s") from None


async def turns(count: int = 50) -> None:
    """Give everything in this loop its turns: sockets within one process need those, and no time of their own."""
    for _ in range(count):
        await asyncio.sleep(0.002)
