"""FailoverReady: every reason why a failover would not work, and how long one would take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hactl.core.catalogue import ConditionReason
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, HastRole, Unknown
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


def test_the_parts_of_the_prediction() -> None:
    """Address by CARP, HAST's timeout twice, settling, check and mount, services."""
    line = timeline(hooked_pair())
    assert line.address_seconds == pytest.approx(3.390625)
    assert (line.settle_seconds, line.storage_seconds, line.services_seconds) == (2.0, 30.0, 2.0)
    assert line.filesystem_seconds == 2.0
    assert line.total_seconds == pytest.approx(39.39, abs=0.01)
    assert line.sentence.startswith("files: nas-b serves within about 39 s (address 3.4, HAST up to 30, settling 2")


def test_the_prediction_follows_document_and_facts() -> None:
    """A longer timeout, a slower standby, a pool, asynchronous replication."""
    slow = wants(hooked_pair(), {"spec.groups.0.storage.0.hast.timeoutSeconds": 60, "spec.groups.0.storage.0.hast"
                                 ".replication": "async"})  # fmt: skip
    line = timeline(slow.vhid("nas-b", advbase=2, advskew=128))
    assert (line.storage_seconds, line.address_seconds) == (120.0, 6.5)
    assert line.may_lose_writes
    assert "may be lost" in line.sentence
    assert timeline(hooked(zfs_pair())).filesystem_seconds == 5.0


def test_data_at_risk_is_not_in_the_message() -> None:
    """Dirty bytes change all the time: an unchanged cluster must keep its condition."""
    one, other = hooked_pair(), hooked_pair().resource("nas-a", dirty=2097152)
    assert ready(one).message == ready(other).message
    assert ready(one).message == ready(one.aged(5)).message


def test_past_moves_correct_the_prediction() -> None:
    """A short one met a peer that let go, so HAST's waits come on top; a long one had them; others do not count."""
    short = hook(hooked_pair(), "nas-b", moves=("1795450000 files took 9 from devd",))
    assert timeline(short).total_seconds == pytest.approx(3.39 + 30 + 9, abs=0.01)
    long = hook(short, "nas-a", moves=("1795450100 files took 71.5 from devd", "1795450200 files gave 300 x"))
    assert timeline(long).measured_seconds == 71.5
    assert timeline(long).total_seconds == pytest.approx(3.39 + 71.5, abs=0.01)
    assert "as measured, 72" in timeline(long).sentence
    odd = hook(
        hooked_pair(), "nas-b", moves=("files took", "1795450000 mail took 9 x", "x files took 9 x", "1 files took y")
    )
    assert timeline(odd).measured_seconds is None


def test_only_the_newest_moves_count() -> None:
    """A slow move of long ago is forgotten after five others."""
    moves = ("1 files took 500 x", *(f"{at} files took 50 x" for at in range(2, 7)))
    assert timeline(hook(hooked_pair(), "nas-b", moves=moves)).measured_seconds == 50


def test_no_active_node_no_prediction() -> None:
    """Nothing is predicted for a group that is nowhere."""
    scene = hooked_pair().resource("nas-a", role=HastRole.INIT)
    assert ready(scene).timelines == ()
    assert ready(scene).reason == "NoActiveNode"
