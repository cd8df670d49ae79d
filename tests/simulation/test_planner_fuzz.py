"""The planner and the audit over random scenes: they never disagree, never crash, and every plan comes to an end.

A scene is a hand-built cluster with up to four random changes: drift, faults, readings that
are Unknown, other documents. `HACTL_SEEDS=N` plays 50 N scenes; a failure names its seed, and
`HACTL_SEED=S pytest tests/simulation/test_planner_fuzz.py` plays that one alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hactl.core.audit.check import audit
from hactl.core.facts import CarpState, Hastd, HastRole, Mount, NoMetadata, Pool, Unknown
from hactl.core.plan import STAGE_LIMIT, make_plan
from hactl.core.steps import Plan
from support.facts.builder import (
    MEDIASIZE,
    Scene,
    blank_pair,
    edge_cluster,
    edge_pair,
    fresh_primary,
    healthy_pair,
    nas_cluster,
    rebooted_pair,
    zfs_cluster,
    zfs_pair,
)
from support.facts.planned import foretold

#: Scenes per test when HACTL_SEEDS is not set: about ten seconds in all.
SCENES = 400
CHUNKS = 8

Change = Callable[[Scene, str, random.Random], Scene]

NAS_BASES: tuple[Callable[[], Scene], ...] = (
    healthy_pair,
    lambda: healthy_pair("nas-b"),
    blank_pair,
    rebooted_pair,
    fresh_primary,
    zfs_pair,
    lambda: blank_pair().wants(zfs_cluster()),
)
NAS_EDITS: tuple[dict[str, Any], ...] = (
    {"spec.groups.0.virtualIPs.0.advbase": 2},
    {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.81/24"]},
    {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.81/24"]},
    {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/32"]},
    {"spec.groups.0.virtualIPs.0.advskews": {"nas-a": 10, "nas-b": 20}},
    {"spec.groups.0.storage.0.hast.timeoutSeconds": 10},
    {"spec.groups.0.storage.0.hast.initialize": "Never"},
    {"spec.groups.0.storage.0.hast.replication": "fullsync"},
    {"spec.groups.0.storage.0.hast.devices": {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd1"}},
    {"spec.groups.0.storage.0.filesystem.ufs.mountpoint": "/srv"},
    {"spec.groups.0.storage.0.filesystem.ufs.options": []},
    {"spec.groups.0.failback": "WhenReady"},
    {"spec.groups.0.services.0.runOn": "All"},
    {"spec.groups.0.services": []},
    {"spec.carp": {"preempt": False}},
)
EDGE_EDITS: tuple[dict[str, Any], ...] = (
    {"spec.groups.0.virtualIPs.1.advbase": 3},
    {"spec.groups.0.virtualIPs.1.addresses": ["192.0.2.1/24"]},
    {"spec.groups.0.preferred": ["fw-2", "fw-1"]},
    {"spec.carp": {"preempt": False}},
)
FIELDS = [
    "mounts",
    "resources",
    "hastd",
    "interfaces",
    "boot",
    "services",
    "files",
    "metadata",
    "devices",
    "hast_devices",
    "modules",
    "carp_sysctls",
    "system",
    "pools",
    "demotions",
]


def _wants(scene: Scene, node: str, chance: random.Random) -> Scene:
    return scene.wants(nas_cluster(chance.choice(NAS_EDITS)))


def _unknown(scene: Scene, node: str, chance: random.Random) -> Scene:
    return scene.unknown(node, chance.choice(FIELDS))


def _unloaded(scene: Scene, node: str, chance: random.Random) -> Scene:
    return scene.node(node, modules={"carp": False}, carp_sysctls={})


#: What can happen to any node.
ANYWHERE: tuple[Change, ...] = (
    _unknown,
    _unloaded,
    lambda s, n, r: s.silent(n),
    lambda s, n, r: s.aged(r.choice([10, 20, 40]), n),
    lambda s, n, r: s.sysctl(n, preempt=0),
    lambda s, n, r: s.sysctl(n, allow=0),
    lambda s, n, r: s.sysctl(n, demotion=240),
    lambda s, n, r: s.sysctl(n, demotion=240).node(n, demotions=((240, 240, r.choice(["sysctl", "interface down"])),)),
    lambda s, n, r: s.rc(n, kld_list=None),
    lambda s, n, r: s.boot(n, aliases=()),
    lambda s, n, r: s.boot(n, sysctl_conf={}),
    lambda s, n, r: s.boot(n, aliases=tuple(replace(a, advskew=7) for a in s.known(n, "boot").aliases)),
    lambda s, n, r: s.boot(n, aliases=tuple(replace(a, file="/etc/rc.conf") for a in s.known(n, "boot").aliases)),
    lambda s, n, r: s.file(n, "/etc/rc.conf.d/netif", mode=0o644),
    lambda s, n, r: s.system(n, securelevel=1),
    lambda s, n, r: s.system(n, hostname="other"),
)
NAS_CHANGES: tuple[Change, ...] = (
    *ANYWHERE,
    _wants,
    lambda s, n, r: s.vhid(n, advskew=r.choice([0, 50, 200])),
    lambda s, n, r: s.vhid(n, key=r.choice(["x", None])),
    lambda s, n, r: s.vhid(n, advbase=3),
    lambda s, n, r: s.vhid(n, state=r.choice(list(CarpState))),
    lambda s, n, r: s.vhid(n, peer="192.0.2.99"),
    lambda s, n, r: s.without_vhid(n),
    lambda s, n, r: s.address(n, "192.0.2.81/24", 80),
    lambda s, n, r: s.address(n, "192.0.2.90/24", 9),
    lambda s, n, r: s.without_vhid(n).address(n, "192.0.2.81/24", 80),
    lambda s, n, r: s.without_vhid(n).address(n, "192.0.2.80/24", r.choice([9, None])),
    lambda s, n, r: s.interface(n, status="no carrier"),
    lambda s, n, r: s.node(n, interfaces={}),
    lambda s, n, r: s.resource(n, role=r.choice(list(HastRole))),
    lambda s, n, r: s.resource(n, status=r.choice(["degraded", None])),
    lambda s, n, r: s.resource(n, dirty=10**9),
    lambda s, n, r: s.resource(n, localpath="/dev/vtbd2"),
    lambda s, n, r: s.resource(n, replication="async"),
    lambda s, n, r: s.metadata(n, localcnt=r.choice([0, 1, 2]), remotecnt=r.choice([0, 1])),
    lambda s, n, r: s.metadata(n, resuid=r.choice([0, 5])),
    lambda s, n, r: s.metadata(n, value=r.choice([*NoMetadata, Unknown("x", 0)])),
    lambda s, n, r: s.device(n, blank=r.choice([True, False, None])),
    lambda s, n, r: s.device(n, used_by=r.choice([(), ("swap",)])),
    lambda s, n, r: s.device(n, exists=False),
    lambda s, n, r: s.device(n, use_known=False),
    lambda s, n, r: s.device(n, mediasize=2 * MEDIASIZE),
    lambda s, n, r: s.hast_device(n, exists=r.choice([True, False]), blank=r.choice([True, False, None])),
    lambda s, n, r: s.hast_device(n, used_by=()),
    lambda s, n, r: s.unmounted(n),
    lambda s, n, r: s.node(n, mounts=(*s.known(n, "mounts"), Mount("/dev/vtbd7", "/data", "ufs", frozenset()))),
    lambda s, n, r: s.node(n, pools={"tank": Pool("tank", r.choice(["ONLINE", "FAULTED"]))}),
    lambda s, n, r: s.service(n, running=r.choice([True, False]), enabled=r.choice([True, False])),
    lambda s, n, r: s.service(n, exists=False),
    lambda s, n, r: s.rc(n, hastd_enable="NO"),
    lambda s, n, r: s.file(n, text="resource x {}\n"),
    lambda s, n, r: s.file(n, text=s.cluster.document.metadata.name),
    lambda s, n, r: s.file(n, exists=False, text=None),
    lambda s, n, r: s.node(n, hastd=Hastd(False), resources={}),
    lambda s, n, r: s.node(n, resources={}),
)
WIRES = {"fw-1": ("ix0", "ix1"), "fw-2": ("igb0", "igb1")}
EDGE_CHANGES: tuple[Change, ...] = (
    *ANYWHERE,
    lambda s, n, r: s.wants(edge_cluster(r.choice(EDGE_EDITS))),
    lambda s, n, r: s.vhid(n, 10, interface=WIRES[n][0], advskew=r.choice([0, 50, 200])),
    lambda s, n, r: s.vhid(n, 10, interface=WIRES[n][0], key=r.choice(["x", None])),
    lambda s, n, r: s.vhid(n, 20, interface=WIRES[n][1], state=r.choice(list(CarpState))),
    lambda s, n, r: s.vhid(n, 20, interface=WIRES[n][1], advbase=2),
    lambda s, n, r: s.without_vhid(n, 20, interface=WIRES[n][1]),
    lambda s, n, r: s.without_vhid(n, 10, interface=WIRES[n][0]).address(
        n, "198.51.100.9/24", 10, interface=WIRES[n][0]
    ),
    lambda s, n, r: s.address(n, "192.0.2.9/24", 20, interface=WIRES[n][1]),
    lambda s, n, r: s.address(n, "2001:db8:1::9/64", 20, interface=WIRES[n][1]),
    lambda s, n, r: s.interface(n, WIRES[n][0], status="no carrier"),
)  # fmt: skip


def scene_of(seed: int) -> Scene:
    """A random scene; the same seed gives the same."""
    chance = random.Random(seed)
    storage = chance.random() < 0.8
    scene = chance.choice(NAS_BASES)() if storage else edge_pair(chance.choice(["fw-1", "fw-2"]))
    for _ in range(chance.randint(1, 4)):
        node = chance.choice([spec.name for spec in scene.cluster.nodes])
        change = chance.choice(NAS_CHANGES if storage else EDGE_CHANGES)
        try:
            scene = change(scene, node, chance)
        except (AssertionError, KeyError, TypeError):
            continue  # there is nothing to change: the node is silent, the reading is Unknown or absent
    return scene


def plan_of(scene: Scene, later_seconds: float = 0.0) -> Plan:
    """The plan of a scene."""
    return make_plan(scene.cluster, scene.snapshot, scene.now + later_seconds)


def judge(scene: Scene) -> None:
    """Everything that holds for any plan."""
    plan = plan_of(scene)
    assert audit(scene.cluster, scene.snapshot, plan, scene.now) == ()
    assert len(plan.stages) < STAGE_LIMIT
    for stage in plan.stages:
        keys = [step.key for step in stage.steps]
        assert len(keys) == len(set(keys)), f"a step twice in one stage: {keys}"
    assert plan_of(scene).digest == plan.digest
    snapshot = scene.snapshot
    for number, stage in enumerate(plan.stages, start=1):
        snapshot = foretold(scene.cluster, snapshot, stage)
        rest = make_plan(scene.cluster, snapshot, scene.now)
        assert audit(scene.cluster, snapshot, rest, scene.now) == (), f"after stage {number}"
        assert rest.stages == plan.stages[number:]
    # A step that fails makes holds, not other steps.
    for step in plan.stages[0].steps if plan.stages else ():
        without = make_plan(scene.cluster, scene.snapshot, scene.now, failing={step.key: "it failed"})
        assert audit(scene.cluster, scene.snapshot, without, scene.now) == (), f"without {step.key}"
        assert step.key not in {other.key for other in without.steps}


def seeds(chunk: int) -> list[int]:
    """The seeds of one part."""
    if "HACTL_SEED" in os.environ:
        return [int(os.environ["HACTL_SEED"])] if chunk == 0 else []
    count = 50 * int(os.environ["HACTL_SEEDS"]) if "HACTL_SEEDS" in os.environ else SCENES
    return list(range(chunk, count, CHUNKS))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_planner_and_audit_agree(chunk: int) -> None:
    """Over random scenes, at every stage of every plan."""
    for seed in seeds(chunk):
        scene = scene_of(seed)
        try:
            judge(scene)
        except Exception as problem:
            raise AssertionError(f"HACTL_SEED={seed}: {problem}") from problem
