"""What lives on the replicated devices: made once on blank ones, checked, mounted or imported on the active node.

Rules: a filesystem is made only on a device that is blank and whose copies were both just created; nothing is mounted
over anything; only the active node's filesystems are touched. A mount or pool whose /dev/hast/NAME is gone is dead
for good (the kernel keeps the row until its first I/O fails: docs/freebsd-facts.md#2.8), and the device a new worker
makes is another one: it is cleared, by force and with its services stopped, before anything could be taken for its
device.
Man pages: newfs(8), fsck(8), mount(8), umount(8), zpool(8).
"""

from __future__ import annotations

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
from hactl.core.evidence.connects import device_never_came
from hactl.core.facts import Device, HastMetadata, HastRole, known
from hactl.core.facts import Mount as MountRow
from hactl.core.objects import GroupSpec, Initialize, StorageSpec, UfsSpec, ZfsSpec
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
        if scene.view.role(storage.name, active) is not HastRole.PRIMARY:
            continue
        device = known(scene.view.facts[active].hast_devices.get(storage.name))
        if device_never_came(scene.view, storage, active):
            continue  # the trial's area says so
        if device is None or not device.exists:
            yield Hold(
                HoldReason.DEVICE_NOT_READY,
                f"{storage.name}: {storage.device} is not there yet on {active}",
                node=active,
                target=storage.name,
                passing=True,
            )
        elif storage.filesystem.ufs is not None:
            yield from _ufs(scene, group, storage, storage.filesystem.ufs, active, device)
        elif storage.filesystem.zfs is not None:
            yield from _zfs(scene, storage, storage.filesystem.zfs, active, device)


def clear_dead(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str) -> Findings:
    """Let go of a mount or pool that outlived its device: the role, or hastd, was taken away under it.

    Recording 03, step 83. The services of the group are stopped first: what they have open answers with errors only.
    """
    if node not in scene.view.facts or scene.view.role(storage.name, node) is HastRole.PRIMARY:
        return
    if not device_gone(scene, storage, node):
        return
    steps = list(_let_go_of_dead(scene, storage, node, f"{storage.device} is gone under it: {node} is not primary"))
    if steps:
        yield from stop_on(scene, group, node, f"{storage.device} is gone under it")
        yield from steps


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


def _zfs(scene: Scene, storage: StorageSpec, zfs: ZfsSpec, node: str, device: Device) -> Findings:
    pools = known(scene.view.facts[node].pools)
    if pools is None or scene.view.mounts(node) is None:
        what = "list the ZFS pools" if pools is None else "read what is mounted"
        yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot {what}", node, zfs.pool)
        return
    pool = pools.get(zfs.pool)
    if pool is not None and pool.imported:
        if pool.health not in ("ONLINE", "DEGRADED"):
            why = f"{zfs.pool} on {node} is {pool.health}"
            yield Hold(HoldReason.POOL_SICK, why, node, zfs.pool, f"zpool status {zfs.pool} on {node}")
        return
    refusal = other_primary(scene, storage, node)
    if refusal is not None:
        yield refusal
    elif (device.blank is None and storage.hast.initialize is Initialize.NEVER) or device.blank is False:
        yield _import(storage, zfs, node)
    else:
        create = _create_pool(storage, zfs, node)
        yield _not_to_make(scene, storage, node, device, create) or create


def _create_pool(storage: StorageSpec, zfs: ZfsSpec, node: str) -> Step:
    return Step.of(
        node,
        CreatePool(zfs.pool, storage.name, zfs.mountpoint),
        "the device was just created blank on both nodes; initialize: IfBlank",
        Risk.DESTRUCTIVE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.pool_absent(zfs.pool),
            checks.blank(storage.device),
        ),
        after=(checks.pool_imported(zfs.pool),),
        timeout_seconds=300.0,
    )


def _import(storage: StorageSpec, zfs: ZfsSpec, node: str) -> Step:
    return Step.of(
        node,
        ImportPool(zfs.pool),
        f"the pool is not imported; {node} is active",
        Risk.NONE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.pool_absent(zfs.pool),
        ),
        after=(checks.pool_imported(zfs.pool),),
        timeout_seconds=300.0,
    )
