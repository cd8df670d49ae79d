"""Bringing one cluster to its document in the foreground: pass after pass until it is there or cannot go on.

Rules: the end is always one of a few named ones; a stop (Ctrl-C) lets a running step end, starts no other, and the
summary says what was done and what was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hactl.core.facts import Snapshot
from hactl.core.pace.outcome import Ended
from hactl.core.steps import Hold, Outcome, Plan, Step
from hactl.errors import HactlError, StoreError
from hactl.ports import Clock
from hactl.runtime.passes.execute import OnStep, ignore_event
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import Accepted, PassResult, Request
from hactl.runtime.timeouts import pause

#: How a run ended. `held`: the mode, a pause, a missing approval or a newer controller forbids acting. `refused`:
#: references do not resolve. `over`: the request that was waited for is over.
End = Literal["converged", "stalled", "held", "refused", "deadline", "stopped", "store", "over"]

#: A step that failed this often in a row ends the run: somebody should look.
FAILURES_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """What a person watches. All of it is called on the event loop and must return at once."""

    on_look: Callable[[Snapshot, Plan], None] | None = None
    on_step: OnStep = ignore_event
    #: Nothing can be done right now; the pass says why (holds, gate, failing). Seconds until the next look.
    on_wait: Callable[[PassResult, float], None] | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """How it went."""

    end: End
    seconds: float
    passes: int
    #: Steps that were begun, in the order they ended.
    ended: tuple[Ended, ...]
    #: What the last plan still wanted: not done.
    left: tuple[Step, ...]
    holds: tuple[Hold, ...]
    #: The last pass; None when none was made.
    last: PassResult | None
    error: HactlError | None = None

    @property
    def done(self) -> tuple[Step, ...]:
        """Steps that are Done."""
        return tuple(ended.step for ended in self.ended if ended.result.outcome is Outcome.DONE)

    @property
    def indeterminate(self) -> tuple[Step, ...]:
        """Steps nobody knows the end of."""
        return tuple(ended.step for ended in self.ended if ended.result.outcome is Outcome.INDETERMINATE)


@dataclass(slots=True)
class _Journey:
    """What adds up over the passes."""

    passes: int = 0
    #: The request that is waited for, instead of convergence; 0: none.
    awaited: int = 0
    #: What is waited for otherwise; None: convergence.
    done: Callable[[PassResult], bool] | None = None
    ended: list[Ended] = field(default_factory=list)
    last: PassResult | None = None
    #: Monotonic seconds since when nothing was done or waited for, without being Ready.
    idle_since: float | None = None


class Converger:
    """Runs passes in the foreground."""

    def __init__(
        self, reconciler: Reconciler, clock: Clock, *, settle_seconds: float = 20.0, busy_seconds: float = 60.0
    ) -> None:
        """`settle_seconds`: how long a cluster with nothing to do may take to show Ready before it is stalled."""
        self._reconciler = reconciler
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._busy_seconds = busy_seconds

    async def converge(
        self,
        accepted: Accepted,
        *,
        actor: str,
        timeout_seconds: float,
        stop: asyncio.Event,
        approved: str | None = None,
        listener: Listener | None = None,
        awaited: int = 0,
        done: Callable[[PassResult], bool] | None = None,
        cause: str = "apply",
    ) -> Summary:
        """Pass after pass until an end. Raises InvariantBroken only.

        With `awaited` the end is that this operation is over, with `done` what it says of a pass.
        After `timeout_seconds` no new pass begins; a stage that runs is carried to its end.
        """
        listener = listener or Listener()
        began = self._clock.monotonic()
        journey = _Journey(awaited=awaited, done=done)
        request = Request(
            accepted,
            cause=cause,
            actor=actor,
            approved=approved,
            stop=stop,
            on_look=listener.on_look,
            on_step=listener.on_step,
        )
        while True:
            if stop.is_set():
                return self._summary("stopped", journey, began)
            result = await self._reconciler.reconcile(request)
            journey.passes += 1
            journey.last = result
            if result.outcome is not None:
                journey.ended.extend(result.outcome.ended)
            end = self._end(result, journey, stop)
            left = began + timeout_seconds - self._clock.monotonic()
            if end is None and left <= 0:
                end = "deadline"
            if end is not None:
                return self._summary(end, journey, began)
            seconds = min(result.after_seconds, left, _patience(result))
            if seconds > 0 and listener.on_wait is not None:
                listener.on_wait(result, seconds)
            await pause(self._clock, seconds, stop)

    def _end(self, result: PassResult, journey: _Journey, stop: asyncio.Event) -> End | None:
        """The end this pass means, or None to go on."""
        if stop.is_set():
            return "stopped"
        if any(each.id == journey.awaited for each in result.ended):
            return "over"
        if journey.done is not None and journey.done(result):
            return "over"
        if result.gate in ("Observe", "Paused", "WaitingForApproval", "LookOnly", "LeaseLost", "FleetSilent"):
            return "held"
        if result.gate == "References":
            return "refused"
        if isinstance(result.error, StoreError):
            return "store"
        if result.converged and not journey.awaited and journey.done is None:
            return "converged"
        if result.failures >= FAILURES_LIMIT:
            return "stalled"
        return self._idle_end(result, journey)

    def _idle_end(self, result: PassResult, journey: _Journey) -> End | None:
        """Stalled, when nothing has been done or waited for, for too long."""
        waiting = any(hold.passing or hold.reason == "StepFailing" for hold in result.plan.holds)
        if result.outcome is not None or result.gate == "Backoff" or waiting:
            journey.idle_since = None
            return None
        now = self._clock.monotonic()
        if journey.idle_since is None:
            journey.idle_since = now
        if result.gate == "Busy":
            patience = self._busy_seconds
        elif result.plan.holds and not journey.ended:
            # A person or the world must change something; one more look, in case it was the moment.
            patience = _SECOND_LOOK_SECONDS
        else:
            # What was just changed may still be settling.
            patience = self._settle_seconds
        return "stalled" if now - journey.idle_since >= patience else None

    def _summary(self, end: End, journey: _Journey, began: float) -> Summary:
        last = journey.last
        return Summary(
            end=end,
            seconds=self._clock.monotonic() - began,
            passes=journey.passes,
            ended=tuple(journey.ended),
            left=_left(last),
            holds=() if last is None else last.plan.holds,
            last=last,
            error=None if last is None else last.error,
        )


#: Between the look that finds only holds and the one that believes them, seconds.
_SECOND_LOOK_SECONDS = 1.0


def _patience(result: PassResult) -> float:
    """A person waits in front of it: look more often than the controller would."""
    if result.outcome is None and not any(hold.passing for hold in result.plan.holds) and result.gate != "Backoff":
        return 2.0
    return 10.0


def _left(last: PassResult | None) -> tuple[Step, ...]:
    """What the last plan wanted and was not done."""
    if last is None:
        return ()
    done = {id(e.step) for e in last.outcome.ended if e.result.outcome is Outcome.DONE} if last.outcome else set()
    return tuple(step for step in last.plan.steps if id(step) not in done)
