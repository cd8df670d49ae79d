"""The whole loop on simulated nodes in virtual time, without SSH: probe, parse, plan, audit, first stage, look again.

Fates of a step can be chosen, so that a test can cut the loop anywhere; nodes can be out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from hactl.core.cluster import Cluster
from hactl.core.document.load import read_cluster
from hactl.core.objects import HACluster
from hactl.core.parse.question import EVERYTHING, Answered, Question
from hactl.core.steps import Outcome, Plan, Stage, Step, StepResult, execs
from hactl.errors import InvariantBroken
from hactl.simulate.cluster import NONCE, SALT, SimulatedCluster
from support.facts.planned import shortened

__all__ = ["EXAMPLES", "NONCE", "SALT", "Fate", "Loop", "example"]

EXAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "examples"

#: What becomes of a step: done; answered too late although it ran; never sent; ran until just before the command.
Fate = Literal["ok", "lost", "unsent"]


def example(name: str, change: Callable[[dict[str, Any]], None] | None = None) -> HACluster:
    """A document of manifests/examples, changed if asked."""
    data = YAML(typ="safe").load((EXAMPLES / f"{name}.yaml").read_text())
    if change is not None:
        change(data)
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster), cluster
    return cluster


@dataclass
class Loop(SimulatedCluster):
    """One cluster on its lab world."""

    #: A look builds on the last one, as the observer's do; else each asks for everything.
    remembers: bool = False
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    executed: list[str] = field(default_factory=list)
    results: list[StepResult] = field(default_factory=list)
    _last: dict[str, tuple[Cluster, Answered]] = field(default_factory=dict)

    def password(self, group: str, vip: str) -> str:
        """The password of a virtual IP."""
        return self.passwords.get((group, vip), super().password(group, vip))

    def reaches(self, node: str) -> bool:
        """Whether the controller gets an answer from the node."""
        return node not in self.silent and super().reaches(node)

    def ask(self, cluster: Cluster, node: str, question: Question) -> Answered:
        """What one node answers; `question`, if it is not remembered."""
        known, last = self._last.get(node, (None, None))
        if known == cluster:
            question = Question(bounded=False, last=last)
        self._last.pop(node, None)
        try:
            answered = super().ask(cluster, node, question)
        except TimeoutError:
            if question.last is None:
                raise
            # What is not bounded waits for a hastd that hangs: the observer asks again, with a bound on each question.
            return self.ask(cluster, node, EVERYTHING)
        if question.last is not None and not answered.complete:
            return self.ask(cluster, node, EVERYTHING)
        if self.remembers and answered.complete:
            self._last[node] = cluster, answered
        return answered

    def plan(self, between: Callable[[str], None] = lambda _: None) -> Plan:
        """Look and plan; the audit has no complaint. `between`: see `look`."""
        try:
            return super().plan(between)
        except InvariantBroken as broken:
            raise AssertionError(str(broken)) from broken

    def step(self, step: Step, fate: Fate = "ok", *, lease: int | None = None) -> StepResult:
        """Carry out one step, or lose it. `lease`: another one than the loop's own."""
        return self.exec((step,), fate, lease=lease)[0]

    def exec(self, steps: tuple[Step, ...], fate: Fate = "ok", *, lease: int | None = None) -> list[StepResult]:
        """Carry out the steps of one exec, up to the first that is not Done; or lose it."""
        for step in steps:
            self.executed.append(f"{step.node}: {shortened(step)}")
        if fate == "unsent":
            return [StepResult(Outcome.FAILED, None, "", "not sent")]
        refused = self.refused(steps[0].node)
        if refused is not None:
            return [refused]
        results = self.sent(steps, lease=lease)
        if fate == "lost":
            return [StepResult(Outcome.INDETERMINATE, None, "", "lost")] * len(steps)
        # What was not run was not executed.
        del self.executed[len(self.executed) - (len(steps) - len(results)) :]
        return results

    def stage(self, stage: Stage, fates: Mapping[int, Fate] | None = None) -> bool:
        """Carry out a stage as the executor does; True when everything is Done.

        `fates`: what befalls a step, by its number; a step with one, and those around it, have an exec of their own.
        """
        stopped: set[str] = set()
        number = 0
        for steps in execs(stage.steps):
            numbers = range(number, number + len(steps))
            number += len(steps)
            alone = any(each in (fates or {}) for each in numbers)
            for first, run in (
                [(numbers[0], steps)] if not alone else [(n, (s,)) for n, s in zip(numbers, steps, strict=True)]
            ):
                if run[0].node in stopped or (stage.ordered and stopped):
                    continue
                results = self.exec(run, (fates or {}).get(first, "ok"))
                self.results += results
                if any(result.outcome is not Outcome.DONE for result in results):
                    stopped.add(run[0].node)
        return not stopped

    def converge(self, *, passes: int = 60, pause_seconds: float = 1.0) -> list[str]:
        """Pass after pass until nothing is left to do and nothing is waited for; what was executed."""
        before = len(self.executed)
        for _ in range(passes):
            plan = self.plan()
            if plan.stages:
                self.stage(plan.stages[0])
            elif not any(hold.passing for hold in plan.holds):
                return self.executed[before:]
            self.world.advance(0.05 if plan.stages else pause_seconds)
        raise AssertionError(f"not converged: {self.plan()}")
