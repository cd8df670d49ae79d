"""The collector and the switch interval while a controller runs."""

from __future__ import annotations

import asyncio
import gc
import sys

from hactl.runtime import interpreter
from support.contracts.store import ManualClock
from support.limits import until


async def test_what_survived_a_whole_collection_is_set_aside() -> None:
    """At the start and after each one; once a day everything is looked at again; the end leaves it as it was."""
    clock, before = ManualClock(), sys.getswitchinterval()
    sharing = asyncio.create_task(interpreter.share(clock))
    try:
        await until(lambda: gc.get_freeze_count() > 0, "the heap to be set aside")
        assert sys.getswitchinterval() < before
        frozen = gc.get_freeze_count()
        kept = [[number] for number in range(1000)]
        gc.collect()
        await until(lambda: gc.get_freeze_count() >= frozen + len(kept), "what is new to be set aside")
        gc.disable()
        clock.seconds += 25 * 3600.0
        await until(lambda: gc.get_freeze_count() == 0, "everything to be looked at again")
    finally:
        gc.enable()
        sharing.cancel()
        await asyncio.gather(sharing, return_exceptions=True)
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == before
