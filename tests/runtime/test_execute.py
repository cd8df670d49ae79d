"""Carrying out a stage: records around steps, order, trouble, stops, secrets."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from hactl.core.changes.change import SecretUse
from hactl.core.steps import Outcome, Plan, Stage, StageOutcome, Step
from hactl.errors import HostKeyMismatch, LoginRefused, NodeGarbled, NodeUnreachable, SecretError, StoreError
from hactl.ports import Answer, Target
from hactl.runtime.passes.execute import ExecutionContext, Executor
from support.toy_world import PASSWORD, ToyNodes, ToyStore, VirtualClock, make_document, make_step, play, resolve


@dataclass
class Bench:
    """An executor on toy nodes."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    store: ToyStore = field(default_factory=ToyStore)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    kind: type[ToyNodes] = ToyNodes

    def __post_init__(self) -> None:
        self.nodes = self.kind(self.clock)
        self.executor = Executor(self.nodes, self.store, self.clock)

    async def execute(self, *steps: Step, ordered: bool = False, secret: Any = None) -> StageOutcome:
        """Carry out one stage."""
        resolved = await resolve(make_document(), 1)
        plan = Plan("pair", 1, (Stage("test", steps, ordered=ordered),))
        context = ExecutionContext(plan, resolved.targets, secret or resolved.secret, "tester", "test", 1000)
        self.store.leases["pair"] = 1000
        try:
            return await self.executor.execute(context, plan.stages[0], stop=self.stop)
        finally:
            await self.nodes.close()


def outcomes(outcome: StageOutcome) -> list[tuple[str, str, str]]:
    """(node, module, outcome) of what was begun."""
    return [(e.step.node, e.step.target, e.result.outcome.value) for e in outcome.ended]


def test_intent_is_on_record_before_and_the_outcome_after() -> None:
    """The record has everything a person asks later."""

    async def story() -> Bench:
        bench = Bench()
        outcome = await bench.execute(make_step("a", "one"))
        assert outcome.done
        assert bench.nodes.node("a").modules == {"one": True}
        return bench

    bench = play(story)
    assert [write[0] for write in bench.store.writes] == ["begin", "end"]
    begin = bench.store.writes[0][1]
    assert begin == {
        "cluster": "pair",
        "generation": 1,
        "plan": begin["plan"],
        "node": "a",
        "verb": "LoadModule",
        "target": "one",
        "command": "kldload one",
        "risk": "none",
        "why": "one is not loaded",
        "actor": "tester",
        "cause": "test",
    }
    assert bench.store.outcomes == [("a", "one", "Done")]
    assert bench.store.steps[1]["output"] == "loading one with nothing"


def test_nodes_run_in_parallel_and_a_node_stops_at_its_first_step_that_is_not_done() -> None:
    """An unordered stage takes as long as its slowest node; trouble on one node is not trouble on the other."""

    async def story() -> tuple[Bench, StageOutcome, float]:
        bench = Bench()
        bench.nodes.node("a").cannot.add("two")
        steps = [make_step(node, module) for node in "ab" for module in ("one", "two", "three")]
        outcome = await bench.execute(*steps)
        return bench, outcome, bench.clock.monotonic() - 1000.0

    bench, outcome, seconds = play(story)
    assert seconds == pytest.approx(3 * 0.6, abs=0.1)
    assert bench.nodes.node("b").modules == {"one": True, "two": True, "three": True}
    assert bench.nodes.node("a").modules == {"one": True}
    assert [str(step.key) for step in outcome.not_run] == ["a LoadModule three"]
    assert [(str(e.step.key), e.result.exit_status) for e in outcome.trouble] == [("a LoadModule two", 1)]


def test_an_ordered_stage_stops_everywhere_at_the_first_step_that_is_not_done() -> None:
    """The order is the plan's, across nodes."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("b").cannot.add("one")
        steps = [make_step("a", "one"), make_step("b", "one"), make_step("a", "two")]
        return bench, await bench.execute(*steps, ordered=True)

    bench, outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Done"), ("b", "one", "Failed")]
    assert [str(step.key) for step in outcome.not_run] == ["a LoadModule two"]
    assert bench.nodes.node("a").received == [(pytest.approx(1000.1, abs=0.01), "one")]


def test_a_condition_that_no_longer_holds_on_the_node_is_failed_and_nothing_was_changed() -> None:
    """The node itself checks, in the exec of the change."""

    async def story() -> StageOutcome:
        bench = Bench()
        bench.nodes.node("a").modules["one"] = True
        outcome = await bench.execute(make_step("a", "one"))
        assert bench.nodes.node("a").applied == []
        return outcome

    outcome = play(story)
    assert outcome.trouble[0].result.outcome is Outcome.FAILED
    assert "no longer true" in outcome.trouble[0].result.reason


@pytest.mark.parametrize("error", [NodeUnreachable, HostKeyMismatch, LoginRefused])
def test_no_connection_is_failed_because_nothing_was_sent(error: type[Exception]) -> None:
    """What never reached the node needs no second look."""

    class Refusing(ToyNodes):
        async def run(self, target: Target, script: str, **options: Any) -> Answer:
            raise error(target.node, "no")

    async def story() -> StageOutcome:
        return await Bench(kind=Refusing).execute(make_step("a", "one"))

    outcome = play(story)
    assert outcome.trouble[0].result.outcome is Outcome.FAILED
    assert outcome.trouble[0].result.reason.startswith("not run: a: no")


def test_a_lost_session_is_indeterminate_and_nothing_is_sent_again() -> None:
    """The step did run; the executor does not claim to know."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("a").lose_answer = True
        return bench, await bench.execute(make_step("a", "one"))

    bench, outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Indeterminate")]
    assert len(bench.nodes.node("a").received) == 1
    assert outcome.ended[0].quiet_at > 1030.0


@pytest.mark.parametrize("trouble", ["overrun", "hangs"])
def test_no_end_in_time_is_indeterminate_within_a_bound(trouble: str) -> None:
    """A command or a node that hangs costs its budget and not more."""

    async def story() -> tuple[StageOutcome, float]:
        bench = Bench()
        setattr(bench.nodes.node("a"), trouble, True)
        outcome = await bench.execute(make_step("a", "one", timeout_seconds=10))
        return outcome, bench.clock.monotonic() - 1000.0

    outcome, seconds = play(story)
    assert outcomes(outcome) == [("a", "one", "Indeterminate")]
    assert seconds < 10 + 15 + 26


def test_an_adapter_that_never_returns_is_bounded_here() -> None:
    """Even nodes.run itself may hang; the node may have done it: look again, never resend."""

    class Stuck(ToyNodes):
        async def run(self, target: Target, script: str, **options: Any) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    async def story() -> StageOutcome:
        return await Bench(kind=Stuck).execute(make_step("a", "one", timeout_seconds=10))

    outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Indeterminate")]
    assert outcome.trouble[0].result.reason == "no answer within 70 s"


def test_a_node_that_has_seen_a_newer_lease_runs_nothing() -> None:
    """The answer says whose lease is newer; the other node is not concerned."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("a").lease = 1001
        return bench, await bench.execute(make_step("a", "one"), make_step("b", "one"))

    bench, outcome = play(story)
    assert outcome.newer_lease == 1001
    assert [(e.step.node, e.result.reason) for e in outcome.trouble] == [
        ("a", "not run: a newer controller (lease 1001) acts on this node; this one (lease 1000) is out of date")
    ]
    assert bench.nodes.node("a").modules == {}
    assert bench.nodes.node("b").lease == 1000


def test_the_nodes_own_hook_at_work_is_told_as_such() -> None:
    """lockf(1) gave up: nothing was run, and it is no trouble of the step."""

    async def story() -> StageOutcome:
        bench = Bench()
        bench.nodes.node("a").hook_at_work = 1
        return await bench.execute(make_step("a", "one"))

    (ended,) = play(story).ended
    assert (ended.result.outcome.value, ended.result.busy) == ("Failed", True)
    assert "failover hook is at work" in ended.result.reason


def test_a_process_that_stood_still_sends_nothing_it_had_planned_before() -> None:
    """Suspended between two steps, or between a step's record and its sending: look again first."""

    async def between_steps() -> tuple[list[str], StageOutcome]:
        bench = Bench()
        jump = asyncio.get_running_loop().jump  # type: ignore[attr-defined]

        def suspend(write: str) -> None:
            if write == "end":
                jump(60.0)

        bench.store.before_write = suspend
        outcome = await bench.execute(make_step("a", "one"), make_step("a", "two"), ordered=True)
        return sorted(bench.nodes.node("a").modules), outcome

    async def before_sending() -> tuple[list[str], StageOutcome]:
        bench = Bench()
        jump = asyncio.get_running_loop().jump  # type: ignore[attr-defined]

        def suspend(write: str) -> None:
            if write == "begin":
                jump(60.0)

        bench.store.before_write = suspend
        outcome = await bench.execute(make_step("a", "one"))
        return sorted(bench.nodes.node("a").modules), outcome

    done, outcome = play(between_steps)
    assert (done, [step.target for step in outcome.not_run]) == (["one"], ["two"])
    nothing, outcome = play(before_sending)
    assert nothing == []
    assert outcome.ended[0].result.reason == "not run: hactl was suspended meanwhile"


def test_without_a_record_of_the_intent_nothing_runs() -> None:
    """No record, no action."""

    async def story() -> Bench:
        bench = Bench()
        bench.store.broken = True
        with pytest.raises(StoreError, match="disk is full"):
            await bench.execute(make_step("a", "one"), make_step("b", "one"))
        return bench

    bench = play(story)
    assert bench.nodes.node("a").received == []
    assert bench.nodes.node("b").received == []


def test_a_record_that_breaks_in_the_middle_stops_everything(caplog: pytest.LogCaptureFixture) -> None:
    """An outcome that cannot be recorded ends all lanes of the stage, and is raised."""

    async def story() -> Bench:
        bench = Bench()
        bench.nodes.node("b").work_seconds = 3.0
        bench.store.broken_after = 2
        with pytest.raises(StoreError):
            await bench.execute(*(make_step(node, module) for module in ("one", "two") for node in "ab"))
        return bench

    bench = play(story)
    assert [module for _, module in bench.nodes.node("a").received] == ["one"]
    assert [module for _, module in bench.nodes.node("b").received] == ["one"]
    assert "stopped acting" in caplog.text


def test_one_outcome_that_cannot_be_recorded_lets_no_other_lane_begin_a_step() -> None:
    """Even if the record works again at once: what is on record is no longer what happened."""

    async def story() -> Bench:
        bench = Bench()
        bench.nodes.node("b").work_seconds = 3.0
        bench.store.fail_once = "end"
        with pytest.raises(StoreError, match="locked"):
            await bench.execute(*(make_step(node, module) for module in ("one", "two") for node in "ab"))
        return bench

    assert play(story).store.outcomes == [("a", "one", None), ("b", "one", "Done")]


def test_told_to_stop_a_short_step_ends_and_no_other_begins() -> None:
    """The grace is for what runs."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("a").work_seconds = 4.0
        asyncio.get_running_loop().call_later(1.0, bench.stop.set)
        return bench, await bench.execute(make_step("a", "one"), make_step("a", "two"))

    bench, outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Done")]
    assert [step.target for step in outcome.not_run] == ["two"]
    assert outcome.stopped
    assert bench.store.outcomes == [("a", "one", "Done")]


def test_told_to_stop_a_long_step_is_abandoned_as_indeterminate_after_the_grace() -> None:
    """It is recorded as such, 5 s after the stop."""

    async def story() -> tuple[Bench, StageOutcome, float]:
        bench = Bench()
        bench.nodes.node("a").work_seconds = 25.0
        asyncio.get_running_loop().call_later(1.0, bench.stop.set)
        outcome = await bench.execute(make_step("a", "one"))
        return bench, outcome, bench.clock.monotonic()

    bench, outcome, _ = play(story)
    assert outcomes(outcome) == [("a", "one", "Indeterminate")]
    assert "abandoned" in outcome.ended[0].result.reason
    assert bench.store.steps[1]["outcome"] == "Indeterminate"
    assert bench.store.steps[1]["seconds"] == pytest.approx(6.0, abs=0.1)


def test_stopped_before_it_began_nothing_is_recorded_or_run() -> None:
    """Every step is in not_run."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.stop.set()
        return bench, await bench.execute(make_step("a", "one"), make_step("b", "one"))

    bench, outcome = play(story)
    assert outcome.ended == ()
    assert len(outcome.not_run) == 2
    assert bench.store.writes == []


@pytest.mark.parametrize("at", [0.0, 0.0005, 0.3, 0.6015])
def test_cancelled_at_any_moment_every_begun_step_has_its_outcome_on_record(at: float) -> None:
    """Task cancellation (a second Ctrl-C) still leaves no open step; what was not sent is Failed, not in doubt."""

    async def story() -> Bench:
        bench = Bench()
        task = asyncio.ensure_future(bench.execute(make_step("a", "one"), make_step("b", "one")))
        await asyncio.sleep(at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return bench

    bench = play(story)
    for node, _, outcome in bench.store.outcomes:
        received = bool(bench.nodes.node(node).received)
        assert outcome in (("Indeterminate", "Done") if received else ("Failed", "Indeterminate"))


def test_secrets_are_in_no_record_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    """Even when the node prints them: only the script has them."""
    caplog.set_level(logging.DEBUG)

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("b").cannot.add("two")
        return bench, await bench.execute(make_step("a", "two", secret=True), make_step("b", "two", secret=True))

    bench, outcome = play(story)
    assert [e.result.outcome for e in outcome.ended] == [Outcome.DONE, Outcome.FAILED]
    shown = repr(outcome) + repr(bench.store.writes) + caplog.text
    shown += "".join(repr(record.__dict__) for record in caplog.records)
    assert PASSWORD not in shown
    assert bench.store.steps[1]["output"] == "loading two with ********"


@pytest.mark.parametrize("password", ["done", "begun", "e", "%%hactl", "0"])
def test_a_password_that_is_a_word_of_our_frame_spoils_no_answer(password: str) -> None:
    """Blacking out leaves our own lines alone."""

    async def story() -> StageOutcome:
        bench = Bench()
        return await bench.execute(make_step("a", "two", secret=True), secret=lambda use: password)

    assert play(story).done


def test_a_secret_that_cannot_be_read_fails_its_step_only() -> None:
    """Nothing is sent for it; the reason says which file."""

    def secret(use: SecretUse) -> str:
        raise SecretError("secrets/files.carp: no such file")

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        return bench, await bench.execute(make_step("a", "two", secret=True), make_step("b", "one"), secret=secret)

    bench, outcome = play(story)
    assert sorted(outcomes(outcome)) == [("a", "two", "Failed"), ("b", "one", "Done")]
    assert bench.nodes.node("a").received == []
    assert outcome.trouble[0].result.reason == "not run: secrets/files.carp: no such file"


def test_nothing_follows_a_step_that_nobody_knows_the_end_of() -> None:
    """It may still run, or have done half."""

    async def story() -> None:
        bench = Bench()
        bench.nodes.node("a").lose_answer = True
        outcome = await bench.execute(make_step("a", "one"), make_step("a", "two"))
        assert [each.result.outcome for each in outcome.ended] == [Outcome.INDETERMINATE]
        assert [each.target for each in outcome.not_run] == ["two"]
        assert len(bench.nodes.node("a").received) == 1

    play(story)


def test_a_step_excludes_the_nodes_own_hook() -> None:
    """Both take the node's lock."""
    exclusive: list[bool] = []

    class Recording(ToyNodes):
        async def run(self, target: Target, script: str, **options: Any) -> Answer:
            exclusive.append(options["exclusive"])
            return await super().run(target, script, **options)

    async def story() -> None:
        await Bench(kind=Recording).execute(make_step("a", "one"))
        assert exclusive == [True]

    play(story)


@pytest.mark.parametrize("broken", [False, True], ids=["standard error", "the error itself"])
def test_a_secret_in_a_complaint_is_blacked_out(broken: bool) -> None:
    """What sudo or the shell say about the script may quote it."""

    class Complaining(ToyNodes):
        async def run(self, target: Target, script: str, **options: Any) -> Answer:
            if broken:
                raise NodeGarbled(target.node, f"unexpected {PASSWORD}")
            return Answer(1, "", f"sh: {PASSWORD}: not found", 0.1)

    async def story() -> None:
        bench = Bench(kind=Complaining)
        outcome = await bench.execute(make_step("a", "two", secret=True))
        shown = repr(outcome) + repr(bench.store.writes)
        assert "********" in shown
        assert PASSWORD not in shown

    play(story)


def test_steps_of_a_move_on_one_node_share_an_exec_and_have_their_own_records() -> None:
    """What takes service away for as long as it runs is not taken apart."""

    async def story() -> Bench:
        bench = Bench()
        bench.nodes.node("a").work_seconds = 2.0
        steps = [make_step("a", word, moves=True) for word in ("one", "two")]
        outcome = await bench.execute(*steps, make_step("b", "one", moves=True), ordered=True)
        assert outcome.done
        return bench

    bench = play(story)
    sent = [at for at, _ in bench.nodes.node("a").received]
    assert sent[0] == sent[1]
    assert [(each["target"], each["outcome"], round(each["seconds"])) for each in bench.store.steps.values()][:2] == [
        ("one", "Done", 2),
        ("two", "Done", 2),
    ]


def test_what_comes_after_a_failed_step_of_one_exec_was_not_run() -> None:
    """It is on record so, and it is nobody's failure."""

    async def story() -> tuple[Bench, StageOutcome]:
        bench = Bench()
        bench.nodes.node("a").cannot.add("two")
        steps = [make_step("a", word, moves=True) for word in ("one", "two", "three")]
        return bench, await bench.execute(*steps, ordered=True)

    bench, outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Done"), ("a", "two", "Failed")]
    assert [step.target for step in outcome.not_run] == ["three"]
    last = list(bench.store.steps.values())[-1]
    assert (last["outcome"], last["output"]) == ("Failed", "[not run: Failed before it: a Mount two]")
    assert bench.nodes.node("a").modules == {"one": True}


def test_a_lost_answer_leaves_every_step_of_the_exec_in_doubt() -> None:
    """Nobody knows how far the node got; it rests until all of them are surely over."""

    async def story() -> StageOutcome:
        bench = Bench()
        bench.nodes.node("a").lose_answer = True
        steps = [make_step("a", word, moves=True) for word in ("one", "two")]
        return await bench.execute(*steps, ordered=True)

    outcome = play(story)
    assert outcomes(outcome) == [("a", "one", "Indeterminate"), ("a", "two", "Indeterminate")]
    alone = play(_lost_alone)
    assert outcome.ended[0].quiet_at > alone.ended[0].quiet_at


async def _lost_alone() -> StageOutcome:
    bench = Bench()
    bench.nodes.node("a").lose_answer = True
    return await bench.execute(make_step("a", "one", moves=True))
