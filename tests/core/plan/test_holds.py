"""What the planner refuses, and the reason a person reads: one test for each way in which it could hurt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hactl.core.catalogue import HoldReason
from hactl.core.facts import CarpState, HastRole, Mount, NoMetadata, Unknown
from hactl.core.plan import make_plan
from hactl.core.steps import Risk
from support.facts.builder import NOW, Scene, blank_pair, edge_pair, healthy_pair, nas_cluster
from support.facts.planned import held, plan_of, shortened

Tweak = Callable[[Scene], Scene]


def roles_off(scene: Scene) -> Scene:
    """Both nodes rebooted: every role is init, nothing is mounted."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False)
    return scene


HELD: list[tuple[str, Tweak, str, set[str]]] = [
    ("peer silent, roles init: nobody is promoted", lambda s: roles_off(s).silent("nas-b"), "PeerSilent", {"SetRole"}),
    (
        "peer's role unknown",
        lambda s: roles_off(s).unknown("nas-b", "resources"),
        "RoleUnknown",
        {"SetRole"},
    ),
    (
        "both primary",
        lambda s: s.resource("nas-b", role=HastRole.PRIMARY),
        "DualPrimary",
        {"SetRole", "Mount", "Unmount", "StopService", "StartService"},
    ),
    (
        "both copies written while apart",
        lambda s: roles_off(s).metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1),
        "SplitBrain",
        {"SetRole"},
    ),
    ("copies of different resources", lambda s: roles_off(s).metadata("nas-b", resuid=7), "ForeignCopy", {"SetRole"}),
    (
        "counters that fit nothing",
        lambda s: roles_off(s).metadata("nas-a", remotecnt=5),
        "CountersDisagree",
        {"SetRole"},
    ),
    (
        "metadata of one node unknown",
        lambda s: roles_off(s).metadata("nas-b", value=Unknown("timed out", NOW)),
        "MetadataUnknown",
        {"SetRole"},
    ),
    (
        "a blank disk beside a copy that does not serve",
        lambda s: roles_off(s).metadata("nas-b", value=NoMetadata.ABSENT).device("nas-b", blank=True, used_by=()),
        "CopyMissing",
        {"SetRole", "CreateMetadata"},
    ),
    (
        "something else on the disk",
        lambda s: s.resource("nas-b", role=HastRole.INIT).metadata("nas-b", value=NoMetadata.INVALID),
        "ForeignData",
        {"CreateMetadata", "SetRole"},
    ),
    (
        "the mountpoint is taken",
        lambda s: s.unmounted("nas-a").node("nas-a", mounts=(Mount("/dev/da9", "/data", "ufs", frozenset({"local"})),)),
        "MountpointBusy",
        {"Mount", "Unmount"},
    ),
    ("the interface is missing", lambda s: s.node("nas-b", interfaces={}), "InterfaceMissing", {"AddAddress"}),
    (
        "the address is the node's own",
        lambda s: s.without_vhid("nas-b").address("nas-b", "192.0.2.80/24", None),
        "AddressInUse",
        {"AddAddress", "RemoveAddress"},
    ),
    (
        "a demotion the kernel made",
        lambda s: s.sysctl("nas-a", demotion=240).node("nas-a", demotions=((240, 240, "send error 50 on vtnet1"),)),
        "Demoted",
        {"AdjustDemotion"},
    ),
    (
        "a demotion nobody can explain",
        lambda s: s.sysctl("nas-a", demotion=240).node("nas-a", demotions=((240, 480, "sysctl"),)),
        "Demoted",
        {"AdjustDemotion"},
    ),
    (
        "another machine answers",
        lambda s: s.system("nas-b", hostname="other.example.org").vhid("nas-b", advskew=1),
        "WrongHost",
        {"SetVhid"},
    ),
    (
        "Linux answers",
        lambda s: s.system("nas-b", sysname="Linux").vhid("nas-b", advskew=1),
        "NotFreeBSD",
        {"SetVhid"},
    ),
    ("the login is not root", lambda s: s.system("nas-b", uid=1001).vhid("nas-b", advskew=1), "NotRoot", {"SetVhid"}),
    (
        "facts too old",
        lambda s: s.vhid("nas-b", advskew=1).aged(60),
        "StaleFacts",
        {"SetVhid"},
    ),
    (
        "the standby is silent: the active node's password stays",
        lambda s: s.vhid("nas-a", key="0" * 16).silent("nas-b"),
        "StandbyFirst",
        {"SetVhid"},
    ),
    ("a service nobody knows", lambda s: s.service("nas-a", exists=False), "ServiceMissing", {"StartService"}),
    ("rc.conf cannot be read", lambda s: s.unknown("nas-b", "boot"), "BootConfigUnknown", {"SetRcVariable"}),
    (
        "a service whose state is unknown",
        lambda s: s.unknown("nas-a", "services"),
        "ServiceUnknown",
        {"StartService", "StopService"},
    ),
]


@pytest.mark.parametrize(("tweak", "reason", "never"), [h[1:] for h in HELD], ids=[h[0] for h in HELD])
def test_it_is_held_and_said(tweak: Tweak, reason: str, never: set[str]) -> None:
    """The hold is named, its message is for people, and none of the dangerous verbs is planned."""
    plan = plan_of(tweak(healthy_pair()))
    held = [hold for hold in plan.holds if hold.reason == reason]
    assert held, [hold.reason for hold in plan.holds]
    assert all(len(hold.message) > 20 for hold in held)
    assert not never & {step.verb for step in plan.steps}


BLANK: list[tuple[str, Tweak, str]] = [
    ("one disk is not blank", lambda s: s.device("nas-b", blank=False), "NotBlank"),
    ("one disk is in use", lambda s: s.device("nas-a", used_by=("swap",)), "DeviceInUse"),
    ("use could not be established", lambda s: s.device("nas-a", use_known=False), "FactsUnknown"),
    ("one disk could not be read", lambda s: s.device("nas-a", blank=None), "FactsUnknown"),
    ("one disk does not exist", lambda s: s.device("nas-b", exists=False), "DeviceMissing"),
    (
        "the document does not allow it",
        lambda s: s.wants(nas_cluster({"spec.groups.0.storage.0.hast.initialize": "Never"})),
        "NotInitialised",
    ),
    ("the peer cannot be asked", lambda s: s.silent("nas-b"), "PeerSilent"),
]


@pytest.mark.parametrize(("tweak", "reason"), [b[1:] for b in BLANK], ids=[b[0] for b in BLANK])
def test_nothing_is_initialised_unless_every_disk_is_provably_blank(tweak: Tweak, reason: str) -> None:
    """I3: no destructive step on either node."""
    plan = plan_of(tweak(blank_pair()))
    assert reason in {hold.reason for hold in plan.holds}
    assert not [step for step in plan.steps if step.risk is Risk.DESTRUCTIVE]


def test_every_destructive_step_is_checked_again_on_the_node() -> None:
    """Blankness is proved in the same exec as the step that relies on it."""
    destructive = [step for step in plan_of(blank_pair()).steps if step.risk is Risk.DESTRUCTIVE]
    assert {step.verb for step in destructive} == {"CreateMetadata", "MakeFilesystem"}
    for step in destructive:
        assert any("all zero" in check.says for check in step.before)


def test_disks_of_different_size_get_the_size_of_the_smaller() -> None:
    """HAST refuses to connect copies that differ in size (docs/freebsd-facts.md#trap-29)."""
    plan = plan_of(blank_pair().device("nas-b", mediasize=268435456))
    creates = [step.command for step in plan.steps if step.verb == "CreateMetadata"]
    assert creates == ["hastctl create -m 134217728 data"] * 2


def test_a_replaced_disk_is_filled_from_the_node_that_serves() -> None:
    """The peer is primary with real data and this disk is blank: create, secondary, full sync."""
    scene = healthy_pair().resource("nas-a", status="degraded").resource("nas-b", role=HastRole.INIT)
    scene = scene.metadata("nas-b", value=NoMetadata.ABSENT).device("nas-b", blank=True, used_by=())
    plan = plan_of(scene)
    assert [(step.node, step.command) for step in plan.steps] == [
        ("nas-b", "hastctl create data"),
        ("nas-b", "hastctl role secondary data"),
    ]


def test_an_address_does_not_come_up_before_its_group_serves() -> None:
    """On a blank pair the address is the last thing that changes at run time."""
    verbs = [step.verb for step in plan_of(blank_pair()).steps]
    assert verbs.index("AddAddress") > verbs.index("Mount") > verbs.index("MakeFilesystem")
    assert verbs.index("AddAddress") > verbs.index("StartService")


def test_a_failing_step_does_not_stand_in_the_way_of_the_rest() -> None:
    """It becomes a hold; what does not depend on it is planned."""
    scene = healthy_pair().sysctl("nas-b", preempt=0).service("nas-a", running=False)
    first = plan_of(scene).steps[0]
    assert str(first.key) == "nas-b SetSysctl net.inet.carp.preempt"
    plan = make_plan(scene.cluster, scene.snapshot, scene.now, failing={first.key: "exit status 1"})
    assert [step.verb for step in plan.steps] == ["StartService"]
    assert [hold.reason for hold in plan.holds] == ["StepFailing"]


def test_a_failing_standby_stops_the_active_nodes_turn() -> None:
    """Standby first: when its step fails, the active node's is not tried (I5)."""
    cluster = nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}, generation=2)
    scene = healthy_pair().wants(cluster)
    steps = plan_of(scene).stages[0].steps
    assert [step.node for step in steps] == ["nas-b", "nas-a"]
    plan = make_plan(cluster, scene.snapshot, scene.now, failing={steps[0].key: "exit status 1"})
    assert not [step for step in plan.steps if step.verb == "SetVhid"]


def test_two_masters_are_named() -> None:
    """Both MASTER with the same configuration: the network, or a password hactl cannot see."""
    plan = plan_of(healthy_pair().vhid("nas-b", state=CarpState.MASTER))
    assert [hold.reason for hold in plan.holds] == ["TwoMasters"]


def test_a_firewall_without_storage_is_repaired_while_one_node_is_silent() -> None:
    """The standby's own drift needs nobody's word."""
    plan = plan_of(edge_pair().vhid("fw-2", 10, interface="igb0", advskew=3).silent("fw-1"))
    assert [step.command for step in plan.steps] == ["ifconfig igb0 vhid 10 advskew 100"]


def test_every_hold_is_in_the_catalogue() -> None:
    """What is not named cannot happen."""
    used = {hold.reason for _, tweak, *_ in HELD for hold in plan_of(tweak(healthy_pair())).holds}
    assert used <= set(HoldReason)


def test_a_log_that_lost_its_oldest_lines_does_not_account_for_a_demotion() -> None:
    """It starts at 240: what that was is not known, so nothing is taken back."""
    scene = healthy_pair().sysctl("nas-b", demotion=340).node("nas-b", demotions=((100, 340, "sysctl"),))
    plan = plan_of(scene)
    assert plan.stages == ()
    assert "340" in held(plan, "Demoted").message


def test_where_securelevel_forbids_it_the_module_is_not_loaded() -> None:
    """A person adds it to kld_list and reboots."""
    plan = plan_of(blank_pair().system("nas-b", securelevel=1))
    assert held(plan, "SecureLevel").node == "nas-b"
    assert [step.node for step in plan.steps if step.verb == "LoadModule"] == ["nas-a"]


def test_a_block_that_somebody_cut_is_not_written_over() -> None:
    """Its two marks are no pair any more; the rest of the next boot is put right all the same."""
    scene = healthy_pair().boot("nas-b", aliases=()).rc("nas-b", hastd_enable="NO")
    plan = plan_of(scene.file("nas-b", "/etc/rc.conf.d/netif", block_damaged=True))
    assert [shortened(step) for step in plan.steps if step.node == "nas-b"] == ["sysrc hastd_enable=YES"]
    assert held(plan, "BootConfigByHand").node == "nas-b"
