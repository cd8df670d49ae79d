"""Rules about services: what may follow a group, what tells that it runs, what it comes after, where it may go. Table:
`RULES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hactl.core.choices import FailureAction, RunOn
from hactl.core.document.problems import Fault, FieldPath, closest, listed, shown
from hactl.core.document.rules.nodes import exactly_one, repeated
from hactl.core.objects import GroupSpec, HACluster, ServiceCheck, ServiceSpec

#: What the audit takes for a password in clear, and for one of hactl's own.
_SECRET = re.compile(r"(?<![\w$])pass[ \t]+\S|HACTL_")
#: What hactl and the node's own reachability stand on: never to be stopped on a standby.
_NOT_TO_FOLLOW = {
    "hastd": "hactl runs hastd itself",
    "sshd": "hactl would lock itself out of the standby",
    "netif": "netif restarts the network, and every vhid with it",
    "routing": "the standby needs its routes",
    "devd": "every node needs devd",
    "kld": "every node needs its modules",
    "sysctl": "every node needs its sysctls",
}


def _services(cluster: HACluster) -> Iterator[Fault]:
    first: dict[str, tuple[int, FieldPath]] = {}
    for group_index, group in enumerate(cluster.spec.groups):
        for index, service in enumerate(group.services):
            path = ("spec", "groups", group_index, "services", index, "name")
            if service.name in _NOT_TO_FOLLOW:
                message = f"{service.name} cannot follow a group: {_NOT_TO_FOLLOW[service.name]}"
                yield Fault(path, message, "remove it")
            if service.name in first:
                before, where = first[service.name]
                what = "is there twice" if before == group_index else "is in two groups"
                message = f"the service {shown(service.name)} {what} (first at {{other}})"
                yield Fault(path, message, "a service follows one group, once", other=where)
            first.setdefault(service.name, (group_index, path))
            if service.check is not None:
                yield from _check((*path[:-1], "check"), service.check)


def _after(cluster: HACluster) -> Iterator[Fault]:
    """What a service comes after is of its group and can run where it runs, and nobody waits in a circle."""
    homes = {service.name: group.name for group in cluster.spec.groups for service in group.services}
    for group_index, group in enumerate(cluster.spec.groups):
        here = {service.name: service for service in group.services}
        for index, service in enumerate(group.services):
            path = ("spec", "groups", group_index, "services", index, "after")
            yield from repeated([((*path, at), name) for at, name in enumerate(service.after)], "service")
            for at, name in enumerate(service.after):
                if name == service.name:
                    yield Fault((*path, at), f"{name} cannot come after itself", "remove it")
                elif name not in here:
                    yield _not_here((*path, at), name, homes.get(name), group)
                elif service.run_on is RunOn.ALL and here[name].run_on is RunOn.ACTIVE:
                    message = f"{service.name} runs on every node, and {name} on the active one only"
                    yield Fault((*path, at), message, f"give {name} runOn: All, or {service.name} runOn: Active")
                elif (way := _way_back(here, name, service.name)) and min(way) == service.name:
                    # Told once, at the service of the circle whose name comes first.
                    circle = " -> ".join([service.name, *way])
                    yield Fault((*path, at), f"each of these comes after the next: {circle}", "remove one of them")


def _not_here(path: FieldPath, name: str, home: str | None, group: GroupSpec) -> Fault:
    if home is not None:
        message = f"{name} is a service of {home}, and groups move apart"
        return Fault(path, message, f"name services of {group.name} only, or make one group of the two")
    names = [service.name for service in group.services]
    likely = closest(name, names)
    advice = f"did you mean {shown(likely)}?" if likely else f"it has {listed(names, last='and')}"
    return Fault(path, f"{group.name} has no service {shown(name)}", advice)


def _way_back(services: Mapping[str, ServiceSpec], start: str, end: str) -> list[str]:
    """The names from one service to another along `after`, both included; empty: there is no way."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        for name in services[way[-1]].after:
            if name in services and name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _moves(cluster: HACluster) -> Iterator[Fault]:
    """Where a service is to take its group elsewhere, the group can go."""
    for group_index, group in enumerate(cluster.spec.groups):
        for index, service in enumerate(group.services):
            if service.on_failure is None or service.on_failure.action is not FailureAction.MOVE:
                continue
            path = ("spec", "groups", group_index, "services", index, "onFailure", "action")
            if len(cluster.spec.nodes) == 1:
                yield Fault(path, "there is no other node to move to", f"write {FailureAction.RESTART}")
            elif not group.virtual_ips:
                yield Fault(path, f"{group.name} has no virtual IP that could move", "write Restart, or add virtualIPs")
            elif any(vip.advskews is not None for vip in group.virtual_ips):
                message = f"the document's advskews keep the addresses of {group.name} where they are"
                yield Fault(path, message, "write Restart, or remove the advskews")


def _check(path: FieldPath, check: ServiceCheck) -> Iterator[Fault]:
    """One question; what is written here is seen by everybody who sees a plan."""
    yield from exactly_one(path, check.tcp, check.command, ("tcp", "command"))
    if check.command is not None and _SECRET.search(check.command):
        yield Fault((*path, "command"), "a check holds no password", "let the program read it from a file of the node")


RULES = (_services, _after, _moves)
