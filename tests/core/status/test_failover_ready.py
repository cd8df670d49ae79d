"""FailoverReady: every reason why a failover would not work, and how long one would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hactl.core.catalogue import ConditionReason
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, Connects, HastRole, Mount, Unknown
from hactl.core.hook.render import DEVD_RULE, HOOK
from hactl.core.status.failover import Failover, failover_ready
from hactl.core.status.timeline import Timeline, predict_failover
from support.facts.builder import NOW, Scene, edge_pair, nas_cluster, zfs_pair
from support.facts.hooked_scene import a_step, hook, hook_facts, hooked, hooked_pair, plan_of


def ready(scene: Scene, *verbs: str) -> Failover:
    """The verdict; `verbs` are steps of the plan on nas-b."""
    view = View.at(scene.cluster, scene.snapshot, NOW)
    return failover_ready(view, plan_of(scene, *(a_step("nas-b", verb, "it") for verb in verbs)))


def timeline(scene: Scene) -> Timeline:
    """The prediction for the only group."""
    found = predict_failover(View.at(scene.cluster, scene.snapshot, NOW), scene.cluster.groups[0])
    assert found is not None
    return found


def wants(scene: Scene, edits: dict[str, Any]) -> Scene:
    """Another document, and the hook it makes."""
    return hooked(scene.wants(nas_cluster(edits)))


def without(scene: Scene, node: str, path: str) -> Scene:
    """A file of the hook is not there."""
    files = {name: found for name, found in hook_facts(scene, node).files.items() if name != path}
    return hook(scene, node, files=files)


def altered(scene: Scene, node: str, path: str, *, mode: int | None = None) -> Scene:
    """A file of the hook is another one, or has another mode."""
    files = dict(hook_facts(scene, node).files)
    files[path] = ("0" * 64, files[path][1]) if mode is None else (files[path][0], mode)
    return hook(scene, node, files=files)


#: name -> (scene, status, reason, word).
CASES: dict[str, tuple[Callable[[Scene], Scene], str, str, str]] = {
    "all well": (lambda s: s, "True", "StandbyReady", "nas-b serves within about"),
    "no hook on the standby": (lambda s: without(s, "nas-b", HOOK), "False", "HookMissing", "nas-b does not have"),
    "no rule on the standby": (lambda s: without(s, "nas-b", DEVD_RULE), "False", "HookMissing", DEVD_RULE),
    "an old hook on the active node": (
        lambda s: altered(s, "nas-a", HOOK), "False", "HookMissing", "nas-a does not have",
    ),
    "a hook that cannot be run": (lambda s: altered(s, "nas-b", HOOK, mode=0o644), "False", "HookMissing", HOOK),
    "devd was not started with the rule": (
        lambda s: hook(s, "nas-b", devd_loaded="f" * 64), "False", "HookNotLoaded", "devd of nas-b",
    ),
    "devd stopped on the standby": (
        lambda s: s.node("nas-b", devd=False), "False", "DevdStopped", "devd of nas-b does not run",
    ),
    "devd stopped on the active node": (
        lambda s: s.node("nas-a", devd=False), "False", "DevdStopped", "devd of nas-a does not run",
    ),
    "devd not known": (
        lambda s: s.node("nas-b", devd=Unknown("NotUnderstood", NOW)), "Unknown", "HookUnknown", "whether devd",
    ),
    "devd looks elsewhere": (
        lambda s: hook(s, "nas-b", directories=("/etc/devd",)), "False", "HookNotLoaded", "does not read",
    ),
    "devd looks in the right place": (
        lambda s: hook(s, "nas-b", directories=("/usr/local/etc/devd",)), "True", "StandbyReady", "serves",
    ),
    "hastd takes no connections": (
        lambda s: s.node("nas-b", listening=frozenset()), "False", "HastdDeaf", "hastd of nas-b",
    ),
    "hastd listens on its address": (
        lambda s: s.node("nas-b", listening=frozenset({"198.51.100.12"})), "True", "StandbyReady", "serves",
    ),
    "a route refuses the peer": (
        lambda s: s.node("nas-b", refused=frozenset({"198.51.100.11"})), "False", "PeerRefused", "no way to",
    ),
    "the active node refuses its peer": (
        lambda s: s.node("nas-a", refused=frozenset({"198.51.100.12"})), "False", "PeerRefused", "nas-a has no way",
    ),
    "CARP logs nothing": (
        lambda s: s.sysctl("nas-a", log=0), "False", "CarpSilent", "nas-a has net.inet.carp.log=0",
    ),
    "something else is mounted there": (
        lambda s: s.node(
            "nas-b", mounts=(*s.known("nas-b", "mounts"), Mount("/dev/ada3p1", "/data", "ufs", frozenset()))
        ), "False", "MountpointTaken", "nas-b has /dev/ada3p1 on /data, where data would be mounted",
    ),
    "no room for notes": (
        lambda s: s.node("nas-b", free={"/var/db": 12, "/var/run": 900_000}), "False", "NoRoom", "no room in /var/db,",
    ),
    "replication cable out on the active node": (
        lambda s: s.interface("nas-a", "vtnet2", status="no carrier"), "False", "ReplicationCut",
        "vtnet2 of nas-a (198.51.100.11) has no carrier",
    ),
    "replication interface down on the standby": (
        lambda s: s.interface("nas-b", "vtnet2", flags=frozenset()), "False", "ReplicationCut", "nas-b",
    ),
    "hook not known": (
        lambda s: s.node("nas-b", hook=Unknown("NotUnderstood", NOW)), "Unknown", "HookUnknown", "not known",
    ),
    "copy not confirmed": (lambda s: hook(s, "nas-b", confirmed={}), "False", "CopyNotConfirmed", "has not confirmed"),
    "copy lost its primary": (
        lambda s: hook(s, "nas-b", disconnected={"data": 5}), "False", "CopyNotConfirmed", "lost its primary",
    ),
    "another copy was confirmed": (
        lambda s: hook(s, "nas-b", confirmed={"other": 5}), "False", "CopyNotConfirmed", "has not confirmed",
    ),
    "drained": (lambda s: hook(s, "nas-b", drained="drained by kim: disk"), "False", "Drained", "drained by kim: disk"),
    "held": (
        lambda s: hook(s, "nas-b", held=240).sysctl("nas-b", demotion=240), "False", "HeldAtBoot", "(demotion 240)",
    ),
    "Manual": (
        lambda s: wants(s, {"spec.failover": {"policy": "Manual"}}), "False", "ManualPolicy", "wait for a person",
    ),
    "no virtual IP": (
        lambda s: wants(s, {"spec.groups.0.virtualIPs": []}), "False", "StorageStaysPut", "no virtual IP",
    ),
    "service not installed": (lambda s: s.service("nas-b", exists=False), "False", "ServiceMissing", "no service nfsd"),
    "standby silent": (lambda s: s.silent("nas-b"), "Unknown", "StandbySilent", "does not answer"),
    "standby demoted": (lambda s: s.sysctl("nas-b", demotion=240), "False", "StandbyDemoted", "demoted by 240"),
    "degraded": (lambda s: s.resource("nas-a", status="degraded"), "False", "Degraded", "degraded on nas-a"),
    "being copied": (lambda s: s.resource("nas-a", dirty=2**30), "False", "NotSynchronised", "being copied"),
    "the standby's hastd never connects": (
        lambda s: s.node("nas-b", connects=Connects.NEVER), "False", "HastdNeverConnects", "on nas-b never connects",
    ),
    "the active node's hastd never connects": (
        lambda s: s.node("nas-a", connects=Connects.NEVER), "False", "HastdNeverConnects", "no peer is ever brought",
    ),
    "not secondary": (
        lambda s: s.resource("nas-b", role=HastRole.INIT), "False", "StandbyNotSecondary", "init for data",
    ),
    "not BACKUP": (lambda s: s.vhid("nas-b", state=CarpState.INIT), "False", "StandbyNotBackup", "INIT on nas-b"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "status", "reason", "word"), CASES.values(), ids=CASES)
def test_reasons(change: Callable[[Scene], Scene], status: str, reason: str, word: str) -> None:
    """One thing wrong gives one reason, and nothing else is claimed."""
    found = ready(change(hooked_pair()))
    assert (found.status, found.reason) == (status, reason), found.message
    assert word in found.message
    assert found.reason in set(ConditionReason)
    assert len({obstacle.reason for obstacle in found.obstacles}) <= 1


def test_every_reason_is_listed() -> None:
    """All at once, the certain ones deciding the status."""
    scene = hook(hooked_pair(), "nas-b", drained="by kim", confirmed={}).sysctl("nas-b", preempt=0)
    scene = scene.unknown("nas-b", "resources")
    found = ready(scene, "WriteBootAliases")
    reasons = [obstacle.reason for obstacle in found.obstacles]
    assert reasons == ["Drained", "CopyNotConfirmed", "PreemptOff", "WrongAfterReboot", "RoleUnknown"]
    assert found.status == "False"
    assert set(reasons) <= set(ConditionReason)
    assert [obstacle.certain for obstacle in found.obstacles] == [True, True, True, True, False]


def test_addresses_alone_need_no_hook() -> None:
    """A firewall pair is ready by CARP alone; it would take three seconds and a bit."""
    found = ready(edge_pair())
    assert (found.status, found.reason) == ("True", "StandbyReady")
    assert found.timelines[0].total_seconds == pytest.approx(3 + 100 / 256)
    assert "HAST" not in found.message


def parts(line: Timeline) -> dict[str, float]:
    """Owner -> seconds, of what the hook does."""
    return {phase.owner: phase.seconds for phase in line.work}


def test_the_parts_of_the_prediction() -> None:
    """Address by CARP, asking, role, check and mount, services; that it is an estimate is said."""
    line = timeline(hooked_pair())
    assert line.address_seconds == pytest.approx(3.390625)
    assert parts(line) == {"asking the peer": 2.5, "role": 1.0, "check and mount": 1.0, "services": 2.0}
    assert line.total_seconds == pytest.approx(9.89, abs=0.01)
    assert line.sentence == (
        "files: nas-b serves within about 10 s "
        "(CARP 3.4, asking the peer 2, role 1, check and mount 1, services 2, estimated)"
    )


def test_the_prediction_follows_document_and_facts() -> None:
    """Longer settling, a slower standby, a pool, two services, asynchronous replication."""
    slow = wants(hooked_pair(), {"spec.failover": {"settleSeconds": 30},
                                 "spec.groups.0.storage.0.hast.replication": "async"})  # fmt: skip
    line = timeline(slow.vhid("nas-b", advbase=2, advskew=128))
    assert (parts(line)["asking the peer"], line.address_seconds) == (30.0, 6.5)
    assert line.may_lose_writes
    assert "may be lost" in line.sentence
    assert parts(timeline(hooked(zfs_pair())))["check and mount"] == 5.0
    two = wants(hooked_pair(), {"spec.groups.0.services": [{"name": "nfsd"}, {"name": "mountd"}]})
    assert parts(timeline(two))["services"] == 4.0
    alone = wants(hooked_pair(), {"spec.groups.0.storage": []}).vhid("nas-a", state=CarpState.MASTER)
    assert parts(timeline(alone)) == {"settling": 1.0, "services": 2.0}


def test_resources_of_a_group_are_taken_side_by_side() -> None:
    """Four take as long as the largest of them."""
    spec = nas_cluster().document.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]
    (data,) = spec["groups"][0]["storage"]
    names = ["data", "data1", "data2", "data3"]
    scene = wants(
        hooked_pair(), {"spec.groups.0.storage": [{**data, "name": name, "filesystem": None} for name in names]}
    )
    resources = scene.known("nas-a", "resources")
    scene = scene.node("nas-a", resources={name: replace(resources["data"], name=name) for name in names})
    without_filesystem = {k: v for k, v in parts(timeline(hooked_pair())).items() if k != "check and mount"}
    assert parts(timeline(scene)) == without_filesystem


def test_data_at_risk_is_not_in_the_message() -> None:
    """Dirty bytes change all the time: an unchanged cluster must keep its condition."""
    one, other = hooked_pair(), hooked_pair().resource("nas-a", dirty=2097152)
    assert ready(one).message == ready(other).message
    assert ready(one).message == ready(one.aged(5)).message


def test_past_moves_correct_the_prediction() -> None:
    """The slowest, with its phases; a peer that let go was asked less long than a silent one will be."""
    moves = ("1795450000 files took 7 peer 2 role 1 filesystem 1 services 2",)
    line = timeline(hook(hooked_pair(), "nas-b", moves=moves))
    measured = {"asking the peer": 2.5, "role": 1.0, "check and mount": 1.0, "services": 2.0, "the rest": 1.0}
    assert parts(line) == measured
    assert line.sentence.endswith("services 2, the rest 1, but for CARP as in its last move)")
    both = hook(
        hook(hooked_pair(), "nas-b", moves=moves),
        "nas-a",
        moves=("1795450100 files took 30 peer 20 role 2 filesystem 3 services 5", "1795450200 files gave 300 "),
    )
    assert timeline(both).total_seconds == pytest.approx(3.39 + 30, abs=0.01)
    assert "but for CARP as in the slowest of 2 moves" in timeline(both).sentence


@pytest.mark.parametrize(
    "line",
    [
        "1795450000 files took-by-hand 140 peer 131 role 2 filesystem 3 services 4",
        "1795450000 files woke 140 role 2 filesystem 3 services 4",
        "1795450000 files stopped 140 the peer is still primary for data and connected",
        "1795450000 files took 53 peer 18 gone 12 role 17 fsck 1 filesystem 2 services 3",
        "1795450000 files took 53 peer 18 role 17 filesystem 3 services 9 of 4/1",
        "1795450000 files took 9 from devd",
        "1795450000 mail took 9 peer 1",
        "files took",
        "x files took 9 x",
        "1 files took y",
    ],
)
def test_what_measures_nothing_is_not_counted(line: str) -> None:
    """What a person began, an earlier hook's moves, a group with more resources, other groups, odd lines."""
    assert timeline(hook(hooked_pair(), "nas-b", moves=(line,))) == timeline(hooked_pair())


def test_a_move_of_the_group_as_it_is_counts() -> None:
    """One resource and one service, as now."""
    line = "1795450000 files took 53 peer 18 role 17 filesystem 3 services 9 of 1/1"
    found = timeline(hook(hooked_pair(), "nas-b", moves=(line,)))
    assert (found.moves, sum(phase.seconds for phase in found.work)) == (1, 53.0)


def test_only_the_newest_moves_count() -> None:
    """A slow move of long ago is forgotten after five others."""
    moves = ("1 files took 500 peer 500", *(f"{at} files took 50 peer 50" for at in range(2, 7)))
    found = timeline(hook(hooked_pair(), "nas-b", moves=moves))
    assert (found.moves, parts(found)["asking the peer"]) == (5, 50.0)


def test_no_active_node_no_prediction() -> None:
    """Nothing is predicted for a group that is nowhere."""
    scene = hooked_pair().resource("nas-a", role=HastRole.INIT)
    assert ready(scene).timelines == ()
    assert ready(scene).reason == "NoActiveNode"
