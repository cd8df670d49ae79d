"""The planner's own plans under audit: what it plans is accepted, and a plan spoiled in one place is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import pytest

from hactl.core.audit.check import audit
from hactl.core.facts import HastMetadata, HastRole, Known, NoMetadata, Snapshot
from hactl.core.plan import make_plan
from hactl.core.steps import Plan, Stage, Step
from support.facts.builder import (
    Scene,
    blank_pair,
    edge_pair,
    fresh_primary,
    healthy_pair,
    nas_cluster,
    rebooted_pair,
    zfs_cluster,
    zfs_pair,
)
from support.facts.planned import foretold

_GROUP = "spec.groups.0"
_VIP = f"{_GROUP}.virtualIPs.0"
_HAST = f"{_GROUP}.storage.0.hast"


def _replaced_disk() -> Scene:
    scene = healthy_pair().resource("nas-a", status="degraded").resource("nas-b", role=HastRole.INIT)
    return scene.metadata("nas-b", value=NoMetadata.ABSENT).device("nas-b", blank=True, used_by=())


SCENES: dict[str, Scene] = {
    "healthy": healthy_pair(),
    "active on nas-b": healthy_pair("nas-b"),
    "blank": blank_pair(),
    "blank with a pool": blank_pair().wants(zfs_cluster()),
    "pool": zfs_pair(),
    "firewall": edge_pair(),
    "firewall on fw-2": edge_pair("fw-2"),
    "both rebooted": rebooted_pair(),
    "new primary": fresh_primary(),
    "replaced disk": _replaced_disk(),
    "advskew by hand": healthy_pair().vhid("nas-b", advskew=200),
    "password by hand, active": healthy_pair().vhid("nas-a", key="x"),
    "password by hand, standby": healthy_pair().vhid("nas-b", key="x"),
    "demoted by hand": healthy_pair().sysctl("nas-a", demotion=240).node("nas-a", demotions=((240, 240, "sysctl"),)),
    "standby silent": healthy_pair().silent("nas-b"),
    "active silent": healthy_pair().silent("nas-a"),
    "preempt off": healthy_pair().sysctl("nas-b", preempt=0),
    "service on the standby": healthy_pair().service("nas-b", running=True, enabled=True),
    "new address": healthy_pair().wants(nas_cluster({f"{_VIP}.addresses": ["192.0.2.80/24", "192.0.2.81/24"]})),
    "other prefix": healthy_pair().wants(nas_cluster({f"{_VIP}.addresses": ["192.0.2.80/32"]})),
    "new advbase": healthy_pair().wants(nas_cluster({f"{_VIP}.advbase": 2})),
    "new HAST timeout": healthy_pair().wants(nas_cluster({f"{_HAST}.timeoutSeconds": 10})),
    "new replication": healthy_pair().wants(nas_cluster({f"{_HAST}.replication": "fullsync"})),
    "no mount options": healthy_pair().wants(nas_cluster({f"{_GROUP}.storage.0.filesystem.ufs.options": []})),
    "boot variables": healthy_pair().rc("nas-a", hastd_enable="NO", kld_list=None),
    "no boot aliases": healthy_pair().boot("nas-a", aliases=(), sysctl_conf={}),
    "vhid gone": healthy_pair().without_vhid("nas-a"),
    "old copy on nas-a": rebooted_pair().metadata("nas-b", localcnt=1),
    "split-brain": rebooted_pair().metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1),
}


def _plan(scene: Scene) -> Plan:
    return make_plan(scene.cluster, scene.snapshot, scene.now)


@pytest.mark.parametrize("name", SCENES)
def test_what_the_planner_plans_is_safe(name: str) -> None:
    """Two opinions, written separately, agree."""
    scene = SCENES[name]
    assert audit(scene.cluster, scene.snapshot, _plan(scene), scene.now) == ()


def _as_seen(snapshot: Snapshot) -> Snapshot:
    """What a node really shows after a predicted stage: the blankness of a disk with metadata is not looked at."""
    nodes = {}
    for name, reading in snapshot.nodes.items():
        if isinstance(reading, Known):
            facts = reading.value
            copy = facts.metadata.get("data")
            if isinstance(copy, Known) and isinstance(copy.value, HastMetadata):
                devices = {
                    path: replace(device, value=replace(device.value, blank=None))
                    for path, device in facts.devices.items()
                    if isinstance(device, Known)
                }
                reading = replace(reading, value=replace(facts, devices={**facts.devices, **devices}))
        nodes[name] = reading
    return replace(snapshot, nodes=nodes)


def _cuts(stage: Stage) -> Iterator[tuple[Step, ...]]:
    """What may be done of a stage when it is cut: a prefix, or a prefix of each node's steps."""
    if stage.ordered:
        yield from (stage.steps[:count] for count in range(1, len(stage.steps) + 1))
        return
    of = {node: [s for s in stage.steps if s.node == node] for node in dict.fromkeys(s.node for s in stage.steps)}
    for counts in product(*(range(len(steps) + 1) for steps in of.values())):
        if any(counts):
            yield tuple(s for steps, count in zip(of.values(), counts, strict=True) for s in steps[:count])


@pytest.mark.parametrize("name", SCENES)
def test_cut_anywhere_and_planned_again_it_is_still_safe(name: str) -> None:
    """Every stage is cut after every step of every node; the plan made from there is accepted, to the end."""
    scene = SCENES[name]
    seen: set[str] = set()
    waiting = [scene.snapshot]
    while waiting:
        snapshot = _as_seen(waiting.pop())
        if repr(snapshot) in seen:
            continue
        seen.add(repr(snapshot))
        plan = make_plan(scene.cluster, snapshot, scene.now)
        assert audit(scene.cluster, snapshot, plan, scene.now) == ()
        for stage in plan.stages[:1]:
            waiting += [foretold(scene.cluster, snapshot, replace(stage, steps=cut)) for cut in _cuts(stage)]
        assert len(seen) < 1000


def _parallel(plan: Plan) -> Plan:
    """Everything at once."""
    steps = tuple(step for stage in plan.stages for step in stage.steps)
    return replace(plan, stages=(Stage("all at once", steps),))


def _backwards(plan: Plan) -> Plan:
    return replace(plan, stages=tuple(reversed(plan.stages)))


def _twice(plan: Plan) -> Plan:
    return replace(plan, stages=plan.stages + plan.stages)


def _swapped(plan: Plan) -> Plan:
    """The right steps on the wrong nodes."""
    other = {"nas-a": "nas-b", "nas-b": "nas-a"}
    return replace(
        plan,
        stages=tuple(
            replace(stage, steps=tuple(replace(s, node=other[s.node]) for s in stage.steps)) for stage in plan.stages
        ),
    )


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        (name, spoil)
        for name in ("blank", "blank with a pool", "both rebooted", "new primary")
        for spoil in (_parallel, _backwards, _twice, _swapped)
        # Where all that depends on order is on one node, a parallel stage keeps it.
        if spoil is not _parallel or name.startswith("blank")
    ],
)
def test_a_spoiled_plan_is_refused(name: str, spoil: Callable[[Plan], Plan]) -> None:
    """The same steps at once, backwards, twice or on each other's nodes are not safe."""
    scene = SCENES[name]
    spoiled = spoil(_plan(scene))
    assert audit(scene.cluster, scene.snapshot, spoiled, scene.now)


def test_old_facts_refuse_every_step() -> None:
    """A plan made a minute ago is not carried out."""
    scene = SCENES["blank"]
    plan = _plan(scene)
    found = audit(scene.cluster, scene.snapshot, plan, scene.now + 60)
    assert {line.split(": ")[1] for line in found if "I6" in line} == {str(step.key) for step in plan.steps}


def test_a_plan_of_another_generation_is_refused() -> None:
    """Plan and document belong together."""
    scene = SCENES["blank"]
    assert audit(scene.cluster, scene.snapshot, replace(_plan(scene), generation=7), scene.now)
