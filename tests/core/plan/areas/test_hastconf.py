"""hast.conf: what is not dropped from it, and who waits for whom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hactl.core.facts import HastResource, HastRole
from support.facts.builder import HAST_CONF, healthy_pair, nas_cluster
from support.facts.planned import held, plan_of
from support.node_sh import node_says


def _other(role: HastRole) -> HastResource:
    """A resource that the document does not have."""
    return HastResource("other", role, "other", "/dev/vtbd5", "", None, "memsync", None, None, 0, 0, 0)


@pytest.mark.parametrize("role", [HastRole.PRIMARY, HastRole.SECONDARY])
def test_a_resource_that_hastd_uses_and_the_document_has_not_is_not_dropped(role: HastRole) -> None:
    """Neither from the file nor, where the file is right already, by a reload (I2)."""
    both = HAST_CONF + HAST_CONF.replace("resource data", "resource other").replace("vtbd1", "vtbd5")
    for text in (both, HAST_CONF):
        scene = healthy_pair().file("nas-b", text=text)
        scene = scene.node("nas-b", resources={**scene.known("nas-b", "resources"), "other": _other(role)})
        plan = plan_of(scene)
        assert not [str(step.key) for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd")]
        hold = held(plan, "ForeignResource")
        assert (hold.node, hold.target) == ("nas-b", "/etc/hast.conf" if text == both else "other")


def test_hastd_of_the_active_node_is_left_alone_while_its_standby_is_silent() -> None:
    """The standby takes a change first (I5)."""
    scene = healthy_pair().file("nas-a", text=HAST_CONF.replace("memsync", "fullsync")).silent("nas-b")
    plan = plan_of(scene)
    assert not [str(step.key) for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd")]
    assert held(plan, "StandbyFirst").node == "nas-a"


def test_a_new_connection_of_a_primary_is_taken_over_while_nothing_is_connected() -> None:
    """hastd would hang (docs/freebsd-facts.md#7.68): the standby has no role meanwhile, and is secondary again."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage.0.hast.replication": "fullsync"}, generation=2))
    plan = plan_of(scene)
    assert plan.stages[0].ordered
    steps = [f"{step.node} {step.command}" for step in plan.steps if step.verb in ("ReloadHastd", "SetRole")]
    assert steps == [
        "nas-b service hastd onereload",
        "nas-b hastctl role init data",
        "nas-a service hastd onereload",
        "nas-b hastctl role secondary data",
    ]
    reload = next(step for step in plan.steps if (step.node, step.verb) == ("nas-a", "ReloadHastd"))
    assert [check.says for check in reload.before] == ["data is not connected as a primary"]


@pytest.mark.parametrize(
    ("role", "status", "reloads"),
    [("primary", "degraded", True), ("secondary", "complete", True), ("primary", "complete", False)],
)
def test_a_node_that_became_primary_since_the_look_does_not_hang(
    tmp_path: Path, role: str, status: str, reloads: bool
) -> None:
    """By a failover: nobody let go of its peer then, and the reload waits for the next look."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage.0.hast.replication": "fullsync"}, generation=2))
    reload = next(step for step in plan_of(scene).steps if (step.node, step.verb) == ("nas-b", "ReloadHastd"))
    (check,) = reload.before
    listed = f"printf '  role: {role}\\n  status: {status}\\n'"
    assert node_says(check.test, tmp_path, hastctl=listed, sleep=":") is reloads


def test_what_closes_no_connection_disturbs_none() -> None:
    """A timeout is taken over live; so is a program."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage.0.hast.timeoutSeconds": 10}, generation=2))
    assert not [step for step in plan_of(scene).steps if step.verb == "SetRole"]


def test_what_is_served_without_source_gets_none() -> None:
    """The owner's file has none, the program is missing in it: it is added, and the connection stays."""
    text = re.sub(r"\n\t*source .*", "", HAST_CONF).replace("exec /usr/local/libexec/hactl/hook\n", "")
    scene = healthy_pair().file("nas-a", text=text).file("nas-b", text=text)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, sourceaddr=None)
    plan = plan_of(scene)
    written = [step.command for step in plan.steps if step.verb == "WriteHastConf"]
    assert len(written) == 2
    assert not [text for text in written if "\tsource " in text]
    assert not [step for step in plan.steps if step.verb == "SetRole"]
