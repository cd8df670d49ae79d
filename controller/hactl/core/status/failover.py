"""Whether the standby would take over completely if the active node died this second; every reason why not; how long.

Rules: nothing is promised that the nodes cannot do by themselves (CARP moves addresses, the node hook the rest). What
is not known is said, and is neither healthy nor broken. Messages hold no ages and no sizes that change while all is
well, so that an unchanged cluster has an unchanged condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hactl.core.catalogue import ConditionReason
from hactl.core.choices import FailoverPolicy, RunOn
from hactl.core.cluster import failover_of, hooked_groups
from hactl.core.evidence.connects import never_connects
from hactl.core.evidence.view import IN_FLIGHT_BYTES, ReportedRole, ServiceState, VhidState, View
from hactl.core.facts import HookFacts, device_of, known
from hactl.core.hook.installed import differing, rule_loaded
from hactl.core.hook.render import DEVD_RULE, HOOK, RULE_PRIORITY, hook_files
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.status.timeline import Timeline, predict_failover
from hactl.core.steps import Plan
from hactl.core.verbs import Verb

#: Less room than this where notes are kept is none, KiB.
ROOM_KIB = 1024


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a failover would not work now."""

    #: Of `hactl.core.catalogue.ConditionReason`.
    reason: ConditionReason
    message: str
    #: The node whose facts say so; None: it is about the group.
    node: str | None = None
    #: The interface, resource or service that it is about; empty: none.
    about: str = ""
    #: False: not known to be an obstacle, but not known not to be one.
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Failover:
    """The verdict over all groups."""

    status: Literal["True", "False", "Unknown"]
    reason: ConditionReason
    message: str
    obstacles: tuple[Obstacle, ...] = ()
    #: How long it would take, for every group that has an active node and a standby.
    timelines: tuple[Timeline, ...] = ()


def failover_ready(view: View, plan: Plan) -> Failover:
    """FailoverReady of the cluster."""
    found = tuple(obstacle for group in view.cluster.groups for obstacle in obstacles_of(view, plan, group))
    timelines = tuple(line for group in view.cluster.groups if (line := predict_failover(view, group)) is not None)
    certain = [obstacle for obstacle in found if obstacle.certain]
    if found:
        first = (certain or found)[0]
        message = "; ".join(dict.fromkeys(obstacle.message for obstacle in found))
        return Failover("False" if certain else "Unknown", first.reason, message, found, timelines)
    message = "; ".join(line.sentence for line in timelines) or "there is nothing to take over"
    return Failover("True", ConditionReason.STANDBY_READY, message, (), timelines)


def obstacles_of(view: View, plan: Plan, group: GroupSpec) -> Iterator[Obstacle]:
    """Every reason why a failover of that group would not work now, the ones people can act on first."""
    name = group.name
    active = view.active(group)
    standbys = [node for node in group.preferred if node != active]
    if active is None:
        message = f"{name}: no single node is known to be active"
        yield Obstacle(ConditionReason.NO_ACTIVE_NODE, message, certain=not view.silent)
    elif not standbys:
        yield Obstacle(ConditionReason.NO_STANDBY, f"{name}: there is no other node")
    yield from policy_obstacles(view, group)
    if active is None:
        yield from _hastd(view, group)
        return
    for node in standbys:
        yield from _standby(view, plan, group, node)
    if active in view.facts and group in hooked_groups(view.cluster, active):
        yield from _hook_there(view, active)
        yield from _stands(view, group, active)
    yield from _storage(view, group, active)
    yield from _hastd(view, group)


def _hastd(view: View, group: GroupSpec) -> Iterator[Obstacle]:
    """A hastd that never connects: on a standby it could not serve, on the active node it brings no standby back."""
    for node in group.preferred if group.storage else ():
        if wrong := never_connects(view, node):
            yield Obstacle(ConditionReason.HASTD_NEVER_CONNECTS, wrong, node, about="hastd")


def _moves_more(group: GroupSpec) -> list[str]:
    """What of the group CARP does not move."""
    services = any(service.run_on is RunOn.ACTIVE for service in group.services)
    return [word for word, there in (("storage", group.storage), ("services", services)) if there]


def policy_obstacles(view: View, group: GroupSpec) -> Iterator[Obstacle]:
    """What the document itself keeps from moving without a person."""
    what = " and ".join(_moves_more(group))
    if what and not group.virtual_ips:
        message = f"{group.name}: it has no virtual IP whose move a node could see, so its {what} wait for hactl"
        yield Obstacle(ConditionReason.STORAGE_STAYS_PUT, message)
    elif what and failover_of(view.cluster, group).policy is FailoverPolicy.MANUAL:
        message = f"{group.name}: failover.policy is Manual, so {what} wait for a person"
        yield Obstacle(ConditionReason.MANUAL_POLICY, message)


def _standby(view: View, plan: Plan, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    if node not in view.facts:
        message = f"{node} does not answer ({view.silent[node].reason})"
        yield Obstacle(ConditionReason.STANDBY_SILENT, message, node, certain=False)
        return
    yield from hook_obstacles(view, group, node)
    for vip in group.virtual_ips:
        yield from _vip(view, group, vip, node)
    yield from _sysctls(view, group, node)
    for service in group.services:
        if service.run_on is RunOn.ACTIVE and view.service(service.name, node) is ServiceState.MISSING:
            message = f"{node} has no service {service.name}"
            yield Obstacle(ConditionReason.SERVICE_MISSING, message, node, about=service.name)
    pending = [step.target for step in plan.steps if step.node == node and _lacks_at_boot(step.verb)]
    if pending:
        message = f"{node} would boot without {', '.join(dict.fromkeys(pending))}"
        yield Obstacle(ConditionReason.WRONG_AFTER_REBOOT, message, node)


def _lacks_at_boot(verb: Verb) -> bool:
    """A service that starts at boot where it should not is no obstacle."""
    return verb.traits.boot_only and verb is not Verb.DISABLE_SERVICE


def _sysctls(view: View, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    if not group.virtual_ips:
        return
    sysctls, hook = known(view.facts[node].carp_sysctls), view.hook(node)
    if sysctls is None:
        message = f"net.inet.carp of {node} is not known"
        yield Obstacle(ConditionReason.SYSCTLS_UNKNOWN, message, node, certain=False)
        return
    held = hook.held if hook is not None else 0
    off = sysctls.get("allow", 1) == 0
    demotion = sysctls.get("demotion", 0) - held
    # The boot hold turns CARP off, which demotes too; what holds the node back is told by the hook's obstacles.
    if demotion > 0 and not (held and off):
        yield Obstacle(ConditionReason.STANDBY_DEMOTED, f"{node} is demoted by {demotion}", node)
    if sysctls.get("preempt") != 1:
        message = f"{node} has net.inet.carp.preempt={sysctls.get('preempt', 0)}"
        yield Obstacle(ConditionReason.PREEMPT_OFF, message, node)
    if off and not held:
        yield Obstacle(ConditionReason.CARP_OFF, f"{node} has net.inet.carp.allow=0", node)


# --- the node hook ------------------------------------------------------------------------------------------------


def hook_obstacles(view: View, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    """What keeps the hook of a node that answers from taking the group over; nothing for groups of addresses only."""
    if node in view.facts and group in hooked_groups(view.cluster, node):
        yield from _hook_there(view, node)
        yield from _stands(view, group, node)
        yield from _hook_notes(view, group, node)


def _hook_there(view: View, node: str) -> Iterator[Obstacle]:
    """Whether the hook's files are as the document makes them, and devd has read its rule."""
    hook = view.hook(node)
    if hook is None:
        message = f"what {node} has of the node hook is not known"
        yield Obstacle(ConditionReason.HOOK_UNKNOWN, message, node, certain=False)
        return
    files = hook_files(view.cluster, node)
    wrong = [file.path for file in differing(files, hook)]
    if wrong:
        message = f"{node} does not have the node hook as the document makes it: {', '.join(wrong)}"
        yield Obstacle(ConditionReason.HOOK_MISSING, message, node)
        return
    yield from _devd(view, node, hook)
    if not rule_loaded(files, hook):
        message = f"devd of {node} was not started with the rule of the node hook"
        yield Obstacle(ConditionReason.HOOK_NOT_LOADED, message, node)
    yield from _overtaken(hook, node)


def _devd(view: View, node: str, hook: HookFacts) -> Iterator[Obstacle]:
    """Whether devd runs, and reads the directory of the rule."""
    running = known(view.facts[node].devd)
    if running is None:
        message = f"it is not known whether devd of {node} runs"
        yield Obstacle(ConditionReason.HOOK_UNKNOWN, message, node, certain=False)
    elif not running:
        message = f"devd of {node} does not run, so nothing there can call the node hook"
        yield Obstacle(ConditionReason.DEVD_STOPPED, message, node)
    place = DEVD_RULE.rpartition("/")[0]
    if hook.directories is not None and place not in hook.directories:
        message = f"devd of {node} does not read {place}, where the rule of the node hook is: see /etc/devd.conf"
        yield Obstacle(ConditionReason.HOOK_NOT_LOADED, message, node)


def _stands(view: View, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    """What a node needs besides to take over, or to be taken over from: hastd's ear, the way to the peer, room."""
    facts = view.facts[node]
    listening, refused, free = known(facts.listening), known(facts.refused) or (), known(facts.free) or {}
    for storage in group.storage:
        mine = storage.hast.addresses.get(node)
        if mine is not None and listening is not None and not listening & {"*", mine}:
            message = (
                f"hastd of {node} takes no connections on {mine}: restart it when {device_of(storage.name)} is free"
            )
            yield Obstacle(ConditionReason.HASTD_DEAF, message, node, about=storage.name)
        for other, address in storage.hast.addresses.items():
            if other != node and address in refused:
                message = f"{node} has no way to {address} ({other}): a route refuses it"
                yield Obstacle(ConditionReason.PEER_REFUSED, message, node, about=address)
    yield from _mountpoints(view, group, node)
    if (known(facts.carp_sysctls) or {}).get("log") == 0:
        message = f"{node} has net.inet.carp.log=0: its hook reads in the kernel's log why an address came or went"
        yield Obstacle(ConditionReason.CARP_SILENT, message, node)
    full = [path for path, room in free.items() if room < ROOM_KIB]
    if full:
        message = f"{node} has no room in {' and '.join(full)}, where the node hook keeps its notes"
        yield Obstacle(ConditionReason.NO_ROOM, message, node)


def _mountpoints(view: View, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    """Where something else is mounted nothing of ours is: the hook would stop there."""
    wanted = {spec.ufs.mountpoint: s for s in group.storage if (spec := s.filesystem) is not None and spec.ufs}
    for mount in view.mounts(node) or ():
        storage = wanted.get(mount.node)
        if storage is not None and mount.special != device_of(storage.name):
            message = f"{node} has {mount.special} on {mount.node}, where {storage.name} would be mounted"
            yield Obstacle(ConditionReason.MOUNTPOINT_TAKEN, message, node, about=mount.node)


def _overtaken(hook: HookFacts, node: str) -> Iterator[Obstacle]:
    """Rules of somebody else that devd runs instead of the hook's."""
    if hook.overtaken_by is None:
        message = f"it is not known whether devd of {node} prefers a rule of somebody else to the node hook's"
        yield Obstacle(ConditionReason.HOOK_UNKNOWN, message, node, certain=False)
    elif hook.overtaken_by:
        where = ", ".join(f"{rule.file}:{rule.line} (notify {rule.priority})" for rule in hook.overtaken_by)
        message = (
            f"devd of {node} runs {where} for CARP and not the node hook (notify {RULE_PRIORITY}): give it a lower "
            f"number, or let it call `{HOOK} carp $subsystem $type` too; then: service devd restart"
        )
        yield Obstacle(ConditionReason.HOOK_OVERTAKEN, message, node)


def _hook_notes(view: View, group: GroupSpec, node: str) -> Iterator[Obstacle]:
    """What keeps the standby's hook from taking over although it is there."""
    hook = view.hook(node)
    if hook is None:
        return
    if hook.drained is not None:
        yield Obstacle(ConditionReason.DRAINED, f"{node} takes nothing over: {hook.drained}", node)
    if hook.held:
        message = f"{node} is held back since it booted (demotion {hook.held})"
        yield Obstacle(ConditionReason.HELD_AT_BOOT, message, node)
    for storage in group.storage:
        why = unconfirmed(hook, storage.name)
        if why and node in storage.hast.devices:
            message = f"{node} would not promote {storage.name}: {why}"
            yield Obstacle(ConditionReason.COPY_NOT_CONFIRMED, message, node, about=storage.name)


def unconfirmed(hook: HookFacts, resource: str) -> str:
    """Why the node's hook does not promote its copy; empty: it does."""
    if resource not in hook.confirmed:
        return "hactl has not confirmed that its copy is complete"
    if resource in hook.disconnected:
        return "its copy lost its primary and may be behind"
    return ""


# --- CARP and HAST ------------------------------------------------------------------------------------------------


def _vip(view: View, group: GroupSpec, vip: VirtualIP, node: str) -> Iterator[Obstacle]:
    state = view.state(vip, node)
    if state is VhidState.UNKNOWN:
        message = f"vhid {vip.vhid} on {node} is not known"
        yield Obstacle(ConditionReason.STATE_UNKNOWN, message, node, certain=False)
    elif state is not VhidState.BACKUP:
        yield Obstacle(ConditionReason.STANDBY_NOT_BACKUP, f"vhid {vip.vhid} is {state} on {node}", node)
    interface = view.interface(vip, node)
    if interface is not None and not interface.up:
        message = f"{interface.name} of {node} is {interface.status or 'down'}"
        yield Obstacle(ConditionReason.STANDBY_INTERFACE_DOWN, message, node, about=interface.name)
    vhid, wanted = view.vhid(vip, node), view.cluster.keys.get((group.name, vip.name))
    if vhid is not None and wanted is not None and vhid.key != wanted:
        message = f"vhid {vip.vhid} of {node} has another password"
        yield Obstacle(ConditionReason.PASSWORD_DIFFERS, message, node)


def _storage(view: View, group: GroupSpec, active: str) -> Iterator[Obstacle]:
    for storage in group.storage:
        resource = view.resource(storage.name, active)
        if cut := view.cut(storage):
            message = f"nothing of {storage.name} reaches the other copy: {' and '.join(cut)}"
            yield Obstacle(ConditionReason.REPLICATION_CUT, message, active, about=storage.name)
        if resource is not None and resource.status != "complete":
            message = f"{storage.name} is {resource.status or 'without a worker'} on {active}"
            yield Obstacle(ConditionReason.DEGRADED, message, active, about=storage.name)
        elif resource is not None and resource.dirty > IN_FLIGHT_BYTES:
            message = f"{storage.name} is being copied; part of it is on {active} only"
            yield Obstacle(ConditionReason.NOT_SYNCHRONISED, message, active, about=storage.name)
        for node, role in view.roles(storage).items():
            if node == active or node in view.silent:
                continue
            if role is ReportedRole.UNKNOWN:
                message = f"the role of {node} for {storage.name} is not known"
                yield Obstacle(ConditionReason.ROLE_UNKNOWN, message, node, about=storage.name, certain=False)
            elif role is not ReportedRole.SECONDARY:
                message = f"{node} is {role} for {storage.name}"
                yield Obstacle(ConditionReason.STANDBY_NOT_SECONDARY, message, node, about=storage.name)
