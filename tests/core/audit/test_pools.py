"""A pool over several resources under audit: made and imported as a whole, never taken while it works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hactl.core.facts import HastRole
from hactl.core.steps import Risk
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import Scene
from support.facts.pools import DISKS, POOL, pool_pair, with_pool, without_pool

EXPORT = f"zpool export {POOL}"
IMPORT = step("nas-a", "ImportPool", f"zpool import -f -d /dev/hast -o cachefile=none {POOL}")


def create(devices: str) -> tuple[str, ...]:
    """What the audit says of that creation on blank devices that were just made: a mirror is in the document."""
    scene = without_pool(pool_pair(*DISKS, layout="Mirror"))
    for name in DISKS:
        scene = scene.hast_device("nas-a", name, blank=True)
    command = f"zpool create -o cachefile=none -m /data {POOL} {devices}"
    return complaints(scene, [step("nas-a", "CreatePool", command, risk=Risk.DESTRUCTIVE)])


def test_a_pool_is_made_as_the_document_has_it() -> None:
    """Its layout, all of its devices, and in their order (I3)."""
    paths = [f"/dev/hast/{name}" for name in DISKS]
    assert create(f"mirror {' '.join(paths)}") == ()
    for wrong in (
        " ".join(paths),
        f"raidz1 {' '.join(paths)}",
        f"mirror {' '.join(paths[:2])}",
        f"mirror {' '.join(reversed(paths))}",
        f"mirror {' '.join(paths[:2])} /dev/da9",
    ):
        assert says(create(wrong), "I3", "is not a pool of the document"), wrong


def test_every_device_of_a_new_pool_is_looked_at() -> None:
    """Not only the first one (I3)."""
    scene = without_pool(pool_pair("disk1", "disk2")).hast_device("nas-a", "disk1", blank=True)
    make = step("nas-a", "CreatePool", f"zpool create {POOL} /dev/hast/disk1 /dev/hast/disk2", risk=Risk.DESTRUCTIVE)
    assert complaints(scene.hast_device("nas-a", "disk2", blank=True), [make]) == ()
    assert says(complaints(scene.hast_device("nas-a", "disk2", blank=False), [make]), "I3", "disk2", "blank")
    used = scene.hast_device("nas-a", "disk2", blank=True).metadata("nas-b", "disk2", localcnt=9)
    assert says(complaints(used, [make]), "I3", "disk2 on nas-b is not new")


def test_a_pool_is_imported_with_all_of_its_devices() -> None:
    """This node has every role, every device is there, and no other node has any of it (I1)."""
    scene = without_pool(pool_pair("disk1", "disk2"))
    assert complaints(scene, [IMPORT]) == ()
    gone = scene.hast_device("nas-a", "disk2", exists=False)
    assert says(complaints(gone, [IMPORT]), "imports storage without /dev/hast/disk2")
    other = scene.resource("nas-b", "disk2", role=HastRole.PRIMARY)
    assert says(complaints(other, [IMPORT]), "I1", "primary for disk2")


def lost(health: str, *names: str) -> Scene:
    """nas-a is secondary for these, without their devices, and has the mirror so."""
    scene = pool_pair(*DISKS, layout="Mirror").service("nas-a", running=False)
    for name in names:
        scene = scene.resource("nas-a", name, role=HastRole.SECONDARY).hast_device("nas-a", name, exists=False)
    return with_pool(scene, replace(scene.known("nas-a", "pools")[POOL], health=health))


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        (lost("DEGRADED", "disk1"), "I2"),
        (lost("SUSPENDED", "disk1"), ""),
        (lost("SUSPENDED", *DISKS), ""),
        (lost("SUSPENDED"), "I2"),
    ],
)
def test_a_pool_is_taken_by_force_only_when_it_is_dead(scene: Scene, why: str) -> None:
    """A mirror that lost one of its devices works."""
    found = complaints(scene, [step("nas-a", "ExportPool", f"zpool export -f {POOL}", risk=Risk.OUTAGE)])
    assert says(found, why, "by force") if why else found == ()


def test_no_role_goes_under_a_pool() -> None:
    """Whichever of its resources it is (I2)."""
    scene = pool_pair(*DISKS).service("nas-a", running=False)
    for name in DISKS:
        demote = step("nas-a", "SetRole", f"hastctl role secondary {name}", risk=Risk.OUTAGE)
        assert says(complaints(scene, [demote]), "I2", name, f"pool {POOL} is imported")
