"""Moves, drains and pauses: what is let go of, in which order, and what keeps a group where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hactl.core.facts import CarpState, HastRole
from hactl.core.operations import Overrides
from hactl.core.parse.question import DECIDING, WHOLE, NextLook, Part
from hactl.core.plan import make_plan
from hactl.core.plan.joined import next_look
from hactl.core.plan.placement import place
from hactl.core.plan.scene import set_scene
from hactl.core.plan.virtual_ips import given_away
from hactl.core.steps import execs
from support.facts.builder import NOW, Scene, healthy_pair, nas_cluster, rebooted_pair, zfs_pair
from support.facts.planned import first, holds, looks, plan_of

Tweak = Callable[[Scene], Scene]
TO_B = Overrides(moves={"files": "nas-b"})
LETS_GO = ("StopService", "Unmount", "ExportPool", "SetRole")


def test_a_move_lets_go_in_the_order_that_loses_nothing() -> None:
    """Services, filesystem, role; nothing by force; the last writes are waited for and looked for again (I2, I4)."""
    steps = first(plan_of(healthy_pair(), TO_B))
    assert [(step.node, step.command) for step in steps] == [
        ("nas-a", "service nfsd onestop"),
        ("nas-a", "umount /data"),
        ("nas-a", "hastctl role secondary data"),
        ("nas-a", "ifconfig vtnet1 vhid 80 advskew 100"),
    ]
    assert looks(steps[1]) == [
        "/dev/hast/data is mounted on /data",
        "> nothing is mounted on /data (0 s)",
        "> everything of data is on both disks (15 s)",
    ]
    assert looks(steps[2]) == [
        "data is primary here",
        "/dev/hast/data is not mounted",
        "everything of data is on both disks",
        "> data is secondary here (5 s)",
        "> /dev/hast/data does not exist (0 s)",
    ]


def test_a_move_of_a_pool_exports_it_and_looks_that_it_is_gone() -> None:
    """The same with zpool export."""
    steps = first(plan_of(zfs_pair(), TO_B))
    assert [step.command for step in steps[1:3]] == ["zpool export tank", "hastctl role secondary data"]
    assert looks(steps[1]) == [
        "pool tank is imported",
        "> pool tank is not imported (0 s)",
        "> everything of data is on both disks (15 s)",
    ]
    assert "pool tank is not imported" in looks(steps[2])


def test_a_node_whose_vhid_is_not_up_yet_is_looked_at_before_it_claims_the_address() -> None:
    """Found on the pair: that a vhid leaves INIT meanwhile was taken for granted, and the audit stopped the apply."""
    scene = healthy_pair().unmounted("nas-a").hast_device("nas-a", blank=False).service("nas-a", running=False)
    scene = scene.wants(nas_cluster({"spec.groups.0.preferred": ["nas-b", "nas-a"]}))
    for node in ("nas-a", "nas-b"):
        scene = scene.vhid(node, state=CarpState.INIT, advskew=100)
    assert [str(step.key) for step in first(plan_of(scene)) if step.verb == "SetVhid"] == []
    backup = scene.vhid("nas-a", state=CarpState.BACKUP)
    assert [step.command for step in first(plan_of(backup)) if step.verb == "SetVhid"] == [
        "ifconfig vtnet1 vhid 80 advskew 0 state master"
    ]


OBSTACLES: list[tuple[str, Tweak, str]] = [
    ("silent", lambda s: s.silent("nas-b"), "does not answer"),
    ("old word of the active node", lambda s: s.aged(26, "nas-a"), "is too old"),
    ("old word of the other node", lambda s: s.aged(26, "nas-b"), "is too old"),
    (
        "held back since its boot",
        lambda s: s.hook("nas-b", held=240, confirmed={}).resource("nas-a", status="degraded"),
        "held back",
    ),
    ("interface down", lambda s: s.vhid("nas-b", state=CarpState.INIT), "is down"),
    (
        "demoted",
        lambda s: s.sysctl("nas-b", demotion=240).node("nas-b", demotions=((240, 240, "send error 50 on vtnet1"),)),
        "demoted by 240",
    ),
    ("role not told", lambda s: s.unknown("nas-b", "resources"), "is not secondary"),
    ("copy being filled", lambda s: s.resource("nas-a", dirty=2097152), "2 MiB to go"),
    ("not connected", lambda s: s.resource("nas-a", status="degraded"), "is not connected"),
    ("errors on the disk it leaves", lambda s: s.resource("nas-a", local_errors=1), "I/O errors"),
    ("service missing", lambda s: s.service("nas-b", exists=False), "has no service nfsd"),
]


@pytest.mark.parametrize(("tweak", "phrase"), [case[1:] for case in OBSTACLES], ids=[case[0] for case in OBSTACLES])
def test_nothing_is_let_go_of_before_the_other_node_could_take_it(tweak: Tweak, phrase: str) -> None:
    """Each obstacle is said, and no step takes service away (I4, I5, I6)."""
    plan = plan_of(tweak(healthy_pair()), TO_B)
    now = plan.stages[0].steps if plan.stages else ()  # later stages are predictions: a hold may be lifted by then
    assert not [str(step.key) for step in now if step.node == "nas-a" and step.verb in LETS_GO]
    (hold, *_) = holds(plan, "MoveWaits")
    assert phrase in hold.message


def test_a_person_cannot_move_a_group_to_a_node_that_is_drained() -> None:
    """Two overrides that contradict each other: the group stays where it serves."""
    plan = plan_of(healthy_pair(), Overrides(moves={"files": "nas-b"}, drained={"nas-b": "new disks"}))
    assert not [str(step.key) for step in plan.steps if step.verb in LETS_GO]
    assert "nas-b is drained" in holds(plan, "MoveWaits")[0].message


def test_a_move_away_from_a_sick_disk_is_nothing_to_wait_for() -> None:
    """hastd counts until its worker ends: no time makes it forget."""
    scene = healthy_pair().resource("nas-a", local_errors=1)
    plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=Overrides(moves={"files": "nas-b"}))
    (hold,) = [hold for hold in plan.holds if hold.reason == "MoveWaits"]
    assert "I/O errors" in hold.message
    assert not hold.passing


def test_a_move_between_parted_copies_is_nothing_to_wait_for() -> None:
    """hastd does not connect them before a person has decided; while it may connect them, the move waits."""
    apart = healthy_pair().resource("nas-a", status="degraded").hook("nas-b", confirmed={})
    parted = apart.metadata("nas-a", localcnt=2).metadata("nas-b", localcnt=2)
    for scene, passing in ((apart, True), (parted, False)):
        plan = make_plan(scene.cluster, scene.snapshot, NOW, overrides=Overrides(moves={"files": "nas-b"}))
        (hold,) = [hold for hold in plan.holds if hold.reason == "MoveWaits"]
        assert hold.passing is passing


@pytest.mark.parametrize("key", ["nas-a Unmount /data", "nas-a SetRole data", "nas-b SetRole data"])
def test_a_move_that_is_known_to_fail_does_not_begin(key: str) -> None:
    """Half a move is an outage: with one step of it failing, the other node's promotion too, nothing is let go of."""
    plan = plan_of(healthy_pair(), TO_B, failing=key)
    assert first(plan) == []
    assert "stays on nas-a" in holds(plan, "MoveWaits")[0].message


BACK = {"spec.groups.0.failback": "WhenReady"}


@pytest.mark.parametrize(
    ("edits", "overrides", "moves"),
    [
        ({}, Overrides(), False),
        ({}, Overrides(drained={"nas-b": "new disks"}), True),
        ({}, Overrides(drained={"nas-a": "new disks"}), False),
        (BACK, Overrides(), True),
        (BACK, Overrides(frozen={"files": "it moved 3 times within an hour"}), False),
        (BACK, Overrides(drained={"nas-a": "new disks"}), False),
    ],
    ids=["Never stays", "drained is left", "peer drained stays", "WhenReady goes back", "frozen stays", "no way back"],
)
def test_where_a_group_goes_by_itself(edits: dict[str, Any], overrides: Overrides, moves: bool) -> None:
    """Served by nas-b, preferred on nas-a: it moves only when document and people want it to."""
    plan = plan_of(healthy_pair("nas-b").wants(nas_cluster(edits)), overrides)
    verbs = [step.verb for step in plan.steps if step.node == "nas-b" and step.verb in LETS_GO]
    assert verbs == (["StopService", "Unmount", "SetRole"] if moves else [])


def _drifted() -> Scene:
    """Both nodes have drifted: an advskew and a sysctl."""
    scene = healthy_pair().vhid("nas-a", advskew=7).vhid("nas-b", advskew=50)
    return scene.sysctl("nas-a", preempt=0).sysctl("nas-b", preempt=0)


def test_a_paused_node_is_left_as_it_is() -> None:
    """Its steps are left out and the other node's go on."""
    plan = plan_of(_drifted(), Overrides(paused_nodes={"nas-b": "eve"}))
    assert {(step.node, step.verb) for step in plan.steps} == {("nas-a", "SetSysctl")}
    assert {hold.node for hold in holds(plan, "Paused")} == {"nas-b"}


def test_a_paused_group_is_left_as_it_is() -> None:
    """What is not the group's goes on: the sysctls are corrected, its vhid is not."""
    plan = plan_of(_drifted(), Overrides(paused_groups={"files": "eve"}))
    assert {(step.node, step.verb) for step in plan.steps} == {("nas-a", "SetSysctl"), ("nas-b", "SetSysctl")}
    scene = rebooted_pair().service("nas-b", running=True)
    assert plan_of(scene, Overrides(paused_groups={"files": "eve"})).stages == ()


TAKES_OVER = [("nas-b", verb) for verb in ("SetRole", "CheckFilesystem", "Mount", "StartService", "SetVhid")]


def test_what_the_other_node_takes_over_is_one_stage_and_the_address_comes_last() -> None:
    """No look in between: the node tests the conditions of each step itself. Between the two nodes there is a look.

    The old node has let the address be taken before, so that the new one needs no word of it and no election.
    """
    stages = plan_of(healthy_pair(), TO_B).stages
    assert [[(step.node, step.verb) for step in stage.steps] for stage in stages] == [
        [("nas-a", "StopService"), ("nas-a", "Unmount"), ("nas-a", "SetRole"), ("nas-a", "SetVhid")],
        TAKES_OVER,
        [("nas-a", "ConfirmCopy"), ("nas-a", "WriteBootAliases"), ("nas-b", "WriteBootAliases")],
    ]
    assert [len(run) for stage in stages[:2] for run in execs(stage.steps)] == [4, 5]
    assert stages[1].steps[-1].command == "ifconfig vtnet1 vhid 80 advskew 0 state master"
    assert stages[1].ordered


GIVEN: list[tuple[str, Tweak, int | None]] = [
    ("as it should be", lambda s: s, 100),
    ("the other would win at once", lambda s: s.vhid("nas-b", advskew=99), None),
    ("the other is not known", lambda s: s.without_vhid("nas-b"), None),
    ("it is demoted", lambda s: s.sysctl("nas-a", demotion=1), None),
    ("its demotion is not known", lambda s: s.unknown("nas-a", "carp_sysctls"), None),
    ("it is not MASTER", lambda s: s.vhid("nas-a", state=CarpState.BACKUP), None),
    ("the other is MASTER too", lambda s: s.vhid("nas-b", state=CarpState.MASTER), None),
    ("it was done before", lambda s: s.vhid("nas-a", advskew=100), None),
    (
        "the document's advskews",
        lambda s: s.wants(nas_cluster({"spec.groups.0.virtualIPs.0.advskews": {"nas-a": 0, "nas-b": 100}})),
        None,
    ),
]


@pytest.mark.parametrize(("tweak", "advskew"), [case[1:] for case in GIVEN], ids=[case[0] for case in GIVEN])
def test_an_address_is_let_go_of_only_where_it_stays_until_the_other_serves(tweak: Tweak, advskew: int | None) -> None:
    """A BACKUP takes an address from a worse MASTER at once, whether it serves or not."""
    scene = tweak(healthy_pair())
    seen = place(set_scene(scene.cluster, scene.snapshot, NOW, TO_B, {}))
    (group,) = scene.cluster.groups
    assert given_away(seen, group, group.virtual_ips[0], "nas-a", "nas-b") == advskew


def test_while_nobody_serves_the_places_of_the_addresses_stay() -> None:
    """Between letting go and taking over both nodes have the same place, and neither is given another."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False).vhid("nas-a", advskew=100)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.SECONDARY).hast_device(node, exists=False)
    plan = plan_of(scene, TO_B)
    assert [(step.node, step.verb) for step in first(plan)] == TAKES_OVER
    assert [step.command for step in plan.steps if step.verb == "SetVhid"] == [
        "ifconfig vtnet1 vhid 80 advskew 0 state master"
    ]


def test_nothing_follows_a_promotion_in_the_same_stage_where_no_complete_copy_is_noted() -> None:
    """A blank device would get its filesystem first, and only a look tells that it is blank."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.SECONDARY).hast_device(node, exists=False).hook(node, confirmed={})
    assert [step.verb for step in first(plan_of(scene))] == ["SetRole"]
    noted = scene.hook("nas-a", confirmed={"data": 1})
    assert [step.verb for step in first(plan_of(noted))][:3] == ["SetRole", "CheckFilesystem", "Mount"]


NO_CARRIER = "no carrier"
GOES = [("nas-a", verb) for verb in ("StopService", "Unmount", "SetRole")]
LOST: list[tuple[str, Tweak, str]] = [
    ("its copy is complete", lambda s: s.hook("nas-b", confirmed={"data": 1}), "nas-b"),
    ("nobody knows whether its copy is complete", lambda s: s.hook("nas-b", confirmed={}), "nas-a"),
    (
        "the other one has no network either",
        lambda s: s.hook("nas-b", confirmed={"data": 1}).interface("nas-b", status=NO_CARRIER),
        "nas-a",
    ),
    (
        "nodes move nothing by themselves",
        lambda s: s.hook("nas-b", confirmed={"data": 1}).wants(nas_cluster({"spec.failover": {"policy": "Manual"}})),
        "nas-a",
    ),
]


@pytest.mark.parametrize(("tweak", "node"), [case[1:] for case in LOST], ids=[case[0] for case in LOST])
def test_a_node_that_lost_its_network_is_not_made_active_again(tweak: Tweak, node: str) -> None:
    """Its hook let go of everything, and CARP has no new MASTER yet (found by `hactl simulate`)."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    scene = scene.vhid("nas-a", state=CarpState.INIT).interface("nas-a", status=NO_CARRIER)
    for each in ("nas-a", "nas-b"):
        scene = scene.resource(each, role=HastRole.SECONDARY).hast_device(each, exists=False)
    roles = [step for step in plan_of(tweak(scene)).steps if step.verb == "SetRole"]
    assert roles[0].node == node


def test_a_group_that_is_active_where_nobody_reaches_it_moves_to_where_it_is_reached() -> None:
    """The node's hook did not let go, or somebody made it active again; one whose standby is as lost stays."""
    scene = healthy_pair().vhid("nas-a", state=CarpState.INIT).interface("nas-a", status=NO_CARRIER)
    scene = scene.vhid("nas-b", state=CarpState.MASTER)
    assert [(step.node, step.verb) for step in first(plan_of(scene))][:3] == GOES
    lost = scene.interface("nas-b", status=NO_CARRIER).vhid("nas-b", state=CarpState.INIT)
    assert not [str(step.key) for step in plan_of(lost).steps if step.verb in LETS_GO]


def test_between_letting_go_and_taking_over_only_what_the_other_node_waits_for_is_asked() -> None:
    """Roles, disks and notes of both, and no service that a step stopped; everything before that and after it."""
    lets_go, takes_over, writes = plan_of(healthy_pair(), TO_B).stages
    stopped = {"nas-a": frozenset({"nfsd"})}
    assert next_look(lets_go) == NextLook(frozenset({Part.STORAGE, Part.NOTES, Part.CARP}), stopped)
    assert next_look(takes_over) == NextLook(DECIDING)
    assert next_look(writes) == WHOLE
