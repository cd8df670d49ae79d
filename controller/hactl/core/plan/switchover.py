"""Operations on a group, judged by the facts: done, failed, or still under way.

Rules: a move is done when the other node is primary for everything, has it in use, runs the services and is MASTER of
every address, seen from all its nodes; it has failed when a step of it failed or nothing can bring it about any more.
Nothing here remembers how far a move is: the facts do.
"""

from __future__ import annotations

from collections.abc import Mapping

from hactl.core.changes.hast import HAST_CONF
from hactl.core.choices import RunOn
from hactl.core.cluster import Cluster, targets_of
from hactl.core.evidence.view import ServiceState, View
from hactl.core.facts import HastRole, Snapshot, Unknown
from hactl.core.objects import GroupSpec
from hactl.core.operations import Kind, Operation, State
from hactl.core.plan.adopted import addresses, devd_rules, hast_settings
from hactl.core.plan.areas.handover import obstacles_of
from hactl.core.plan.placement import place
from hactl.core.plan.resolve import judge_resolution
from hactl.core.plan.scene import Scene, set_scene
from hactl.core.plan.serving import serves_fully
from hactl.core.steps import Plan, StepKey
from hactl.core.verbs import VERBS


def group_of(cluster: Cluster, name: str) -> GroupSpec | None:
    """The group of that name."""
    return next((group for group in cluster.groups if group.name == name), None)


def refusal(group: GroupSpec, node: str) -> str:
    """Why a move to that node is not accepted whatever the facts are; empty: it may be tried."""
    if node not in group.preferred:
        return f"{group.name} has no node {node}; it has {', '.join(group.preferred)}"
    if group.failback.value == "WhenReady" and node != group.preferred[0]:
        return (
            f"{group.name} has failback: WhenReady, so it would come back from {node} at once; "
            f"use: hactl drain {group.preferred[0]}"
        )
    if any(vip.advskews is not None for vip in group.virtual_ips):
        return f"the document's advskews keep the addresses of {group.name} where they are; change them there"
    if not group.virtual_ips:
        return f"{group.name} has no virtual IP that could move"
    return ""


def pre_checks(cluster: Cluster, snapshot: Snapshot, now: float, group: GroupSpec, node: str) -> list[tuple[str, bool]]:
    """Why the group could not move to that node right now: sentence, and whether time alone clears it."""
    scene = place(set_scene(cluster, snapshot, now))
    active = scene.active.get(group.name)
    if active is None:
        return [(f"nobody is known to serve {group.name}", False)]
    if active == node or active not in scene.view.facts:
        return []
    return list(obstacles_of(scene, group, active, node))


def judge(
    operation: Operation, cluster: Cluster, snapshot: Snapshot, plan: Plan, failing: Mapping[StepKey, str], now: float
) -> tuple[State, str] | None:
    """Whether an operation is over, and how, for people; None: it is under way (or never ends by itself, as a drain).

    `failing`: steps that failed a short while ago; `now`: monotonic seconds.
    """
    if operation.kind is Kind.APPROVE:
        return (State.DONE, "nothing is left to do") if not plan.stages else None
    if operation.kind is Kind.GIVE_UP:
        return _given_up(operation, cluster, snapshot, now)
    if operation.kind is Kind.RESOLVE:
        return judge_resolution(cluster, snapshot, operation, now)
    if operation.kind is not Kind.SWITCHOVER:
        return None
    group = group_of(cluster, operation.group)
    if group is None:
        return State.FAILED, f"the document has no group {operation.group} any more"
    why = refusal(group, operation.node)
    if why:
        return State.FAILED, why
    if arrived(cluster, snapshot, now, group, operation.node):
        return State.DONE, f"{group.name} is served by {operation.node}"
    return _failed(group, failing)


def _given_up(operation: Operation, cluster: Cluster, snapshot: Snapshot, now: float) -> tuple[State, str] | None:
    scene, setting = set_scene(cluster, snapshot, now), operation.detail.get("setting", "")
    facts = scene.view.facts.get(operation.node)
    file = facts.files.get(HAST_CONF) if facts is not None else None
    if facts is None or isinstance(facts.boot, Unknown) or isinstance(file, Unknown) or isinstance(facts.hook, Unknown):
        return None
    ask = (hast_settings, devd_rules, addresses)
    there = {each.name for settings in ask for each in settings(scene, operation.node)}
    return (State.DONE, f"{operation.node} goes by the document") if setting not in there else None


def _failed(group: GroupSpec, failing: Mapping[StepKey, str]) -> tuple[State, str] | None:
    targets = targets_of(group)
    for key, what in failing.items():
        if VERBS[key.verb].moves and key.target in targets and key.node in group.preferred:
            return State.FAILED, f"{key}: {what}"
    return None


def arrived(cluster: Cluster, snapshot: Snapshot, now: float, group: GroupSpec, node: str) -> bool:
    """Whether that node serves the whole group, as seen from every node that has a say."""
    scene = place(set_scene(cluster, snapshot, now))
    if scene.active.get(group.name) != node or node not in scene.view.facts:
        return False
    view = View.at(cluster, snapshot, now)
    if any(view.masters(vip) != [node] for vip in group.virtual_ips):
        return False
    if any(scene.view.role(storage.name, node) is not HastRole.PRIMARY for storage in group.storage):
        return False
    return serves_fully(scene, group) and _runs(scene, group, node)


def _runs(scene: Scene, group: GroupSpec, node: str) -> bool:
    services = [spec.name for spec in group.services if spec.run_on is RunOn.ACTIVE]
    return all(scene.view.service(name, node) is ServiceState.RUNNING for name in services)
