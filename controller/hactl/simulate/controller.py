"""A controller that keeps a simulated cluster: when it looks, what it does, and what it tries again.

Rules: it looks when devd of a node says something, and routinely as `Pace` has it; it carries out the first stage of a
plan, then looks again; what fails rests as in `core.pace.backoff`. Chance is left out: two runs are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from hactl.core.choices import Mode
from hactl.core.pace.backoff import Backoff
from hactl.core.pace.interval import Pace, Passing
from hactl.core.steps import Ended, Outcome, Plan, Stage, StageOutcome, Step, execs
from hactl.lab.fiber import Job
from hactl.simulate.cluster import SimulatedCluster

#: From what devd says to the look, and between two looks, seconds.
HEARS_SECONDS = 1.0
#: After a stage, seconds.
AGAIN_SECONDS = 0.1


class Controller:
    """One process, its backoff, and when it looks next."""

    def __init__(self, simulated: SimulatedCluster, tell: Callable[[str], None] = lambda _: None) -> None:
        """It looks at once. `tell` hears every step that is carried out."""
        self.simulated, self.tell = simulated, tell
        self.backoff = Backoff(lambda: 0.5)
        self.passing = Passing()
        self.looks_at = simulated.now
        self._looked_at = 0.0
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether a stage is being carried out; it looks again when that has ended."""
        return self._job is not None and not self._job.done()

    def pass_once(self) -> Plan:
        """Look, and begin to carry out the first stage if the document's mode allows it; the plan."""
        simulated = self.simulated
        simulated.failing = self.backoff.resting(simulated.now)
        plan = simulated.plan()
        self.backoff.in_vain(plan, simulated.now)
        self.backoff.review(plan, simulated.now)
        self.passing = self.passing.renewed(plan, simulated.now)
        self._looked_at = simulated.now
        if plan.stages and simulated.document.spec.mode is Mode.APPLY:
            self._job = simulated.world.spawn(self._carry_out(plan.stages[0]))
        else:
            self.looks_at = simulated.now + self._rest_seconds()
        return plan

    def hear(self, line: str) -> None:
        """Devd of a node said something."""
        del line
        now = self.simulated.now
        self.looks_at = min(self.looks_at, max(now, self._looked_at) + HEARS_SECONDS)

    def listen(self) -> None:
        """To every node that can be reached; a node that lost power has forgotten us."""
        for node in self.simulated.nodes:
            listeners = self.simulated.machine(node).devctl.listeners
            if self.simulated.reaches(node) and self.hear not in listeners:
                listeners.append(self.hear)

    def _rest_seconds(self) -> float:
        pace, now = Pace(), self.simulated.now
        found = [pace.resync_seconds]
        if self.passing.holds:
            found.append(min(pace.passing_limit_seconds, pace.passing_seconds + (now - self.passing.since) / 10))
        if self.simulated.overrides.moves:
            found.append(pace.moving_seconds)
        again = self.backoff.next_at(now)
        return min(found) if again is None else min(*found, again - now + AGAIN_SECONDS)

    async def _carry_out(self, stage: Stage) -> None:
        stopped: set[str] = set()
        ended: list[Ended] = []
        not_run: list[Step] = []
        for steps in execs(stage.steps):
            node = steps[0].node
            if node in stopped or (stage.ordered and stopped):
                not_run += steps
                continue
            results = await self.simulated.execution(steps)
            for step, result in zip(steps, results, strict=False):
                ended.append(Ended(step, result, self.simulated.now))
                good = result.outcome is Outcome.DONE
                self.tell(f"hactl on {node}: {step.verb} {step.target}{'' if good else f': {result.reason}'}")
            not_run += steps[len(results) :]
            if any(result.outcome is not Outcome.DONE for result in results):
                stopped.add(node)
        self.backoff.note(StageOutcome(stage, tuple(ended), tuple(not_run)), self.simulated.now)
        self.looks_at = self.simulated.now + AGAIN_SECONDS
