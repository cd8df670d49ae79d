"""What a person approved, and only that."""

from __future__ import annotations

from dataclasses import replace

from hactl.core.pace.approval import Approval
from hactl.core.steps import Plan, Risk, Stage, Step
from hactl.core.verbs import Verb


def step(command: str) -> Step:
    """A step with that command."""
    return Step("a", Verb.LOAD_MODULE, "one", "because", command, Risk.NONE)


def test_a_note_that_no_plan_could_foretell_is_part_of_what_was_approved_and_needs_an_approval() -> None:
    """ConfirmCopy follows from the approved steps; without an approval in force it waits like any other."""
    note = Step("b", Verb.CONFIRM_COPY, "data", "why", "true", Risk.NONE)
    change = Step("a", Verb.SET_ROLE, "data", "why", "true", Risk.NONE)
    plan = Plan("pair", 1, (Stage("x", (change,)),))
    after = Plan("pair", 1, (Stage("y", (note,)),))
    other = Plan("pair", 1, (Stage("y", (note, Step("a", Verb.SET_ROLE, "web", "why", "true", Risk.NONE))),))
    approval = Approval()
    assert not approval.covers(after, plan.digest)
    assert approval.covers(plan, plan.digest)
    assert approval.covers(after, plan.digest)
    assert not approval.covers(other, plan.digest)
    assert not approval.covers(after, None)


def test_an_approval_is_for_the_commands_it_was_given_for() -> None:
    """The same step with another command was not approved."""
    approved = Plan("pair", 1, (Stage("s", (step("kldload one"),)), Stage("t", (step("kldload two"),))))
    approval = Approval()
    assert approval.covers(approved, approved.digest)
    assert approval.covers(replace(approved, stages=approved.stages[1:]), approved.digest)
    other = replace(approved, stages=(Stage("s", (step("kldload three"),)),))
    assert not approval.covers(other, approved.digest)
