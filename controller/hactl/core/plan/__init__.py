"""The planner: what differs between the document and the facts, and the least that closes it.

`make_plan` is the one pure function of hactl. Each module of this package is one area and returns the steps of its
next stage; the areas are asked in a fixed order and the first with steps is the first stage. The stages after it are
a prediction: the effects of a stage are applied to the facts (`predict`) and the areas are asked again. Only the first
stage is ever executed; then the world is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Overrides
from hactl.core.plan.areas.addresses import introduce_steps, repair_steps
from hactl.core.plan.areas.boot import boot_steps
from hactl.core.plan.areas.daemon import config_steps, reload_steps, start_daemon_steps
from hactl.core.plan.areas.filesystems import filesystem_steps
from hactl.core.plan.areas.handover import move_steps
from hactl.core.plan.areas.hook import held_for_people, hook_steps, lift_steps, note_steps
from hactl.core.plan.areas.kernel import kernel_steps
from hactl.core.plan.areas.resolutions import resolution_steps
from hactl.core.plan.areas.services import start_steps, stop_steps
from hactl.core.plan.areas.storage import metadata_steps, role_steps, storage_waits
from hactl.core.plan.election import election_waits
from hactl.core.plan.pauses import hold_paused, paused
from hactl.core.plan.placement import place
from hactl.core.plan.predict.stage import predict
from hactl.core.plan.scene import Scene, Steps, set_scene
from hactl.core.steps import Hold, Plan, Stage, Step

#: More stages than any convergence takes; a plan that long is a bug of ours.
STAGE_LIMIT = 40

#: The areas in order: title, whether its steps run one after the other over all nodes, and what asks it.
AREAS: tuple[tuple[str, bool, Callable[[Scene], Steps]], ...] = (
    ("Kernel: module and sysctls", False, kernel_steps),
    ("Hook: what the nodes do by themselves", True, hook_steps),
    ("Addresses: repair, standby first", True, repair_steps),
    ("Services: stop where not active", False, stop_steps),
    ("HAST: configuration", False, config_steps),
    ("HAST: take the configuration over, standby first", True, reload_steps),
    ("HAST: metadata on blank disks", False, metadata_steps),
    ("HAST: start the daemon", False, start_daemon_steps),
    ("Resolve: throw one copy away", True, resolution_steps),
    ("HAST: standby becomes secondary", False, lambda scene: role_steps(scene)[0]),
    ("HAST: active node becomes primary", False, lambda scene: role_steps(scene)[1]),
    ("Filesystems: make, check, mount", True, filesystem_steps),
    ("Services: start in order", True, start_steps),
    ("Addresses: bring up", True, introduce_steps),
    ("Hook: what the nodes may do by themselves", False, note_steps),
    ("CARP: nodes that can serve are held back no more", True, lift_steps),
    ("Move: let go of a group that is to be elsewhere", True, move_steps),
    ("Boot: what the next start of each node does", False, boot_steps),
)


def make_plan(
    cluster: Cluster,
    snapshot: Snapshot,
    now: float,
    *,
    failing: Mapping[str, str] | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """What is to be done, in stages, and why the rest is not.

    `now` is the controller's monotonic clock, seconds. `failing` maps `Step.key` of steps that failed a short while
    ago and are not to be tried again yet to the reason; they become holds, so that they do not stand in the way of
    what does not depend on them. `overrides` is what people asked for besides the document.
    """
    stages: list[Stage] = []
    holds: list[Hold] = []
    active: dict[str, str | None] = {}
    goals: dict[str, str | None] = {}
    for number in range(STAGE_LIMIT):
        scene = set_scene(cluster, snapshot, now, overrides, failing)
        stage = _next_stage(scene)
        if number == 0:
            active, goals = dict(scene.active), dict(scene.goals)
        # What only time can bring is news about now, not about a predicted future.
        holds += [h for h in scene.holds if h not in holds and not (number and h.passing)]
        if stage is None:
            break
        stages.append(stage)
        snapshot = predict(cluster, snapshot, stage, overrides, failing)
    return Plan(
        cluster.name,
        cluster.generation,
        tuple(stages),
        tuple(holds),
        active,
        goals,
        dict(overrides.discards) if overrides else {},
    )


def _next_stage(scene: Scene) -> Stage | None:
    """The first area with steps; areas without any may still add holds."""
    place(scene)
    hold_paused(scene)
    for title, ordered, ask in AREAS:
        steps = _allowed(scene, ask(scene), ordered=ordered)
        if steps:
            return Stage(title, tuple(steps), ordered=ordered)
    storage_waits(scene)
    election_waits(scene)
    held_for_people(scene)
    return None


def _allowed(scene: Scene, steps: Steps, *, ordered: bool) -> Steps:
    """Leave out what failed a short while ago or is paused, and what was to come after it."""
    kept: Steps = []
    stopped: set[str] = set()
    for step in steps:
        why_paused = paused(scene, step)
        if step.key in scene.failing:
            scene.hold("StepFailing", _failing(step, scene.failing), node=step.node, target=step.target)
            stopped.add(step.node)
        elif why_paused:
            scene.hold("Paused", f"{step.key}: {why_paused}", node=step.node, target=step.target)
            stopped.add(step.node)
        elif step.node in stopped or (ordered and stopped):
            continue
        else:
            kept.append(step)
    return kept


def _failing(step: Step, failing: Mapping[str, str]) -> str:
    return f"{step.key}: {failing[step.key]}; it is tried again later"
