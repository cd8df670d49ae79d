"""Rules about what the nodes do by themselves: witnesses. Table: `RULES`."""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.document.problems import Fault, FieldPath, shown
from hactl.core.document.rules.network import IP, not_usable, numeric, virtual_addresses
from hactl.core.objects import FailoverSpec, HACluster


def failovers(cluster: HACluster) -> Iterator[tuple[FieldPath, FailoverSpec]]:
    """Every `failover` of the document with its path."""
    yield ("spec", "failover"), cluster.spec.failover
    for index, group in enumerate(cluster.spec.groups):
        if group.failover is not None:
            yield ("spec", "groups", index, "failover"), group.failover


def _witnesses(cluster: HACluster) -> Iterator[Fault]:
    """A witness is numeric, outside the cluster, and not asked twice."""
    inside = _inside(cluster)
    for path, failover in failovers(cluster):
        seen: set[str] = set()
        for index, text in enumerate(failover.witness):
            where = (*path, "witness", index)
            address = numeric(text)
            if address is None:
                yield Fault(where, f"{shown(text)} is no numeric address", "write an address such as 192.0.2.1")
            elif address in inside:
                message = f"{text} is {inside[address]}: it tells nothing about the world outside the cluster"
                yield Fault(where, message, "name a router or a switch")
            elif wrong := not_usable(address):
                yield Fault(where, f"{text} {wrong}", "name a router or a switch")
            elif text in seen:
                yield Fault(where, f"{text} is named twice", "name each witness once")
            seen.add(text)


def _inside(cluster: HACluster) -> dict[IP, str]:
    """The addresses of the cluster itself, and whose they are."""
    found: dict[IP, str] = {virtual.ip: "a virtual IP" for _, _, virtual in virtual_addresses(cluster)}
    for group in cluster.spec.groups:
        for storage in group.storage:
            for node, text in storage.hast.addresses.items():
                address = numeric(text)
                if address is not None:
                    found[address] = f"the replication address of {node}"
    for spec in cluster.spec.nodes:
        address = numeric(spec.ssh.host)
        if address is not None and not address.is_loopback:
            found[address] = f"the address of {spec.name}"
    return found


RULES = (_witnesses,)
