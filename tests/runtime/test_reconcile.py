"""One pass, and passes until the end: safety around acting, trouble, approval, stops, kills."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Kind
from hactl.core.pace.convergence import Summary
from hactl.core.pace.result import PassResult
from hactl.core.steps import Hold, Outcome, Plan
from hactl.errors import InvariantBroken, SecretError
from hactl.ports import Document
from hactl.runtime.converge import converge
from hactl.runtime.passes.execute import Executor
from hactl.runtime.passes.observe import Depth, Observer
from hactl.runtime.passes.reconcile import Decisions, Reconciler
from hactl.runtime.passes.types import Accepted, Access, PassRequest, ResolvedCluster
from support.toy_world import (
    PASSWORD,
    WANTED,
    ToyLock,
    ToyNodes,
    ToyStore,
    VirtualClock,
    accept,
    make_document,
    play,
    resolve,
    toy_audit,
    toy_changes,
    toy_parse,
    toy_plan,
    toy_probe,
    toy_status,
)


@dataclass
class Desk:
    """A process: everything a pass needs, on toy parts that outlive it."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    store: ToyStore = field(default_factory=ToyStore)
    lock: ToyLock = field(default_factory=ToyLock)
    nodes: ToyNodes = None  # type: ignore[assignment]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = self.nodes or ToyNodes(self.clock)
        self.reconciler = make_reconciler(self.nodes, self.store, self.lock, self.clock, **self.options)

    def reborn(self) -> Desk:
        """The process died; a new one starts with the same nodes and the same record."""
        self.store.before_write = None
        return Desk(clock=self.clock, store=self.store, lock=ToyLock(), nodes=self.nodes, options=self.options)

    async def look(self, accepted: Accepted | None = None, **options: Any) -> PassResult:
        """One pass."""
        return await self.reconciler.reconcile(PassRequest(accepted or accept(), stop=self.stop, **options))

    async def converge(self, accepted: Accepted | None = None, **options: Any) -> Summary:
        """Passes until the end."""
        timeout_seconds = options.pop("timeout_seconds", 600.0)
        request = PassRequest(accepted or accept(), **{"actor": "tester", "stop": self.stop, **options})
        summary = await converge(self.reconciler, self.clock, request, timeout_seconds=timeout_seconds)
        await self.nodes.close()
        return summary

    async def approve(self, digest: str) -> None:
        """A person approves that plan."""
        approval = {"kind": "Approve", "cluster": "pair", "actor": "root", "detail": {"digest": digest}}
        await self.store.open_operation(approval)

    @property
    def begun(self) -> int:
        """Steps on record."""
        return sum(write[0] == "begin" for write in self.store.writes)

    @property
    def modules(self) -> dict[str, dict[str, bool]]:
        """What is loaded where."""
        return {node: self.nodes.node(node).modules for node in "ab"}


ALL = {node: dict.fromkeys(WANTED, True) for node in "ab"}


def make_reconciler(nodes: ToyNodes, store: ToyStore, lock: ToyLock, clock: VirtualClock, **options: Any) -> Reconciler:
    """A reconciler on toy parts."""
    observer = options.pop("observer", Observer)(nodes, clock, b"salt", script=toy_probe, parse=toy_parse)
    access = Access(options.pop("resolve", resolve), lock.cluster, lambda row: row["document"])
    toys = {
        "plan": toy_plan,
        "audit": toy_audit,
        "status": toy_status,
        "changes": toy_changes,
        "chance": random.Random(5),
    }
    decisions = Decisions(**{**toys, **options})
    return Reconciler(observer, Executor(nodes, store, clock), store, clock, access, decisions=decisions)


# -- one pass ---------------------------------------------------------------------------------------------------------


def test_a_pass_carries_out_the_first_stage_only() -> None:
    """Then the world is to be looked at again, at once."""

    async def story() -> None:
        desk = Desk()
        result = await desk.look()
        assert result.outcome is not None
        assert result.outcome.done
        assert (result.next, result.after_seconds) == ("again", 0.0)
        assert desk.modules == {"a": {"one": True}, "b": {"one": True}}

    play(story)


def test_an_unchanged_pass_writes_nothing_and_costs_one_exec_per_node() -> None:
    """Not even a timestamp."""

    async def story() -> None:
        desk = Desk()
        await desk.converge()
        writes, probes = len(desk.store.writes), desk.nodes.node("a").probes
        for _ in range(3):
            result = await desk.look()
            assert (result.next, result.converged) == ("wait", True)
            assert 30.0 <= result.after_seconds <= 36.0
        assert len(desk.store.writes) == writes
        assert desk.nodes.node("a").probes == probes + 3

    play(story)


def test_a_quiet_cluster_gets_quick_looks_and_nothing_else_does() -> None:
    """Whatever may have happened, and whatever is to be changed, is looked at in full first (docs/safety.md#I6)."""
    depths: list[str] = []

    class Noting(Observer):
        async def observe(self, *given: Any, depth: Depth = Depth.FULL, **named: Any) -> Snapshot:
            depths.append(depth.value)
            return await super().observe(*given, depth=depth, **named)

    async def story() -> None:
        desk = Desk(options={"observer": Noting})
        await desk.converge()
        assert set(depths) == {"full"}
        depths.clear()
        await desk.look()
        await desk.look(cause="incident")
        await desk.look(cause="spec")
        assert depths == ["quick", "full", "full"]
        depths.clear()
        # A quick look that finds work: it is not acted on before another, full one under the lock.
        del desk.nodes.node("a").modules["one"]
        result = await desk.look()
        assert result.outcome is not None
        assert depths == ["quick", "full"]
        depths.clear()
        await desk.look()
        assert depths == ["full"]

    play(story)


def test_a_new_process_that_finds_nothing_changed_writes_nothing() -> None:
    """The status on record is what it compares with."""

    async def story() -> None:
        desk = Desk()
        await desk.converge()
        writes = len(desk.store.writes)
        await desk.reborn().look()
        assert len(desk.store.writes) == writes

    play(story)


def test_a_new_process_judges_against_the_status_on_record() -> None:
    """Times of the last transitions survive a restart."""
    seen: list[Any] = []

    def judge(*args: Any, previous: Any, **rest: Any) -> dict[str, Any]:
        seen.append(previous)
        return toy_status(*args, **rest)

    async def story() -> None:
        desk = Desk(options={"status": judge})
        await desk.look()
        await desk.reborn().look()
        assert seen[0] is None
        assert seen[-2]["metadata"] == {"name": "pair"}

    play(story)


def test_a_plan_the_audit_complains_about_stops_the_process_before_anything_happens() -> None:
    """InvariantBroken is not an Exception, and nothing was recorded or sent."""

    async def story() -> None:
        desk = Desk(options={"audit": lambda *_: ("a would be the second primary",)})
        with pytest.raises(InvariantBroken, match="second primary"):
            await desk.look()
        assert desk.modules == {"a": {}, "b": {}}
        assert desk.store.writes == []

    play(story)


@pytest.mark.parametrize(("mode", "gate"), [("Observe", "Observe"), ("Propose", "WaitingForApproval")])
def test_modes_that_only_look_never_touch_and_say_so(mode: str, gate: str) -> None:
    """The plan is there, the reason is a hold in the status."""

    async def story() -> None:
        desk = Desk()
        accepted = accept(make_document(mode=mode))
        for _ in range(3):
            result = await desk.look(accepted)
        assert result.gate == gate
        assert result.plan.stages
        assert any("mode is" in text for text in result.status["holds"])
        assert desk.nodes.node("a").received == []
        assert (await desk.converge(accepted)).end == "held"

    play(story)


def test_an_approved_plan_is_carried_out_to_its_end_and_nothing_else_is() -> None:
    """The rest of an approved plan counts as approved; a step that was not in it does not."""

    async def story() -> None:
        desk = Desk()
        accepted = accept(make_document(mode="Propose"))
        desk.nodes.node("a").modules["three"] = True
        digest = (await desk.look(accepted)).plan.digest
        await desk.approve("0" * 12)
        wrong = await desk.converge(accepted)
        assert (wrong.end, wrong.ended) == ("held", ())
        await desk.approve(digest)

        def tamper(write: str) -> None:
            if write == "begin":
                desk.nodes.node("a").modules.pop("three", None)

        desk.store.before_write = tamper
        summary = await desk.converge(accepted)
        assert summary.end == "held"
        assert {(step.node, step.target) for step in summary.done} == {
            (node, module) for node in "ab" for module in ("one", "two")
        }
        assert [str(step.key) for step in summary.left] == ["a LoadModule three", "b LoadModule three"]

    play(story)


def test_another_process_at_work_means_looking_only() -> None:
    """Busy: the status is kept, nothing is touched, and it is tried again soon."""

    async def story() -> None:
        desk = Desk()
        desk.lock.held.add("pair")
        for _ in range(2):
            result = await desk.look()
            assert (result.gate, result.outcome) == ("Busy", None)
            assert result.after_seconds < 4.0
        assert desk.nodes.node("a").received == []
        assert desk.store.kept["pair"]["steps"]
        desk.lock.held.clear()
        assert (await desk.look()).outcome is not None

    play(story)


def test_what_is_done_is_planned_on_facts_seen_while_the_lock_was_held() -> None:
    """What another process did before we got the lock is seen, not repeated."""

    async def story() -> None:
        desk = Desk()

        class Late(ToyLock):
            def cluster(self, name: str) -> Any:
                for node in "ab":
                    desk.nodes.node(node).modules["one"] = True
                return super().cluster(name)

        desk.reconciler = make_reconciler(desk.nodes, desk.store, Late(), desk.clock)
        result = await desk.look()
        assert result.outcome is not None
        assert {ended.step.target for ended in result.outcome.ended} == {"two"}

    play(story)


def test_without_a_record_it_keeps_looking_says_so_and_does_not_act() -> None:
    """And goes on where it was when the record is back."""

    async def story() -> None:
        desk = Desk()
        desk.store.broken = True
        result = await desk.look()
        assert result.gate == "Store"
        assert result.plan.stages
        assert result.status["problems"] == ["store unavailable: database or disk is full"]
        assert desk.nodes.node("a").received == []
        assert (await desk.converge()).end == "store"
        desk.store.broken = False
        assert (await desk.converge()).end == "converged"

    play(story)


def test_a_record_that_breaks_during_a_stage_ends_the_pass_without_another_step() -> None:
    """One step ran, its outcome is unknown to the record; nothing follows."""

    async def story() -> None:
        desk = Desk()
        accepted = accept(make_document(nodes=["a"]))
        desk.store.broken_after = 2
        result = await desk.look(accepted)
        assert (result.gate, result.next) == ("Store", "wait")
        assert len(desk.nodes.node("a").received) == 1
        assert (await desk.look(accepted)).gate == "Store"
        assert len(desk.nodes.node("a").received) == 1

    play(story)


@pytest.mark.parametrize("kind", ["status", "begin"])
def test_a_record_that_fails_only_for_a_moment_costs_that_pass(kind: str) -> None:
    """Nothing is done in it; the next one works."""

    async def story() -> None:
        desk = Desk()
        desk.store.fail_once = kind
        accepted = accept(make_document(nodes=["a"]))
        assert (await desk.look(accepted)).gate == "Store"
        assert desk.nodes.node("a").received == []
        assert (await desk.look(accepted)).outcome is not None
        assert desk.store.events[0] == ("PlanChanged", "pair", "a LoadModule one, a LoadModule two, a LoadModule three")

    play(story)


def test_events_that_could_not_be_recorded_are_recorded_later_each_once() -> None:
    """A status and its events are one: they wait together for the record."""

    def two(previous: Any, current: Any) -> list[tuple[str, str, None, None]]:
        return [("PlanChanged", "first", None, None), ("HoldChanged", "second", None, None)]

    async def story() -> None:
        desk = Desk(options={"changes": two})
        desk.store.broken = True
        accepted = accept(make_document(mode="Observe"))
        await desk.look(accepted)
        assert desk.store.events == []
        desk.store.broken = False
        await desk.look(accepted)
        await desk.look(accepted)
        assert [event[2] for event in desk.store.events] == ["first", "second"]

    play(story)


def test_references_that_do_not_resolve_are_a_problem_in_the_status() -> None:
    """Nothing is observed or touched; the message names the file and never the secret."""

    async def missing(document: Document, generation: int) -> ResolvedCluster:
        raise SecretError("clusters/secrets/files.carp: No such file or directory")

    async def story() -> None:
        desk = Desk(options={"resolve": missing})
        result = await desk.look()
        assert (result.gate, result.next) == ("References", "wait")
        assert result.status["problems"] == ["clusters/secrets/files.carp: No such file or directory"]
        assert isinstance(result.error, SecretError)
        assert (await desk.converge()).end == "refused"

    play(story)


def test_passing_holds_are_looked_at_soon_and_then_ever_more_rarely() -> None:
    """A synchronisation of hours is not polled every second."""

    def waiting(cluster: Cluster, snapshot: Snapshot, now: float, **rest: Any) -> Plan:
        return Plan(cluster.name, 1, holds=(Hold("Syncing", "data: 5 GiB to go", passing=True),))

    async def story() -> None:
        desk = Desk(options={"plan": waiting})
        waits = []
        for _ in range(60):
            result = await desk.look()
            waits.append(result.after_seconds)
            await asyncio.sleep(result.after_seconds)
        assert 1.0 <= waits[0] <= 2.0
        assert 8.0 <= waits[-1] <= 12.0

    play(story)


# -- failures ---------------------------------------------------------------------------------------------------------


def test_a_step_that_keeps_failing_is_not_hammered_and_the_status_says_what_failed() -> None:
    """In ten minutes it is tried a handful of times, each later than the last; others go on."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("a").cannot.add("one")
        began = desk.clock.monotonic()
        while desk.clock.monotonic() < began + 600:
            result = await desk.look()
            await asyncio.sleep(max(result.after_seconds, 0.01))
        tries = [at - began for at, module in desk.nodes.node("a").received if module == "one"]
        assert 4 <= len(tries) <= 10
        gaps = [after - before for before, after in pairwise(tries)]
        assert gaps[-1] > 8 * gaps[0]
        assert "exit status 1" in desk.store.kept["pair"]["failing"]["a LoadModule one"]
        assert desk.modules["b"] == dict.fromkeys(WANTED, True)

    play(story)


@pytest.mark.parametrize("seed", range(8))
def test_apply_gives_up_on_a_step_that_failed_three_times_in_a_row(seed: int) -> None:
    """The summary has what was done, what failed, and what is left; resting between tries is not stalled."""

    async def story() -> None:
        desk = Desk(options={"chance": random.Random(seed)})
        desk.nodes.node("b").cannot.add("three")
        summary = await desk.converge()
        assert summary.end == "stalled"
        assert [(str(e.step.key), e.result.outcome) for e in summary.ended if e.result.outcome is not Outcome.DONE] == [
            ("b LoadModule three", Outcome.FAILED)
        ] * 3
        assert [str(step.key) for step in summary.left] == ["b LoadModule three"]
        assert summary.last is not None
        assert (
            "3 times in a row" in {str(key): what for key, what in summary.last.failing.items()}["b LoadModule three"]
        )

    play(story)


def test_after_a_lost_answer_the_facts_decide_and_nothing_is_sent_twice() -> None:
    """The step had run: the next look sees it."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("a").lose_answer = True
        summary = await desk.converge()
        assert summary.end == "converged"
        unknown = [each.step for each in summary.ended if each.result.outcome is Outcome.INDETERMINATE]
        assert [str(step.key) for step in unknown] == ["a LoadModule one"]
        assert [module for _, module in desk.nodes.node("a").received] == list(WANTED)

    play(story)


def test_a_step_that_may_still_run_is_waited_for_before_its_node_gets_another() -> None:
    """The module loads long after we stopped listening: the toy node asserts that it is never loaded twice."""

    async def story() -> None:
        desk = Desk()
        node = desk.nodes.node("a")
        node.work_seconds, node.lose_answer = 20.0, False
        desk.nodes.node("b").work_seconds = 0.1

        task = asyncio.ensure_future(desk.look())
        await asyncio.sleep(2.0)
        desk.stop.set()
        result = await task
        assert result.outcome is not None
        assert [str(e.step.key) for e in result.outcome.trouble] == ["a LoadModule one"]
        desk.stop.clear()
        summary = await desk.converge()
        assert summary.end == "converged"
        assert [module for _, module in node.received] == list(WANTED)

    play(story)


def test_a_dead_node_is_a_passing_hold_and_the_pair_converges_when_it_returns() -> None:
    """Nothing is sent to it meanwhile."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("b").unreachable = True
        asyncio.get_running_loop().call_later(60, setattr, desk.nodes.node("b"), "unreachable", False)
        summary = await desk.converge()
        assert summary.end == "converged"
        assert 60 < summary.seconds < 80
        assert desk.modules == ALL

    play(story)


def test_the_deadline_ends_apply_between_passes() -> None:
    """Not in the middle of a stage."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("b").unreachable = True
        summary = await desk.converge(timeout_seconds=30)
        assert summary.end == "deadline"
        assert 30 <= summary.seconds < 45
        assert all(step["outcome"] == "Done" for step in desk.store.steps.values())

    play(story)


def test_only_a_person_can_help_is_stalled_after_a_second_look() -> None:
    """A hold that does not pass ends apply quickly."""
    plans: list[float] = []

    def held(cluster: Cluster, snapshot: Snapshot, now: float, **rest: Any) -> Plan:
        plans.append(now)
        return Plan(cluster.name, 1, holds=(Hold("SplitBrain", "both copies were written"),))

    async def story() -> None:
        summary = await Desk(options={"plan": held}).converge()
        assert (summary.end, summary.holds[0].reason) == ("stalled", "SplitBrain")
        assert len(plans) >= 2
        assert summary.seconds < 10

    play(story)


def test_what_was_just_changed_gets_time_to_settle_before_apply_calls_it_stalled() -> None:
    """A node that is gone for a moment after a step is not the end."""

    def strict(cluster: Cluster, snapshot: Snapshot, now: float, **rest: Any) -> Plan:
        plan = toy_plan(cluster, snapshot, now, **rest)
        return replace(plan, holds=tuple(replace(hold, passing=False) for hold in plan.holds))

    async def story(seconds: float) -> str:
        desk = Desk(options={"plan": strict})

        def vanish(write: str) -> None:
            if write == "end" and desk.modules == {"a": {"one": True}, "b": {"one": True}}:
                for name in "ab":
                    desk.nodes.node(name).unreachable = True
                    asyncio.get_running_loop().call_later(seconds, setattr, desk.nodes.node(name), "unreachable", False)

        desk.store.before_write = vanish
        return (await desk.converge()).end

    assert play(lambda: story(15)) == "converged"
    assert play(lambda: story(60)) == "stalled"


@pytest.mark.parametrize("at", [0.05, 0.15, 0.5, 1.0, 1.5, 2.0, 2.5])
def test_stopped_at_any_moment_apply_says_what_was_done_and_what_was_not(at: float) -> None:
    """Ctrl-C: no step is cut, none begins, and the next apply goes on from there."""

    async def story() -> None:
        desk = Desk()
        asyncio.get_running_loop().call_later(at, desk.stop.set)
        summary = await desk.converge()
        assert summary.end == "stopped"
        assert summary.seconds < at + 6.0
        assert {(step.node, step.target) for step in summary.done} == {
            (node, module) for node in "ab" for _, module in desk.nodes.node(node).applied
        }
        assert all(step["outcome"] == "Done" for step in desk.store.steps.values())
        assert (await desk.reborn().converge()).end == "converged"

    play(story)


class Killed(BaseException):
    """The process died here (kill -9)."""


def test_killed_before_any_write_to_the_record_the_next_process_converges() -> None:
    """kill -9 at every boundary: nothing is repeated (the toy nodes assert it) and everything gets done."""

    async def story() -> int:
        boundary = 0
        while True:
            desk = Desk()
            countdown = boundary

            def kill(kind: str) -> None:
                nonlocal countdown
                if countdown == 0:
                    raise Killed
                countdown -= 1

            desk.store.before_write = kill
            end = (await asyncio.gather(desk.converge(), return_exceptions=True))[0]
            if isinstance(end, Summary):
                return boundary
            assert isinstance(end, Killed | BaseExceptionGroup)
            await desk.nodes.close()
            summary = await desk.reborn().converge()
            assert summary.end == "converged", boundary
            assert desk.modules == ALL
            for node in "ab":
                assert [module for _, module in desk.nodes.node(node).applied] == list(WANTED)
            boundary += 1

    boundaries = play(story)
    assert boundaries > 12


@pytest.mark.parametrize("trouble", ["cannot", "lose_answer", "overrun"])
@pytest.mark.parametrize("node", ["a", "b"])
@pytest.mark.parametrize("module", WANTED)
def test_each_step_may_fail_be_lost_or_overrun_once_and_the_pair_still_converges(
    trouble: str, node: str, module: str
) -> None:
    """Die everywhere: one trouble at any step costs time only."""

    async def story() -> None:
        class Spoiling(ToyStore):
            """Makes trouble on the node as soon as the step is on record."""

            async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
                number = await super().begin_step(record, lease=lease)
                if (record["node"], record["target"]) == (node, module) and not spoilt:
                    spoilt.append(True)
                    machine = desk.nodes.node(node)
                    if trouble == "cannot":
                        machine.cannot.add(module)
                        asyncio.get_running_loop().call_later(1.0, machine.cannot.clear)
                    else:
                        setattr(machine, trouble, True)
                return number

        desk = Desk(store=Spoiling())
        spoilt: list[bool] = []
        summary = await desk.converge()
        assert spoilt
        assert summary.end == "converged"
        assert desk.modules == ALL
        assert len(summary.ended) - len(summary.done) == 1

    play(story)


def test_no_secret_in_anything_a_whole_run_records_logs_or_returns(caplog: pytest.LogCaptureFixture) -> None:
    """The toy nodes print the password they got; it is in their script only."""
    caplog.set_level(logging.DEBUG)

    async def story() -> tuple[Desk, Summary]:
        desk = Desk()
        desk.nodes.node("a").cannot.add("two")
        return desk, await desk.converge()

    desk, summary = play(story)
    logged = "".join(repr(record.__dict__) for record in caplog.records)
    everything = repr(summary) + repr(desk.store.__dict__) + logged
    assert "********" in everything
    assert PASSWORD not in everything


def test_a_new_generation_does_not_wait_for_the_failures_of_the_old_one() -> None:
    """The document changed: try at once."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("a").cannot.add("one")
        await desk.converge()
        desk.nodes.node("a").cannot.clear()
        result = await desk.look(replace(accept(make_document(note="new")), generation=2))
        assert result.outcome is not None
        assert ("a", "one") in {(ended.step.node, ended.step.target) for ended in result.outcome.ended}

    play(story)


def test_the_status_shown_while_the_record_is_broken_is_the_newest() -> None:
    """Observing goes on; what is seen is returned even though it cannot be kept."""

    async def story() -> None:
        desk = Desk()
        await desk.converge()
        desk.store.broken = True
        desk.nodes.node("a").modules.pop("three")
        status: Mapping[str, Any] = (await desk.look()).status
        assert status["steps"] == ["a LoadModule three"]
        assert status["problems"]

    play(story)


def test_a_step_that_was_cut_with_its_process_is_not_sent_again_while_it_may_still_run() -> None:
    """The record has an intent without an outcome: the same step waits until the node has surely killed the first."""

    async def story() -> None:
        desk = Desk()
        step = (await desk.reconciler.look(accept()))[2].steps[0]
        await desk.store.begin_step(
            {"cluster": "pair", "generation": 1, "node": step.node, "verb": step.verb, "target": step.target}
        )
        await asyncio.sleep(10)
        began = desk.clock.monotonic()
        summary = await desk.reborn().converge()
        assert summary.end == "converged"
        assert 9 <= desk.nodes.node(step.node).received[0][0] - began <= 15

    play(story)


def test_a_newer_controller_stops_this_one_on_that_cluster_until_its_record_gives_it_a_newer_lease() -> None:
    """It goes on looking and says so; another process on the same record, or a restart, settles it."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("a").lease = desk.nodes.node("b").lease = 2000
        assert (await desk.look()).next == "failed"
        for _ in range(3):
            writes = len(desk.store.writes)
            result = await desk.look()
            assert (result.gate, result.outcome) == ("LeaseLost", None)
        assert len(desk.store.writes) == writes
        assert "a newer controller (lease 2000)" in str(desk.store.kept["pair"]["holds"])
        assert desk.modules == {"a": {}, "b": {}}
        assert not result.failing
        assert (await desk.converge()).end == "held"
        desk.store.leases["pair"] = 2001
        assert (await desk.converge()).end == "converged"
        assert desk.modules == ALL

    play(story)


def test_the_nodes_own_hook_at_work_is_waited_for_and_is_no_failure() -> None:
    """It is tried again without a pause that grows, and nobody is told of a failing step."""

    async def story() -> None:
        desk = Desk()
        desk.nodes.node("a").hook_at_work = 4
        summary = await desk.converge()
        assert (summary.end, desk.modules) == ("converged", ALL)
        assert summary.seconds < 120

    play(story)


def test_a_process_that_was_suspended_between_look_and_act_looks_again() -> None:
    """The snapshot is too old then, whatever it said."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        judged = []

        def suspend(*args: Any, **rest: Any) -> dict[str, Any]:
            judged.append(args)
            if len(judged) == 2:
                loop.jump(3600.0)  # type: ignore[attr-defined]
            return toy_status(*args, **rest)

        desk = Desk(options={"status": suspend})
        result = await desk.look()
        assert (result.next, result.after_seconds, result.outcome) == ("again", 0.0, None)
        assert desk.modules == {"a": {}, "b": {}}
        assert (await desk.look()).outcome is not None

    play(story)


def test_a_newer_generation_on_record_stops_the_older_one_from_acting() -> None:
    """Somebody handed in another document meanwhile: this process is out of date."""

    async def story() -> None:
        desk = Desk()
        for note in ("", "newer"):
            await desk.store.put_document(make_document(note=note), actor="person")
        for _ in range(2):
            result = await desk.look(accept())
            assert (result.gate, result.next) == ("Busy", "wait")
            assert "newer" in str(result.error)
            assert result.after_seconds >= 30
        assert desk.store.kept["pair"]["problems"] == ["not acting: generation 2 is newer"]
        assert desk.nodes.node("a").received == []
        assert (await desk.look(accept(make_document(note="newer"), 2))).outcome is not None
        assert desk.store.kept["pair"]["problems"] == []

    play(story)


def test_a_whole_run_on_the_shipped_record_in_memory() -> None:
    """The toy record is not what makes it work: steps, events and the status are where hactl history looks."""

    async def story() -> None:
        clock = VirtualClock()
        store = memory_record(clock=clock)
        desk = Desk(clock=clock, store=store)  # type: ignore[arg-type]
        document = make_document()
        accepted = accept(document, await store.put_document(document, actor="tester"))
        assert (await desk.converge(accepted)).end == "converged"
        steps = await store.history({"cluster": "pair", "kind": "Step"})
        assert [(row["node"], row["target"], row["outcome"]) for row in steps][-2:] == [
            ("a", "three", "Done"),
            ("b", "three", "Done"),
        ]
        assert {row["kind"] for row in await store.history({})} == {"DocumentAccepted", "PlanChanged", "StepEnded"}
        writes = store.backend.tables.writes
        again = make_reconciler(desk.nodes, store, ToyLock(), clock)  # type: ignore[arg-type]
        assert (await again.reconcile(PassRequest(accepted))).converged
        assert store.backend.tables.writes == writes

    play(story)


def test_a_pass_that_is_only_to_look_changes_nothing() -> None:
    """It says what it would do."""

    async def story() -> None:
        desk = Desk()
        for _ in range(3):
            result = await desk.look(act=False)
            assert result.gate == "LookOnly"
            assert result.plan.stages
        assert desk.begun == 0

    play(story)


@pytest.mark.parametrize(("seconds", "acts"), [(4.0, True), (6.0, False)])
def test_a_snapshot_that_grew_old_before_it_was_acted_on_is_not_acted_on(seconds: float, acts: bool) -> None:
    """The process was suspended, or its planner took long: look again."""

    async def story() -> None:
        desk = Desk(options={"status": suspended})
        result = await desk.look()
        assert (desk.begun > 0) is acts
        assert (result.next, result.after_seconds) == ("again", 0.0)

    def suspended(*args: Any, **rest: Any) -> dict[str, Any]:
        loop: Any = asyncio.get_running_loop()
        loop.jump(seconds)
        return toy_status(*args, **rest)

    play(story)


def test_an_approval_ends_with_its_generation() -> None:
    """Another document was not what the person looked at, even if its first steps are the same."""

    async def story() -> None:
        desk = Desk()
        first = accept(make_document(mode="Propose"))
        digest = (await desk.look(accepted=first)).plan.digest
        await desk.approve(digest)
        assert (await desk.look(accepted=first)).outcome is not None
        second = replace(accept(make_document(mode="Propose", note="another")), generation=first.generation + 1)
        result = await desk.look(accepted=second)
        assert result.gate == "WaitingForApproval"
        assert result.outcome is None

    play(story)


def test_a_paused_cluster_is_planned_and_not_changed() -> None:
    """Until it is resumed."""

    async def story() -> None:
        desk = Desk(options={"plan": planned, "status": judged})
        asked = {"cluster": "pair", "kind": Kind.PAUSE, "actor": "eve", "reason": "new switch"}
        await desk.store.open_operation(asked)
        result = await desk.look()
        assert result.gate == "Paused"
        assert result.plan.stages
        assert desk.begun == 0

    def planned(*args: Any, overrides: Any = None, **rest: Any) -> Plan:
        return toy_plan(*args, **rest)

    def judged(*args: Any, overrides: Any = None, **rest: Any) -> dict[str, Any]:
        return toy_status(*args, **rest)

    play(story)


def test_when_half_of_the_fleet_vanishes_the_rest_is_left_alone() -> None:
    """Our own network is suspected; one node that answers again ends it."""

    async def story() -> None:
        desk = Desk()
        for name in ("one", "two"):
            for node in "ab":
                desk.nodes.node(node, name).unreachable = True
        for name in ("one", "two"):
            await desk.look(accepted=accept(make_document(name)))
        result = await desk.look()
        assert result.gate == "FleetSilent"
        assert desk.begun == 0
        for node in "ab":
            desk.nodes.node(node, "one").unreachable = False
        await desk.look(accepted=accept(make_document("one")))
        assert (await desk.look()).outcome is not None

    play(story)
