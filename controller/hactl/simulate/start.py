"""From a document to a cluster at rest: what of it is played, and its nodes set up by hactl's own steps."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hactl.core.choices import Initialize, Mode
from hactl.core.document.load import read_cluster
from hactl.core.objects import HACluster
from hactl.errors import HactlError
from hactl.lab.build import Wiring
from hactl.simulate.cluster import SimulatedCluster
from hactl.simulate.controller import Controller
from hactl.simulate.serving import serving

#: Passes after which a cluster that is not at rest never will be.
PASSES = 150
#: For how long it then runs untouched, so that everything young is over, seconds.
REST_SECONDS = 90.0
#: A node's address for the controller where the simulated network does not have it: none that a peer can ask.
NOWHERE = "127.0.0.1"


class Unplayable(HactlError):
    """The simulated nodes cannot be as the document says; the message names the field."""

    exit_code = 2


@dataclass(frozen=True)
class Played:
    """What is played of a document."""

    document: HACluster
    #: What of it is not, or is played as something else; each begins with the field.
    notes: tuple[str, ...]


def played(document: HACluster) -> Played:
    """The document as simulated nodes can have it. Raises Unplayable."""
    if refused := list(_refused(document)):
        raise Unplayable("\n".join(refused))
    data = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    notes = tuple(_changes(document, data["spec"]))
    changed = read_cluster(data)
    if not isinstance(changed, HACluster):
        raise Unplayable(f"as it would be played it is not valid: {'; '.join(str(fault) for fault in changed)}")
    return Played(changed, notes)


def _refused(document: HACluster) -> Iterator[str]:
    for i, group in enumerate(document.spec.groups):
        for j, storage in enumerate(group.storage):
            for node, device in storage.hast.devices.items():
                if not device.startswith("/dev/"):
                    at = f"spec.groups[{i}].storage[{j}].hast.devices.{node}"
                    yield f"{at}: {device} is a plain file; simulated nodes have only devices below /dev"


def _changes(document: HACluster, spec: dict[str, Any]) -> Iterator[str]:
    """Change what cannot be played as it is; say what."""
    spec.pop("keep", None)
    for i, program in enumerate(document.spec.carp.notify):
        yield f"spec.carp.notify[{i}]: what {program} does is not played"
    spec["carp"].pop("notify", None)
    for i, program in enumerate(document.spec.hast.notify):
        yield f"spec.hast.notify[{i}]: what {program} does is not played"
    spec["hast"].pop("notify", None)
    for i, host in enumerate(_hosts(document)):
        if host == NOWHERE and document.spec.nodes[i].ssh.host != NOWHERE:
            yield (
                f"spec.nodes[{i}].ssh.host: {document.spec.nodes[i].ssh.host} is on no network of a virtual IP or of "
                "replication; a network of its own, over which nodes could ask each other, is not played"
            )
        spec["nodes"][i]["ssh"]["host"] = host
    for i, group in enumerate(spec["groups"]):
        for storage in group.get("storage", ()):
            # Disks of simulated nodes are new.
            storage["hast"]["initialize"] = Initialize.IF_BLANK.value
        for j, service in enumerate(group.get("services", ())):
            if service.pop("check", None) is not None:
                yield f"spec.groups[{i}].services[{j}].check: {service['name']} runs while its process runs"
    if document.spec.mode is not Mode.APPLY:
        yield f"spec.mode: {document.spec.mode}: the controller looks and does nothing"


def _hosts(document: HACluster) -> Iterator[str]:
    """The simulated address of each node in the network of its ssh.host; NOWHERE if there is no such network."""
    wiring = Wiring(document)
    for node in document.spec.nodes:
        bases = [base for port in wiring.ports(node.name) for base in port.hosts]
        try:
            host = ipaddress.ip_address(node.ssh.host)
        except ValueError:
            yield NOWHERE
            continue
        yield next((str(base.ip) for base in bases if host in base.network), NOWHERE)


def _place_witnesses(simulated: SimulatedCluster) -> None:
    """Every witness answers: in its own network, else behind a router in the first one."""
    document = simulated.document
    ports = Wiring(document).ports(simulated.nodes[0])
    failovers = [document.spec.failover, *(group.failover for group in document.spec.groups if group.failover)]
    for address in (each for failover in failovers for each in failover.witness):
        near = [p.segment for p in ports if any(ipaddress.ip_address(address) in base.network for base in p.hosts)]
        simulated.world.hosts[address] = (near or [ports[0].segment])[0]


def at_rest(found: Played, seed: int = 1) -> SimulatedCluster:
    """The cluster when hactl has nothing left to do, and a while later. Raises Unplayable if that never is."""
    spec = found.document.spec.model_copy(update={"mode": Mode.APPLY})
    simulated = SimulatedCluster(found.document.model_copy(update={"spec": spec}), seed)
    _place_witnesses(simulated)
    controller = Controller(simulated)
    rested = 0.0
    for _ in range(PASSES):
        plan = controller.pass_once()
        quiet = not plan.stages and not any(hold.passing for hold in plan.holds) and not controller.backoff.worst
        if quiet and rested >= REST_SECONDS:
            break
        while controller.busy:
            simulated.world.advance(0.1)
        seconds = controller.looks_at - simulated.now
        rested = rested + seconds if quiet else 0.0
        simulated.world.advance(seconds)
    why = [f"{hold.reason}: {hold.message}" for hold in plan.holds]
    why += [f"still to be done: {step.key}" for step in plan.steps]
    served = {group.name: serving(simulated, group) for group in simulated.document.spec.groups}
    why += [f"{group}: {' and '.join(who) or 'no node'} serves it" for group, who in served.items() if len(who) != 1]
    if why:
        reasons = "; ".join(why)
        raise Unplayable(f"simulated nodes do not become Ready with this document, so it cannot be played: {reasons}")
    simulated.document = found.document
    simulated.failing = {}
    return simulated
