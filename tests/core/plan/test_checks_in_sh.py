"""Checks and commands of steps, run for real under dash: what a file, a disk or the words of a program decide."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hactl.core.facts import HastRole
from hactl.core.plan import checks, make_plan
from hactl.core.plan.areas.handover import on_both
from support.facts.builder import HAST_CONF, NOW, healthy_pair
from support.facts.confxml import Geom, confxml, disk
from support.facts.planned import plan_of
from support.node_sh import node_says


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
    ("mesh", "mount", "swapinfo", "unused"),
    [
        (confxml(*disk("vtbd0", "r1w1e1"), *disk("vtbd1")), "true", "true", True),
        (confxml(Geom("ZFS::ZVOL", "vtbd1", (), (("vtbd1", "r0w0e0"),))), "true", "true", True),
        (confxml(*disk("vtbd11")), "true", "true", False),
        ("", "true", "true", False),
        (confxml(*disk("vtbd0"), *disk("vtbd1", "r1w1e1")), "true", "true", False),
        (confxml(*disk("vtbd1")), "echo '/dev/vtbd1 on /mnt (ufs)'", "true", False),
        (confxml(*disk("vtbd1")), "true", "echo /dev/vtbd1 1024 0", False),
    ],
    ids=["unused", "another class", "no provider", "no answer", "open", "mounted", "swap"],
)
def test_a_node_takes_no_used_disk_for_unused(
    tmp_path: Path, mesh: str, mount: str, swapinfo: str, unused: bool
) -> None:
    """GEOM, the mount table and swap are asked; what GEOM does not know is not unused."""
    (tmp_path / "mesh").write_text(mesh)
    test = checks.not_open("/dev/vtbd1").test
    assert node_says(test, tmp_path, sysctl="cat mesh", mount=mount, swapinfo=swapinfo) is unused


def test_a_node_takes_no_open_file_for_unused(tmp_path: Path) -> None:
    """fstat(1) prints its heading, and a line for each process that has the file open."""
    test = checks.not_open("/var/hast/data").test
    assert node_says(test, tmp_path, fstat="echo USER CMD PID")
    assert not node_says(test, tmp_path, fstat="echo USER CMD PID; echo root ggated 18")
    assert not node_says(test, tmp_path, fstat="return 1")


@pytest.mark.parametrize(
    ("printed", "none"),
    [
        ("[ERROR] Unable to read metadata from /dev/vtbd1: No such file or directory.", True),
        ("[ERROR] Unable to read metadata from /dev/vtbd1: Input/output error.", False),
        ("[ERROR] Unable to open /dev/vtbd1: No such file or directory.", False),
        ("resource: data", False),
        ("", False),
    ],
)
def test_a_node_takes_only_the_right_words_for_no_metadata(tmp_path: Path, printed: str, none: bool) -> None:
    """Those that mean a zeroed disk (recording 03)."""
    test = checks.no_metadata("data", "/dev/vtbd1").test
    assert node_says(test, tmp_path, hastctl=f'echo "{printed}"; return 1') is none


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


@pytest.mark.parametrize(
    ("status", "dirty", "both"),
    [("complete", 0, True), ("complete", 4096, False), ("degraded", 0, False)],
)
def test_a_node_tells_whether_everything_is_on_both_disks(tmp_path: Path, status: str, dirty: int, both: bool) -> None:
    """Connected and nothing dirty."""
    (storage,) = healthy_pair().cluster.groups[0].storage
    listed = f"printf 'data:\\n  role: primary\\n  status: {status}\\n  dirty: {dirty} (0B)\\n'"
    assert node_says(on_both(storage).test, tmp_path, hastctl=listed) is both


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
    "before",
    [
        'ifconfig_vtnet2_mtu="9000"',
        'ifconfig_vtnet2_mtu="9000"\n',
        '# BEGIN hactl\nold="1"\n# END hactl\nifconfig_vtnet2_mtu="9000"',
        'ifconfig_vtnet2_mtu="9000"\n# BEGIN hactl\nold="1"\n# END hactl',
    ],
    ids=["no newline at its end", "as it should be", "our block before it", "our block at its end, cut"],
)
def test_the_boot_block_stands_on_lines_of_its_own(tmp_path: Path, before: str) -> None:
    """A file whose last line has no newline: sed(1) would leave it so, and BEGIN would be glued to it."""
    scene = healthy_pair()
    scene = scene.boot("nas-a", aliases=())
    (step,) = [s for s in make_plan(scene.cluster, scene.snapshot, NOW).steps if s.verb == "WriteBootAliases"]
    netif = tmp_path / "netif"
    netif.write_text(before)
    assert node_says("HACTL_PASS_1=secret\n" + step.command.replace("/etc/rc.conf.d", str(tmp_path)), tmp_path)
    after = netif.read_text().splitlines()
    assert after[:2] == ['ifconfig_vtnet2_mtu="9000"', "# BEGIN hactl"]
    assert after[-1] == "# END hactl"
    assert "pass secret" in after[2]
    assert "old" not in netif.read_text()
    assert netif.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["netif"]


def test_a_mountpoint_behind_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """A mountpoint below a link is mounted where the link points: the mount table would never show it."""
    (tmp_path / "usr").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "usr")
    for place in ("usr", "usr/files", "new/files"):
        assert node_says(checks.mountpoint_real(str(tmp_path / place)).test, tmp_path), place
    for place in ("home", "home/files"):
        assert not node_says(checks.mountpoint_real(str(tmp_path / place)).test, tmp_path), place
