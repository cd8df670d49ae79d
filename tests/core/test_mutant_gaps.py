"""The planner: mistakes that no other test noticed (tests/mutants).

Most are tests that a node makes itself, just before and after a step: everything that was seen may have changed since.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hactl.core.audit.check import audit
from hactl.core.evidence.choice import choose_copy
from hactl.core.facts import CarpState, HastMetadata, HastResource, HastRole, Known, Mount, Pool, RcAlias, Service
from hactl.core.hastconf import render_hastconf
from hactl.core.plan import checks, make_plan
from hactl.core.plan.areas.handover import on_both
from hactl.core.steps import Hold, Plan, Step
from support.facts.builder import (
    HAST_CONF,
    NOW,
    Scene,
    blank_pair,
    edge_pair,
    fresh_primary,
    healthy_pair,
    nas_cluster,
    rebooted_pair,
    zfs_cluster,
    zfs_pair,
)

Tweak = Callable[[Scene], Scene]
DASH = shutil.which("dash") or "/bin/sh"
MOUNTED = Mount("/dev/hast/data", "/data", "ufs", frozenset({"local"}))
TWO = {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.81/24"]}


def plan_of(scene: Scene, *failing: str) -> Plan:
    """The plan, about which the audit has no complaint; `failing`: keys of steps that failed a short while ago."""
    plan = make_plan(scene.cluster, scene.snapshot, NOW, failing=dict.fromkeys(failing, "it failed"))
    assert audit(scene.cluster, scene.snapshot, plan, NOW) == ()
    return plan


def reasons(plan: Plan) -> set[str]:
    """Why it holds back."""
    return {hold.reason for hold in plan.holds}


def held(plan: Plan, reason: str) -> Hold:
    """The hold of that reason."""
    (hold,) = [hold for hold in plan.holds if hold.reason == reason]
    return hold


def commands(plan: Plan, node: str) -> list[str]:
    """What is run on that node."""
    return [step.command for step in plan.steps if step.node == node]


def says(step: Step) -> list[str]:
    """What the node tests before the step, and after it with the seconds it may take."""
    return [check.says for check in step.before] + [f"> {c.says} ({c.within_seconds:.0f} s)" for c in step.after]


# --- what a node tests itself -------------------------------------------------------------------------------------


def _left_behind(scene: Scene, mount: Mount) -> Scene:
    """On nas-a the mount has outlived its device; nas-b serves."""
    return scene.node("nas-a", mounts=(*scene.known("nas-a", "mounts"), mount))


TESTED: dict[str, tuple[Callable[[], Scene], str, list[str]]] = {
    "metadata": (
        blank_pair,
        "nas-b CreateMetadata data",
        [
            "/dev/vtbd1 holds no HAST metadata",
            "nobody uses /dev/vtbd1",
            "the first and last MiB of /dev/vtbd1 are all zero",
            "> metadata of data can be read (0 s)",
        ],
    ),
    "hastd": (blank_pair, "nas-a StartHastd hastd", ["> hastd answers (10 s)"]),
    "secondary": (
        blank_pair,
        "nas-b SetRole data",
        ["data is init here", "metadata of data can be read", "> data is secondary here (5 s)"],
    ),
    "primary": (
        blank_pair,
        "nas-a SetRole data",
        [
            "data is init here",
            "metadata of data can be read",
            "/dev/hast/data is not mounted",
            "> /dev/hast/data exists (30 s)",
            "> data is primary here (5 s)",
        ],
    ),
    "newfs": (
        blank_pair,
        "nas-a MakeFilesystem /dev/hast/data",
        [
            "data is primary here",
            "/dev/hast/data exists",
            "/dev/hast/data is not mounted",
            "the first and last MiB of /dev/hast/data are all zero",
            "> /dev/hast/data holds something (0 s)",
        ],
    ),
    "pool": (
        lambda: blank_pair().wants(zfs_cluster()),
        "nas-a CreatePool tank",
        [
            "data is primary here",
            "/dev/hast/data exists",
            "pool tank is not imported",
            "the first and last MiB of /dev/hast/data are all zero",
            "> pool tank is imported (0 s)",
        ],
    ),
    "mount": (
        blank_pair,
        "nas-a Mount /data",
        [
            "data is primary here",
            "/dev/hast/data exists",
            "/dev/hast/data is not mounted",
            "nothing is mounted on /data",
            "/data is not behind a symbolic link",
            "> /dev/hast/data is mounted on /data (0 s)",
        ],
    ),
    "unmount of a device that is gone": (
        lambda: _left_behind(healthy_pair("nas-b"), MOUNTED),
        "nas-a Unmount /data",
        [
            "/dev/hast/data is mounted on /data",
            "/dev/hast/data does not exist",
            "> nothing is mounted on /data (0 s)",
        ],
    ),
    "start": (blank_pair, "nas-a StartService nfsd", ["nfsd does not run", "> nfsd runs (10 s)"]),
    "stop": (
        lambda: healthy_pair().service("nas-b", running=True),
        "nas-b StopService nfsd",
        ["nfsd runs", "> nfsd does not run (10 s)"],
    ),
    "new vhid": (
        blank_pair,
        "nas-b AddAddress vtnet1 vhid 80 192.0.2.80/24",
        [
            "the carp module is loaded",
            "vtnet1 does not have 192.0.2.80",
            "> 192.0.2.80 is on vhid 80 of vtnet1 (0 s)",
            "> vhid 80 of vtnet1 has advbase 1 and advskew 100, and its password (0 s)",
        ],
    ),
    "second address": (
        lambda: healthy_pair().wants(nas_cluster(TWO)),
        "nas-b AddAddress vtnet1 vhid 80 192.0.2.81/24",
        [
            "the carp module is loaded",
            "vtnet1 does not have 192.0.2.81",
            "vhid 80 exists on vtnet1",
            "> 192.0.2.81 is on vhid 80 of vtnet1 (0 s)",
        ],
    ),
    "surplus address": (
        lambda: healthy_pair().address("nas-b", "192.0.2.81/24", 80),
        "nas-b RemoveAddress vtnet1 vhid 80 192.0.2.81/24",
        ["192.0.2.81 is on vhid 80 of vtnet1", "> 192.0.2.81 is not on vhid 80 of vtnet1 (0 s)"],
    ),
    "advskew": (
        lambda: healthy_pair().vhid("nas-b", advskew=50),
        "nas-b SetVhid vtnet1 vhid 80",
        ["vhid 80 exists on vtnet1", "> vhid 80 of vtnet1 has advbase 1 and advskew 100 (0 s)"],
    ),
    "demotion": (
        lambda: healthy_pair().sysctl("nas-b", demotion=100).node("nas-b", demotions=((100, 100, "sysctl"),)),
        "nas-b AdjustDemotion net.inet.carp.demotion",
        ["net.inet.carp.demotion is 100", "> net.inet.carp.demotion is 0 (0 s)"],
    ),
    "hast.conf": (
        lambda: healthy_pair().file("nas-b", text=HAST_CONF.replace("memsync", "fullsync")),
        "nas-b WriteHastConf /etc/hast.conf",
        ["/etc/hast.conf is as it was seen", "> /etc/hast.conf is the new one (0 s)"],
    ),
    "reload": (
        lambda: healthy_pair().file("nas-b", text=HAST_CONF.replace("memsync", "fullsync")),
        "nas-b ReloadHastd hastd",
        ["> hastd has data (15 s)"],
    ),
}


@pytest.mark.parametrize(("scene", "key", "tested"), TESTED.values(), ids=TESTED)
def test_a_node_looks_again_just_before_and_just_after_a_step(
    scene: Callable[[], Scene], key: str, tested: list[str]
) -> None:
    """All that a step relies on, in the exec of the step; and its effect is waited for as long as it may take."""
    step = next(step for step in plan_of(scene()).steps if step.key == key)
    assert says(step) == tested


def test_the_export_of_a_pool_whose_device_is_gone_is_tested_too() -> None:
    """By force only when the device does not exist, and the node itself looks."""
    gone = zfs_pair("nas-b").node("nas-a", pools={"tank": Pool("tank", "SUSPENDED")})
    step = next(step for step in plan_of(gone).steps if step.verb == "ExportPool")
    assert says(step)[:2] == ["pool tank is imported", "/dev/hast/data does not exist"]


def node_says(test: str, tmp_path: Path, **programs: str) -> bool:
    """Whether a check holds on a node where these programs do that (sh text)."""
    text = "\n".join(f"{name}() {{ {body}; }}" for name, body in programs.items())
    ran = subprocess.run(
        [DASH, "-s"], input=f"set -u\n{text}\n( {test}\n)\n".encode(), timeout=30, check=False, cwd=tmp_path,
        capture_output=True,
    )  # fmt: skip
    return ran.returncode == 0


@pytest.mark.parametrize(
    ("spoil", "blank"),
    [
        (lambda size: None, True),
        (lambda size: (0, b"x"), False),
        (lambda size: (700_000, b"x"), False),
        (lambda size: (size - 1, b"x"), False),
        (lambda size: (size - 1_000_000, b"x"), False),
    ],
    ids=["zeros", "first byte", "first MiB", "last byte", "last MiB"],
)
def test_a_node_calls_only_zeros_blank(tmp_path: Path, spoil: Callable[[int], Any], blank: bool) -> None:
    """Both ends are looked at: GEOM keeps its metadata in the last sector."""
    size = 8 * 1024 * 1024
    disk = tmp_path / "disk"
    disk.write_bytes(b"")
    os.truncate(disk, size)
    spoilt = spoil(size)
    if spoilt is not None:
        with disk.open("r+b") as file:
            file.seek(spoilt[0])
            file.write(spoilt[1])
    test = checks.blank(str(disk)).test
    assert node_says(test, tmp_path, diskinfo=f"echo {disk} 512 {size} 16384") is blank


def test_a_node_takes_no_failed_read_for_zeros(tmp_path: Path) -> None:
    """dd that reads less, or nothing, gives no byte that is not zero."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(3 * 1024 * 1024))
    test = checks.blank(str(disk)).test
    assert not node_says(test, tmp_path, diskinfo=f"echo {disk} 512 8388608 16384")
    assert not node_says(test, tmp_path, diskinfo=f"echo {disk} 512 8388608 16384", dd="return 1")
    assert not node_says(test, tmp_path, diskinfo="return 1")


@pytest.mark.parametrize(
    ("geom", "mount", "swapinfo", "unused"),
    [
        ("echo '   Mode: r0w0e0'", "true", "true", True),
        ("true", "true", "true", True),
        ("echo '   Mode: r1w1e1'", "true", "true", False),
        ("true", "echo '/dev/vtbd1 on /mnt (ufs)'", "true", False),
        ("true", "true", "echo /dev/vtbd1 1024 0", False),
    ],
    ids=["unused", "no disk of its own", "open", "mounted", "swap"],
)
def test_a_node_takes_no_used_disk_for_unused(
    tmp_path: Path, geom: str, mount: str, swapinfo: str, unused: bool
) -> None:
    """GEOM, the mount table and swap are asked."""
    test = checks.not_open("/dev/vtbd1").test
    assert node_says(test, tmp_path, geom=geom, mount=mount, swapinfo=swapinfo) is unused


@pytest.mark.parametrize(
    ("said", "none"),
    [
        ("[ERROR] Unable to read metadata from /dev/vtbd1: No such file or directory.", True),
        ("[ERROR] Unable to read metadata from /dev/vtbd1: Input/output error.", False),
        ("[ERROR] Unable to open /dev/vtbd1: No such file or directory.", False),
        ("resource: data", False),
        ("", False),
    ],
)
def test_a_node_takes_only_the_right_words_for_no_metadata(tmp_path: Path, said: str, none: bool) -> None:
    """Those that mean a zeroed disk (recording 03)."""
    test = checks.no_metadata("data", "/dev/vtbd1").test
    assert node_says(test, tmp_path, hastctl=f'echo "{said}"; return 1') is none


@pytest.mark.parametrize(("role", "right"), [("primary", False), ("secondary", True), ("init", False)])
def test_a_node_tells_its_roles_apart(tmp_path: Path, role: str, right: bool) -> None:
    """`hastctl list` shows the role on a line of its own."""
    test = checks.role_is("data", HastRole.SECONDARY).test
    assert node_says(test, tmp_path, hastctl=f"printf 'data:\\n  role: {role}\\n  provname: secondary\\n'") is right


def test_a_node_that_cannot_read_its_interface_does_not_call_an_address_absent(tmp_path: Path) -> None:
    """Adding an address that is there drops MASTER."""
    test = checks.address_absent("vtnet1", "192.0.2.80").test
    assert node_says(test, tmp_path, ifconfig="echo ' inet 192.0.2.11 netmask 0xffffff00'")
    assert not node_says(test, tmp_path, ifconfig="echo ' inet 192.0.2.80 netmask 0xffffff00 vhid 80'")
    assert not node_says(test, tmp_path, ifconfig="return 1")


def test_a_node_tells_whether_its_device_is_mounted(tmp_path: Path) -> None:
    """By its whole name."""
    test = checks.not_mounted("/dev/hast/data").test
    assert node_says(test, tmp_path, mount="echo '/dev/hast/data2 on /data2 (ufs, local)'")
    assert not node_says(test, tmp_path, mount="echo '/dev/hast/data on /data (ufs, local)'")


# --- order --------------------------------------------------------------------------------------------------------


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
    plan = plan_of(scene, "nas-b SetVhid vtnet1 vhid 80")
    assert not [step.key for step in plan.steps if step.verb == "SetVhid"]
    plan = plan_of(_two_services(healthy_pair(), "nas-b"), "nas-b StopService mountd")
    assert "service nfsd onestop" not in commands(plan, "nas-b")
    assert "StepFailing" in reasons(plan)


def test_a_node_is_not_promoted_while_its_standby_fails_to_become_secondary() -> None:
    """The wait is for the standby's own word, however long that takes."""
    plan = plan_of(rebooted_pair(), "nas-b SetRole data")
    assert not [step.key for step in plan.steps if step.verb == "SetRole"]


# --- what is not known --------------------------------------------------------------------------------------------


def test_addresses_wait_for_a_silent_node_that_may_have_them() -> None:
    """They are nowhere that answers."""
    bare = healthy_pair().without_vhid("nas-a").silent("nas-b")
    plan = plan_of(bare)
    assert not [step.key for step in plan.steps if step.verb == "AddAddress"]
    assert any(hold.target == "vhid 80" for hold in plan.holds if hold.reason == "PeerSilent")


def test_addresses_wait_for_the_filesystem_they_serve() -> None:
    """Something else is mounted there: the group does not serve, and its addresses do not come up."""
    scene = healthy_pair().unmounted("nas-a").without_vhid("nas-a").without_vhid("nas-b")
    taken = Mount("/dev/da9", "/data", "ufs", frozenset({"local"}))
    plan = plan_of(scene.node("nas-a", mounts=(*scene.known("nas-a", "mounts"), taken)))
    assert not [step.key for step in plan.steps if step.verb == "AddAddress"]
    assert {"AddressWaits", "MountpointBusy"} <= reasons(plan)


def test_a_vhid_without_any_password_gets_the_documents() -> None:
    """`ifconfig -k` shows no key: that is not the document's."""
    plan = plan_of(healthy_pair().vhid("nas-b", key=None))
    assert commands(plan, "nas-b") == ['ifconfig vtnet1 vhid 80 pass "$HACTL_PASS_1"']


def test_an_address_away_from_its_storage_is_said() -> None:
    """Everything is as the document says, and the peer is MASTER: preemption brings it, or a person looks."""
    scene = healthy_pair().vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    assert "AddressElsewhere" in reasons(plan_of(scene))


def test_a_carp_address_that_hactl_never_wrote_is_left_alone() -> None:
    """It stands in rc.conf, and the document has no such vhid."""
    alias = RcAlias("ifconfig_vtnet1_alias0", "vtnet1", "inet", "192.0.2.90", 24, 9, 1, 0, None, file="/etc/rc.conf")
    scene = healthy_pair().address("nas-b", "192.0.2.90/24", 9)
    foreign = scene.boot("nas-b", aliases=(*scene.known("nas-b", "boot").aliases, alias))
    assert plan_of(foreign).stages == ()
    ours = replace(alias, file="/etc/rc.conf.d/netif", managed=True)
    left = scene.boot("nas-b", aliases=(*scene.known("nas-b", "boot").aliases, ours))
    assert "ifconfig vtnet1 inet 192.0.2.90 -alias" in commands(plan_of(left), "nas-b")


# --- hast.conf ----------------------------------------------------------------------------------------------------


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
        assert not [step.key for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd")]
        hold = held(plan, "ForeignResource")
        assert (hold.node, hold.target) == ("nas-b", "/etc/hast.conf" if text == both else "other")


def test_hastd_of_the_active_node_is_left_alone_while_its_standby_is_silent() -> None:
    """The standby takes a change first (I5)."""
    scene = healthy_pair().file("nas-a", text=HAST_CONF.replace("memsync", "fullsync")).silent("nas-b")
    plan = plan_of(scene)
    assert not [step.key for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd")]
    assert held(plan, "StandbyFirst").node == "nas-a"


@pytest.mark.parametrize("status", [64, 70, 72, 78, 126, 127])
def test_a_hast_conf_that_hastctl_refuses_is_not_put_in_place(tmp_path: Path, status: int) -> None:
    """Exit statuses (sysexits(3)) that mean the file, or no hastctl: the old one stays, nothing is left over."""
    scene = healthy_pair().file("nas-b", text=HAST_CONF.replace("memsync", "fullsync"))
    step = next(step for step in plan_of(scene).steps if step.verb == "WriteHastConf")
    command = step.command.replace("/etc/hast.conf", str(tmp_path / "hast.conf"))
    (tmp_path / "hast.conf").write_text("by hand\n")
    assert not node_says(command, tmp_path, hastctl=f"echo refused; return {status}")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("hast.conf", "by hand\n")]
    assert node_says(command, tmp_path, hastctl="return 0")
    assert "resource data" in (tmp_path / "hast.conf").read_text()
    assert "by hand\n" in [path.read_text() for path in tmp_path.iterdir()]


def test_a_router_goes_back_to_its_preferred_node() -> None:
    """A group without storage that failed over: its advskews stay as the order of the document says."""
    assert plan_of(edge_pair("fw-2")).stages == ()


# --- which copy, which node ---------------------------------------------------------------------------------------


def _copy(resuid: int = 7, prevrole: str = "secondary") -> HastMetadata:
    return HastMetadata("data", 134213120, 2097152, 64, 4608, resuid, 0, 0, prevrole)


@pytest.mark.parametrize(
    ("a", "b", "chosen"),
    [
        (_copy(), _copy(resuid=0), "a"),
        (_copy(resuid=0), _copy(), "b"),
        (_copy(), _copy(prevrole="primary"), "b"),
        (_copy(prevrole="primary"), _copy(), "a"),
        (_copy(prevrole="primary"), _copy(prevrole="primary"), "a"),
        (_copy(), _copy(), "a"),
    ],
    ids=["b is empty", "a is empty", "b served last", "a served last", "both served", "neither served"],
)
def test_of_two_copies_that_agree_the_one_that_was_written_serves(
    a: HastMetadata, b: HastMetadata, chosen: str
) -> None:
    """An empty copy never; during a first sync the source; else the preferred node (I4)."""
    assert choose_copy("data", {"a": a, "b": b}, ("a", "b")).node == chosen


def _two_resources() -> Scene:
    """The healthy pair with a second resource, `more`, on a disk of its own and without a filesystem."""
    devices = {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd2"}
    document: Any = healthy_pair().cluster.document.model_dump(mode="json", by_alias=True)
    (data,) = document["spec"]["groups"][0]["storage"]
    more = {"name": "more", "hast": {**data["hast"], "devices": devices}}
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.storage": [data, more]}))
    for node in ("nas-a", "nas-b"):
        facts = scene.facts(node)
        listed = scene.known(node, "resources")
        second = replace(listed["data"], name="more", provname="more", localpath="/dev/vtbd2")
        scene = scene.file(node, text=render_hastconf(scene.cluster, node)).node(
            node,
            resources={**listed, "more": second},
            metadata={**facts.metadata, "more": facts.metadata["data"]},
            devices={**facts.devices, "/dev/vtbd2": facts.devices["/dev/vtbd1"]},
            hast_devices={**facts.hast_devices, "more": facts.hast_devices["data"]},
        )
        scene = scene.hast_device(node, "more", used_by=())
        if scene.known(node, "hook").confirmed:
            scene = scene.hook(node, confirmed={"data": 1700000000, "more": 1700000000})
    return scene


def test_two_resources_of_one_group_in_order_are_nothing_to_do() -> None:
    """The scene of the next tests is a converged one."""
    assert plan_of(_two_resources()).stages == ()


def test_a_group_that_is_primary_on_two_nodes_is_active_on_none() -> None:
    """Each node has one of its resources: nobody is promoted, demoted, mounted or started."""
    scene = (
        _two_resources().resource("nas-a", "more", role=HastRole.SECONDARY).hast_device("nas-a", "more", exists=False)
    )
    scene = scene.resource("nas-b", "more", role=HastRole.PRIMARY).hast_device("nas-b", "more", exists=True)
    plan = plan_of(scene)
    assert plan.active == {"files": None}
    assert "StorageApart" in reasons(plan)
    assert not [step.key for step in plan.steps if step.verb in ("SetRole", "Mount", "StartService", "StopService")]


def _all_init(scene: Scene) -> Scene:
    """Both nodes rebooted."""
    scene = scene.unmounted("nas-a").service("nas-a", running=False)
    for node in ("nas-a", "nas-b"):
        for name in ("data", "more"):
            scene = scene.resource(node, name, role=HastRole.INIT).hast_device(node, name, exists=False, used_by=())
    return scene


def test_a_group_whose_newest_copies_are_on_two_nodes_is_active_on_none() -> None:
    """Wherever it went, one resource would be the older copy (I4)."""
    scene = _all_init(_two_resources()).metadata("nas-a", "data", localcnt=1).metadata("nas-b", "more", localcnt=1)
    plan = plan_of(scene)
    assert plan.active == {"files": None}
    assert "StorageApart" in reasons(plan)
    assert not [step.key for step in plan.steps if "primary" in step.command and step.verb == "SetRole"]


@pytest.mark.parametrize(
    ("tweak", "reason"),
    [
        (lambda s: s.metadata("nas-b", "more", localcnt=1), "StorageApart"),
        (lambda s: s.metadata("nas-a", "more", localcnt=1).metadata("nas-b", "more", localcnt=1), "SplitBrain"),
        (lambda s: s.metadata("nas-b", "more", resuid=5), "ForeignCopy"),
        (lambda s: s.silent("nas-b"), "PeerSilent"),
        (lambda s: s.unknown("nas-b", "resources"), "RoleUnknown"),
        (lambda s: s.aged(24, "nas-b"), "StaleFacts"),
    ],
    ids=["newer elsewhere", "split", "foreign", "silent", "role not told", "old word"],
)
def test_a_resource_does_not_follow_its_group_without_evidence_of_its_own(tweak: Tweak, reason: str) -> None:
    """`data` is primary on nas-a, nobody is for `more`: it does not say whose copy is newer (I1, I4)."""
    scene = _two_resources().resource("nas-a", "more", role=HastRole.INIT).hast_device("nas-a", "more", exists=False)
    assert "nas-a SetRole more" in [step.key for step in plan_of(scene).steps]
    plan = plan_of(tweak(scene))
    assert "nas-a SetRole more" not in [step.key for step in plan.steps]
    assert reason in reasons(plan)


def test_addresses_of_a_silent_node_may_be_there() -> None:
    """Nobody who answers is MASTER: where the group is active is not known."""
    scene = edge_pair("fw-2").silent("fw-2")
    assert plan_of(scene).active == {"gateway": None}


@pytest.mark.parametrize(
    "tweak",
    [
        lambda s: s.aged(24, "nas-b"),
        lambda s: s.unknown("nas-b", "hast_devices").node("nas-b", mounts=(MOUNTED,)),
        lambda s: s.unknown("nas-b", "hastd", "resources"),
        lambda s: s.unknown("nas-b", "resources"),
        lambda s: s.hast_device("nas-b", exists=True),
    ],
    ids=["said so 26 s ago", "mounted there", "hastd unknown", "roles unread", "device there"],
)
def test_nobody_is_promoted_on_the_word_of_a_node_that_may_be_primary(tweak: Tweak) -> None:
    """Old, contradicted or missing: no evidence (I1, I6)."""
    plan = plan_of(tweak(rebooted_pair()))
    assert not [step.key for step in plan.steps if step.verb == "SetRole" and " primary " in step.command]
    assert reasons(plan) & {"StaleFacts", "RoleUnknown"}


# --- the node and its next boot -----------------------------------------------------------------------------------


def test_a_log_that_lost_its_oldest_lines_does_not_account_for_a_demotion() -> None:
    """It starts at 240: what that was is not known, so nothing is taken back."""
    scene = healthy_pair().sysctl("nas-b", demotion=340).node("nas-b", demotions=((100, 340, "sysctl"),))
    plan = plan_of(scene)
    assert plan.stages == ()
    assert "340" in held(plan, "Demoted").message


def test_where_securelevel_forbids_it_the_module_is_not_loaded() -> None:
    """A person adds it to kld_list and reboots."""
    plan = plan_of(blank_pair().system("nas-b", securelevel=1))
    assert held(plan, "SecureLevel").node == "nas-b"
    assert [step.node for step in plan.steps if step.verb == "LoadModule"] == ["nas-a"]


def test_a_block_that_somebody_cut_is_not_written_over() -> None:
    """Its two marks are no pair any more; the rest of the next boot is put right all the same."""
    scene = healthy_pair().boot("nas-b", aliases=()).rc("nas-b", hastd_enable="NO")
    plan = plan_of(scene.file("nas-b", "/etc/rc.conf.d/netif", block_damaged=True))
    assert commands(plan, "nas-b") == ["sysrc hastd_enable=YES"]
    assert held(plan, "BootConfigByHand").node == "nas-b"


def test_a_line_of_sysctl_conf_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    """One rename, and everything else as it was."""
    scene = healthy_pair().boot("nas-b", sysctl_conf={"net.inet.carp.preempt": "0"})
    (step,) = plan_of(scene).steps
    conf = tmp_path / "sysctl.conf"
    conf.write_text("# mine\nkern.maxfiles=1000\nnet.inet.carp.preempt = 0\nnet.inet.carp.preemptible=1\n")
    assert node_says(step.command.replace("/etc/", f"{tmp_path}/"), tmp_path)
    assert conf.read_text().splitlines() == [
        "# mine",
        "kern.maxfiles=1000",
        "net.inet.carp.preemptible=1",
        "net.inet.carp.preempt=1",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["sysctl.conf"]


@pytest.mark.parametrize(
    ("status", "dirty", "both"),
    [("complete", 0, True), ("complete", 4096, False), ("degraded", 0, False)],
)
def test_a_node_tells_whether_everything_is_on_both_disks(tmp_path: Path, status: str, dirty: int, both: bool) -> None:
    """Connected and nothing dirty."""
    (storage,) = healthy_pair().cluster.groups[0].storage
    listed = f"printf 'data:\\n  role: primary\\n  status: {status}\\n  dirty: {dirty} (0B)\\n'"
    assert node_says(on_both(storage).test, tmp_path, hastctl=listed) is both


# --- filesystems --------------------------------------------------------------------------------------------------


def test_with_initialize_never_a_blank_device_stays_blank() -> None:
    """A person makes the filesystem, or the document says IfBlank."""
    never = nas_cluster({"spec.groups.0.storage.0.hast.initialize": "Never"})
    assert "MakeFilesystem" in {step.verb for step in plan_of(fresh_primary()).steps}
    plan = plan_of(fresh_primary().wants(never))
    assert "MakeFilesystem" not in {step.verb for step in plan.steps}
    assert held(plan, "NotInitialised").node == "nas-a"


def test_a_device_that_is_not_there_yet_is_waited_for() -> None:
    """It comes some seconds after the role (recording 06): neither fsck nor mount is tried before."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False).hast_device("nas-a", exists=False)
    plan = plan_of(scene)
    assert not {step.verb for step in plan.steps} & {"CheckFilesystem", "Mount", "MakeFilesystem", "StartService"}
    assert held(plan, "DeviceNotReady").passing


def test_another_mountpoint_takes_the_services_off_the_old_one_first() -> None:
    """Stop, unmount; then fsck, mount and start as ever."""
    srv = nas_cluster({"spec.groups.0.storage.0.filesystem.ufs.mountpoint": "/srv"})
    plan = plan_of(healthy_pair().wants(srv).hast_device("nas-a", blank=False))
    assert [step.command for step in plan.stages[0].steps] == ["service nfsd onestop", "umount /data"]
    assert [step.verb for step in plan.steps[2:]] == ["CheckFilesystem", "Mount", "StartService"]


def test_a_change_of_one_mount_option_keeps_the_others() -> None:
    """mount -u drops every option that it is not given."""
    options = {"spec.groups.0.storage.0.filesystem.ufs.options": ["noatime", "nosuid"]}
    (step,) = plan_of(healthy_pair().wants(nas_cluster(options))).steps
    assert step.command == "mount -u -o noatime,nosuid /dev/hast/data /data"


def test_a_pool_is_not_imported_while_nobody_knows_what_is_mounted() -> None:
    """Its filesystems would be mounted over whatever is there."""
    scene = zfs_pair().unmounted("nas-a").service("nas-a", running=False).hast_device("nas-a", blank=False)
    assert "ImportPool" in {step.verb for step in plan_of(scene).steps}
    plan = plan_of(scene.unknown("nas-a", "mounts"))
    assert "ImportPool" not in {step.verb for step in plan.steps}
    assert held(plan, "FactsUnknown").target == "tank"
