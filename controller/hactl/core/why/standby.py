"""What keeps a node from taking a group over, as explanations with remedies; from `hactl.core.status.failover`."""

from __future__ import annotations

from hactl.core.catalogue import ConditionReason, HoldReason
from hactl.core.evidence.connects import cure
from hactl.core.evidence.view import VhidState
from hactl.core.status.failover import Obstacle, hook_obstacles, obstacles_of, policy_obstacles
from hactl.core.why.answer import Explanation, Fact, Remedy
from hactl.core.why.carp import why_no_part
from hactl.core.why.demotion import demotion_of
from hactl.core.why.subject import Subject

#: What helps on the node itself: a command about the obstacle's interface, resource or service, and a note.
_COMMANDS: dict[ConditionReason, tuple[str, str]] = {
    ConditionReason.PREEMPT_OFF: ("sysctl net.inet.carp.preempt=1", ""),
    ConditionReason.CARP_OFF: ("sysctl net.inet.carp.allow=1", ""),
    ConditionReason.CARP_SILENT: ("sysctl net.inet.carp.log=1", "and see what sets it in /etc/sysctl.conf"),
    ConditionReason.MOUNTPOINT_TAKEN: ("umount {about}", "and see what mounts it in /etc/fstab"),
    ConditionReason.DEGRADED: ("grep hastd /var/log/messages | tail", "why it is not connected"),
    ConditionReason.NOT_SYNCHRONISED: ("hastctl list {about}", "dirty falls to 0 by itself"),
    ConditionReason.ROLE_UNKNOWN: ("service hastd onestatus; hastctl list {about}", ""),
    ConditionReason.STANDBY_NOT_SECONDARY: ("service hastd onestatus; hastctl list {about}", ""),
    ConditionReason.STANDBY_INTERFACE_DOWN: ("ifconfig {about} up", "or look at the cable and the switch port"),
    ConditionReason.REPLICATION_CUT: ("ifconfig", "look at the cable and the switch port"),
    ConditionReason.HASTD_DEAF: ("sockstat -46l -P tcp -p 8457; grep hastd /var/log/messages | tail", ""),
    ConditionReason.PEER_REFUSED: ("route -n get {about}; route delete -host {about}", ""),
    ConditionReason.NO_ROOM: ("df -k /var/db /var/run", "make room there"),
    ConditionReason.SERVICE_MISSING: ("service -l", "install what provides it"),
}
#: Where hactl itself is the remedy: what else to do for it.
_APPLY: dict[ConditionReason, str] = {
    ConditionReason.HOOK_MISSING: "in mode Apply",
    ConditionReason.DEVD_STOPPED: "in mode Apply",
    ConditionReason.HOOK_NOT_LOADED: "in mode Apply",
    ConditionReason.WRONG_AFTER_REBOOT: "in mode Apply",
    ConditionReason.PASSWORD_DIFFERS: "in mode Apply",
    ConditionReason.MANUAL_POLICY: "with failover.policy: Automatic in the document",
}


def not_ready(subject: Subject) -> Explanation | None:
    """Why a failover would not work now."""
    found = list(obstacles_of(subject.view, subject.plan, subject.group))
    if not found:
        return None
    first = next((obstacle for obstacle in found if obstacle.certain), found[0])
    one = explained(subject, first)
    where = f"{subject.name} is served by {subject.active}" if subject.active else f"{subject.name} is served by nobody"
    others = tuple(dict.fromkeys(each.message for each in found if each.message != first.message))
    head = f"{where}, but the standby would not take it over: {one.headline}"
    return Explanation(one.cause, head, one.facts, one.remedies, also=others)


def hook_reason(subject: Subject, node: str) -> Explanation | None:
    """Why the hook of a node does not take the group over although its addresses are there."""
    found = [*policy_obstacles(subject.view, subject.group), *hook_obstacles(subject.view, subject.group, node)]
    certain = [obstacle for obstacle in found if obstacle.certain]
    return explained(subject, certain[0]) if certain else None


def explained(subject: Subject, obstacle: Obstacle) -> Explanation:
    """One obstacle with its facts and its remedy."""
    node = obstacle.node
    if obstacle.reason in (ConditionReason.STANDBY_DEMOTED, ConditionReason.HELD_AT_BOOT) and node is not None:
        demotion = demotion_of(subject, node)
        if demotion is not None:
            return Explanation(obstacle.reason, demotion.clause, demotion.facts, (demotion.remedy,))
    if obstacle.reason is ConditionReason.STANDBY_NOT_BACKUP and node is not None:
        for vip in subject.group.virtual_ips:
            part = why_no_part(subject, vip, node)
            if part is not None:
                return part
    fact = subject.fact(node, obstacle.message) if node is not None else Fact(obstacle.message)
    return Explanation(obstacle.reason, obstacle.message, (fact,), (_remedy(subject, obstacle),))


def _remedy(subject: Subject, obstacle: Obstacle) -> Remedy:
    reason, node = obstacle.reason, obstacle.node
    if reason in _COMMANDS:
        command, note = _COMMANDS[reason]
        return Remedy(command.format(about=obstacle.about), node, note)
    if reason in _APPLY:
        return subject.applied(_APPLY[reason])
    if reason is ConditionReason.HASTD_NEVER_CONNECTS and node is not None:
        return Remedy(cure(subject.view, node))
    if reason is ConditionReason.DRAINED:
        return Remedy(f"hactl uncordon {node}")
    if reason is ConditionReason.STANDBY_SILENT and node is not None:
        return subject.login(node)
    if reason is ConditionReason.COPY_NOT_CONFIRMED:
        return subject.looked_at("hactl confirms the copy once the primary says that everything is on both disks")
    return subject.looked_at("it says what is held back and why")


def silent(subject: Subject) -> Explanation | None:
    """A node of the group does not answer: what it would say is not known, and nothing is concluded from it."""
    quiet = [node for node in subject.group.preferred if node in subject.view.silent]
    if not quiet:
        return None
    node = quiet[0]
    why = subject.view.silent[node].reason
    active = subject.active
    rest = "nobody answers" if len(quiet) == len(subject.group.preferred) else "who serves is not known"
    if active is not None:
        rest = f"{subject.name} is served by {active}; whether {node} could take it over is not known"
    facts = [subject.fact(node, f"no answer: {why}")]
    if active is not None:
        states = [f"vhid {vip.vhid} {subject.view.state(vip, active)}" for vip in subject.group.virtual_ips]
        known = [state for state in states if not state.endswith(VhidState.UNKNOWN)]
        facts.append(
            subject.fact(active, ", ".join([*known, *(f"primary for {s.name}" for s in subject.group.storage)]))
        )
    return Explanation(
        HoldReason.NODE_SILENT, f"{node} does not answer ({why}): {rest}", tuple(facts), (subject.login(node),)
    )
