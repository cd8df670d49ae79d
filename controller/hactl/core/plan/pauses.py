"""What people paused: it is planned and shown, and not done.

Rules: a paused fleet or cluster keeps its whole plan, which is not carried out; steps of a paused group or node are
left out, with a hold each, so that the rest goes on.
"""

from __future__ import annotations

from hactl.core.cluster import interface_on, targets_of
from hactl.core.objects import GroupSpec
from hactl.core.plan.scene import Scene
from hactl.core.steps import Step


def hold_paused(scene: Scene) -> None:
    """Say what is paused, whether or not there is anything to do."""
    name = scene.cluster.name
    if scene.overrides.paused:
        scene.hold(
            "Paused",
            f"{name} is paused by {scene.overrides.paused}",
            target=name,
            remedy=f"hactl resume {name}",
        )
    for group, why in scene.overrides.paused_groups.items():
        scene.hold("Paused", f"{group} is paused by {why}", target=group, remedy=f"hactl resume {name} --group {group}")
    for node, why in scene.overrides.paused_nodes.items():
        if node in scene.nodes:
            scene.hold(
                "Paused", f"{node} is paused by {why}", node=node, target=node, remedy=f"hactl resume --node {node}"
            )


def paused(scene: Scene, step: Step) -> str:
    """Why this step is not done; empty: it may be."""
    if step.node in scene.overrides.paused_nodes:
        return f"{step.node} is paused by {scene.overrides.paused_nodes[step.node]}"
    if not scene.overrides.paused_groups:
        return ""
    for group in scene.cluster.groups:
        if group.name in scene.overrides.paused_groups and step.target in _targets(group, step):
            return f"{group.name} is paused by {scene.overrides.paused_groups[group.name]}"
    return ""


def _targets(group: GroupSpec, step: Step) -> set[str]:
    """Every target a step about the group can have on that node."""
    found = set(targets_of(group))
    for vip in group.virtual_ips:
        vhid = f"{interface_on(vip, step.node)} vhid {vip.vhid}"
        found |= {vhid, *(f"{vhid} {address}" for address in vip.addresses)}
        if step.target.startswith(f"{vhid} "):
            found.add(step.target)
    return found
