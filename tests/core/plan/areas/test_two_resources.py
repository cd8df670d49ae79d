"""A group with two resources: they go together, and each needs evidence of its own. And two groups, each at home on
another node: none of the two is only a standby.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hactl.core.facts import Device, HastRole, Known, NoMetadata
from hactl.core.hastconf import render_hastconf
from hactl.simulate.serving import primaries
from support.documents import second_group
from support.facts.builder import Scene, healthy_pair, nas_cluster
from support.facts.planned import plan_of, reasons
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints

Tweak = Callable[[Scene], Scene]


def _two_resources() -> Scene:
    """The healthy pair with a second resource, `more`, on a disk of its own and without a filesystem."""
    devices = {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd2"}
    document: Any = healthy_pair().cluster.document.model_dump(mode="json", by_alias=True)
    (data,) = document["spec"]["groups"][0]["storage"]
    more = {"name": "more", "hast": {**data["hast"], "devices": devices}}
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage": [data, more]}))
    for node in ("nas-a", "nas-b"):
        facts = scene.facts(node)
        listed = scene.known(node, "resources")
        second = replace(listed["data"], name="more", provname="more", localpath="/dev/vtbd2")
        scene = scene.file(node, text=render_hastconf(scene.cluster, node)).node(
            node,
            resources={**listed, "more": second},
            metadata={**facts.metadata, "more": facts.metadata["data"]},
            devices={**facts.devices, "/dev/vtbd2": facts.devices["/dev/vtbd1"]},
            hast_devices={**facts.hast_devices, "more": facts.hast_devices["data"]},
        )
        scene = scene.hast_device(node, "more", used_by=())
        if scene.known(node, "hook").confirmed:
            scene = scene.hook(node, confirmed={"data": 1700000000, "more": 1700000000})
    return scene


def test_two_resources_of_one_group_in_order_are_nothing_to_do() -> None:
    """The scene of the next tests is a converged one."""
    assert plan_of(_two_resources()).stages == ()


def test_a_group_that_is_primary_on_two_nodes_is_active_on_none() -> None:
    """Each node has one of its resources: nobody is promoted, demoted, mounted or started."""
    scene = (
        _two_resources().resource("nas-a", "more", role=HastRole.SECONDARY).hast_device("nas-a", "more", exists=False)
    )
    scene = scene.resource("nas-b", "more", role=HastRole.PRIMARY).hast_device("nas-b", "more", exists=True)
    plan = plan_of(scene)
    assert plan.active == {"files": None}
    assert "StorageApart" in reasons(plan)
    assert not [
        str(step.key) for step in plan.steps if step.verb in ("SetRole", "Mount", "StartService", "StopService")
    ]


def _all_init(scene: Scene) -> Scene:
    """Both nodes rebooted."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        for name in ("data", "more"):
            scene = scene.resource(node, name, role=HastRole.INIT).hast_device(node, name, exists=False, used_by=())
    return scene


def test_a_group_whose_newest_copies_are_on_two_nodes_is_active_on_none() -> None:
    """Wherever it went, one resource would be the older copy (I4)."""
    scene = _all_init(_two_resources()).metadata("nas-a", "data", localcnt=1).metadata("nas-b", "more", localcnt=1)
    plan = plan_of(scene)
    assert plan.active == {"files": None}
    assert "StorageApart" in reasons(plan)
    assert not [str(step.key) for step in plan.steps if "primary" in step.command and step.verb == "SetRole"]


@pytest.mark.parametrize(
    ("tweak", "reason"),
    [
        (lambda s: s.metadata("nas-b", "more", localcnt=1), "StorageApart"),
        (lambda s: s.metadata("nas-a", "more", localcnt=1).metadata("nas-b", "more", localcnt=1), "SplitBrain"),
        (lambda s: s.metadata("nas-b", "more", resuid=5), "ForeignCopy"),
        (lambda s: s.silent("nas-b"), "PeerSilent"),
        (lambda s: s.unknown("nas-b", "resources"), "RoleUnknown"),
        (lambda s: s.aged(24, "nas-b"), "StaleFacts"),
    ],
    ids=["newer elsewhere", "split", "foreign", "silent", "role not told", "old word"],
)
def test_a_resource_does_not_follow_its_group_without_evidence_of_its_own(tweak: Tweak, reason: str) -> None:
    """`data` is primary on nas-a, nobody is for `more`: it does not say whose copy is newer (I1, I4)."""
    scene = _two_resources().resource("nas-a", "more", role=HastRole.INIT).hast_device("nas-a", "more", exists=False)
    assert "nas-a SetRole more" in [str(step.key) for step in plan_of(scene).steps]
    plan = plan_of(tweak(scene))
    assert "nas-a SetRole more" not in [str(step.key) for step in plan.steps]
    assert reason in reasons(plan)


def test_nothing_is_created_that_hastctl_would_not_know() -> None:
    """The new resource is on blank disks, and the file that names it cannot be taken over yet."""
    scene = _two_resources()
    old, blank = healthy_pair(), Device("", exists=True, mediasize=268435456, sectorsize=512, blank=True)
    for node in ("nas-a", "nas-b"):
        facts = scene.facts(node)
        scene = scene.file(node, text=render_hastconf(old.cluster, node)).node(
            node,
            resources={"data": scene.known(node, "resources")["data"]},
            metadata={**facts.metadata, "more": Known(NoMetadata.ABSENT, facts.seen_at)},
            devices={**facts.devices, "/dev/vtbd2": Known(replace(blank, path="/dev/vtbd2"), facts.seen_at)},
            hast_devices={**facts.hast_devices, "more": Known(Device("/dev/hast/more", exists=False), facts.seen_at)},
        )
    assert {"WriteHastConf", "CreateMetadata"} <= {step.verb for step in plan_of(scene).steps}
    held = plan_of(scene, failing="nas-b WriteHastConf /etc/hast.conf")
    assert not [str(step.key) for step in held.steps if step.verb == "CreateMetadata"]


def _without_more(data: dict[str, Any]) -> None:
    second_group(data, more=False)


@pytest.mark.parametrize("before", [None, _without_more], ids=["one group serves", "both serve"])
def test_resources_come_to_nodes_that_both_serve(before: Callable[[dict[str, Any]], None] | None) -> None:
    """Seen on the real pair: each hastd waited for the other to take the new file first, for ever."""
    whole = example("nas", second_group)
    loop = Loop(whole)
    loop.document = example("nas", before)
    loop.converge()
    loop.document, loop.generation = whole, 2
    loop.converge()
    assert complaints(loop) == []
    assert [primaries(loop, name) for name in ("data", "data2", "data3")] == [["nas-a"], ["nas-a"], ["nas-b"]]
