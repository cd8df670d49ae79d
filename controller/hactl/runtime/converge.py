"""Bringing one cluster to its document in the foreground: pass after pass until it is there or cannot go on.

Rules: what decides is in core (`pace.convergence`); a stop (Ctrl-C) lets a running step end and starts no other.
"""

from __future__ import annotations

from collections.abc import Callable

from hactl.core.pace.convergence import Convergence, End, Summary
from hactl.core.pace.result import PassResult
from hactl.ports import Clock
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import PassRequest
from hactl.runtime.timeouts import pause


async def converge(
    reconciler: Reconciler,
    clock: Clock,
    request: PassRequest,
    *,
    timeout_seconds: float,
    until: Callable[[PassResult], bool] | None = None,
) -> Summary:
    """Pass after pass until an end. Raises InvariantBroken only.

    `until`: the run is over when it says so of a pass; None: when the cluster has converged.
    After `timeout_seconds` no new pass begins; a stage that runs is carried to its end.
    """
    run = Convergence(clock.monotonic(), timeout_seconds, until=until)
    end: End | None = "stopped" if request.stop.is_set() else None
    while end is None:
        result = await reconciler.reconcile(request)
        end = run.note(result, clock.monotonic(), stopped=request.stop.is_set())
        if end is None:
            seconds = run.wait_seconds(result, clock.monotonic())
            if await pause(clock, seconds, request.stop):
                end = "stopped"
    return run.summary(end, clock.monotonic())
