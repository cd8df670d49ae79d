"""Sending steps and reading answers: mistakes that no other test noticed (tests/mutants).

The scripts run in a real sh, where `sleep` only counts; the rest on toy nodes in virtual time.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hactl.core.operations import Kind
from hactl.core.pace.approval import Approval
from hactl.core.pace.backoff import Attempts
from hactl.core.pace.circuit_breaker import fleet_silent
from hactl.core.pace.outcome import StageOutcome
from hactl.core.script import FRAME, StepResult, read_answer, step_budget_seconds, step_script
from hactl.core.steps import Check, Outcome, Plan, Risk, Stage, Step
from hactl.errors import NodeGarbled
from hactl.ports import Answer, Target
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import PassResult, Request
from support.toy_world import (
    PASSWORD,
    ToyLock,
    ToyNodes,
    ToyStore,
    VirtualClock,
    accept,
    make_document,
    make_step,
    play,
    resolve,
    toy_audit,
    toy_changes,
    toy_parse,
    toy_plan,
    toy_probe,
    toy_status,
)

NONCE = "0123456789abcdef"
DASH = shutil.which("dash") or "/bin/sh"


# -- a step in sh -----------------------------------------------------------------------------------------------------


def step(command: str, *, before: str = "true", after: str = "true", within_seconds: float = 0.0) -> Step:
    """A step with a condition before and one after it."""
    return Step(
        "a",
        "LoadModule",
        "one",
        "because",
        command,
        Risk.NONE,
        before=(Check("it may", before),),
        after=(Check("it is so", after, within_seconds),),
    )


def run(each: Step, place: Path, **programs: str) -> StepResult:
    """Carry it out in a real sh, in that directory, where `sleep` only leaves a mark."""
    stubs = {"sleep": "echo slept >> slept", **programs}
    text = "\n".join(f"{name}() {{ {body}; }}" for name, body in stubs.items())
    script = f"{text}\n{step_script(each, {}, NONCE)}"
    ran = subprocess.run([DASH, "-s"], input=script, text=True, cwd=place, capture_output=True, timeout=30, check=False)
    return read_answer(each, ran.stdout, NONCE, exit_status=ran.returncode, timed_out=False)


def test_a_step_whose_condition_does_not_hold_changes_nothing(tmp_path: Path) -> None:
    """The node tests it itself and says which."""
    result = run(step("touch done", before="false"), tmp_path)
    assert result.outcome is Outcome.FAILED
    assert "it is no longer true that it may" in result.reason
    assert list(tmp_path.iterdir()) == []
    assert run(step("touch done"), tmp_path).outcome is Outcome.DONE


def test_a_step_without_its_effect_is_not_done(tmp_path: Path) -> None:
    """However well the command ended."""
    result = run(step("true", after="test -e done"), tmp_path)
    assert result.outcome is Outcome.FAILED
    assert "it is so did not become true" in result.reason


def test_a_command_that_fails_is_not_done(tmp_path: Path) -> None:
    """However well the conditions after it hold."""
    result = run(step("echo no; exit 3"), tmp_path)
    assert (result.outcome, result.exit_status, result.output) == (Outcome.FAILED, 3, "no")


def test_an_effect_that_takes_time_is_waited_for_and_not_longer_than_allowed(tmp_path: Path) -> None:
    """Twice a second."""
    third = '[ -e slept ] && [ "$(wc -l < slept)" -ge 3 ]'
    assert run(step("true", after=third, within_seconds=2.0), tmp_path).outcome is Outcome.DONE
    (tmp_path / "slept").unlink()
    assert run(step("true", after=third, within_seconds=1.0), tmp_path).outcome is Outcome.FAILED
    assert (tmp_path / "slept").read_text().count("slept") == 2


def test_the_time_for_the_conditions_after_is_part_of_the_budget() -> None:
    """The node must not be killed while it waits."""
    each = step("true", within_seconds=35.0)
    assert step_budget_seconds(each) - step_budget_seconds(step("true")) == 35.0


def test_hastctl_has_a_time_limit_of_its_own() -> None:
    """One stuck worker of hastd would hang it for ever (docs/freebsd-facts.md#2.4)."""
    script = step_script(replace(step("true"), timeout_seconds=30.0), {}, NONCE)
    assert 'hastctl() { command timeout -k 2 30 hastctl "$@"; }' in script


@pytest.mark.parametrize(
    ("text", "timed_out", "truncated"),
    [
        (f"{FRAME} {NONCE} begun\nsome output\n", False, False),
        (f"{FRAME} {NONCE} begun\nsome output\n", True, False),
        (f"{FRAME} {NONCE} begun\nsome output\n", False, True),
        (f"{FRAME} {NONCE} begun\n{FRAME} fedcba9876543210 done\n", False, False),
        (f"{FRAME} {NONCE} begun\n{FRAME} fedcba9876543210 exit 1\n", False, False),
        ("", False, False),
    ],
    ids=["cut", "timed out", "too much", "another's frame: done", "another's frame: failed", "nothing"],
)
def test_whatever_leaves_room_for_doubt_is_indeterminate(text: str, timed_out: bool, truncated: bool) -> None:
    """It may have run, so nobody may call it failed, and a command's output is no frame of ours."""
    result = read_answer(step("true"), text, NONCE, exit_status=0, timed_out=timed_out, truncated=truncated)
    assert result.outcome is Outcome.INDETERMINATE


# -- carrying out -----------------------------------------------------------------------------------------------------


class Recording(ToyNodes):
    """Toy nodes that remember how they were asked."""

    def __init__(self, clock: VirtualClock) -> None:
        """Nobody has asked yet."""
        super().__init__(clock)
        self.asked: list[dict[str, Any]] = []

    async def run(self, target: Target, script: str, **options: Any) -> Answer:
        """As ToyNodes."""
        self.asked.append({"node": target.node, **options})
        return await super().run(target, script, **options)


async def execute(nodes: ToyNodes, clock: VirtualClock, *steps: Step) -> tuple[StageOutcome, ToyStore]:
    """Carry out one stage."""
    store = ToyStore()
    store.leases["pair"] = 1000
    resolved = await resolve(make_document(), 1)
    plan = Plan("pair", 1, (Stage("test", steps),))
    context = ExecutionContext(plan, resolved.targets, resolved.secret, "tester", "test", 1000)
    try:
        executor = Executor(nodes, store, clock)
        return await executor.execute(context, plan.stages[0], stop=asyncio.Event()), store
    finally:
        await nodes.close()


def test_nothing_follows_a_step_that_nobody_knows_the_end_of() -> None:
    """It may still run, or have done half."""

    async def story() -> None:
        clock = VirtualClock()
        nodes = ToyNodes(clock)
        nodes.node("a").lose_answer = True
        outcome, _ = await execute(nodes, clock, make_step("a", "one"), make_step("a", "two"))
        assert [each.result.outcome for each in outcome.ended] == [Outcome.INDETERMINATE]
        assert [each.target for each in outcome.not_run] == ["two"]
        assert len(nodes.node("a").received) == 1

    play(story)


def test_a_node_that_does_not_answer_in_time_may_have_done_it() -> None:
    """Indeterminate: look again, never resend."""

    class Stuck(ToyNodes):
        async def run(self, target: Target, script: str, **options: Any) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    async def story() -> None:
        clock = VirtualClock()
        outcome, _ = await execute(Stuck(clock), clock, make_step("a", "one"))
        assert [each.result.outcome for each in outcome.ended] == [Outcome.INDETERMINATE]

    play(story)


def test_a_step_excludes_the_nodes_own_hook() -> None:
    """Both take the node's lock."""

    async def story() -> None:
        clock = VirtualClock()
        nodes = Recording(clock)
        await execute(nodes, clock, make_step("a", "one"))
        assert [each["exclusive"] for each in nodes.asked] == [True]

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
        clock = VirtualClock()
        outcome, store = await execute(Complaining(clock), clock, make_step("a", "two", secret=True))
        shown = repr(outcome) + repr(store.writes)
        assert "********" in shown
        assert PASSWORD not in shown

    play(story)


# -- who may act ------------------------------------------------------------------------------------------------------


class Desk:
    """Everything a pass needs."""

    def __init__(self, *, nodes: ToyNodes | None = None, clock: VirtualClock | None = None, **options: Any) -> None:
        """On toy parts."""
        self.clock = clock or VirtualClock()
        self.store = ToyStore()
        self.nodes = nodes or ToyNodes(self.clock)
        observer = Observer(self.nodes, self.clock, b"salt", script=toy_probe, parse=toy_parse)
        executor = Executor(self.nodes, self.store, self.clock)
        toys = {
            "resolve": resolve, "lock": ToyLock().cluster, "plan": toy_plan, "second_opinion": toy_audit,
            "judge": toy_status, "compare": toy_changes, **options,
        }  # fmt: skip
        self.reconciler = Reconciler(observer, executor, self.store, self.clock, random.Random(5), **toys)

    async def look(self, **options: Any) -> PassResult:
        """One pass."""
        accepted = options.pop("accepted", None) or accept()
        return await self.reconciler.reconcile(Request(accepted, stop=asyncio.Event(), **options))

    @property
    def begun(self) -> int:
        """Steps on record."""
        return sum(write[0] == "begin" for write in self.store.writes)


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
        desk = Desk(judge=suspended)
        result = await desk.look()
        assert (desk.begun > 0) is acts
        assert (result.next, result.after_seconds) == ("again", 0.0)

    def suspended(*args: Any, **rest: Any) -> dict[str, Any]:
        loop: Any = asyncio.get_running_loop()
        loop.jump(seconds)
        return toy_status(*args, **rest)

    play(story)


def test_an_approval_is_for_the_commands_it_was_given_for() -> None:
    """The same step with another command was not approved."""
    approved = Plan("pair", 1, (Stage("s", (step("kldload one"),)), Stage("t", (step("kldload two"),))))
    approval = Approval()
    assert approval.covers(approved, approved.digest)
    assert approval.covers(replace(approved, stages=approved.stages[1:]), approved.digest)
    other = replace(approved, stages=(Stage("s", (step("kldload three"),)),))
    assert not approval.covers(other, approved.digest)


def test_an_approval_ends_with_its_generation() -> None:
    """Another document was not what the person looked at, even if its first steps are the same."""

    async def story() -> None:
        desk = Desk()
        first = accept(make_document(mode="Propose"))
        digest = (await desk.look(accepted=first)).plan.digest
        assert (await desk.look(accepted=first, approved=digest)).outcome is not None
        second = replace(accept(make_document(mode="Propose", note="another")), generation=first.generation + 1)
        result = await desk.look(accepted=second, approved=digest)
        assert result.gate == "WaitingForApproval"
        assert result.outcome is None

    play(story)


def test_newfs_of_a_dead_process_may_run_for_its_whole_time() -> None:
    """What destroys nothing is over, or harmless, sooner."""
    attempts = Attempts(random.Random(3).random)
    for risk, seconds in ((Risk.DESTRUCTIVE, 600.0), (Risk.NONE, 20.0)):
        each = replace(make_step("a", "one"), risk=risk, timeout_seconds=600.0)
        attempts.note_cut(each.key, 50.0)
        assert attempts.quiet_at(Stage("s", (each,))) >= 50.0 + seconds
    assert attempts.quiet_at(Stage("s", (make_step("a", "one"),))) <= 50.0 + 60.0


def test_a_paused_cluster_is_planned_and_not_changed() -> None:
    """Until it is resumed."""

    async def story() -> None:
        desk = Desk(plan=planned, judge=judged)
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


@pytest.mark.parametrize(
    ("silent", "answering", "suspected"),
    [(2, 0, False), (3, 3, True), (3, 4, False), (4, 4, True), (0, 5, False)],
)
def test_when_our_own_network_is_suspected(silent: int, answering: int, suspected: bool) -> None:
    """Three silent nodes that are at least half of all."""
    looks = [("c", f"s{n}", False) for n in range(silent)] + [("c", f"a{n}", True) for n in range(answering)]
    assert bool(fleet_silent(looks)) is suspected
