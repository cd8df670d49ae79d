"""Rules about groups, the services in them, and how far hactl may go. Table: `RULES`."""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.choices import FailureAction, Mode, Replication, RunOn
from hactl.core.cluster import pools_of
from hactl.core.document.problems import Fault, listed
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Rule
from hactl.core.lint.parts import groups, has_standby, is_to_fail_over
from hactl.core.objects import GroupSpec, HACluster

#: Services that are stopped on a standby when they follow a group, and what it is without them.
_NEEDED = {
    "auditd": "its audit trail",
    "cron": "its periodic jobs",
    "ipfilter": "its firewall",
    "ipfw": "its firewall",
    "ntpd": "the time",
    "pf": "its firewall",
    "pfsync": "the states that it takes over",
    "syslogd": "its log, which hactl reads",
    "watchdogd": "its watchdog",
    "zfs": "every ZFS filesystem that it has mounted",
}


def _no_address(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        if not group.virtual_ips and is_to_fail_over(cluster, group):
            message = f"{group.name} has no virtual IP: nothing tells the standby that it is to take over"
            yield Fault(path, message, "add virtualIPs, or failover: {policy: Manual}")


def _one_side(cluster: HACluster) -> Iterator[Fault]:
    firsts = {group.preferred[0] for group in cluster.spec.groups}
    if len(cluster.spec.groups) > 1 and len(firsts) == 1 and has_standby(cluster):
        message = f"all {len(cluster.spec.groups)} groups prefer {firsts.pop()}: the other node only waits"
        path = ("spec", "groups", len(cluster.spec.groups) - 1, "preferred")
        yield Fault(path, message, "let some groups prefer the other one, if it can carry all of them")


def _mounted(group: GroupSpec) -> list[str]:
    specs = [storage.filesystem.ufs for storage in group.storage if storage.filesystem is not None]
    return [ufs.mountpoint for ufs in specs if ufs is not None] + [pool.mounted_on for pool in pools_of(group)]


def _all_needs_disk(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        places = _mounted(group)
        for index, service in enumerate(group.services):
            if service.run_on is RunOn.ALL and places:
                message = f"{service.name} runs on the standby too, where nothing is mounted on {listed(places)}"
                where = (*path, "services", index, "runOn")
                yield Fault(where, message, "write Active, or leave a service that needs no disk to rc.conf")


def _needed_everywhere(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        for index, service in enumerate(group.services):
            if service.run_on is RunOn.ACTIVE and service.name in _NEEDED:
                message = f"on the standby {service.name} is stopped: it is without {_NEEDED[service.name]}"
                where = (*path, "services", index, "name")
                yield Fault(where, message, "remove it and enable it in rc.conf of every node")


def _after_later(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        seen: set[str] = set()
        for index, service in enumerate(group.services):
            for at, name in enumerate(service.after):
                if name not in seen:
                    message = f"{service.name} stands before {name} and starts after it: the list reads otherwise"
                    yield Fault((*path, "services", index, "after", at), message, f"write {service.name} below {name}")
            seen.add(service.name)


def _move_async(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        late = [storage.name for storage in group.storage if storage.hast.replication is Replication.ASYNC]
        for index, service in enumerate(group.services):
            rule = service.on_failure
            if late and rule is not None and rule.action is FailureAction.MOVE:
                message = (
                    f"the move waits until the other disk has all of {listed(late, last='and')}, and that may take long"
                )
                where = (*path, "services", index, "onFailure", "action")
                yield Fault(where, message, "replicate with memsync, or write Restart")


def _observe(cluster: HACluster) -> Iterator[Fault]:
    if cluster.spec.mode is Mode.OBSERVE:
        yield Fault(("spec", "mode"), "hactl reports and repairs nothing", "write Apply when you trust the plan")


def _one_node(cluster: HACluster) -> Iterator[Fault]:
    if not has_standby(cluster):
        yield Fault(("spec", "nodes"), "there is no node to fail over to", "add the second node")


RULES: tuple[tuple[Code, Rule], ...] = (
    (Code.NO_ADDRESS, _no_address),
    (Code.ONE_SIDE, _one_side),
    (Code.ALL_NEEDS_DISK, _all_needs_disk),
    (Code.NEEDED_EVERYWHERE, _needed_everywhere),
    (Code.AFTER_LATER, _after_later),
    (Code.MOVE_ASYNC, _move_async),
    (Code.OBSERVE, _observe),
    (Code.ONE_NODE, _one_node),
)
