"""Rules about what the nodes do by themselves: witnesses. Table: `RULES`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from hactl.core.document.problems import Fault, FieldPath, shown
from hactl.core.document.rules.network import not_usable, parse_address, virtual_ips
from hactl.core.objects import FailoverSpec, HACluster


def failovers(cluster: HACluster) -> Iterator[tuple[FieldPath, FailoverSpec]]:
    """Every `failover` of the document with its path."""
    yield ("spec", "failover"), cluster.spec.failover
    for index, group in enumerate(cluster.spec.groups):
        if group.failover is not None:
            yield ("spec", "groups", index, "failover"), group.failover


def _witnesses(cluster: HACluster) -> Iterator[Fault]:
    """A witness is numeric, outside the cluster, and not asked twice."""
    inside = {
        parsed.ip: "a virtual IP"
        for _, vip in virtual_ips(cluster)
        for text in vip.addresses
        if (parsed := parse_address(text))
    }
    for group in cluster.spec.groups:
        for storage in group.storage:
            for node, text in storage.hast.addresses.items():
                inside |= dict.fromkeys(_numeric(text), f"the replication address of {node}")
    for spec in cluster.spec.nodes:
        inside |= {ip: f"the address of {spec.name}" for ip in _numeric(spec.ssh.host) if not ip.is_loopback}
    for path, failover in failovers(cluster):
        seen: set[str] = set()
        for index, text in enumerate(failover.witness):
            where = (*path, "witness", index)
            numeric = _numeric(text)
            if not numeric:
                yield Fault(where, f"{shown(text)} is no numeric address", "write an address such as 192.0.2.1")
            elif numeric[0] in inside:
                message = f"{text} is {inside[numeric[0]]}: it tells nothing about the world outside the cluster"
                yield Fault(where, message, "name a router or a switch")
            elif wrong := not_usable(numeric[0]):
                yield Fault(where, f"{text} {wrong}", "name a router or a switch")
            elif text in seen:
                yield Fault(where, f"{text} is named twice", "name each witness once")
            seen.add(text)


def _numeric(text: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(text)] if "%" not in text else []
    except ValueError:
        return []


RULES = (_witnesses,)
