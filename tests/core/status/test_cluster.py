"""The status of a cluster: conditions as tables, and what must never be claimed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.catalogue import ConditionReason, ConditionType, HoldReason
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, HastRole, NoMetadata, Unknown
from hactl.core.status.changes import same_but_for_ages
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Hold, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from support.facts.builder import (
    NOW,
    SEEN,
    Scene,
    blank_pair,
    edge_cluster,
    edge_pair,
    healthy_pair,
    nas_cluster,
    rebooted_pair,
    zfs_pair,
)
from support.facts.planned import key_of

WALL = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)


def plan_of(scene: Scene, *verbs: str, holds: tuple[Hold, ...] = ()) -> Plan:
    """A plan with one stage of these verbs (or none)."""
    steps = tuple(Step("nas-b", Verb(verb), "it", "because", "true", Risk.NONE) for verb in verbs)
    stages = (Stage("a stage", steps),) if steps else ()
    active: dict[str, str | None] = {group.name: group.preferred[0] for group in scene.cluster.groups}
    return Plan(scene.cluster.name, scene.cluster.generation, stages, holds, active)


def status_of(scene: Scene, plan: Plan | None = None, **more: Any) -> dict[str, Any]:
    """The status of a scene; the plan is empty unless given."""
    view = View.at(scene.cluster, scene.snapshot, scene.now)
    return cluster_status(view, plan or plan_of(scene), Origin("clusters/nas.yaml"), **{"wall": WALL, **more})


def conditions(status: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """type -> (status, reason)."""
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


A_MASTER = {"state": CarpState.MASTER}
PRIMARY = {"role": HastRole.PRIMARY}

TABLE: dict[str, tuple[Scene, dict[str, tuple[str, str] | None]]] = {
    "healthy pair": (
        healthy_pair(),
        {
            "Ready": ("True", "AsDesired"),
            "AddressesHealthy": ("True", "OneMaster"),
            "StorageHealthy": ("True", "Complete"),
            "ConfigInSync": ("True", "InSync"),
            "FailoverReady": ("True", "StandbyReady"),
            "SplitBrain": None,
            "Reconciling": None,
            "Stalled": None,
        },
    ),
    "healthy pool": (zfs_pair(), {"Ready": ("True", "AsDesired")}),
    "healthy firewall": (
        edge_pair(),
        {
            "Ready": ("True", "AsDesired"),
            "StorageHealthy": ("True", "NoStorage"),
            "FailoverReady": ("True", "StandbyReady"),
        },
    ),
    "standby silent": (
        healthy_pair().silent("nas-b"),
        {
            "Ready": ("Unknown", "ReadingsUnknown"),
            "AddressesHealthy": ("Unknown", "StateUnknown"),
            "StorageHealthy": ("Unknown", "RoleUnknown"),
            "ConfigInSync": ("Unknown", "ReadingsUnknown"),
            "FailoverReady": ("Unknown", "StandbySilent"),
        },
    ),
    "facts too old": (healthy_pair().aged(60), {"Ready": ("Unknown", "ReadingsUnknown")}),
    "two masters": (
        healthy_pair().vhid("nas-b", **A_MASTER),
        {
            "Ready": ("False", "TwoMasters"),
            "AddressesHealthy": ("False", "TwoMasters"),
            "SplitBrain": ("True", "TwoMasters"),
        },
    ),
    "no master": (
        healthy_pair().vhid("nas-a", state=CarpState.BACKUP),
        {"AddressesHealthy": ("False", "NoMaster"), "FailoverReady": ("True", "StandbyReady")},
    ),
    "vhid missing on the standby": (
        healthy_pair().without_vhid("nas-b"),
        {"AddressesHealthy": ("False", "NotOnEveryNode")},
    ),
    "address and storage apart (recording 06)": (
        healthy_pair().vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", **A_MASTER),
        {"Ready": ("False", "AddressElsewhere"), "AddressesHealthy": ("False", "AddressElsewhere")},
    ),
    "served without data (recording 09)": (
        rebooted_pair(),
        {"AddressesHealthy": ("False", "AddressWithoutStorage"), "StorageHealthy": ("False", "NoPrimary")},
    ),
    "degraded": (
        healthy_pair().resource("nas-a", status="degraded"),
        {"Ready": ("False", "Degraded"), "StorageHealthy": ("False", "Degraded")},
    ),
    "local errors": (healthy_pair().resource("nas-a", local_errors=1), {"StorageHealthy": ("False", "LocalErrors")}),
    "synchronising": (
        healthy_pair().resource("nas-a", dirty=10**9),
        {"Ready": ("False", "NotSynchronised"), "StorageHealthy": ("True", "Synchronising")},
    ),
    "two primaries": (
        healthy_pair().resource("nas-b", status="degraded", **PRIMARY),
        {"StorageHealthy": ("False", "TwoPrimaries"), "SplitBrain": ("True", "TwoPrimaries")},
    ),
    "diverged (recording 05)": (
        healthy_pair().resource("nas-a", status="degraded").metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1),
        {"StorageHealthy": ("False", "Diverged"), "SplitBrain": ("True", "Diverged")},
    ),
    "metadata unknown": (
        healthy_pair().unknown("nas-b", "metadata"),
        {"Ready": ("Unknown", "ReadingsUnknown"), "StorageHealthy": ("Unknown", "MetadataUnknown")},
    ),
    "blank pair": (
        blank_pair(),
        {"AddressesHealthy": ("False", "NoMaster"), "StorageHealthy": ("False", "NoPrimary")},
    ),
    "firewall standby silent": (
        edge_pair().silent("fw-2"),
        {"Ready": ("Unknown", "ReadingsUnknown"), "FailoverReady": ("Unknown", "StandbySilent")},
    ),
    "firewall preempt off": (edge_pair().sysctl("fw-2", preempt=0), {"FailoverReady": ("False", "PreemptOff")}),
    "firewall standby demoted": (
        edge_pair().sysctl("fw-2", demotion=240),
        {"FailoverReady": ("False", "StandbyDemoted")},
    ),
    "firewall standby not backup": (
        edge_pair().vhid("fw-2", 20, interface="igb1", state=CarpState.INIT),
        {"FailoverReady": ("False", "StandbyNotBackup"), "AddressesHealthy": ("False", "NotOnEveryNode")},
    ),
    "firewall link down": (
        edge_pair().interface("fw-2", "igb1", status="no carrier"),
        {"FailoverReady": ("False", "StandbyInterfaceDown")},
    ),
    "firewall addresses apart": (
        edge_pair()
        .vhid("fw-1", 20, interface="ix1", state=CarpState.BACKUP)
        .vhid("fw-2", 20, interface="igb1", **A_MASTER),
        {"AddressesHealthy": ("False", "AddressesApart"), "FailoverReady": ("False", "NoActiveNode")},
    ),
    "firewall password differs": (
        edge_pair().vhid("fw-2", 10, interface="igb0", key="x"),
        {"FailoverReady": ("False", "PasswordDiffers")},
    ),
    "references did not resolve": (
        Scene(replace(nas_cluster(), keys={}), healthy_pair().nodes),
        {"Ready": ("Unknown", "ReadingsUnknown"), "ConfigInSync": ("Unknown", "ReadingsUnknown")},
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_conditions_of_what_is_seen(name: str) -> None:
    """With nothing planned, the conditions follow from what is seen; None: the condition does not exist."""
    scene, expected = TABLE[name]
    found = conditions(status_of(scene))
    assert {kind: found.get(kind) for kind in expected} == expected


@pytest.mark.parametrize(
    ("verbs", "expected"),
    [
        ([verb for verb in Verb if verb.traits.boot_only], ("False", "WrongAfterReboot")),
        (["SetVhid"], ("False", "RuntimeDrift")),
        (["SetRcVariable", "WriteHastConf"], ("False", "RuntimeDrift")),
        ([], ("True", "InSync")),
    ],
)
def test_config_in_sync_by_what_is_planned(verbs: list[str], expected: tuple[str, str]) -> None:
    """Right now but wrong after a reboot is its own reason; either keeps the cluster from Ready."""
    scene = healthy_pair()
    found = conditions(status_of(scene, plan_of(scene, *verbs)))
    assert found["ConfigInSync"] == expected
    assert found["Ready"][0] == ("False" if verbs else "True")
    assert ("Reconciling" in found) == bool(verbs)


@pytest.mark.parametrize(
    ("hold", "expected"),
    [
        (
            Hold(HoldReason.BOOT_CONFIG_BY_HAND, "an alias by hand", node="nas-b"),
            {
                "Ready": ("False", "Held"),
                "ConfigInSync": ("False", "WrongAfterReboot"),
                "Stalled": ("True", "BootConfigByHand"),
            },
        ),
        (
            Hold(HoldReason.RELOAD_UNSAFE, "would destroy the device"),
            {"Ready": ("False", "Held"), "ConfigInSync": ("False", "Held"), "Stalled": ("True", "ReloadUnsafe")},
        ),
        (
            Hold(HoldReason.ELECTING, "no MASTER yet", passing=True),
            {"Ready": ("False", "Held"), "Reconciling": ("True", "Waiting"), "ConfigInSync": ("True", "InSync")},
        ),
        (
            Hold(HoldReason.FACTS_UNKNOWN, "cannot read", node="nas-b"),
            {"Ready": ("Unknown", "ReadingsUnknown"), "ConfigInSync": ("Unknown", "ReadingsUnknown")},
        ),
    ],
)
def test_holds_in_conditions(hold: Hold, expected: dict[str, tuple[str, str]]) -> None:
    """A hold keeps the cluster from Ready; one about what is not known makes it Unknown, not False."""
    scene = healthy_pair()
    found = conditions(status_of(scene, plan_of(scene, holds=(hold,))))
    assert {kind: found.get(kind) for kind in expected} == expected


def test_modes_that_do_not_act_are_stalled() -> None:
    """Observe never reconciles; Propose waits for its approval; a failing step is told."""
    watched = healthy_pair().wants(nas_cluster({"spec.mode": "Observe"}))
    found = conditions(status_of(watched, plan_of(watched, "SetVhid")))
    assert found["Stalled"] == ("True", "ObserveOnly")
    assert "Reconciling" not in found
    waits = plan_of(healthy_pair(), "SetVhid", holds=(Hold(HoldReason.WAITING_FOR_APPROVAL, "approve it"),))
    found = conditions(status_of(healthy_pair(), waits))
    assert found["Stalled"] == ("True", "WaitingForApproval")
    assert "Reconciling" not in found
    failing = {key_of("nas-b SetRcVariable hastd_enable"): "exit status 1"}
    found = conditions(status_of(healthy_pair(), failing=failing))
    assert found["Stalled"] == ("True", "StepFailing")
    assert found["ConfigInSync"] == ("False", "WrongAfterReboot")
    assert found["Ready"][0] == "False"


def test_dirty_bytes_that_grow_are_not_healthy() -> None:
    """More and more on the primary only is FallingBehind; less and less is Synchronising."""
    first = status_of(healthy_pair().resource("nas-a", dirty=10**9))
    more = status_of(healthy_pair().resource("nas-a", dirty=2 * 10**9), previous=first)
    less = status_of(healthy_pair().resource("nas-a", dirty=10**8), previous=first)
    assert conditions(more)["StorageHealthy"] == ("False", "FallingBehind")
    assert conditions(less)["StorageHealthy"] == ("True", "Synchronising")


NEEDED = [
    "system",
    "interfaces",
    "modules",
    "carp_sysctls",
    "hastd",
    "resources",
    "metadata",
    "hast_devices",
    "mounts",
    "services",
    "boot",
    "files",
]


@given(st.sampled_from(["nas-a", "nas-b"]), st.sets(st.sampled_from([*NEEDED, "node"]), min_size=1))
def test_never_ready_with_an_unknown_reading_the_document_needs(node: str, names: set[str]) -> None:
    """Whatever is not known, Ready is not True, and ConfigInSync is not either."""
    scene = healthy_pair().unknown(node, *(names - {"node"}))
    if "node" in names:
        scene = scene.silent(node)
    found = conditions(status_of(scene))
    assert found["Ready"][0] != "True"
    assert found["ConfigInSync"][0] != "True"


def test_a_device_that_is_not_known_counts_while_there_is_no_metadata() -> None:
    """With metadata read, the device is evidently there; without, nothing is claimed."""
    scene = healthy_pair().unknown("nas-b", "devices")
    assert conditions(status_of(scene))["Ready"][0] == "True"
    lost = scene.metadata("nas-b", value=NoMetadata.ABSENT)
    assert conditions(status_of(lost))["Ready"][0] == "Unknown"


def test_a_plan_of_nothing_is_no_proof() -> None:
    """A plan that did not look at the groups (references did not resolve) makes nothing Ready."""
    empty = Plan("edge", 1)
    assert conditions(status_of(edge_pair(), empty))["Ready"][0] == "Unknown"
    assert edge_cluster().name == "edge"


# --- shape and times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_a_status_is_json_and_its_words_are_in_the_catalogue(name: str) -> None:
    """Every type and reason is documented; the status survives JSON unchanged."""
    status = status_of(TABLE[name][0])
    assert json.loads(json.dumps(status)) == status
    for condition in status["conditions"]:
        assert condition["type"] in set(ConditionType)
        assert condition["reason"] in {*ConditionReason, *HoldReason}


def test_ages_are_shown_and_the_only_difference_between_passes() -> None:
    """Ten seconds later nothing but ages differs; the silence of a node keeps its beginning."""
    for scene in (healthy_pair(), healthy_pair().silent("nas-b"), edge_pair().unknown("fw-1", "boot")):
        first = status_of(scene)
        later = replace(scene, now=NOW + 10)
        second = status_of(later, wall=WALL + timedelta(seconds=10.4), previous=first)
        assert same_but_for_ages(first, second)
        assert first != second
    node = status_of(healthy_pair())["nodes"][0]
    assert node["ageSeconds"] == NOW - SEEN
    silent = status_of(healthy_pair().silent("nas-b", since=NOW - 60))["nodes"][1]
    assert (silent["answers"], silent["reason"], silent["silentSince"]) == (
        False,
        "Unreachable",
        "2026-11-24T03:11:00Z",
    )


def test_transition_times_are_kept_while_the_status_is_the_same() -> None:
    """lastTransitionTime moves with the status, not with reason or message."""

    def since(status: Mapping[str, Any], kind: str) -> str:
        return next(str(c["lastTransitionTime"]) for c in status["conditions"] if c["type"] == kind)

    first = status_of(healthy_pair())
    hour = WALL + timedelta(hours=1)
    broken = status_of(healthy_pair().resource("nas-a", status="degraded"), previous=first, wall=hour)
    assert since(broken, "StorageHealthy") == "2026-11-24T04:12:00Z"
    assert since(broken, "AddressesHealthy") == "2026-11-24T03:12:00Z"
    worse = healthy_pair().resource("nas-b", status="degraded", **PRIMARY)
    still = status_of(worse, previous=broken, wall=hour + timedelta(hours=1))
    assert since(still, "StorageHealthy") == "2026-11-24T04:12:00Z"


def test_the_readings_of_a_node_and_a_group() -> None:
    """What people see: release, mismatch, demotion, unknown readings, where things are."""
    scene = healthy_pair().system("nas-b", hostname="other.example.org").sysctl("nas-b", demotion=7)
    scene = scene.node("nas-b", demotions=Unknown("garbled", SEEN)).unknown("nas-b", "boot")
    status = status_of(scene)
    node = status["nodes"][1]
    assert (node["hostnameMismatch"], node["carpDemotion"], node["release"]) == ("other.example.org", 7, "13.2-RELEASE")
    assert {(u["reading"], u["needed"]) for u in node["unknown"]} == {("boot", True), ("demotions", False)}
    group = status["groups"][0]
    assert (group["active"], group["wantedActive"]) == ("nas-a", "nas-a")
    assert group["addresses"][0]["states"] == {"nas-a": "MASTER", "nas-b": "BACKUP"}
    assert group["storage"][0]["mountedOn"] == ["nas-a"]
    assert group["storage"][0]["metadata"]["nas-a"]["resuid"] == "4022304802173682088"
    assert group["services"][0]["states"] == {"nas-a": "Running", "nas-b": "Stopped"}


def test_the_plan_in_the_status() -> None:
    """Digest, counts and the first stage with its commands."""
    plan = plan_of(healthy_pair(), "SetVhid", "SetRcVariable")
    shown = status_of(healthy_pair(), plan)["plan"]
    assert (shown["digest"], shown["stages"], shown["steps"]) == (plan.digest, 1, 2)
    assert [step["verb"] for step in shown["next"]["steps"]] == ["SetVhid", "SetRcVariable"]


def test_conditions_tell_of_a_refused_document_and_of_a_source_beside_what_the_nodes_are() -> None:
    """Ready stays what it is: the nodes are as the document in force says."""
    scene = healthy_pair()
    view = View.at(scene.cluster, scene.snapshot, scene.now)
    said = conditions(cluster_status(view, plan_of(scene), Origin("nas.yaml"), wall=WALL))
    assert (said["SpecAccepted"], said["SourceReady"]) == (("True", "Accepted"), ("True", "SourceRead"))
    origin = Origin("nas.yaml", refused="nas.yaml:3:1: no such field", trouble="git: cannot be read: no route to host")
    status = cluster_status(view, plan_of(scene), origin, wall=WALL)
    told = conditions(status)
    assert (told["SpecAccepted"], told["SourceReady"]) == (("False", "DocumentRefused"), ("False", "SourceSilent"))
    assert told["Ready"] == said["Ready"]
    messages = {c["type"]: c["message"] for c in status["conditions"]}
    assert messages["SpecAccepted"].endswith("the last good one stays in force: nas.yaml:3:1: no such field")
    assert messages["SourceReady"] == "git: cannot be read: no route to host"
