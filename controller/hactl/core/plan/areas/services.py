"""Services that follow a group, now.

Rules: stopped where the group is not active before they are started where it is; started in the document's order
once the group's filesystems are there, stopped in reverse; always through onestart and onestop, because a disabled
service's plain start exits 0 without starting (recording 01, step 21). Man pages: service(8), rc(8).
"""

from __future__ import annotations

from hactl.core.facts import Service
from hactl.core.objects import GroupSpec, RunOn, ServiceSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.addresses import serving
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Risk, Step

#: How long a service may take to start or stop, seconds.
SERVICE_SECONDS = 60.0
#: How long it may take until service(8) says so, seconds.
SETTLE_SECONDS = 10.0


def stop_steps(scene: Scene) -> Steps:
    """Stop services that run where their group is not active."""
    steps: Steps = []
    for group in scene.cluster.groups:
        active = scene.active.get(group.name)
        if active is None or active not in scene.facts:
            continue
        for node in group.preferred:
            if node != active and node in scene.facts:
                steps += _stop(scene, group, node, f"{group.name} is active on {active}")
    return steps


def stop_active(scene: Scene, group: GroupSpec, node: str, why: str) -> Steps:
    """Stop the group's services on its active node, in reverse order."""
    return _stop(scene, group, node, why)


def serves_fully(scene: Scene, group: GroupSpec) -> bool:
    """Whether the active node has the group's filesystems and runs its services (or cannot run one just now)."""
    active = scene.active.get(group.name)
    if active is None or not serving(scene, group):
        return False
    for spec in group.services:
        service = known(scene.facts[active].services.get(spec.name))
        fails = f"{active} StartService {spec.name}" in scene.failing
        if service is not None and service.exists and not service.running and not fails:
            return False
    return True


def start_steps(scene: Scene) -> Steps:
    """Start services that should run and do not."""
    steps: Steps = []
    for group in scene.cluster.groups:
        active = scene.active.get(group.name)
        ready = serving(scene, group)
        for spec in group.services:
            for node in group.preferred:
                wanted = spec.run_on is RunOn.ALL or (node == active and ready)
                service = service_on(scene, spec, node)
                if wanted and service is not None and not service.running:
                    steps.append(_start(group, spec, node))
    return steps


def service_on(scene: Scene, spec: ServiceSpec, node: str) -> Service | None:
    """The service as it is on the node; None, with a hold, when that is not known or there is none."""
    if node not in scene.facts:
        return None
    reading = scene.facts[node].services.get(spec.name)
    service = known(reading)
    if service is None:
        scene.hold(
            "ServiceUnknown",
            f"{node}: cannot tell whether {spec.name} runs: {getattr(reading, 'reason', 'not asked')}",
            node=node,
            target=spec.name,
            remedy=f"service {spec.name} onestatus on {node}",
        )
        return None
    if not service.exists:
        scene.hold(
            "ServiceMissing",
            f"{node} has no service {spec.name}",
            node=node,
            target=spec.name,
            remedy="install it, or correct the name in the document (as `service NAME status` takes it)",
        )
        return None
    return service


def _stop(scene: Scene, group: GroupSpec, node: str, why: str) -> Steps:
    steps: Steps = []
    for spec in reversed(group.services):
        if spec.run_on is not RunOn.ACTIVE:
            continue
        service = service_on(scene, spec, node)
        if service is not None and service.running:
            steps.append(
                Step(
                    node,
                    "StopService",
                    spec.name,
                    why,
                    f"service {quote_plain(spec.name)} onestop",
                    Risk.OUTAGE,
                    before=(checks.service_runs(spec.name),),
                    after=(checks.service_stopped(spec.name, SETTLE_SECONDS),),
                    timeout_seconds=SERVICE_SECONDS,
                )
            )
    return steps


def _start(group: GroupSpec, spec: ServiceSpec, node: str) -> Step:
    where = "it runs on every node" if spec.run_on is RunOn.ALL else f"{group.name} is active on {node}"
    return Step(
        node,
        "StartService",
        spec.name,
        f"it does not run; {where}",
        f"service {quote_plain(spec.name)} onestart",
        Risk.NONE,
        before=(checks.service_stopped(spec.name),),
        after=(checks.service_runs(spec.name, SETTLE_SECONDS),),
        timeout_seconds=SERVICE_SECONDS,
    )
