"""When what did not work may be tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hactl.core.pace.backoff import Backoff
from hactl.core.steps import Ended, Outcome, Plan, Risk, Stage, StageOutcome, Step, StepResult
from support.toy_world import make_step


def ended(outcome: str, steps: Sequence[Step], *, quiet_at: float = 0.0) -> StageOutcome:
    """A stage of which every step ended that way."""
    result = StepResult(Outcome(outcome), None, "", "because")
    return StageOutcome(Stage("s", tuple(steps)), tuple(Ended(step, result, quiet_at) for step in steps), ())


def test_repeated_failures_rest_longer_each_time_and_success_forgets() -> None:
    """The delay doubles up to its limit; from the second failure on people are told."""
    backoff = Backoff(random.Random(3).random, first_delay_seconds=2.0, limit_seconds=60.0)
    step = make_step("a", "one")
    plan = Plan("pair", 1, (Stage("s", (step,)),))
    now = 0.0
    for count in range(1, 10):
        backoff.note(ended("Failed", [step]), now)
        backoff.review(plan, now)
        rest = backoff.next_at(now)
        assert rest is not None
        ceiling = min(60.0, 2.0 * 2 ** (count - 1))
        assert ceiling / 2 <= rest - now <= ceiling
        assert step.key in backoff.resting(now)
        assert bool(backoff.failing) == (count >= 2)
        assert backoff.worst == count
        now = rest + 0.01
        assert backoff.resting(now) == {}
    backoff.note(ended("Done", [step]), now)
    assert backoff.worst == 0
    assert backoff.failing == {}


def test_a_failure_that_is_no_longer_planned_is_forgotten_after_a_while() -> None:
    """Old trouble neither stalls nor shows for ever."""
    backoff = Backoff(random.Random(3).random)
    step = make_step("a", "one")
    backoff.note(ended("Failed", [step]), 0.0)
    backoff.note(ended("Failed", [step]), 10.0)
    backoff.review(Plan("pair", 1), 20.0)
    assert backoff.failing == {}
    backoff.review(Plan("pair", 1), 200.0)
    backoff.note(ended("Failed", [step]), 201.0)
    assert backoff.worst == 1


def test_a_node_where_a_step_may_still_run_is_left_alone_until_it_surely_does_not() -> None:
    """Also across generations: a new document does not stop what runs."""
    backoff = Backoff(random.Random(3).random)
    backoff.note(ended("Indeterminate", [make_step("a", "one")], quiet_at=70.0), 5.0)
    backoff.forget()
    assert backoff.quiet_at(Stage("s", (make_step("a", "two"),))) == 70.0
    assert backoff.quiet_at(Stage("s", (make_step("b", "two"),))) < 0


def test_newfs_of_a_dead_process_may_run_for_its_whole_time() -> None:
    """What destroys nothing is over, or harmless, sooner."""
    backoff = Backoff(random.Random(3).random)
    for risk, seconds in ((Risk.DESTRUCTIVE, 600.0), (Risk.NONE, 20.0)):
        each = replace(make_step("a", "one"), risk=risk, timeout_seconds=600.0)
        backoff.note_cut(each.key, 50.0)
        assert backoff.quiet_at(Stage("s", (each,))) >= 50.0 + seconds
    assert backoff.quiet_at(Stage("s", (make_step("a", "one"),))) <= 50.0 + 60.0


def test_a_step_that_is_done_twice_and_wanted_again_rests() -> None:
    """Done is what the next look agrees with: a third time at once would be the first of thousands."""
    backoff = Backoff(random.Random(3).random)
    step = make_step("a", "one")
    plan = Plan("pair", 1, (Stage("s", (step,)),))
    for now in (0.0, 1.0):
        assert not backoff.in_vain(plan, now)
        backoff.note(ended("Done", [step]), now)
    assert backoff.in_vain(plan, 2.0)
    assert "Done 2 times in a row" in backoff.resting(2.0)[step.key]
    assert step.key in backoff.failing
    rest = backoff.next_at(2.0)
    assert rest is not None
    assert not backoff.in_vain(Plan("pair", 1), 2.1)  # looks while it rests do not have it, and say nothing about it
    assert not backoff.in_vain(plan, rest + 1)  # it is tried again after its rest
    backoff.note(ended("Done", [step]), rest + 1)
    assert backoff.in_vain(plan, rest + 2)
    again = backoff.next_at(rest + 2)
    assert again is not None
    assert again - rest > rest - 2.0  # and rests longer


def test_a_step_that_worked_may_be_done_as_often_as_it_is_needed() -> None:
    """A look that does not want it any more ends the count; so does another command."""
    backoff = Backoff(random.Random(3).random)
    step = make_step("a", "one")
    plan = Plan("pair", 1, (Stage("s", (step,)),))
    for now in range(10):
        backoff.note(ended("Done", [step]), float(now))
        assert not backoff.in_vain(Plan("pair", 1), float(now))
        assert not backoff.in_vain(plan, float(now))
    for now in range(10):
        changed = replace(step, command=f"{step.command} # {now}")
        backoff.note(ended("Done", [changed]), float(now))
        assert not backoff.in_vain(Plan("pair", 1, (Stage("s", (replace(step, command="other"),)),)), float(now))
