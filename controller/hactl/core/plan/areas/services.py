"""Services that follow a group, now.

Rules: stopped where the group is not active before they are started where it is; started in the document's order
once the group's filesystems are there, stopped in reverse; always through onestart and onestop, because a disabled
service's plain start exits 0 without starting (recording 01, step 21). Man pages: service(8), rc(8).
"""

from __future__ import annotations

from hactl.core.catalogue import HoldReason
from hactl.core.changes.filesystems import StartService, StopService
from hactl.core.facts import Service, Unknown
from hactl.core.objects import GroupSpec, RunOn, ServiceSpec
from hactl.core.onestatus.judge import asked_how
from hactl.core.plan import checks
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.serving import serving
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
        for spec in group.services:
            for node in group.preferred:
                if node not in scene.view.facts:
                    continue
                wanted = spec.run_on is RunOn.ALL or (node == active and ready)
                service = _service(scene, spec, node)
                if isinstance(service, Hold):
                    yield service
                elif wanted and not service.running:
                    yield _start(group, spec, node)


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
    for spec in reversed(group.services):
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


def _start(group: GroupSpec, spec: ServiceSpec, node: str) -> Step:
    where = "it runs on every node" if spec.run_on is RunOn.ALL else f"{group.name} is active on {node}"
    return Step.of(
        node,
        StartService(spec.name),
        f"it does not run; {where}",
        Risk.NONE,
        before=(checks.service_stopped(spec),),
        after=(checks.service_runs(spec, SETTLE_SECONDS),),
        timeout_seconds=SERVICE_SECONDS,
    )
