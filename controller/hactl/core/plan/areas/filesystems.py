"""What lives on the replicated devices: made once on blank ones, checked, mounted or imported on the active node.

Rules: a filesystem is made only on a device that is blank and whose copies were both just created; nothing is mounted
over anything; only the active node's filesystems are touched. A pool is created and imported once, with all of its
devices; one that stands on others is told, and left to a person. A mount or pool whose /dev/hast/NAME is gone is dead
for good (the kernel keeps the row until its first I/O fails: docs/freebsd-facts.md#2.8), and the device a new worker
makes is another one: it is cleared, by force and with its services stopped, before anything could be taken for its
device.
Man pages: newfs(8), fsck(8), mount(8), umount(8), zpool(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.changes.filesystems import (
    CheckFilesystem,
    CreatePool,
    ExportPool,
    ImportPool,
    MakeFilesystem,
    Mount,
    Remount,
    Unmount,
)
from hactl.core.choices import Initialize
from hactl.core.cluster import WantedPool, pool_under
from hactl.core.evidence.connects import device_never_came
from hactl.core.facts import Device, HastMetadata, HastRole, Pool, known
from hactl.core.facts import Mount as MountRow
from hactl.core.objects import GroupSpec, StorageSpec, UfsSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.services import stop_on
from hactl.core.plan.placement import other_primary
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.serving import device_gone, mount_of
from hactl.core.sh import quote
from hactl.core.steps import Check, Hold, Risk, Step

#: Options of mount(8) that hactl can take away again, and the word that does it.
INVERSE_OPTIONS = {
    "noatime": "atime",
    "noexec": "exec",
    "nosuid": "suid",
    "nosymfollow": "symfollow",
    "noclusterr": "clusterr",
    "noclusterw": "clusterw",
    "read-only": "rw",
    "synchronous": "nosync",
    "asynchronous": "noasync",
}
#: What mount(8) prints for an option that was given under another name (sbin/mount/mount.c, optnames).
PRINTED_AS = {"ro": "read-only", "rw": "", "sync": "synchronous", "async": "asynchronous", "noasync": ""}


def printed_options(options: Iterable[str]) -> frozenset[str]:
    """Options of the document as mount(8) prints them."""
    return frozenset(PRINTED_AS.get(option, option) for option in options) - {""}


def filesystem_steps(scene: Scene) -> Findings:
    """Whatever the active nodes' filesystems need next."""
    for group, storage in scene.view.storages():
        for node in storage.hast.devices:
            yield from clear_dead(scene, group, storage, node)
        active = scene.active.get(group.name)
        if active is None or active not in scene.view.facts or storage.filesystem is None:
            continue
        pool = pool_under(group, storage)
        if pool is not None:
            if storage is pool.storages[0]:
                yield from _zfs(scene, pool, active)
            continue
        if scene.view.role(storage.name, active) is not HastRole.PRIMARY or device_never_came(
            scene.view, storage, active
        ):
            continue  # the areas of roles and of the trial say so
        device = known(scene.view.facts[active].hast_devices.get(storage.name))
        if device is None or not device.exists:
            yield _not_there(storage.name, [storage.device], active)
        elif storage.filesystem.ufs is not None:
            yield from _ufs(scene, group, storage, storage.filesystem.ufs, active, device)


def _not_there(what: str, devices: Iterable[str], node: str, why: str = "") -> Hold:
    paths = list(devices)
    are = "is" if len(paths) == 1 else "are"
    message = f"{what}: {' and '.join(paths)} {are} not there yet on {node}{why}"
    return Hold(HoldReason.DEVICE_NOT_READY, message, node=node, target=what, passing=True)


def clear_dead(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str) -> Findings:
    """Let go of a mount or pool that outlived its device: the role, or hastd, was taken away under it.

    Recording 03, step 83. The services of the group are stopped first: what they have open answers with errors only.
    """
    if not _outlived(scene, storage, node) or scene.view.works_without(storage, node):
        return
    pool = pool_under(group, storage)
    if pool is not None and storage != next(each for each in pool.storages if _outlived(scene, each, node)):
        return  # one of its resources is enough to say so
    steps = list(_let_go_of_dead(scene, storage, node, f"{storage.device} is gone under it: {node} is not primary"))
    if steps:
        yield from stop_on(scene, group, node, f"{storage.device} is gone under it")
        yield from steps


def _outlived(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node has no device of the resource, nor the role that brings it."""
    if node not in scene.view.facts or scene.view.role(storage.name, node) is HastRole.PRIMARY:
        return False
    return device_gone(scene, storage, node)


def _let_go_of_dead(scene: Scene, storage: StorageSpec, node: str, why: str) -> Iterator[Step]:
    mount = mount_of(scene, storage, node)
    if mount is not None:
        yield Step.of(
            node,
            Unmount(mount.node, force=True),
            why,
            Risk.NONE,
            before=(checks.mounted(storage.device, mount.node), checks.device_absent(storage.name)),
            after=(checks.mountpoint_free(mount.node),),
            timeout_seconds=60.0,
        )
    zfs = storage.filesystem.zfs if storage.filesystem else None
    if zfs is not None and scene.view.imported(zfs.pool, node):
        yield Step.of(
            node,
            ExportPool(zfs.pool, force=True),
            why,
            Risk.NONE,
            before=(checks.pool_imported(zfs.pool), checks.device_absent(storage.name)),
            after=(checks.pool_absent(zfs.pool),),
            timeout_seconds=60.0,
        )


def _ufs(scene: Scene, group: GroupSpec, storage: StorageSpec, ufs: UfsSpec, node: str, device: Device) -> Findings:
    mounts = scene.view.mounts(node)
    if mounts is None:
        yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot read what is mounted", node, ufs.mountpoint)
        return
    mine = mount_of(scene, storage, node)
    if mine is not None:
        right = mine.node == ufs.mountpoint
        yield from _options(storage, ufs, node, mine) if right else _move_away(scene, group, storage, node, mine)
        return
    other = next((m for m in mounts if m.node == ufs.mountpoint), None)
    if other is not None:
        yield Hold(
            HoldReason.MOUNTPOINT_BUSY,
            f"{ufs.mountpoint} on {node} has {other.special} mounted; nothing is mounted over it",
            node=node,
            target=ufs.mountpoint,
            remedy=f"umount {ufs.mountpoint} on {node}, or name another mountpoint",
        )
        return
    refusal = other_primary(scene, storage, node)
    if refusal is not None:
        yield refusal
    elif device.blank is not False and not _told_not_blank(storage, device):
        make = _newfs(storage, node)
        yield _not_to_make(scene, storage, node, device, make) or make
    else:
        yield from (_fsck(storage, node), _mount(storage, ufs, node))


def _told_not_blank(storage: StorageSpec, device: Device) -> bool:
    """With initialize: Never nobody looks for blankness: what is there is checked and mounted."""
    return storage.hast.initialize is Initialize.NEVER and device.blank is None


def _not_to_make(scene: Scene, storage: StorageSpec, node: str, device: Device, step: Step) -> Hold | None:
    """Why no filesystem is made: the device is not blank for sure, or its copies were not both just created."""
    if device.blank is None:
        return Hold(
            HoldReason.FACTS_UNKNOWN,
            f"{storage.name}: cannot read {storage.device} on {node} yet",
            node=node,
            target=storage.name,
            passing=True,
        )
    if storage.hast.initialize is not Initialize.IF_BLANK:
        return Hold(
            HoldReason.NOT_INITIALISED,
            f"{storage.name}: {storage.device} holds no filesystem",
            node=node,
            target=storage.name,
            remedy=f"set initialize: IfBlank in the document, or make the filesystem on {node} yourself",
        )
    for peer in storage.hast.devices:
        copy = scene.view.metadata(storage.name, peer)
        if not isinstance(copy, HastMetadata) or copy.localcnt > 1 or copy.remotecnt > 1:
            return Hold(
                HoldReason.NOT_JUST_CREATED,
                f"{storage.name}: {storage.device} is blank, but the copy of {peer} is not known to be new",
                node=peer,
                target=storage.name,
                remedy=f"if nothing is lost, make the filesystem on {node} yourself: {step.command}",
            )
    return None


def _newfs(storage: StorageSpec, node: str) -> Step:
    return Step.of(
        node,
        MakeFilesystem(storage.name),
        "the device was just created blank on both nodes; initialize: IfBlank",
        Risk.DESTRUCTIVE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.not_mounted(storage.device),
            checks.blank(storage.device),
        ),
        after=(checks.not_blank(storage.device),),
        timeout_seconds=600.0,
    )


def _fsck(storage: StorageSpec, node: str) -> Step:
    return Step.of(
        node,
        CheckFilesystem(storage.name),
        "it is checked before it is mounted",
        Risk.NONE,
        before=(checks.device_ready(storage.name), checks.not_mounted(storage.device)),
        timeout_seconds=1800.0,
    )


def _mount(storage: StorageSpec, ufs: UfsSpec, node: str) -> Step:
    return Step.of(
        node,
        Mount(ufs.mountpoint, storage.name, tuple(ufs.options)),
        f"{storage.device} is not mounted; {node} is active",
        Risk.NONE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.not_mounted(storage.device),
            checks.mountpoint_free(ufs.mountpoint),
            checks.mountpoint_real(ufs.mountpoint),
        ),
        after=(checks.mounted(storage.device, ufs.mountpoint),),
        timeout_seconds=120.0,
    )


def _options(storage: StorageSpec, ufs: UfsSpec, node: str, mount: MountRow) -> Findings:
    """Change in place what differs; options nobody can take away (soft-updates, local) are not looked at."""
    wanted = set(printed_options(ufs.options))
    if any(option.endswith("soft-updates") for option in mount.options):
        wanted.discard("asynchronous")  # soft updates never let it be set (ffs_vfsops.c, ffs_mount)
    missing = sorted(option for option in wanted if option not in mount.options and option in INVERSE_OPTIONS)
    surplus = sorted(option for option in mount.options if option in INVERSE_OPTIONS and option not in wanted)
    if not missing and not surplus:
        return
    kept = sorted(option for option in wanted if option in INVERSE_OPTIONS)
    after = tuple(_option_check(ufs.mountpoint, option, present=True) for option in kept) + tuple(
        _option_check(ufs.mountpoint, option, present=False) for option in surplus
    )
    taken_away = tuple(INVERSE_OPTIONS[option] for option in surplus)
    yield Step.of(
        node,
        Remount(ufs.mountpoint, storage.name, tuple(ufs.options), taken_away),
        f"mount options differ ({', '.join([f'without {o}' for o in missing] + [f'with {o}' for o in surplus])})",
        Risk.NONE,
        before=(checks.mounted(storage.device, ufs.mountpoint),),
        after=after,
        timeout_seconds=60.0,
    )


def _option_check(mountpoint: str, option: str, *, present: bool) -> Check:
    pattern = f"[(, ]{option}[,)]"
    test = f"mount | grep -F {quote(f' on {mountpoint} (')} | grep -Eq {quote(pattern)}"
    return Check(
        f"{mountpoint} is mounted {'with' if present else 'without'} {option}", test if present else f"! {{ {test}; }}"
    )


def _move_away(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, mount: MountRow) -> Findings:
    """The document has another mountpoint: stop what uses the old one, unmount it; mounting is the next look's work."""
    yield from stop_on(scene, group, node, f"{mount.node} is to be unmounted")
    yield Step.of(
        node,
        Unmount(mount.node),
        f"the document mounts {storage.device} elsewhere",
        Risk.OUTAGE,
        before=(checks.mounted(storage.device, mount.node),),
        after=(checks.mountpoint_free(mount.node),),
        timeout_seconds=120.0,
    )


def _zfs(scene: Scene, pool: WantedPool, node: str) -> Findings:
    pools = known(scene.view.facts[node].pools)
    if pools is None or scene.view.mounts(node) is None:
        what = "list the ZFS pools" if pools is None else "read what is mounted"
        yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot {what}", node, pool.name)
        return
    there = pools.get(pool.name)
    if there is not None and there.imported:
        yield from _as_wanted(pool, there, node)
        return
    devices = _devices_of(scene, pool, node)
    if isinstance(devices, Hold):
        yield devices
    elif devices:
        refusal = next(filter(None, (other_primary(scene, storage, node) for storage in pool.storages)), None)
        yield refusal if refusal is not None else _made_or_imported(scene, pool, node, devices, there)


def _devices_of(scene: Scene, pool: WantedPool, node: str) -> tuple[Device, ...] | Hold:
    """The devices of a pool, in its order: nothing is done with a part of them. Empty: another area says why.

    ZFS would import a mirror with one of them: then the other one would be older, and nobody would have been told.
    """
    why = "" if len(pool.storages) == 1 else ": a pool is created and imported with all of its devices only"
    others = [s.name for s in pool.storages if scene.view.role(s.name, node) is not HastRole.PRIMARY]
    if others:
        if len(others) == len(pool.storages):
            return ()
        message = f"{pool.name}: {node} is not primary for {' and '.join(others)}{why}"
        return Hold(HoldReason.DEVICE_NOT_READY, message, node=node, target=pool.name)
    if any(device_never_came(scene.view, storage, node) for storage in pool.storages):
        return ()
    seen = [known(scene.view.facts[node].hast_devices.get(storage.name)) for storage in pool.storages]
    devices = tuple(device for device in seen if device is not None and device.exists)
    if len(devices) < len(seen):
        found = {device.path for device in devices}
        return _not_there(pool.name, [s.device for s in pool.storages if s.device not in found], node, why)
    return devices


def _made_or_imported(
    scene: Scene, pool: WantedPool, node: str, devices: tuple[Device, ...], offered: Pool | None
) -> Step | Hold:
    """What `zpool import` offers is imported, what is not there is made; in doubt neither."""
    pairs = list(zip(pool.storages, devices, strict=True))
    empty = [(s, device) for s, device in pairs if device.blank is not False and not _told_not_blank(s, device)]
    create = _create_pool(pool, node)
    if empty and (len(empty) == len(pairs) or any(device.blank is None for _, device in empty)):
        against = [_not_to_make(scene, storage, node, device, create) for storage, device in empty]
        return next(filter(None, against), create)
    if offered is not None and not offered.works:
        message = (
            f"{node} cannot import {pool.name}: it is {offered.health}, though every device of the document is there"
        )
        remedy = f"zpool import -d /dev/hast on {node} says what it lacks"
        return Hold(HoldReason.POOL_SICK, message, node, pool.name, remedy)
    if empty and offered is None:
        blank = " and ".join(storage.name for storage, _ in empty)
        message = f"{pool.name}: on {node} {blank} holds nothing and the rest does, and nobody finds the pool there"
        remedy = f"zpool import -d /dev/hast on {node}; a copy that was lost comes back from its peer or a backup"
        return Hold(HoldReason.POOL_DIFFERS, message, node, pool.name, remedy)
    return _import(pool, node)


def _create_pool(pool: WantedPool, node: str) -> Step:
    are = "device was" if len(pool.storages) == 1 else "devices were"
    return Step.of(
        node,
        CreatePool(pool.name, pool.resources, pool.layout, pool.mountpoint),
        f"the {are} just created blank on both nodes; initialize: IfBlank",
        Risk.DESTRUCTIVE,
        before=(
            *(check for name in pool.resources for check in _usable(name)),
            checks.pool_absent(pool.name),
            *(checks.blank(storage.device) for storage in pool.storages),
        ),
        after=(checks.pool_imported(pool.name),),
        timeout_seconds=300.0,
    )


def _import(pool: WantedPool, node: str) -> Step:
    return Step.of(
        node,
        ImportPool(pool.name),
        f"the pool is not imported; {node} is active",
        Risk.NONE,
        before=(*(check for name in pool.resources for check in _usable(name)), checks.pool_absent(pool.name)),
        after=(checks.pool_imported(pool.name),),
        timeout_seconds=300.0,
    )


def _usable(resource: str) -> tuple[Check, ...]:
    return checks.role_is(resource, HastRole.PRIMARY), checks.device_ready(resource)


# --- a pool that is imported --------------------------------------------------------------------------------------


def _as_wanted(pool: WantedPool, there: Pool, node: str) -> Iterator[Hold]:
    """Whether it works, with all of its devices and in the layout of the document; nothing of it is repaired."""
    status = f"zpool status {pool.name} on {node}"
    if not there.works:
        yield Hold(HoldReason.POOL_SICK, f"{pool.name} on {node} is {there.health}", node, pool.name, status)
        return
    if there.devices is None:
        return
    differs = list(_differences(pool, there))
    if differs:
        message = f"{pool.name} on {node} is not as the document says: {'; '.join(differs)}"
        yield Hold(HoldReason.POOL_DIFFERS, message, node, pool.name, _to_agree(pool, there, node))
    if there.health == "DEGRADED":
        message = f"{pool.name} on {node} works, but not with every device it has"
        again = f"{status} names it; once it is there again: zpool online {pool.name} /dev/hast/NAME"
        yield Hold(HoldReason.POOL_DEGRADED, message, node, pool.name, again)


def _differences(pool: WantedPool, there: Pool) -> Iterator[str]:
    lacking, foreign = _lacking(pool, there), _foreign(pool, there)
    if lacking:
        yield f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} no part of it"
    if foreign:
        yield f"it stands on {' and '.join(foreign)} too"
    if behind := _left_behind(there):
        yield f"{' and '.join(behind)} would stay behind, and it is not imported without"
    if pool.layout is not None and there.layout != pool.layout.vdev:
        yield f"it is a {there.layout or 'stripe'}, not a {pool.layout.vdev or 'stripe'}"


def _lacking(pool: WantedPool, there: Pool) -> list[str]:
    return [s.device for s in pool.storages if not any(_is_on(device, s.device) for device in there.devices or ())]


def _foreign(pool: WantedPool, there: Pool) -> list[str]:
    """Devices that the document does not name; a number is one that ZFS lost the path of."""
    wanted = [storage.device for storage in pool.storages]
    found = [device for device in there.devices or () if not any(_is_on(device, path) for path in wanted)]
    return [f"a device that is gone (number {device})" if device.isdecimal() else device for device in found]


def _left_behind(there: Pool) -> list[str]:
    """Devices for logs or special data that are not replicated."""
    return [device for device in there.besides if not device.startswith("/dev/hast/")]


def _is_on(device: str, replicated: str) -> bool:
    """Whether a device of a pool is the replicated one, or a partition or an encrypted layer of it."""
    return re.fullmatch(r"([ps][0-9]+[a-h]?)?(\.eli)?", device.removeprefix(replicated)) is not None


def _to_agree(pool: WantedPool, there: Pool, node: str) -> str:
    """How a person makes pool and document agree; hactl adds and attaches nothing, for some of it is for ever."""
    lacking = _lacking(pool, there)
    if not lacking or _foreign(pool, there):
        return f"let the pool and the document name the same devices (zpool status {pool.name} on {node})"
    away = f"let the document name {pool.name} only where it stands (not at {' and '.join(lacking)})"
    if there.layout == "":
        return f"zpool add {pool.name} {' '.join(lacking)} on {node} (for ever); or {away}"
    if there.layout == "mirror":
        present = next(iter(there.devices or ()), "DEVICE")
        return f"{'; '.join(f'zpool attach {pool.name} {present} {path}' for path in lacking)} on {node}; or {away}"
    return away
