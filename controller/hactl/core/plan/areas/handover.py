"""Moving a group that serves to another node: the first half, which lets go of it where it is.

Rules: nothing is let go of before the other node could take it (I4, I5), by its own and the active node's fresh word;
the order is services, filesystems, roles, and a role is given up only when everything is on both disks and nothing
uses the device (I2). The second half is not here: a group that nobody is primary for is placed, promoted, mounted and
started by the areas that do that after any other interruption, and the addresses follow last. Whoever dies in between
leaves facts from which the next look goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.changes.carp import SetVhid
from hactl.core.changes.filesystems import ExportPool, Unmount
from hactl.core.changes.hast import SetRole
from hactl.core.choices import Failback
from hactl.core.cluster import interface_on, pool_under
from hactl.core.evidence.connects import never_connects
from hactl.core.facts import CarpState, HastRole, Vhid, known
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.plan import checks
from hactl.core.plan.areas.services import stop_on
from hactl.core.plan.placement import kept_by_advskews, refuse_each_other
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.virtual_ips import given_away
from hactl.core.steps import Check, Hold, Risk, Step, StepKey
from hactl.core.verbs import Verb

#: How long the last writes may take to reach the other disk once nothing writes any more, seconds.
FLUSH_SECONDS = 15.0


def move_steps(scene: Scene) -> Findings:
    """Let go of the groups that should be elsewhere, one group at a time."""
    for group in scene.view.cluster.groups:
        yield from _stays(scene, group)
        active, goal = scene.active.get(group.name), scene.goals.get(group.name)
        if active is None or goal is None or goal == active or active not in scene.view.facts:
            continue
        obstacles = list(obstacles_of(scene, group, active, goal))
        if obstacles:
            passing = all(passing for _, passing in obstacles)
            yield Hold(
                HoldReason.MOVE_WAITS,
                f"{group.name} is to move from {active} to {goal}: {'; '.join(text for text, _ in obstacles)}",
                node=goal,
                target=group.name,
                passing=passing,
                remedy="" if passing else f"hactl why-not {goal} active",
            )
        elif group.storage:
            found = list(_let_go(scene, group, active, goal))
            failed = [each.key for each in found if isinstance(each, Step) and each.key in scene.failing]
            takes = [StepKey(goal, Verb.SET_ROLE, storage.name) for storage in group.storage]
            failed += [key for key in takes if key in scene.failing]
            if not failed:
                yield from found
                return
            yield from (each for each in found if isinstance(each, Hold))
            # All of it or nothing: half a move is an outage.
            why = f"{group.name} stays on {active}: {failed[0]}: {scene.failing[failed[0]]}"
            yield Hold(HoldReason.MOVE_WAITS, why, active, group.name)


def _stays(scene: Scene, group: GroupSpec) -> Iterator[Hold]:
    """A drained node that keeps its group, a group that may not go back by itself."""
    active = scene.active.get(group.name)
    if active in scene.overrides.drained and scene.goals.get(group.name) == active:
        why = f"{group.name} stays on {active}, which is drained: no other node could take it"
        yield Hold(HoldReason.DRAINED, why, active, group.name)
    frozen = scene.overrides.frozen.get(group.name)
    if frozen and group.failback is Failback.WHEN_READY and active not in (None, group.preferred[0]):
        yield Hold(
            HoldReason.MOVES_LIMITED,
            f"{group.name} stays on {active}: {frozen}",
            node=active,
            target=group.name,
            remedy=f"find out why it moves; then: hactl switchover {scene.view.cluster.name} {group.name}",
        )


def obstacles_of(scene: Scene, group: GroupSpec, active: str, goal: str) -> Iterator[tuple[str, bool]]:
    """Why the other node could not take the group now: sentence, and whether time alone clears it."""
    if goal not in scene.view.facts:
        silence = scene.view.silent.get(goal)
        yield f"{goal} does not answer: {silence.message if silence else 'nothing is known of it'}", False
        return
    for name in (active, goal):
        if not scene.view.fresh(name):
            yield f"what is known of {name} is too old", True
    hook = scene.view.hook(goal)
    if hook is not None and hook.held:
        yield f"{goal} is held back since it booted", True
    if goal in scene.overrides.drained:
        yield f"{goal} is drained", False
    if group.storage and (wrong := never_connects(scene.view, goal)):
        yield wrong, False
    for vip in group.virtual_ips:
        yield from _address(scene, goal, interface_on(vip, goal), vip.vhid, scene.view.vhid(vip, goal))
        if vip.advskews is not None and group.storage and goal != kept_by_advskews(scene, group):
            yield f"the document's advskews keep vhid {vip.vhid} where it is", False
    for storage in group.storage:
        yield from _storage(scene, storage, active, goal)
    for service in group.services:
        there = known(scene.view.facts[goal].services.get(service.name))
        if there is None or not there.exists:
            yield f"{goal} has no service {service.name}", False


def _address(scene: Scene, node: str, interface: str, number: int, vhid: Vhid | None) -> Iterator[tuple[str, bool]]:
    if vhid is None:
        yield f"vhid {number} is not known to be on {interface} of {node}", False
    elif vhid.state is CarpState.INIT:
        yield f"vhid {number} is INIT on {node}: {interface} is down", False
    demotion = scene.view.sysctl(node, "demotion") or 0
    if demotion > 0:
        yield f"{node} is demoted by {demotion}", False


def _storage(scene: Scene, storage: StorageSpec, active: str, goal: str) -> Iterator[tuple[str, bool]]:
    if goal not in storage.hast.devices:
        yield f"{goal} has no disk of {storage.name}", False
        return
    if scene.view.role(storage.name, goal) is not HastRole.SECONDARY:
        yield f"{goal} is not secondary for {storage.name}", False
    hook = scene.view.hook(goal)
    together = not refuse_each_other(scene, storage)
    if hook is None or storage.name not in hook.confirmed:
        yield f"the copy of {storage.name} on {goal} is not known to be complete yet", together
    if not scene.view.complete(storage, active):
        resource = scene.view.resource(storage.name, active)
        # hastd counts errors until its worker ends: they do not pass.
        yield _incomplete(scene, storage, active), together and (resource is None or not resource.local_errors)


def _incomplete(scene: Scene, storage: StorageSpec, active: str) -> str:
    resource = scene.view.resource(storage.name, active)
    if cut := scene.view.cut(storage):
        return f"nothing of {storage.name} reaches the other copy: {' and '.join(cut)}"
    if resource is None or resource.status != "complete":
        return f"{storage.name} is not connected"
    if resource.local_errors:
        return f"{active} has had I/O errors on its own disk of {storage.name}"
    return f"{storage.name} is being copied, {resource.dirty // 1048576} MiB to go"


def _let_go(scene: Scene, group: GroupSpec, node: str, goal: str) -> Findings:
    """Everything of the group on its node, in the order that loses nothing."""
    why = f"{group.name} moves to {goal}"
    yield from stop_on(scene, group, node, why)
    for storage in reversed(group.storage):
        yield from _release(scene, group, storage, node, why)
    for storage in reversed(group.storage):
        yield _demote(storage, node, why)
    for vip in group.virtual_ips:
        advskew = given_away(scene, group, vip, node, goal)
        if advskew is not None:
            yield _give_way(vip, node, advskew, why)


def on_both(storage: StorageSpec, within_seconds: float = 0.0) -> Check:
    """The primary says that everything is on both disks."""
    says = f"everything of {storage.name} is on both disks"
    return Check(says, checks.complete(storage.name), within_seconds)


def _release(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, why: str) -> Iterator[Step]:
    """Unmount or export, and wait until the last writes are on both disks; a pool at the last of its resources."""
    if storage.filesystem is None:
        return
    pool = pool_under(group, storage)
    if pool is not None:
        if storage is pool.storages[-1] and scene.view.imported(pool.name, node):
            yield Step.of(
                node,
                ExportPool(pool.name),
                why,
                Risk.OUTAGE,
                before=(checks.pool_imported(pool.name),),
                after=(checks.pool_absent(pool.name), *(on_both(each, FLUSH_SECONDS) for each in pool.storages)),
                timeout_seconds=120.0,
            )
        return
    for mount in scene.view.mounts(node) or ():
        if mount.special == storage.device:
            yield Step.of(
                node,
                Unmount(mount.node),
                why,
                Risk.OUTAGE,
                before=(checks.mounted(mount.special, mount.node),),
                after=(checks.mountpoint_free(mount.node), on_both(storage, FLUSH_SECONDS)),
                timeout_seconds=120.0,
            )


def _demote(storage: StorageSpec, node: str, why: str) -> Step:
    return Step.of(
        node,
        SetRole(storage.name, HastRole.SECONDARY),
        why,
        Risk.OUTAGE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.not_mounted(storage.device),
            *_pool_gone(storage),
            on_both(storage),
        ),
        after=(checks.role_is(storage.name, HastRole.SECONDARY, 5.0), checks.device_absent(storage.name)),
        timeout_seconds=storage.hast.timeout_seconds + 15.0,
    )


def _give_way(vip: VirtualIP, node: str, advskew: int, why: str) -> Step:
    """The address stays until the other node serves, and then needs no word of this one."""
    interface = interface_on(vip, node)
    return Step.of(
        node,
        SetVhid(interface, vip.vhid, advskew=advskew),
        why,
        Risk.BLIP,
        before=(checks.vhid_exists(interface, vip.vhid),),
        after=(checks.vhid_is(interface, vip.vhid, vip.advbase, advskew, None),),
    )


def _pool_gone(storage: StorageSpec) -> tuple[Check, ...]:
    zfs = storage.filesystem.zfs if storage.filesystem else None
    return (checks.pool_absent(zfs.pool),) if zfs else ()
