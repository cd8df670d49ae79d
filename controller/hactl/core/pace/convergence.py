"""A run in the foreground: what adds up over its passes, how long to wait between two, and when it ends, and how.

Rules: the end is always one of a few named ones; nothing is given up that passes by itself or is tried again later.
Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hactl.core.catalogue import HoldReason
from hactl.core.pace.gate import Gate
from hactl.core.pace.result import PassResult
from hactl.core.steps import Ended, Hold, Outcome, Step
from hactl.errors import HactlError, StoreError

#: How a run ended. `held`: the mode, a pause, a missing approval or a newer controller forbids acting. `refused`:
#: references do not resolve. `over`: what was waited for instead of convergence has happened.
End = Literal["converged", "stalled", "held", "refused", "deadline", "stopped", "store", "over"]

#: A step that failed this often in a row ends the run: somebody should look.
FAILURES_LIMIT = 3
#: How long a cluster with nothing to do may take to show Ready before the run is stalled, seconds.
SETTLE_SECONDS = 20.0
#: How long another process may hold the cluster before the run is stalled, seconds.
BUSY_SECONDS = 60.0
#: Between the look that finds only holds and the one that believes them, seconds.
SECOND_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went."""

    end: End
    seconds: float
    #: Steps that were begun, in the order they ended.
    ended: tuple[Ended, ...]
    #: The last pass; None when none was made.
    last: PassResult | None

    @property
    def done(self) -> tuple[Step, ...]:
        """Steps that are Done."""
        return tuple(ended.step for ended in self.ended if ended.result.outcome is Outcome.DONE)

    @property
    def left(self) -> tuple[Step, ...]:
        """What the last plan wanted and was not done."""
        if self.last is None:
            return ()
        done = {id(step) for step in self.done}
        return tuple(step for step in self.last.plan.steps if id(step) not in done)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Those of the last plan."""
        return () if self.last is None else self.last.plan.holds

    @property
    def error(self) -> HactlError | None:
        """What kept the last pass from doing its job."""
        return None if self.last is None else self.last.error


class Convergence:
    """One run."""

    def __init__(
        self, began: float, timeout_seconds: float, *, until: Callable[[PassResult], bool] | None = None
    ) -> None:
        """`until`: what the run is for, as a pass shows it; None: convergence."""
        self._began = began
        self._deadline = began + timeout_seconds
        self._until = until
        self._ended: list[Ended] = []
        self._last: PassResult | None = None
        #: Since when nothing was done or waited for, without being Ready.
        self._idle_since: float | None = None

    def note(self, result: PassResult, now: float, *, stopped: bool) -> End | None:
        """Take in a pass; the end it means, or None to go on. `stopped`: a person wants the run to end."""
        self._last = result
        if result.outcome is not None:
            self._ended.extend(result.outcome.ended)
        if stopped:
            return "stopped"
        return self._end(result, now) or ("deadline" if now >= self._deadline else None)

    def _end(self, result: PassResult, now: float) -> End | None:
        if self._until is not None and self._until(result):
            return "over"
        if result.gate.is_for_people:
            return "held"
        if result.gate is Gate.REFERENCES:
            return "refused"
        if isinstance(result.error, StoreError):
            return "store"
        if self._until is None and result.converged:
            return "converged"
        if result.failures >= FAILURES_LIMIT:
            return "stalled"
        return self._idle_end(result, now)

    def _idle_end(self, result: PassResult, now: float) -> End | None:
        """Stalled, when nothing has been done or waited for, for too long."""
        waiting = any(hold.passing or hold.reason == HoldReason.STEP_FAILING for hold in result.plan.holds)
        if result.outcome is not None or result.gate is Gate.BACKOFF or waiting:
            self._idle_since = None
            return None
        if self._idle_since is None:
            self._idle_since = now
        if result.gate is Gate.BUSY:
            patience = BUSY_SECONDS
        elif result.plan.holds and not self._ended:
            # A person or the world must change something; one more look, in case it was the moment.
            patience = SECOND_LOOK_SECONDS
        else:
            # What was just changed may still be settling.
            patience = SETTLE_SECONDS
        return "stalled" if now - self._idle_since >= patience else None

    def wait_seconds(self, result: PassResult, now: float) -> float:
        """Until the next pass; a person waits in front of it, so that it is sooner than the controller's."""
        waiting = result.gate is Gate.BACKOFF or any(hold.passing for hold in result.plan.holds)
        longest = 10.0 if waiting or result.outcome is not None else 2.0
        return min(result.after_seconds, longest, self._deadline - now)

    def summary(self, end: End, now: float) -> Summary:
        """How it went."""
        return Summary(end, now - self._began, tuple(self._ended), self._last)
