"""One pool over several resources: made once, imported once, exported first; what differs is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hactl.core.facts import HastRole, Pool
from hactl.core.operations import Overrides
from support.facts.builder import Scene, nas_cluster
from support.facts.planned import first, held, holds, looks, plan_of
from support.facts.pools import DISKS, POOL, pool_document, pool_pair, with_pool, without_pool

IMPORT = f"zpool import -f -d /dev/hast -o cachefile=none {POOL}"


def empty(scene: Scene, *names: str) -> Scene:
    """Nothing is on these devices of nas-a, and they can be read to the end."""
    for name in names:
        scene = scene.hast_device("nas-a", name, blank=True)
    return scene


def test_a_pool_as_the_document_says_needs_nothing() -> None:
    """Whatever the layout is, where the document says none; and what stands on a partition of a device."""
    assert not plan_of(pool_pair(*DISKS)).stages
    pool = Pool(POOL, "ONLINE", devices=("/dev/hast/disk1p1", "/dev/hast/disk2.eli", "/dev/hast/disk3"))
    for layout in ("", "mirror", "raidz1"):
        plan = plan_of(with_pool(pool_pair(*DISKS), replace(pool, layout=layout)))
        assert (plan.stages, plan.holds) == ((), ())


@pytest.mark.parametrize(
    ("layout", "words"), [("", ""), ("Mirror", "mirror "), ("Raidz1", "raidz1 "), ("Raidz2", "raidz2 ")]
)
def test_a_pool_is_made_once_of_all_its_devices_in_their_order(layout: str, words: str) -> None:
    """Each is looked at again on the node: primary, there, and blank."""
    scene = without_pool(pool_pair(*DISKS, layout=layout))
    steps = [step for step in plan_of(empty(scene, *DISKS)).steps if "zpool" in step.command]
    devices = " ".join(f"/dev/hast/{name}" for name in DISKS)
    assert [step.command for step in steps] == [f"zpool create -o cachefile=none -m /data {POOL} {words}{devices}"]
    for name in DISKS:
        for look in (
            f"{name} is primary here",
            f"/dev/hast/{name} exists",
            f"the first and last MiB of /dev/hast/{name} are all zero",
        ):
            assert any(look in said for said in looks(steps[0])), look


def test_it_is_not_made_of_a_device_that_may_hold_something() -> None:
    """One that the document does not let hactl initialise, one whose copies were in use, one that cannot be read."""
    scene = empty(without_pool(pool_pair(*DISKS)), *DISKS)
    document = pool_document(*DISKS)
    document[1]["hast"]["initialize"] = "Never"
    for reason, doubtful in (
        ("NotInitialised", scene.wants(nas_cluster({"spec.groups.0.storage": document}))),
        ("NotJustCreated", scene.metadata("nas-b", "disk2", localcnt=4)),
        ("FactsUnknown", scene.hast_device("nas-a", "disk2", blank=None)),
    ):
        plan = plan_of(doubtful)
        assert not [step for step in plan.steps if "zpool" in step.command]
        assert held(plan, reason).target == "disk2"


def test_it_is_imported_once_with_all_of_its_devices() -> None:
    """Not with a part, though ZFS would take a mirror of one."""
    scene = without_pool(pool_pair("disk1", "disk2", layout="Mirror"))
    for name in ("disk1", "disk2"):
        scene = scene.hast_device("nas-a", name, blank=False)
    assert [step.command for step in plan_of(scene).steps if "zpool" in step.command] == [IMPORT]
    plan = plan_of(scene.hast_device("nas-a", "disk2", exists=False))
    assert "zpool" not in " ".join(step.command for step in plan.steps)
    message = held(plan, "DeviceNotReady").message
    assert message.startswith("storage: /dev/hast/disk2 is not there yet on nas-a: a pool is created and imported with")


def test_it_is_not_imported_beside_a_node_that_tells_no_role() -> None:
    """It may be primary for one of the resources too (I1)."""
    scene = without_pool(pool_pair("disk1", "disk2"))
    for name in ("disk1", "disk2"):
        scene = scene.hast_device("nas-a", name, blank=False)
    plan = plan_of(scene.unknown("nas-b", "resources"))
    assert "zpool" not in " ".join(step.command for step in plan.steps)
    assert holds(plan, "RoleUnknown")


def test_what_cannot_be_imported_is_told() -> None:
    """ZFS lacks a device of it that the document does not name; or a part of the devices holds nothing."""
    scene = without_pool(pool_pair(*DISKS))
    for name in DISKS:
        scene = scene.hast_device("nas-a", name, blank=False)
    plan = plan_of(with_pool(scene, Pool(POOL, "UNAVAIL", imported=False)))
    assert held(plan, "PoolSick").message.startswith("nas-a cannot import storage: it is UNAVAIL")
    half = empty(scene, "disk3")
    assert held(plan_of(half), "PoolDiffers").message == (
        "storage: on nas-a disk3 holds nothing and the rest does, and nobody finds the pool there"
    )
    # A resource that a person is going to add: the pool is offered without it, and goes on serving.
    offered = plan_of(with_pool(half, Pool(POOL, "ONLINE", imported=False)))
    assert [step.command for step in offered.steps if "zpool" in step.command] == [IMPORT]


@pytest.mark.parametrize(
    ("there", "says", "remedy"),
    [
        (
            Pool(POOL, "ONLINE", devices=("/dev/hast/disk1", "/dev/hast/disk2")),
            "/dev/hast/disk3 is no part of it",
            "zpool add storage /dev/hast/disk3 on nas-a (for ever)",
        ),
        (
            Pool(POOL, "ONLINE", devices=("/dev/hast/disk1", "/dev/hast/disk2"), layout="mirror"),
            "/dev/hast/disk3 is no part of it",
            "zpool attach storage /dev/hast/disk1 /dev/hast/disk3 on nas-a",
        ),
        (
            Pool(POOL, "ONLINE", devices=("/dev/hast/disk1", "/dev/hast/disk2"), layout="raidz1"),
            "/dev/hast/disk3 is no part of it",
            "let the document name storage only where it stands (not at /dev/hast/disk3)",
        ),
        (
            Pool(POOL, "ONLINE", devices=("/dev/hast/disk1", "/dev/hast/disk2", "/dev/hast/disk3", "/dev/ada4")),
            "it stands on /dev/ada4 too",
            "zpool status storage on nas-a",
        ),
        (
            Pool(
                POOL, "ONLINE", devices=tuple(f"/dev/hast/{n}" for n in DISKS), besides=("/dev/ada5", "/dev/hast/log")
            ),
            "/dev/ada5 would stay behind, and it is not imported without",
            "zpool status storage on nas-a",
        ),
    ],
    ids=["stripe", "mirror", "raidz", "foreign", "besides"],
)
def test_a_pool_on_other_devices_is_told_with_what_a_person_does(there: Pool, says: str, remedy: str) -> None:
    """hactl adds and attaches nothing."""
    plan = plan_of(with_pool(pool_pair(*DISKS), there))
    assert not plan.stages
    hold = held(plan, "PoolDiffers")
    assert hold.message == f"storage on nas-a is not as the document says: {says}"
    assert remedy in hold.remedy


def test_another_layout_than_the_document_says_is_told() -> None:
    """Only where it says one."""
    there = Pool(POOL, "ONLINE", devices=("/dev/hast/disk1", "/dev/hast/disk2"))
    plan = plan_of(with_pool(pool_pair("disk1", "disk2", layout="Mirror"), there))
    assert "it is a stripe, not a mirror" in held(plan, "PoolDiffers").message


def test_it_is_exported_before_any_role_goes() -> None:
    """Once; and everything of every resource is on both disks by then."""
    steps = first(plan_of(pool_pair(*DISKS), Overrides(moves={"files": "nas-b"})))
    assert [step.command for step in steps][:5] == [
        "service nfsd onestop",
        f"zpool export {POOL}",
        "hastctl role secondary disk3",
        "hastctl role secondary disk2",
        "hastctl role secondary disk1",
    ]
    assert looks(steps[1])[2:] == [f"> everything of {name} is on both disks (15 s)" for name in DISKS]
    assert all(f"pool {POOL} is not imported" in looks(step) for step in steps[2:5])


def lost(scene: Scene, name: str) -> Scene:
    """Somebody took that role away under the pool."""
    return scene.resource("nas-a", name, role=HastRole.SECONDARY).hast_device("nas-a", name, exists=False, used_by=())


def test_a_mirror_that_works_without_a_device_is_left_to_serve() -> None:
    """Neither exported by force nor given the device back under it: a person does, and ZFS copies."""
    scene = lost(pool_pair("disk1", "disk2", layout="Mirror"), "disk2")
    pool = scene.known("nas-a", "pools")[POOL]
    plan = plan_of(with_pool(scene, replace(pool, health="DEGRADED")))
    assert not [step for step in plan.steps if step.verb in ("ExportPool", "StopService", "SetRole")]
    assert holds(plan, "PoolDegraded")[0].remedy == (
        "on nas-a: hastctl role primary disk2; zpool online storage /dev/hast/disk2"
    )


def test_a_stripe_that_lost_a_device_is_let_go_of_once() -> None:
    """It is suspended; services first."""
    scene = lost(pool_pair(*DISKS), "disk2")
    pool = scene.known("nas-a", "pools")[POOL]
    steps = plan_of(with_pool(scene, replace(pool, health="SUSPENDED"))).steps
    assert [step.command for step in steps if step.verb in ("StopService", "ExportPool")] == [
        "service nfsd onestop",
        f"zpool export -f {POOL}",
    ]
