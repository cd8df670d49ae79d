"""Moving a group that serves to another node: the first half, which lets go of it where it is.

Rules: nothing is let go of before the other node could take it (I4, I5), by its own and the active node's fresh word;
the order is services, filesystems, roles, and a role is given up only when everything is on both disks and nothing
uses the device (I2). The second half is not here: a group that nobody is primary for is placed, promoted, mounted and
started by the areas that do that after any other interruption, and the addresses follow last. Whoever dies in between
leaves facts from which the next look goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.cluster import interface_on
from hactl.core.evidence.copies import choose_copy
from hactl.core.facts import CarpState, HastMetadata, HastRole, Vhid
from hactl.core.objects import Failback, GroupSpec, StorageSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.filesystems import device_of
from hactl.core.plan.areas.hook import copy_complete, hook_of
from hactl.core.plan.areas.services import stop_active
from hactl.core.plan.placement import kept_by_advskews
from hactl.core.plan.scene import PROMOTION_EVIDENCE_SECONDS, Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Check, Risk, Step, quote

#: How long the last writes may take to reach the other disk once nothing writes any more, seconds.
FLUSH_SECONDS = 15.0


def move_steps(scene: Scene) -> Steps:
    """Let go of the groups that should be elsewhere, one group at a time."""
    for group in scene.cluster.groups:
        _say_why_not(scene, group)
        active, goal = scene.active.get(group.name), scene.goals.get(group.name)
        if active is None or goal is None or goal == active or active not in scene.facts:
            continue
        obstacles = list(obstacles_of(scene, group, active, goal))
        if obstacles:
            passing = all(passing for _, passing in obstacles)
            scene.hold(
                "MoveWaits",
                f"{group.name} is to move from {active} to {goal}: {'; '.join(text for text, _ in obstacles)}",
                node=goal,
                target=group.name,
                passing=passing,
                remedy="" if passing else f"hactl why-not {goal} active",
            )
        elif group.storage:
            steps = _let_go(scene, group, active, goal)
            failed = [step.key for step in steps if step.key in scene.failing]
            failed += [key for s in group.storage if (key := f"{goal} SetRole {s.name}") in scene.failing]
            if not failed:
                return steps
            # All of it or nothing: half a move is an outage.
            scene.hold(
                "MoveWaits",
                f"{group.name} stays on {active}: {failed[0]}: {scene.failing[failed[0]]}",
                node=active,
                target=group.name,
            )
    return []


def _say_why_not(scene: Scene, group: GroupSpec) -> None:
    """A drained node that keeps its group, a group that may not go back by itself."""
    active = scene.active.get(group.name)
    if active in scene.overrides.drained and scene.goals.get(group.name) == active:
        scene.hold(
            "Drained",
            f"{group.name} stays on {active}, which is drained: no other node could take it",
            node=active,
            target=group.name,
        )
    frozen = scene.overrides.frozen.get(group.name)
    if frozen and group.failback is Failback.WHEN_READY and active not in (None, group.preferred[0]):
        scene.hold(
            "MovesLimited",
            f"{group.name} stays on {active}: {frozen}",
            node=active,
            target=group.name,
            remedy=f"find out why it moves; then: hactl switchover {scene.cluster.name} {group.name}",
        )


def obstacles_of(scene: Scene, group: GroupSpec, active: str, goal: str) -> Iterator[tuple[str, bool]]:
    """Why the other node could not take the group now: sentence, and whether time alone clears it."""
    facts = scene.facts.get(goal)
    if facts is None:
        yield f"{goal} does not answer: {scene.silent.get(goal, 'nothing is known of it')}", False
        return
    for name in (active, goal):
        if scene.now - scene.facts[name].seen_at > PROMOTION_EVIDENCE_SECONDS:
            yield f"what is known of {name} is too old", True
    hook = hook_of(scene, goal)
    if hook is not None and hook.held:
        yield f"{goal} is held back since it booted", True
    if goal in scene.overrides.drained:
        yield f"{goal} is drained", False
    for vip in group.virtual_ips:
        yield from _address(scene, goal, interface_on(vip, goal), vip.vhid, _vhid(scene, group, vip.vhid, goal))
        if vip.advskews is not None and group.storage and goal != kept_by_advskews(scene, group):
            yield f"the document's advskews keep vhid {vip.vhid} where it is", False
    for storage in group.storage:
        yield from _storage(scene, storage, active, goal)
    for service in group.services:
        there = known(facts.services.get(service.name))
        if there is None or not there.exists:
            yield f"{goal} has no service {service.name}", False


def _vhid(scene: Scene, group: GroupSpec, number: int, node: str) -> Vhid | None:
    vip = next(vip for vip in group.virtual_ips if vip.vhid == number)
    interface = scene.interface(vip, node)
    return interface.vhid(number) if interface else None


def _address(scene: Scene, node: str, interface: str, number: int, vhid: Vhid | None) -> Iterator[tuple[str, bool]]:
    if vhid is None:
        yield f"vhid {number} is not known to be on {interface} of {node}", False
    elif vhid.state is CarpState.INIT:
        yield f"vhid {number} is INIT on {node}: {interface} is down", False
    sysctls = known(scene.facts[node].carp_sysctls) or {}
    if sysctls.get("demotion", 0) > 0:
        yield f"{node} is demoted by {sysctls['demotion']}", False


def _storage(scene: Scene, storage: StorageSpec, active: str, goal: str) -> Iterator[tuple[str, bool]]:
    if goal not in storage.hast.devices:
        yield f"{goal} has no disk of {storage.name}", False
        return
    if scene.role(storage.name, goal) is not HastRole.SECONDARY:
        yield f"{goal} is not secondary for {storage.name}", False
    hook = known(scene.facts[goal].hook)
    together = not _refuse_each_other(scene, storage, active, goal)
    if hook is None or storage.name not in hook.confirmed:
        yield f"the copy of {storage.name} on {goal} is not known to be complete yet", together
    if not copy_complete(scene, storage, active):
        resource = (known(scene.facts[active].resources) or {}).get(storage.name)
        # hastd counts errors until its worker ends: they do not pass.
        yield _incomplete(scene, storage, active), together and (resource is None or not resource.local_errors)


def _refuse_each_other(scene: Scene, storage: StorageSpec, *nodes: str) -> bool:
    """Whether hastd connects the copies no more until a person has decided (hastd/secondary.c)."""
    copies = {node: known(scene.facts[node].metadata.get(storage.name)) for node in nodes}
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    return len(real) == len(nodes) and choose_copy(storage.name, real, nodes).refused


def _incomplete(scene: Scene, storage: StorageSpec, active: str) -> str:
    resource = (known(scene.facts[active].resources) or {}).get(storage.name)
    if resource is None or resource.status != "complete":
        return f"{storage.name} is not connected"
    if resource.local_errors:
        return f"{active} has had I/O errors on its own disk of {storage.name}"
    return f"{storage.name} is being copied, {resource.dirty // 1048576} MiB to go"


def _let_go(scene: Scene, group: GroupSpec, node: str, goal: str) -> Steps:
    """Everything of the group on its node, in the order that loses nothing."""
    why = f"{group.name} moves to {goal}"
    steps = stop_active(scene, group, node, why)
    for storage in reversed(group.storage):
        steps += _release(scene, storage, node, why)
    for storage in reversed(group.storage):
        steps.append(_demote(storage, node, why))
    return steps


def on_both(storage: StorageSpec, within_seconds: float = 0.0) -> Check:
    """The primary says that everything is on both disks."""
    return Check(
        f"everything of {storage.name} is on both disks",
        f'hastctl list {quote(storage.name)} | awk \'$1 == "status:" && $2 == "complete" {{ s = 1 }} '
        '$1 == "dirty:" && $2 == "0" { d = 1 } END { exit !(s && d) }\'',
        within_seconds,
    )


def _release(scene: Scene, storage: StorageSpec, node: str, why: str) -> Steps:
    """Unmount or export, and wait until the last writes are on both disks."""
    spec = storage.filesystem
    if spec is None:
        return []
    if spec.zfs is not None:
        pools = known(scene.facts[node].pools) or {}
        if spec.zfs.pool not in pools or not pools[spec.zfs.pool].imported:
            return []
        return [
            Step(
                node,
                "ExportPool",
                spec.zfs.pool,
                why,
                f"zpool export {quote_plain(spec.zfs.pool)}",
                Risk.OUTAGE,
                before=(checks.pool_imported(spec.zfs.pool),),
                after=(checks.pool_absent(spec.zfs.pool), on_both(storage, FLUSH_SECONDS)),
                timeout_seconds=120.0,
            )
        ]
    mounts = known(scene.facts[node].mounts) or ()
    return [
        Step(
            node,
            "Unmount",
            mount.node,
            why,
            f"umount {quote_plain(mount.node)}",
            Risk.OUTAGE,
            before=(checks.mounted(mount.special, mount.node),),
            after=(checks.mountpoint_free(mount.node), on_both(storage, FLUSH_SECONDS)),
            timeout_seconds=120.0,
        )
        for mount in mounts
        if mount.special == device_of(storage)
    ]


def _demote(storage: StorageSpec, node: str, why: str) -> Step:
    return Step(
        node,
        "SetRole",
        storage.name,
        why,
        f"hastctl role secondary {quote_plain(storage.name)}",
        Risk.OUTAGE,
        before=(
            checks.role_is(storage.name, HastRole.PRIMARY),
            checks.not_mounted(device_of(storage)),
            *_pool_gone(storage),
            on_both(storage),
        ),
        after=(checks.role_is(storage.name, HastRole.SECONDARY, 5.0), checks.device_absent(storage.name)),
        timeout_seconds=storage.hast.timeout_seconds + 15.0,
    )


def _pool_gone(storage: StorageSpec) -> tuple[Check, ...]:
    zfs = storage.filesystem.zfs if storage.filesystem else None
    return (checks.pool_absent(zfs.pool),) if zfs else ()
