"""A secondary that nobody is connected to: waited for and said, although its primary has not noticed yet.

A primary hears of a peer that lost its power, or of a cut, only when it sends something (docs/freebsd-facts.md#2.5,
#2.7).
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hactl.core.evidence.view import View
from hactl.core.facts import HastRole
from hactl.core.plan import make_plan
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Plan
from support.facts.builder import NOW, Scene, healthy_pair
from support.lab.closed_loop import Loop
from support.lab.converged import converged

WALL = datetime(2026, 11, 24, tzinfo=UTC)


def plan_of(scene: Scene) -> Plan:
    """The plan."""
    return make_plan(scene.cluster, scene.snapshot, NOW)


def alone() -> Scene:
    """nas-b has no worker; nas-a believes that all is well."""
    return healthy_pair().resource("nas-b", status=None, workerpid=None)


def storage_healthy(scene: Scene) -> tuple[str, str, str]:
    """StorageHealthy: status, reason, message."""
    status = cluster_status(View.at(scene.cluster, scene.snapshot, NOW), plan_of(scene), Origin("test"), wall=WALL)
    return next((c["status"], c["reason"], c["message"]) for c in status["conditions"] if c["type"] == "StorageHealthy")


def test_it_is_waited_for() -> None:
    """A passing hold, once: nothing is done, and nothing is settled."""
    plan = plan_of(alone())
    assert plan.stages == ()
    assert [(hold.reason, hold.passing) for hold in plan.holds] == [("Reconnecting", True)]
    assert "nas-b has no connection from nas-a, which has not noticed yet" in plan.holds[0].message


def test_storage_is_degraded_whoever_says_it() -> None:
    """The secondary's word is enough."""
    status, reason, message = storage_healthy(alone())
    assert (status, reason) == ("False", "Degraded")
    assert "nas-b" in message
    assert storage_healthy(healthy_pair())[:2] == ("True", "Complete")


def test_a_pair_that_is_connected_waits_for_nothing() -> None:
    """Both have their workers."""
    assert plan_of(healthy_pair()).holds == ()


@pytest.mark.parametrize(
    "scene",
    [
        healthy_pair().silent("nas-b"),
        healthy_pair().unknown("nas-b", "resources"),
        alone().resource("nas-b", role=HastRole.INIT),
    ],
    ids=["off", "role not known", "no role"],
)
def test_nobody_waits_for_a_peer_that_could_not_connect(scene: Scene) -> None:
    """It is off, or something has to be done first: time alone brings nothing."""
    assert [hold.reason for hold in plan_of(scene).holds if hold.passing] == []


# --- on the lab ---------------------------------------------------------------------------------------------------


def unsettled(loop: Loop, seconds: int) -> tuple[int, list[int]]:
    """Look every second: when redundancy was back, and the seconds before in which nothing was done or waited for."""
    idle: list[int] = []
    for second in range(seconds):
        plan = loop.plan()
        if loop.machine("nas-b").hast.resources["data"].worker is not None and not plan.stages and not plan.holds:
            return second, idle
        if plan.stages:
            loop.stage(plan.stages[0])
        elif not any(hold.passing for hold in plan.holds) and loop.reaches("nas-b"):
            idle.append(second)
        loop.world.advance(1.0)
    raise AssertionError(f"never: {loop.plan()}")


@pytest.mark.parametrize("seconds", [25.0, 70.0])
def test_after_a_cut_there_is_no_second_that_looks_settled(seconds: float) -> None:
    """The secondary gives up 20 s after the cut; the primary tries again when it has noticed."""
    loop = converged("nas")
    loop.world.advance(30.0)
    loop.world.cut("nas-b", "vtnet2")
    loop.world.advance(seconds)
    loop.world.join("nas-b", "vtnet2")
    back, idle = unsettled(loop, 90)
    assert idle == []
    assert back > 5


def test_after_a_standby_lost_its_power_neither() -> None:
    """It boots with no connection, and the primary believes that all is well for half a minute."""
    loop = converged("nas")
    loop.world.advance(30.0)
    loop.world.power_off("nas-b")
    loop.world.advance(5.0)
    loop.world.power_on("nas-b")
    while not loop.reaches("nas-b"):
        loop.world.advance(1.0)
    assert unsettled(loop, 120)[1] == []


def test_a_peer_that_stays_off_is_not_waited_for() -> None:
    """`converge` comes to its end, and says who is silent."""
    loop = converged("nas")
    loop.world.advance(30.0)
    loop.world.power_off("nas-b")
    loop.world.advance(60.0)
    loop.converge()
    holds = loop.plan().holds
    assert [hold.reason for hold in holds] == ["NodeSilent"]
