"""What is wrong with the storage of a group: two primaries, diverged copies, on another node than the address, mounted
by somebody else. Each function answers for one case: an Explanation when it is the case, None when it is not.

Man pages: hastctl(8), mount(8).
"""

from __future__ import annotations

from hactl.core.catalogue import Cause, ConditionReason, HoldReason
from hactl.core.evidence.connects import device_never_came, never_connects, remedy_of_stuck
from hactl.core.evidence.copies import Comparison, Verdict, compare_copies, comparison_table, fenced_words, stale_writer
from hactl.core.evidence.hook_log import STOPPED, moves_of
from hactl.core.evidence.view import MountState, ReportedRole
from hactl.core.facts import HastMetadata, Mount, known
from hactl.core.objects import StorageSpec, VirtualIP
from hactl.core.verbs import Verb
from hactl.core.why.answer import Explanation, Fact, Remedy
from hactl.core.why.carp import why_backup, why_no_part
from hactl.core.why.standby import hook_reason
from hactl.core.why.subject import Subject


def two_primaries(subject: Subject) -> Explanation | None:
    """Two nodes are primary for one resource."""
    for storage in subject.group.storage:
        nodes = subject.view.primaries(storage)
        if len(nodes) < 2:
            continue
        comparison = compare_copies(subject.view, storage)
        idle = [node for node in nodes if subject.view.mount(storage, node) is not MountState.MOUNTED]
        loser = idle[0] if idle else None
        remedies = [Remedy(f"hactl resolve {subject.cluster} {storage.name} --discard NODE --dry-run")]
        if loser is not None:
            remedies = [_resolve(subject, storage, loser)]
        return Explanation(
            ConditionReason.TWO_PRIMARIES,
            f"{' and '.join(nodes)} are both primary for {storage.name}: what they write now differs",
            tuple(_copy_fact(subject, comparison, node) for node in nodes),
            tuple(remedies),
        )
    return None


def split_brain(subject: Subject) -> Explanation | None:
    """The copies refuse each other: both were written while apart, or they belong to different resources."""
    for storage in subject.group.storage:
        comparison = compare_copies(subject.view, storage)
        if not comparison.apart:
            continue
        cause = HoldReason.SPLIT_BRAIN if comparison.verdict is Verdict.DIVERGED else HoldReason.FOREIGN_COPY
        nodes = [copy.node for copy in comparison.copies]
        primaries = subject.view.primaries(storage)
        losers = [node for node in nodes if node not in primaries] if len(primaries) == 1 else nodes
        facts = [_copy_fact(subject, comparison, node) for node in nodes]
        slept = stale_writer(subject.view, storage)
        if slept is not None and slept not in primaries:
            losers = [slept]
            facts.append(_slept(subject, storage, slept))
        return Explanation(
            cause,
            comparison.message + ": HAST never joins them again by itself",
            tuple(facts),
            tuple(_resolve(subject, storage, node) for node in losers),
        )
    return None


def _slept(subject: Subject, storage: StorageSpec, node: str) -> Fact:
    """What the hook noted when it took the device away from a node that had slept."""
    return subject.fact(node, fenced_words(subject.view, storage, node))


def device_missing(subject: Subject) -> Explanation | None:
    """A primary that waits for ever for its own connection."""
    for storage in subject.group.storage:
        for node in storage.hast.devices:
            head = device_never_came(subject.view, storage, node)
            resource = subject.view.resource(storage.name, node)
            if not head or resource is None:
                continue
            said = f"{storage.name}: role {resource.role}, status {resource.status}, workerpid {resource.workerpid}"
            facts = [subject.fact(node, said), subject.fact(node, f"{storage.device}: not there")]
            peers = [peer for peer in storage.hast.devices if peer != node]
            facts += [subject.fact(peer, f"{storage.name}: secondary") for peer in peers]
            if broken := never_connects(subject.view, node):
                facts.append(subject.fact(node, broken))
            remedy = Remedy(remedy_of_stuck(subject.view, storage, node))
            return Explanation(HoldReason.DEVICE_NEVER_CAME, head, tuple(facts), (remedy,))
    return None


def _resolve(subject: Subject, storage: StorageSpec, node: str) -> Remedy:
    command = f"hactl resolve {subject.cluster} {storage.name} --discard {node} --dry-run"
    return Remedy(command, None, f"throws away what only {node} has")


def _copy_fact(subject: Subject, comparison: Comparison, node: str) -> Fact:
    """One column of the table on one line."""
    header, rows = comparison_table(comparison)
    column = header.index(node)
    cells = [f"{row[0]} {row[column]}" for row in rows if row[0] not in ("device", "prevrole")]
    return subject.fact(node, f"{comparison.resource}: " + ", ".join(cells))


# --- mounts -------------------------------------------------------------------------------------------------------


def mounted_outside(subject: Subject) -> Explanation | None:
    """A filesystem or pool of the group is in use where, or as, the document does not say."""
    for storage in subject.group.storage:
        for node in storage.hast.devices:
            found = _mounted(subject, storage, node) or _pool(subject, storage, node)
            if found is not None:
                return found
    return None


def _mounted(subject: Subject, storage: StorageSpec, node: str) -> Explanation | None:
    facts = subject.facts(node)
    local, replicated = storage.hast.devices[node], storage.device
    ufs = storage.filesystem.ufs if storage.filesystem else None
    role = subject.view.reported_role(storage.name, node)
    for mount in (known(facts.mounts) or ()) if facts is not None else ():
        if mount.special == local or (mount.special.startswith(local) and mount.special[len(local)].isalpha()):
            head = f"{mount.special} of {node} is mounted on {mount.node} behind HAST's back"
            return _umount(subject, Cause.RAW_DEVICE_MOUNTED, head, node, mount)
        if mount.special == replicated and role not in (ReportedRole.PRIMARY, ReportedRole.UNKNOWN):
            head = f"{replicated} is still mounted on {mount.node} of {node}, which is {role}: its device is gone"
            return _umount(subject, Cause.MOUNTED_ON_STANDBY, head, node, mount)
        if mount.special == replicated and ufs is not None and mount.node != ufs.mountpoint:
            head = f"{replicated} is mounted on {mount.node} of {node}, the document says {ufs.mountpoint}"
            return _umount(subject, Cause.MOUNTED_ELSEWHERE, head, node, mount)
        if ufs is not None and mount.node == ufs.mountpoint and mount.special != replicated:
            head = f"{mount.special} is mounted on {mount.node} of {node}, where {replicated} belongs"
            return _umount(subject, HoldReason.MOUNTPOINT_BUSY, head, node, mount)
    return None


def _umount(subject: Subject, cause: Cause | HoldReason, head: str, node: str, mount: Mount) -> Explanation:
    fact = subject.fact(node, f"mount: {mount.special} on {mount.node} ({mount.fstype})")
    return Explanation(cause, head, (fact,), (Remedy(f"umount {mount.node}", node, "after what uses it has stopped"),))


def _pool(subject: Subject, storage: StorageSpec, node: str) -> Explanation | None:
    zfs = storage.filesystem.zfs if storage.filesystem else None
    role = subject.view.reported_role(storage.name, node)
    if (
        zfs is None
        or role in (ReportedRole.PRIMARY, ReportedRole.UNKNOWN)
        or subject.view.mount(storage, node) not in (MountState.MOUNTED, MountState.DEAD)
    ):
        return None
    head = f"pool {zfs.pool} is imported on {node}, which is {role} for {storage.name}"
    fact = subject.fact(node, f"zpool list: {zfs.pool}")
    remedies = [Remedy(f"zpool export {zfs.pool}", node)]
    if subject.view.works_without(storage, node):
        head += ": it works without that device"
        remedies = [
            Remedy(f"hastctl role primary {storage.name}", node, "when no other node is primary"),
            Remedy(f"zpool online {zfs.pool} {storage.device}", node, "then ZFS brings it up to date"),
        ]
    return Explanation(Cause.MOUNTED_ON_STANDBY, head, (fact,), tuple(remedies))


# --- address and storage apart ------------------------------------------------------------------------------------


def apart(subject: Subject) -> Explanation | None:
    """A vhid is MASTER on a node that does not have the storage behind it."""
    for vip in subject.group.virtual_ips:
        masters = subject.view.masters(vip)
        for storage in subject.group.storage:
            role = subject.view.reported_role(storage.name, masters[0]) if len(masters) == 1 else ReportedRole.PRIMARY
            if role in (ReportedRole.PRIMARY, ReportedRole.UNKNOWN):
                continue
            holder = subject.view.primaries(storage)
            if holder:
                return _elsewhere(subject, vip, storage, masters[0], holder[0])
            return _without(subject, vip, storage, masters[0])
    return None


def _elsewhere(subject: Subject, vip: VirtualIP, storage: StorageSpec, master: str, holder: str) -> Explanation:
    """CARP does not know of storage: it elects the better number (recording 06)."""
    why = why_no_part(subject, vip, holder) or why_backup(subject, vip, holder, master)
    role = subject.view.reported_role(storage.name, master)
    facts = (
        subject.fact(holder, f"{storage.name} is primary"),
        subject.fact(master, f"vhid {vip.vhid} is MASTER, {storage.name} is {role}"),
        *why.facts,
    )
    head = f"vhid {vip.vhid} is MASTER on {master}, but {storage.name} is primary on {holder}: {why.headline}"
    remedies = why.remedies
    if why.cause is Cause.SLOWER_THAN_MASTER:
        remedies = (subject.applied("in mode Apply hactl gives the node with the storage the better advskew"),)
    return Explanation(Cause.STORAGE_ELSEWHERE, head, facts, remedies)


def _without(subject: Subject, vip: VirtualIP, storage: StorageSpec, master: str) -> Explanation:
    why = why_not_primary(subject, storage, master)
    fact = subject.fact(
        master, f"vhid {vip.vhid} is MASTER, {storage.name} is {subject.view.reported_role(storage.name, master)}"
    )
    head = f"{master} is MASTER of vhid {vip.vhid} and no node that answers is primary for {storage.name}"
    return Explanation(why.cause, f"{head}: {why.headline}", (fact, *why.facts), why.remedies)


# --- roles --------------------------------------------------------------------------------------------------------


def why_not_primary(subject: Subject, storage: StorageSpec, node: str) -> Explanation:
    """Why a node is not primary for a resource."""
    name = storage.name
    peers = [peer for peer in storage.hast.devices if peer != node]
    role = subject.view.reported_role(name, node)
    if node in subject.view.silent:
        head = f"{node} does not answer ({subject.view.silent[node].reason}), so its role for {name} is not known"
        return Explanation(HoldReason.NODE_SILENT, head, (subject.fact(node, "no answer"),), (subject.login(node),))
    if role is ReportedRole.UNKNOWN:
        fact = subject.fact(node, f"the role of {name} could not be read")
        return Explanation(
            HoldReason.ROLE_UNKNOWN, f"{node} does not report its role for {name}", (fact,), (_hastctl(node, name),)
        )
    for peer in peers:
        if subject.view.reported_role(name, peer) is ReportedRole.PRIMARY:
            head = f"{peer} is primary for {name}, and two nodes never are"
            move = f"hactl switchover {subject.cluster} {subject.name} --to {node}"
            facts = (subject.fact(peer, f"{name} is primary"), subject.fact(node, f"{name} is {role}"))
            return Explanation(Cause.PEER_PRIMARY, head, facts, (Remedy(move, None, f"if {node} should have it"),))
    return _hast(subject, storage, node, role) or _choice(subject, storage, node, peers)


def _hast(subject: Subject, storage: StorageSpec, node: str, role: str) -> Explanation | None:
    """What hastd and the disk of the node say."""
    name, facts = storage.name, subject.facts(node)
    hastd = known(facts.hastd) if facts is not None else None
    if hastd is not None and not hastd.running:
        start = Remedy("service hastd onestart", node)
        return Explanation(
            Cause.HASTD_DOWN, f"hastd does not run on {node}", (subject.fact(node, "hastd: stopped"),), (start,)
        )
    if role is ReportedRole.ABSENT:
        fact = subject.fact(node, f"hastctl list: no {name}")
        return Explanation(Cause.NO_RESOURCE, f"hastd of {node} does not know {name}", (fact,), (subject.applied(),))
    copy = subject.view.metadata(name, node)
    if copy is not None and not isinstance(copy, HastMetadata):
        fact = subject.fact(node, f"hastctl dump {name}: {copy.value}")
        head = f"{storage.hast.devices[node]} of {node} holds no copy of {name}"
        return Explanation(
            Cause.NO_COPY, head, (fact,), (subject.looked_at("it says why the disk is not initialised"),)
        )
    return None


def _choice(subject: Subject, storage: StorageSpec, node: str, peers: list[str]) -> Explanation:
    """Nobody is primary as far as is known: what keeps this node from becoming it."""
    name = storage.name
    quiet = next((peer for peer in peers if peer in subject.view.silent), None)
    pending = next(
        (s for s in subject.plan.steps if s.verb is Verb.SET_ROLE and s.target == name and s.node == node), None
    )
    if quiet is None and pending is not None:
        fact = Fact(f"next: {pending.command.splitlines()[0]} on {node}: {pending.why}")
        return Explanation(Cause.ABOUT_TO_PROMOTE, f"hactl is about to make {node} primary for {name}", (fact,),
                           (subject.applied(),))  # fmt: skip
    apart_now = split_brain(subject)
    if apart_now is not None:
        return apart_now
    comparison = compare_copies(subject.view, storage)
    if comparison.newer not in (None, node) and quiet is None:
        head = f"the copy of {comparison.newer} is newer: {comparison.message}"
        facts = tuple(_copy_fact(subject, comparison, copy.node) for copy in comparison.copies)
        return Explanation(
            Cause.COPY_OLDER, head, facts, (subject.looked_at(f"hactl makes {comparison.newer} primary"),)
        )
    reason = hook_reason(subject, node)
    if reason is not None:
        return _with_peer(subject, storage, reason, node, quiet)
    stopped = _hook_stopped(subject, node)
    if stopped is not None:
        head = f"the node hook of {node} stopped: {stopped}"
        return Explanation(Cause.HOOK_STOPPED, head, (subject.fact(node, f"moves: {stopped}"),),
                           (Remedy("/usr/local/libexec/hactl/hook status", node),))  # fmt: skip
    if quiet is not None:
        head = f"{quiet} does not answer and may be primary for {name}; hactl promotes nobody on silence"
        return Explanation(HoldReason.PEER_SILENT, head, (subject.fact(quiet, "no answer"),),
                           (subject.login(quiet), *_by_hand(storage, node, quiet)))  # fmt: skip
    hold = next((hold for hold in subject.plan.holds if hold.target in (name, subject.name)), None)
    if hold is not None:
        remedy = Remedy(hold.remedy) if hold.remedy else subject.looked_at("")
        return Explanation(hold.reason, hold.message, (Fact(hold.message, hold.node),), (remedy,))
    head = f"no node is primary for {name}"
    fact = subject.fact(node, f"{name} is {subject.view.reported_role(name, node)}")
    remedy = subject.looked_at("it says what hactl waits for")
    return Explanation(ConditionReason.NO_PRIMARY, head, (fact,), (remedy,))


def _with_peer(
    subject: Subject, storage: StorageSpec, reason: Explanation, node: str, quiet: str | None
) -> Explanation:
    """What the hook waits for, and what a person may do while the peer is silent."""
    if quiet is None:
        return reason
    facts = (*reason.facts, subject.fact(quiet, "no answer: it may be primary"))
    remedies = (
        reason.remedies
        if reason.cause not in (ConditionReason.MANUAL_POLICY, ConditionReason.COPY_NOT_CONFIRMED)
        else (subject.login(quiet),)
    )
    return Explanation(reason.cause, reason.headline, facts, (*remedies, *_by_hand(storage, node, quiet)))


def _by_hand(storage: StorageSpec, node: str, quiet: str) -> tuple[Remedy, ...]:
    note = f"only if {quiet} is certainly off: what only it has is then lost"
    return (Remedy(f"hastctl role primary {storage.name}", node, note),)


def _hook_stopped(subject: Subject, node: str) -> str | None:
    """The text of the hook's last word on the group, when that was that it stopped."""
    moves = list(moves_of(subject.view.hook(node), subject.name))
    return (moves[-1].text or STOPPED) if moves and moves[-1].what == STOPPED else None


def _hastctl(node: str, name: str) -> Remedy:
    return Remedy(f"service hastd onestatus; timeout 5 hastctl list {name}", node)
