"""Moves that no time makes possible: a primary whose own disk fails (hastd counts the errors and calls both copies the
same all the same, FACTS 2.7), and copies that refuse each other.
"""

from __future__ import annotations

from hactl.core.operations import Overrides
from hactl.core.plan import make_plan
from support.facts.builder import NOW, healthy_pair


def test_a_move_away_from_a_sick_disk_is_nothing_to_wait_for() -> None:
    """hastd counts until its worker ends: no time makes it forget."""
    scene = healthy_pair().resource("nas-a", local_errors=1)
    plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=Overrides(moves={"files": "nas-b"}))
    (hold,) = [hold for hold in plan.holds if hold.reason == "MoveWaits"]
    assert "I/O errors" in hold.message
    assert not hold.passing


def test_a_move_between_parted_copies_is_nothing_to_wait_for() -> None:
    """hastd does not connect them before a person has decided; while it may connect them, the move waits."""
    apart = healthy_pair().resource("nas-a", status="degraded").hook("nas-b", confirmed={})
    parted = apart.metadata("nas-a", localcnt=2).metadata("nas-b", localcnt=2)
    for scene, passing in ((apart, True), (parted, False)):
        plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=Overrides(moves={"files": "nas-b"}))
        (hold,) = [hold for hold in plan.holds if hold.reason == "MoveWaits"]
        assert hold.passing is passing
