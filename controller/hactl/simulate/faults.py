"""What can break in a simulated cluster, and how it breaks and is mended in the lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hactl.core.cluster import failover_of, storages_of
from hactl.core.simulation.story import Fault, FaultKind
from hactl.simulate.cluster import SimulatedCluster

#: A blackout: how long all are off, and how much later than the first one the others are back, seconds.
OFF_SECONDS, LATER_SECONDS = 30.0, 60.0
#: `soloStart` is waited for no longer than this, seconds.
SOLO_LIMIT_SECONDS = 900.0


def singles(simulated: SimulatedCluster) -> list[Fault]:
    """Every single fault, the power of all nodes among them, in a fixed order."""
    return [*_of_nodes(simulated), Fault(FaultKind.CONTROLLER, "controller gone"), *_blackouts(simulated.nodes)]


def pairs(found: list[Fault]) -> Iterator[tuple[Fault, Fault]]:
    """Every pair of them in every order, where both can happen.

    The power of all nodes comes second only, and ends a pair; a service that does not stop matters to what comes after
    it, so it comes first only.
    """
    for first in found:
        for second in found:
            if first is second or FaultKind.BLACKOUT is first.kind or second.kind is FaultKind.SERVICE:
                continue
            if second.kind is not FaultKind.BLACKOUT and second.node == first.node and _hides(first, second):
                continue
            yield first, second


def _hides(first: Fault, second: Fault) -> bool:
    """Whether the second makes no difference on a node to which the first has happened."""
    return first.kind is FaultKind.POWER or (first.kind is FaultKind.FREEZE and second.kind is FaultKind.HASTD)


def _of_nodes(simulated: SimulatedCluster) -> Iterator[Fault]:
    for node in simulated.nodes:
        yield Fault(FaultKind.POWER, f"power of {node}", node)
    for node in simulated.nodes:
        for port in simulated.machine(node).net.interfaces.values():
            if not port.loopback and port.lease is None:
                yield Fault(FaultKind.LINK, f"{port.segment} link of {node} ({port.name})", node, port.name)
    for node in simulated.nodes:
        yield Fault(FaultKind.FREEZE, f"{node} freezes", node)
    for group in simulated.document.spec.groups:
        for storage in group.storage:
            for node, device in storage.hast.devices.items():
                yield Fault(FaultKind.DISK, f"disk {device} of {node} fails ({storage.name})", node, device)
    for node in simulated.nodes:
        if storages_of(simulated.cluster, node):
            yield Fault(FaultKind.HASTD, f"hastd of {node} is killed", node)
    for group in simulated.document.spec.groups:
        for service in group.services:
            node = group.preferred[0]
            yield Fault(FaultKind.SERVICE, f"{service.name} of {node} does not stop", node, service.name)


def _blackouts(nodes: list[str]) -> Iterator[Fault]:
    if len(nodes) < 2:
        return
    yield Fault(FaultKind.BLACKOUT, "power of all, back at once")
    for node in nodes:
        yield Fault(FaultKind.BLACKOUT, f"power of all, {node} back a minute before the others", node)
    for node in nodes:
        yield Fault(FaultKind.BLACKOUT, f"power of all, only {node} is back", node, alone=True)


def lasts_seconds(simulated: SimulatedCluster, fault: Fault, usual: float) -> float:
    """How long a fault is left to itself before it is mended: long enough for what the document says may wait."""
    if fault.kind is not FaultKind.BLACKOUT:
        return usual
    if not fault.alone:
        return OFF_SECONDS + LATER_SECONDS + 2 * usual
    solo = max(failover_of(simulated.cluster, group).solo_start for group in simulated.document.spec.groups)
    return OFF_SECONDS + min(solo, SOLO_LIMIT_SECONDS) + 2 * usual


class Breaker:
    """Breaks and mends, and tells what it does."""

    def __init__(self, simulated: SimulatedCluster, tell: Callable[[str], None]) -> None:
        """Everything works."""
        self.simulated, self.world, self.tell = simulated, simulated.world, tell
        self.controller_runs = True
        self._disks: list[tuple[str, str]] = []
        self._stubborn: list[tuple[str, str]] = []
        self._mended = False

    def happen(self, fault: Fault) -> None:
        """It breaks now. What is broken or off already stays as it is."""
        self.tell(fault.text)
        node, what = fault.node, fault.what
        match fault.kind:
            case FaultKind.POWER:
                self.world.power_off(node)
            case FaultKind.LINK:
                self.world.cut(node, what)
            case FaultKind.FREEZE:
                self.world.freeze(node)
            case FaultKind.DISK:
                self.world.fail_disk(node, what)
                self._disks.append((node, what))
            case FaultKind.HASTD:
                if self.simulated.reaches(node):
                    self.simulated.sh(node, "pkill -9 hastd")
            case FaultKind.SERVICE:
                self.simulated.machine(node).rc.stick(what)
                self._stubborn.append((node, what))
            case FaultKind.CONTROLLER:
                self.controller_runs = False
            case FaultKind.BLACKOUT:
                self._blackout(fault)

    def _blackout(self, fault: Fault) -> None:
        for each in self.simulated.nodes:
            self.world.power_off(each)
        for each in self.simulated.nodes:
            if not fault.node or each == fault.node:
                self.world.at(OFF_SECONDS, lambda each=each: self._power_on(each))  # type: ignore[misc]
            elif not fault.alone:
                self.world.at(OFF_SECONDS + LATER_SECONDS, lambda each=each: self._power_on(each))  # type: ignore[misc]

    def _power_on(self, node: str) -> None:
        if not self._mended and not self.simulated.machine(node).powered:
            self.tell(f"{node} has power again")
            self.world.power_on(node)

    def mend(self) -> None:
        """Everything that broke works again; a disk with what was on it."""
        self.tell("everything works again")
        self._mended = True
        self.controller_runs = True
        for node, device in self._disks:
            self.world.mend_disk(node, device)
        for node, service in self._stubborn:
            self.simulated.machine(node).rc.unstick(service)
        for node in self.simulated.nodes:
            self.world.thaw(node)
            self.world.join(node)
            self.world.power_on(node)
