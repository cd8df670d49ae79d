"""What people paused: it is planned and shown, and not done.

Rules: a paused fleet or cluster keeps its whole plan, which is not carried out; steps of a paused group or node are
left out, with a hold each, so that the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.changes.carp import AddAddress, RemoveAddress, SetVhid
from hactl.core.cluster import interface_on, targets_of
from hactl.core.objects import GroupSpec
from hactl.core.plan.adopted import renamed
from hactl.core.plan.scene import Scene
from hactl.core.steps import Hold, Step


def pauses(scene: Scene) -> Iterator[Hold]:
    """What is paused, whether or not there is anything to do."""
    name, overrides = scene.view.cluster.name, scene.overrides
    if overrides.paused:
        yield Hold(
            HoldReason.PAUSED, f"{name} is paused by {overrides.paused}", target=name, remedy=f"hactl resume {name}"
        )
    for group, why in overrides.paused_groups.items():
        remedy = f"hactl resume {name} --group {group}"
        yield Hold(HoldReason.PAUSED, f"{group} is paused by {why}", target=group, remedy=remedy)
    for node, why in overrides.paused_nodes.items():
        if node in scene.view.nodes:
            yield Hold(HoldReason.PAUSED, f"{node} is paused by {why}", node, node, f"hactl resume --node {node}")


def paused(scene: Scene, step: Step) -> str:
    """Why this step is not done; empty: it may be."""
    if step.node in scene.overrides.paused_nodes:
        return f"{step.node} is paused by {scene.overrides.paused_nodes[step.node]}"
    if not scene.overrides.paused_groups:
        return ""
    for group in scene.view.cluster.groups:
        if group.name in scene.overrides.paused_groups and _about(group, step):
            return f"{group.name} is paused by {scene.overrides.paused_groups[group.name]}"
    return ""


def left_alone(scene: Scene, step: Step) -> bool:
    """Whether the step is about a group whose device hastd calls otherwise than hactl does (`adopted` holds it):
    what is mounted from it would not be seen, so no role of it changes, and no service stops for that.
    """
    return any(
        _about(group, step) and any(renamed(scene, node, s.name) for s in group.storage for node in scene.view.facts)
        for group in scene.view.cluster.groups
    )


def _about(group: GroupSpec, step: Step) -> bool:
    """Whether the step is about the group: its storage, its services, or a vhid or an address of it."""
    match step.change:
        case AddAddress() | RemoveAddress() as change:
            vhid = (change.interface, change.address.vhid)
        case SetVhid() as change:
            vhid = (change.interface, change.vhid)
        case _:
            return step.target in targets_of(group)
    return vhid in [(interface_on(vip, step.node), vip.vhid) for vip in group.virtual_ips]
