"""What waits although nothing is broken: a group that is paused or drained, a plan that is not done or is held.

Each function answers for one case, or None when it is not the case.
"""

from __future__ import annotations

from hactl.core.catalogue import ConditionReason, HoldReason
from hactl.core.why.answer import Explanation, Fact, Remedy
from hactl.core.why.subject import Subject


def not_ours(subject: Subject) -> Explanation | None:
    """The nodes are another cluster's or another controller's: whose, since when, and what would free them."""
    for hold in subject.plan.holds:
        if hold.reason in (HoldReason.MACHINE_TAKEN, HoldReason.LEASE_LOST):
            return Explanation(
                hold.reason,
                hold.message,
                (Fact(hold.message, hold.node),),
                (Remedy(hold.remedy),) if hold.remedy else (),
            )
    return None


def asked_for(subject: Subject) -> Explanation | None:
    """Somebody paused it, or drained a node of it."""
    for hold in subject.plan.holds:
        if hold.reason is HoldReason.PAUSED and (
            hold.target in (subject.cluster, subject.name) or hold.node in subject.group.preferred
        ):
            steps = len(subject.plan.steps)
            waiting = f"; {steps} step{'s' if steps != 1 else ''} of the plan wait" if steps else ""
            return Explanation(HoldReason.PAUSED, hold.message + waiting, (Fact(hold.message, hold.node),),
                               (Remedy(hold.remedy or f"hactl resume {subject.cluster}"),))  # fmt: skip
    for node in subject.group.preferred:
        hook = subject.view.hook(node)
        if hook is not None and hook.drained is not None:
            place = (
                f"{subject.name} is served by {subject.active}"
                if subject.active
                else f"nobody is known to serve {subject.name}"
            )
            stays = subject.active == node
            by = hook.drained if hook.drained.startswith("drained") else f"drained: {hook.drained}"
            head = f"{place}, {'although it' if stays else 'and ' + node} is {by}"
            fact = subject.fact(node, f"/var/db/hactl/drained: {hook.drained}")
            return Explanation(ConditionReason.DRAINED, head, (fact,), (Remedy(f"hactl uncordon {node}"),))
    return None


def pending(subject: Subject) -> Explanation | None:
    """Something differs from the document, and is about to be done or is held."""
    if subject.plan.stages:
        first = subject.plan.stages[0]
        steps = [Fact(f"{step.verb} {step.target}: {step.why}", step.node) for step in first.steps[:3]]
        count = len(subject.plan.steps)
        head = f"{subject.cluster} is not as the document says: {count} step{'s' if count != 1 else ''} to go"
        return Explanation(
            ConditionReason.CHANGES_PENDING, f"{head}, first: {first.title}", tuple(steps), (subject.applied(),)
        )
    for hold in subject.plan.holds:
        if not hold.passing:
            remedy = Remedy(hold.remedy) if hold.remedy else subject.looked_at("all that is held")
            return Explanation(hold.reason, hold.message, (Fact(hold.message, hold.node),), (remedy,))
    return None
