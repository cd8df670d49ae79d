"""Services that follow a group, now.

Rules: stopped where the group is not active before they are started where it is; started in the document's order, each
once what it comes after runs and the group's filesystems are there; stopped in reverse; started again when they stop by
themselves as often as `onFailure` says (`evidence.failures` counts); always through onestart and onestop, because a
disabled service's plain start exits 0 without starting (recording 01, step 21). Man pages: service(8), rc(8).
"""

from __future__ import annotations

from collections.abc import Container
from datetime import timedelta

from hactl.core.catalogue import HoldReason
from hactl.core.changes.filesystems import StartService, StopService
from hactl.core.choices import FailureAction, RunOn
from hactl.core.cluster import start_order
from hactl.core.facts import Service, Unknown, known
from hactl.core.objects import GroupSpec, ServiceSpec
from hactl.core.onestatus.judge import asked_how
from hactl.core.operations import Failures
from hactl.core.plan import checks
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.serving import driven_off, given_up, serving
from hactl.core.steps import Hold, Risk, Step

#: How long a service may take to start or stop, seconds.
SERVICE_SECONDS = 60.0
#: How long it may take until service(8) says so, seconds.
SETTLE_SECONDS = 10.0


def stop_steps(scene: Scene) -> Findings:
    """Stop services that run where their group is not active."""
    for group in scene.view.cluster.groups:
        active = scene.active.get(group.name)
        if active is None or active not in scene.view.facts:
            continue
        for node in group.preferred:
            if node != active and node in scene.view.facts:
                yield from stop_on(scene, group, node, f"{group.name} is active on {active}")


def start_steps(scene: Scene) -> Findings:
    """Start services that should run and do not."""
    for group in scene.view.cluster.groups:
        active = scene.active.get(group.name)
        ready = serving(scene, group)
        starting: set[tuple[str, str]] = set()
        for spec in start_order(group):
            for node in group.preferred:
                if node not in scene.view.facts:
                    continue
                wanted = spec.run_on is RunOn.ALL or (node == active and ready)
                service = _service(scene, spec, node)
                if isinstance(service, Hold):
                    yield service
                elif wanted and not service.running:
                    found = _start(scene, group, spec, node, starting)
                    if isinstance(found, Step) and found.key not in scene.failing:
                        starting.add((spec.name, node))
                    yield found


def _service(scene: Scene, spec: ServiceSpec, node: str) -> Service | Hold:
    """The service as it is on the node, or that this is not known or that there is none."""
    reading = scene.view.facts[node].services.get(spec.name)
    if reading is None or isinstance(reading, Unknown):
        return Hold(
            HoldReason.SERVICE_UNKNOWN,
            f"{node}: cannot tell whether {spec.name} runs: {reading.reason if reading else 'not asked'}",
            node=node,
            target=spec.name,
            remedy=f"{asked_how(spec)} on {node}",
        )
    if not reading.value.exists:
        return Hold(
            HoldReason.SERVICE_MISSING,
            f"{node} has no service {spec.name}",
            node=node,
            target=spec.name,
            remedy="install it, or correct the name in the document (as `service NAME status` takes it)",
        )
    return reading.value


def stop_on(scene: Scene, group: GroupSpec, node: str, why: str) -> Findings:
    """Stop the group's services on a node that answers, in reverse order."""
    for spec in reversed(start_order(group)):
        if spec.run_on is not RunOn.ACTIVE:
            continue
        service = _service(scene, spec, node)
        if isinstance(service, Hold):
            yield service
        elif service.running:
            yield Step.of(
                node,
                StopService(spec.name),
                why,
                Risk.OUTAGE,
                # Stopping what has stopped meanwhile does no harm, and asking costs as much as stopping.
                after=(checks.service_stopped(spec, SETTLE_SECONDS),),
                timeout_seconds=SERVICE_SECONDS,
            )


def _start(
    scene: Scene, group: GroupSpec, spec: ServiceSpec, node: str, starting: Container[tuple[str, str]]
) -> Step | Hold:
    """Start it, or say why not. `starting`: (service, node) of what this stage starts before."""
    failures = given_up(scene, group, spec, node)
    if failures is not None:
        return _given_up(scene, group, spec, node, failures)
    for before in (each for each in group.services if each.name in spec.after):
        service = known(scene.view.facts[node].services.get(before.name))
        if (before.name, node) not in starting and (service is None or not service.running):
            what = "of which nobody can tell whether it runs" if service is None else "which does not run"
            message = f"{spec.name} is not started on {node}: it comes after {before.name}, {what}"
            return Hold(HoldReason.SERVICE_WAITS, message, node, spec.name, f"{asked_how(before)} on {node}")
    where = "it runs on every node" if spec.run_on is RunOn.ALL else f"{group.name} is active on {node}"
    again = scene.overrides.failures.get((spec.name, node))
    what = "it does not run"
    if again is not None and again.stopped_at is not None and spec.on_failure is not None:
        times, rule = len(again.restarts) + 1, spec.on_failure
        what = f"it stopped by itself (start {times} of {rule.limit} within {rule.within_seconds} s)"
    return Step.of(
        node,
        StartService(spec.name),
        f"{what}; {where}",
        Risk.NONE,
        before=(checks.service_stopped(spec),),
        after=(checks.service_runs(spec, SETTLE_SECONDS),),
        timeout_seconds=SERVICE_SECONDS,
    )


def _given_up(scene: Scene, group: GroupSpec, spec: ServiceSpec, node: str, failures: Failures) -> Hold:
    """It failed too often, or is not to be started again: what is done about it, and until when nothing is."""
    rule = spec.on_failure
    assert rule is not None
    assert failures.given_up_at is not None
    if rule.action is FailureAction.NOTHING:
        what = f"{spec.name} stopped by itself on {node} and is not started again (onFailure: Nothing)"
    else:
        until = failures.given_up_at + timedelta(seconds=rule.within_seconds)
        what = f"{spec.name} stopped on {node} again: it was started {rule.limit} times within {rule.within_seconds} s"
        what += f" and is not started again before {until:%H:%M:%S} UTC"
    if rule.action is FailureAction.MOVE and node == scene.active.get(group.name):
        what += f"; {_way_out(scene, group, node)}"
    remedy = f"find out why, in its log on {node}; then: service {spec.name} onestart"
    return Hold(HoldReason.SERVICE_FAILING, what, node, spec.name, remedy)


def _way_out(scene: Scene, group: GroupSpec, node: str) -> str:
    """Where the group goes because of that, or why it goes nowhere."""
    goal = scene.goals.get(group.name)
    if goal not in (None, node):
        return f"{group.name} moves to {goal}"
    frozen = scene.overrides.frozen.get(group.name)
    if frozen:
        return f"{group.name} stays: {frozen}"
    others = []
    for other in group.preferred:
        if services := driven_off(scene, group, other, None):
            others += [f"{' and '.join(services)} failed on {other} too"] if other != node else []
        elif other in scene.overrides.drained and other != node:
            others.append(f"{other} is drained")
    return f"{group.name} stays: {'; '.join(others) or 'no other node may have it'}"
