"""What is measured of moves and of steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.core.plan.durations import measured_seconds, seconds_by_verb, targets_of
from hactl.core.plan.switchover import group_of
from support.facts.builder import healthy_pair

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def row(verb: str, target: str, at: float, seconds: float | None = 1.0, outcome: str = "Done") -> dict[str, Any]:
    """A step on record."""
    began = START + timedelta(seconds=at)
    return {"verb": verb, "target": target, "at": began.isoformat(), "outcome": outcome, "seconds": seconds}


def test_a_move_is_measured_from_its_first_step_that_takes_service_away() -> None:
    """Other steps, and those of other groups, do not count; without one of ours nothing was measured."""
    group = group_of(healthy_pair().cluster, "files")
    assert group is not None
    assert {"data", "nfsd", "/data"} <= targets_of(group)
    rows = [
        row("SetRole", "other", 0),
        row("NoteDrained", "data", 1),
        row("Unmount", "/data", 3),
        row("Mount", "/data", 5),
    ]
    assert measured_seconds(group, rows, START + timedelta(seconds=9)) == 6.0
    assert measured_seconds(group, rows[:2], START + timedelta(seconds=9)) is None
    assert measured_seconds(group, rows, START) is None


def test_what_steps_usually_take_is_the_mean_of_the_newest_that_were_done() -> None:
    """Failures say nothing; old samples are forgotten."""
    rows = [row("Mount", "x", n, seconds=100.0) for n in range(5)]
    rows += [row("Mount", "x", 10 + n, seconds=2.0) for n in range(10)]
    rows += [row("Unmount", "x", 30, seconds=9.0, outcome="Failed"), row("LoadModule", "x", 31)]
    assert seconds_by_verb(rows) == {"Mount": 2.0}
