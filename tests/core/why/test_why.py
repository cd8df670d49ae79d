"""`hactl why`: for every trouble the right cause, its facts and its remedy; and never a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hactl.core.catalogue import HoldReason
from hactl.core.evidence.view import View
from hactl.core.facts import Address, CarpState, Connects, Hastd, HastRole, Mount, Pool, Vhid
from hactl.core.steps import Hold
from hactl.core.why.answer import Explanation, Question
from hactl.core.why.ask import explain
from hactl.core.why.fights import Fight
from hactl.core.why.subject import Background
from support.facts.builder import NOW, Scene, edge_pair, nas_cluster, zfs_pair
from support.facts.hooked_scene import a_step, hook, hooked, hooked_pair, plan_of
from support.facts.pools import pool_pair, with_pool

A_MASTER = {"state": CarpState.MASTER}
A_BACKUP = {"state": CarpState.BACKUP}
DEGRADED: dict[str, Any] = {"role": HastRole.PRIMARY, "status": "degraded"}


def seen(scene: Scene) -> View:
    """What is seen of it."""
    return View.at(scene.cluster, scene.snapshot, NOW)


def why(scene: Scene, question: Question | None = None, *, holds: tuple[Hold, ...] = (), **more: Any) -> Explanation:
    """The answer for the only group."""
    return explain(seen(scene), plan_of(scene, holds=holds), question, Background(**more))


def told(found: Explanation) -> str:
    """Everything of it as one text."""
    return "\n".join([found.headline, *(fact.text for fact in found.facts), *(r.line for r in found.remedies)])


def manual(scene: Scene) -> Scene:
    """The document says failover.policy: Manual."""
    return hooked(scene.wants(nas_cluster({"spec.failover": {"policy": "Manual"}})))


def swapped(scene: Scene) -> Scene:
    """The address on nas-b, the storage still on nas-a."""
    return scene.vhid("nas-a", **A_BACKUP).vhid("nas-b", **A_MASTER)


def alone(scene: Scene) -> Scene:
    """nas-a is gone, CARP gave nas-b the address, nobody took the storage."""
    return scene.vhid("nas-b", **A_MASTER).resource("nas-b", status=None, workerpid=None).silent("nas-a")


def rebooted(scene: Scene) -> Scene:
    """Nobody primary and both answer."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False, used_by=())
    return scene


def down(scene: Scene, node: str) -> Scene:
    """The vhid's interface has no link."""
    scene = scene.interface(node, status="no carrier").vhid(node, state=CarpState.INIT).sysctl(node, demotion=240)
    return scene.node(node, demotions=((240, 240, "interface down"),))


def orphaned(scene: Scene) -> Scene:
    """vhid 7 without an address on nas-b."""
    interface = scene.known("nas-b", "interfaces")["vtnet1"]
    return scene.interface("nas-b", vhids=(*interface.vhids, Vhid(7, CarpState.INIT, 1, 0)))


def on_wrong_vhid(scene: Scene) -> Scene:
    """The address of vhid 80 is on vhid 81 of nas-b."""
    addresses = (Address("192.0.2.12", 24), Address("192.0.2.80", 24, 81))
    return scene.interface("nas-b", addresses=addresses, vhids=(Vhid(81, CarpState.BACKUP, 1, 100),))


def mounted(scene: Scene, node: str, special: str, place: str) -> Scene:
    """Something more is mounted."""
    return scene.node(node, mounts=(*scene.known(node, "mounts"), Mount(special, place, "ufs", frozenset())))


def moved_mount(scene: Scene) -> Scene:
    """/dev/hast/data is on /mnt instead of /data."""
    return mounted(scene.unmounted("nas-a"), "nas-a", "/dev/hast/data", "/mnt")


def pfsync(scene: Scene) -> Scene:
    """nas-b waits for pfsync."""
    return scene.sysctl("nas-b", demotion=240).node("nas-b", demotions=((240, 240, "pfsync bulk start"),))


def sticky(scene: Scene) -> Scene:
    """nas-b was demoted while its link was down, and the factor was changed meanwhile."""
    log = ((240, 240, "interface down"), (-100, 140, "interface up"))
    return scene.sysctl("nas-b", demotion=140).node("nas-b", demotions=log)


def held(scene: Scene) -> Scene:
    """nas-b rebooted and is held."""
    scene = hook(scene, "nas-b", held=240).sysctl("nas-b", demotion=240)
    return scene.node("nas-b", demotions=((240, 240, "sysctl"),))


def both_ahead(scene: Scene) -> Scene:
    """Recording 05."""
    scene = scene.resource("nas-a", status="degraded", dirty=10485760).resource("nas-b", status=None, workerpid=None)
    return scene.metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1)


def stuck(scene: Scene) -> Scene:
    """nas-a is primary and has waited for its own connection for ten minutes."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False).hast_device("nas-a", exists=False, used_by=())
    return scene.resource("nas-a", status="degraded", worker_seconds=600)


#: name -> (scene, cause, words that must be told, words that must not be told).
CASES: dict[str, tuple[Callable[[Scene], Scene], str, tuple[str, ...], tuple[str, ...]]] = {
    "all well": (lambda s: s, "Healthy", ("active on nas-a", "advskew 0 + demotion 0 = 0", "3.39 s", "--to nas-b"), ()),
    "two primaries": (
        lambda s: s.resource("nas-a", status="degraded").resource("nas-b", **DEGRADED),
        "TwoPrimaries",
        ("hactl resolve nas data --discard nas-b --dry-run",),
        ("--discard nas-a",),
    ),
    "split-brain": (
        both_ahead,
        "SplitBrain",
        ("wrote alone yes", "hactl resolve nas data --discard nas-b --dry-run"),
        ("--discard nas-a",),
    ),
    "split-brain, and the standby slept": (
        lambda s: both_ahead(s).hook("nas-b", fenced={"data": (1796003000, 24)}),
        "SplitBrain",
        ("wrote at least 24 times to data", "2026-11-30", "hactl resolve nas data --discard nas-b --dry-run"),
        ("--discard nas-a",),
    ),
    "another resource's disk": (lambda s: s.metadata("nas-b", resuid=7), "ForeignCopy", ("different resources",), ()),
    "two MASTERs, passwords": (
        lambda s: s.vhid("nas-b", **A_MASTER, key="other"),
        "TwoMastersPasswordDiffers",
        ("different passwords", "the password of nas-b is not the document's", "ifconfig vtnet1 vhid 80 pass PASSWORD"),
        ("multicast",),
    ),
    "two MASTERs, addresses": (
        lambda s: s.vhid("nas-b", **A_MASTER).interface("nas-b", addresses=(Address("192.0.2.81", 24, 80),)),
        "TwoMastersAddressSetsDiffer",
        ("nas-b lacks 192.0.2.80", "nas-b also has 192.0.2.81", "inet 192.0.2.80/24 alias vhid 80"),
        ("password",),
    ),
    "two MASTERs, somebody else's vhid": (
        lambda s: s.vhid("nas-b", **A_MASTER).node(
            "nas-b", carp_counters={"packets received (IPv4)": 90, "discarded for bad authentication": 41}
        ),
        "TwoMastersVhidClash",
        ("another machine on vtnet1's network uses vhid 80", "tcpdump"),
        (),
    ),
    "two MASTERs, nothing gets through": (
        lambda s: s.vhid("nas-b", **A_MASTER)
        .node("nas-a", carp_counters={"packets received (IPv4)": 0})
        .node("nas-b", carp_counters={"packets received (IPv4)": 0}),
        "TwoMastersNothingHeard",
        ("nas-a and nas-b receive no advertisement", "224.0.0.18"),
        ("password",),
    ),
    "two MASTERs, one way": (
        lambda s: s.vhid("nas-b", **A_MASTER)
        .node("nas-a", carp_counters={"packets received (IPv4)": 80})
        .node("nas-b", carp_counters={"packet received (IPv4)": 0}),
        "TwoMastersHeardOneWay",
        ("but nas-b receives no advertisement",),
        (),
    ),
    "two MASTERs, one peer only (14.x)": (
        lambda s: s.vhid("nas-b", **A_MASTER, peer="192.0.2.99"),
        "TwoMastersUnicastPeer",
        ("192.0.2.99",),
        (),
    ),
    "storage elsewhere, advskew": (
        lambda s: swapped(s).vhid("nas-a", advskew=200),
        "StorageElsewhere",
        ("MASTER on nas-b, but data is primary on nas-a", "advskew 200 + demotion 0 = 200", "hactl apply"),
        ("switchover",),
    ),
    "storage elsewhere, demoted by hand": (
        lambda s: swapped(s).sysctl("nas-a", demotion=240).node("nas-a", demotions=((240, 240, "sysctl"),)),
        "StorageElsewhere",
        ("nas-a is demoted by 240: somebody set it by hand", "on nas-a: sysctl net.inet.carp.demotion=-240"),
        (),
    ),
    "storage elsewhere, no preemption": (
        lambda s: swapped(s).sysctl("nas-a", preempt=0),
        "StorageElsewhere",
        ("on nas-a: sysctl net.inet.carp.preempt=1",),
        (),
    ),
    "storage elsewhere, link down": (
        lambda s: down(swapped(s), "nas-a"),
        "StorageElsewhere",
        ("vtnet1 of nas-a is down (no carrier)", "ifconfig vtnet1 up"),
        (),
    ),
    "MASTER without storage, Manual": (
        lambda s: alone(manual(s)),
        "ManualPolicy",
        ("nas-b is MASTER of vhid 80", "failover.policy is Manual", "only if nas-a is certainly off"),
        ("uncordon",),
    ),
    "MASTER without storage, drained": (
        lambda s: alone(hook(s, "nas-b", drained="drained by kim: disk")),
        "Drained",
        ("drained by kim: disk", "hactl uncordon nas-b"),
        (),
    ),
    "MASTER without storage, copy not confirmed": (
        lambda s: alone(hook(s, "nas-b", confirmed={})),
        "CopyNotConfirmed",
        ("has not confirmed", "hastctl role primary data"),
        ("Manual",),
    ),
    "MASTER without storage, the hook stopped": (
        lambda s: alone(hook(s, "nas-b", moves=("1795450000 files stopped 0 no witness answers",))),
        "HookStopped",
        ("no witness answers",),
        (),
    ),
    "MASTER without storage, peer silent": (alone, "PeerSilent", ("nas-a does not answer and may be primary",), ()),
    "MASTER without storage, hastd down": (
        lambda s: rebooted(s).node("nas-a", hastd=Hastd(running=False)),
        "HastdDown",
        ("on nas-a: service hastd onestart",),
        (),
    ),
    "MASTER without storage, the newer copy is elsewhere": (
        lambda s: rebooted(s).metadata("nas-b", localcnt=1),
        "CopyOlder",
        ("the copy of nas-b is newer",),
        (),
    ),
    "nobody MASTER, links down": (
        lambda s: down(down(rebooted(s), "nas-a"), "nas-b"),
        "InterfaceDown",
        ("nobody is MASTER of vhid 80", "vtnet1 of nas-a is down", "vtnet1 of nas-b is down"),
        (),
    ),
    "nobody MASTER, CARP switched off": (
        lambda s: s.sysctl("nas-a", allow=0).vhid("nas-a", state=CarpState.INIT)
        .sysctl("nas-b", allow=0).vhid("nas-b", state=CarpState.INIT),
        "CarpOff",
        ("sysctl net.inet.carp.allow=1",),
        ("cable",),
    ),
    "nobody MASTER yet": (
        lambda s: s.vhid("nas-a", **A_BACKUP),
        "Electing",
        ("takes over after 3.00 s",),
        (),
    ),
    "the standby is silent": (
        lambda s: s.silent("nas-b"),
        "NodeSilent",
        ("files is served by nas-a", "whether nas-b could take it over is not known", "ssh -p 2222 root@127.0.0.1"),
        (),
    ),
    "stale": (lambda s: s.aged(60, "nas-b"), "NodeSilent", ("StaleFacts",), ()),
    "orphan vhid": (orphaned, "OrphanVhid", ("vhid 7 on vtnet1 of nas-b has no address", "-alias"), ()),
    "address on the wrong vhid": (on_wrong_vhid, "WrongVhid", ("192.0.2.80 is on vhid 81", "alias vhid 80"), ()),
    "service on the standby": (
        lambda s: s.service("nas-b", running=True, enabled=True),
        "ServiceOnStandby",
        ("nfsd runs on nas-b", "service nfsd onestop && sysrc nfs_server_enable=NO"),
        (),
    ),
    "service stopped on the active node": (
        lambda s: s.service("nas-a", running=False),
        "ServiceStopped",
        ("on nas-a: service nfsd onestart",),
        (),
    ),
    "not mounted": (lambda s: s.unmounted("nas-a"), "NotMounted", ("/dev/hast/data is not mounted",), ()),
    "device never came": (
        stuck,
        "DeviceNeverCame",
        ("/dev/hast/data never appeared although nas-b answers", "status degraded, workerpid", "CLOSE_WAIT"),
        ("hactl apply",),
    ),
    "device never came, and hastd is known for it": (
        lambda s: stuck(s).node("nas-a", connects=Connects.NEVER),
        "DeviceNeverCame",
        ("never connects", "role init data on nas-a", "leave nas-b on the release it has", "proto_common.c"),
        ("onerestart",),
    ),
    "standby not ready, its hastd never connects": (
        lambda s: s.node("nas-b", connects=Connects.NEVER),
        "HastdNeverConnects",
        ("served by nas-a, but the standby would not", "bug 292322", "leave nas-a on the release it has", "13 or 14"),
        ("never appeared",),
    ),
    "mounted elsewhere": (moved_mount, "MountedElsewhere", ("/mnt of nas-a", "umount /mnt"), ()),
    "mounted behind HAST's back": (
        lambda s: mounted(s, "nas-b", "/dev/vtbd1p1", "/mnt"),
        "RawDeviceMounted",
        ("behind HAST's back", "on nas-b: umount /mnt"),
        (),
    ),
    "mounted on the standby": (
        lambda s: mounted(s, "nas-b", "/dev/hast/data", "/data"),
        "MountedOnStandby",
        ("still mounted on /data of nas-b",),
        (),
    ),
    "sticky demotion": (
        sticky,
        "StickyDemotion",
        ("every interface that has a vhid is up now", "on nas-b: sysctl net.inet.carp.demotion=-140"),
        ("ifconfig vtnet1 up",),
    ),
    "demoted by pfsync": (pfsync, "Demoted", ("pfsync bulk start", "ifconfig pfsync0"), ("=-240",)),
    "held since it booted": (held, "HeldAtBoot", ("held back since it booted",), ("by hand", "=-240")),
    "drained": (
        lambda s: hook(s, "nas-b", drained="drained by kim: disk"),
        "Drained",
        ("served by nas-a, and nas-b is drained", "hactl uncordon nas-b"),
        (),
    ),
    "standby not ready, Manual": (manual, "ManualPolicy", ("the standby would not take it over",), ()),
    "standby not ready, copy not confirmed": (
        lambda s: hook(s, "nas-b", confirmed={}),
        "CopyNotConfirmed",
        ("nas-b would not promote data",),
        (),
    ),
    "standby not ready, no preemption": (lambda s: s.sysctl("nas-b", preempt=0), "PreemptOff", ("preempt=1",), ()),
    "standby not ready, being copied": (
        lambda s: s.resource("nas-a", dirty=2**30),
        "NotSynchronised",
        ("being copied",),
        (),
    ),
    "standby not ready, degraded": (
        lambda s: s.resource("nas-a", status="degraded"),
        "Degraded",
        ("on nas-a: grep hastd /var/log/messages",),
        (),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "cause", "words", "never"), CASES.values(), ids=CASES)
def test_the_cause_is_named(
    change: Callable[[Scene], Scene], cause: str, words: tuple[str, ...], never: tuple[str, ...]
) -> None:
    """The cause, what carries it and the remedy; no other cause's words; few facts."""
    found = why(change(hooked_pair()))
    text = told(found)
    assert found.cause == cause, text
    for word in words:
        assert word in text
    for word in never:
        assert word not in text
    assert len(found.facts) <= 6
    assert found.healthy == (cause == "Healthy")
    assert found.remedies


def test_every_node_fact_has_an_age() -> None:
    """Two seconds, as the scene was seen; the document's facts have none."""
    found = why(hooked_pair())
    assert {fact.age_seconds for fact in found.facts if fact.node} == {2.0}
    assert why(hooked_pair().silent("nas-b", since=NOW - 90)).facts[0].age_seconds == 90


def test_counters_that_stand_still_are_no_evidence() -> None:
    """With an earlier look it counts what moves now: an old password's discards do not make it a clash."""
    counters = {"packets received (IPv4)": 90, "discarded for bad authentication": 41}
    scene = hooked_pair().vhid("nas-b", **A_MASTER)
    scene = scene.node("nas-a", carp_counters=counters).node("nas-b", carp_counters=counters)
    later = scene.node("nas-a", carp_counters={**counters, "packets received (IPv4)": 93})
    found = why(later, before=scene.snapshot)
    assert found.cause == "TwoMastersHeardOneWay"
    assert why(scene).cause == "TwoMastersVhidClash"


def test_paused_is_said() -> None:
    """With who, why, and how to go on."""
    hold = Hold(HoldReason.PAUSED, "nas is paused by kim: work", target="nas", remedy="hactl resume nas")
    found = why(hooked_pair(), holds=(hold,))
    assert (found.cause, found.remedies[0].command) == ("Paused", "hactl resume nas")


def test_a_fight_is_named_only_while_there_is_something_to_do() -> None:
    """A step that was Done three times and is to be done again, for the same reason."""
    step = a_step("nas-b", "SetSysctl", "net.inet.carp.preempt")
    fight = Fight(step.key, step.why, 3)
    plan = plan_of(hooked_pair(), step)
    found = explain(seen(hooked_pair()), plan, background=Background(fights=[fight]))
    assert found.cause == "Fought"
    assert fight.sentence in found.headline
    assert "no group moved, no node booted" in told(found)
    assert "hactl history nas --node nas-b" in told(found)
    assert why(hooked_pair(), fights=[fight]).cause == "Healthy"
    other = Fight(step.key, "preempt is 7", 3)
    assert explain(seen(hooked_pair()), plan, background=Background(fights=[other])).cause == "ChangesPending"


def test_a_service_that_ends_again_and_again_blames_nobody() -> None:
    """It does not run, and was started three times already."""
    scene = hooked_pair().service("nas-a", running=False)
    step = a_step("nas-a", "StartService", "nfsd")
    fight = Fight(step.key, step.why, 3)
    found = explain(seen(scene), plan_of(scene, step), background=Background(fights=[fight]))
    assert found.cause == "ServiceStopped"
    assert "hactl started nfsd 3 times on nas-a, and it ended again each time" in told(found)


def test_what_else_is_wrong_is_named_in_a_line() -> None:
    """The first answer keeps its own facts; the others are headlines."""
    found = why(hook(swapped(hooked_pair()), "nas-b", drained="by kim").service("nas-b", running=True))
    assert found.cause == "StorageElsewhere"
    assert any("nfsd runs on nas-b" in line for line in found.also)
    assert any("drained" in line for line in found.also)


def test_a_group_of_addresses_only_has_no_storage_to_speak_of() -> None:
    """The firewall pair: preferred and CARP's numbers."""
    found = why(edge_pair())
    assert found.cause == "Healthy"
    assert "it is the first of preferred" in found.headline
    assert "HAST" not in told(found)


def test_a_pool_on_the_standby_is_found() -> None:
    """zfs: imported where the node is secondary."""
    scene = hooked(zfs_pair()).node("nas-b", pools={"tank": Pool("tank", "ONLINE")})
    found = why(scene)
    assert (found.cause, found.remedies[0].line) == ("MountedOnStandby", "on nas-b: zpool export tank")


def test_a_mirror_that_works_without_a_device_is_not_to_be_exported() -> None:
    """It gets the device back, and ZFS what it lacks; a stripe is dead without it, and has to go."""
    scene = pool_pair("disk1", "disk2", layout="Mirror").resource("nas-a", "disk2", role=HastRole.SECONDARY)
    scene = scene.hast_device("nas-a", "disk2", exists=False)
    pool = scene.known("nas-a", "pools")["storage"]
    found = why(with_pool(scene, replace(pool, health="DEGRADED")))
    assert found.cause == "MountedOnStandby"
    assert [remedy.line for remedy in found.remedies] == [
        "on nas-a: hastctl role primary disk2  (when no other node is primary)",
        "on nas-a: zpool online storage /dev/hast/disk2  (then ZFS brings it up to date)",
    ]
    (remedy,) = why(with_pool(scene, replace(pool, health="SUSPENDED"))).remedies
    assert remedy.line == "on nas-a: zpool export storage"


def test_the_question_must_be_about_something_there_is() -> None:
    """A group or node that the document does not have."""
    for question in (Question(group="mail"), Question(node="nas-c", what="active")):
        with pytest.raises(KeyError):
            why(hooked_pair(), question)
