"""HAST metadata, the daemon, and roles.

Rules: `hastctl create` never refuses (docs/freebsd-facts.md#trap-23), so it is planned only for devices proved blank,
and the node proves it again in the same exec; a node becomes primary only on its peer's own fresh word that it is
secondary (I1, I6); the standby is secondary before that. Man pages: hastctl(8), hastd(8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from hactl.core.catalogue import HoldReason
from hactl.core.changes.hast import CreateMetadata, SetRole
from hactl.core.choices import Initialize
from hactl.core.evidence.connects import never_connects
from hactl.core.evidence.copies import choose, outruns
from hactl.core.facts import Device, HastMetadata, HastRole, Known, NoMetadata, known
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.daemon import knows
from hactl.core.plan.areas.filesystems import clear_dead
from hactl.core.plan.areas.trial import unproven
from hactl.core.plan.placement import newer_elsewhere, unheard
from hactl.core.plan.scene import Findings, Scene
from hactl.core.steps import Hold, Risk, Step

#: How long a local promotion may take besides the peer's timeout, seconds.
PROMOTION_SLACK_SECONDS = 15.0
#: What each node that answers has on its device.
Copies: TypeAlias = Mapping[str, HastMetadata | NoMetadata | None]


def metadata_steps(scene: Scene) -> Findings:
    """Create metadata where every node's device is provably blank, or a blank disk replaces a lost copy."""
    for group, storage in scene.view.storages():
        yield from _metadata(scene, group, storage)


def _metadata(scene: Scene, group: GroupSpec, storage: StorageSpec) -> Findings:
    nodes = [node for node in group.preferred if node in storage.hast.devices]
    copies = {node: scene.view.metadata(storage.name, node) for node in nodes if node in scene.view.facts}
    for node, copy in copies.items():
        if copy is None:
            yield _unread(scene, storage, node)
        elif copy in (NoMetadata.INVALID, NoMetadata.FOREIGN):
            yield _foreign(scene, storage, node, copy)
    absent = [node for node, copy in copies.items() if copy is NoMetadata.ABSENT]
    if not absent:
        yield from _different_sizes(storage, copies)
    elif unproven(scene, nodes):
        return  # the trial's area says why: nothing is created for a hastd that may never connect
    elif not all(knows(scene, node, storage.name) for node in absent):
        return  # the daemon's area says why the file does not name it yet
    elif storage.hast.initialize is not Initialize.IF_BLANK:
        for node in absent:
            yield Hold(
                HoldReason.NOT_INITIALISED,
                f"{storage.name}: {storage.hast.devices[node]} on {node} holds no HAST metadata",
                node=node,
                target=storage.name,
                remedy="set initialize: IfBlank in the document, or run `hastctl create` on that node yourself",
            )
    elif len(copies) < len(nodes):
        missing = next(node for node in nodes if node not in copies)
        why = f"{storage.name}: no disk is initialised while {missing} cannot be asked what its disk holds"
        yield Hold(HoldReason.PEER_SILENT, why, missing, storage.name)
    else:
        against = list(_against_creating(scene, storage, absent, copies))
        yield from (hold for hold in against if hold is not None)
        if not against:
            size = _media_size(scene, storage, copies)
            yield from (_create(storage, node, size) for node in absent)


def _unread(scene: Scene, storage: StorageSpec, node: str) -> Hold:
    reading = scene.view.facts[node].metadata.get(storage.name)
    why = reading.reason if reading is not None and not isinstance(reading, Known) else "not asked"
    device = f"{storage.hast.devices[node]}{_used(scene, storage, node)}"
    message = f"{storage.name}: {node} cannot tell what is on {device}: {why}"
    return Hold(HoldReason.METADATA_UNKNOWN, message, node, storage.name)


def _used(scene: Scene, storage: StorageSpec, node: str) -> str:
    """Who uses a device that holds something already."""
    device = known(scene.view.facts[node].devices.get(storage.hast.devices[node]))
    return f" (in use: {', '.join(device.used_by)})" if device is not None and device.used_by else ""


def _foreign(scene: Scene, storage: StorageSpec, node: str, copy: object) -> Hold:
    device = storage.hast.devices[node]
    what = "another resource's HAST metadata" if copy is NoMetadata.FOREIGN else "something that is not HAST metadata"
    return Hold(
        HoldReason.FOREIGN_DATA,
        f"{storage.name}: {device} on {node} holds {what}{_used(scene, storage, node)}; hactl never overwrites it",
        node=node,
        target=storage.name,
        remedy=f"name another device, or, if its content may go, zero {device} on {node} yourself",
    )


def _different_sizes(storage: StorageSpec, copies: Copies) -> Iterator[Hold]:
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    if len({(copy.datasize, copy.extentsize) for copy in real.values()}) > 1:
        text = ", ".join(f"{node} {copy.datasize} bytes" for node, copy in real.items())
        yield Hold(
            HoldReason.SIZES_DIFFER,
            f"{storage.name}: the copies differ in size ({text}); HAST refuses to connect them",
            target=storage.name,
            remedy="create the copy that holds no data again with -m and the smaller size",
        )


def _against_creating(scene: Scene, storage: StorageSpec, absent: list[str], copies: Copies) -> Iterator[Hold | None]:
    """Every device without metadata that is not provably blank, every copy elsewhere that could be hurt.

    None: what stands against it is said already.
    """
    for node in absent:
        against = _not_blank(scene, storage, node)
        if against is not None:
            reason, why = against
            yield Hold(
                reason,
                f"{storage.name}: {storage.hast.devices[node]} on {node} {why}",
                node=node,
                target=storage.name,
                remedy=_how_to_initialise(scene, storage, node, reason),
            )
    for node, copy in copies.items():
        if node in absent:
            continue
        if not isinstance(copy, HastMetadata):
            yield None
        elif not fresh(copy) and scene.view.role(storage.name, node) is not HastRole.PRIMARY:
            yield Hold(
                HoldReason.COPY_MISSING,
                f"{storage.name}: {', '.join(absent)} has a blank disk and {node} has data but does not "
                "serve it; the lost copy may have been the newer one",
                node=absent[0],
                target=storage.name,
                remedy=f"if the copy of {node} is the one to keep: hastctl role primary {storage.name} on {node}",
            )


def fresh(copy: HastMetadata) -> bool:
    """Metadata as `hastctl create` leaves it: no resource id yet, nothing counted."""
    return copy.resuid == 0 and copy.localcnt == 0 and copy.remotecnt == 0


def _not_blank(scene: Scene, storage: StorageSpec, node: str) -> tuple[HoldReason, str] | None:
    device = known(scene.view.facts[node].devices.get(storage.hast.devices[node]))
    if device is None:
        return HoldReason.FACTS_UNKNOWN, "could not be looked at"
    if not device.exists:
        return HoldReason.DEVICE_MISSING, "does not exist"
    if scene.view.role(storage.name, node) is not HastRole.INIT:
        return HoldReason.DEVICE_IN_USE, "is in use by hastd"
    return _in_use(device)


def _in_use(device: Device) -> tuple[HoldReason, str] | None:
    if not device.use_known:
        return HoldReason.FACTS_UNKNOWN, f"may be in use: hactl cannot tell who uses it ({device.use_unknown})"
    if device.used_by:
        return HoldReason.DEVICE_IN_USE, f"is in use: {', '.join(device.used_by)}"
    if device.blank is None:
        return HoldReason.FACTS_UNKNOWN, "could not be read"
    if not device.blank:
        return HoldReason.NOT_BLANK, "is not blank: its first and last MiB are not all zero"
    return None


def _how_to_initialise(scene: Scene, storage: StorageSpec, node: str, reason: HoldReason) -> str:
    """What a person can do about a device that hactl does not initialise."""
    if reason is not HoldReason.FACTS_UNKNOWN:
        return "name an unused, zeroed device; hactl initialises nothing else"
    path = storage.hast.devices[node]
    device = known(scene.view.facts[node].devices.get(path))
    by_hand = f"`hastctl create {storage.name}` on {node} yourself when you know that nobody uses {path}"
    if device is not None and device.exists and not device.use_known:
        if path.startswith("/dev/zvol/"):
            # With volmode=dev a volume has a device node and no provider (zfsprops(7), docs/freebsd-facts.md#7.62).
            volume = path.removeprefix("/dev/zvol/")
            return f"{by_hand}; or make it a provider: `zfs set volmode=geom {volume}`, then export and import its pool"
        return by_hand
    return f"see what `diskinfo {path}` and `dd if={path} of=/dev/null bs=1m count=1` say on {node}; or {by_hand}"


def _media_size(scene: Scene, storage: StorageSpec, copies: Copies) -> int | None:
    """What to give `hastctl create -m`: the size every copy has, when the devices differ; None: the whole device."""
    sizes = {}
    for node, copy in copies.items():
        device = known(scene.view.facts[node].devices.get(storage.hast.devices[node]))
        if isinstance(copy, HastMetadata):
            sizes[node] = copy.localoff + copy.datasize
        elif device is not None:
            sizes[node] = device.mediasize
    return min(sizes.values()) if len(set(sizes.values())) > 1 else None


def _create(storage: StorageSpec, node: str, size: int | None) -> Step:
    device = storage.hast.devices[node]
    return Step.of(
        node,
        CreateMetadata(storage.name, size),
        f"{device} is blank and the document says initialize: IfBlank",
        Risk.DESTRUCTIVE,
        before=(checks.no_metadata(storage.name, device), checks.not_open(device), checks.blank(device)),
        after=(checks.has_metadata(storage.name),),
        timeout_seconds=60.0,
    )


# --- roles --------------------------------------------------------------------------------------------------------


def secondary_steps(scene: Scene) -> Findings:
    """Make standbys secondary: before that nobody is made primary."""
    for _, storage, active in _placed(scene):
        yield from _secondaries(scene, storage, active)


def primary_steps(scene: Scene) -> Findings:
    """Make the nodes primary where the groups are, once their standbys are secondary."""
    for group, storage, active in _placed(scene):
        waiting = list(_secondaries(scene, storage, active))
        role = scene.view.role(storage.name, active)
        if role not in (None, HastRole.PRIMARY) and not waiting:
            yield from _promotion(scene, group, storage, active, role)


def _placed(scene: Scene) -> Iterator[tuple[GroupSpec, StorageSpec, str]]:
    """The resources whose group is placed, with that node, where hastd is ready for them."""
    for group, storage in scene.view.storages():
        active = scene.active.get(group.name)
        if active is not None and active in scene.view.facts and _hastd_ready(scene, storage, active):
            yield group, storage, active


def _hastd_ready(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """hastd runs on the node, knows the resource, and the disk has metadata."""
    hastd = known(scene.view.facts[node].hastd)
    if hastd is None or not hastd.running or scene.view.resource(storage.name, node) is None:
        return False
    return isinstance(scene.view.metadata(storage.name, node), HastMetadata)


def _secondaries(scene: Scene, storage: StorageSpec, active: str) -> Iterator[Step]:
    for node in storage.hast.devices:
        if node == active or node not in scene.view.facts or scene.view.role(storage.name, node) is not HastRole.INIT:
            continue
        # Connected, a copy that outruns the other one would be brought over what is served: a person decides.
        if _hastd_ready(scene, storage, node) and node != outruns(scene.view, storage):
            yield become_secondary(storage, node, "the role is init; the standby is secondary")


def become_secondary(storage: StorageSpec, node: str, why: str) -> Step:
    """Give a node without a role its place as the standby."""
    return Step.of(
        node,
        SetRole(storage.name, HastRole.SECONDARY),
        why,
        Risk.NONE,
        before=(checks.role_is(storage.name, HastRole.INIT), checks.has_metadata(storage.name)),
        after=(checks.role_is(storage.name, HastRole.SECONDARY, 5.0),),
    )


def _promotion(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, role: HastRole) -> Findings:
    """Make the node where the group is primary, when both nodes say that they are not and no copy is newer (I1, I6)."""
    if never_connects(scene.view, node):
        return  # the trial's area says why: its device would never come
    nodes = (node, *(other for other in storage.hast.devices if other != node))
    against = unheard(scene, storage.name, nodes)
    if against is None:
        hook = scene.view.hook(node)
        moved = hook is not None and storage.name in hook.confirmed
        choice = choose(scene.view, storage, nodes, moved=moved)
        if choice is None:
            return  # the metadata area says why
        against = newer_elsewhere(scene.view, storage, node, choice)
    if against is not None:
        yield against
        return
    zfs = storage.filesystem.zfs if storage.filesystem else None
    if zfs is not None and scene.view.works_without(storage, node):
        message = f"{storage.name}: {node} is not primary, and {zfs.pool} is in use there on its other devices"
        again = f"on {node}: hastctl role primary {storage.name}; zpool online {zfs.pool} {storage.device}"
        yield Hold(HoldReason.POOL_DEGRADED, message, node, storage.name, again)
        return
    # The new device has the old one's name: a dead mount would be taken for one of it.
    yield from clear_dead(scene, group, storage, node)
    wait = storage.hast.timeout_seconds + PROMOTION_SLACK_SECONDS
    yield Step.of(
        node,
        SetRole(storage.name, HastRole.PRIMARY),
        f"no node is primary; {node} holds the copy to serve ({group.name})",
        Risk.NONE,
        before=(
            checks.role_is(storage.name, role),
            checks.has_metadata(storage.name),
            checks.pool_absent(zfs.pool) if zfs is not None else checks.not_mounted(storage.device),
        ),
        after=(checks.device_ready(storage.name, wait), checks.role_is(storage.name, HastRole.PRIMARY, 5.0)),
        timeout_seconds=storage.hast.timeout_seconds + 30.0,
    )
