"""When a run in the foreground ends, and how."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.pace.convergence import BUSY_SECONDS, SETTLE_SECONDS, Convergence
from hactl.core.pace.gate import Gate
from hactl.core.pace.result import PassResult
from hactl.core.steps import Ended, Hold, Outcome, Plan, Stage, StageOutcome, StepResult
from hactl.errors import Busy, SecretError, StoreError
from support.toy_world import make_step

READY = {"conditions": [{"type": "Ready", "status": "True"}]}
STAGE = Stage("s", (make_step("a", "one"),))
WORK = Plan("pair", 1, (STAGE,))
DONE = StageOutcome(STAGE, (Ended(STAGE.steps[0], StepResult(Outcome.DONE, 0, ""), 0.0),), ())


def passed(plan: Plan | None = None, **known: Any) -> PassResult:
    """A pass that found nothing to do and nothing Ready, but for that."""
    return PassResult(**{"plan": plan or Plan("pair", 1), "status": {}, "next": "wait", "after_seconds": 30.0, **known})


@pytest.mark.parametrize(
    ("result", "end"),
    [
        (passed(status=READY), "converged"),
        (passed(WORK, status=READY), None),
        (passed(WORK, gate=Gate.OBSERVE), "held"),
        (passed(WORK, gate=Gate.PAUSED), "held"),
        (passed(WORK, gate=Gate.WAITING_FOR_APPROVAL), "held"),
        (passed(WORK, gate=Gate.LOOK_ONLY), "held"),
        (passed(WORK, gate=Gate.LEASE_LOST), "held"),
        (passed(WORK, gate=Gate.FLEET_SILENT), "held"),
        (passed(gate=Gate.REFERENCES, error=SecretError("no")), "refused"),
        (passed(WORK, gate=Gate.STORE, error=StoreError("no")), "store"),
        (passed(WORK, gate=Gate.BUSY, error=Busy("no")), None),
        (passed(WORK, gate=Gate.BACKOFF), None),
        (passed(WORK, failures=2), None),
        (passed(WORK, failures=3), "stalled"),
    ],
)
def test_the_end_that_a_pass_means(result: PassResult, end: str | None) -> None:
    """A stop wins over all of them; time that is up over none."""
    assert Convergence(0.0, 60.0).note(result, 1.0, stopped=False) == end
    assert Convergence(0.0, 60.0).note(result, 1.0, stopped=True) == "stopped"
    assert Convergence(0.0, 60.0).note(result, 60.0, stopped=False) == (end or "deadline")


def test_a_run_for_something_else_is_over_with_it_and_not_when_the_cluster_is_ready() -> None:
    """`until` says so of a pass."""
    run = Convergence(0.0, 600.0, until=lambda result: result.failures == 1)
    assert run.note(passed(status=READY), 1.0, stopped=False) is None
    assert run.note(passed(failures=1), 2.0, stopped=False) == "over"


@pytest.mark.parametrize(
    ("result", "patience"),
    [
        (passed(WORK, gate=Gate.BUSY), BUSY_SECONDS),
        (passed(Plan("pair", 1, (), (Hold("SplitBrain", "both were written"),))), 1.0),
        (passed(), SETTLE_SECONDS),
        (passed(Plan("pair", 1, (), (Hold("Electing", "no MASTER yet", passing=True),))), None),
        (passed(Plan("pair", 1, (), (Hold("StepFailing", "tried again later"),))), None),
        (passed(WORK, gate=Gate.BACKOFF), None),
    ],
    ids=["another process", "a person must help", "nothing to do", "passes by itself", "tried again", "may still run"],
)
def test_how_long_a_run_waits_for_nothing(result: PassResult, patience: float | None) -> None:
    """What passes or is tried again is waited for until the time is up; a stage carried out starts the wait anew."""
    run = Convergence(0.0, 10_000.0)
    assert run.note(result, 10.0, stopped=False) is None
    if patience is None:
        assert run.note(result, 9_000.0, stopped=False) is None
        return
    assert run.note(result, 10.0 + patience - 0.1, stopped=False) is None
    assert run.note(result, 10.0 + patience, stopped=False) == "stalled"


def test_what_was_just_changed_gets_time_to_settle() -> None:
    """Holds right after our own steps may be their consequence."""
    held = passed(Plan("pair", 1, (), (Hold("SplitBrain", "both were written"),)))
    run = Convergence(0.0, 10_000.0)
    run.note(passed(WORK, outcome=DONE), 5.0, stopped=False)
    assert run.note(held, 10.0, stopped=False) is None
    assert run.note(held, 10.0 + SETTLE_SECONDS - 0.1, stopped=False) is None
    assert run.note(held, 10.0 + SETTLE_SECONDS, stopped=False) == "stalled"


def test_the_summary_tells_done_from_left() -> None:
    """And how long to wait for the next pass is never past the deadline."""
    other = make_step("b", "one")
    result = passed(Plan("pair", 1, (STAGE, Stage("t", (other,)))), outcome=DONE, after_seconds=0.0)
    run = Convergence(100.0, 60.0)
    run.note(result, 110.0, stopped=False)
    assert run.wait_seconds(result, 110.0) == 0.0
    assert run.wait_seconds(passed(), 110.0) == 2.0
    assert run.wait_seconds(passed(WORK, gate=Gate.BACKOFF), 110.0) == 10.0
    assert run.wait_seconds(passed(), 159.5) == 0.5
    summary = run.summary("deadline", 160.0)
    assert (summary.seconds, summary.done, summary.left) == (60.0, STAGE.steps, (other,))
