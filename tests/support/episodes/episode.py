"""One seeded episode on the lab: faults, mistakes of people, controllers that die or are late, and their judge.

Everything random comes from the seed. What hactl does is judged against the world itself (who is primary, what is
mounted, what is on the disks), never against hactl's own facts. What can happen is in faults.py and
people.py, what must hold in judge.py.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from hactl.core.pace.interval import Pace
from hactl.core.steps import Outcome, Plan, Stage, Step, StepResult
from hactl.runtime.passes.execute import STANDSTILL_SECONDS
from support.episodes.faults import Faults
from support.episodes.judge import DESTROYS, FOR_PEOPLE, MARK, Broken, Judge
from support.facts.planned import shortened
from support.lab.closed_loop import Fate, Loop
from support.lab.converged import converged
from support.lab.serving import complaints

__all__ = ["DESTROYS", "FOR_PEOPLE", "MARK", "Broken", "Episode"]

#: A node's answer to a look comes this late at most, seconds (runtime.observe: the deadline is 25).
LATE_ANSWER_SECONDS = 20.0
#: What can become of a step that is late or repeated: "late" runs later, "slow" answers later, "twice" runs again.
FATES = (("ok", 0.82), ("lost", 0.04), ("unsent", 0.04), ("late", 0.04), ("slow", 0.03), ("twice", 0.03))


@dataclass(frozen=True)
class Older:
    """A controller that does not know that another one took over."""

    lease: int
    stage: Stage
    looked_at: float


class Episode:
    """A pair, its people, its bad luck."""

    def __init__(self, seed: int) -> None:
        """A converged pair."""
        self.chance = random.Random(seed)
        self.name = "firewall" if self.chance.random() < 0.15 else "nas"
        self.loop: Loop = converged(self.name)
        self.loop.world.random.seed(seed)
        self.loop.lease, self.loop.remembers = 1, True
        self.started = self.loop.now
        self.log: list[str] = []
        self.judge = Judge(self.loop, self.note)
        self.faults = Faults(self.name, self.loop, self.judge, self.chance, self.alone)
        self.faults.kinds += [(2, self.away), (1, self.rival)]
        self.older: Older | None = None

    @property
    def simulated_seconds(self) -> float:
        """How long it has lasted."""
        return self.loop.now - self.started

    def note(self, text: str) -> None:
        """One line of the episode's story."""
        self.log.append(f"{self.loop.now:9.1f}  {text}")

    # time

    def passes(self, seconds: float) -> None:
        """hactl looks every few seconds for that long, and does what it plans; sometimes it dies over it."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.pause(self.look(slow=self.chance.random() < 0.1), end - self.loop.now)
            if self.older is not None and self.chance.random() < 0.4:
                self.wake(self.older)

    def pause(self, plan: Plan, most: float) -> None:
        """Until the next look: soon while there is something to do; else until devd of a node says something."""
        if plan.stages or any(hold.passing for hold in plan.holds):
            self.advance(self.chance.choice([0.5, 2.0, 5.0]))
            return
        heard: list[str] = []
        hear = heard.append
        machines = [self.loop.machine(node) for node in self.judge.nodes if self.loop.reaches(node)]
        for machine in machines:
            machine.devctl.listeners.append(hear)
        end = self.loop.now + min(most, self.chance.choice([5.0, 15.0, Pace().resync_seconds]))
        while self.loop.now < end and not heard:
            self.advance(min(1.0, end - self.loop.now))
        for machine in machines:
            if hear in machine.devctl.listeners:  # not after a loss of power
                machine.devctl.listeners.remove(hear)

    def advance(self, seconds: float) -> None:
        """Let the nodes live by themselves, watched."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            before, used = self.judge.holders(), self.judge.in_use()
            self.loop.world.advance(min(1.0, end - self.loop.now))
            self.judge.hooks(before, used)

    def away(self, node: str) -> None:
        """Nobody looks for a while: the nodes are on their own."""
        del node
        seconds = self.chance.choice([20.0, 60.0, 120.0])
        self.note(f"no controller for {seconds:.0f} s")
        self.alone(seconds)

    def alone(self, seconds: float) -> None:
        """The nodes live by themselves, and somebody writes."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.advance(min(5.0, end - self.loop.now))
            self.judge.write()

    # what hactl does

    def look(self, *, slow: bool = False) -> Plan:
        """One pass. `slow`: the nodes answer late, and more time goes by before the plan is acted on."""
        plan = self.plan(slow=slow)
        if plan.stages:
            if slow:
                self.advance(self.chance.uniform(0.0, Pace().fresh_seconds))
            self.act(plan.stages[0])
        self.judge.write()
        return plan

    def plan(self, *, slow: bool = False) -> Plan:
        """Look and plan."""
        self.loop.overrides = self.faults.overrides()
        before = self.judge.holders()

        def wait(node: str) -> None:
            del node
            nonlocal before
            self.advance(self.chance.choice([0.0, 1.0, LATE_ANSWER_SECONDS]) if slow else 0.0)
            before = self.judge.holders()

        plan = self.loop.plan(wait)
        self.judge.roles("looking", before)
        self.judge.wants(plan)
        return plan

    def act(self, stage: Stage, *, lease: int | None = None) -> None:
        """Carry out a stage, as the executor does, with the fate of each step."""
        stopped: set[str] = set()
        for step in stage.steps:
            if step.node in stopped or (stage.ordered and stopped):
                continue
            names, weights = zip(*FATES, strict=True)
            result = self.carry_out(step, self.chance.choices(names, weights)[0], lease)
            if result.outcome is not Outcome.DONE:
                stopped.add(step.node)

    def carry_out(self, step: Step, fate: str, lease: int | None = None) -> StepResult:
        """One step, judged."""
        shown = shortened(step)
        told = "" if lease is None else f" with lease {lease}"
        self.note(f"hactl {step.node}: {shown}{told}{'' if fate == 'ok' else f' ({fate})'}")
        if fate == "late":
            self.advance(self.chance.uniform(0.0, STANDSTILL_SECONDS))
        result = self._sent(step, fate if fate in ("lost", "unsent") else "ok", lease)  # type: ignore[arg-type]
        if fate == "twice":
            self.advance(self.chance.uniform(0.0, STANDSTILL_SECONDS))
            result = self._sent(step, "ok", lease)
        if fate == "slow":
            self.advance(self.chance.uniform(0.0, STANDSTILL_SECONDS))
        if step.verb == "ConfirmCopy" and result.outcome is Outcome.DONE:
            self.judge.slept.discard(step.node)
        if result.outcome is Outcome.DONE:
            self.judge.done(step)
        else:
            self.note(f"      {result.outcome}: {result.reason or result.output.strip()[-200:]}")
        return result

    def _sent(self, step: Step, fate: Fate, lease: int | None) -> StepResult:
        before, used = self.judge.holders(), self.judge.in_use()
        self.judge.begins(step)
        refused = lease is not None and self.judge.lease_on(step.node) > lease
        result = self.loop.step(step, fate, lease=lease)
        if refused and fate == "ok" and result.outcome is Outcome.DONE:
            raise Broken(f"I9: {step.node} did {step.command} for an older controller")
        self.judge.ended(step, used)
        if step.verb == "SetRole" and " role primary " in step.command:
            self.judge.roles(f"{step.node}: {step.command}", before)
        else:
            self.judge.hooks(before, set())  # whatever happened meanwhile, this step did not do it
        return result

    # two controllers

    def rival(self, node: str) -> None:
        """Something happens and the controller looks; another one takes over; the first wakes up later and acts."""
        self.faults.mistake(node)
        plan = self.plan()
        assert self.loop.lease is not None
        if plan.stages:
            self.note(f"the controller with lease {self.loop.lease} looked and is stopped; another one takes over")
            self.older = Older(self.loop.lease, plan.stages[0], self.loop.now)
        self.loop.lease += 1

    def wake(self, older: Older) -> None:
        """It goes on where it was: whatever the newer one acted on refuses it, and it does not act on old facts."""
        self.older = None
        self.note(f"the controller with lease {older.lease} goes on")
        fresh = self.loop.now - older.looked_at <= STANDSTILL_SECONDS
        steps = [s for s in older.stage.steps if fresh or self.judge.lease_on(s.node) > older.lease]
        self.act(Stage(older.stage.title, tuple(steps), ordered=older.stage.ordered), lease=older.lease)

    # the whole

    def play(self, events: int) -> None:
        """Raises Broken, or AssertionError when planner and audit disagree."""
        self.passes(4.0)
        weights = [weight for weight, _ in self.faults.kinds]
        for _ in range(events):
            node = self.chance.choice(self.judge.nodes)
            self.chance.choices([act for _, act in self.faults.kinds], weights)[0](node)
            self.passes(self.chance.choice([1.0, 5.0, 15.0, 40.0]))
        self.faults.mend()
        self.older = None
        self.passes(60.0)
        self.settle()

    def settle(self) -> None:
        """Mended, it converges and serves, unless a person has to decide."""
        for _ in range(150):
            plan = self.look()
            self.advance(2.0)
            if not plan.stages and not any(hold.passing for hold in plan.holds):
                break
        else:
            raise Broken(f"does not converge: {[str(s.key) for s in plan.steps]} {[h.message for h in plan.holds]}")
        if plan.holds:
            if self.judge.excused({hold.reason for hold in plan.holds}):
                return
            raise Broken(f"held for good: {[f'{hold.reason}: {hold.message}' for hold in plan.holds]}")
        self.loop.world.advance(15.0)
        if found := complaints(self.loop):
            raise Broken(f"does not serve: {found}")
        for _ in range(3):
            self.loop.world.advance(20.0)
            if steps := self.loop.plan().steps:
                raise Broken(f"I7: a step on an unchanged pair: {[str(step.key) for step in steps]}")
        self.judge.data()
