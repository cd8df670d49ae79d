"""The plan of a scene, and short words for what is in it."""

from __future__ import annotations

import re

from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Overrides
from hactl.core.plan import make_plan
from hactl.core.plan.placement import place
from hactl.core.plan.predict.stage import predict
from hactl.core.plan.scene import set_scene
from hactl.core.steps import Hold, Plan, Stage, Step, StepKey
from hactl.core.verbs import Verb
from support.facts.builder import NOW, Scene


def plan_of(scene: Scene, overrides: Overrides | None = None, *, failing: str = "") -> Plan:
    """The plan, about which the audit has no complaint; `failing`: the key of a step that failed a short while ago."""
    failed = {key_of(failing): "it failed"} if failing else {}
    plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=overrides, failing=failed)
    assert audit(scene.cluster, scene.snapshot, plan, NOW) == ()
    return plan


def key_of(text: str) -> StepKey:
    """The key that people see as that text."""
    node, verb, target = text.split(" ", 2)
    return StepKey(node, Verb(verb), target)


def foretold(cluster: Cluster, snapshot: Snapshot, stage: Stage) -> Snapshot:
    """What the planner expects of a stage that is begun when the snapshot was taken."""
    return predict(place(set_scene(cluster, snapshot, snapshot.taken_at)), stage)


def first(plan: Plan) -> list[Step]:
    """The steps of the first stage."""
    return list(plan.stages[0].steps) if plan.stages else []


def reasons(plan: Plan) -> set[str]:
    """Why it holds back."""
    return {hold.reason for hold in plan.holds}


def holds(plan: Plan, reason: str) -> list[Hold]:
    """The holds of that reason."""
    return [hold for hold in plan.holds if hold.reason == reason]


def held(plan: Plan, reason: str) -> Hold:
    """The only hold of that reason."""
    (hold,) = holds(plan, reason)
    return hold


def commands(plan: Plan, node: str) -> list[str]:
    """What is run on that node."""
    return [step.command for step in plan.steps if step.node == node]


def looks(step: Step) -> list[str]:
    """What the node looks at before the step, and after it with the seconds it may take."""
    return [check.says for check in step.before] + [f"> {c.says} ({c.within_seconds:.0f} s)" for c in step.after]


def shortened(step: Step) -> str:
    """A step as a transcript has it: its command, or what it does where that has several lines; what sysrc is told."""
    if edit := re.search(r"^sysrc -f \S+ (.*?) &&$", step.command, re.MULTILINE):
        return f"sysrc {edit[1]}"
    return f"{step.verb} {step.target}" if "\n" in step.command else step.command
