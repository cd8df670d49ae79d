"""What lives on the replicated devices: made once on blank ones, checked, mounted or imported on the active node.

Rules: a filesystem is made only on a device that is blank and whose copies were both just created; nothing is mounted
over anything; only the active node's filesystems are touched. A mount or pool whose /dev/hast/NAME is gone is dead
for good (the kernel keeps the row until its first I/O fails: docs/freebsd-facts.md#2.8), and the device a new worker
makes is another one: it is cleared, by force and with its services stopped, before anything could be taken for its
device.
Man pages: newfs(8), fsck(8), mount(8), umount(8), zpool(8).
"""

from __future__ import annotations

from hactl.core.facts import Device, HastMetadata, HastRole, Mount
from hactl.core.objects import GroupSpec, Initialize, StorageSpec, UfsSpec, ZfsSpec
from hactl.core.plan import checks
from hactl.core.plan.placement import only_primary
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Check, Risk, Step, quote

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


def device_of(storage: StorageSpec) -> str:
    """The replicated device."""
    return f"/dev/hast/{storage.name}"


def filesystem_ready(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node has what the document puts on the resource."""
    if scene.role(storage.name, node) is not HastRole.PRIMARY:
        return False
    spec = storage.filesystem
    if spec is None:
        return True
    if _device_gone(scene, storage, node):
        return False
    if spec.ufs is not None:
        mount = _mount_of(scene, storage, node)
        return mount is not None and mount.node == spec.ufs.mountpoint
    pools = known(scene.facts[node].pools)
    return spec.zfs is not None and pools is not None and spec.zfs.pool in pools and pools[spec.zfs.pool].imported


def filesystem_steps(scene: Scene) -> Steps:
    """Whatever the active nodes' filesystems need next."""
    steps: Steps = []
    for group, storage in scene.storages():
        for node in storage.hast.devices:
            steps += clear_dead(scene, group, storage, node)
        active = scene.active.get(group.name)
        if active is None or active not in scene.facts or storage.filesystem is None:
            continue
        if scene.role(storage.name, active) is not HastRole.PRIMARY:
            continue
        device = known(scene.facts[active].hast_devices.get(storage.name))
        if device is None or not device.exists:
            scene.hold(
                "DeviceNotReady",
                f"{storage.name}: {device_of(storage)} is not there yet on {active}",
                node=active,
                target=storage.name,
                passing=True,
            )
        elif storage.filesystem.ufs is not None:
            steps += _ufs(scene, group, storage, storage.filesystem.ufs, active, device)
        elif storage.filesystem.zfs is not None:
            steps += _zfs(scene, storage, storage.filesystem.zfs, active, device)
    return steps


def _mount_of(scene: Scene, storage: StorageSpec, node: str) -> Mount | None:
    mounts = known(scene.facts[node].mounts)
    return next((m for m in mounts or () if m.special == device_of(storage)), None)


def _device_gone(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node was looked at and has no /dev/hast/NAME: what is mounted from there is dead."""
    device = known(scene.facts[node].hast_devices.get(storage.name))
    return device is not None and not device.exists


def clear_dead(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str) -> Steps:
    """Let go of a mount or pool that outlived its device: the role, or hastd, was taken away under it.

    Recording 03, step 83. The services of the group are stopped first: what they have open answers with errors only.
    """
    from hactl.core.plan.areas.services import stop_active

    if node not in scene.facts or scene.role(storage.name, node) is HastRole.PRIMARY:
        return []
    if not _device_gone(scene, storage, node):
        return []
    why = f"{device_of(storage)} is gone under it: {node} is not primary"
    steps: Steps = []
    mount = _mount_of(scene, storage, node)
    if mount is not None:
        steps.append(
            Step(
                node,
                "Unmount",
                mount.node,
                why,
                f"umount -f {quote_plain(mount.node)}",
                Risk.NONE,
                before=(checks.mounted(device_of(storage), mount.node), checks.device_absent(storage.name)),
                after=(checks.mountpoint_free(mount.node),),
                timeout_seconds=60.0,
            )
        )
    zfs = storage.filesystem.zfs if storage.filesystem else None
    pools = known(scene.facts[node].pools) or {}
    if zfs is not None and zfs.pool in pools and pools[zfs.pool].imported:
        steps.append(
            Step(
                node,
                "ExportPool",
                zfs.pool,
                why,
                f"zpool export -f {quote_plain(zfs.pool)}",
                Risk.NONE,
                before=(checks.pool_imported(zfs.pool), checks.device_absent(storage.name)),
                after=(checks.pool_absent(zfs.pool),),
                timeout_seconds=60.0,
            )
        )
    return [*stop_active(scene, group, node, f"{device_of(storage)} is gone under it"), *steps] if steps else []


def _ufs(scene: Scene, group: GroupSpec, storage: StorageSpec, ufs: UfsSpec, node: str, device: Device) -> Steps:
    mounts = known(scene.facts[node].mounts)
    if mounts is None:
        scene.hold("FactsUnknown", f"{node}: cannot read what is mounted", node=node, target=ufs.mountpoint)
        return []
    mine = _mount_of(scene, storage, node)
    if mine is not None and mine.node == ufs.mountpoint:
        return _options(storage, ufs, node, mine)
    if mine is not None:
        return _move_away(scene, group, storage, node, mine)
    other = next((m for m in mounts if m.node == ufs.mountpoint), None)
    if other is not None:
        scene.hold(
            "MountpointBusy",
            f"{ufs.mountpoint} on {node} has {other.special} mounted; nothing is mounted over it",
            node=node,
            target=ufs.mountpoint,
            remedy=f"umount {ufs.mountpoint} on {node}, or name another mountpoint",
        )
        return []
    if not only_primary(scene, storage, node):
        return []
    if device.blank is not False and not _told_not_blank(storage, device):
        return _make(scene, storage, node, device, _newfs(storage, node))
    return [_fsck(storage, node), _mount(storage, ufs, node)]


def _told_not_blank(storage: StorageSpec, device: Device) -> bool:
    """With initialize: Never nobody looks for blankness: what is there is checked and mounted."""
    return storage.hast.initialize is Initialize.NEVER and device.blank is None


def _make(scene: Scene, storage: StorageSpec, node: str, device: Device, step: Step) -> Steps:
    """Make a filesystem, if the device is blank for sure and both copies were just created for it."""
    target = device_of(storage)
    if device.blank is None:
        scene.hold(
            "FactsUnknown",
            f"{storage.name}: cannot read {target} on {node} yet",
            node=node,
            target=storage.name,
            passing=True,
        )
        return []
    if storage.hast.initialize is not Initialize.IF_BLANK:
        scene.hold(
            "NotInitialised",
            f"{storage.name}: {target} holds no filesystem",
            node=node,
            target=storage.name,
            remedy=f"set initialize: IfBlank in the document, or make the filesystem on {node} yourself",
        )
        return []
    for peer in storage.hast.devices:
        facts = scene.facts.get(peer)
        copy = known(facts.metadata.get(storage.name)) if facts else None
        if not isinstance(copy, HastMetadata) or copy.localcnt > 1 or copy.remotecnt > 1:
            scene.hold(
                "NotJustCreated",
                f"{storage.name}: {target} is blank, but the copy of {peer} is not known to be new",
                node=peer,
                target=storage.name,
                remedy=f"if nothing is lost, make the filesystem on {node} yourself: {step.command}",
            )
            return []
    return [step]


def _newfs(storage: StorageSpec, node: str) -> Step:
    device = device_of(storage)
    return Step(
        node,
        "MakeFilesystem",
        device,
        "the device was just created blank on both nodes; initialize: IfBlank",
        f"newfs -U {quote_plain(device)}",
        Risk.DESTRUCTIVE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.not_mounted(device),
            checks.blank(device),
        ),
        after=(checks.not_blank(device),),
        timeout_seconds=600.0,
    )


def _fsck(storage: StorageSpec, node: str) -> Step:
    device = device_of(storage)
    return Step(
        node,
        "CheckFilesystem",
        device,
        "it is checked before it is mounted",
        f"fsck -p -t ufs {quote_plain(device)}",
        Risk.NONE,
        before=(checks.device_ready(storage.name), checks.not_mounted(device)),
        timeout_seconds=1800.0,
    )


def _mount(storage: StorageSpec, ufs: UfsSpec, node: str) -> Step:
    device, point = device_of(storage), quote_plain(ufs.mountpoint)
    options = f"-o {quote_plain(','.join(ufs.options))} " if ufs.options else ""
    return Step(
        node,
        "Mount",
        ufs.mountpoint,
        f"{device} is not mounted; {node} is active",
        f"mkdir -p {point} && mount -t ufs {options}{quote_plain(device)} {point}",
        Risk.NONE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.not_mounted(device),
            checks.mountpoint_free(ufs.mountpoint),
            checks.mountpoint_real(ufs.mountpoint),
        ),
        after=(checks.mounted(device, ufs.mountpoint),),
        timeout_seconds=120.0,
    )


def _options(storage: StorageSpec, ufs: UfsSpec, node: str, mount: Mount) -> Steps:
    """Change in place what differs; options nobody can take away (soft-updates, local) are not looked at.

    All of the document's options are given, not only what differs: the kernel drops every flag that `mount -u` does
    not name (vfs_mount.c, vfs_domount_update: MNT_UPDATEMASK), and `ro` too, for mount(8) adds `noro` where none is.
    """
    wanted = {PRINTED_AS.get(option, option) for option in ufs.options} - {""}
    if any(option.endswith("soft-updates") for option in mount.options):
        wanted.discard("asynchronous")  # soft updates never let it be set (ffs_vfsops.c, ffs_mount)
    missing = sorted(option for option in wanted if option not in mount.options and option in INVERSE_OPTIONS)
    surplus = sorted(option for option in mount.options if option in INVERSE_OPTIONS and option not in wanted)
    if not missing and not surplus:
        return []
    words = list(dict.fromkeys([*ufs.options, *(INVERSE_OPTIONS[option] for option in surplus)]))
    point = quote_plain(ufs.mountpoint)
    kept = sorted(option for option in wanted if option in INVERSE_OPTIONS)
    after = tuple(_option_check(ufs.mountpoint, option, present=True) for option in kept) + tuple(
        _option_check(ufs.mountpoint, option, present=False) for option in surplus
    )
    return [
        Step(
            node,
            "Remount",
            ufs.mountpoint,
            f"mount options differ ({', '.join([f'without {o}' for o in missing] + [f'with {o}' for o in surplus])})",
            f"mount -u -o {quote_plain(','.join(words))} {quote_plain(device_of(storage))} {point}",
            Risk.NONE,
            before=(checks.mounted(device_of(storage), ufs.mountpoint),),
            after=after,
            timeout_seconds=60.0,
        )
    ]


def _option_check(mountpoint: str, option: str, *, present: bool) -> Check:
    pattern = f"[(, ]{option}[,)]"
    test = f"mount | grep -F {quote(f' on {mountpoint} (')} | grep -Eq {quote(pattern)}"
    return Check(
        f"{mountpoint} is mounted {'with' if present else 'without'} {option}", test if present else f"! {{ {test}; }}"
    )


def _move_away(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, mount: Mount) -> Steps:
    """The document has another mountpoint: stop what uses the old one, unmount it; mounting is the next look's work."""
    from hactl.core.plan.areas.services import stop_active

    return [
        *stop_active(scene, group, node, f"{mount.node} is to be unmounted"),
        Step(
            node,
            "Unmount",
            mount.node,
            f"the document mounts {device_of(storage)} elsewhere",
            f"umount {quote_plain(mount.node)}",
            Risk.OUTAGE,
            before=(checks.mounted(device_of(storage), mount.node),),
            after=(checks.mountpoint_free(mount.node),),
            timeout_seconds=120.0,
        ),
    ]


def _zfs(scene: Scene, storage: StorageSpec, zfs: ZfsSpec, node: str, device: Device) -> Steps:
    pools = known(scene.facts[node].pools)
    if pools is None or known(scene.facts[node].mounts) is None:
        what = "list the ZFS pools" if pools is None else "read what is mounted"
        scene.hold("FactsUnknown", f"{node}: cannot {what}", node=node, target=zfs.pool)
        return []
    pool = pools.get(zfs.pool)
    if pool is not None and pool.imported:
        if pool.health not in ("ONLINE", "DEGRADED"):
            scene.hold(
                "PoolSick",
                f"{zfs.pool} on {node} is {pool.health}",
                node=node,
                target=zfs.pool,
                remedy=f"zpool status {zfs.pool} on {node}",
            )
        return []
    if not only_primary(scene, storage, node):
        return []
    if (device.blank is None and storage.hast.initialize is Initialize.NEVER) or device.blank is False:
        return [_import(storage, zfs, node)]
    return _make(scene, storage, node, device, _create_pool(storage, zfs, node))


def _create_pool(storage: StorageSpec, zfs: ZfsSpec, node: str) -> Step:
    device = device_of(storage)
    mountpoint = f"-m {quote_plain(zfs.mountpoint)} " if zfs.mountpoint else ""
    return Step(
        node,
        "CreatePool",
        zfs.pool,
        "the device was just created blank on both nodes; initialize: IfBlank",
        f"zpool create -o cachefile=none {mountpoint}{quote_plain(zfs.pool)} {quote_plain(device)}",
        Risk.DESTRUCTIVE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.pool_absent(zfs.pool),
            checks.blank(device),
        ),
        after=(checks.pool_imported(zfs.pool),),
        timeout_seconds=300.0,
    )


def _import(storage: StorageSpec, zfs: ZfsSpec, node: str) -> Step:
    """-f: the pool was last used under the peer's hostid; only the node with the device can import it."""
    return Step(
        node,
        "ImportPool",
        zfs.pool,
        f"the pool is not imported; {node} is active",
        f"zpool import -f -d /dev/hast -o cachefile=none {quote_plain(zfs.pool)}",
        Risk.NONE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.device_ready(storage.name),
            checks.pool_absent(zfs.pool),
        ),
        after=(checks.pool_imported(zfs.pool),),
        timeout_seconds=300.0,
    )
