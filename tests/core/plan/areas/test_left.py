"""What left the document and goes on on a node is named, with what removes it, until it is seen gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.core.cluster import Left, LeftKind, services_of
from hactl.core.evidence.left import left_by
from hactl.core.evidence.view import View
from hactl.core.facts import Hastd, Unknown
from hactl.core.plan import make_plan
from hactl.core.probe.script import probe_script
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Hold
from support.facts.builder import NOW, Scene, healthy_pair, nas_cluster
from support.facts.hooked_scene import hooked, hooked_pair, plan_of

WITHOUT_SERVICE: dict[str, Any] = {"spec.groups.0.services": []}
WITHOUT_STORAGE: dict[str, Any] = {"spec.groups.0.storage": []}


def status_of(scene: Scene) -> dict[str, Any]:
    """The status on record before the document changed."""
    view = View.at(scene.cluster, scene.snapshot, NOW)
    return cluster_status(view, plan_of(scene), Origin("nas.yaml"), wall=datetime(2026, 11, 24, tzinfo=UTC))


def after(scene: Scene, edits: dict[str, Any], previous: dict[str, Any] | None = None) -> Scene:
    """Another document, on what the last status named."""
    cluster = nas_cluster(edits, generation=2)
    left = left_by(status_of(scene) if previous is None else previous, cluster.document)
    return hooked(scene.wants(replace(cluster, left=left)))


def held(scene: Scene) -> list[Hold]:
    """What the plan names."""
    plan = make_plan(scene.cluster, scene.snapshot, NOW)
    return [hold for hold in plan.holds if hold.reason == "LeftBehind"]


def test_a_service_that_left_is_named_where_it_runs() -> None:
    """On the active node only; with the command that stops it, and what makes it the machine's own."""
    scene = after(hooked_pair(), WITHOUT_SERVICE)
    (hold,) = held(scene)
    assert (hold.node, hold.target, hold.passing) == ("nas-a", "nfsd", False)
    assert hold.message == "nfsd left the document and goes on running on nas-a"
    assert hold.remedy.startswith("service nfsd onestop on nas-a; ")
    assert "sysrc nfs_server_enable=YES" in hold.remedy
    assert not make_plan(scene.cluster, scene.snapshot, NOW).steps, "it is not stopped by hactl"


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: scene.service("nas-a", running=False),
        lambda scene: scene.service("nas-a", exists=False, running=False),
        lambda scene: scene.service("nas-a", enabled=True),
        lambda scene: scene.silent("nas-a"),
        lambda scene: scene.node("nas-a", services={"nfsd": Unknown("TimedOut", NOW)}),
    ],
    ids=["stopped", "gone", "starts at boot", "silent", "not known"],
)
def test_what_is_not_seen_running_is_not_named(change: Callable[[Scene], Scene]) -> None:
    """Nothing is concluded from silence, and what rc starts at boot is the machine's own."""
    assert held(change(after(hooked_pair(), WITHOUT_SERVICE))) == []


def test_it_is_forgotten_once_it_is_seen_gone_and_not_before() -> None:
    """The status carries it: over a silent node, over many looks; started again later, it is somebody else's."""
    scene = after(hooked_pair(), WITHOUT_SERVICE)
    entry = {"what": "service", "name": "nfsd", "node": "nas-a"}
    assert status_of(scene)["left"] == [entry], "nas-b does not run it, as was seen"
    quiet = status_of(scene.silent("nas-a"))
    assert quiet["left"] == [entry]
    stopped = status_of(after(scene, WITHOUT_SERVICE, quiet).service("nas-a", running=False))
    assert stopped["left"] == []
    assert held(after(scene, WITHOUT_SERVICE, stopped)) == []


def test_what_comes_back_into_the_document_has_not_left() -> None:
    """And a document without a record leaves nothing."""
    assert left_by(status_of(after(hooked_pair(), WITHOUT_SERVICE)), nas_cluster().document) == ()
    assert left_by(None, nas_cluster(WITHOUT_SERVICE).document) == ()
    assert left_by(status_of(hooked_pair()), nas_cluster().document) == ()


def test_a_node_is_asked_about_what_left() -> None:
    """The probe asks for the document's services and these."""
    scene = after(hooked_pair(), WITHOUT_SERVICE)
    assert services_of(scene.cluster) == ("nfsd",)
    assert "h_name='nfsd'" in probe_script(scene.cluster, "nas-a", "0123456789abcdef")
    assert "h_name='nfsd'" not in probe_script(nas_cluster(WITHOUT_SERVICE), "nas-a", "0123456789abcdef")


def test_a_filesystem_that_left_is_named_and_hastd_where_nothing_is_left_for_it() -> None:
    """The mount first; the standby has only the daemon."""
    found = {hold.node: hold for hold in held(after(hooked_pair(), WITHOUT_STORAGE))}
    assert found["nas-a"].message == (
        "data left the document; /dev/hast/data is still mounted on /data of nas-a, and nothing moves it any more"
    )
    assert "umount /data && hastctl role init data" in found["nas-a"].remedy
    assert found["nas-b"].message == "the document has no storage for nas-b any more, and hastd goes on running there"
    assert "service hastd onestop && sysrc hastd_enable=NO on nas-b" in found["nas-b"].remedy


def test_without_hastd_and_without_a_mount_nothing_is_left_of_a_resource() -> None:
    """What is on the disks is nobody's business."""
    scene = after(hooked_pair(), WITHOUT_STORAGE).unmounted("nas-a")
    for node in ("nas-a", "nas-b"):
        scene = scene.node(node, hastd=Hastd(running=False))
    assert held(scene) == []
    assert status_of(scene)["left"] == []


def test_services_come_before_what_they_use() -> None:
    """A person stops them in that order."""
    left = left_by(status_of(hooked_pair()), nas_cluster({**WITHOUT_SERVICE, **WITHOUT_STORAGE}).document)
    assert left[0] == Left(LeftKind.SERVICE, "nfsd", "nas-a")
    assert [each.what for each in left] == [LeftKind.SERVICE] * 2 + [LeftKind.RESOURCE] * 2


def test_the_variable_of_the_hook_goes_with_the_hook() -> None:
    """It is hactl's own, so it is taken out; where there is a hook it stays."""
    scene = (
        healthy_pair().wants(nas_cluster({**WITHOUT_SERVICE, **WITHOUT_STORAGE})).rc("nas-b", hactl_node_enable="NO")
    )
    steps = [step for step in make_plan(scene.cluster, scene.snapshot, NOW).steps if step.verb == "RemoveRcVariable"]
    assert [(step.node, step.target) for step in steps] == [("nas-a", "hactl_node_enable")]
    kept = hooked_pair().rc("nas-a", hactl_node_enable="YES")
    assert not make_plan(kept.cluster, kept.snapshot, NOW).steps
