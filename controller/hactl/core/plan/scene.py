"""The scene a plan is made in: what counts of the nodes, what people asked for, and where each group is placed.

Rules: a scene never changes; whoever is asked about it answers with a value: an area with its findings, a question
about a risk with the hold that stands against it. Nothing is planned on a node without facts here, and nothing is
concluded from its silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from hactl.core.cluster import Cluster, hooked_groups
from hactl.core.evidence.view import View
from hactl.core.facts import Snapshot
from hactl.core.hook.render import HookFile, hook_files
from hactl.core.objects import GroupSpec
from hactl.core.operations import Overrides
from hactl.core.steps import Hold, Step, StepKey

#: What an area of the planner finds: steps of its next stage, and why there are not more.
Findings: TypeAlias = Iterator[Step | Hold]


@dataclass(frozen=True)
class Scene:
    """A cluster as it may be acted on at one moment."""

    view: View
    #: What people asked for besides the document.
    overrides: Overrides
    #: Steps that failed a short while ago, and what happened.
    failing: Mapping[StepKey, str]
    #: Group name -> active node (`hactl.core.plan.placement`).
    active: Mapping[str, str | None] = field(default_factory=dict)
    #: Group name -> node it should be active on (`hactl.core.plan.placement`).
    goals: Mapping[str, str | None] = field(default_factory=dict)
    #: Why nodes do not count, and why groups are placed nowhere.
    holds: tuple[Hold, ...] = ()

    @cached_property
    def hook_files(self) -> Mapping[str, tuple[HookFile, ...]]:
        """The node hook's files by node; none where there is nothing to move but addresses."""
        cluster = self.view.cluster
        return {node: hook_files(cluster, node) if hooked_groups(cluster, node) else () for node in self.view.nodes}

    def standby_first(self, group: GroupSpec) -> tuple[str, ...]:
        """The group's nodes, the active one last; by least preference when nobody is known to be active."""
        order = list(reversed(group.preferred))
        active = self.active.get(group.name)
        if active in order:
            order.remove(active)
            order.append(active)
        return tuple(order)


def set_scene(
    cluster: Cluster,
    snapshot: Snapshot,
    now: float,
    overrides: Overrides | None = None,
    failing: Mapping[StepKey, str] | None = None,
) -> Scene:
    """What may be relied on at `now`, monotonic seconds; what may not becomes holds. No group is placed yet."""
    view = View.to_act_on(cluster, snapshot, now)
    holds = tuple(
        Hold(silence.hold, f"{node}: {silence.message}", node, node, silence.remedy, silence.passing)
        for node, silence in view.silent.items()
    )
    return Scene(view, overrides or Overrides(), failing or {}, holds=holds)
