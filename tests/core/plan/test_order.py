"""The order of steps: what comes before what, which stages are ordered, and what a failing step leaves out."""

from __future__ import annotations

from hactl.core.facts import Known, Service
from support.facts.builder import HAST_CONF, NOW, Scene, blank_pair, healthy_pair, nas_cluster, rebooted_pair
from support.facts.planned import commands, plan_of, reasons


def test_a_blank_pair_comes_up_in_the_only_right_order() -> None:
    """Metadata before the daemon, the standby's role before the promotion, addresses last and first where it serves."""
    wanted = {
        "CreateMetadata", "StartHastd", "SetRole", "MakeFilesystem", "CheckFilesystem", "Mount", "StartService",
        "AddAddress",
    }  # fmt: skip
    steps = [f"{step.node} {step.verb}" for step in plan_of(blank_pair()).steps if step.verb in wanted]
    assert steps == [
        "nas-a CreateMetadata",
        "nas-b CreateMetadata",
        "nas-a StartHastd",
        "nas-b StartHastd",
        "nas-b SetRole",
        "nas-a SetRole",
        "nas-a MakeFilesystem",
        "nas-a CheckFilesystem",
        "nas-a Mount",
        "nas-a StartService",
        "nas-a AddAddress",
        "nas-b AddAddress",
    ]


def test_what_one_node_does_after_the_other_is_in_an_ordered_stage() -> None:
    """The executor runs the nodes of any other stage in parallel."""
    found: dict[str, bool] = {}
    drifted = healthy_pair().file("nas-a", text=HAST_CONF.replace("memsync", "fullsync"))
    drifted = drifted.file("nas-b", text=HAST_CONF.replace("memsync", "fullsync"))
    for scene in (blank_pair(), drifted, healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}))):
        found |= {step.verb: stage.ordered for stage in plan_of(scene).stages for step in stage.steps}
    ordered = {"SetVhid", "AddAddress", "ReloadHastd", "MakeFilesystem", "CheckFilesystem", "Mount", "StartService"}
    assert {verb for verb in ordered if not found[verb]} == set()


def _two_services(scene: Scene, node: str) -> Scene:
    """The group has two services, and both run on that node."""
    services = [{"name": "nfsd", "runOn": "Active"}, {"name": "mountd", "runOn": "Active"}]
    for each in ("nas-a", "nas-b"):
        runs = each == node or each == "nas-a"
        named = {
            name: Known(Service(name, exists=True, running=runs, enabled=False, rcvar=f"{name}_enable"), NOW - 2)
            for name in ("nfsd", "mountd")
        }
        scene = scene.node(each, services=named)
    return scene.wants(nas_cluster({"spec.groups.0.services": services}))


def test_services_are_stopped_in_reverse_order() -> None:
    """The last to start may need the others."""
    plan = plan_of(_two_services(healthy_pair(), "nas-b"))
    assert commands(plan, "nas-b") == ["service mountd onestop", "service nfsd onestop"]


def test_what_comes_after_a_failing_step_is_left_out() -> None:
    """On the same node, and in an ordered stage on every node; the rest goes on."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}))
    plan = plan_of(scene, failing="nas-b SetVhid vtnet1 vhid 80")
    assert not [str(step.key) for step in plan.steps if step.verb == "SetVhid"]
    plan = plan_of(_two_services(healthy_pair(), "nas-b"), failing="nas-b StopService mountd")
    assert "service nfsd onestop" not in commands(plan, "nas-b")
    assert "StepFailing" in reasons(plan)


def test_a_node_is_not_promoted_while_its_standby_fails_to_become_secondary() -> None:
    """The wait is for the standby's own word, however long that takes."""
    plan = plan_of(rebooted_pair(), failing="nas-b SetRole data")
    assert not [str(step.key) for step in plan.steps if step.verb == "SetRole"]
