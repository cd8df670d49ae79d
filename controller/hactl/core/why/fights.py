"""Something that undoes what hactl does: the same value put back over the same other value, with nothing to explain it.

Rules: to blame somebody needs a reason that nothing else gives. What a move of a group, a boot, another document, an
operation or another step of ours came between is explained by that, whatever else may be true, and the count begins
anew. A service or a daemon that ends again and again is broken, not fought. Rows are those of `ports.History.history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.operations import Kind
from hactl.core.steps import Outcome, Step, StepKey
from hactl.core.verbs import VERBS, Verb

#: The same step Done this often in a row without an explanation: something undoes it.
FIGHT_TIMES = 3
#: The clocks of a node and of the controller may differ by so much.
CLOCK_SLACK_SECONDS = 60.0
#: What explains that a value is another one again: the world changed, or what is wanted did.
_EXPLAINS = frozenset(
    {
        EventKind.DOCUMENT_ACCEPTED,
        EventKind.GROUP_MOVED,
        EventKind.NODE_REBOOTED,
        EventKind.OPERATION_OPENED,
        EventKind.OPERATION_ENDED,
    }
)
#: Processes that hactl starts: they may end without anybody's doing.
_STARTS = frozenset({Verb.START_SERVICE, Verb.START_HASTD})


@dataclass(frozen=True, slots=True)
class Fight:
    """A step that was done several times, for the same reason each time."""

    step: StepKey
    #: What was found there each time, in the step's own words.
    why: str
    times: int

    @property
    def sentence(self) -> str:
        """For people."""
        if self.keeps_ending:
            started = f"{self.step.target} {self.times} times on {self.step.node}"
            return f"hactl started {started}, and it ended again each time"
        return f"{self.step} was done {self.times} times, each time because: {self.why}"

    @property
    def keeps_ending(self) -> bool:
        """Whether it is a process that does not stay."""
        return self.step.verb in _STARTS

    def goes_on_in(self, step: Step) -> bool:
        """Whether that step is to put the same right once more."""
        return step.key == self.step and step.why == self.why


@dataclass(frozen=True, slots=True)
class _Put:
    """What a step put where, and over what: two of them that are equal did the same."""

    step: StepKey
    command: str
    why: str


def fights(rows: Iterable[Mapping[str, Any]], hook_moves: Iterable[int] = ()) -> tuple[Fight, ...]:
    """What was put right again and again, by all events and steps of the history, oldest first.

    `hook_moves`: when the nodes moved a group by themselves, by their own notes (seconds since 1970 on their clocks):
    nobody may have looked in between, and a hook sets what follows a move.
    """
    moments: dict[_Put, list[float]] = {}
    for row in rows:
        if row["kind"] == EventKind.STEP_ENDED:
            _step(moments, row)
        elif row["kind"] in _EXPLAINS and (row.get("detail") or {}).get("kind") != Kind.APPROVE:
            moments.clear()
    settled = max(hook_moves, default=0) + CLOCK_SLACK_SECONDS
    counts = {put: sum(moment > settled for moment in times) for put, times in moments.items()}
    return tuple(Fight(put.step, put.why, count) for put, count in counts.items() if count >= FIGHT_TIMES)


def _step(moments: dict[_Put, list[float]], row: Mapping[str, Any]) -> None:
    """Note what was put right, and when; what it changed of earlier ones is explained by it, however it ended."""
    done = _Put(StepKey(row["node"], row["verb"], row["target"]), row["command"], row["why"])
    for put in [put for put in moments if _touches(done, put)]:
        del moments[put]
    traits = VERBS.get(row["verb"])
    if row["outcome"] == Outcome.DONE and traits is not None and not traits.routine:
        moments.setdefault(done, []).append(datetime.fromisoformat(row["at"]).timestamp())


def _touches(done: _Put, put: _Put) -> bool:
    """Whether the step put another value in the place of what `put` had put there, or took it back."""
    mine, earlier = done.step, put.step
    if (mine.node, mine.target) != (earlier.node, earlier.target):
        return False
    if mine.verb == earlier.verb:
        return done.command != put.command
    return any(
        (traits := VERBS.get(one.verb)) is not None and traits.reversed_by == other.verb
        for one, other in ((mine, earlier), (earlier, mine))
    )
