"""A cluster on simulated nodes in virtual time, and the loop of the controller on it: probe, parse, plan, audit, act.

The real scripts run in the real shell of the lab; only the transport is missing. Nothing here waits in real time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.evidence.failures import failures, touched
from hactl.core.evidence.view import View
from hactl.core.facts import Known, NodeFacts, Reading, Snapshot, Unknown, fingerprint
from hactl.core.hook.render import LOCK
from hactl.core.objects import HACluster
from hactl.core.operations import Overrides
from hactl.core.parse.answer.node import parse_probe
from hactl.core.parse.question import EVERYTHING, Answered, Question
from hactl.core.plan import make_plan
from hactl.core.probe.script import probe_script
from hactl.core.script import budget_seconds, read_answer, step_script
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Ended, Outcome, Plan, Stage, StageOutcome, Step, StepKey, StepResult
from hactl.errors import InvariantBroken
from hactl.lab.build import build_world
from hactl.lab.clock import VirtualClock
from hactl.lab.machine import Machine
from hactl.lab.process import Process
from hactl.lab.shell.shell import drive, run_script

#: Frames the lines of an answer; nobody on a simulated node forges one.
NONCE = "0123456789abcdef"
SALT = b"simulated nodes"
#: How long a node may take to answer: questions that are not bounded each wait for ever for a hastd that hangs.
LOOK_SECONDS = 25.0
#: The CARP password of every virtual IP: the document's own are not read.
PASSWORD = "s3cret"


@dataclass
class SimulatedCluster:
    """One document and its nodes, booted and unconfigured to begin with."""

    document: HACluster
    seed: int = 1
    release: str = "13.2-RELEASE"
    generation: int = 1
    #: Of the lease steps are sent under; None: nodes are not asked.
    lease: int | None = None
    #: Steps that rest because they failed, as `make_plan` takes them.
    failing: Mapping[StepKey, str] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)

    def __post_init__(self) -> None:
        """Build the world and let it boot."""
        self.world = build_world(self.document, VirtualClock(), self.seed, release=self.release)
        self.world.start()
        self.world.advance(1.0)
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

    @property
    def nodes(self) -> list[str]:
        """Their names, in document order."""
        return [node.name for node in self.document.spec.nodes]

    @property
    def now(self) -> float:
        """Virtual monotonic seconds."""
        return self.world.clock.monotonic()

    def password(self, group: str, vip: str) -> str:
        """The password of a virtual IP."""
        del group, vip
        return PASSWORD

    def machine(self, node: str) -> Machine:
        """A node of the world."""
        return self.world.machines[node]

    def sh(self, node: str, script: str) -> str:
        """Do something by hand on a node; its output."""
        out, err, _ = drive(run_script(self.machine(node), script))
        return out + err

    def reaches(self, node: str) -> bool:
        """Whether the controller gets an answer from the node."""
        machine = self.machine(node)
        return machine.powered and machine.running and not machine.frozen

    # a look

    def look(self, between: Callable[[str], None] = lambda _: None) -> Snapshot:
        """Observe every node. `between` is called before each one is asked: time may go by."""
        found: dict[str, Reading[NodeFacts]] = {}
        cluster = self.cluster
        for name in self.nodes:
            between(name)
            if not self.reaches(name):
                found[name] = Unknown("Unreachable", self.now)
                continue
            try:
                found[name] = Known(self.ask(cluster, name, EVERYTHING).facts, self.now)
            except TimeoutError:
                found[name] = Unknown("Timeout", self.now)
        return Snapshot(self.now, found)

    def ask(self, cluster: Cluster, node: str, question: Question) -> Answered:
        """What one node answers. Raises TimeoutError."""
        machine = self.machine(node)
        process = Process(machine.pid(), "/bin/sh -s")
        limit = self.world.at(LOOK_SECONDS, lambda: process.kill(9))
        try:
            out, _, _ = drive(run_script(machine, probe_script(cluster, node, NONCE, question), process=process))
        finally:
            limit.cancel()
        if process.killed is not None:
            raise TimeoutError(node)
        return parse_probe(cluster, node, out, nonce=NONCE, seen_at=self.now, salt=SALT, question=question)

    def plan(self, between: Callable[[str], None] = lambda _: None) -> Plan:
        """Look and plan. `between`: see `look`. Raises InvariantBroken when the audit complains."""
        snapshot = self.look(between)
        view, wall = View.at(self.cluster, snapshot, self.now), datetime.fromtimestamp(self.world.clock.epoch(), UTC)
        failed = failures(view, self.status, self.overrides, self._touched, wall)
        overrides = replace(self.overrides, failures=failed)
        plan = make_plan(self.cluster, snapshot, self.now, failing=self.failing, overrides=overrides)
        if any(spec.on_failure is not None for group in self.document.spec.groups for spec in group.services):
            origin = Origin("simulated nodes")
            self.status = cluster_status(view, plan, origin, wall=wall, previous=self.status, failures=failed)
            self._touched.clear()
        if complaints := audit(self.cluster, snapshot, plan, self.now):
            raise InvariantBroken("; ".join(map(str, complaints)))
        return plan

    # steps

    def exec(self, steps: tuple[Step, ...]) -> list[StepResult]:
        """Carry out the steps of one exec, up to the first that is not Done; time goes by meanwhile."""
        return drive(self.execution(steps))

    async def execution(self, steps: tuple[Step, ...]) -> list[StepResult]:
        """The same beside others, as a fiber of the world (`World.spawn`)."""
        refusal = await self._refusal(steps[0].node)
        return [refusal] if refusal is not None else await self._run(steps, self.lease)

    def refused(self, node: str) -> StepResult | None:
        """Why nothing can be sent to the node now, after waiting for its hook as lockf(1) does; None: it can."""
        return drive(self._refusal(node))

    def sent(self, steps: tuple[Step, ...], *, lease: int | None = None) -> list[StepResult]:
        """How they ended on the node, which `refused` nothing. `lease`: another one than the cluster's own."""
        return drive(self._run(steps, self.lease if lease is None else lease))

    async def _refusal(self, node: str) -> StepResult | None:
        if not self.reaches(node):
            return StepResult(Outcome.FAILED, None, "", "not sent")
        locks = self.machine(node).rc.locks
        for _ in range(40):  # lockf -t 20
            if LOCK in locks:
                await self.world.clock.sleep(0.5)
        if LOCK in locks or not self.reaches(node):
            return StepResult(Outcome.FAILED, None, "", "the node's own hook is at work", busy=True)
        return None

    async def _run(self, steps: tuple[Step, ...], lease: int | None) -> list[StepResult]:
        machine = self.machine(steps[0].node)
        secrets = {use.variable: self.password(use.group, use.virtual_ip) for step in steps for use in step.secrets}
        process = Process(machine.pid(), "/bin/sh -s")
        limit = self.world.at(budget_seconds(steps), lambda: process.kill(9))
        machine.rc.locks.add(LOCK)
        try:
            script = step_script(steps, secrets, NONCE, lease=lease)
            out, _, status = await run_script(machine, script, process=process)
        finally:
            limit.cancel()
            machine.rc.locks.discard(LOCK)
        results = read_answer(steps, out, NONCE, exit_status=status, timed_out=process.killed is not None)
        ended = tuple(Ended(step, result, self.now) for step, result in zip(steps, results, strict=False))
        wall = datetime.fromtimestamp(self.world.clock.epoch(), UTC)
        self._touched |= touched(StageOutcome(Stage("", steps), ended, ()), wall)
        return results
