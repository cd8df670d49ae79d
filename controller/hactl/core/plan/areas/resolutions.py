"""Copies that a person asked to be thrown away, by name: planned, or held with why not."""

from __future__ import annotations

from hactl.core.plan.scene import Scene, Steps


def resolution_steps(scene: Scene) -> Steps:
    """The steps of the first request that can be carried out."""
    from hactl.core.plan.resolve import Refusal, resolve_steps

    for resource, (node, preserve) in scene.overrides.discards.items():
        found = resolve_steps(scene.cluster, scene.snapshot, resource, node, preserve, scene.now)
        if isinstance(found, Refusal):
            scene.hold(
                "ResolveWaits",
                f"{resource}: the copy of {node} is not thrown away: {found.message}",
                node=node,
                target=resource,
                remedy=found.remedy,
            )
        elif found:
            return [step for stage in found for step in stage.steps]
    return []
