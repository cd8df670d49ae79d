"""hast.conf: what is not dropped from it, and who waits for whom."""

from __future__ import annotations

import pytest

from hactl.core.facts import HastResource, HastRole
from support.facts.builder import HAST_CONF, healthy_pair
from support.facts.planned import held, plan_of


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
