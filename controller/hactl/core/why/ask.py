"""`hactl why` and `hactl why-not`: the smallest set of facts that explains why a group is as it is, and what to do.

Rules: pure; the cases are asked in a fixed order, worst and most causal first, and the first that is the case is the
answer, with its own facts only; what else is the matter is named in one line each. Nothing is concluded from silence.
"""

from __future__ import annotations

from collections.abc import Callable

from hactl.core.catalogue import Cause, ConditionReason, HoldReason
from hactl.core.evidence.view import ReportedRole, VhidState, View
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.steps import Plan
from hactl.core.why.answer import Explanation, Fact, Question, each
from hactl.core.why.carp import demoted, nobody, orphan, two_masters, why_backup, why_no_part, wrong_vhid
from hactl.core.why.serving import fought, healthy, not_serving, service_elsewhere
from hactl.core.why.standby import hook_reason, not_ready, silent
from hactl.core.why.storage import apart, device_missing, mounted_outside, split_brain, two_primaries, why_not_primary
from hactl.core.why.subject import Background, Subject
from hactl.core.why.waiting import asked_for, not_ours, pending

#: What is wrong, in the order it is asked for.
_WRONG: tuple[Callable[[Subject], Explanation | None], ...] = (
    two_primaries,
    split_brain,
    two_masters,
    not_ours,
    device_missing,
    mounted_outside,
    fought,
    apart,
    wrong_vhid,
    nobody,
    silent,
    not_serving,
    orphan,
    service_elsewhere,
    demoted,
    asked_for,
)
#: What keeps a healthy group from being ready for the next failure or as the document says.
_NEXT: tuple[Callable[[Subject], Explanation | None], ...] = (not_ready, pending)
#: So many headlines of other trouble are named.
_ALSO = 4


def explain(
    view: View, plan: Plan, question: Question | None = None, background: Background | None = None
) -> Explanation:
    """The answer to a question about one group; without a group the first that is not well, else the first.

    Raises KeyError for a group or a node that the document does not have.
    """
    question, background = question or Question(), background or Background()
    subjects = [Subject(view, plan, group, background) for group in _groups(view, question)]
    answers = [_answer(subject, question) for subject in subjects]
    return next((answer for answer in answers if not answer.healthy), answers[0])


def _groups(view: View, question: Question) -> list[GroupSpec]:
    groups = [group for group in view.cluster.groups if question.group in (None, group.name)]
    if not groups:
        raise KeyError(question.group)
    if question.node is not None:
        groups = [group for group in groups if question.node in group.preferred]
        if not groups:
            raise KeyError(question.node)
    return groups


def _answer(subject: Subject, question: Question) -> Explanation:
    if question.node is None:
        return _why(subject)
    return _why_not(subject, question.node, question.what or "active")


def _why(subject: Subject) -> Explanation:
    found = [answer for find in _WRONG if (answer := find(subject)) is not None]
    if not found:
        return next((answer for find in _NEXT if (answer := find(subject)) is not None), None) or healthy(subject)
    first = found[0]
    also = tuple(dict.fromkeys(other.headline for other in found[1:] if other.cause != first.cause))
    return Explanation(first.cause, first.headline, first.facts, first.remedies, also=also[:_ALSO])


# --- why not ------------------------------------------------------------------------------------------------------


def _why_not(subject: Subject, node: str, what: str) -> Explanation:
    if node in subject.view.silent:
        why = subject.view.silent[node].reason
        head = f"{node} does not answer ({why}): whether it is {what} is not known"
        return Explanation(
            HoldReason.NODE_SILENT, head, (subject.fact(node, f"no answer: {why}"),), (subject.login(node),)
        )
    if what == "primary":
        return _not_primary(subject, node)
    if what == "master":
        return _not_master(subject, node)
    return _not_active(subject, node)


def _is(subject: Subject, node: str, text: str) -> Explanation:
    """It is, so there is nothing to explain."""
    return Explanation(Cause.IT_IS, f"{node} is {text}", _numbers(subject, node), healthy=True)


def _numbers(subject: Subject, node: str) -> tuple[Fact, ...]:
    return each(*(subject.spoken(vip, node) for vip in subject.group.virtual_ips))


def _headed(node: str, what: str, why: Explanation) -> Explanation:
    return Explanation(why.cause, f"{node} is not {what}: {why.headline}", why.facts, why.remedies, also=why.also)


def _not_primary(subject: Subject, node: str) -> Explanation:
    missing = _missing_primary(subject, node)
    if not subject.group.storage:
        return Explanation(
            ConditionReason.NO_STORAGE, f"{subject.name} has no storage that {node} could be primary for", healthy=True
        )
    if missing is None:
        return _is(subject, node, f"primary for {', '.join(storage.name for storage in subject.group.storage)}")
    return _headed(node, f"primary for {missing.name}", why_not_primary(subject, missing, node))


def _missing_primary(subject: Subject, node: str) -> StorageSpec | None:
    mine = [storage for storage in subject.group.storage if node in storage.hast.devices]
    return next((s for s in mine if subject.view.reported_role(s.name, node) is not ReportedRole.PRIMARY), None)


def _not_master(subject: Subject, node: str) -> Explanation:
    vip = _missing_master(subject, node)
    if not subject.group.virtual_ips:
        return Explanation(ConditionReason.NO_ADDRESSES, f"{subject.name} has no virtual IP", healthy=True)
    if vip is None:
        return _is(subject, node, f"MASTER of vhid {', '.join(str(vip.vhid) for vip in subject.group.virtual_ips)}")
    return _headed(node, f"MASTER of vhid {vip.vhid}", _lost_election(subject, vip, node))


def _missing_master(subject: Subject, node: str) -> VirtualIP | None:
    return next(
        (vip for vip in subject.group.virtual_ips if subject.view.state(vip, node) is not VhidState.MASTER), None
    )


def _lost_election(subject: Subject, vip: VirtualIP, node: str) -> Explanation:
    part = why_no_part(subject, vip, node)
    if part is not None:
        return part
    if subject.view.state(vip, node) is VhidState.UNKNOWN:
        fact = subject.fact(node, "its interfaces could not be read")
        return Explanation(ConditionReason.STATE_UNKNOWN, "its state is not known", (fact,), (subject.login(node),))
    masters = [master for master in subject.view.masters(vip) if master != node]
    if masters:
        return why_backup(subject, vip, node, masters[0])
    quiet = [peer for peer in subject.group.preferred if peer in subject.view.silent]
    if quiet:
        facts = each(subject.spoken(vip, node), subject.fact(quiet[0], "no answer"))
        head = f"it is BACKUP, so it hears a MASTER: {quiet[0]}, which does not answer us but advertises"
        return Explanation(Cause.PEER_ADVERTISES, head, facts, (subject.login(quiet[0]),))
    answer = nobody(subject)
    return answer or Explanation(
        HoldReason.ELECTING, f"nobody is MASTER of vhid {vip.vhid} yet", _numbers(subject, node)
    )


def _not_active(subject: Subject, node: str) -> Explanation:
    missing, vip = _missing_primary(subject, node), _missing_master(subject, node)
    if missing is None and (vip is None or not subject.group.virtual_ips):
        return _is(subject, node, f"active for {subject.name}")
    broken = next((answer for find in (two_primaries, split_brain, two_masters) if (answer := find(subject))), None)
    if broken is not None:
        return _headed(node, f"active for {subject.name}", broken)
    waits = _move_waits(subject, node)
    if waits is not None:
        return _headed(node, f"active for {subject.name}", waits)
    obstacle = hook_reason(subject, node) if subject.active != node else None
    if obstacle is not None and obstacle.cause in (ConditionReason.DRAINED, ConditionReason.HELD_AT_BOOT):
        return _headed(node, f"active for {subject.name}", obstacle)
    if missing is not None:
        return _headed(node, f"active for {subject.name}", why_not_primary(subject, missing, node))
    assert vip is not None
    return _headed(node, f"active for {subject.name}", _lost_election(subject, vip, node))


def _move_waits(subject: Subject, node: str) -> Explanation | None:
    """A move to the node was asked for, and the planner says what it waits for."""
    for hold in subject.plan.holds:
        if hold.reason is HoldReason.MOVE_WAITS and hold.target == subject.name and hold.node == node:
            remedy = subject.looked_at("what the move waits for")
            return Explanation(HoldReason.MOVE_WAITS, hold.message, (Fact(hold.message, node),), (remedy,))
    return None
