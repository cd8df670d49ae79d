"""`why` and `resolve` on simulated nodes: the real probe, the real scripts, a real split-brain (recording 05)."""

from __future__ import annotations

from hactl.core.evidence.copies import Verdict, compare_copies
from hactl.core.evidence.view import View
from hactl.core.plan.resolve import TITLE, resolve_steps
from hactl.core.steps import Outcome, Plan, Stage
from hactl.core.why.answer import Explanation, Question
from hactl.core.why.ask import explain
from support.lab.closed_loop import Loop, example


def split() -> Loop:
    """Both were primary while the replication link was down, and wrote; nas-a serves."""
    loop = Loop(example("nas"))
    loop.converge(passes=300)
    loop.sh("nas-a", "rm -f /usr/local/libexec/hactl/hook")
    loop.sh("nas-b", "rm -f /usr/local/libexec/hactl/hook")
    loop.world.cut("nas-b", "vtnet2")
    loop.world.advance(30.0)
    loop.sh("nas-b", "hastctl role primary data")
    loop.world.advance(60.0)
    loop.sh("nas-a", "dd if=/dev/zero of=/data/two bs=1m count=1; sync")
    loop.sh("nas-b", "dd if=/dev/zero of=/dev/hast/data bs=1m count=1 seek=20")
    loop.world.advance(60.0)
    return loop


def healed(loop: Loop) -> Loop:
    """The link is back and nas-b is secondary again: the copies refuse each other."""
    loop.world.join("nas-b", "vtnet2")
    loop.sh("nas-b", "hastctl role secondary data")
    loop.world.advance(15.0)
    return loop


def why(loop: Loop, question: Question | None = None) -> Explanation:
    """The explanation of what is seen now, without a plan."""
    snapshot = loop.look()
    plan = Plan("nas", 1, active={"files": "nas-a"})
    return explain(View.at(loop.cluster, snapshot, loop.now), plan, question)


def test_two_primaries_and_then_a_split_brain_are_explained() -> None:
    """First both are primary, then the copies refuse each other."""
    loop = split()
    assert why(loop).cause == "TwoPrimaries"
    found = why(healed(loop))
    assert found.cause == "SplitBrain"
    assert "hactl resolve nas data --discard nas-b --dry-run" in found.remedies[0].command


def verdict(loop: Loop) -> Verdict:
    """What the copies of `data` come to now."""
    snapshot = loop.look()
    view = View.at(loop.cluster, snapshot, snapshot.taken_at)
    return compare_copies(view, loop.cluster.groups[0].storage[0]).verdict


def test_resolving_throws_one_copy_away_and_hast_fills_it() -> None:
    """The copy is created anew and the primary fills it; nothing on the other node runs."""
    loop = healed(split())
    assert verdict(loop) is Verdict.DIVERGED
    steps = resolve_steps(loop.cluster, loop.look(), "data", "nas-b")
    assert isinstance(steps, tuple), steps
    for step in steps:
        result = loop.step(step)
        assert result.outcome is Outcome.DONE, (step.key, result)
        assert step.node == "nas-b"
    loop.world.advance(60.0)
    assert verdict(loop) is Verdict.SAME
    assert "complete" in loop.sh("nas-a", "hastctl status data")


def test_an_image_that_cannot_be_written_stops_everything() -> None:
    """A simulated node keeps no file of that size: no part of it stays, and the copy is not thrown away."""
    loop = healed(split())
    steps = resolve_steps(loop.cluster, loop.look(), "data", "nas-b", "/var/db/data.img")
    assert isinstance(steps, tuple), steps
    before = loop.sh("nas-b", "hastctl dump data")
    assert not loop.stage(Stage(TITLE, steps, ordered=True))
    assert [result.outcome for result in loop.results][-1] is Outcome.FAILED
    assert "data.img" not in loop.sh("nas-b", "ls /var/db")
    assert loop.sh("nas-b", "hastctl dump data") == before


def test_a_copy_that_changed_since_it_was_shown_is_left_alone() -> None:
    """The node compares the counters once more, in the same exec."""
    loop = healed(split())
    steps = resolve_steps(loop.cluster, loop.look(), "data", "nas-b")
    assert isinstance(steps, tuple), steps
    loop.sh("nas-b", "hastctl role init data; hastctl create data; hastctl role secondary data")
    result = loop.step(steps[0])
    assert result.outcome is Outcome.FAILED
    assert "no longer true" in result.reason
