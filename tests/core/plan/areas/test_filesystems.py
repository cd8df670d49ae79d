"""Filesystems and pools: made only when the document says so, mounted and unmounted in order."""

from __future__ import annotations

from support.facts.builder import fresh_primary, healthy_pair, nas_cluster, zfs_pair
from support.facts.planned import held, plan_of


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
