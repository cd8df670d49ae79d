"""Whether hastd connects at all: tried before anything is created for it, and said before anything relies on it.

Rules: only where a release makes it doubtful, once for a hastd and a kernel; the trial touches neither the hastd that
runs nor any disk (core/changes/trial.sh). A verdict holds back what would be useless, never what runs.
"""

from __future__ import annotations

from hactl.core.catalogue import HoldReason
from hactl.core.changes.hast import TryHastd
from hactl.core.cluster import storages_of
from hactl.core.evidence.connects import connects, cure, device_never_came, never_connects, remedy_of_stuck
from hactl.core.facts import Connects, known
from hactl.core.plan.scene import Findings, Scene
from hactl.core.steps import Hold, Risk, Step

#: The longest trial: everything in it that waits, seconds.
TRIAL_SECONDS = 100.0


def trial_steps(scene: Scene) -> Findings:
    """Try what was not tried; say what never connects, and which primary waits for ever."""
    for node in scene.view.facts:
        if not storages_of(scene.view.cluster, node):
            continue
        if connects(scene.view, node) is Connects.UNTRIED:
            yield _try(scene, node)
        elif wrong := never_connects(scene.view, node):
            yield Hold(HoldReason.HASTD_NEVER_CONNECTS, wrong, node, "hastd", cure(scene.view, node))
    for _, storage in scene.view.storages():
        for node in storage.hast.devices:
            if wrong := device_never_came(scene.view, storage, node):
                remedy = remedy_of_stuck(scene.view, storage, node)
                yield Hold(HoldReason.DEVICE_NEVER_CAME, wrong, node, storage.name, remedy)


def _try(scene: Scene, node: str) -> Step:
    system = known(scene.view.facts[node].system)
    release = system.release if system is not None else "this release"
    why = f"not every hastd of FreeBSD {release} connects, and this one was not tried"
    return Step.of(node, TryHastd(), why, Risk.NONE, timeout_seconds=TRIAL_SECONDS)


def unproven(scene: Scene, nodes: list[str]) -> list[str]:
    """Of these nodes, those whose hastd is not known to connect although it would have to be."""
    return [node for node in nodes if connects(scene.view, node) in (Connects.NEVER, Connects.UNTRIED)]
