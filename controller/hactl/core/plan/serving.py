"""Whether a node has what a group needs: the device and filesystem of each resource, and its services.

Rules: what is in use on a device that is gone is dead, however the mount table shows it (docs/freebsd-facts.md#2.8).
"""

from __future__ import annotations

from hactl.core.choices import FailureAction
from hactl.core.evidence.view import ServiceState
from hactl.core.facts import HastRole, Mount, known
from hactl.core.objects import GroupSpec, ServiceSpec, StorageSpec
from hactl.core.operations import Failures
from hactl.core.plan.scene import Scene
from hactl.core.steps import StepKey
from hactl.core.verbs import Verb


def mount_of(scene: Scene, storage: StorageSpec, node: str) -> Mount | None:
    """What the node has mounted from the replicated device."""
    return next((m for m in scene.view.mounts(node) or () if m.special == storage.device), None)


def device_gone(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node was looked at and has no /dev/hast/NAME: what is mounted from there is dead."""
    device = known(scene.view.facts[node].hast_devices.get(storage.name))
    return device is not None and not device.exists


def filesystem_ready(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node has what the document puts on the resource."""
    if scene.view.role(storage.name, node) is not HastRole.PRIMARY:
        return False
    spec = storage.filesystem
    if spec is None:
        return True
    if device_gone(scene, storage, node):
        return False
    if spec.ufs is not None:
        mount = mount_of(scene, storage, node)
        return mount is not None and mount.node == spec.ufs.mountpoint
    return spec.zfs is not None and scene.view.imported(spec.zfs.pool, node) is True


def serving(scene: Scene, group: GroupSpec) -> bool:
    """Whether the active node has every filesystem of the group."""
    active = scene.active.get(group.name)
    return (
        active is not None
        and active in scene.view.facts
        and all(filesystem_ready(scene, storage, active) for storage in group.storage)
    )


def serves_fully(scene: Scene, group: GroupSpec) -> bool:
    """Whether the active node has the group's filesystems and runs its services (or cannot run one just now)."""
    active = scene.active.get(group.name)
    if active is None or not serving(scene, group):
        return False
    for spec in group.services:
        service = known(scene.view.facts[active].services.get(spec.name))
        if service is not None and service.exists and not service.running and not _cannot(scene, group, spec, active):
            return False
    return True


def _cannot(scene: Scene, group: GroupSpec, spec: ServiceSpec, node: str) -> bool:
    """Whether a service is not to be started there now: it failed, or waits for one that failed."""
    if StepKey(node, Verb.START_SERVICE, spec.name) in scene.failing or given_up(scene, group, spec, node):
        return True
    return any(_cannot(scene, group, each, node) for each in group.services if each.name in spec.after)


def given_up(scene: Scene, group: GroupSpec, spec: ServiceSpec, node: str) -> Failures | None:
    """What is known of a service that is not started there any more; None: it may be. Who asks for a move there is not
    answered from what failed before.
    """
    found = scene.overrides.failures.get((spec.name, node))
    asked = scene.overrides.moves.get(group.name) == node
    return found if found is not None and found.given_up_at is not None and not asked else None


def driven_off(scene: Scene, group: GroupSpec, node: str, active: str | None) -> tuple[str, ...]:
    """The services that keep their group from a node, because they failed there and say `onFailure: Move`.

    Where the group is they do so only while they do not run: who started one by hand is believed.
    """
    return tuple(
        spec.name
        for spec in group.services
        if spec.on_failure is not None
        and spec.on_failure.action is FailureAction.MOVE
        and given_up(scene, group, spec, node) is not None
        and (node != active or scene.view.service(spec.name, node) is not ServiceState.RUNNING)
    )
