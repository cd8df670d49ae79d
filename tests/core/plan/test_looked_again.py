"""What a node looks at itself, just before and just after a step: all that was seen may have changed since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hactl.core.facts import Mount, Pool
from support.facts.builder import HAST_CONF, Scene, blank_pair, healthy_pair, nas_cluster, zfs_cluster, zfs_pair
from support.facts.planned import looks, plan_of

MOUNTED = Mount("/dev/hast/data", "/data", "ufs", frozenset({"local"}))
TWO = {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.81/24"]}


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
        ["> nfsd does not run (10 s)"],
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
    step = next(step for step in plan_of(scene()).steps if str(step.key) == key)
    assert looks(step) == tested


def test_the_export_of_a_pool_whose_device_is_gone_is_tested_too() -> None:
    """By force only when the device does not exist, and the node itself looks."""
    gone = zfs_pair("nas-b").node("nas-a", pools={"tank": Pool("tank", "SUSPENDED")})
    step = next(step for step in plan_of(gone).steps if step.verb == "ExportPool")
    assert looks(step)[:2] == ["pool tank is imported", "/dev/hast/data does not exist"]
