"""The table, rounds, seeds, and going on where a run was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from real.options import Wrong, read_options
from real.outcome.rounds import Outcome, State, Verdict, chance, within, worst
from real.outcome.table import render, rows, verdict_of


def _outcomes(*verdicts: Verdict) -> list[Outcome]:
    return [Outcome(verdict, {"service": 7.0 + n}) for n, verdict in enumerate(verdicts)]


def test_nineteen_of_twenty_reach_a_goal_that_is_one_of_many() -> None:
    """Of power cuts; elsewhere, and for what is wrong rather than slow, one is enough."""
    slow = _outcomes(*[Verdict.PASSED] * 19, Verdict.GOAL_MISSED)
    assert verdict_of("power-cut", slow) is Verdict.PASSED
    assert verdict_of("power-cut", _outcomes(*[Verdict.PASSED] * 18, *[Verdict.GOAL_MISSED] * 2)) is Verdict.GOAL_MISSED
    assert verdict_of("switchover", slow) is Verdict.GOAL_MISSED
    assert verdict_of("power-cut", [*slow, Outcome(Verdict.FAILED)]) is Verdict.FAILED


def test_the_worst_verdict_counts() -> None:
    """Slower than asked for is better than not known, and both are better than wrong."""
    assert worst(Verdict.PASSED, Verdict.GOAL_MISSED, Verdict.BROKEN) is Verdict.BROKEN
    assert worst(Verdict.BROKEN, Verdict.FAILED) is Verdict.FAILED


def test_a_row_for_each_exam_and_release() -> None:
    """Median and worst seconds, the range of predictions, each remark once."""
    outcome = {
        "13.2/power-cut/01": Outcome(Verdict.PASSED, {"service": 7.0}, 8.0, start_ms=65.0),
        "13.2/power-cut/02": Outcome(Verdict.GOAL_MISSED, {"service": 12.0}, 9.0, remarks=["slow"]),
        "13.2/power-cut/03": Outcome(Verdict.GOAL_MISSED, {"service": float("inf")}, 8.0, remarks=["slow"]),
        "15/power-cut/01": Outcome(Verdict.NOT_RUN, remarks=["needs a handle for power"]),
    }
    assert rows(outcome) == [
        ("power-cut", "13.2", "goal missed", "1 of 3", "service 12.0 (never)", "8 to 9", "65 ms", "slow [02, 03]"),
        ("power-cut", "15", "not run", "0 of 1", "", "-", "-", "needs a handle for power [01]"),
    ]
    assert render(outcome).splitlines()[1].startswith("power-cut  13.2     goal missed")


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """What is finished is not repeated; what could not be done is tried again."""
    file = tmp_path / "state.json"
    State(file).record("13.2/blank/nas", Outcome(details=["39 steps"]))
    State(file).record("13.2/full/var", Outcome(Verdict.BROKEN))
    State(file).record("13.2/cable/lan", Outcome(Verdict.FAILED, {"service": float("inf")}))
    state = State(file)
    assert [state.done(f"13.2/{name}") for name in ("blank/nas", "full/var", "cable/lan", "other")] == [
        True,
        False,
        True,
        False,
    ]
    assert state.outcomes()["13.2/blank/nas"].details == ["39 steps"]


def test_chance_is_the_same_for_the_same_round() -> None:
    """Whatever ran before it; another seed or round draws otherwise."""
    first = chance(1, "13.2", "power-cut", "01").random()
    assert chance(1, "13.2", "power-cut", "01").random() == first
    assert chance(2, "13.2", "power-cut", "01").random() != first
    assert chance(1, "13.2", "power-cut", "02").random() != first


def test_a_prediction_is_good_within_a_third_or_two_seconds() -> None:
    """Of what was measured; none is no good one."""
    assert within(10.0, 12.9)
    assert within(3.0, 4.9)
    assert not within(10.0, 13.1)
    assert not within(10.0, None)


def test_goals_and_what_must_hold() -> None:
    """A time that is no number (it never came) misses every goal."""
    outcome = Outcome()
    outcome.goal("service", 9.0, 10.0)
    outcome.must(True, "there")
    verdicts = [outcome.verdict]
    outcome.goal("service", float("inf"), 10.0)
    verdicts.append(outcome.verdict)
    outcome.must([], "gone")
    assert [*verdicts, outcome.verdict] == [Verdict.PASSED, Verdict.GOAL_MISSED, Verdict.FAILED]
    assert outcome.remarks == ["service inf s, goal 10 s", "gone"]


def test_settings_of_a_run() -> None:
    """From the environment; what cannot be meant is said in one sentence."""
    options = read_options({"HACTL_REAL": "images", "EXAM": "blank,power-cut/01", "TRIES": "3", "RELEASE": "15"})
    assert (options.exams, options.tries, options.release, options.addresses) == (
        ("blank", "power-cut/01"),
        3,
        "15",
        (),
    )
    assert read_options({"HACTL_REAL": "root@a root@b:2222"}).addresses == ("root@a", "root@b:2222")
    for wrong in ({}, {"HACTL_REAL": "images", "TRIES": "0"}, {"HACTL_REAL": "images", "SEED": "x"}):
        with pytest.raises(Wrong):
            read_options(wrong)
