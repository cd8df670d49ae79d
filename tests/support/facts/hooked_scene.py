"""Scenes of builder.py whose nodes have the node hook: what `HookFacts` holds on a pair that is well."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from hactl.core.facts import HookFacts, Known
from hactl.core.hook.render import DEVD_RULE, hook_files
from hactl.core.steps import Hold, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from support.facts.builder import Scene, healthy_pair, nas_cluster


def hook_facts(scene: Scene, node: str) -> HookFacts:
    """The hook as the document makes it, devd started with its rule, every standby copy confirmed."""
    files = hook_files(scene.cluster, node)
    sums = {file.path: (hashlib.sha256(file.text.encode()).hexdigest(), file.mode) for file in files}
    resources = [storage.name for group in scene.cluster.groups for storage in group.storage]
    return HookFacts(
        files=sums,
        devd_loaded=sums[DEVD_RULE][0] if sums else "",
        confirmed=dict.fromkeys(resources, 1795450000),
    )


def hooked(scene: Scene) -> Scene:
    """Every node has its hook."""
    for node in scene.nodes:
        scene = scene.node(node, hook=hook_facts(scene, node))
    return scene


def hooked_pair(active: str = "nas-a") -> Scene:
    """`healthy_pair` with the hook."""
    return hooked(healthy_pair(active))


def hook(scene: Scene, node: str, **changes: Any) -> Scene:
    """Change what a node has of the hook."""
    return scene.node(node, hook=replace(scene.known(node, "hook"), **changes))


def with_log(scene: Scene, node: str, log: tuple[str, ...]) -> Scene:
    """The CARP state changes of the node's kernel log."""
    facts = replace(scene.facts(node), carp_log=log)
    return replace(scene, nodes={**scene.nodes, node: Known(facts, facts.seen_at)})


def plan_of(scene: Scene, *steps: Step, holds: tuple[Hold, ...] = ()) -> Plan:
    """A plan with one stage of these steps, or none."""
    stages = (Stage("a stage", steps),) if steps else ()
    active: dict[str, str | None] = {group.name: group.preferred[0] for group in scene.cluster.groups}
    return Plan(scene.cluster.name, scene.cluster.generation, stages, holds, active)


def a_step(node: str, verb: str, target: str, command: str = "true") -> Step:
    """A step that says little."""
    return Step(node, Verb(verb), target, "because", command, Risk.NONE)


def diverged() -> Scene:
    """Recording 05: nas-a primary and serving, nas-b secondary, both ahead."""
    scene = healthy_pair().resource("nas-a", status="degraded", dirty=10485760)
    scene = scene.resource("nas-b", status=None, workerpid=None).device("nas-b", used_by=())
    return hooked(scene.metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1))


def slept(scene: Scene, *nodes: str, word: str = "Discard") -> Scene:
    """The hooks of these nodes noted that they slept while their peer took over; the document says what then."""
    scene = hooked(scene.wants(nas_cluster({"spec.failover": {"onStaleWriter": word}})))
    for node in nodes:
        scene = scene.hook(node, fenced={"data": (1796003000, 24)})
    return scene
