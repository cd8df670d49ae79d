"""What was tried on a cluster and did not work: when it may be tried again, and what to tell people.

Rules: a step that keeps failing waits exponentially longer (hammering makes HAST worse); a node on which a step may
still be running gets nothing new until that step's own limit has surely killed it; success forgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hactl.core.script import LOCK_WAIT_SECONDS, step_budget_seconds
from hactl.core.steps import Outcome, Plan, Risk, Stage, StageOutcome, Step, StepKey

#: A step that failed this often in a row is told to people as failing; before that it may be an honest race.
REPEATED = 2
#: For how long a failure is remembered while no plan contains its step, seconds.
MEMORY_SECONDS = 120.0
#: timeout(1) on the node kills what does not end when asked to (-k), seconds.
KILL_AFTER_SECONDS = 5.0
_LONG_AGO = float("-inf")


@dataclass(slots=True)
class _Trouble:
    count: int
    message: str
    not_before: float
    last_at: float
    #: It rests, or the newest plan has it.
    current: bool = True
    #: The newest attempt ran on the node and failed there.
    ran: bool = False


#: A step that is tested by the node before it runs and destroys nothing is over, or harmless, after this long, seconds.
CUT_LIMIT_SECONDS = 20.0


def _may_run_seconds(step: Step) -> float:
    """How long a step of a dead process is taken to be running on its node."""
    whole = LOCK_WAIT_SECONDS + step_budget_seconds(step) + KILL_AFTER_SECONDS
    return whole if step.risk is Risk.DESTRUCTIVE else min(whole, CUT_LIMIT_SECONDS)


class Backoff:
    """The memory of one cluster's failures. Times are monotonic seconds."""

    def __init__(
        self, chance: Callable[[], float], *, first_delay_seconds: float = 2.0, limit_seconds: float = 300.0
    ) -> None:
        """`chance` gives numbers from 0 to 1.

        The n-th failure in a row delays the next attempt by about `first_delay_seconds` * 2^(n-1).
        """
        self._chance = chance
        self._first_delay_seconds = first_delay_seconds
        self._limit_seconds = limit_seconds
        self._troubles: dict[StepKey, _Trouble] = {}
        self._quiet_at: dict[str, float] = {}
        self._cut_at: dict[StepKey, float] = {}
        #: Steps that were Done: what ran, and how often in a row without a look that no longer wanted it.
        self._done: dict[StepKey, tuple[str, int]] = {}

    def note(self, outcome: StageOutcome, now: float) -> None:
        """Remember how the steps of a stage ended."""
        for ended in outcome.ended:
            key = ended.step.key
            if ended.result.outcome is Outcome.DONE:
                self._troubles.pop(key, None)
                self._cut_at.pop(key, None)
                ran_before, times = self._done.get(key, ("", 0))
                self._done[key] = ended.step.command, times + 1 if ran_before == ended.step.command else 1
                continue
            if ended.quiet_at > now:
                self._quiet_at[ended.step.node] = max(ended.quiet_at, self._quiet_at.get(ended.step.node, 0.0))
            if outcome.stopped and ended.result.outcome is Outcome.INDETERMINATE:
                continue
            if ended.result.busy or ended.result.newer_lease:
                # Nothing was run, and nothing of the step is to blame.
                continue
            before = self._troubles.get(key)
            count = before.count + 1 if before else 1
            ceiling = min(self._limit_seconds, self._first_delay_seconds * 2.0 ** min(count - 1, 30))
            delay = ceiling * (1 + self._chance()) / 2
            message = f"{ended.result.outcome.value} {_times(count)}: {ended.result.reason or 'no reason given'}"
            ran = ended.result.outcome is Outcome.FAILED and ended.result.exit_status is not None
            self._troubles[key] = _Trouble(count, message, now + delay, now, ran=ran)

    def in_vain(self, plan: Plan, now: float) -> bool:
        """Whether the newest plan, fresh from a look, wants again what was Done twice: that step rests from now on.

        A step is Done only when the next look agrees. What else could make it wanted again at once and for ever (a
        file that is read after the one it wrote, somebody who changes it back) is for people to find, not to be fought.
        """
        # A step that rests is in no plan, and wanted all the same.
        wanted = {step.key for step in plan.steps} | self.resting(now).keys()
        self._done = {key: each for key, each in self._done.items() if key in wanted}
        found = False
        for step in plan.stages[0].steps if plan.stages else ():
            command, times = self._done.get(step.key, ("", 0))
            if times >= REPEATED and command == step.command and step.key not in self._troubles:
                ceiling = min(self._limit_seconds, self._first_delay_seconds * 2.0 ** min(times - 1, 30))
                delay = ceiling * (1 + self._chance()) / 2
                message = f"Done {_times(times)}, and yet {step.why}: something else decides it, or changes it back"
                self._troubles[step.key] = _Trouble(times, message, now + delay, now, ran=True)
                found = True
        return found

    def resting(self, now: float) -> Mapping[StepKey, str]:
        """Steps that are not to be tried yet: key -> what happened, for people."""
        return {key: trouble.message for key, trouble in self._troubles.items() if trouble.not_before > now}

    def review(self, plan: Plan, now: float) -> None:
        """Look at the newest plan: which failures still matter, and which are so old that they are forgotten."""
        planned = {step.key for step in plan.steps}
        for key, trouble in list(self._troubles.items()):
            trouble.current = key in planned or trouble.not_before > now
            if not trouble.current and now > trouble.last_at + MEMORY_SECONDS:
                del self._troubles[key]
        self._quiet_at = {node: at for node, at in self._quiet_at.items() if at > now}

    def note_cut(self, key: StepKey, begun_at: float) -> None:
        """A process died while it ran that step: the same one is not sent again while the first may still run."""
        self._cut_at[key] = max(begun_at, self._cut_at.get(key, _LONG_AGO))

    def note_cuts(self, rows: Iterable[Mapping[str, Any]], now: float, wall: datetime) -> None:
        """Take in steps on record: any process, dead or stopped, may have left those running whose end nobody knows."""
        for row in rows:
            if row["outcome"] in (None, Outcome.INDETERMINATE.value):
                age = (wall - datetime.fromisoformat(row["at"])).total_seconds()
                self.note_cut(StepKey(row["node"], row["verb"], row["target"]), now - max(0.0, age))

    def quiet_at(self, stage: Stage | None) -> float:
        """When surely nothing of ours runs any more that the stage could meet on its nodes; in the past: now."""
        steps = () if stage is None else stage.steps
        moments = [self._quiet_at[step.node] for step in steps if step.node in self._quiet_at]
        moments += [self._cut_at[step.key] + _may_run_seconds(step) for step in steps if step.key in self._cut_at]
        return max(moments, default=_LONG_AGO)

    def next_at(self, now: float) -> float | None:
        """When the first resting step may be tried again; None when none rests."""
        return min(
            (trouble.not_before for trouble in self._troubles.values() if trouble.not_before > now), default=None
        )

    @property
    def failing(self) -> Mapping[StepKey, str]:
        """Steps still wanted that failed repeatedly: key -> what happened, for people."""
        return {key: t.message for key, t in self._troubles.items() if t.current and t.count >= REPEATED}

    @property
    def failed(self) -> Mapping[StepKey, str]:
        """Steps still wanted that surely failed on their node, or failed repeatedly: key -> what happened."""
        return {key: t.message for key, t in self._troubles.items() if t.current and (t.ran or t.count >= REPEATED)}

    @property
    def worst(self) -> int:
        """How often in a row the most unlucky step still wanted has failed."""
        return max((trouble.count for trouble in self._troubles.values() if trouble.current), default=0)

    def forget(self) -> None:
        """A new generation: old failures say nothing about it. What may still be running still counts."""
        self._troubles.clear()
        self._done.clear()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times in a row"
