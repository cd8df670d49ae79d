"""When to look at a cluster again.

Rules: routine looks are rare, looks while something passes by itself are frequent and grow rarer; whatever is known to
change at a certain moment is looked at then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hactl.core.pace.gate import Gate
from hactl.core.steps import Plan


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look, seconds."""

    resync_seconds: float = 30.0
    #: While something passes by itself: first this often, later more rarely.
    passing_seconds: float = 1.0
    passing_limit_seconds: float = 10.0
    #: While a group is to move and nothing can be done.
    moving_seconds: float = 2.0
    #: After Busy, or while the record cannot be written.
    blocked_seconds: float = 3.0
    #: Act on no snapshot older than this.
    fresh_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Passing:
    """The holds of a cluster that pass by themselves, and since when they have been the same."""

    holds: tuple[tuple[str, str, str], ...] = ()
    #: Monotonic seconds.
    since: float = 0.0

    def renewed(self, plan: Plan, now: float) -> Passing:
        """With the holds of a newer plan."""
        holds = tuple(sorted((hold.reason, hold.target, hold.node or "") for hold in plan.holds if hold.passing))
        return self if holds == self.holds else Passing(holds, now)


def next_look_seconds(
    pace: Pace,
    gate: Gate,
    *,
    moving: bool,
    passing_for: float | None,
    moments: Iterable[float],
    spread: Callable[[float], float],
) -> float:
    """Seconds until the next look.

    `moving`: somebody waits for a group to move. `passing_for`: for how many seconds the same holds have been passing
    by themselves; None: there are none. `moments`: in how many seconds something is known to change. `spread` makes
    a number a little larger, so that many clusters do not stay in step.
    """
    routine = pace.moving_seconds if moving else pace.resync_seconds
    found = [spread(pace.blocked_seconds if gate.is_blocked else routine), *moments]
    if passing_for is not None:
        found.append(spread(min(pace.passing_limit_seconds, pace.passing_seconds + passing_for / 10)))
    return min(found)
