"""FreeBSD 15: whether hastd connects is tried before anything is created, and said before anything relies on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hactl.core.facts import Connects, HastRole
from hactl.core.operations import Overrides
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import Scene, blank_pair, edge_pair, healthy_pair
from support.facts.planned import commands, first, held, holds, plan_of, reasons

NODES = ("nas-a", "nas-b")


def on_15(scene: Scene, connects: Connects, *nodes: str) -> Scene:
    """The scene with FreeBSD 15.1 on these nodes (default: both), and that known of their hastd."""
    for node in nodes or NODES:
        scene = scene.system(node, osreldate=1501000, release="15.1-RELEASE-p1").node(node, connects=connects)
    return scene


def test_an_untried_hastd_is_tried_before_anything_else() -> None:
    """On both nodes, in the first stage; what is foretold takes it that it works."""
    plan = plan_of(on_15(blank_pair(), Connects.UNTRIED))
    assert [(s.node, s.verb) for s in first(plan)] == [("nas-a", "TryHastd"), ("nas-b", "TryHastd")]
    assert {"CreateMetadata", "Mount"} <= {s.verb for s in plan.steps}


def test_nothing_is_created_for_a_hastd_that_never_connects() -> None:
    """The hold names the bug, the symptom and what helps, and the rest of the document is still wanted."""
    plan = plan_of(on_15(blank_pair(), Connects.NEVER))
    assert not {s.verb for s in plan.steps} & {"TryHastd", "CreateMetadata", "SetRole", "MakeFilesystem"}
    assert "LoadModule" in {s.verb for s in plan.steps}
    hold = next(h for h in holds(plan, "HastdNeverConnects") if h.node == "nas-a")
    assert "15.1-RELEASE-p1" in hold.message
    assert "bug 292322" in hold.message
    assert "degraded" in hold.message
    assert "proto_common.c" in hold.remedy
    assert "13 or 14" in hold.remedy
    assert not hold.passing


def test_one_node_of_a_blank_pair_is_enough_to_hold_it() -> None:
    """Each of the two is primary some day; the other one is told to stay on its release."""
    plan = plan_of(on_15(blank_pair(), Connects.NEVER, "nas-b"))
    assert "CreateMetadata" not in {s.verb for s in plan.steps}
    hold = held(plan, "HastdNeverConnects")
    assert hold.node == "nas-b"
    assert hold.remedy.startswith("leave nas-a on the release it has")


def test_a_trial_that_fails_creates_nothing_and_stops_nothing_else() -> None:
    """It told nothing: the step rests like any that failed."""
    plan = plan_of(on_15(blank_pair(), Connects.UNTRIED, "nas-b"), failing="nas-b TryHastd hastd")
    assert "StepFailing" in reasons(plan)
    assert "CreateMetadata" not in {s.verb for s in plan.steps}
    assert "kldload -n carp" in commands(plan, "nas-b")


@pytest.mark.parametrize("connects", [Connects.SURE, Connects.WORKS])
def test_a_hastd_that_connects_is_not_mentioned(connects: Connects) -> None:
    """The number of the release alone says nothing."""
    plan = plan_of(on_15(blank_pair(), connects))
    assert "CreateMetadata" in {s.verb for s in plan.steps}
    assert not reasons(plan) & {"HastdNeverConnects", "DeviceNeverCame"}


def test_a_document_without_storage_never_asks() -> None:
    """Addresses need no hastd."""
    scene = edge_pair()
    for node in scene.nodes:
        scene = scene.system(node, osreldate=1501000)
    assert plan_of(scene).stages == ()
    assert plan_of(scene).holds == ()


def test_an_upgraded_standby_is_no_place_to_move_to() -> None:
    """The pair runs on; the second node is told to wait."""
    scene = on_15(healthy_pair(), Connects.NEVER, "nas-b")
    plan = plan_of(scene)
    assert plan.stages == ()
    assert reasons(plan) == {"HastdNeverConnects"}
    moved = plan_of(scene, Overrides(moves={"files": "nas-b"}))
    assert moved.stages == ()
    assert "never connects" in held(moved, "MoveWaits").message


def stuck(scene: Scene, seconds: int | None = 600) -> Scene:
    """nas-a is primary, its worker lives, and nothing came of it."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False).hast_device("nas-a", exists=False)
    return scene.resource("nas-a", status="degraded", workerpid=77, worker_seconds=seconds)


def test_a_primary_that_waits_for_ever_is_told_whatever_the_release() -> None:
    """Role primary, worker alive, degraded, no device after its time, peer answering: exactly that."""
    hold = held(plan_of(stuck(healthy_pair())), "DeviceNeverCame")
    for words in ("primary for more than 45 s", "worker lives", "degraded", "/dev/hast/data never", "nas-b answers"):
        assert words in hold.message
    assert "CLOSE_WAIT" in hold.remedy
    assert not hold.passing
    known_broken = held(plan_of(on_15(stuck(healthy_pair()), Connects.NEVER)), "DeviceNeverCame")
    assert "proto_common.c" in known_broken.remedy


@pytest.mark.parametrize("seconds", [None, 44])
def test_a_primary_in_its_time_is_waited_for(seconds: int | None) -> None:
    """hastd connects twice before the device is there."""
    plan = plan_of(stuck(healthy_pair(), seconds))
    assert "DeviceNeverCame" not in reasons(plan)
    assert held(plan, "DeviceNotReady").passing


def test_a_primary_whose_peer_is_silent_is_not_accused() -> None:
    """Then connecting fails, and hastd does not wait for it."""
    plan = plan_of(stuck(healthy_pair()).silent("nas-b"))
    assert "DeviceNeverCame" not in reasons(plan)


def test_a_hastd_that_never_connects_is_not_made_primary_while_its_peer_answers() -> None:
    """The role would succeed and the device never come; the other node could not be primary either."""
    scene = on_15(healthy_pair(), Connects.NEVER, "nas-a").unmounted("nas-a").service("nas-a", running=False)
    scene = scene.hast_device("nas-a", exists=False).resource("nas-a", role=HastRole.SECONDARY, workerpid=None)
    assert "SetRole" not in {s.verb for s in plan_of(scene).steps}


def test_the_audit_knows_a_trial_from_what_is_none() -> None:
    """Its own files and addresses only, and only where it tells something."""
    scene = on_15(blank_pair(), Connects.UNTRIED)
    (trial, _) = first(plan_of(scene))
    assert complaints(scene, [trial]) == ()
    for old, new, words in (
        ("local /var/run/hactl.trial/disk", "local /dev/vtbd1", ("I3", "/dev/vtbd1")),
        ("tcp4://127.0.0.1:18457", "tcp4://198.51.100.12", ("I10", "198.51.100.12")),
        (
            "-c /var/run/hactl.trial/conf primary",
            "-c /etc/hast.conf primary",
            ("cannot be read", "its own"),
        ),
        ("127.0.0.1 18457", "192.0.2.11 18457", ("I10", "192.0.2.11")),
        ("hactl-trial", "data", ("called data",)),
        ('kill "$hactl_daemon"', 'kill "$(cat /var/run/hastd.pid)"', ("cannot be read", "kill")),
        ("-P /var/run/hactl.trial/pid", "-P /var/run/hastd.pid", ("I10", "/var/run/hastd.pid")),
    ):
        assert old in trial.command
        assert says(complaints(scene, [replace(trial, command=trial.command.replace(old, new))]), *words), old
    assert says(complaints(on_15(blank_pair(), Connects.WORKS), [trial]), "I7")
    create = step("nas-a", "CreateMetadata", "hastctl create data", target="data")
    assert says(complaints(on_15(blank_pair(), Connects.NEVER), [create]), "never connects")
