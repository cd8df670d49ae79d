"""What the seeded episodes found where two troubles meet: a hung hastd, two primaries, a primary's failing disk."""

from __future__ import annotations

from hactl.core.facts import CarpState, HastRole
from support.facts.builder import Scene, healthy_pair, nas_cluster
from support.facts.planned import plan_of


def changed(scene: Scene) -> Scene:
    """The document wants another hast.conf than the nodes have."""
    return scene.wants(nas_cluster({"spec.groups.0.storage.0.hast.timeoutSeconds": 33}, generation=2))


def test_the_file_of_a_hung_hastd_waits() -> None:
    """It may be primary and its peer was not changed yet (I5); what differs would be there when it answers again."""
    plan = plan_of(changed(healthy_pair()).unknown("nas-a", "resources"))
    assert [str(step.key) for step in plan.steps if step.node == "nas-a"] == []
    assert "HastdSilent" in {hold.reason for hold in plan.holds}


def test_of_two_primaries_neither_counts_as_a_standby() -> None:
    """Nobody knows where the group is active: both serve, so neither is changed before the other has proved it."""
    scene = changed(healthy_pair()).resource("nas-b", role=HastRole.PRIMARY).vhid("nas-b", state=CarpState.MASTER)
    plan = plan_of(scene)
    assert "DualPrimary" in {hold.reason for hold in plan.holds}
    assert {step.node for step in plan.steps if step.verb == "WriteHastConf"} <= {"nas-b"}


def test_a_copy_is_not_confirmed_by_a_primary_whose_disk_fails() -> None:
    """hastd calls both copies complete although what it reads may be old: a person has to decide (I4)."""
    scene = healthy_pair().hook("nas-b", confirmed={}).resource("nas-a", local_errors=3)
    plan = plan_of(scene)
    assert not [step for step in plan.steps if step.verb == "ConfirmCopy"]
    [hold] = [hold for hold in plan.holds if hold.reason == "DiskErrors"]
    assert not hold.passing
    assert hold.node == "nas-a"
    assert "nas-a" in hold.remedy
