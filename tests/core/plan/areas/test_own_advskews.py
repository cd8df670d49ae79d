"""The document's own advskews: the addresses do not follow the storage, so the storage follows them."""

from __future__ import annotations

import pytest

from hactl.core.facts import CarpState, HastRole
from hactl.core.plan.placement import place
from hactl.core.plan.scene import set_scene
from hactl.core.plan.waits import with_waits
from support.facts.builder import NOW, Scene, healthy_pair, nas_cluster
from support.facts.planned import plan_of

LETS_GO = ("StopService", "Unmount", "SetRole")
OWN = "spec.groups.0.virtualIPs.0.advskews"


def given_up(scene: Scene) -> Scene:
    """The addresses went to nas-b, and the hook of nas-a gave everything else up."""
    scene = scene.vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    scene = scene.unmounted("nas-a").service("nas-a", running=False).resource("nas-a", role=HastRole.SECONDARY)
    return scene.hast_device("nas-a", exists=False).hook("nas-b", confirmed={"data": 1700000000})


@pytest.mark.parametrize("own", [True, False], ids=["own advskews", "hactl's advskews"])
def test_a_group_that_was_given_up_is_promoted_where_its_addresses_stay(own: bool) -> None:
    """nas-a was primary last and is preferred; with advskews of the document its hook would give it up again."""
    edits = {OWN: {"nas-a": 120, "nas-b": 20}} if own else {}
    scene = given_up(healthy_pair()).wants(nas_cluster(edits))
    promoted = [step.node for step in plan_of(scene).steps if " role primary " in step.command]
    assert promoted == ["nas-b" if own else "nas-a"]


def test_a_copy_that_is_not_known_to_be_complete_does_not_follow() -> None:
    """The addresses alone prove nothing (I4): nas-a serves until nas-b has everything, and then the group moves."""
    scene = given_up(healthy_pair()).wants(nas_cluster({OWN: {"nas-a": 120, "nas-b": 20}})).hook("nas-b", confirmed={})
    plan = plan_of(scene)
    assert [step.node for step in plan.steps if " role primary " in step.command] == ["nas-a", "nas-b"]
    verbs = [step.verb for step in plan.steps]
    assert verbs.index("SetRole") < verbs.index("ConfirmCopy") < verbs.index("Unmount")


def test_a_group_follows_its_addresses_in_order_when_the_other_copy_is_complete() -> None:
    """The address moved while nobody was there, and no event of CARP comes any more: the storage follows."""
    scene = healthy_pair().wants(nas_cluster({OWN: {"nas-a": 120, "nas-b": 20}}))
    scene = scene.vhid("nas-a", state=CarpState.BACKUP, advskew=120).vhid("nas-b", state=CarpState.MASTER, advskew=20)
    assert plan_of(scene).goals == {"files": "nas-b"}
    assert [(step.node, step.verb) for step in plan_of(scene).steps if step.verb in LETS_GO] == [
        ("nas-a", "StopService"),
        ("nas-a", "Unmount"),
        ("nas-a", "SetRole"),
        ("nas-b", "SetRole"),
    ]
    waiting = plan_of(scene.hook("nas-b", confirmed={}).resource("nas-a", dirty=4096))
    assert not [str(step.key) for step in waiting.steps if step.verb in LETS_GO]


def waited_for(scene: Scene) -> dict[str, bool]:
    """What CARP and hastd are waited for with nothing left to do: whether it passes, by reason."""
    there = place(set_scene(scene.cluster, scene.snapshot, NOW))
    return {hold.reason: hold.passing for hold in with_waits(there, there.holds)}


def test_an_address_that_stays_elsewhere_is_nothing_to_wait_for_beside_a_decision_of_people() -> None:
    """Both copies were written: no time will bring storage and address together."""
    scene = healthy_pair().wants(nas_cluster({OWN: {"nas-a": 120, "nas-b": 20}}))
    scene = scene.vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    assert waited_for(scene) == {"AddressElsewhere": True}
    parted = scene.metadata("nas-a", localcnt=2).metadata("nas-b", localcnt=2).resource("nas-a", status="degraded")
    assert waited_for(parted) == {"SplitBrain": False, "AddressElsewhere": False}
