"""The conditions of a cluster: what is true of it now, as the Kubernetes API conventions put it.

Rules: a condition is a value made from what is seen and from the plan; Unknown is neither healthy nor broken, so what
depends on a reading we do not have is Unknown, never True and never False. Messages hold no ages, so that an unchanged
cluster has unchanged conditions. Types and reasons are listed in `hactl.core.catalogue`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from hactl.core.evidence.copies import diverged
from hactl.core.evidence.view import IN_FLIGHT_BYTES, MountState, ReportedRole, VhidState, View
from hactl.core.objects import GroupSpec, Mode, StorageSpec, VirtualIP
from hactl.core.status.failover import failover_ready
from hactl.core.steps import Hold, Plan, StepKey

Status = Literal["True", "False", "Unknown"]

#: Verbs that change only what the next boot does.
BOOT_VERBS = frozenset(
    {
        "WriteBootAliases",
        "SetRcVariable",
        "RemoveRcVariable",
        "SetSysctlConf",
        "EnableService",
        "DisableService",
    }
)
#: Holds that say that something is not known, not that something is wrong.
UNKNOWN_HOLDS = frozenset(
    {
        "BootConfigUnknown",
        "FactsUnknown",
        "HastdSilent",
        "MetadataUnknown",
        "NodeSilent",
        "PeerSilent",
        "RoleUnknown",
        "ServiceUnknown",
        "StaleFacts",
        "SystemUnknown",
    }
)
#: Holds about configuration that only the next boot reads.
BOOT_HOLDS = frozenset({"BootConfigByHand"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition without its history."""

    type: str
    status: Status
    reason: str
    message: str


def findings(
    view: View,
    plan: Plan,
    *,
    failing: Mapping[StepKey, str],
    dirty_before: Mapping[str, int],
) -> list[Finding]:
    """Every condition that exists now, in the order people read them.

    `failing` maps `Step.key` to what happened; `dirty_before` is dirty bytes by resource of the previous status.
    """
    addresses = _worst("AddressesHealthy", list(_addresses(view)), *_well_addresses(view))
    storage = _worst("StorageHealthy", list(_storage(view, dirty_before)), *_well_storage(view))
    config = _config_in_sync(view, plan, failing)
    told = failover_ready(view, plan)
    failover = Finding("FailoverReady", told.status, told.reason, told.message)
    # A group that people keep on Manual, or a single node, is as its document says without failing over by itself.
    wanted = told.reason not in ("ManualPolicy", "NoStandby")
    ready = _ready(view, plan, (addresses, storage, config, *((failover,) if wanted else ())))
    split = list(_split_brain(view, plan))
    found = [ready, *_progress(view, plan, failing), addresses, storage, config, failover]
    if split:
        found.append(_worst("SplitBrain", split, "", ""))
    return found


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: Status
    reason: str
    message: str


def _worst(kind: str, verdicts: list[_Verdict], reason: str, message: str) -> Finding:
    """One condition from many verdicts: False before Unknown before True; all messages of that status are kept."""
    for status in ("False", "Unknown", "True"):
        these = [verdict for verdict in verdicts if verdict.status == status]
        if these:
            return Finding(kind, these[0].status, these[0].reason, "; ".join(v.message for v in these))
    return Finding(kind, "True", reason, message)


def _well_addresses(view: View) -> tuple[str, str]:
    if any(group.virtual_ips for group in view.cluster.groups):
        return "OneMaster", "every vhid has one MASTER"
    return "NoAddresses", "the document has no virtual IPs"


def _well_storage(view: View) -> tuple[str, str]:
    if any(group.storage for group in view.cluster.groups):
        return "Complete", "every resource has one complete primary"
    return "NoStorage", "the document has no storage"


# --- addresses ----------------------------------------------------------------------------------------------------


def _addresses(view: View) -> Iterator[_Verdict]:
    for group in view.cluster.groups:
        for vip in group.virtual_ips:
            verdict = _address(view, group, vip)
            if verdict is not None:
                yield verdict
        places = {tuple(view.masters(vip)) for vip in group.virtual_ips}
        if not group.storage and len(places) > 1 and all(len(place) == 1 for place in places):
            where = ", ".join(f"{vip.name} on {view.masters(vip)[0]}" for vip in group.virtual_ips)
            yield _Verdict("False", "AddressesApart", f"{group.name}: its addresses are on different nodes: {where}")


def _address(view: View, group: GroupSpec, vip: VirtualIP) -> _Verdict | None:
    """What is wrong, or not known, about one vhid; None when it is well."""
    states = view.states(vip)
    masters = view.masters(vip)
    told = ", ".join(f"{state} on {node}" for node, state in states.items())
    name = f"vhid {vip.vhid} ({vip.name})"
    if len(masters) > 1:
        return _Verdict("False", "TwoMasters", f"{name} is {told}")
    if VhidState.UNKNOWN in states.values():
        return _Verdict("Unknown", "StateUnknown", f"{name} is {told}")
    if not masters:
        return _Verdict("False", "NoMaster", f"{name} is {told}")
    if any(state not in (VhidState.MASTER, VhidState.BACKUP) for state in states.values()):
        return _Verdict("False", "NotOnEveryNode", f"{name} is {told}")
    interface = view.interface(vip, masters[0])
    if interface and any("duplicated" in address.flags for address in interface.of_vhid(vip.vhid)):
        return _Verdict("False", "DuplicateAddress", f"{name}: another machine uses its IPv6 address")
    for storage in group.storage:
        verdict = _behind(view, storage, name, masters[0])
        if verdict is not None:
            return verdict
    return None


def _behind(view: View, storage: StorageSpec, name: str, master: str) -> _Verdict | None:
    """Whether the MASTER has the storage behind the address."""
    role = view.reported_role(storage.name, master)
    if role is ReportedRole.PRIMARY:
        return None
    if role is ReportedRole.UNKNOWN:
        return _Verdict("Unknown", "RoleUnknown", f"{name} is on {master}, whose role for {storage.name} is not known")
    holder = view.primaries(storage)
    if holder:
        return _Verdict("False", "AddressElsewhere", f"{name} is on {master}, {storage.name} is on {holder[0]}")
    return _Verdict("False", "AddressWithoutStorage", f"{name} is on {master}, which does not have {storage.name}")


# --- storage ------------------------------------------------------------------------------------------------------


def _storage(view: View, dirty_before: Mapping[str, int]) -> Iterator[_Verdict]:
    for group in view.cluster.groups:
        for storage in group.storage:
            verdict = _resource(view, storage, dirty_before.get(storage.name))
            if verdict is not None:
                yield verdict


def _resource(view: View, storage: StorageSpec, dirty_before: int | None) -> _Verdict | None:
    roles = view.roles(storage)
    primaries = view.primaries(storage)
    told = ", ".join(f"{role} on {node}" for node, role in roles.items())
    name = storage.name
    if len(primaries) > 1:
        return _Verdict("False", "TwoPrimaries", f"{name} is {told}")
    if diverged(view, storage):
        return _Verdict("False", "Diverged", f"both copies of {name} were written while they were apart")
    dead = [node for node in roles if view.mount(storage, node) is MountState.DEAD]
    if dead:
        told = f"what {' and '.join(dead)} has of {name} is dead: /dev/hast/{name} is gone under it ({told})"
        return _Verdict("False", "MountDead", told)
    resource = view.resource(name, primaries[0]) if primaries else None
    if resource is not None and resource.status != "complete":
        return _Verdict("False", "Degraded", f"{name} is {resource.status or 'without a worker'} on {primaries[0]}")
    if resource is not None and (alone := view.unconnected(storage)):
        return _Verdict("False", "Degraded", f"{name} of {' and '.join(alone)} has no connection from {primaries[0]}")
    if resource is not None and resource.local_errors:
        return _Verdict("False", "LocalErrors", f"{primaries[0]} has had I/O errors on its own disk of {name}")
    if ReportedRole.UNKNOWN in roles.values():
        return _Verdict("Unknown", "RoleUnknown", f"{name} is {told}")
    if resource is None:
        return _Verdict("False", "NoPrimary", f"{name} is {told}")
    if any(view.metadata(name, node) is None for node in roles):
        return _Verdict("Unknown", "MetadataUnknown", f"the copies of {name} could not be compared")
    if resource.dirty > IN_FLIGHT_BYTES:
        if dirty_before is not None and IN_FLIGHT_BYTES < dirty_before < resource.dirty:
            return _Verdict("False", "FallingBehind", f"{name} has more and more that is on {primaries[0]} only")
        return _Verdict("True", "Synchronising", f"{name} is being copied from {primaries[0]}")
    return None


# --- configuration ------------------------------------------------------------------------------------------------


def _config_in_sync(view: View, plan: Plan, failing: Mapping[StepKey, str]) -> Finding:
    """Runtime and boot-time configuration against the document, by what the plan would do about it."""
    kind = "ConfigInSync"
    steps = {step.key: step.verb for step in plan.steps} | {key: key.verb for key in failing}
    runtime = [key for key, verb in steps.items() if verb not in BOOT_VERBS]
    boot = [key for key, verb in steps.items() if verb in BOOT_VERBS]
    wrong = [hold for hold in plan.holds if hold.reason not in UNKNOWN_HOLDS and not hold.passing]
    by_hand = [hold for hold in wrong if hold.reason in BOOT_HOLDS]
    held = [hold for hold in wrong if hold.reason not in BOOT_HOLDS and hold.reason not in _NOT_CONFIG]
    if runtime:
        return Finding(kind, "False", "RuntimeDrift", _listed("differs now", runtime))
    if held:
        return Finding(kind, "False", "Held", "; ".join(_told(hold) for hold in held))
    unknown = view.unknowns()
    if unknown or _not_planned(view, plan):
        return Finding(kind, "Unknown", "ReadingsUnknown", _unknown_message(unknown))
    if boot or by_hand:
        told = [_listed("right now but wrong after a reboot", boot)] if boot else []
        return Finding(kind, "False", "WrongAfterReboot", "; ".join([*told, *(_told(hold) for hold in by_hand)]))
    doubts = [hold for hold in plan.holds if hold.reason in UNKNOWN_HOLDS]
    if doubts:
        return Finding(kind, "Unknown", "ReadingsUnknown", "; ".join(_told(hold) for hold in doubts))
    return Finding(kind, "True", "InSync", "running and boot-time configuration are as the document says")


#: Holds about where things are and who may act, not about configuration.
_NOT_CONFIG = frozenset(
    {
        "AddressElsewhere",
        "AddressWaits",
        "CopyMissing",
        "CountersDisagree",
        "Demoted",
        "Drained",
        "DualPrimary",
        "Electing",
        "FleetSilent",
        "ForeignCopy",
        "ForeignData",
        "HeldAtBoot",
        "InterfaceDown",
        "LeaseLost",
        "MoveWaits",
        "MovesLimited",
        "NotBlank",
        "NotInitialised",
        "NotJustCreated",
        "Paused",
        "PoolSick",
        "Reconnecting",
        "ResolveWaits",
        "SplitBrain",
        "StorageApart",
        "Synchronising",
        "TwoMasters",
        "WaitingForApproval",
    }
)


def _listed(what: str, keys: list[StepKey]) -> str:
    shown = ", ".join(str(key) for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{what}: {shown}{more}"


def _told(hold: Hold) -> str:
    return hold.message


def _unknown_message(unknown: Mapping[str, Mapping[str, str]]) -> str:
    parts = []
    for node, readings in unknown.items():
        if "node" in readings:
            parts.append(f"{node} does not answer ({readings['node']})")
        else:
            parts.append(f"{node}: {', '.join(readings)} not known")
    return "; ".join(parts) or "the document was not compared with the nodes"


def _not_planned(view: View, plan: Plan) -> bool:
    """Whether the plan is none of this document's: references did not resolve, so nothing was compared."""
    keys_missing = any(
        vip.password_from is not None and (group.name, vip.name) not in view.cluster.keys
        for group in view.cluster.groups
        for vip in group.virtual_ips
    )
    return keys_missing or any(group.name not in plan.active for group in view.cluster.groups)


# --- the sum ------------------------------------------------------------------------------------------------------


def _ready(view: View, plan: Plan, parts: tuple[Finding, ...]) -> Finding:
    if plan.stages:
        count = len(plan.steps)
        return Finding("Ready", "False", "ChangesPending", f"{count} step{'s' if count != 1 else ''} to go")
    wrong = [hold for hold in plan.holds if hold.reason not in UNKNOWN_HOLDS]
    if wrong:
        return Finding("Ready", "False", "Held", "; ".join(_told(hold) for hold in wrong))
    for part in parts:
        if part.status == "False":
            return Finding("Ready", "False", part.reason, part.message)
    unknown = view.unknowns()
    if unknown or plan.holds or _not_planned(view, plan):
        message = _unknown_message(unknown) if unknown else "; ".join(_told(hold) for hold in plan.holds)
        return Finding("Ready", "Unknown", "ReadingsUnknown", message or _unknown_message({}))
    for part in parts:
        if part.status == "Unknown":
            return Finding("Ready", "Unknown", part.reason, part.message)
    return Finding("Ready", "True", "AsDesired", "every node is as the document says")


def _progress(view: View, plan: Plan, failing: Mapping[StepKey, str]) -> Iterator[Finding]:
    """Reconciling and Stalled: they exist only while true."""
    waits = [hold for hold in plan.holds if hold.passing]
    stuck = [hold for hold in plan.holds if not hold.passing]
    mode = view.cluster.document.spec.mode
    approval = any(hold.reason == "WaitingForApproval" for hold in stuck)
    if plan.stages and mode is not Mode.OBSERVE and not approval:
        first = plan.stages[0]
        yield Finding("Reconciling", "True", "StepsPending", f"stage 1 of {len(plan.stages)}: {first.title}")
    elif waits:
        yield Finding("Reconciling", "True", "Waiting", "; ".join(_told(hold) for hold in waits))
    if failing:
        told = "; ".join(f"{key}: {what}" for key, what in failing.items())
        yield Finding("Stalled", "True", "StepFailing", told)
    elif stuck:
        yield Finding("Stalled", "True", stuck[0].reason, "; ".join(_told(hold) for hold in stuck))
    elif plan.stages and mode is Mode.OBSERVE:
        yield Finding("Stalled", "True", "ObserveOnly", "mode is Observe: what differs is shown and not changed")


def _split_brain(view: View, plan: Plan) -> Iterator[_Verdict]:
    for group in view.cluster.groups:
        for vip in group.virtual_ips:
            masters = view.masters(vip)
            if len(masters) > 1:
                why = next((hold.message for hold in plan.holds if hold.target == f"vhid {vip.vhid}"), "")
                told = why or f"vhid {vip.vhid} ({vip.name}) is MASTER on {' and '.join(masters)}"
                yield _Verdict("True", "TwoMasters", told)
        for storage in group.storage:
            primaries = view.primaries(storage)
            if len(primaries) > 1:
                yield _Verdict("True", "TwoPrimaries", f"{storage.name} is primary on {' and '.join(primaries)}")
            if diverged(view, storage):
                told = f"both copies of {storage.name} were written while they were apart"
                yield _Verdict("True", "Diverged", told)
