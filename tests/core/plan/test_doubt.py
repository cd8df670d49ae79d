"""Where the world is not clear the planner waits, or takes the order that leaves nothing half done.

Each case was found by the seeded simulation or by the fuzz of planner against audit (tests/simulation).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hactl.core.facts import CarpState, HastRole, Mount, NoMetadata, Unknown
from hactl.core.plan import make_plan
from hactl.core.steps import Plan
from support.facts.builder import NOW, Scene, blank_pair, edge_pair, healthy_pair, nas_cluster, rebooted_pair, zfs_pair
from support.facts.planned import foretold, plan_of, reasons

Tweak = Callable[[Scene], Scene]
MOUNTED = Mount("/dev/hast/data", "/data", "ufs", frozenset({"local"}))


def addresses(plan: Plan, node: str) -> list[str]:
    """The ifconfig commands on one node, without its name."""
    return [
        step.command.removeprefix("ifconfig vtnet1 ")
        for step in plan.steps
        if step.node == node and step.command.startswith("ifconfig")
    ]


def test_a_vhid_whose_only_address_is_surplus_gets_the_wanted_one_first() -> None:
    """Otherwise the vhid would go with its last address, and its password with it."""
    scene = healthy_pair().without_vhid("nas-b").address("nas-b", "192.0.2.81/24", 80).vhid("nas-b", advskew=0)
    assert addresses(plan_of(scene), "nas-b") == [
        "vhid 80 advskew 100",
        "inet 192.0.2.80/24 vhid 80 alias",
        "inet 192.0.2.81 -alias",
    ]
    plan_of(blank_pair().address("nas-b", "192.0.2.81/24", 80))


def test_an_address_shown_twice_is_removed_once() -> None:
    """One command takes it away."""
    scene = healthy_pair().address("nas-b", "192.0.2.81/24", 80).address("nas-b", "192.0.2.81/24", 80)
    assert addresses(plan_of(scene), "nas-b") == ["inet 192.0.2.81 -alias"]


def test_the_master_is_changed_last_wherever_the_storage_is() -> None:
    """What the HMAC covers is changed on the BACKUP first (I5)."""
    wanted = nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2})
    scene = healthy_pair().wants(wanted)
    scene = scene.vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    first = plan_of(scene).stages[0]
    assert [step.node for step in first.steps] == ["nas-a", "nas-b"]


def test_the_master_waits_for_a_standby_that_cannot_take_the_address() -> None:
    """192.0.2.80 is an ordinary address of the standby: the active node is left alone."""
    wanted = nas_cluster({"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.82/24"]})
    plan = plan_of(healthy_pair().wants(wanted).address("nas-b", "192.0.2.82/24", None))
    assert {"AddressInUse", "StandbyFirst"} <= reasons(plan)
    assert addresses(plan, "nas-a") == []


def test_vhids_without_the_module_are_not_believed() -> None:
    """ifconfig and kldstat contradict each other: the module may be loaded, no vhid is touched."""
    scene = healthy_pair().vhid("nas-b", advskew=50).node("nas-b", modules={"carp": False}, carp_sysctls={})
    assert addresses(plan_of(scene), "nas-b") == []
    held = plan_of(scene.system("nas-b", securelevel=1))
    assert "FactsUnknown" in reasons(held)


@pytest.mark.parametrize("what", [NoMetadata.INVALID, NoMetadata.FOREIGN])
def test_writing_hast_conf_makes_no_metadata_absent(what: NoMetadata) -> None:
    """The prediction replaces only what is not known."""
    plan = plan_of(blank_pair().metadata("nas-b", value=what))
    assert "CreateMetadata" not in {step.verb for step in plan.steps}
    assert "ForeignData" in reasons(plan)
    plan = plan_of(blank_pair().metadata("nas-b", value=Unknown("no hast.conf", NOW)))
    assert "CreateMetadata" in {step.verb for step in plan.steps}


def test_a_device_without_the_role_may_be_a_primary() -> None:
    """/dev/hast/data is there although hastd says init: nobody else is made primary (I1)."""
    plan = plan_of(rebooted_pair().hast_device("nas-b", exists=True))
    assert "RoleUnknown" in reasons(plan)
    assert "SetRole" not in {step.verb for step in plan.steps}


def test_a_second_node_with_the_device_makes_everybody_wait() -> None:
    """One primary, and a node that does not tell its role and has the device: no service stops, no address moves."""
    scene = healthy_pair().unknown("nas-a", "resources").resource("nas-b", role=HastRole.PRIMARY)
    scene = scene.hast_device("nas-b", exists=True, blank=False)
    plan = plan_of(scene)
    assert plan.steps == ()
    assert "RoleUnknown" in reasons(plan)
    assert plan.active == {"files": None}


@pytest.mark.parametrize("pair", [healthy_pair, zfs_pair])
def test_a_device_is_not_taken_into_use_while_a_peer_does_not_tell_its_role(pair: object) -> None:
    """nas-a is primary with nothing mounted; nas-b answers, but not about its role."""
    scene = (healthy_pair() if pair is healthy_pair else zfs_pair()).unmounted("nas-a").service("nas-a", running=False)
    scene = scene.hast_device("nas-a", blank=False).unknown("nas-b", "resources")
    plan = plan_of(scene)
    assert "RoleUnknown" in reasons(plan)
    assert {"Mount", "ImportPool", "CheckFilesystem"}.isdisjoint(step.verb for step in plan.steps)


def test_copies_that_refuse_each_other_are_no_matter_of_time() -> None:
    """A primary and a secondary whose copies are split: hastd will never connect them, and a person is told so."""
    scene = healthy_pair().resource("nas-a", status="degraded").resource("nas-b", status=None)
    scene = scene.metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1)
    holds = plan_of(scene).holds
    assert [hold.reason for hold in holds] == ["SplitBrain"]
    assert not holds[0].passing
    assert holds[0].remedy.startswith("hactl resolve nas data ")
    waiting = plan_of(healthy_pair().resource("nas-a", status="degraded").resource("nas-b", status=None))
    assert reasons(waiting) == {"Reconnecting"}


def test_no_address_moves_while_nobody_knows_where_the_storage_is() -> None:
    """The storage was on nas-b and so are the advskews; nas-a is silent and nothing is primary."""
    scene = rebooted_pair().vhid("nas-b", advskew=0).silent("nas-a")
    plan = plan_of(scene)
    assert plan.active == {"files": None}
    assert addresses(plan, "nas-b") == []
    # A value that belongs to no place is put right.
    assert addresses(plan_of(scene.vhid("nas-b", advskew=0, key="x")), "nas-b") == ['vhid 80 pass "$HACTL_PASS_1"']


def test_a_prediction_leaves_the_master_where_it_is() -> None:
    """Who preempts whom is for the node to tell: the next stages keep their order."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}))
    scene = scene.vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    plan = plan_of(scene)
    after = foretold(scene.cluster, scene.snapshot, plan.stages[0])
    interfaces = {node: after.nodes[node].value.interfaces.value for node in ("nas-a", "nas-b")}  # type: ignore[union-attr]
    states = {node: found["vtnet1"].vhid(80).state for node, found in interfaces.items()}  # type: ignore[union-attr]
    assert states == {"nas-a": CarpState.BACKUP, "nas-b": CarpState.MASTER}


def test_a_boot_hold_beside_a_split_brain_is_nothing_to_wait_for() -> None:
    """Time alone lifts a boot hold only while no person has to decide: `apply` must not wait for it for ever."""
    held = healthy_pair().hook("nas-b", held=240, confirmed={}).sysctl("nas-b", demotion=240)
    held = held.node("nas-b", demotions=((240, 240, "sysctl"),)).resource("nas-a", status="degraded")
    split = held.metadata("nas-a", localcnt=1, remotecnt=0).metadata("nas-b", localcnt=1, remotecnt=0)

    def waits(scene: Scene) -> bool:
        plan = make_plan(scene.cluster, scene.snapshot, scene.now)
        return next(hold for hold in plan.holds if hold.reason == "HeldAtBoot").passing

    assert waits(held)
    assert not waits(split)


def test_addresses_of_a_silent_node_may_be_there() -> None:
    """Nobody who answers is MASTER: where the group is active is not known."""
    scene = edge_pair("fw-2").silent("fw-2")
    assert plan_of(scene).active == {"gateway": None}


@pytest.mark.parametrize(
    "tweak",
    [
        lambda s: s.aged(24, "nas-b"),
        lambda s: s.unknown("nas-b", "hast_devices").node("nas-b", mounts=(MOUNTED,)),
        lambda s: s.unknown("nas-b", "hastd", "resources"),
        lambda s: s.unknown("nas-b", "resources"),
        lambda s: s.hast_device("nas-b", exists=True),
    ],
    ids=["said so 26 s ago", "mounted there", "hastd unknown", "roles unread", "device there"],
)
def test_nobody_is_promoted_on_the_word_of_a_node_that_may_be_primary(tweak: Tweak) -> None:
    """Old, contradicted or missing: no evidence (I1, I6)."""
    plan = plan_of(tweak(rebooted_pair()))
    assert not [str(step.key) for step in plan.steps if step.verb == "SetRole" and " primary " in step.command]
    assert reasons(plan) & {"StaleFacts", "RoleUnknown"}
