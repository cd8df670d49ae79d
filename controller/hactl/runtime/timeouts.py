"""Waiting with a bound, on the injected clock: deadlines, interruptible sleeps, writes that are not cut short.

Rules: nothing here waits without a bound; a task given up on is cancelled, and its late result is never lost silently
when it came anyway; asyncio's own timeouts are not used, so that tests run in virtual time under any `Clock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hactl.ports import Clock

T = TypeVar("T")

#: How long a cancelled task may take to end before it is left to end alone, seconds.
LINGER_SECONDS = 2.0


class Stopped(Exception):
    """We were told to stop while waiting. Never leaves the runtime."""


def _collect(task: asyncio.Future[Any]) -> None:
    """Take the result of a task nobody waits for, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()


async def discard(clock: Clock, *tasks: asyncio.Future[Any], linger_seconds: float = LINGER_SECONDS) -> None:
    """Cancel tasks and wait until they have ended, at most `linger_seconds`; one that will not end is left alone."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        alarm = asyncio.ensure_future(clock.sleep(linger_seconds))
        waiting: set[asyncio.Future[Any]] = set(pending)
        try:
            while waiting and not alarm.done():
                done, _ = await asyncio.wait({*waiting, alarm}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= done
        finally:
            alarm.cancel()
    for task in tasks:
        task.add_done_callback(_collect)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T], *, stop: asyncio.Event | None = None) -> T:
    """What `work` gives, or TimeoutError after `seconds`, or Stopped when `stop` is set first.

    A result that arrives while the work is being cancelled still counts.
    """
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    others: set[asyncio.Future[Any]] = {alarm}
    if stop is not None:
        others.add(asyncio.ensure_future(stop.wait()))
    try:
        await asyncio.wait({task, *others}, return_when=asyncio.FIRST_COMPLETED)
        timed_out = alarm.done()
        await discard(clock, task, *others)
    except asyncio.CancelledError:
        await discard(clock, task, *others)
        raise
    if task.done() and not task.cancelled():
        return task.result()
    if timed_out or stop is None or not stop.is_set():
        raise TimeoutError
    raise Stopped


async def pause(clock: Clock, seconds: float, stop: asyncio.Event) -> bool:
    """Sleep, at most until `stop` is set; returns whether it is."""
    if not stop.is_set() and seconds > 0:
        try:
            await within(clock, seconds, _wait(stop))
        except TimeoutError:
            return stop.is_set()
    return stop.is_set()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def finish(clock: Clock, work: Coroutine[Any, Any, T], *, bound_seconds: float) -> T:
    """Carry `work` to its end even when cancelled meanwhile, then go on being cancelled.

    For writes to the record: once begun they must be known to be done or not. A cancellation waits for the work at
    most `bound_seconds` more. The work's own exception wins over the cancellation.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        alarm = asyncio.ensure_future(clock.sleep(bound_seconds))
        try:
            await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await discard(clock, task, alarm)
        if task.done() and not task.cancelled():
            task.result()
        raise
