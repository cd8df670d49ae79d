"""What is known of services that stop by themselves, from look to look: what counts, and for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hactl.core.evidence.failures import failures, on_record
from hactl.core.evidence.view import View
from hactl.core.operations import Failures, Overrides
from hactl.core.plan import make_plan
from hactl.core.status.cluster import Origin, cluster_status
from support.facts.builder import NOW, Scene, healthy_pair, nas_cluster

AT = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
HERE = ("nfsd", "nas-a")


class Story:
    """One look after the other, ten seconds apart; nas-a serves, and hactl does what the plan says unless told."""

    def __init__(self, active: str = "nas-a", **rule: Any) -> None:
        """`rule`: the service's onFailure."""
        cluster = nas_cluster({"spec.groups.0.services.0.onFailure": {"limit": 2, "withinSeconds": 600} | rule})
        self.scene = healthy_pair(active).wants(cluster)
        self.status: Mapping[str, Any] | None = None
        self.touched: dict[tuple[str, str], datetime | None] = {}
        self.overrides = Overrides()
        self.wall = AT
        self.goal = active
        self.look()

    def look(self, scene: Scene | None = None, *, seconds: float = 10.0) -> Failures:
        """A look; what is known then of nfsd on nas-a. The record keeps it as JSON."""
        self.scene = scene or self.scene
        self.wall += timedelta(seconds=seconds)
        view = View.at(self.scene.cluster, self.scene.snapshot, NOW)
        found = failures(view, self.status, self.overrides, self.touched, self.wall)
        plan = make_plan(self.scene.cluster, self.scene.snapshot, NOW, overrides=Overrides(failures=found))
        status = cluster_status(view, plan, Origin("x"), wall=self.wall, previous=self.status, failures=found)
        self.status = json.loads(json.dumps(status))
        assert on_record(self.status) == found
        self.touched = {}
        return found.get(HERE, Failures())

    def runs(self, running: bool, **more: Any) -> Failures:
        """It runs, or not."""
        return self.look(self.scene.service("nas-a", running=running), **more)

    def starts(self, running: bool, **more: Any) -> Failures:
        """hactl starts it, and it runs at the next look, or not."""
        self.touched[HERE] = self.wall
        return self.runs(running, **more)


def test_each_start_after_a_failure_counts_and_the_limit_ends_it() -> None:
    """It is given up at the failure after the last start, for withinSeconds, and then begins anew."""
    story = Story(action="Restart")
    assert story.runs(False).stopped_at == story.wall
    assert len(story.starts(True).restarts) == 1
    assert story.runs(False).given_up_at is None
    assert len(story.starts(False).restarts) == 2, "a start that did not last is a failure too"
    gone = story.look()
    assert (gone.given_up_at, gone.stopped_at) == (story.wall - timedelta(seconds=10), gone.given_up_at)
    assert story.look(seconds=580).given_up_at is not None
    anew = story.look(seconds=20)
    assert (anew.given_up_at, anew.restarts, anew.stopped_at) == (None, (), gone.stopped_at)
    assert len(story.starts(True).restarts) == 1


def test_starts_of_long_ago_do_not_count() -> None:
    """One failure in a quarter of an hour never reaches the limit."""
    story = Story(action="Move")
    for _ in range(4):
        assert story.runs(False, seconds=900).given_up_at is None
        assert len(story.starts(True).restarts) == 1
    assert story.runs(True, seconds=900) == Failures()


def test_nothing_is_given_up_at_once_and_until_it_runs() -> None:
    """However long; a person's start ends it."""
    story = Story(action="Nothing")
    assert story.runs(False).given_up_at == story.wall
    assert story.look(seconds=100_000).given_up_at is not None
    assert story.runs(True) == Failures()


def test_without_the_field_nothing_is_followed() -> None:
    """Statuses of old documents stay as they were."""
    story = Story(action="Restart")
    story.scene = story.scene.wants(nas_cluster())
    assert story.runs(False) == Failures()
    assert "onFailure" not in json.dumps(story.status)


@pytest.mark.parametrize(
    "what",
    ["stopped by hactl", "paused", "drained", "moving", "rebooted", "address elsewhere", "never ran", "silent before"],
)
def test_what_ended_it_otherwise_is_no_failure(what: str) -> None:
    """hactl's own steps, a person's work, the node's hook, a reboot."""
    story = Story(action="Nothing")
    scene = story.scene.service("nas-a", running=False)
    match what:
        case "stopped by hactl":
            story.touched[HERE] = None
        case "paused":
            story.overrides = Overrides(paused_groups={"files": "admin"})
        case "drained":
            story.overrides = Overrides(drained={"nas-a": "admin"})
        case "moving":
            story.overrides = Overrides(moves={"files": "nas-b"})
        case "rebooted":
            boot = scene.known("nas-a", "system").boot_epoch
            scene = scene.system("nas-a", boot_epoch=boot + 600)
        case "address elsewhere":
            scene = scene.vhid("nas-b", state=scene.known("nas-a", "interfaces")["vtnet1"].vhids[0].state)
        case "never ran":
            story.status = None
        case "silent before":
            story.look(story.scene.silent("nas-a"))
    assert story.look(scene) == Failures()


def test_what_was_unknown_for_a_look_is_as_it_was_last_known() -> None:
    """A failure behind our back is one."""
    story = Story(action="Restart")
    story.look(story.scene.unknown("nas-a", "services"))
    story.scene = healthy_pair().wants(story.scene.cluster)
    assert story.runs(False).stopped_at == story.wall


def test_a_group_that_left_keeps_what_is_known_and_begins_anew_when_it_is_back() -> None:
    """So that it is not moved back for the same reason meanwhile, and not judged by it once it is."""
    story = Story(action="Move")
    for _ in range(2):
        story.runs(False)
        story.starts(True)
    assert story.runs(False).given_up_at is not None
    there = healthy_pair("nas-b").wants(story.scene.cluster)
    left = story.look(there)
    assert (left.left, left.stopped_at, left.given_up_at is not None) == (True, None, True)
    back = healthy_pair("nas-a").wants(story.scene.cluster)
    assert story.look(back) == Failures()
    story.look(there)
    assert story.look(there, seconds=700) == Failures()
