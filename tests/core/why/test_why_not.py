"""`hactl why-not NODE active|master|primary`: the reason, or that it is; never one that is not so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from hactl.core.catalogue import HoldReason
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, Hastd, HastRole, NoMetadata
from hactl.core.steps import Hold
from hactl.core.why.answer import Explanation, Question
from hactl.core.why.ask import explain
from support.facts.builder import NOW, Scene, edge_pair
from support.facts.hooked_scene import a_step, hook, hooked_pair, plan_of

What = Literal["active", "master", "primary"]


def why_not(scene: Scene, node: str, what: What, *, holds: tuple[Hold, ...] = ()) -> Explanation:
    """The answer about the only group."""
    plan = plan_of(scene, holds=holds)
    return explain(View.at(scene.cluster, scene.snapshot, NOW), plan, Question(node=node, what=what))


def gone(scene: Scene) -> Scene:
    """nas-a does not answer; nas-b still hears it."""
    return scene.silent("nas-a")


def no_roles(scene: Scene) -> Scene:
    """Nobody is primary, both answer."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False, used_by=())
    return scene


def by_hand(scene: Scene) -> Scene:
    """nas-b would win but for a demotion by hand."""
    scene = scene.vhid("nas-b", advskew=0).vhid("nas-a", advskew=100).sysctl("nas-b", demotion=240)
    return scene.node("nas-b", demotions=((240, 240, "sysctl"),))


#: name -> (scene, node, what, cause, words).
CASES: dict[str, tuple[Callable[[Scene], Scene], str, What, str, tuple[str, ...]]] = {
    "it is master": (lambda s: s, "nas-a", "master", "ItIs", ("nas-a is MASTER of vhid 80",)),
    "it is primary": (lambda s: s, "nas-a", "primary", "ItIs", ("primary for data",)),
    "it is active": (lambda s: s, "nas-a", "active", "ItIs", ("active for files",)),
    "slower": (lambda s: s, "nas-b", "master", "SlowerThanMaster", ("1.00 s against 1.39 s", "3.39 s of silence")),
    "demoted by hand": (by_hand, "nas-b", "master", "Demoted", ("sysctl net.inet.carp.demotion=-240", "240")),
    "no preemption": (
        lambda s: s.vhid("nas-a", advskew=200).sysctl("nas-b", preempt=0),
        "nas-b",
        "master",
        "PreemptOff",
        ("nas-b is better than nas-a", "sysctl net.inet.carp.preempt=1"),
    ),
    "equal": (
        lambda s: s.vhid("nas-b", advskew=0),
        "nas-b",
        "master",
        "EqualSkews",
        ("never preempts an equal MASTER",),
    ),
    "about to preempt": (
        lambda s: s.vhid("nas-a", advskew=200),
        "nas-b",
        "master",
        "Electing",
        ("preempts at the next",),
    ),
    "no module": (
        lambda s: s.without_vhid("nas-b").node("nas-b", modules={"carp": False}),
        "nas-b",
        "master",
        "CarpNotLoaded",
        ("on nas-b: kldload carp",),
    ),
    "no vhid": (lambda s: s.without_vhid("nas-b"), "nas-b", "master", "VhidMissing", ("has no vhid 80",)),
    "link down": (
        lambda s: s.interface("nas-b", status="no carrier").vhid("nas-b", state=CarpState.INIT),
        "nas-b",
        "master",
        "InterfaceDown",
        ("no carrier", "ifconfig vtnet1 up"),
    ),
    "no address": (
        lambda s: s.interface("nas-b", addresses=()).vhid("nas-b", state=CarpState.INIT),
        "nas-b",
        "master",
        "OrphanVhid",
        ("has no address", "inet 192.0.2.80/24 alias vhid 80"),
    ),
    "the master is silent to us only": (gone, "nas-b", "master", "PeerAdvertises", ("it hears a MASTER: nas-a",)),
    "interfaces unknown": (lambda s: s.unknown("nas-b", "interfaces"), "nas-b", "master", "StateUnknown", ()),
    "silent itself": (lambda s: s.silent("nas-b"), "nas-b", "master", "NodeSilent", ("is not known", "ssh -p 2222")),
    "peer is primary": (
        lambda s: s,
        "nas-b",
        "primary",
        "PeerPrimary",
        ("two nodes never are", "hactl switchover nas files --to nas-b"),
    ),
    "peer is silent": (gone, "nas-b", "primary", "PeerSilent", ("promotes nobody on silence",)),
    "not confirmed and peer silent": (
        lambda s: hook(gone(s), "nas-b", confirmed={}),
        "nas-b",
        "primary",
        "CopyNotConfirmed",
        ("what only it has is then lost",),
    ),
    "lost its primary": (
        lambda s: hook(gone(s), "nas-b", disconnected={"data": 1795450000}),
        "nas-b",
        "primary",
        "CopyNotConfirmed",
        ("lost its primary",),
    ),
    "no hook": (lambda s: hook(gone(s), "nas-b", files={}), "nas-b", "primary", "HookMissing", ("libexec/hactl/hook",)),
    "hastd down": (
        lambda s: no_roles(s).node("nas-b", hastd=Hastd(running=False)),
        "nas-b",
        "primary",
        "HastdDown",
        ("on nas-b: service hastd onestart",),
    ),
    "hastd does not know it": (
        lambda s: no_roles(s).node("nas-b", resources={}),
        "nas-b",
        "primary",
        "NoResource",
        ("does not know data",),
    ),
    "no copy": (
        lambda s: no_roles(s).metadata("nas-b", value=NoMetadata.ABSENT),
        "nas-b",
        "primary",
        "NoCopy",
        ("holds no copy",),
    ),
    "diverged": (
        lambda s: no_roles(s).metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1),
        "nas-b",
        "primary",
        "SplitBrain",
        ("hactl resolve nas data --discard",),
    ),
    "older": (
        lambda s: no_roles(s).metadata("nas-a", localcnt=1),
        "nas-b",
        "primary",
        "CopyOlder",
        ("the copy of nas-a is newer",),
    ),
    "role unknown": (
        lambda s: s.unknown("nas-b", "resources"),
        "nas-b",
        "primary",
        "RoleUnknown",
        ("hastctl list data",),
    ),
    "active: the peer has it": (lambda s: s, "nas-b", "active", "PeerPrimary", ("nas-b is not active for files",)),
    "active: drained": (
        lambda s: hook(s, "nas-b", drained="drained by kim: disk"),
        "nas-b",
        "active",
        "Drained",
        ("hactl uncordon nas-b",),
    ),
    "active: held": (
        lambda s: hook(s, "nas-b", held=240).sysctl("nas-b", demotion=240),
        "nas-b",
        "active",
        "HeldAtBoot",
        ("held back since it booted",),
    ),
    "active: primary but not MASTER": (
        lambda s: s.vhid("nas-a", state=CarpState.BACKUP, advskew=200).vhid("nas-b", state=CarpState.MASTER),
        "nas-a",
        "active",
        "SlowerThanMaster",
        ("nas-b is better",),
    ),
    "active: two primaries": (
        lambda s: s.resource("nas-b", role=HastRole.PRIMARY, status="degraded"),
        "nas-b",
        "active",
        "TwoPrimaries",
        ("both primary",),
    ),
}


@pytest.mark.parametrize(("change", "node", "what", "cause", "words"), CASES.values(), ids=CASES)
def test_the_reason_is_named(
    change: Callable[[Scene], Scene], node: str, what: What, cause: str, words: tuple[str, ...]
) -> None:
    """The reason first, with its numbers and its remedy."""
    found = why_not(change(hooked_pair()), node, what)
    text = "\n".join([found.headline, *(fact.text for fact in found.facts), *(r.line for r in found.remedies)])
    assert found.cause == cause, text
    for word in words:
        assert word in text
    assert found.healthy == (cause == "ItIs")
    assert found.healthy or found.remedies


def test_about_to_be_promoted() -> None:
    """The plan has the step: nothing is wrong but time."""
    scene = no_roles(hooked_pair())
    plan = plan_of(scene, a_step("nas-b", "SetRole", "data", "hastctl role primary data"))
    found = explain(View.at(scene.cluster, scene.snapshot, NOW), plan, Question(node="nas-b", what="primary"))
    assert found.cause == "AboutToPromote"
    assert "hastctl role primary data" in found.facts[0].text


def test_a_move_that_waits_says_what_for() -> None:
    """The planner's own words."""
    hold = Hold(HoldReason.MOVE_WAITS, "files is to move from nas-a to nas-b: data is being copied", "nas-b", "files")
    found = why_not(hooked_pair(), "nas-b", "active", holds=(hold,))
    assert found.cause == "MoveWaits"
    assert "data is being copied" in found.headline


def test_a_group_without_storage_has_no_primary() -> None:
    """Said, and not an error."""
    assert why_not(edge_pair(), "fw-2", "primary").cause == "NoStorage"
    found = why_not(edge_pair(), "fw-2", "active")
    assert found.cause == "SlowerThanMaster"
