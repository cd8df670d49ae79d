"""Plans written by hand for tests of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hactl.core.audit.check import audit
from hactl.core.changes.change import SecretUse
from hactl.core.steps import Check, Plan, Risk, Stage, Step
from support.facts.builder import Scene

PASSWORD = SecretUse("HACTL_PASS_1", "files", "files")
LOOKED = (Check("it is so", "test -e /etc/rc.conf"),)

#: What a node is asked before it gives a resource up.
ON_BOTH = Check("everything is on both disks", "hastctl list data | grep -q 'dirty: 0 '")


def step(node: str, verb: str, command: str, *, target: str = "it", risk: Risk = Risk.NONE, **more: Any) -> Step:
    """A step with a check before it and, if its command names one, the secret."""
    secrets = (PASSWORD,) if "HACTL_PASS_1" in command else ()
    before = (*LOOKED, ON_BOTH) if " role secondary" in command else LOOKED
    return Step(node, verb, target, "because", command, risk, **{"before": before, "secrets": secrets, **more})


def complaints(
    scene: Scene, *stages: list[Step], ordered: bool = True, active: str | None = "", now: float | None = None
) -> tuple[str, ...]:
    """What the audit says of a plan with these stages; `active` "": where the group is preferred."""
    where: Mapping[str, str | None] = {
        group.name: group.preferred[0] if active == "" else active for group in scene.cluster.groups
    }
    plan = Plan(
        scene.cluster.name,
        scene.cluster.generation,
        tuple(Stage("a stage", tuple(steps), ordered=ordered) for steps in stages),
        active=dict(where),
        goals=dict(where),
    )
    return audit(scene.cluster, scene.snapshot, plan, scene.now if now is None else now)


def says(found: tuple[str, ...], *words: str) -> bool:
    """Whether one complaint has all the words."""
    return any(all(word in line for word in words) for line in found)
