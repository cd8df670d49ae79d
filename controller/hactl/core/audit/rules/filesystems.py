"""What the audit demands of steps on filesystems, pools and services of a group.

Rules: docs/safety.md#I2, I3, I7 and the order of a switchover: only the primary's device is touched, nothing is made on
a device that may hold data, nothing is mounted twice or over something.
Man pages: newfs(8), mount(8), zpool(8), service(8).
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.audit.case import Case, mountpoint_of, pool_of
from hactl.core.audit.effects import ChecksFilesystem, MakesFilesystem, Mounts, RunsService, Unmounts, Zpool
from hactl.core.audit.model import HAST_DEVICES, Node
from hactl.core.audit.rules.hast import is_fresh
from hactl.core.audit.rules.hook import moving
from hactl.core.choices import Initialize, RunOn
from hactl.core.cluster import interface_on
from hactl.core.facts import CarpState, Mount
from hactl.core.objects import GroupSpec, ServiceSpec, StorageSpec

#: What mount(8) prints that is not an option somebody chose.
_NOT_CHOSEN = frozenset(
    {"local", "soft-updates", "journaled", "journaled soft-updates", "gjournal", "NFS exported", "with quotas"}
)


def make_filesystem(case: Case) -> Iterator[str]:
    """MakeFilesystem."""
    for effect in case.all_of(MakesFilesystem):
        found = case.storage(effect.device.removeprefix(HAST_DEVICES))
        if found is None or not effect.device.startswith(HAST_DEVICES) or mountpoint_of(found[1]) is None:
            yield f"I3: {effect.device} is not a UFS device of the document"
        else:
            yield from _new_device(case, found[1])


def create_pool(case: Case) -> Iterator[str]:
    """CreatePool."""
    for effect in case.all_of(Zpool):
        found = case.standing_on(effect.pool)
        if effect.action != "create" or found is None or effect.devices != _vdev(found[1]):
            yield f"I3: zpool {effect.action} {effect.pool} {' '.join(effect.devices)} is not a pool of the document"
        elif effect.force:
            yield "I3: zpool create -f would not refuse a device that is used"
        else:
            for storage in found[1]:
                yield from _new_device(case, storage)


def _vdev(storages: list[StorageSpec]) -> tuple[str, ...]:
    """What the document has the pool made of, as zpool(8) takes it: the word for its layout, and its devices."""
    said = {spec.filesystem.zfs.layout for spec in storages if spec.filesystem and spec.filesystem.zfs} - {None}
    words = [str(layout).lower() for layout in said if layout != "Stripe"]
    return (*words, *(HAST_DEVICES + storage.name for storage in storages))


def _new_device(case: Case, storage: StorageSpec) -> Iterator[str]:
    """I3: /dev/hast/NAME is blank, its copies are new on every node, and this node alone is primary."""
    here, name = case.here, storage.name
    if storage.hast.initialize is not Initialize.IF_BLANK:
        yield f"I3: the document does not say initialize: IfBlank for {name}"
    if not here.is_primary(name):
        yield f"{here.name} is not known to be primary for {name}"
    if not is_fresh(here.metadata.get(name)):
        yield f"I3: the copy of {name} on {here.name} is not new"
    for peer in case.peers(storage):
        if case.too_old(peer):
            yield f"I6: {peer.name} does not say now what it has of {name}"
        elif not is_fresh(peer.metadata.get(name)):
            yield f"I3: the copy of {name} on {peer.name} is not new"
    if not _is_blank(case, storage):
        yield f"I3: {HAST_DEVICES}{name} is not known to be blank and unused"


def _is_blank(case: Case, storage: StorageSpec) -> bool:
    """Seen blank; or, in a later stage only, not there yet: it is looked at before that stage is executed.

    That its copies are new is asked besides; a device that is there and was not seen blank is never one.
    """
    name = storage.name
    if name in case.here.filled or case.here.in_use(name, pool_of(storage)):
        return False
    device = case.here.hast_device(name)
    if device is not None and device.exists:
        return device.blank is True and device.use_known and not device.used_by
    return case.stage > 0


def _only_primary(case: Case, storage: StorageSpec) -> Iterator[str]:
    """I1: the device is this node's to use, and nobody else's."""
    if not case.here.is_primary(storage.name):
        yield f"{case.here.name} is not known to be primary for {storage.name}"
    for peer in case.peers(storage):
        if peer.facts is not None and peer.may_be_primary(storage.name):
            yield f"I1: {peer.name} is, or may be, primary for {storage.name} too"


def _of_device(case: Case, special: str) -> tuple[GroupSpec, StorageSpec] | None:
    return case.storage(special.removeprefix(HAST_DEVICES)) if special.startswith(HAST_DEVICES) else None


def check_filesystem(case: Case) -> Iterator[str]:
    """CheckFilesystem."""
    for effect in case.all_of(ChecksFilesystem):
        found = _of_device(case, effect.device)
        if found is None or mountpoint_of(found[1]) is None:
            yield f"{effect.device} is not a UFS device of the document"
            continue
        if not effect.preen:
            yield "fsck without -p could repair what a person should see"
        yield from _only_primary(case, found[1])
        if why := case.here.in_use(found[1].name, None):
            yield f"{effect.device} is checked although {why}"


def mount(case: Case) -> Iterator[str]:
    """Mount."""
    for effect in case.all_of(Mounts):
        found = _of_device(case, effect.special)
        spec = found[1].filesystem if found else None
        if found is None or spec is None or spec.ufs is None or spec.ufs.mountpoint != effect.node or effect.update:
            yield f"mount of {effect.special or 'nothing'} on {effect.node} is not in the document"
            continue
        if effect.options - {"rw"} != set(spec.ufs.options):
            yield f"mounts with {', '.join(sorted(effect.options)) or 'no options'}, not as the document says"
        yield from _only_primary(case, found[1])
        if case.here.mounts is None:
            yield f"what is mounted on {case.here.name} is not known"
        for present in case.here.mounts or ():
            if present.special == effect.special:
                yield f"I7: {effect.special} is mounted on {present.node} already"
            elif present.node == effect.node:
                yield f"{present.special} is mounted on {effect.node}; this would hide it"


def remount(case: Case) -> Iterator[str]:
    """Remount."""
    for effect in case.all_of(Mounts):
        present = next((m for m in case.here.mounts or () if effect.node == m.node), None)
        found = _of_device(case, present.special) if present else None
        if not effect.update or present is None or found is None:
            yield f"{effect.node} is not a mounted filesystem of the document that is changed in place"
            continue
        ufs = found[1].filesystem.ufs if found[1].filesystem else None
        chosen = present.options - _NOT_CHOSEN
        if ufs is None or (effect.options <= chosen and chosen == set(ufs.options)):
            yield f"I7: {effect.node} is mounted as the document says"


def unmount(case: Case) -> Iterator[str]:
    """Unmount."""
    for effect in case.all_of(Unmounts):
        if case.here.mounts is None:
            yield f"what is mounted on {case.here.name} is not known"
            continue
        present = next((m for m in case.here.mounts if effect.target in (m.node, m.special)), None)
        if present is None:
            yield f"I7: {effect.target} is not mounted"
            continue
        found = _of_device(case, present.special)
        if found is None:
            yield f"I10: {present.special} on {present.node} is not a device of the document"
            continue
        yield from _taken_away(case, found[0], [found[1]], force=effect.force, right=_is_right(present, found[1]))


def _is_right(present: Mount, storage: StorageSpec) -> bool:
    return present.node == mountpoint_of(storage)


def _taken_away(
    case: Case, group: GroupSpec, storages: list[StorageSpec], *, force: bool, right: bool
) -> Iterator[str]:
    """What stands on these leaves a node: by force only when it is dead, and never from under a service."""
    here, names = case.here, " and ".join(storage.name for storage in storages)
    gone = _is_dead(case, storages)
    if force and not gone:
        yield f"I2: takes {names} away by force, and the device is not known to be gone"
    if gone:
        return
    serves_here = case.plan.active.get(group.name) == here.name and any(here.is_primary(s.name) for s in storages)
    if right and serves_here and not moving(case, group):
        yield f"I5: takes {names} away from the node the group is active on"
    for service in group.services:
        if service.run_on is RunOn.ACTIVE and here.services.get(service.name):
            yield f"takes {names} away while {service.name} runs"


def _is_dead(case: Case, storages: list[StorageSpec]) -> bool:
    """Whether what stands on these lost its device for good; of a pool that has others left, ZFS says so."""
    there = [case.here.hast_device(storage.name) for storage in storages]
    gone = [
        device is not None and not device.exists and not case.here.is_primary(storage.name)
        for storage, device in zip(storages, there, strict=True)
    ]
    pools = case.here.seen(lambda facts: facts.pools) or {}
    pool = pools.get(pool_of(storages[0]) or "")
    return all(gone) or (any(gone) and pool is not None and pool.health not in ("ONLINE", "DEGRADED"))


def import_pool(case: Case) -> Iterator[str]:
    """ImportPool."""
    for effect in case.all_of(Zpool):
        found = case.standing_on(effect.pool)
        if effect.action != "import" or found is None:
            yield f"zpool {effect.action} {effect.pool} is not a pool of the document"
            continue
        if not effect.devices or any(not f"{path}/".startswith(HAST_DEVICES) for path in effect.devices):
            yield "zpool import looks outside /dev/hast"
        if case.here.pools is None:
            yield f"which pools {case.here.name} has is not known"
        elif effect.pool in case.here.pools:
            yield f"I7: {effect.pool} is imported already"
        for storage in found[1]:
            yield from _imported_from(case, effect.pool, storage)


def _imported_from(case: Case, pool: str, storage: StorageSpec) -> Iterator[str]:
    """One of the devices of a pool: this node's alone, and there."""
    yield from _only_primary(case, storage)
    device = case.here.hast_device(storage.name)
    made = storage.name in case.here.freed  # by a role earlier in the stage
    if case.stage == 0 and not made and device is not None and not device.exists:
        yield f"imports {pool} without {HAST_DEVICES}{storage.name}"
    for peer in case.peers(storage):
        theirs = peer.hast_device(storage.name)
        if pool in (peer.pools or ()) and (theirs is None or theirs.exists):
            yield f"I1: {peer.name} has {pool} imported"


def export_pool(case: Case) -> Iterator[str]:
    """ExportPool."""
    for effect in case.all_of(Zpool):
        found = case.standing_on(effect.pool)
        if effect.action != "export" or found is None:
            yield f"zpool {effect.action} {effect.pool} is not a pool of the document"
        elif case.here.pools is None:
            yield f"which pools {case.here.name} has is not known"
        elif effect.pool not in case.here.pools:
            yield f"I7: {effect.pool} is not imported"
        else:
            yield from _taken_away(case, *found, force=effect.force, right=True)


# --- services -----------------------------------------------------------------------------------------------------


def serves(node: Node, group: GroupSpec) -> bool:
    """Whether the node is known to have all the storage of a group, mounted and imported."""
    for storage in group.storage:
        if not node.is_primary(storage.name):
            return False
        mountpoint, pool = mountpoint_of(storage), pool_of(storage)
        if mountpoint and not any(
            m.special == HAST_DEVICES + storage.name and m.node == mountpoint for m in node.mounts or ()
        ):
            return False
        if pool and pool not in (node.pools or ()):
            return False
    return True


def start_service(case: Case) -> Iterator[str]:
    """StartService."""
    for effect in case.all_of(RunsService):
        found = _service(case, effect.name)
        if found is None or effect.action not in ("onestart", "start"):
            yield f"service {effect.name} {effect.action} does not start a service of the document"
            continue
        group, service = found
        if case.here.services.get(effect.name):
            yield f"I7: {effect.name} runs already"
        for needed in service.after:
            if not case.here.services.get(needed):
                yield f"starts {effect.name} before {needed}, which it comes after, is known to run"
        if service.run_on is RunOn.ACTIVE:
            yield from _is_active_place(case, group, effect.name)


def _is_active_place(case: Case, group: GroupSpec, service: str) -> Iterator[str]:
    # A plan may begin while it is not known where the group can be active; then the storage decides.
    chosen = case.plan.active.get(group.name)
    arriving = case.stage > 0 and case.plan.goals.get(group.name) == case.here.name
    if chosen != case.here.name and not arriving and (chosen is not None or not group.storage):
        yield f"starts {service} on a node where {group.name} is not active"
    if not serves(case.here, group):
        yield f"starts {service} before {case.here.name} has the storage of {group.name}"
    if case.stage == 0 and not group.storage and group.virtual_ips:
        mine = [_master(case.here, group, index) for index in range(len(group.virtual_ips))]
        elsewhere = [
            any(_master(other, group, index) for other in case.world.others(case.here.name))
            for index in range(len(group.virtual_ips))
        ]
        if all(elsewhere) and not any(mine):
            yield f"starts {service} on a node that has none of the addresses of {group.name}"


def _master(node: Node, group: GroupSpec, index: int) -> bool:
    vip = group.virtual_ips[index]
    vhid = node.vhid(interface_on(vip, node.name), vip.vhid)
    return vhid is not None and vhid.state is CarpState.MASTER


def stop_service(case: Case) -> Iterator[str]:
    """StopService."""
    for effect in case.all_of(RunsService):
        found = _service(case, effect.name)
        if found is None or effect.action not in ("onestop", "stop"):
            yield f"service {effect.name} {effect.action} does not stop a service of the document"
            continue
        group, service = found
        if case.here.services.get(effect.name) is False:
            yield f"I7: {effect.name} does not run"
        for other in group.services:
            if effect.name in other.after and case.here.services.get(other.name):
                yield f"stops {effect.name} while {other.name}, which comes after it, runs"
        if service.run_on is RunOn.ALL:
            yield f"I7: {effect.name} should run on every node"
        elif (
            case.plan.active.get(group.name) == case.here.name and serves(case.here, group) and not moving(case, group)
        ):
            yield f"I7: stops {effect.name} where {group.name} is active"


def _service(case: Case, name: str) -> tuple[GroupSpec, ServiceSpec] | None:
    return next(
        ((group, service) for group in case.world.cluster.groups for service in group.services if service.name == name),
        None,
    )
