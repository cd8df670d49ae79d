"""The interpreter, so that the loop has it soon: what other threads compute, and garbage, never stop it for long.

CPython's collector looks at every container there is when it collects whole (0.2 to 0.6 s with 500 clusters in the
cache, and nothing else runs meanwhile). What survived such a collection is set aside, so that the next one looks at
what came since only; it goes as usual when nobody refers to it any more, and once a day cycles in it are looked for.
"""

from __future__ import annotations

import gc
import sys

from hactl.ports import Clock

#: A thread that computes lets others have the interpreter after so long, seconds (CPython: 0.005).
SWITCH_SECONDS = 0.001
_LOOK_SECONDS = 1.0
_WHOLE_SECONDS = 24 * 3600.0
_OLDEST = 2


async def share(clock: Clock) -> None:
    """For ever, beside what the process is for."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        whole_at = clock.monotonic()
        seen = -1
        while True:
            collections = gc.get_stats()[_OLDEST]["collections"]
            if collections != seen:
                gc.freeze()
                seen = collections
            elif clock.monotonic() - whole_at >= _WHOLE_SECONDS:
                # The next collection looks at everything.
                gc.unfreeze()
                whole_at = clock.monotonic()
            await clock.sleep(_LOOK_SECONDS)
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
