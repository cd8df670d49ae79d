"""What the facts about the node hook will be after its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hactl.core.facts import Device, HastMetadata, HastRole, HookFacts, Known, NodeFacts
from hactl.core.hook.render import DEVD_RULE
from hactl.core.plan.areas.hook import checksum
from hactl.core.plan.scene import Scene, known
from hactl.core.steps import Step

T = TypeVar("T")


def seen(value: T, facts: NodeFacts) -> Known[T]:
    """A reading as old as the rest of the facts."""
    return Known(value, facts.seen_at)


def unconfirm(facts: NodeFacts, resource: str) -> NodeFacts:
    """hastd's exec hook: whatever the role becomes, the copy is not known to be complete any more."""
    hook = known(facts.hook)
    if hook is None or resource not in hook.confirmed:
        return facts
    rest = {name: at for name, at in hook.confirmed.items() if name != resource}
    return replace(facts, hook=seen(replace(hook, confirmed=rest), facts))


def _hook(facts: NodeFacts) -> HookFacts:
    hook = known(facts.hook)
    assert hook is not None
    return hook


def write_hook(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """The file is there."""
    file = next(file for file in scene.hook_files(step.node) if file.path == step.target)
    files = {**_hook(facts).files, file.path: (checksum(file.text), file.mode)}
    return replace(facts, hook=seen(replace(_hook(facts), files=files), facts))


def remove_hook(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """No file of it is left."""
    return replace(facts, hook=seen(replace(_hook(facts), files={}, devd_loaded=""), facts))


def restart_devd(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """devd knows the rule."""
    rule = next(file for file in scene.hook_files(step.node) if file.path == DEVD_RULE)
    return replace(facts, hook=seen(replace(_hook(facts), devd_loaded=checksum(rule.text)), facts))


def confirm_copy(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """The copy is noted as complete."""
    hook = _hook(facts)
    gone = {name: at for name, at in hook.disconnected.items() if name != step.target}
    hook = replace(hook, confirmed={**hook.confirmed, step.target: 1}, disconnected=gone)
    return replace(facts, hook=seen(hook, facts))


def lift_hold(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """The demotion is taken back and nothing is held."""
    held = _hook(facts).held
    sysctls = dict(known(facts.carp_sysctls) or {})
    sysctls["demotion"] = sysctls.get("demotion", 0) - held
    return replace(facts, carp_sysctls=seen(sysctls, facts), hook=seen(replace(_hook(facts), held=0), facts))


def note_drained(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """The note is there, or gone."""
    note = "drained" if step.verb == "NoteDrained" else None
    return replace(facts, hook=seen(replace(_hook(facts), drained=note), facts))


def discard_copy(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """Role init, and metadata that holds nothing yet."""
    name = step.target
    facts = unconfirm(facts, name)
    copy = HastMetadata(name, 0, 2097152, 64, 4608, 0, 0, 0, "init")
    resources = dict(known(facts.resources) or {})
    if name in resources:
        resources[name] = replace(resources[name], role=HastRole.INIT, status=None, workerpid=None)
    device = seen(Device(f"/dev/hast/{name}", exists=False), facts)
    return replace(
        facts,
        resources=seen(resources, facts),
        metadata={**facts.metadata, name: seen(copy, facts)},
        hast_devices={**facts.hast_devices, name: device},
    )
