"""What is measured of moves and of steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.core.cluster import targets_of
from hactl.core.objects import GroupSpec
from hactl.core.operations import Overrides
from hactl.core.plan import make_plan
from hactl.core.plan.durations import (
    USUAL_CHANGE_SECONDS,
    Durations,
    measured,
    measured_seconds,
    moving_steps,
    prediction,
)
from hactl.core.plan.switchover import group_of
from support.facts.builder import healthy_pair

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def row(
    verb: str, target: str, at: float, seconds: float | None = 1.0, outcome: str = "Done", **more: str
) -> dict[str, Any]:
    """A step on record; those on one node that were noted at the same time shared an exec."""
    began = START + timedelta(seconds=at)
    fields = {"verb": verb, "target": target, "at": began.isoformat(), "outcome": outcome, "seconds": seconds}
    return {"node": "nas-a", "command": f"{verb} {target}"} | fields | more


def later(seconds: float) -> datetime:
    """So long after the start."""
    return START + timedelta(seconds=seconds)


def files() -> GroupSpec:
    """The group of the pair."""
    group = group_of(healthy_pair().cluster, "files")
    assert group is not None
    assert {"data", "nfsd", "/data"} <= targets_of(group)
    return group


def test_a_move_is_measured_from_its_first_step_that_takes_service_away() -> None:
    """Other steps, and those of other groups, do not count; without one of ours nothing was measured."""
    rows = [
        row("SetRole", "other", 0),
        row("NoteDrained", "data", 1),
        row("Unmount", "/data", 3),
        row("Mount", "/data", 5),
    ]
    assert measured_seconds(files(), rows, later(9)) == 6.0
    assert measured_seconds(files(), rows[:2], later(9)) is None
    assert measured_seconds(files(), rows, START) is None


def test_what_steps_usually_take_is_the_mean_of_the_newest_that_were_done() -> None:
    """Failures say nothing; old samples are forgotten; a command is told from another of its verb."""
    rows = [row("Mount", "x", n, seconds=100.0) for n in range(5)]
    rows += [row("Mount", "x", 10 + n, seconds=2.0) for n in range(10)]
    rows += [row("Unmount", "x", 30, seconds=9.0, outcome="Failed"), row("LoadModule", "x", 31)]
    rows += [row("SetRole", "x", 40, 3.0, command="primary"), row("SetRole", "x", 50, 1.0, command="secondary")]
    found = measured(rows)
    assert found.by_verb == {"Mount": 2.0, "SetRole": 2.0}
    assert found.by_command == {"Mount x": 2.0, "primary": 3.0, "secondary": 1.0}


def test_what_the_change_from_node_to_node_takes_is_measured_too() -> None:
    """A look and a decision; a pause of minutes was no part of a move."""
    rows = [row("Unmount", "/data", 0, 2.0), row("SetRole", "data", 2.5, 1.0, node="nas-b")]
    rows += [row("Unmount", "/data", 100, 2.0), row("SetRole", "data", 103.5, 1.0, node="nas-b")]
    assert measured(rows).change == 1.0
    assert measured([rows[0], rows[3]]).change == USUAL_CHANGE_SECONDS
    # The address is given away before; what comes to both nodes at the end of an apply is no change of a move.
    given = [row("SetVhid", "vtnet1 vhid 80", 0, 1.0), row("SetRole", "data", 3, 1.0, node="nas-b")]
    assert measured(given).change == 2.0
    both = [row("StartService", "nfsd", 0, 1.0), row("SetVhid", "vtnet1 vhid 80", 9, 1.0, node="nas-b")]
    assert measured(both).change == USUAL_CHANGE_SECONDS


def test_a_prediction_counts_every_part_until_the_addresses_are_there() -> None:
    """And knows what has been measured; more services take longer."""
    scene = healthy_pair()
    plan = make_plan(scene.cluster, scene.snapshot, scene.now, overrides=Overrides(moves={"files": "nas-b"}))
    usual = prediction(plan, Durations())
    verbs = [step.verb for step in moving_steps(plan)]
    assert verbs[0] == "StopService"
    assert verbs[-2:] == ["StartService", "SetVhid"]
    slow = prediction(plan, Durations(by_command={"service nfsd onestart": 12.0}))
    assert slow == usual + 10.0
    assert prediction(plan, Durations(change=4.0)) == usual + 3.0
    assert prediction(replace(plan, stages=()), Durations()) == 0.0
