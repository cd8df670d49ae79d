"""HAST metadata, the daemon, and roles.

Rules: `hastctl create` never refuses (docs/freebsd-facts.md#trap-23), so it is planned only for devices proved blank,
and the node proves it again in the same exec; a node becomes primary only on its peer's own fresh word that it is
secondary (I1, I6); the standby is secondary before that. Man pages: hastctl(8), hastd(8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hactl.core.evidence.copies import COMPARE, choose_copy
from hactl.core.facts import Device, HastMetadata, HastRole, Known, NoMetadata
from hactl.core.objects import GroupSpec, Initialize, StorageSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.filesystems import clear_dead, device_of
from hactl.core.plan.placement import may_serve
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Risk, Step

#: How long a local promotion may take besides the peer's timeout, seconds.
PROMOTION_SLACK_SECONDS = 15.0
#: hastd/metadata.c METADATA_SIZE: metadata before the bitmap, bytes.
METADATA_BYTES = 4096


def metadata_steps(scene: Scene) -> Steps:
    """Create metadata where every node's device is provably blank, or a blank disk replaces a lost copy."""
    steps: Steps = []
    for group, storage in scene.storages():
        steps += _metadata(scene, group, storage)
    return steps


def _metadata(scene: Scene, group: GroupSpec, storage: StorageSpec) -> Steps:
    nodes = [node for node in group.preferred if node in storage.hast.devices]
    seen = {node: scene.facts[node].metadata.get(storage.name) for node in nodes if node in scene.facts}
    copies = {node: known(reading) for node, reading in seen.items()}
    for node, copy in copies.items():
        if copy is None:
            reading = seen[node]
            why = reading.reason if reading is not None and not isinstance(reading, Known) else "not asked"
            scene.hold(
                "MetadataUnknown",
                f"{storage.name}: {node} cannot tell what is on {storage.hast.devices[node]}: {why}",
                node=node,
                target=storage.name,
            )
        elif copy in (NoMetadata.INVALID, NoMetadata.FOREIGN):
            _foreign(scene, storage, node, copy)
    absent = [node for node, copy in copies.items() if copy is NoMetadata.ABSENT]
    if not absent:
        _same_size(scene, storage, copies)
        return []
    if storage.hast.initialize is not Initialize.IF_BLANK:
        for node in absent:
            scene.hold(
                "NotInitialised",
                f"{storage.name}: {storage.hast.devices[node]} on {node} holds no HAST metadata",
                node=node,
                target=storage.name,
                remedy="set initialize: IfBlank in the document, or run `hastctl create` on that node yourself",
            )
        return []
    if len(seen) < len(nodes):
        missing = next(node for node in nodes if node not in seen)
        scene.hold(
            "PeerSilent",
            f"{storage.name}: no disk is initialised while {missing} cannot be asked what its disk holds",
            node=missing,
            target=storage.name,
        )
        return []
    if not _may_create(scene, storage, absent, copies):
        return []
    size = _media_size(scene, storage, nodes, copies)
    return [_create(storage, node, size) for node in absent]


def _foreign(scene: Scene, storage: StorageSpec, node: str, copy: object) -> None:
    device = storage.hast.devices[node]
    what = "another resource's HAST metadata" if copy is NoMetadata.FOREIGN else "something that is not HAST metadata"
    scene.hold(
        "ForeignData",
        f"{storage.name}: {device} on {node} holds {what}; hactl never overwrites it",
        node=node,
        target=storage.name,
        remedy=f"name another device, or, if its content may go, zero {device} on {node} yourself",
    )


def _same_size(scene: Scene, storage: StorageSpec, copies: Mapping[str, HastMetadata | NoMetadata | None]) -> None:
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    sizes = {(copy.datasize, copy.extentsize) for copy in real.values()}
    if len(sizes) > 1:
        text = ", ".join(f"{node} {copy.datasize} bytes" for node, copy in real.items())
        scene.hold(
            "SizesDiffer",
            f"{storage.name}: the copies differ in size ({text}); HAST refuses to connect them",
            target=storage.name,
            remedy="create the copy that holds no data again with -m and the smaller size",
        )


def _may_create(
    scene: Scene, storage: StorageSpec, absent: list[str], copies: Mapping[str, HastMetadata | NoMetadata | None]
) -> bool:
    """Whether every device without metadata is provably blank, and no copy elsewhere could be hurt."""
    allowed = True
    for node in absent:
        reason = _not_blank(scene, storage, node)
        if reason is not None:
            code, message = reason
            scene.hold(
                code,
                f"{storage.name}: {storage.hast.devices[node]} on {node} {message}",
                node=node,
                target=storage.name,
                remedy="name an unused, zeroed device; hactl initialises nothing else",
            )
            allowed = False
    for node, copy in copies.items():
        if node in absent:
            continue
        if not isinstance(copy, HastMetadata):
            allowed = False
        elif not fresh(copy) and scene.role(storage.name, node) is not HastRole.PRIMARY:
            scene.hold(
                "CopyMissing",
                f"{storage.name}: {', '.join(absent)} has a blank disk and {node} has data but does not "
                "serve it; the lost copy may have been the newer one",
                node=absent[0],
                target=storage.name,
                remedy=f"if the copy of {node} is the one to keep: hastctl role primary {storage.name} on {node}",
            )
            allowed = False
    return allowed


def fresh(copy: HastMetadata) -> bool:
    """Metadata as `hastctl create` leaves it: no resource id yet, nothing counted."""
    return copy.resuid == 0 and copy.localcnt == 0 and copy.remotecnt == 0


def _not_blank(scene: Scene, storage: StorageSpec, node: str) -> tuple[str, str] | None:
    device = known(scene.facts[node].devices.get(storage.hast.devices[node]))
    if device is None:
        return "FactsUnknown", "could not be looked at"
    if not device.exists:
        return "DeviceMissing", "does not exist"
    if scene.role(storage.name, node) is not HastRole.INIT:
        return "DeviceInUse", "is in use by hastd"
    return _in_use(device)


def _in_use(device: Device) -> tuple[str, str] | None:
    if not device.use_known:
        return "FactsUnknown", "may be in use: not every query about it was answered"
    if device.used_by:
        return "DeviceInUse", f"is in use: {', '.join(device.used_by)}"
    if device.blank is None:
        return "FactsUnknown", "could not be read"
    if not device.blank:
        return "NotBlank", "is not blank: its first and last MiB are not all zero"
    return None


def _media_size(
    scene: Scene, storage: StorageSpec, nodes: list[str], copies: Mapping[str, HastMetadata | NoMetadata | None]
) -> int | None:
    """What to give `hastctl create -m`: the size every copy has, when the devices differ; None: the whole device."""
    sizes = {}
    for node in nodes:
        copy = copies[node]
        device = known(scene.facts[node].devices.get(storage.hast.devices[node]))
        if isinstance(copy, HastMetadata):
            sizes[node] = copy.localoff + copy.datasize
        elif device is not None:
            sizes[node] = device.mediasize
    return min(sizes.values()) if len(set(sizes.values())) > 1 else None


def _create(storage: StorageSpec, node: str, size: int | None) -> Step:
    device = storage.hast.devices[node]
    option = f"-m {size} " if size is not None else ""
    return Step(
        node,
        "CreateMetadata",
        storage.name,
        f"{device} is blank and the document says initialize: IfBlank",
        f"hastctl create {option}{quote_plain(storage.name)}",
        Risk.DESTRUCTIVE,
        before=(checks.no_metadata(storage.name, device), checks.not_open(device), checks.blank(device)),
        after=(checks.has_metadata(storage.name),),
        timeout_seconds=60.0,
    )


def role_steps(scene: Scene) -> tuple[Steps, Steps]:
    """First what makes standbys secondary, then (only when there is nothing of that left) what makes primary."""
    standby: Steps = []
    promote: Steps = []
    for group, storage in scene.storages():
        active = scene.active.get(group.name)
        if active is None or active not in scene.facts or not _hastd_ready(scene, storage, active):
            continue
        waiting = False
        for node in storage.hast.devices:
            if node != active:
                waiting |= _second(scene, storage, node, standby)
        role = scene.role(storage.name, active)
        if role is not HastRole.PRIMARY and not waiting:
            promote += _promotion(scene, group, storage, active)
    return standby, promote


def _hastd_ready(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """hastd runs on the node, knows the resource, and the disk has metadata."""
    facts = scene.facts[node]
    hastd, resources = known(facts.hastd), known(facts.resources)
    if hastd is None or not hastd.running or resources is None or storage.name not in resources:
        return False
    return isinstance(known(facts.metadata.get(storage.name)), HastMetadata)


def _second(scene: Scene, storage: StorageSpec, node: str, steps: Steps) -> bool:
    """Make the standby secondary; True when the active node has to wait for that."""
    if node not in scene.facts:
        return False
    role = scene.role(storage.name, node)
    if role is not HastRole.INIT:
        return False
    if not _hastd_ready(scene, storage, node):
        return False
    steps.append(
        Step(
            node,
            "SetRole",
            storage.name,
            "the role is init; the standby is secondary",
            f"hastctl role secondary {quote_plain(storage.name)}",
            Risk.NONE,
            before=(checks.role_is(storage.name, HastRole.INIT), checks.has_metadata(storage.name)),
            after=(checks.role_is(storage.name, HastRole.SECONDARY, 5.0),),
        )
    )
    return True


def _promotion(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str) -> Steps:
    """Make the node where the group is primary, when both nodes say that they are not and no copy is newer."""
    role = scene.role(storage.name, node)
    if role is None or not may_serve(scene, storage, node):
        return []
    wait = storage.hast.timeout_seconds + PROMOTION_SLACK_SECONDS
    zfs = storage.filesystem.zfs if storage.filesystem else None
    return [
        # The new device has the old one's name: a dead mount would be taken for one of it.
        *clear_dead(scene, group, storage, node),
        Step(
            node,
            "SetRole",
            storage.name,
            f"no node is primary; {node} holds the copy to serve ({group.name})",
            f"hastctl role primary {quote_plain(storage.name)}",
            Risk.NONE,
            before=(
                checks.role_is(storage.name, role),
                checks.has_metadata(storage.name),
                checks.pool_absent(zfs.pool) if zfs is not None else checks.not_mounted(device_of(storage)),
            ),
            after=(checks.device_ready(storage.name, wait), checks.role_is(storage.name, HastRole.PRIMARY, 5.0)),
            timeout_seconds=storage.hast.timeout_seconds + 30.0,
        ),
    ]


def storage_waits(scene: Scene) -> None:
    """Say what only time can bring: a first sync, a reconnect."""
    for group, storage in scene.storages():
        active = scene.active.get(group.name)
        resources = known(scene.facts[active].resources) if active in scene.facts else None
        resource = resources.get(storage.name) if resources and active else None
        if resource is None or resource.role is not HastRole.PRIMARY:
            continue
        peers = [n for n in storage.hast.devices if n != active]
        if resource.status != "complete" and _never_connects(scene, storage, group.preferred):
            continue
        if not all(scene.role(storage.name, n) is HastRole.SECONDARY for n in peers):
            continue  # a peer that is silent or has no role is said elsewhere, and connects to nobody by itself
        message = ""
        if resource.status != "complete":
            message = f"{active} is not connected to {', '.join(peers)}; it tries every 10 s"
        elif alone := [n for n in peers if _no_worker(scene, storage, n)]:
            # A primary hears of a peer that lost its power, or of a cut, minutes later if it has nothing to send.
            message = f"{', '.join(alone)} has no connection from {active}, which has not noticed yet"
        if message:
            scene.hold(
                "Reconnecting",
                f"{storage.name}: {message}",
                node=active,
                target=storage.name,
                passing=True,
                remedy=f"if it lasts: grep hastd /var/log/messages on {active}",
            )


def _no_worker(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node says that nobody is connected to it: a secondary has a worker only while a primary is."""
    resources = known(scene.facts[node].resources) or {}
    return storage.name in resources and resources[storage.name].workerpid is None


def _never_connects(scene: Scene, storage: StorageSpec, preferred: Sequence[str]) -> bool:
    """Whether the copies refuse each other for good (hastd/secondary.c: split-brain, another resource): say so."""
    copies = {node: known(scene.facts[node].metadata.get(storage.name)) for node in preferred if node in scene.facts}
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    choice = choose_copy(storage.name, real, tuple(preferred)) if len(real) == len(storage.hast.devices) else None
    if choice is None or choice.hold is None or not choice.refused:
        return False
    scene.hold(choice.hold, choice.why, target=storage.name, remedy=COMPARE.format(name=storage.name))
    return True
