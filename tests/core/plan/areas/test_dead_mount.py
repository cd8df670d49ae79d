"""A mount, or a pool, whose /dev/hast/NAME is gone: seen as dead at the first look, let go of before anything else.

hastd that dies takes its devices with it (docs/freebsd-facts.md#2.1); the row stays in mount(8)'s table until an access
fails (#2.8).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.core.evidence.view import View
from hactl.core.facts import Hastd, HastRole
from hactl.core.plan import make_plan
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Plan
from support.facts.builder import NOW, Scene, healthy_pair, zfs_pair
from support.facts.planned import key_of, plan_of
from support.lab.closed_loop import Loop
from support.lab.converged import converged
from support.lab.serving import complaints

WALL = datetime(2026, 11, 24, tzinfo=UTC)


def without_hastd(scene: Scene, node: str = "nas-a") -> Scene:
    """hastd of the node died, and /dev/hast/data went with its worker."""
    return scene.node(node, hastd=Hastd(running=False), resources={}).hast_device(node, exists=False)


def with_a_new_hastd(scene: Scene, node: str = "nas-a") -> Scene:
    """Somebody started it again: its roles are init."""
    return scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False)


def verbs(plan: Plan, stage: int | None = None) -> list[str]:
    """What is done, in order, without the notes of the node hook."""
    steps = plan.steps if stage is None else plan.stages[stage].steps
    return [step.verb for step in steps if step.verb != "ConfirmCopy"]


def status_of(scene: Scene) -> dict[str, Any]:
    """Status at the first look."""
    return cluster_status(View.at(scene.cluster, scene.snapshot, NOW), plan_of(scene), Origin("test"), wall=WALL)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    return next((c["status"], c["reason"]) for c in status["conditions"] if c["type"] == kind)


DIED = {"hastd died": without_hastd, "hastd is there again": with_a_new_hastd}


@pytest.mark.parametrize("died", DIED.values(), ids=DIED)
def test_services_stop_and_the_mount_goes_before_the_role_comes_back(died: Callable[[Scene], Scene]) -> None:
    """And then everything again, from hastd to the services."""
    plan = plan_of(died(healthy_pair()))
    done = verbs(plan)
    start = ["StartHastd"] if died is without_hastd else []
    again = ["SetRole", "CheckFilesystem", "Mount", "StartService"]
    assert done == ["StopService", "Unmount", *start, *again]
    unmount = next(step for step in plan.steps if step.verb == "Unmount")
    assert unmount.command == "umount -f /data"
    assert "/dev/hast/data does not exist" in [check.says for check in unmount.before]


@pytest.mark.parametrize("died", DIED.values(), ids=DIED)
def test_a_pool_is_exported_likewise(died: Callable[[Scene], Scene]) -> None:
    """A ZFS pool whose only provider went is never taken for one of the new device."""
    done = verbs(plan_of(died(zfs_pair())))
    assert done[:2] == ["StopService", "ExportPool"]
    assert done[-3:] == ["SetRole", "ImportPool", "StartService"]


@pytest.mark.parametrize("died", DIED.values(), ids=DIED)
def test_the_first_look_says_it(died: Callable[[Scene], Scene]) -> None:
    """The mount is Dead, not Mounted; StorageHealthy says why."""
    status = status_of(died(healthy_pair()))
    storage = status["groups"][0]["storage"][0]
    assert (storage["mounts"], storage["mountedOn"]) == ({"nas-a": "Dead", "nas-b": "NotMounted"}, [])
    assert condition(status, "StorageHealthy") == ("False", "MountDead")
    assert condition(status, "Ready")[0] == "False"


def test_nothing_is_taken_away_while_the_device_is_there() -> None:
    """I2: a worker killed by SIGKILL leaves its device, which the next worker takes over.

    See docs/freebsd-facts.md#2.1.
    """
    scene = without_hastd(healthy_pair()).hast_device("nas-a", exists=True)
    plan = plan_of(scene)
    assert not {"StopService", "Unmount", "SetRole"} & set(verbs(plan))
    assert "RoleUnknown" in [hold.reason for hold in plan.holds]
    assert status_of(scene)["groups"][0]["storage"][0]["mounts"]["nas-a"] == "Mounted"


def test_nothing_is_taken_away_while_nobody_could_look_for_the_device() -> None:
    """I2: not known to be gone is not gone."""
    scene = without_hastd(healthy_pair()).unknown("nas-a", "hast_devices")
    plan = plan_of(scene)
    assert not {"StopService", "Unmount", "SetRole"} & set(verbs(plan))


def test_a_dead_mount_that_does_not_go_keeps_the_role_away() -> None:
    """Promoted now, the new device would seem to be mounted."""
    scene = with_a_new_hastd(healthy_pair()).service("nas-a", running=False)
    failing = {key_of("nas-a Unmount /data"): "Device busy"}
    plan = make_plan(scene.cluster, scene.snapshot, NOW, failing=failing)
    assert plan.stages == ()
    assert "StepFailing" in [hold.reason for hold in plan.holds]


def test_the_peer_is_not_waited_for_to_let_go() -> None:
    """With nas-b off nothing is promoted, but services that only get errors are stopped and hastd is started."""
    plan = plan_of(without_hastd(healthy_pair()).silent("nas-b"))
    assert verbs(plan) == ["StopService", "Unmount", "StartHastd"]
    assert "PeerSilent" in [hold.reason for hold in plan.holds]


def test_a_primary_whose_device_is_not_there_is_not_ready() -> None:
    """A mount from before is no reason to start services on it."""
    scene = healthy_pair().hast_device("nas-a", exists=False).service("nas-a", running=False)
    plan = plan_of(scene)
    assert "StartService" not in verbs(plan)
    assert "DeviceNotReady" in [hold.reason for hold in plan.holds]


# --- on the lab ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True], ids=["hastd stays away", "somebody starts it again"])
def test_the_active_nodes_hastd_is_killed(restart: bool) -> None:
    """What was on the filesystem is there again, and it can be written: it is mounted from the new device."""
    loop = converged("nas")
    loop.sh("nas-a", "echo kept > /data/kept; sync")
    loop.world.advance(30.0)
    loop.sh("nas-a", f"pkill -9 hastd; {'service hastd onestart' if restart else ':'}")
    assert first_look(loop) == ("Dead", "MountDead")
    ran = loop.converge()
    assert ran[:2] == ["nas-a: service nfsd onestop", "nas-a: umount -f /data"]
    assert loop.sh("nas-a", "cat /data/kept") == "kept\n"
    assert loop.sh("nas-a", "echo more > /data/more && sync && sleep 40; cat /data/more") == "more\n"
    assert "/dev/hast/data on /data" in loop.sh("nas-a", "mount")
    assert complaints(loop) == []


def first_look(loop: Loop) -> tuple[str, str]:
    """State of nas-a's mount, and StorageHealthy's reason."""
    snapshot = loop.look()
    plan = make_plan(loop.cluster, snapshot, loop.now)
    status = cluster_status(View.at(loop.cluster, snapshot, loop.now), plan, Origin("test"), wall=WALL)
    return status["groups"][0]["storage"][0]["mounts"]["nas-a"], condition(status, "StorageHealthy")[1]
