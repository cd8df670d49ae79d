"""Every drift has exactly the command it needs, and nothing differs means no step (I7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hactl.core.audit.check import audit
from hactl.core.facts import CarpState, File, HastRole, Known, Mount, RcAlias, fingerprint
from hactl.core.plan import make_plan
from hactl.core.steps import Plan
from support.facts.builder import KEY, NOW, SALT, Scene, edge_pair, healthy_pair, nas_cluster, zfs_cluster
from support.facts.planned import shortened

WRONG_KEY = fingerprint("changed-by-hand", SALT)
Tweak = Callable[[Scene], Scene]


def plan_of(scene: Scene) -> Plan:
    """The plan at the moment the builder's facts are two seconds old."""
    return make_plan(scene.cluster, scene.snapshot, NOW)


def commands(plan: Plan) -> list[str]:
    """`node: command` of every step, in order."""
    return [f"{step.node}: {shortened(step)}" for step in plan.steps]


@pytest.mark.parametrize("pair", [healthy_pair, edge_pair])
def test_nothing_differs_means_no_step_and_no_hold(pair: Callable[[], Scene]) -> None:
    """A converged pair has an empty plan."""
    plan = plan_of(pair())
    assert plan.stages == ()
    assert plan.holds == ()


def _options(*options: str) -> Tweak:
    def tweak(scene: Scene) -> Scene:
        mounts = tuple(
            Mount(m.special, m.node, m.fstype, frozenset({"local", *options})) if m.node == "/data" else m
            for m in scene.known("nas-a", "mounts")
        )
        return scene.node("nas-a", mounts=mounts)

    return tweak


def _log(*lines: tuple[int, int, str]) -> Tweak:
    return lambda scene: scene.sysctl("nas-a", demotion=lines[-1][1]).node("nas-a", demotions=lines)


DRIFTS: list[tuple[str, Tweak, list[str]]] = [
    ("advskew of the standby", lambda s: s.vhid("nas-b", advskew=50), ["nas-b: ifconfig vtnet1 vhid 80 advskew 100"]),
    (
        "advskew of the active node, and the address went to the peer",
        lambda s: s.vhid("nas-a", advskew=200, state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER),
        ["nas-a: ifconfig vtnet1 vhid 80 advskew 0 state master"],
    ),
    ("advbase", lambda s: s.vhid("nas-b", advbase=3), ["nas-b: ifconfig vtnet1 vhid 80 advbase 1"]),
    (
        "password of the standby, and both are MASTER",
        lambda s: s.vhid("nas-b", key=WRONG_KEY, state=CarpState.MASTER),
        ['nas-b: ifconfig vtnet1 vhid 80 pass "$HACTL_PASS_1"'],
    ),
    (
        "password of the active node",
        lambda s: s.vhid("nas-a", key=WRONG_KEY),
        ['nas-a: ifconfig vtnet1 vhid 80 pass "$HACTL_PASS_1"'],
    ),
    (
        "advskew and password together are one command",
        lambda s: s.vhid("nas-b", advskew=7, key=WRONG_KEY),
        ['nas-b: ifconfig vtnet1 vhid 80 advskew 100 pass "$HACTL_PASS_1"'],
    ),
    (
        "the vhid of the standby is gone",
        lambda s: s.without_vhid("nas-b"),
        [
            'nas-b: ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advbase 1 advskew 100 pass "$HACTL_PASS_1" alias',
        ],
    ),
    (
        "an address more on the vhid",
        lambda s: s.address("nas-b", "192.0.2.81/24", 80),
        ["nas-b: ifconfig vtnet1 inet 192.0.2.81 -alias"],
    ),
    (
        "the address on another vhid",
        lambda s: s.without_vhid("nas-b").address("nas-b", "192.0.2.80/24", 2),
        [
            "nas-b: ifconfig vtnet1 inet 192.0.2.80 -alias",
            'nas-b: ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advbase 1 advskew 100 pass "$HACTL_PASS_1" alias',
        ],
    ),
    (
        "another prefix length",
        lambda s: s.without_vhid("nas-b").address("nas-b", "192.0.2.80/32", 80).vhid("nas-b", advskew=100),
        ["nas-b: ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 alias"],
    ),
    ("preempt off", lambda s: s.sysctl("nas-b", preempt=0), ["nas-b: sysctl net.inet.carp.preempt=1"]),
    ("CARP switched off", lambda s: s.sysctl("nas-b", allow=0), ["nas-b: sysctl net.inet.carp.allow=1"]),
    ("a demotion by hand", _log((240, 240, "sysctl")), ["nas-a: sysctl net.inet.carp.demotion=-240"]),
    (
        "the by-hand part of a demotion",
        _log((240, 240, "interface down"), (17, 257, "sysctl")),
        ["nas-a: sysctl net.inet.carp.demotion=-17"],
    ),
    ("the service stopped", lambda s: s.service("nas-a", running=False), ["nas-a: service nfsd onestart"]),
    ("the service on the standby", lambda s: s.service("nas-b", running=True), ["nas-b: service nfsd onestop"]),
    (
        "the service enabled at boot",
        lambda s: s.service("nas-b", enabled=True, rcvar="nfs_server_enable"),
        ["nas-b: sysrc nfs_server_enable=NO"],
    ),
    (
        "the filesystem unmounted",
        lambda s: s.unmounted("nas-a").hast_device("nas-a", blank=False),
        [
            "nas-a: fsck -p -t ufs /dev/hast/data",
            "nas-a: mkdir -p /data && mount -t ufs -o noatime /dev/hast/data /data",
        ],
    ),
    ("an option missing", _options("soft-updates"), ["nas-a: mount -u -o noatime /dev/hast/data /data"]),
    ("an option too many", _options("noatime", "noexec"), ["nas-a: mount -u -o noatime,exec /dev/hast/data /data"]),
    ("read-only", _options("noatime", "read-only"), ["nas-a: mount -u -o noatime,rw /dev/hast/data /data"]),
    (
        "the standby lost its role",
        lambda s: s.resource("nas-b", role=HastRole.INIT).resource("nas-a", status="degraded"),
        ["nas-b: hastctl role secondary data"],
    ),
    (
        "rc.conf.d/netif torn by a power cut",
        lambda s: s.file("nas-b", "/etc/rc.conf.d/netif", torn=True),
        ["nas-b: MendTornFile /etc/rc.conf.d/netif"],
    ),
    (
        "hast.conf torn by a power cut",
        lambda s: s.file("nas-b", torn=True),
        ["nas-b: WriteHastConf /etc/hast.conf", "nas-b: service hastd onereload"],
    ),
    ("hastd not enabled at boot", lambda s: s.rc("nas-b", hastd_enable="NO"), ["nas-b: sysrc hastd_enable=YES"]),
    ("the module not loaded at boot", lambda s: s.rc("nas-a", kld_list=None), ["nas-a: sysrc kld_list+=carp"]),
    (
        "an empty alias variable hides ours",
        lambda s: s.boot("nas-a", scan_stops={"vtnet1": "ifconfig_vtnet1_alias0"}).boot(
            "nas-a", aliases=tuple(replace(a, managed=True) for a in s.known("nas-a", "boot").aliases)
        ),
        ["nas-a: sysrc -x ifconfig_vtnet1_alias0"],
    ),
]


@pytest.mark.parametrize(("tweak", "expected"), [d[1:] for d in DRIFTS], ids=[d[0] for d in DRIFTS])
def test_drift_is_corrected_with_exactly_its_command(tweak: Tweak, expected: list[str]) -> None:
    """One difference, one command; nothing else is touched."""
    assert commands(plan_of(tweak(healthy_pair()))) == expected


def _netif_files(scene: Scene) -> Scene:
    """Both nodes have the alias in our block."""
    for node in ("nas-a", "nas-b"):
        aliases = tuple(
            replace(a, managed=True, file="/etc/rc.conf.d/netif") for a in scene.known(node, "boot").aliases
        )
        scene = scene.boot(node, aliases=aliases)
    return scene


def test_a_contradicting_alias_in_rc_conf_is_removed_by_name() -> None:
    """What an operator left in rc.conf for our vhid, and says otherwise, goes; our block stays as it is."""
    scene = _netif_files(healthy_pair())
    old = RcAlias("ifconfig_vtnet1_alias0", "vtnet1", "inet", "192.0.2.80", 24, 80, None, 200, KEY, file="/etc/rc.conf")
    scene = scene.boot("nas-b", aliases=(old, *scene.known("nas-b", "boot").aliases))
    assert commands(plan_of(scene)) == ["nas-b: sysrc -x ifconfig_vtnet1_alias0"]


def test_a_remount_names_every_option_of_the_document() -> None:
    """The kernel drops the flags that `mount -u` does not name: naming only the difference would lose the others."""
    cluster = nas_cluster({"spec.groups.0.storage.0.filesystem.ufs.options": ["noatime", "nosuid"]})
    scene = _options("soft-updates", "noatime", "noexec")(healthy_pair())
    plan = plan_of(scene.wants(cluster))
    assert commands(plan) == ["nas-a: mount -u -o noatime,nosuid,exec /dev/hast/data /data"]
    assert [check.says for check in plan.steps[0].after] == [
        "/data is mounted with noatime",
        "/data is mounted with nosuid",
        "/data is mounted without noexec",
    ]


def test_async_is_not_asked_of_soft_updates() -> None:
    """With soft updates UFS never is async (ffs_mount), so it is not asked for; mount(8) shows it as `asynchronous`."""
    cluster = nas_cluster({"spec.groups.0.storage.0.filesystem.ufs.options": ["noatime", "async"]})
    assert plan_of(_options("soft-updates", "noatime")(healthy_pair()).wants(cluster)).stages == ()
    plan = plan_of(_options("noatime")(healthy_pair()).wants(cluster))
    assert commands(plan) == ["nas-a: mount -u -o noatime,async /dev/hast/data /data"]
    there = _options("noatime", "asynchronous")(healthy_pair()).wants(cluster)
    assert plan_of(there).stages == ()
    plan = plan_of(_options("noatime", "asynchronous")(healthy_pair()))
    assert commands(plan) == ["nas-a: mount -u -o noatime,noasync /dev/hast/data /data"]


def test_a_world_readable_password_file_is_written_again() -> None:
    """The block is right and its file may be read by everybody: it is written with 0600."""
    scene = _netif_files(healthy_pair()).file("nas-a", "/etc/rc.conf.d/netif", mode=0o644)
    plan = plan_of(scene)
    assert [(step.node, step.verb) for step in plan.steps] == [("nas-a", "WriteBootAliases")]


def test_a_removed_virtual_ip_is_taken_down_standby_first_and_from_the_boot_block() -> None:
    """The boot block says that the address is ours; the document has it no more."""
    scene = _netif_files(healthy_pair())
    cluster = nas_cluster({"spec.groups.0.virtualIPs": []}, generation=2)
    plan = plan_of(replace(scene, cluster=cluster))
    assert [(step.node, step.verb) for step in plan.steps] == [
        # First: it would take the missing address for a lost one, and give the storage up.
        ("nas-b", "RemoveHook"),
        ("nas-a", "RemoveHook"),
        ("nas-b", "RemoveAddress"),
        ("nas-a", "RemoveAddress"),
        # No address is left that could move: hastd calls no hook any more.
        ("nas-b", "WriteHastConf"),
        ("nas-b", "ReloadHastd"),
        ("nas-a", "WriteHastConf"),
        ("nas-a", "ReloadHastd"),
        ("nas-a", "RemoveRcVariable"),
        ("nas-a", "WriteBootAliases"),
        ("nas-b", "RemoveRcVariable"),
        ("nas-b", "WriteBootAliases"),
    ]


def test_with_two_masters_and_two_primaries_the_preferred_node_is_changed_last() -> None:
    """A standby is not there any more; whoever is changed first, planner and audit agree on it (I5)."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}, generation=2))
    for node in ("nas-a", "nas-b"):
        scene = scene.vhid(node, state=CarpState.MASTER).resource(node, role=HastRole.PRIMARY)
    plan = plan_of(scene)
    assert [step.node for step in plan.steps if step.verb == "SetVhid"] == ["nas-b", "nas-a"]
    assert audit(scene.cluster, scene.snapshot, plan, NOW) == ()


@pytest.mark.parametrize("master", ["nas-a", "nas-b"])
def test_a_removed_virtual_ip_goes_last_from_where_it_answers(master: str) -> None:
    """I5: whichever node is MASTER of it; and not at all from there while the other node is silent."""
    other = "nas-b" if master == "nas-a" else "nas-a"
    scene = _netif_files(healthy_pair()).vhid(master, state=CarpState.MASTER).vhid(other, state=CarpState.BACKUP)
    scene = replace(scene, cluster=nas_cluster({"spec.groups.0.virtualIPs": []}, generation=2))
    plan = plan_of(scene)
    removals = [step.node for step in plan.steps if step.verb == "RemoveAddress"]
    assert removals == [other, master]
    assert audit(scene.cluster, scene.snapshot, plan, NOW) == ()
    alone = scene.silent(other)
    plan = plan_of(alone)
    assert "RemoveAddress" not in [step.verb for step in plan.steps]
    assert "StandbyFirst" in [hold.reason for hold in plan.holds]
    assert audit(alone.cluster, alone.snapshot, plan, NOW) == ()


def test_a_new_address_is_added_to_the_standby_and_at_once_to_the_active_node() -> None:
    """The HMAC covers the address set: both sides change in one ordered stage."""
    cluster = nas_cluster({"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.81/24"]}, generation=2)
    stage = plan_of(healthy_pair().wants(cluster)).stages[0]
    assert stage.ordered
    assert [f"{s.node}: {s.command}" for s in stage.steps] == [
        "nas-b: ifconfig vtnet1 inet 192.0.2.81/24 vhid 80 alias",
        "nas-a: ifconfig vtnet1 inet 192.0.2.81/24 vhid 80 alias",
    ]


def test_a_changed_mountpoint_stops_unmounts_mounts_and_starts() -> None:
    """The document moves the filesystem: an outage of its services, in the right order."""
    cluster = nas_cluster({"spec.groups.0.storage.0.filesystem.ufs.mountpoint": "/srv"}, generation=2)
    scene = healthy_pair().hast_device("nas-a", blank=False).wants(cluster)
    assert commands(plan_of(scene)) == [
        "nas-a: service nfsd onestop",
        "nas-a: umount /data",
        "nas-a: fsck -p -t ufs /dev/hast/data",
        "nas-a: mkdir -p /srv && mount -t ufs -o noatime /dev/hast/data /srv",
        "nas-a: service nfsd onestart",
    ]


def test_both_nodes_rebooted_come_back_with_the_one_that_was_primary() -> None:
    """Roles are init after a boot; equal counters: prevrole tells who served."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False)
    assert commands(plan_of(scene)) == [
        "nas-b: hastctl role secondary data",
        "nas-a: hastctl role primary data",
        "nas-a: fsck -p -t ufs /dev/hast/data",
        "nas-a: mkdir -p /data && mount -t ufs -o noatime /dev/hast/data /data",
        "nas-a: service nfsd onestart",
    ]


def test_the_newer_copy_is_served_although_the_other_node_is_preferred() -> None:
    """nas-b wrote while nas-a was away: nas-a's copy is out of date and is not promoted (I4)."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False).metadata("nas-b", localcnt=1)
    for node in ("nas-a", "nas-b"):
        scene = scene.resource(node, role=HastRole.INIT).hast_device(node, exists=False)
    plan = plan_of(scene)
    assert plan.active == {"files": "nas-b"}
    assert "nas-b: hastctl role primary data" in commands(plan)
    assert "nas-a: hastctl role primary data" not in commands(plan)


def test_the_address_follows_the_storage() -> None:
    """With the storage on nas-b by hand, the advskews change places; otherwise preemption would part them."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False).resource("nas-a", role=HastRole.SECONDARY)
    scene = scene.hast_device("nas-a", exists=False).resource("nas-b", role=HastRole.PRIMARY, status="complete")
    scene = scene.hast_device("nas-b", exists=True, blank=False)
    runtime = [c for c in commands(plan_of(scene)) if " vhid " in c and "HACTL_END" not in c]
    assert runtime == [
        "nas-b: ifconfig vtnet1 vhid 80 advskew 0",
        "nas-a: ifconfig vtnet1 vhid 80 advskew 100",
    ]


def test_a_mount_whose_device_is_gone_is_cleared() -> None:
    """The role was taken away under a mounted filesystem (recording 03, step 83)."""
    mounts = (Mount("/dev/hast/data", "/data", "ufs", frozenset({"local"})),)
    scene = healthy_pair().node("nas-b", mounts=mounts)
    assert commands(plan_of(scene)) == ["nas-b: umount -f /data"]


def test_zfs_is_imported_where_the_group_is_active() -> None:
    """The pool was last used under the other node's hostid, so -f; searched only on the replicated device."""
    scene = healthy_pair().wants(zfs_cluster()).unmounted("nas-a").hast_device("nas-a", blank=False)
    assert commands(plan_of(scene)) == ["nas-a: zpool import -f -d /dev/hast -o cachefile=none tank"]


def test_a_hast_conf_that_says_the_same_in_other_words_is_left_alone() -> None:
    """Comments, order, spelled-out defaults and a missing source make no difference."""
    text = (
        "# by hand\nexec /usr/local/libexec/hactl/hook\ntimeout 15\nresource data {\n"
        " on nas-b { local /dev/vtbd1\n remote 198.51.100.11 }\n"
        " on nas-a { local /dev/vtbd1\n remote tcp4://198.51.100.12:8457 }\n}\n"
    )
    assert plan_of(healthy_pair().file("nas-a", text=text)).steps == ()


def test_a_changed_hast_conf_is_written_and_taken_over_standby_first() -> None:
    """The document changes the timeout: file, reload, first on the standby, then on the active node."""
    cluster = nas_cluster({"spec.groups.0.storage.0.hast.timeoutSeconds": 10}, generation=2)
    stage = plan_of(healthy_pair().wants(cluster)).stages[0]
    assert stage.ordered
    assert [(s.node, s.verb) for s in stage.steps] == [
        ("nas-b", "WriteHastConf"),
        ("nas-b", "ReloadHastd"),
        ("nas-a", "WriteHastConf"),
        ("nas-a", "ReloadHastd"),
    ]


def test_the_netif_directory_is_no_difference() -> None:
    """Where rc.conf.d/netif is a directory, our file stands in it; nothing to do while it is right."""
    scene = _netif_files(healthy_pair())
    facts = scene.facts("nas-a")
    files = {**facts.files, "/etc/rc.conf.d/netif": Known(File("/etc/rc.conf.d/netif", True, is_directory=True), NOW)}
    assert plan_of(scene.node("nas-a", files=files)).steps == ()
