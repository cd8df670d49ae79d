"""Changes and predictions: every verb is one typed change, and what is predicted is what was planned."""

from __future__ import annotations

from typing import get_args

import pytest

from hactl.core.changes import AnyChange
from hactl.core.operations import Overrides
from hactl.core.plan import make_plan
from hactl.core.steps import Risk, Stage, Step
from hactl.core.verbs import Verb
from support.facts.builder import blank_pair, edge_pair, healthy_pair, zfs_pair
from support.facts.planned import foretold, plan_of


def test_every_verb_is_one_change() -> None:
    """The set is closed on both sides."""
    assert sorted(change.verb for change in get_args(AnyChange)) == sorted(Verb)


@pytest.mark.parametrize("pair", [blank_pair, edge_pair, zfs_pair], ids=lambda pair: pair.__name__)
def test_a_step_is_its_change_as_text(pair: object) -> None:
    """Verb, target, command and secrets that people see and nodes run come from the change and from nowhere else."""
    scene = pair()  # type: ignore[operator]
    for step in make_plan(scene.cluster, scene.snapshot, scene.now).steps:
        change = step.change
        assert change is not None
        of_the_change = (change.verb, change.target, change.command, change.secrets)
        assert of_the_change == (step.verb, step.target, step.command, step.secrets)
        assert str(step.key) == f"{step.node} {step.verb} {step.target}"


def test_nobody_foretells_a_step_that_was_written_by_hand() -> None:
    """There is only its text, and text is not parsed."""
    scene = healthy_pair()
    step = Step("nas-a", Verb.SET_SYSCTL, "net.inet.carp.log", "why", "sysctl net.inet.carp.log=2", Risk.NONE)
    with pytest.raises(AssertionError, match="by hand"):
        foretold(scene.cluster, scene.snapshot, Stage("a stage", (step,)))


def test_a_prediction_is_made_at_the_moment_of_the_plan() -> None:
    """Words of 28 seconds ago are new enough for files and too old to promote by: no file is planned twice."""
    scene = blank_pair()
    plan = make_plan(scene.cluster, scene.snapshot, scene.now + 26, overrides=Overrides(moves={"files": "nas-b"}))
    written = [str(step.key) for step in plan.steps if step.verb == Verb.WRITE_BOOT_ALIASES]
    assert written == ["nas-a WriteBootAliases /etc/rc.conf.d/netif", "nas-b WriteBootAliases /etc/rc.conf.d/netif"]


def test_the_prediction_of_a_stage_is_what_the_plan_goes_on_from() -> None:
    """Planned again from the predicted facts, the rest of the plan is the same to the letter."""
    scene = blank_pair()
    plan = plan_of(scene)
    after = foretold(scene.cluster, scene.snapshot, plan.stages[0])
    assert make_plan(scene.cluster, after, scene.now).stages == plan.stages[1:]
