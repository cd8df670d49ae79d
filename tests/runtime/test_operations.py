"""Requests of people in the loop: overrides for the planner, pauses, approvals, ends, moves on record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.operations import Operation, Overrides, State
from hactl.core.steps import Plan
from hactl.ports import Document
from runtime.test_controller import House
from runtime.test_reconcile import ALL, Desk
from support.toy_world import ToySource, VirtualClock, accept, make_document, play, toy_plan, toy_status

MOVE = {"kind": "Switchover", "cluster": "pair", "actor": "root", "group": "g", "node": "b", "detail": {"from": "a"}}


class World:
    """A toy planner that remembers what it was given, and a status with a group that is active somewhere."""

    def __init__(self) -> None:
        self.overrides: list[Overrides | None] = []
        self.active: str | None = "a"
        self.verdict: tuple[State, str] | None = None
        self.judged: list[tuple[int, dict[str, str]]] = []

    def options(self) -> dict[str, Any]:
        """For a Desk or a House."""
        return {"plan": self.plan, "status": self.status, "judge": self.judge}

    def plan(
        self, cluster: Cluster, snapshot: Snapshot, now: float, *, overrides: Overrides | None = None, **rest: Any
    ) -> Plan:
        """The toy plan."""
        self.overrides.append(overrides)
        plan = toy_plan(cluster, snapshot, now, **rest)
        goal = (overrides.moves.get("g") if overrides else None) or self.active
        return replace(plan, active={"g": self.active}, goals={"g": goal})

    def status(self, *args: Any, overrides: Overrides | None = None, **rest: Any) -> dict[str, Any]:
        """The toy status."""
        return toy_status(*args, **rest) | {"groups": [{"name": "g", "active": self.active}]}

    def judge(
        self,
        operation: Operation,
        cluster: Cluster,
        snapshot: Snapshot,
        plan: Plan,
        failing: Mapping[str, str],
        now: float,
    ) -> tuple[State, str] | None:
        """What the test says."""
        self.judged.append((operation.id, dict(failing)))
        return self.verdict


def started() -> tuple[World, Desk]:
    """A world and a process on it."""
    world = World()
    return world, Desk(options=world.options())


def test_the_planner_is_given_what_people_asked_for_and_nothing_when_they_did_not() -> None:
    """A move that is to begin later counts for nothing yet; the next look is when it begins."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        assert all(overrides == Overrides() for overrides in world.overrides)
        writes = len(desk.store.writes)
        later = desk.clock.now() + timedelta(seconds=10)
        await desk.store.open_operation(MOVE | {"not_before": later})
        result = await desk.look()
        assert world.overrides[-1] == Overrides()
        assert [each.id for each in result.operations] == [1]
        assert result.after_seconds == pytest.approx(10, abs=0.5)
        await asyncio.sleep(result.after_seconds)
        await desk.look()
        assert world.overrides[-1] == Overrides(moves={"g": "b"})
        assert len(desk.store.writes) == writes + 1
        assert world.judged == [(1, {})]

    play(story)


def test_a_person_who_asks_again_is_not_answered_from_what_failed_before() -> None:
    """What rested for minutes is tried at once, and the new operation is not judged by the old failure."""

    async def story() -> None:
        world, desk = started()
        desk.nodes.node("a").cannot.add("one")
        for _ in range(12):
            await desk.look()
        tried = len(desk.nodes.node("a").received)
        await desk.look()
        assert len(desk.nodes.node("a").received) == tried
        desk.nodes.node("a").cannot.clear()
        await desk.store.open_operation(MOVE)
        world.judged.clear()
        await desk.look()
        assert world.judged[0] == (1, {})
        assert len(desk.nodes.node("a").received) == tried + 1

    play(story)


def test_a_request_ends_when_the_facts_say_so_once() -> None:
    """Its end is on record with how; the planner is not given it any more."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        await desk.store.open_operation(MOVE)
        assert (await desk.look()).ended == ()
        world.verdict = (State.DONE, "g is served by b")
        (ended,) = (await desk.look()).ended
        assert (ended.id, ended.state, ended.message) == (1, State.DONE, "g is served by b")
        assert (await desk.look()).ended == ()
        assert world.overrides[-1] == Overrides()
        assert desk.store.writes[-1] == ("over", 1, "Done", "g is served by b")

    play(story)


def test_a_move_that_failed_ends_before_anything_more_is_done_and_the_group_goes_back() -> None:
    """The plan was made for the move: it is not carried out; for a while the planner is told where the group was."""

    async def story() -> None:
        world, desk = started()
        await desk.store.open_operation(MOVE)
        world.verdict = (State.FAILED, "umount: busy")
        result = await desk.look()
        assert (result.next, result.after_seconds, result.outcome) == ("again", 0.0, None)
        assert desk.modules == {"a": {}, "b": {}}
        await desk.converge()
        assert world.overrides[-1] == Overrides(returning={"g": "a"})
        await asyncio.sleep(1000)
        await desk.look()
        assert world.overrides[-1] == Overrides()

    play(story)


def test_a_failing_step_is_told_to_the_judge_but_an_honest_race_is_not() -> None:
    """What the node refused because something changed meanwhile was not run."""

    async def story() -> None:
        world, desk = started()
        await desk.store.open_operation(MOVE)
        desk.nodes.node("a").cannot.add("one")
        await desk.look()
        await desk.look()
        ((key, what),) = world.judged[-1][1].items()
        assert str(key) == "a LoadModule one"
        assert what.startswith("Failed once: exit status 1")

    play(story)


def test_the_end_of_a_request_that_could_not_be_recorded_is_recorded_later() -> None:
    """The record breaks just then."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        await desk.store.open_operation(MOVE)
        world.verdict = (State.DONE, "served")
        desk.store.fail_once = "over"
        assert (await desk.look()).ended == ()
        assert len((await desk.look()).ended) == 1

    play(story)


@pytest.mark.parametrize("cluster", ["pair", ""])
def test_a_paused_cluster_is_looked_at_and_not_changed_until_the_pause_is_over(cluster: str) -> None:
    """Of the cluster or of the whole fleet; it expires by itself, and the look for it is not a routine one."""

    async def story() -> None:
        _, desk = started()
        until = desk.clock.now() + timedelta(seconds=20)
        await desk.store.open_operation(
            {"kind": "Pause", "cluster": cluster, "actor": "root", "reason": "new switch", "expires_at": until}
        )
        result = await desk.look()
        assert (result.gate, bool(result.plan.stages)) == ("Paused", True)
        assert result.after_seconds <= 21
        assert (await desk.converge()).end == "held"
        await asyncio.sleep(20)
        result = await desk.look()
        assert [each.state for each in result.ended] == [State.EXPIRED]
        assert (await desk.converge()).end == "converged"
        assert desk.modules == ALL

    play(story)


def test_an_approved_digest_on_record_counts_like_one_on_the_command_line() -> None:
    """Another digest does not."""

    async def story() -> None:
        _, desk = started()
        accepted = accept(make_document(mode="Propose"))
        digest = (await desk.look(accepted)).plan.digest
        approve = {"kind": "Approve", "cluster": "pair", "actor": "root"}
        await desk.store.open_operation(approve | {"detail": {"digest": "0" * 12}})
        assert (await desk.look(accepted)).gate == "WaitingForApproval"
        await desk.store.open_operation(approve | {"detail": {"digest": digest}})
        assert (await desk.converge(accepted)).end == "converged"
        assert desk.modules == ALL

    play(story)


def test_without_a_record_the_last_known_requests_stay_in_force() -> None:
    """A pause is not forgotten because the database is locked."""

    async def story() -> None:
        world, desk = started()
        await desk.store.open_operation({"kind": "Pause", "cluster": "pair", "actor": "root"})
        await desk.look()
        desk.store.broken = True
        assert (await desk.look()).gate in ("Paused", "Store")
        assert world.overrides[-1] is not None
        assert world.overrides[-1].paused == "root"

    play(story)


# -- who moved --------------------------------------------------------------------------------------------------------


def moves(desk: Desk) -> list[tuple[str, str, str]]:
    """From, to, by whom."""
    return [(d["from"], d["to"], d["by"]) for kind, _, _, d in desk.store.changes if kind == "GroupMoved"]


def test_a_group_that_moved_is_on_record_with_who_did_it() -> None:
    """By the nodes, by us; being nowhere in between is no move of its own; a new process does not tell it again."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        assert moves(desk) == []
        for world.active in (None, "b", "b"):
            await desk.look()
        assert moves(desk) == [("a", "b", "nodes")]
        await desk.store.open_operation(MOVE | {"node": "a"})
        await desk.look()
        world.active = "a"
        await desk.look()
        assert moves(desk)[1:] == [("b", "a", "hactl")]
        await desk.reborn().look()
        assert len(moves(desk)) == 2

    play(story)


def test_a_move_that_a_restart_fell_into_is_on_record_nevertheless() -> None:
    """The process before saw the group nowhere; where it was before that is known from its last move."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        for world.active in ("b", None):
            await desk.look()
        world.active = "a"
        await desk.reborn().look()
        assert moves(desk) == [("a", "b", "nodes"), ("b", "a", "nodes")]

    play(story)


def test_a_group_that_moves_too_often_is_frozen_for_the_planner() -> None:
    """Four moves within an hour by default; also those of before a restart."""

    async def story() -> None:
        world, desk = started()
        await desk.converge()
        for world.active in ("b", "a", "b"):
            await desk.look()
        assert world.overrides[-1] == Overrides()
        world.active = "a"
        await desk.look()
        for process in (desk, desk.reborn()):
            await process.look()
            assert world.overrides[-1] is not None
            assert "4 times within an hour" in world.overrides[-1].frozen["g"]
        await asyncio.sleep(3601)
        await desk.look()
        assert world.overrides[-1] == Overrides()

    play(story)


def test_the_seconds_of_a_move_are_those_from_its_first_step_to_the_look_that_saw_it_arrive() -> None:
    """As the wall clock of the controller saw them."""

    async def story() -> None:
        world = World()
        clock = VirtualClock()
        store = memory_record(clock=clock)
        desk = Desk(clock=clock, store=store, options=world.options())  # type: ignore[arg-type]
        document = grouped()
        accepted = accept(document, await store.put_document(document, actor="root"))
        number = await store.open_operation(MOVE)
        step = {"cluster": "pair", "generation": 1, "plan": "x", "command": "", "risk": "outage", "why": "",
                "actor": "root", "cause": "request"}  # fmt: skip
        for verb, node, target in (
            ("SetSysctl", "b", "x"),
            ("StopService", "a", "nfsd"),
            ("StartService", "b", "nfsd"),
            ("StartService", "b", "other"),
        ):
            begun = await store.begin_step(step | {"verb": verb, "node": node, "target": target})
            await asyncio.sleep(2)
            await store.end_step(begun, outcome="Done", exit_status=0, output="", seconds=2)
        world.verdict = (State.DONE, "served")
        (ended,) = (await desk.look(accepted)).ended
        assert ended.seconds == pytest.approx(6.0, abs=0.2)
        assert [(each.id, each.seconds) for each in await store.operations()] == [(number, ended.seconds)]

    play(story)


def grouped() -> Document:
    """A document whose group has a service."""
    document = make_document()
    wire = document.cluster.model_dump(by_alias=True, mode="json", exclude_none=True)
    wire["spec"]["groups"][0]["services"] = [{"name": "nfsd"}]
    return replace(document, cluster=type(document.cluster).model_validate(wire))


# -- the controller ---------------------------------------------------------------------------------------------------


def test_the_controller_notices_a_request_within_a_second() -> None:
    """Of one cluster or of the whole fleet; not at the next routine look."""

    async def story() -> None:
        world = World()
        house = House({"clusters": ToySource(make_document())}, options=world.options())
        async with house.running():
            await asyncio.sleep(20)
            for request in (MOVE, {"kind": "Pause", "cluster": "", "actor": "root"}):
                looked = len(world.overrides)
                await house.store.open_operation(request)
                await asyncio.sleep(1.5)
                assert len(world.overrides) > looked
                assert world.overrides[-1] is not None

    play(story)
