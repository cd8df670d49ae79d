"""Services of a group: what comes after what, and what is done about one that stops by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.core.audit.check import audit
from hactl.core.facts import CarpState, Known, Service
from hactl.core.operations import Failures, Overrides
from hactl.core.plan import make_plan
from hactl.core.steps import Plan, Stage
from hactl.core.verbs import Verb
from support.facts.builder import NOW, Scene, edge_cluster, edge_pair, healthy_pair, nas_cluster
from support.facts.planned import commands, held, holds, plan_of

AT = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
MOVE = {"action": "Move", "limit": 2, "withinSeconds": 600}
STOPPED = Failures((AT,), AT)
#: Of the firewalls: vhid -> node -> interface.
INTERFACES = {10: {"fw-1": "ix0", "fw-2": "igb0"}, 20: {"fw-1": "ix1", "fw-2": "igb1"}}
GIVEN_UP = Failures((AT, AT), AT, AT)


def pair(*lines: str, runs: str = "", **more: Any) -> Scene:
    """The pair, active on nas-a. `www pg`: www comes after pg. `runs`: what runs there. More: fields of the first."""
    named = [{"name": name, "after": after} for name, *after in (line.split() for line in lines)]
    named[0] |= more
    scene = healthy_pair()
    for node in ("nas-a", "nas-b"):
        there = {
            each["name"]: Known(Service(each["name"], True, node == "nas-a" and each["name"] in runs, False), NOW - 2)
            for each in named
        }
        scene = scene.node(node, services=there)
    return scene.wants(nas_cluster({"spec.groups.0.services": named}))


def failed(**nodes: Failures) -> Overrides:
    """nfsd failed on a, or b."""
    return Overrides(failures={("nfsd", f"nas-{node}"): each for node, each in nodes.items()})


def services_of(plan: Plan) -> list[str]:
    """What is started and stopped."""
    return [f"{s.node} {s.command}" for s in plan.steps if s.verb in (Verb.START_SERVICE, Verb.STOP_SERVICE)]


# --- what comes after what ----------------------------------------------------------------------------------------


def test_a_service_starts_after_those_it_names_and_stops_before_them() -> None:
    """Wherever they stand in the list; the others keep its order."""
    lines = ("www pg redis", "pg", "cron", "redis pg")
    starts = ["pg", "cron", "redis", "www"]
    plan = plan_of(pair(*lines))
    assert commands(plan, "nas-a") == [f"service {name} onestart" for name in starts]
    assert plan.holds == (), "nothing waits for what this very stage starts"
    plan = plan_of(pair(*lines, runs="www pg cron redis"), Overrides(moves={"files": "nas-b"}))
    stops = [step.target for step in plan.steps if step.verb is Verb.STOP_SERVICE]
    assert stops == starts[::-1]


def test_it_waits_for_one_that_nobody_knows_of_and_for_one_that_fails() -> None:
    """What does not depend on it goes on."""
    scene = pair("pg", "cron", "www pg").unknown("nas-a", "services")
    scene = scene.node("nas-a", services={**pair("pg", "cron", "www pg").facts("nas-a").services, "pg": scene.facts("nas-a").services["pg"]})  # fmt: skip  # noqa: E501
    plan = plan_of(scene)
    assert services_of(plan) == ["nas-a service cron onestart"]
    assert "it comes after pg, of which nobody can tell" in held(plan, "ServiceWaits").message
    plan = plan_of(pair("pg", "www pg"), failing="nas-a StartService pg")
    assert services_of(plan) == []
    assert held(plan, "ServiceWaits").message == "www is not started on nas-a: it comes after pg, which does not run"


def test_the_audit_refuses_the_other_order() -> None:
    """It reads document and steps itself."""
    for scene, overrides in (
        (pair("pg", "www pg"), Overrides()),
        (pair("pg", "www pg", runs="pg www"), Overrides(moves={"files": "nas-b"})),
    ):
        plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=overrides)
        first = plan.stages[0]
        two = [step for step in first.steps if step.verb in (Verb.START_SERVICE, Verb.STOP_SERVICE)]
        wrong = Plan(plan.cluster, plan.generation, (Stage(first.title, tuple(two[::-1]), ordered=True),), (),
                     plan.active, plan.goals)  # fmt: skip
        found = audit(scene.cluster, scene.snapshot, wrong, NOW)
        assert any("which it comes after" in line or "which comes after it" in line for line in found), found


# --- one that stops by itself -------------------------------------------------------------------------------------


def test_it_is_started_again_as_often_as_the_document_says() -> None:
    """Without onFailure as ever; with it the step says which try it is."""
    (step,) = plan_of(pair("nfsd")).steps
    assert step.why == "it does not run; files is active on nas-a"
    scene = pair("nfsd", onFailure={"action": "Restart"})
    (step,) = plan_of(scene, failed(a=STOPPED)).steps
    assert step.why == "it stopped by itself (start 2 of 3 within 600 s); files is active on nas-a"
    plan = plan_of(scene, failed(a=GIVEN_UP))
    assert plan.stages == ()
    message = held(plan, "ServiceFailing").message
    assert message == (
        "nfsd stopped on nas-a again: it was started 3 times within 600 s and is not started again before 12:10:00 UTC"
    )
    running = pair("nfsd", runs="nfsd", onFailure={"action": "Restart"})
    assert plan_of(running, failed(a=GIVEN_UP)).holds == (), "who started it by hand is believed"


def test_nothing_is_done_where_the_document_says_nothing() -> None:
    """It is told; a group that comes to a node starts it there all the same."""
    scene = pair("nfsd", onFailure={"action": "Nothing"})
    plan = plan_of(scene, failed(a=Failures((), AT, AT)))
    assert plan.stages == ()
    assert "is not started again (onFailure: Nothing)" in held(plan, "ServiceFailing").message
    assert services_of(plan_of(scene)) == ["nas-a service nfsd onestart"]


def test_after_the_limit_its_group_moves_and_stays_there() -> None:
    """Not back for the same reason, nor by failback, and nowhere where it failed too."""
    scene = pair("nfsd", onFailure=MOVE)
    plan = plan_of(scene, failed(a=GIVEN_UP))
    assert plan.goals == {"files": "nas-b"}
    assert services_of(plan) == ["nas-b service nfsd onestart"]
    assert held(plan, "ServiceFailing").message.endswith("; files moves to nas-b")
    both = plan_of(scene, failed(a=GIVEN_UP, b=GIVEN_UP))
    assert both.stages == ()
    assert held(both, "ServiceFailing").message.endswith("; files stays: nfsd failed on nas-b too")
    away = healthy_pair("nas-b").wants(
        nas_cluster({"spec.groups.0.failback": "WhenReady", "spec.groups.0.services.0.onFailure": MOVE})
    )
    assert plan_of(away).goals == {"files": "nas-a"}
    kept = plan_of(away, failed(a=Failures((AT, AT), None, AT, left=True)))
    assert (kept.goals, services_of(kept)) == ({"files": "nas-b"}, [])


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (lambda s: s.resource("nas-a", dirty=4096), "MoveWaits", "is being copied"),
        (lambda s: s.silent("nas-b"), "MoveWaits", "nas-b does not answer"),
    ],
    ids=["not complete", "silent"],
)
def test_it_does_not_move_to_a_node_that_is_not_ready(change: Any, reason: str, words: str) -> None:
    """The same obstacles as of a move that a person asks for."""
    scene = change(pair("nfsd", onFailure=MOVE))
    plan = plan_of(scene, failed(a=GIVEN_UP))
    assert services_of(plan) == []
    assert words in held(plan, reason).message


def test_it_does_not_move_too_often_and_a_person_decides() -> None:
    """maxMovesPerHour counts these moves too; who asks for a move gets the service started there."""
    scene = pair("nfsd", onFailure=MOVE)
    frozen = Overrides(failures={("nfsd", "nas-a"): GIVEN_UP}, frozen={"files": "it moved 4 times within an hour"})
    plan = plan_of(scene, frozen)
    assert plan.goals == {"files": "nas-a"}
    assert held(plan, "ServiceFailing").message.endswith("; files stays: it moved 4 times within an hour")
    away = healthy_pair("nas-b").wants(nas_cluster({"spec.groups.0.services.0.onFailure": MOVE}))
    back = Overrides(moves={"files": "nas-a"}, failures={("nfsd", "nas-a"): Failures((), None, AT, left=True)})
    assert services_of(plan_of(away, back)) == ["nas-b service nfsd onestop", "nas-a service nfsd onestart"]


def test_what_is_given_up_keeps_no_address_away() -> None:
    """As a service that cannot be started just now does not."""
    scene = pair("nfsd", "www nfsd", onFailure={"action": "Restart"}).without_vhid("nas-a").without_vhid("nas-b")
    plan = plan_of(scene, failed(a=GIVEN_UP))
    assert {step.verb for step in plan.steps} >= {Verb.ADD_ADDRESS}
    assert not holds(plan, "StepFailing")
    assert services_of(plan) == []


def test_a_group_without_storage_moves_by_its_addresses() -> None:
    """A balancer that runs on all nodes: the address goes where it runs."""
    service = {"name": "haproxy", "runOn": "All", "onFailure": MOVE}
    scene = edge_pair().wants(edge_cluster({"spec.groups.0.services": [service]}))
    for node in ("fw-1", "fw-2"):
        runs = Known(Service("haproxy", True, node == "fw-2", True), NOW - 2)
        scene = scene.node(node, services={"haproxy": runs})
    (group,) = scene.cluster.groups
    assert plan_of(scene).goals == {group.name: "fw-1"}
    plan = plan_of(scene, Overrides(failures={("haproxy", "fw-1"): GIVEN_UP}))
    assert plan.goals == {group.name: "fw-2"}
    assert "ifconfig ix0 vhid 10 advskew 100" in commands(plan, "fw-1")
    ports = [(number, node, port) for number in (10, 20) for node, port in INTERFACES[number].items()]
    away = scene.wants(edge_cluster({"spec.groups.0.services": [service], "spec.groups.0.failback": "WhenReady"}))
    for number, node, port in ports:
        state, skew = (CarpState.BACKUP, 100) if node == "fw-1" else (CarpState.MASTER, 0)
        away = away.vhid(node, number, interface=port, state=state, advskew=skew)
    assert [step for step in plan_of(away).steps if step.verb is Verb.SET_VHID], "by failback it would go back"
    for kept in (Overrides(failures={("haproxy", "fw-1"): Failures((), None, AT)}), Overrides(drained={"fw-1": "x"})):
        assert not [step for step in plan_of(away, kept).steps if step.verb is Verb.SET_VHID]
