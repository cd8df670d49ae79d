"""The audit on HAST: one bad plan per invariant that must be refused, and a good twin that must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hactl.core.facts import HastRole, Known, Mount, NoMetadata, Unknown
from hactl.core.steps import Risk, Step
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import (
    HAST_CONF,
    MEDIASIZE,
    Scene,
    blank_pair,
    fresh_primary,
    healthy_pair,
    nas_cluster,
    rebooted_pair,
    zfs_pair,
)
from support.facts.hooked_scene import diverged, slept
from support.facts.planned import plan_of

PRIMARY_A = step("nas-a", "SetRole", "hastctl role primary data", target="data")
PRIMARY_B = step("nas-b", "SetRole", "hastctl role primary data", target="data")
SECONDARY_A = step("nas-a", "SetRole", "hastctl role secondary data", target="data", risk=Risk.OUTAGE)
SECONDARY_B = step("nas-b", "SetRole", "hastctl role secondary data", target="data")
UMOUNT_A = step("nas-a", "Unmount", "umount /data", target="/data", risk=Risk.OUTAGE)
STOP_A = step("nas-a", "StopService", "service nfsd onestop", target="nfsd", risk=Risk.OUTAGE)
CREATE_A = step("nas-a", "CreateMetadata", "hastctl create data", target="data", risk=Risk.DESTRUCTIVE)
CREATE_B = step("nas-b", "CreateMetadata", "hastctl create data", target="data", risk=Risk.DESTRUCTIVE)
NEWFS_A = step("nas-a", "MakeFilesystem", "newfs -U /dev/hast/data", target="data", risk=Risk.DESTRUCTIVE)
MOUNT_A = step("nas-a", "Mount", "mkdir -p /data && mount -t ufs -o noatime /dev/hast/data /data", target="/data")


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(lambda s: s.resource("nas-b", role=HastRole.PRIMARY, status="degraded"), id="is primary"),
        pytest.param(lambda s: s.silent("nas-b"), id="does not answer"),
        pytest.param(lambda s: s.unknown("nas-b", "resources"), id="does not tell"),
        pytest.param(lambda s: s.unknown("nas-b", "hastd", "resources"), id="hastd unknown"),
        pytest.param(lambda s: s.aged(27, "nas-b"), id="said so too long ago"),
        pytest.param(lambda s: s.hast_device("nas-b", exists=True), id="has the device"),
    ],
)
def test_i1_no_promotion_while_the_peer_is_or_may_be_primary(peer: object) -> None:
    """I1: silence, an unknown role, an old answer and a device that is there are no evidence of not being primary."""
    assert callable(peer)
    assert not complaints(rebooted_pair(), [PRIMARY_A])
    assert says(complaints(peer(rebooted_pair()), [PRIMARY_A]), "I1")


def test_i1_not_in_parallel_with_another_change_of_the_same_resource() -> None:
    """I1: two promotions, or a promotion beside the demotion it depends on, must not share a parallel stage."""
    assert says(complaints(rebooted_pair(), [PRIMARY_A, PRIMARY_B], ordered=False), "I1")
    moved = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    assert not complaints(moved, [SECONDARY_A, PRIMARY_B], active="nas-b")
    assert says(complaints(moved, [SECONDARY_A, PRIMARY_B], ordered=False, active="nas-b"), "I1", "nas-b")


def test_a_switchover_in_the_right_order_is_safe() -> None:
    """Stop, unmount, demote, promote, check, mount, start: safe at every prefix; promote first is not."""
    rest = [
        [PRIMARY_B],
        [
            step("nas-b", "CheckFilesystem", "fsck -p -t ufs /dev/hast/data"),
            step("nas-b", "Mount", "mkdir -p /data && mount -t ufs -o noatime /dev/hast/data /data"),
        ],
        [step("nas-b", "StartService", "service nfsd onestart")],
    ]
    assert not complaints(healthy_pair(), [STOP_A], [UMOUNT_A], [SECONDARY_A], *rest, active="nas-b")
    assert says(complaints(healthy_pair(), [PRIMARY_B], [STOP_A], [UMOUNT_A], [SECONDARY_A], active="nas-b"), "I1")
    assert says(complaints(healthy_pair(), [UMOUNT_A], active="nas-b"), "while nfsd runs")


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(healthy_pair(), id="mounted"),
        pytest.param(zfs_pair(), id="imported"),
        pytest.param(healthy_pair().unmounted("nas-a").unknown("nas-a", "mounts"), id="mounts unknown"),
        pytest.param(healthy_pair().unmounted("nas-a").hast_device("nas-a", used_by=("r1w1e1",)), id="open"),
        pytest.param(healthy_pair().unmounted("nas-a").hast_device("nas-a", use_known=False), id="use unknown"),
        pytest.param(healthy_pair().unmounted("nas-a").unknown("nas-a", "hast_devices"), id="device unknown"),
        pytest.param(zfs_pair().unmounted("nas-a").unknown("nas-a", "pools"), id="pools unknown"),
    ],
)
def test_i2_no_demotion_of_a_device_that_is_or_may_be_in_use(scene: Scene) -> None:
    """I2: the device would vanish from under its users."""
    assert says(complaints(scene, [SECONDARY_A], active="nas-b"), "I2")


def test_i2_demotion_of_an_unused_device_is_allowed() -> None:
    """I2's good twin; and the risk must be told."""
    scene = healthy_pair().unmounted("nas-a")
    assert not complaints(scene, [SECONDARY_A], active="nas-b")
    modest = step("nas-a", "SetRole", "hastctl role secondary data")
    assert says(complaints(scene, [modest], active="nas-b"), "risk")


def test_i2_no_forced_unmount_of_a_device_that_exists() -> None:
    """`umount -f` only where the device is known to be gone."""
    force = step("nas-a", "Unmount", "umount -f /data", risk=Risk.OUTAGE)
    stopped = healthy_pair().service("nas-a", running=False)
    assert says(complaints(stopped, [force], active="nas-b"), "I2")
    gone = stopped.resource("nas-a", role=HastRole.INIT).hast_device("nas-a", exists=False, used_by=())
    assert not complaints(gone, [force], active="nas-b")


def _conf_step(node: str, text: str) -> Step:
    command = (
        f"new=$(mktemp /etc/hast.conf.XXXXXX)\ncat > \"$new\" <<'END'\n{text}END\n"
        'cp -p /etc/hast.conf /etc/hast.conf.old && fsync "$new" /etc/hast.conf.old && mv -f "$new" /etc/hast.conf && '
        "fsync /etc"
    )
    return step(node, "WriteHastConf", command)


RELOAD_A = step("nas-a", "ReloadHastd", "service hastd onereload")
RELOAD_B = step("nas-b", "ReloadHastd", "service hastd onereload")


def _new_device() -> tuple[Scene, str]:
    edit = {"spec.groups.0.storage.0.hast.devices": {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd1"}}
    return healthy_pair().wants(nas_cluster(edit)), HAST_CONF.replace("/dev/vtbd1", "/dev/vtbd2", 1)


def test_i2_no_reload_that_takes_a_mounted_device_away() -> None:
    """I2: another `local` on a primary destroys the device (docs/freebsd-facts.md#2.3)."""
    scene, text = _new_device()
    plan = [_conf_step("nas-b", text), RELOAD_B, _conf_step("nas-a", text), RELOAD_A]
    assert says(complaints(scene, plan), "I2", "local")


def test_i5_hast_conf_standby_first() -> None:
    """I5: the active node's configuration waits until the standby has the same; the contents must be the document's."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage.0.hast.timeoutSeconds": 30}))
    text = HAST_CONF.replace("replication memsync", "replication memsync\n\ttimeout 30")
    b, a = _conf_step("nas-b", text), _conf_step("nas-a", text)
    assert not complaints(scene, [b, RELOAD_B, a, RELOAD_A])
    assert says(complaints(scene, [a, RELOAD_A, b, RELOAD_B]), "I5")
    assert says(complaints(scene, [b, RELOAD_B, a, RELOAD_A], ordered=False), "I5")
    assert says(complaints(scene, [_conf_step("nas-b", HAST_CONF)]), "timeout")
    assert says(complaints(healthy_pair(), [_conf_step("nas-b", HAST_CONF)]), "I7")
    assert says(complaints(healthy_pair(), [RELOAD_B]), "I7")


def test_no_reload_in_which_hastd_hangs() -> None:
    """A connected primary does not get another replication mode, remote or source (docs/freebsd-facts.md#7.68)."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage.0.hast.replication": "fullsync"}))
    text = HAST_CONF.replace("replication memsync", "replication fullsync")
    b, a = _conf_step("nas-b", text), _conf_step("nas-a", text)
    init = step("nas-b", "SetRole", "hastctl role init data")
    assert not complaints(scene, [b, RELOAD_B, init, a, RELOAD_A])
    assert says(complaints(scene, [b, RELOAD_B, a, RELOAD_A]), "hang", "replication")


def test_hast_conf_is_replaced_by_rename_and_kept() -> None:
    """I10: a direct write, or none kept, is refused."""
    scene = healthy_pair().file("nas-b", text=HAST_CONF.replace("memsync", "async"))
    direct = step("nas-b", "WriteHastConf", f"cat > /etc/hast.conf <<'END'\n{HAST_CONF}END\n")
    assert not complaints(scene, [_conf_step("nas-b", HAST_CONF)])
    assert says(complaints(scene, [direct]), "one rename")
    assert says(complaints(scene, [direct]), "I10", "keep")


def _ready_to_create() -> Scene:
    return blank_pair()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda s: s.device("nas-a", blank=False), id="not blank"),
        pytest.param(lambda s: s.device("nas-a", blank=None), id="blankness not known"),
        pytest.param(lambda s: s.device("nas-a", exists=False), id="not there"),
        pytest.param(lambda s: s.device("nas-a", used_by=("swap",)), id="used"),
        pytest.param(lambda s: s.device("nas-a", use_known=False), id="use not known"),
        pytest.param(lambda s: s.unknown("nas-a", "devices"), id="device unknown"),
        pytest.param(lambda s: s.unknown("nas-a", "metadata"), id="metadata unknown"),
        pytest.param(lambda s: s.metadata("nas-a", value=NoMetadata.INVALID), id="something there"),
        pytest.param(lambda s: s.metadata("nas-a", value=NoMetadata.FOREIGN), id="another's disk"),
        pytest.param(lambda s: s.device("nas-b", blank=False), id="peer not blank"),
        pytest.param(lambda s: s.unknown("nas-b", "metadata"), id="peer unknown"),
        pytest.param(lambda s: s.silent("nas-b"), id="peer silent"),
        pytest.param(
            lambda s: s.wants(nas_cluster({"spec.groups.0.storage.0.hast.initialize": "Never"})), id="not told to"
        ),
    ],
)
def test_i3_metadata_only_on_provably_blank_devices(spoil: object) -> None:
    """I3: any doubt about either device refuses `hastctl create`, which itself never refuses."""
    assert callable(spoil)
    assert not complaints(_ready_to_create(), [CREATE_A, CREATE_B], ordered=False)
    found = complaints(spoil(_ready_to_create()), [CREATE_A])
    assert says(found, "I3") or says(found, "I6")


def test_i3_a_replacement_disk_only_under_a_serving_peer() -> None:
    """I3: a blank disk beside a peer with data is created only while that peer serves the data."""
    replaced = healthy_pair("nas-b").resource("nas-a", role=HastRole.INIT).metadata("nas-a", value=NoMetadata.ABSENT)
    replaced = replaced.device("nas-a", blank=True, used_by=())
    assert not complaints(replaced, [CREATE_A], active="nas-b")
    idle = replaced.unmounted("nas-b").resource("nas-b", role=HastRole.SECONDARY).hast_device("nas-b", exists=False)
    assert says(complaints(idle, [CREATE_A], active="nas-b"), "I3")


def test_i3_newfs_only_on_a_new_blank_device() -> None:
    """I3: newfs needs a device seen blank, new copies on both sides and a primary."""
    assert not complaints(fresh_primary(), [NEWFS_A, MOUNT_A])
    for spoiled in (
        fresh_primary().hast_device("nas-a", blank=False),
        fresh_primary().hast_device("nas-a", blank=None),
        fresh_primary().hast_device("nas-a", used_by=("open",)),
        fresh_primary().metadata("nas-a", localcnt=2),
        fresh_primary().metadata("nas-b", remotecnt=2),
        fresh_primary().metadata("nas-b", value=NoMetadata.ABSENT),
        fresh_primary().wants(nas_cluster({"spec.groups.0.storage.0.hast.initialize": "Never"})),
        fresh_primary().unknown("nas-a", "mounts"),
    ):
        assert says(complaints(spoiled, [NEWFS_A]), "I3")
    local = step("nas-a", "MakeFilesystem", "newfs -U /dev/vtbd1", risk=Risk.DESTRUCTIVE)
    assert says(complaints(fresh_primary(), [local]), "I3")
    assert says(complaints(fresh_primary(), [NEWFS_A], [NEWFS_A]), "I3")
    assert says(complaints(fresh_primary().silent("nas-b"), [NEWFS_A]), "I6")


def test_i3_destroying_steps_check_again_and_say_what_they_are() -> None:
    """A destructive step without a check just before it, or with a smaller risk, is refused."""
    bare = step("nas-a", "CreateMetadata", "hastctl create data", risk=Risk.DESTRUCTIVE, before=())
    small = step("nas-a", "CreateMetadata", "hastctl create data", risk=Risk.OUTAGE)
    assert says(complaints(blank_pair(), [bare]), "without a check")
    assert says(complaints(blank_pair(), [small]), "risk")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param({"localcnt": 0, "remotecnt": 0}, {"localcnt": 1, "remotecnt": 0}, id="out of date"),
        pytest.param({"localcnt": 1, "remotecnt": 0}, {"localcnt": 1, "remotecnt": 0}, id="split-brain"),
        pytest.param({"resuid": 1}, {"resuid": 2}, id="other resource"),
        pytest.param({"resuid": 0}, {}, id="empty"),
    ],
)
def test_i4_no_promotion_of_the_older_copy(mine: dict[str, int], theirs: dict[str, int]) -> None:
    """I4: the decision table of secondary.c (docs/freebsd-facts.md#2.6)."""
    scene = rebooted_pair().metadata("nas-a", **mine).metadata("nas-b", **theirs)
    assert says(complaints(scene, [PRIMARY_A]), "I4")


def test_i4_the_newer_or_equal_copy_may_be_promoted() -> None:
    """I4's good twins, and copies that are not known."""
    newer = rebooted_pair().metadata("nas-a", localcnt=1, remotecnt=0).metadata("nas-b", localcnt=0, remotecnt=0)
    assert not complaints(newer, [PRIMARY_A])
    for value in (Unknown("garbled", 0.0), NoMetadata.INVALID, NoMetadata.FOREIGN):
        assert says(complaints(rebooted_pair().metadata("nas-b", value=value), [PRIMARY_A]), "I4")
    for value in (Unknown("garbled", 0.0), NoMetadata.ABSENT):
        assert says(complaints(rebooted_pair().metadata("nas-a", value=value), [PRIMARY_A]), "I4")


def test_i4_no_promotion_while_the_serving_copy_is_ahead() -> None:
    """I4: the peer serves degraded, or has dirty bytes and is demoted in the same stage."""
    moved = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    steps = [SECONDARY_A, PRIMARY_B]
    assert says(complaints(moved.resource("nas-a", status="degraded"), steps, active="nas-b"), "I4")
    assert says(complaints(moved.resource("nas-a", dirty=2097152), steps, active="nas-b"), "I4")
    assert not complaints(moved, steps, active="nas-b")


def test_i6_old_evidence() -> None:
    """I6: 15 s for a promotion, 30 s for anything else."""
    assert not complaints(rebooted_pair().aged(20), [PRIMARY_A])
    assert says(complaints(rebooted_pair().aged(24), [PRIMARY_A]), "I6")
    assert not complaints(rebooted_pair().aged(26), [SECONDARY_B])
    assert says(complaints(rebooted_pair().aged(40), [SECONDARY_B]), "I6")
    assert says(complaints(rebooted_pair().silent("nas-b"), [SECONDARY_B]), "I6")


@pytest.mark.parametrize(
    "again",
    [
        PRIMARY_A,
        SECONDARY_B,
        MOUNT_A,
        step("nas-a", "StartService", "service nfsd onestart"),
        step("nas-b", "StopService", "service nfsd onestop"),
        step("nas-a", "StartHastd", "service hastd onestart"),
        step("nas-b", "Unmount", "umount /data"),
        step("nas-a", "Remount", "mount -u -o noatime /data"),
    ],
    ids=lambda again: str(again.verb),
)
def test_i7_nothing_is_done_again(again: Step) -> None:
    """I7: a step whose result is there already."""
    assert says(complaints(healthy_pair(), [again]), "I7")


def test_mount_and_service_only_where_the_storage_is() -> None:
    """Mounting or starting on the standby is refused, and so are other devices, places and options."""
    there = step("nas-b", "Mount", "mount -t ufs -o noatime /dev/hast/data /data")
    assert says(complaints(healthy_pair(), [there]), "not known to be primary")
    assert says(complaints(healthy_pair(), [step("nas-b", "StartService", "service nfsd onestart")]), "not active")
    ready = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    assert not complaints(ready, [MOUNT_A], [step("nas-a", "StartService", "service nfsd onestart")])
    assert says(complaints(ready, [step("nas-a", "StartService", "service nfsd onestart")]), "before nas-a has")
    for command in (
        "mount -t ufs -o noatime /dev/vtbd1 /data",
        "mount -t ufs -o noatime /dev/hast/data /mnt",
        "mount -t ufs /dev/hast/data /data",
        "mount -t ufs -o noatime,async /dev/hast/data /data",
    ):
        assert complaints(ready, [step("nas-a", "Mount", command)])


def test_pools() -> None:
    """ZFS: import on the primary only, from /dev/hast; export is I2's twin of umount; create needs a blank device."""
    ready = zfs_pair().unmounted("nas-a").service("nas-a", running=False)
    imports = step("nas-a", "ImportPool", "zpool import -f -d /dev/hast -o cachefile=none tank")
    assert not complaints(ready, [imports])
    assert says(complaints(zfs_pair(), [imports]), "I7")
    wide = step("nas-a", "ImportPool", "zpool import -f tank")
    assert says(complaints(ready, [wide]), "outside /dev/hast")
    there = step("nas-b", "ImportPool", "zpool import -f -d /dev/hast tank")
    assert says(complaints(ready, [there]), "I1")
    exports = step("nas-a", "ExportPool", "zpool export tank", risk=Risk.OUTAGE)
    stopped = zfs_pair().service("nas-a", running=False)
    assert not complaints(stopped, [exports], [SECONDARY_A], active="nas-b")
    create = "zpool create -o cachefile=none -m /data tank /dev/hast/data"
    make = step("nas-a", "CreatePool", create, risk=Risk.DESTRUCTIVE)
    assert not complaints(ready.hast_device("nas-a", blank=True), [make])
    assert says(complaints(ready, [make]), "I3")
    forced = step("nas-a", "CreatePool", create.replace("create", "create -f"), risk=Risk.DESTRUCTIVE)
    assert says(complaints(ready.hast_device("nas-a", blank=True), [forced]), "I3")


def test_i10_only_the_machine_the_document_names() -> None:
    """I10: another node, another machine under its name, or another system is not touched."""
    stray = step("nas-c", "SetRole", "hastctl role secondary data")
    for ordered in (True, False):
        assert says(complaints(rebooted_pair(), [stray], ordered=ordered), "I10", "nas-c")
    assert says(complaints(rebooted_pair().system("nas-b", hostname="db-1"), [SECONDARY_B]), "I10", "db-1")
    assert not complaints(rebooted_pair().system("nas-b", hostname="nas-b.example.org"), [SECONDARY_B])
    assert says(complaints(rebooted_pair().system("nas-b", sysname="Linux"), [SECONDARY_B]), "not FreeBSD")
    assert says(complaints(rebooted_pair().unknown("nas-b", "system"), [SECONDARY_B]), "I10")


def test_the_builder_keeps_readings_known() -> None:
    """The scenes of these tests are what they say: every node answers, every field is known."""
    for scene in (healthy_pair(), blank_pair(), zfs_pair(), rebooted_pair(), fresh_primary()):
        assert all(isinstance(reading, Known) for reading in scene.snapshot.nodes.values())


def test_i3_no_metadata_under_a_daemon_that_may_be_primary() -> None:
    """hastd does not tell, and may work with the disk."""
    assert not says(complaints(blank_pair(), [CREATE_A]), "may be primary")
    silent = blank_pair().unknown("nas-a", "hastd", "resources")
    assert says(complaints(silent, [CREATE_A]), "I3", "nas-a may be primary")


def test_a_copy_is_not_made_larger_than_the_other_disk() -> None:
    """Copies of different size never connect; -m gives the smaller size."""
    larger = blank_pair().device("nas-a", mediasize=2 * MEDIASIZE)
    assert says(complaints(larger, [CREATE_A]), "would be larger here")
    fitting = replace(CREATE_A, command=f"hastctl create -m {MEDIASIZE} data")
    assert not says(complaints(larger, [fitting]), "larger")


def test_i5_hastd_of_the_active_node_is_not_reloaded_while_its_standby_is_silent() -> None:
    """The standby has to have the same first."""
    assert says(complaints(healthy_pair().silent("nas-b"), [RELOAD_A]), "I5", "although nas-b does not answer")


def test_i3_no_filesystem_on_a_device_that_was_not_seen() -> None:
    """In the stage that is carried out the device must be there and blank; later it is looked at again."""
    unseen = fresh_primary().hast_device("nas-a", exists=False, blank=None)
    assert not complaints(fresh_primary(), [NEWFS_A])
    assert says(complaints(unseen, [NEWFS_A]), "I3", "not known to be blank")


def test_nothing_is_mounted_over_another_filesystem() -> None:
    """It would hide it."""
    free = healthy_pair().unmounted("nas-a")
    assert not complaints(free, [MOUNT_A])
    taken = Mount("/dev/da9", "/data", "ufs", frozenset({"local"}))
    busy = free.node("nas-a", mounts=(*free.known("nas-a", "mounts"), taken))
    assert says(complaints(busy, [MOUNT_A]), "this would hide it")


def test_i4_no_promotion_after_a_primary_that_was_not_in_sync() -> None:
    """What it wrote while it was not connected is on its disk only, however properly it is given up."""
    off = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    stages = [
        [step("nas-a", "SetRole", "hastctl role secondary data", target="data", risk=Risk.OUTAGE)],
        [step("nas-b", "SetRole", "hastctl role primary data", target="data")],
    ]
    for status, right in (("complete", True), ("degraded", False), (None, False)):
        found = complaints(off.resource("nas-a", status=status), *stages, active="nas-b")
        assert says(found, "I4", "nas-a was primary for data", "this copy is not complete") is not right


def test_i3_a_copy_is_thrown_away_by_a_persons_word_or_the_documents_for_a_node_that_slept() -> None:
    """The audit reads the document and the hooks' notes itself; the plan's word alone is none."""
    scene = slept(diverged(), "nas-b")
    steps = list(plan_of(scene).stages[0].steps)
    assert steps[0].verb == "DiscardCopy"
    assert not complaints(scene, steps)
    for wrong in (
        slept(diverged(), "nas-b", word="Ask"),
        slept(diverged()),
        slept(diverged(), "nas-a"),
        slept(diverged(), "nas-a", "nas-b"),
    ):
        assert says(complaints(wrong, steps), "I3", "nobody asked for the copy of data on nas-b")
