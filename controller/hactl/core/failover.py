"""Whether the standby would take over completely if the active node died this second, and if not, why not.

Rules: nothing is promised that the nodes cannot do by themselves. Addresses move by CARP; storage and services wait for
hactl or a person, so a group that has them is never FailoverReady in this version. What is not known is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hactl.core.facts import HastRole
from hactl.core.objects import GroupSpec, RunOn, VirtualIP
from hactl.core.status_seen import IN_FLIGHT_BYTES, UNKNOWN, Seen, known
from hactl.core.steps import Plan

#: What the plan would change for the next boot of a node.
_BOOT_VERBS = frozenset({"WriteBootAliases", "SetRcVariable", "RemoveRcVariable", "SetSysctlConf", "EnableService"})


@dataclass(frozen=True, slots=True)
class Failover:
    """The verdict over all groups."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Obstacle:
    reason: str
    message: str
    #: False: not known to be an obstacle, but not known not to be one.
    certain: bool = True


def failover_ready(seen: Seen, plan: Plan) -> Failover:
    """FailoverReady of the cluster."""
    found = [obstacle for group in seen.cluster.groups for obstacle in _group(seen, plan, group)]
    certain = [obstacle for obstacle in found if obstacle.certain]
    if found:
        first = (certain or found)[0]
        message = "; ".join(obstacle.message for obstacle in found)
        return Failover("False" if certain else "Unknown", first.reason, message)
    return Failover("True", "StandbyReady", "the standby takes every address over by itself")


def _group(seen: Seen, plan: Plan, group: GroupSpec) -> Iterator[_Obstacle]:
    if group.storage or any(service.run_on is RunOn.ACTIVE for service in group.services):
        what = " and ".join(word for word, there in (("storage", group.storage), ("services", group.services)) if there)
        yield _Obstacle("StorageStaysPut", f"{group.name}: addresses move by CARP, {what} wait for hactl or a person")
    active = seen.active(group)
    standbys = [node for node in group.preferred if node != active]
    if active is None:
        yield _Obstacle("NoActiveNode", f"{group.name}: no single node is known to be active", certain=not seen.silent)
    elif not standbys:
        yield _Obstacle("NoStandby", f"{group.name}: there is no other node")
    for node in standbys if active is not None else ():
        yield from _standby(seen, plan, group, node)
    if active is not None:
        yield from _storage(seen, group, active)


def _standby(seen: Seen, plan: Plan, group: GroupSpec, node: str) -> Iterator[_Obstacle]:
    facts = seen.facts.get(node)
    if facts is None:
        yield _Obstacle("StandbySilent", f"{node} does not answer ({seen.silent[node]})", certain=False)
        return
    for vip in group.virtual_ips:
        yield from _vip(seen, group, vip, node)
    sysctls = known(facts.carp_sysctls)
    if group.virtual_ips and sysctls is None:
        yield _Obstacle("SysctlsUnknown", f"net.inet.carp of {node} is not known", certain=False)
    if group.virtual_ips and sysctls is not None:
        if sysctls.get("demotion", 0) > 0:
            yield _Obstacle("StandbyDemoted", f"{node} is demoted by {sysctls['demotion']}")
        if sysctls.get("preempt") != 1:
            yield _Obstacle("PreemptOff", f"{node} has net.inet.carp.preempt={sysctls.get('preempt', 0)}")
        if sysctls.get("allow", 1) == 0:
            yield _Obstacle("CarpOff", f"{node} has net.inet.carp.allow=0")
    pending = [step.target for step in plan.steps if step.node == node and step.verb in _BOOT_VERBS]
    if pending:
        yield _Obstacle("WrongAfterReboot", f"{node} would boot without {', '.join(dict.fromkeys(pending))}")


def _vip(seen: Seen, group: GroupSpec, vip: VirtualIP, node: str) -> Iterator[_Obstacle]:
    state = seen.state(vip, node)
    if state == UNKNOWN:
        yield _Obstacle("StateUnknown", f"vhid {vip.vhid} on {node} is not known", certain=False)
    elif state != "BACKUP":
        yield _Obstacle("StandbyNotBackup", f"vhid {vip.vhid} is {state} on {node}")
    interface = seen.interface(vip, node)
    if interface is not None and not interface.up:
        yield _Obstacle("StandbyInterfaceDown", f"{interface.name} of {node} is {interface.status or 'down'}")
    vhid, wanted = seen.vhid(vip, node), seen.cluster.keys.get((group.name, vip.name))
    if vhid is not None and wanted is not None and vhid.key != wanted:
        yield _Obstacle("PasswordDiffers", f"vhid {vip.vhid} of {node} has another password")


def _storage(seen: Seen, group: GroupSpec, active: str) -> Iterator[_Obstacle]:
    for storage in group.storage:
        resource = seen.resource(storage.name, active)
        if resource is not None and resource.status != "complete":
            yield _Obstacle("Degraded", f"{storage.name} is {resource.status or 'without a worker'} on {active}")
        elif resource is not None and resource.dirty > IN_FLIGHT_BYTES:
            yield _Obstacle("NotSynchronised", f"{storage.name} is being copied; part of it is on {active} only")
        for node, role in seen.roles(storage).items():
            if node == active or node in seen.silent:
                continue
            if role == UNKNOWN:
                yield _Obstacle("RoleUnknown", f"the role of {node} for {storage.name} is not known", certain=False)
            elif role != HastRole.SECONDARY.value:
                yield _Obstacle("StandbyNotSecondary", f"{node} is {role} for {storage.name}")
