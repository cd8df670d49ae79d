"""What is asked for, or done by somebody else: paused, drained, services where they do not belong, fights; and why a
group is where it is when all is well. Each function answers for one case, or None when it is not the case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hactl.core.evidence.view import MountState, ServiceState
from hactl.core.facts import HastRole, known
from hactl.core.objects import Failback, RunOn
from hactl.core.status.failover_time import predict_failover
from hactl.core.why.answer import Case, Explanation, Fact, Remedy, each

#: The same step Done this often within the rows that are looked at: somebody undoes it.
FIGHT_TIMES = 3


def fights(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Steps that were done again and again, from rows of the history (`History.history`), oldest first.

    Only what puts something right that was right before counts: a note or a confirmation may well be written often.
    """
    done: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if row.get("kind") == "StepEnded" and row.get("outcome") == "Done" and row.get("verb") not in _OFTEN:
            key = (str(row.get("node")), str(row.get("verb")), str(row.get("target")))
            done[key] = done.get(key, 0) + 1
    return tuple(
        f"{node} {verb} {target} was done {times} times and is undone each time"
        for (node, verb, target), times in done.items()
        if times >= FIGHT_TIMES
    )


_OFTEN = frozenset({"ConfirmCopy", "LiftHold", "SetRole", "CheckFilesystem", "Mount", "ImportPool", "RestartDevd"})


def fought(case: Case) -> Explanation | None:
    """A step that succeeds and is undone again, and is to be done now."""
    pending = {step.key for step in case.plan.steps} | set(case.failing)
    for sentence in case.undone:
        key = next((key for key in pending if sentence.startswith(f"{key} ")), None)
        if key is None:
            continue
        node = key.split(" ", 1)[0]
        head = f"something on {node} fights hactl: {sentence}"
        look = Remedy("ls /etc/cron.d /var/cron/tabs; ps -axww -o lstart,command", node, "cron, a script, another tool")
        history = Remedy(f"hactl history {case.cluster.name} --node {node}", None, "when, each time")
        return Explanation("Fought", head, (Fact(sentence, node),), (look, history))
    return None


def not_serving(case: Case) -> Explanation | None:
    """The active node lacks a part of the group."""
    active = case.active
    if active is None:
        return None
    for storage in case.group.storage:
        if storage.filesystem is not None and case.view.mount(storage, active) is MountState.NOT_MOUNTED:
            what = storage.filesystem.zfs.pool if storage.filesystem.zfs else storage.device
            state = "imported" if storage.filesystem.zfs else "mounted"
            head = f"{active} is primary for {storage.name}, but {what} is not {state} there"
            return Explanation("NotMounted", head + _step(case, active), (case.fact(active, f"{what}: not {state}"),),
                               (case.applied(),))  # fmt: skip
    for service in case.group.services:
        if case.view.service(service.name, active) is ServiceState.STOPPED:
            head = f"{service.name} does not run on {active}, where {case.name} is active"
            start = Remedy(f"service {service.name} onestart", active)
            fact = case.fact(active, f"service {service.name} onestatus: stopped")
            return Explanation("ServiceStopped", head + _step(case, active), (fact,), (start,))
    return None


def _step(case: Case, node: str) -> str:
    """What became of hactl's own try."""
    failed = next((what for key, what in case.failing.items() if key.startswith(f"{node} ")), None)
    return f" ({failed})" if failed else ""


def service_elsewhere(case: Case) -> Explanation | None:
    """A service that runs on a node where its group is not active."""
    active = case.active
    if active is None:
        return None
    for service in case.group.services:
        for node in case.group.preferred:
            if service.run_on is not RunOn.ACTIVE or node == active:
                continue
            if case.view.service(service.name, node) is not ServiceState.RUNNING:
                continue
            facts = case.facts(node)
            found = known(facts.services.get(service.name)) if facts is not None else None
            boot = found is not None and found.enabled
            told = [case.fact(node, f"service {service.name} onestatus: running")]
            stop = f"service {service.name} onestop"
            if boot and found is not None and found.rcvar:
                told.append(case.fact(node, f"rc.conf: {found.rcvar}=YES, so it also starts at boot"))
                stop += f" && sysrc {found.rcvar}=NO"
            head = f"{service.name} runs on {node}, while {case.name} is active on {active}"
            return Explanation("ServiceOnStandby", head, tuple(told), (Remedy(stop, node, "or hactl apply"),))
    return None


def asked_for(case: Case) -> Explanation | None:
    """Somebody paused it, or drained a node of it."""
    for hold in case.plan.holds:
        if hold.reason == "Paused" and (
            hold.target in (case.cluster.name, case.name) or hold.node in case.group.preferred
        ):
            steps = len(case.plan.steps)
            waiting = f"; {steps} step{'s' if steps != 1 else ''} of the plan wait" if steps else ""
            return Explanation("Paused", hold.message + waiting, (Fact(hold.message, hold.node),),
                               (Remedy(hold.remedy or f"hactl resume {case.cluster.name}"),))  # fmt: skip
    for node in case.group.preferred:
        hook = case.hook(node)
        if hook is not None and hook.drained is not None:
            place = (
                f"{case.name} is served by {case.active}" if case.active else f"nobody is known to serve {case.name}"
            )
            stays = case.active == node
            by = hook.drained if hook.drained.startswith("drained") else f"drained: {hook.drained}"
            head = f"{place}, {'although it' if stays else 'and ' + node} is {by}"
            fact = case.fact(node, f"/var/db/hactl/drained: {hook.drained}")
            return Explanation("Drained", head, (fact,), (Remedy(f"hactl uncordon {node}"),))
    return None


def pending(case: Case) -> Explanation | None:
    """Something differs from the document, and is about to be done or is held."""
    if case.plan.stages:
        first = case.plan.stages[0]
        steps = [Fact(f"{step.verb} {step.target}: {step.why}", step.node) for step in first.steps[:3]]
        count = len(case.plan.steps)
        head = f"{case.cluster.name} is not as the document says: {count} step{'s' if count != 1 else ''} to go"
        return Explanation("ChangesPending", f"{head}, first: {first.title}", tuple(steps), (case.applied(),))
    for hold in case.plan.holds:
        if not hold.passing:
            remedy = Remedy(hold.remedy) if hold.remedy else case.looked_at("all that is held")
            return Explanation(hold.reason, hold.message, (Fact(hold.message, hold.node),), (remedy,))
    return None


def well(case: Case) -> Explanation:
    """Why the group is active where it is."""
    active = case.active
    if active is None:
        return Explanation("NoActiveNode", f"{case.name}: no single node is known to be active", (),
                           (case.looked_at("it says what is not known"),))  # fmt: skip
    vips = [vip for vip in case.group.virtual_ips if case.view.masters(vip) == [active]]
    parts = [*(f"MASTER of vhid {vip.vhid}" for vip in vips), *(f"primary for {s.name}" for s in case.group.storage)]
    first = case.group.preferred[0]
    if case.group.storage:
        because = "it holds the storage, and the addresses follow the storage"
        if active != first:
            because += f"; {first} is preferred" + _failback(case, first)
    elif active == first:
        because = "it is the first of preferred"
    else:
        because = f"it is better by CARP's numbers; {first} is preferred" + _failback(case, first)
    line = predict_failover(case.view, case.group)
    ready = (Fact(f"if {active} died: {line.told()}"),) if line is not None else ()
    facts = (*_speaking(case, active), *_stored(case, active), *ready)
    other = next((node for node in case.group.preferred if node != active), None)
    move = f"hactl switchover {case.cluster.name} {case.name} --to {other}"
    remedies = (Remedy(move, None, "to move it"),) if other is not None else ()
    head = f"{case.name} is active on {active} ({', '.join(parts) or 'nothing to serve'}): {because}"
    return Explanation("Healthy", head, facts, remedies, healthy=True)


def _failback(case: Case, first: str) -> str:
    if case.group.failback is Failback.NEVER:
        return ", but failback is Never, so it stays until somebody moves it"
    return f", and it goes back once {first} is ready (failback: WhenReady)"


def _speaking(case: Case, active: str) -> Iterator[Fact]:
    """The arithmetic of the first vhid on every node, the MASTER first."""
    for vip in case.group.virtual_ips[:1]:
        order = [active, *(node for node in case.group.preferred if node != active)]
        yield from each(*(case.spoken(vip, node) for node in order))
        for node in order[1:]:
            voice = case.voice(vip, node)
            if voice is not None:
                yield Fact(f"{node} would be MASTER after {voice.patience_seconds:.2f} s of silence")


def _stored(case: Case, active: str) -> Iterator[Fact]:
    for storage in case.group.storage:
        resource = case.view.resource(storage.name, active)
        if resource is not None and resource.role is HastRole.PRIMARY:
            mounted = ", mounted" if case.view.mount(storage, active) is MountState.MOUNTED else ""
            status = resource.status or "without a worker"
            yield case.fact(active, f"{storage.name}: primary, {status}, {resource.dirty} bytes dirty{mounted}")
