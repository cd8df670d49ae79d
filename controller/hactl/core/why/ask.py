"""`hactl why` and `hactl why-not`: the smallest set of facts that explains why a group is as it is, and what to do.

Rules: pure; the cases are asked in a fixed order, worst and most causal first, and the first that is the case is the
answer, with its own facts only; what else is the matter is named in one line each. Nothing is concluded from silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hactl.core.cluster import Cluster
from hactl.core.evidence.two_masters import MastersCause, two_masters_cause
from hactl.core.evidence.view import ReportedRole, VhidState, View
from hactl.core.facts import Snapshot
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.steps import Plan
from hactl.core.why.answer import Case, Explanation, Fact, Question, Remedy, each, login
from hactl.core.why.carp import demoted, nobody, orphan, two_masters, why_backup, why_no_part, wrong_vhid
from hactl.core.why.standby import hook_reason, not_ready, silent
from hactl.core.why.state import asked_for, fights, fought, not_serving, pending, service_elsewhere, well
from hactl.core.why.storage import apart, mounted_outside, split_brain, two_primaries, why_not_primary

__all__ = [
    "Explanation",
    "Fact",
    "MastersCause",
    "Question",
    "Remedy",
    "explain",
    "fights",
    "two_masters_cause",
]

#: What is wrong, in the order it is asked for.
_WRONG: tuple[Callable[[Case], Explanation | None], ...] = (
    two_primaries,
    split_brain,
    two_masters,
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
_NEXT: tuple[Callable[[Case], Explanation | None], ...] = (not_ready, pending)
#: So many headlines of other trouble are named.
_ALSO = 4


def explain(
    cluster: Cluster,
    snapshot: Snapshot,
    plan: Plan,
    now: float,
    question: Question | None = None,
    *,
    before: Snapshot | None = None,
    failing: Mapping[str, str] | None = None,
    undone: Sequence[str] = (),
    source: str = "FILE",
) -> Explanation:
    """The answer to a question about one group; without a group the first that is not well, else the first.

    `now`: monotonic seconds. `before`: an earlier look, for counters that grow. `failing`: `Step.key` of steps that
    fail -> what happened. `undone`: what `fights` made of the history. `source`: the document's file, for commands.
    Raises KeyError for a group or a node that the document does not have.
    """
    asked = question or Question()
    view = View.at(cluster, snapshot, now)
    groups = _groups(cluster, asked)
    cases = [
        Case(cluster, snapshot, view, plan, now, group, before, failing or {}, tuple(undone), source)
        for group in groups
    ]
    ask = _why if asked.node is None else lambda case: _why_not(case, asked.node or "", asked.what or "active")
    answers = [ask(case) for case in cases]
    return next((answer for answer in answers if not answer.healthy), answers[0])


def _groups(cluster: Cluster, asked: Question) -> list[GroupSpec]:
    groups = [group for group in cluster.groups if asked.group in (None, group.name)]
    if not groups:
        raise KeyError(asked.group)
    if asked.node is not None:
        groups = [group for group in groups if asked.node in group.preferred]
        if not groups:
            raise KeyError(asked.node)
    return groups


def _why(case: Case) -> Explanation:
    found = [answer for find in _WRONG if (answer := find(case)) is not None]
    if not found:
        return next((answer for find in _NEXT if (answer := find(case)) is not None), None) or well(case)
    first = found[0]
    also = tuple(dict.fromkeys(other.headline for other in found[1:] if other.cause != first.cause))
    return Explanation(first.cause, first.headline, first.facts, first.remedies, also=also[:_ALSO])


# --- why not ------------------------------------------------------------------------------------------------------


def _why_not(case: Case, node: str, what: str) -> Explanation:
    if node in case.view.silent:
        why = case.view.silent[node].reason
        head = f"{node} does not answer ({why}): whether it is {what} is not known"
        return Explanation("NodeSilent", head, (case.fact(node, f"no answer: {why}"),), (login(case, node),))
    if what == "primary":
        return _not_primary(case, node)
    if what == "master":
        return _not_master(case, node)
    return _not_active(case, node)


def _is(case: Case, node: str, text: str) -> Explanation:
    """It is, so there is nothing to explain."""
    return Explanation("ItIs", f"{node} is {text}", _numbers(case, node), healthy=True)


def _numbers(case: Case, node: str) -> tuple[Fact, ...]:
    return each(*(case.spoken(vip, node) for vip in case.group.virtual_ips))


def _headed(node: str, what: str, why: Explanation) -> Explanation:
    return Explanation(why.cause, f"{node} is not {what}: {why.headline}", why.facts, why.remedies, also=why.also)


def _not_primary(case: Case, node: str) -> Explanation:
    missing = _missing_primary(case, node)
    if not case.group.storage:
        return Explanation("NoStorage", f"{case.name} has no storage that {node} could be primary for", healthy=True)
    if missing is None:
        return _is(case, node, f"primary for {', '.join(storage.name for storage in case.group.storage)}")
    return _headed(node, f"primary for {missing.name}", why_not_primary(case, missing, node))


def _missing_primary(case: Case, node: str) -> StorageSpec | None:
    mine = [storage for storage in case.group.storage if node in storage.hast.devices]
    return next((s for s in mine if case.view.reported_role(s.name, node) is not ReportedRole.PRIMARY), None)


def _not_master(case: Case, node: str) -> Explanation:
    vip = _missing_master(case, node)
    if not case.group.virtual_ips:
        return Explanation("NoAddresses", f"{case.name} has no virtual IP", healthy=True)
    if vip is None:
        return _is(case, node, f"MASTER of vhid {', '.join(str(vip.vhid) for vip in case.group.virtual_ips)}")
    return _headed(node, f"MASTER of vhid {vip.vhid}", _lost_election(case, vip, node))


def _missing_master(case: Case, node: str) -> VirtualIP | None:
    return next((vip for vip in case.group.virtual_ips if case.view.state(vip, node) is not VhidState.MASTER), None)


def _lost_election(case: Case, vip: VirtualIP, node: str) -> Explanation:
    part = why_no_part(case, vip, node)
    if part is not None:
        return part
    if case.view.state(vip, node) is VhidState.UNKNOWN:
        fact = case.fact(node, "its interfaces could not be read")
        return Explanation("StateUnknown", "its state is not known", (fact,), (login(case, node),))
    masters = [master for master in case.view.masters(vip) if master != node]
    if masters:
        return why_backup(case, vip, node, masters[0])
    quiet = [peer for peer in case.group.preferred if peer in case.view.silent]
    if quiet:
        facts = each(case.spoken(vip, node), case.fact(quiet[0], "no answer"))
        head = f"it is BACKUP, so it hears a MASTER: {quiet[0]}, which does not answer us but advertises"
        return Explanation("PeerAdvertises", head, facts, (login(case, quiet[0]),))
    answer = nobody(case)
    return answer or Explanation("Electing", f"nobody is MASTER of vhid {vip.vhid} yet", _numbers(case, node))


def _not_active(case: Case, node: str) -> Explanation:
    missing, vip = _missing_primary(case, node), _missing_master(case, node)
    if missing is None and (vip is None or not case.group.virtual_ips):
        return _is(case, node, f"active for {case.name}")
    broken = next((answer for find in (two_primaries, split_brain, two_masters) if (answer := find(case))), None)
    if broken is not None:
        return _headed(node, f"active for {case.name}", broken)
    waits = _move_waits(case, node)
    if waits is not None:
        return _headed(node, f"active for {case.name}", waits)
    obstacle = hook_reason(case, node) if case.active != node else None
    if obstacle is not None and obstacle.cause in ("Drained", "HeldAtBoot"):
        return _headed(node, f"active for {case.name}", obstacle)
    if missing is not None:
        return _headed(node, f"active for {case.name}", why_not_primary(case, missing, node))
    assert vip is not None
    return _headed(node, f"active for {case.name}", _lost_election(case, vip, node))


def _move_waits(case: Case, node: str) -> Explanation | None:
    """A move to the node was asked for, and the planner says what it waits for."""
    for hold in case.plan.holds:
        if hold.reason == "MoveWaits" and hold.target == case.name and hold.node == node:
            remedy = case.looked_at("what the move waits for")
            return Explanation("MoveWaits", hold.message, (Fact(hold.message, node),), (remedy,))
    return None
