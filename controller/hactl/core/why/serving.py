"""Whether the active node serves the whole group, and no other one; why a group is where it is when all is well.

Each function answers for one case, or None when it is not the case.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from hactl.core.catalogue import Cause, ConditionReason, HoldReason
from hactl.core.choices import Failback, FailureAction, RunOn
from hactl.core.cluster import start_order
from hactl.core.evidence.view import MountState, ServiceState
from hactl.core.facts import HastRole, known
from hactl.core.onestatus.judge import asked_how
from hactl.core.status.timeline import predict_failover
from hactl.core.why.answer import Explanation, Fact, Remedy, each
from hactl.core.why.fights import Fight
from hactl.core.why.subject import Subject


def fought(subject: Subject) -> Explanation | None:
    """A step that succeeds and is undone again by something else, and is to be done now."""
    fight = next((fight for fight in _fights_now(subject) if not fight.keeps_ending), None)
    if fight is None:
        return None
    node = fight.step.node
    head = f"something on {node} fights hactl: {fight.sentence}"
    facts = (
        Fact(fight.sentence, node),
        Fact("in between no group moved, no node booted, no document or operation came, and no step of ours did it"),
    )
    look = Remedy("ls /etc/cron.d /var/cron/tabs; ps -axww -o lstart,command", node, "cron, a script, another tool")
    history = Remedy(f"hactl history {subject.cluster} --node {node}", None, "when, each time")
    return Explanation(Cause.FOUGHT, head, facts, (look, history))


def _fights_now(subject: Subject) -> Iterator[Fight]:
    """What was put right again and again, and is to be put right once more."""
    for fight in subject.background.fights:
        failing = fight.step in subject.background.failing
        if failing or any(fight.goes_on_in(step) for step in subject.plan.steps):
            yield fight


def not_serving(subject: Subject) -> Explanation | None:
    """The active node lacks a part of the group."""
    active = subject.active
    if active is None:
        return None
    for storage in subject.group.storage:
        if storage.filesystem is not None and subject.view.mount(storage, active) is MountState.NOT_MOUNTED:
            what = storage.filesystem.zfs.pool if storage.filesystem.zfs else storage.device
            state = "imported" if storage.filesystem.zfs else "mounted"
            head = f"{active} is primary for {storage.name}, but {what} is not {state} there"
            fact = subject.fact(active, f"{what}: not {state}")
            return Explanation(Cause.NOT_MOUNTED, head + _step(subject, active), (fact,), (subject.applied(),))
    for service in start_order(subject.group):
        if subject.view.service(service.name, active) is ServiceState.STOPPED:
            held = _left_stopped(subject, service.name, active)
            if held is not None:
                return held
            head = f"{service.name} does not run on {active}, where {subject.name} is active"
            start = Remedy(f"service {service.name} onestart", active)
            fact = subject.fact(active, f"{asked_how(service)}: stopped")
            again = (Fact(fight.sentence, active) for fight in _ended(subject, service.name, active))
            return Explanation(Cause.SERVICE_STOPPED, head + _step(subject, active), (fact, *again), (start,))
    return None


def _left_stopped(subject: Subject, service: str, node: str) -> Explanation | None:
    """What the document says of a service that stops by itself, or what it waits for."""
    for hold in subject.plan.holds:
        if hold.reason in (HoldReason.SERVICE_FAILING, HoldReason.SERVICE_WAITS):
            if (hold.target, hold.node) != (service, node):
                continue
            failed = subject.background.failures.get((service, node))
            starts = failed.restarts if failed is not None else ()
            facts = (
                subject.fact(node, f"{service} does not run"),
                *(Fact(f"hactl started it at {at:%H:%M:%S} UTC", node) for at in starts),
            )
            start = Remedy(f"service {service} onestart", node, "once you know why it stopped")
            waits = hold.reason is HoldReason.SERVICE_WAITS
            return Explanation(hold.reason, hold.message, facts, () if waits else (start,))
    return None


def _ended(subject: Subject, service: str, node: str) -> Iterator[Fight]:
    """Whether the service was started there again and again."""
    for fight in subject.background.fights:
        if fight.keeps_ending and (fight.step.node, fight.step.target) == (node, service):
            yield fight


def _step(subject: Subject, node: str) -> str:
    """What became of hactl's own try."""
    failed = next((what for key, what in subject.background.failing.items() if key.node == node), None)
    return f" ({failed})" if failed else ""


def service_elsewhere(subject: Subject) -> Explanation | None:
    """A service that runs on a node where its group is not active."""
    active = subject.active
    if active is None:
        return None
    for service in subject.group.services:
        for node in subject.group.preferred:
            if service.run_on is not RunOn.ACTIVE or node == active:
                continue
            if subject.view.service(service.name, node) is not ServiceState.RUNNING:
                continue
            seen = subject.facts(node)
            found = known(seen.services.get(service.name)) if seen is not None else None
            boot = found is not None and found.enabled
            facts = [subject.fact(node, f"{asked_how(service)}: running")]
            stop = f"service {service.name} onestop"
            if boot and found is not None and found.rcvar:
                facts.append(subject.fact(node, f"rc.conf: {found.rcvar}=YES, so it also starts at boot"))
                stop += f" && sysrc {found.rcvar}=NO"
            head = f"{service.name} runs on {node}, while {subject.name} is active on {active}"
            return Explanation(Cause.SERVICE_ON_STANDBY, head, tuple(facts), (Remedy(stop, node, "or hactl apply"),))
    return None


def healthy(subject: Subject) -> Explanation:
    """Why the group is active where it is."""
    active = subject.active
    if active is None:
        return Explanation(ConditionReason.NO_ACTIVE_NODE, f"{subject.name}: no single node is known to be active", (),
                           (subject.looked_at("it says what is not known"),))  # fmt: skip
    vips = [vip for vip in subject.group.virtual_ips if subject.view.masters(vip) == [active]]
    parts = [*(f"MASTER of vhid {vip.vhid}" for vip in vips), *(f"primary for {s.name}" for s in subject.group.storage)]
    first = subject.group.preferred[0]
    if subject.group.storage:
        because = "it holds the storage, and the addresses follow the storage"
        if active != first:
            because += f"; {first} is preferred" + _failback(subject, first)
    elif active == first:
        because = "it is the first of preferred"
    else:
        because = f"it is better by CARP's numbers; {first} is preferred" + _failback(subject, first)
    line = predict_failover(subject.view, subject.group)
    ready = (Fact(f"if {active} died: {line.sentence}"),) if line is not None else ()
    facts = (*_speaking(subject, active), *_stored(subject, active), *_driven_off(subject, active), *ready)
    other = next((node for node in subject.group.preferred if node != active), None)
    move = f"hactl switchover {subject.cluster} {subject.name} --to {other}"
    remedies = (Remedy(move, None, "to move it"),) if other is not None else ()
    head = f"{subject.name} is active on {active} ({', '.join(parts) or 'nothing to serve'}): {because}"
    return Explanation(Cause.HEALTHY, head, facts, remedies, healthy=True)


def _failback(subject: Subject, first: str) -> str:
    if subject.group.failback is Failback.NEVER:
        return ", but failback is Never, so it stays until somebody moves it"
    return f", and it goes back once {first} is ready (failback: WhenReady)"


def _driven_off(subject: Subject, active: str) -> Iterator[Fact]:
    """The nodes that the group left because a service failed there."""
    for service in subject.group.services:
        rule = service.on_failure
        if rule is None or rule.action is not FailureAction.MOVE:
            continue
        for node in subject.group.preferred:
            failed = subject.background.failures.get((service.name, node))
            if node != active and failed is not None and failed.given_up_at is not None:
                until = failed.given_up_at + timedelta(seconds=rule.within_seconds)
                what = f"{service.name} failed there at {failed.given_up_at:%H:%M:%S} UTC"
                yield Fact(f"{what}: {subject.name} does not go there for its sake before {until:%H:%M:%S} UTC", node)


def _speaking(subject: Subject, active: str) -> Iterator[Fact]:
    """The arithmetic of the first vhid on every node, the MASTER first."""
    for vip in subject.group.virtual_ips[:1]:
        order = [active, *(node for node in subject.group.preferred if node != active)]
        yield from each(*(subject.spoken(vip, node) for node in order))
        for node in order[1:]:
            voice = subject.voice(vip, node)
            if voice is not None:
                yield Fact(f"{node} would be MASTER after {voice.patience_seconds:.2f} s of silence")


def _stored(subject: Subject, active: str) -> Iterator[Fact]:
    for storage in subject.group.storage:
        resource = subject.view.resource(storage.name, active)
        if resource is not None and resource.role is HastRole.PRIMARY:
            mounted = ", mounted" if subject.view.mount(storage, active) is MountState.MOUNTED else ""
            status = resource.status or "without a worker"
            yield subject.fact(active, f"{storage.name}: primary, {status}, {resource.dirty} bytes dirty{mounted}")
