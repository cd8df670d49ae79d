"""The whole loop on simulated nodes in virtual time, without SSH: probe, parse, plan, audit, first stage, look again.

The real scripts run in the real shell of the lab; only the transport is missing. Fates of a step can be chosen, so
that a test can cut the loop anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.document.load import read_cluster
from hactl.core.evidence.failures import failures, touched
from hactl.core.evidence.view import View
from hactl.core.facts import Known, NodeFacts, Reading, Snapshot, Unknown, fingerprint
from hactl.core.hook.render import LOCK
from hactl.core.objects import HACluster
from hactl.core.operations import Overrides
from hactl.core.outcome import Ended, StageOutcome, StepResult
from hactl.core.parse.answer.node import parse_probe
from hactl.core.parse.question import EVERYTHING, Answered, Question
from hactl.core.plan import make_plan
from hactl.core.probe.script import probe_script
from hactl.core.script import read_answer, step_script
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Outcome, Plan, Stage, Step, execs
from hactl.lab.build import build_world
from hactl.lab.clock import VirtualClock
from hactl.lab.machine import Machine
from hactl.lab.shell.shell import drive, run_script
from support.facts.planned import shortened

EXAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "examples"
NONCE = "0123456789abcdef"
SALT = b"closed loop"

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
class Loop:
    """One cluster on its lab world."""

    document: HACluster
    seed: int = 1
    release: str = "13.2-RELEASE"
    generation: int = 1
    #: Of the lease steps are sent under; None: nodes are not asked.
    lease: int | None = None
    #: A look builds on the last one, as the observer's do; else each asks for everything.
    remembers: bool = False
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    executed: list[str] = field(default_factory=list)
    results: list[StepResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the world and let it boot."""
        self.world = build_world(self.document, VirtualClock(), self.seed, release=self.release)
        self.world.start()
        self.world.advance(1.0)
        self._last: dict[str, tuple[Cluster, Answered]] = {}
        self.failing: dict[str, str] = {}
        self.overrides = Overrides()
        #: The last status, where a service says `onFailure`: what is known of its failures is carried in it.
        self.status: Mapping[str, Any] | None = None
        self._touched: dict[tuple[str, str], datetime | None] = {}

    @property
    def cluster(self) -> Cluster:
        """What is wanted now."""
        keys = {}
        for group in self.document.spec.groups:
            for vip in group.virtual_ips:
                if vip.password_from is not None:
                    keys[group.name, vip.name] = fingerprint(self.password(group.name, vip.name), SALT)
        return Cluster(self.document, self.generation, keys)

    def password(self, group: str, vip: str) -> str:
        """The password of a virtual IP."""
        return self.passwords.get((group, vip), "s3cret")

    def machine(self, node: str) -> Machine:
        """A node of the world."""
        return self.world.machines[node]

    @property
    def now(self) -> float:
        """Virtual monotonic seconds."""
        return self.world.clock.monotonic()

    @property
    def wall(self) -> datetime:
        """The controller's wall clock."""
        return datetime.fromtimestamp(self.world.clock.epoch(), UTC)

    def sh(self, node: str, script: str) -> str:
        """Do something by hand on a node; its output."""
        out, err, _ = drive(run_script(self.machine(node), script))
        return out + err

    def reaches(self, node: str) -> bool:
        """Whether the controller gets an answer from the node."""
        machine = self.machine(node)
        return node not in self.silent and machine.powered and machine.running and not machine.frozen

    def look(self, between: Callable[[str], None] = lambda _: None) -> Snapshot:
        """Observe every node. `between` is called before each one is asked: time may go by."""
        nodes: dict[str, Reading[NodeFacts]] = {}
        cluster = self.cluster
        for name in [n.name for n in self.document.spec.nodes]:
            between(name)
            if not self.reaches(name):
                nodes[name] = Unknown("Unreachable", self.now)
                continue
            nodes[name] = Known(self._ask(cluster, name), self.now)
        return Snapshot(self.now, nodes)

    def _ask(self, cluster: Cluster, node: str) -> NodeFacts:
        known, last = self._last.get(node, (None, None))
        question = Question(bounded=False, last=last) if known == cluster else EVERYTHING
        out, _, _ = drive(run_script(self.machine(node), probe_script(cluster, node, NONCE, question)))
        answered = parse_probe(cluster, node, out, nonce=NONCE, seen_at=self.now, salt=SALT, question=question)
        self._last.pop(node, None)
        if question.last is not None and not answered.complete:
            return self._ask(cluster, node)
        if self.remembers and answered.complete:
            self._last[node] = cluster, answered
        return answered.facts

    def plan(self, between: Callable[[str], None] = lambda _: None) -> Plan:
        """Look and plan; the audit has no complaint. `between`: see `look`."""
        snapshot = self.look(between)
        view, wall = View.at(self.cluster, snapshot, self.now), self.wall
        failed = failures(view, self.status, self.overrides, self._touched, wall)
        overrides = replace(self.overrides, failures=failed)
        plan = make_plan(self.cluster, snapshot, self.now, failing=self.failing, overrides=overrides)
        if any(spec.on_failure is not None for group in self.document.spec.groups for spec in group.services):
            origin = Origin("the lab")
            self.status = cluster_status(view, plan, origin, wall=wall, previous=self.status, failures=failed)
            self._touched.clear()
        complaints = audit(self.cluster, snapshot, plan, self.now)
        assert complaints == (), complaints
        return plan

    def step(self, step: Step, fate: Fate = "ok", *, lease: int | None = None) -> StepResult:
        """Carry out one step, or lose it. `lease`: another one than the loop's own."""
        return self.exec((step,), fate, lease=lease)[0]

    def exec(self, steps: tuple[Step, ...], fate: Fate = "ok", *, lease: int | None = None) -> list[StepResult]:
        """Carry out the steps of one exec, up to the first that is not Done; or lose it."""
        node = steps[0].node
        for step in steps:
            self.executed.append(f"{step.node}: {shortened(step)}")
        if fate == "unsent" or not self.reaches(node):
            return [StepResult(Outcome.FAILED, None, "", "not sent")]
        secrets = {use.variable: self.password(use.group, use.virtual_ip) for step in steps for use in step.secrets}
        locks = self.machine(node).rc.locks
        for _ in range(40):  # lockf -t 20
            if LOCK in locks:
                self.world.advance(0.5)
        if LOCK in locks or not self.reaches(node):
            return [StepResult(Outcome.FAILED, None, "", "the node's own hook is at work")]
        locks.add(LOCK)
        try:
            script = step_script(steps, secrets, NONCE, lease=self.lease if lease is None else lease)
            out, _, status = drive(run_script(self.machine(node), script))
        finally:
            locks.discard(LOCK)
        if fate == "lost":
            return [StepResult(Outcome.INDETERMINATE, None, "", "lost")] * len(steps)
        results = read_answer(steps, out, NONCE, exit_status=status, timed_out=False)
        ended = tuple(Ended(step, result, self.now) for step, result in zip(steps, results, strict=False))
        self._touched |= touched(StageOutcome(Stage("", steps), ended, ()), self.wall)
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
