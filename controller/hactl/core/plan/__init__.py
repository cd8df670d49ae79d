"""The planner: what differs between the document and the facts, and the least that closes it.

`make_plan` is the one pure function of hactl: document and facts become a scene (`scene`), the groups are placed
(`placement`), and the areas are asked in a fixed order; the first with steps is the first stage. The stages after it
are a prediction: the effects of a stage are applied to the facts (`predict`) and the areas are asked again. What one
node does in a row is joined to one stage (`joined`). Only the first stage is ever executed; then the world is looked at
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hactl.core.catalogue import HoldReason
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Overrides
from hactl.core.plan.areas.addresses import introduce_steps, repair_steps
from hactl.core.plan.areas.boot import boot_steps
from hactl.core.plan.areas.daemon import config_steps, reload_steps, start_daemon_steps
from hactl.core.plan.areas.filesystems import filesystem_steps
from hactl.core.plan.areas.handover import move_steps
from hactl.core.plan.areas.hook import hook_steps, lift_steps, note_steps
from hactl.core.plan.areas.kernel import kernel_steps
from hactl.core.plan.areas.left import left_holds
from hactl.core.plan.areas.services import start_steps, stop_steps
from hactl.core.plan.areas.storage import metadata_steps, primary_steps, secondary_steps
from hactl.core.plan.areas.trial import trial_steps
from hactl.core.plan.joined import joined
from hactl.core.plan.pauses import left_alone, paused, pauses
from hactl.core.plan.placement import place
from hactl.core.plan.predict.stage import predict
from hactl.core.plan.resolve import TITLE, resolution_steps
from hactl.core.plan.scene import Findings, Scene, set_scene
from hactl.core.plan.waits import with_waits
from hactl.core.steps import Hold, Plan, Stage, Step, StepKey
from hactl.core.verbs import Verb

#: More stages than any convergence takes; a plan that long is a bug of ours.
STAGE_LIMIT = 40

#: The areas in order: title, whether its steps run one after the other over all nodes, and what asks it.
AREAS: tuple[tuple[str, bool, Callable[[Scene], Findings]], ...] = (
    ("HAST: does hastd connect?", False, trial_steps),
    ("Kernel: module and sysctls", False, kernel_steps),
    ("Hook: what the nodes do by themselves", True, hook_steps),
    ("Addresses: repair, standby first", True, repair_steps),
    ("Services: stop where not active", False, stop_steps),
    ("HAST: configuration", False, config_steps),
    ("HAST: take the configuration over, standby first", True, reload_steps),
    ("HAST: metadata on blank disks", False, metadata_steps),
    ("HAST: start the daemon", False, start_daemon_steps),
    (TITLE, True, resolution_steps),
    ("HAST: standby becomes secondary", False, secondary_steps),
    ("HAST: active node becomes primary", False, primary_steps),
    ("Filesystems: make, check, mount", True, filesystem_steps),
    ("Services: start in order", True, start_steps),
    ("Addresses: bring up", True, introduce_steps),
    ("Hook: what the nodes may do by themselves", False, note_steps),
    ("CARP: nodes that can serve are held back no more", True, lift_steps),
    ("Move: let go of a group that is to be elsewhere", True, move_steps),
    ("Boot: what the next start of each node does", False, boot_steps),
    ("Left: what the document does not have any more", False, left_holds),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What one look comes to: the next stage, if anything is left to do, and every reason not to do more."""

    stage: Stage | None
    holds: tuple[Hold, ...]


def make_plan(
    cluster: Cluster,
    snapshot: Snapshot,
    now: float,
    *,
    failing: Mapping[StepKey, str] | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """What is to be done, in stages, and why the rest is not.

    `now` is the controller's monotonic clock, seconds. `failing` maps `Step.key` of steps that failed a short while
    ago and are not to be tried again yet to the reason; they become holds, so that they do not stand in the way of
    what does not depend on them. `overrides` is what people asked for besides the document.
    """
    scene = first = place(set_scene(cluster, snapshot, now, overrides, failing))
    stages: list[Stage] = []
    holds: list[Hold] = []
    for number in range(STAGE_LIMIT):
        found = _look(scene)
        # What only time can bring is news about now, not about a predicted future.
        holds += [h for h in found.holds if h not in holds and not (number and h.passing)]
        if found.stage is None:
            break
        stages.append(found.stage)
        snapshot = predict(scene, found.stage)
        scene = place(set_scene(cluster, snapshot, now, overrides, failing))
        lifted = any(step.verb == Verb.LIFT_HOLD for step in found.stage.steps)
        if lifted and scene.goals != first.goals:
            break  # where CARP takes a group once a node is held back no more is looked at, not predicted
    discards = dict(first.overrides.discards)
    return Plan(
        cluster.name,
        cluster.generation,
        joined(first, stages),
        tuple(holds),
        dict(first.active),
        dict(first.goals),
        discards,
    )


def _look(scene: Scene) -> Found:
    """The first area with steps; areas without any may still have holds."""
    holds = [*scene.holds, *pauses(scene)]
    for title, ordered, ask in AREAS:
        steps, found = _allowed(scene, ask(scene), ordered=ordered)
        holds += found
        if steps:
            return Found(Stage(title, steps, ordered=ordered), _each_once(holds))
    return Found(None, _each_once(with_waits(scene, holds)))


def _each_once(holds: Iterable[Hold]) -> tuple[Hold, ...]:
    return tuple(dict.fromkeys(holds))


def _allowed(scene: Scene, findings: Findings, *, ordered: bool) -> tuple[tuple[Step, ...], list[Hold]]:
    """Leave out what failed a short while ago or is paused, and what was to come after it."""
    found = list(findings)
    holds = [each for each in found if isinstance(each, Hold)]
    kept: list[Step] = []
    stopped: set[str] = set()
    for step in found:
        if isinstance(step, Hold) or left_alone(scene, step):
            continue
        why_paused = paused(scene, step)
        if step.key in scene.failing:
            why = f"{step.key}: {scene.failing[step.key]}; it is tried again later"
            holds.append(Hold(HoldReason.STEP_FAILING, why, step.node, step.target))
            stopped.add(step.node)
        elif why_paused:
            holds.append(Hold(HoldReason.PAUSED, f"{step.key}: {why_paused}", step.node, step.target))
            stopped.add(step.node)
        elif step.node in stopped or (ordered and stopped):
            continue
        else:
            kept.append(step)
    return tuple(kept), holds
