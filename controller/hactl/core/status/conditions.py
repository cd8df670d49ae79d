"""The conditions of a cluster: what is true of it now, as the Kubernetes API conventions put it.

Rules: a condition is a value made from what is seen and from the plan; Unknown is neither healthy nor broken, so what
depends on a reading we do not have is Unknown, never True and never False. Messages hold no ages, so that an unchanged
cluster has unchanged conditions. Types and reasons are listed in `hactl.core.catalogue`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hactl.core.catalogue import About, ConditionReason, ConditionType, HoldReason
from hactl.core.choices import Mode
from hactl.core.evidence.connects import device_never_came
from hactl.core.evidence.copies import diverged
from hactl.core.evidence.view import IN_FLIGHT_BYTES, MountState, ReportedRole, VhidState, View
from hactl.core.facts import HastResource
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.status.failover import failover_ready
from hactl.core.steps import Hold, Plan, StepKey

Status = Literal["True", "False", "Unknown"]

#: What the condition SplitBrain is made of.
SPLIT = frozenset({ConditionReason.TWO_MASTERS, ConditionReason.TWO_PRIMARIES, ConditionReason.DIVERGED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition without its history."""

    type: ConditionType
    status: Status
    reason: ConditionReason | HoldReason
    message: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: Status
    reason: ConditionReason
    message: str


def findings(
    view: View, plan: Plan, *, failing: Mapping[StepKey, str], dirty_before: Mapping[str, int]
) -> list[Finding]:
    """Every condition that exists now, in the order people read them.

    `failing` maps `Step.key` to what happened; `dirty_before` is dirty bytes by resource of the previous status.
    """
    addresses, storage = list(_addresses(view, plan)), list(_storage(view, dirty_before))
    config = _config_in_sync(view, plan, failing)
    ready = failover_ready(view, plan)
    failover = Finding(ConditionType.FAILOVER_READY, ready.status, ready.reason, ready.message)
    # A group that people keep on Manual, or a single node, is as its document says without failing over by itself.
    wanted = ready.reason not in (ConditionReason.MANUAL_POLICY, ConditionReason.NO_STANDBY)
    parts = (
        _worst(ConditionType.ADDRESSES_HEALTHY, addresses or [_addresses_well(view)]),
        _worst(ConditionType.STORAGE_HEALTHY, storage or [_storage_well(view)]),
        config,
    )
    split = [_Verdict("True", v.reason, v.message) for v in (*addresses, *storage) if v.reason in SPLIT]
    return [
        _ready(view, plan, (*parts, *((failover,) if wanted else ()))),
        *_progress(view, plan, failing),
        *parts,
        failover,
        *([_worst(ConditionType.SPLIT_BRAIN, split)] if split else []),
    ]


def _worst(kind: ConditionType, verdicts: list[_Verdict]) -> Finding:
    """One condition from many verdicts: False before Unknown before True; all messages of that status are kept."""
    worst = min(verdicts, key=lambda verdict: ("False", "Unknown", "True").index(verdict.status))
    same = [verdict.message for verdict in verdicts if verdict.status == worst.status]
    return Finding(kind, worst.status, worst.reason, "; ".join(same))


def _addresses_well(view: View) -> _Verdict:
    if any(group.virtual_ips for group in view.cluster.groups):
        return _Verdict("True", ConditionReason.ONE_MASTER, "every vhid has one MASTER")
    return _Verdict("True", ConditionReason.NO_ADDRESSES, "the document has no virtual IPs")


def _storage_well(view: View) -> _Verdict:
    if any(group.storage for group in view.cluster.groups):
        return _Verdict("True", ConditionReason.COMPLETE, "every resource has one complete primary")
    return _Verdict("True", ConditionReason.NO_STORAGE, "the document has no storage")


# --- addresses ----------------------------------------------------------------------------------------------------


def _addresses(view: View, plan: Plan) -> Iterator[_Verdict]:
    for group in view.cluster.groups:
        for vip in group.virtual_ips:
            verdict = _address(view, plan, group, vip)
            if verdict is not None:
                yield verdict
        places = {tuple(view.masters(vip)) for vip in group.virtual_ips}
        if not group.storage and len(places) > 1 and all(len(place) == 1 for place in places):
            where = ", ".join(f"{vip.name} on {view.masters(vip)[0]}" for vip in group.virtual_ips)
            message = f"{group.name}: its addresses are on different nodes: {where}"
            yield _Verdict("False", ConditionReason.ADDRESSES_APART, message)


def _address(view: View, plan: Plan, group: GroupSpec, vip: VirtualIP) -> _Verdict | None:
    """What is wrong, or not known, about one vhid; None when it is well."""
    states = view.states(vip)
    masters = view.masters(vip)
    name = f"vhid {vip.vhid} ({vip.name})"
    message = f"{name} is {_listed(states)}"
    if len(masters) > 1:
        # The planner has asked why there are two.
        why = next((hold.message for hold in plan.holds if hold.target == f"vhid {vip.vhid}"), message)
        return _Verdict("False", ConditionReason.TWO_MASTERS, why)
    if VhidState.UNKNOWN in states.values():
        return _Verdict("Unknown", ConditionReason.STATE_UNKNOWN, message)
    if not masters:
        return _Verdict("False", ConditionReason.NO_MASTER, message)
    if any(state not in (VhidState.MASTER, VhidState.BACKUP) for state in states.values()):
        return _Verdict("False", ConditionReason.NOT_ON_EVERY_NODE, message)
    interface = view.interface(vip, masters[0])
    if interface and any("duplicated" in address.flags for address in interface.of_vhid(vip.vhid)):
        message = f"{name}: another machine uses its IPv6 address"
        return _Verdict("False", ConditionReason.DUPLICATE_ADDRESS, message)
    return next((found for storage in group.storage if (found := _behind(view, storage, name, masters[0]))), None)


def _behind(view: View, storage: StorageSpec, name: str, master: str) -> _Verdict | None:
    """Whether the MASTER has the storage behind the address."""
    role = view.reported_role(storage.name, master)
    if role is ReportedRole.PRIMARY:
        return None
    if role is ReportedRole.UNKNOWN:
        message = f"{name} is on {master}, whose role for {storage.name} is not known"
        return _Verdict("Unknown", ConditionReason.ROLE_UNKNOWN, message)
    holder = view.primaries(storage)
    if holder:
        message = f"{name} is on {master}, {storage.name} is on {holder[0]}"
        return _Verdict("False", ConditionReason.ADDRESS_ELSEWHERE, message)
    message = f"{name} is on {master}, which does not have {storage.name}"
    return _Verdict("False", ConditionReason.ADDRESS_WITHOUT_STORAGE, message)


def _listed(states: Mapping[str, VhidState] | Mapping[str, ReportedRole]) -> str:
    return ", ".join(f"{state} on {node}" for node, state in states.items())


# --- storage ------------------------------------------------------------------------------------------------------


def _storage(view: View, dirty_before: Mapping[str, int]) -> Iterator[_Verdict]:
    for _, storage in view.storages():
        split = list(_split(view, storage))
        verdict = None if split else _resource(view, storage, dirty_before.get(storage.name))
        yield from split
        if verdict is not None:
            yield verdict


def _split(view: View, storage: StorageSpec) -> Iterator[_Verdict]:
    """What only a person can put right again."""
    if len(view.primaries(storage)) > 1:
        message = f"{storage.name} is {_listed(view.roles(storage))}"
        yield _Verdict("False", ConditionReason.TWO_PRIMARIES, message)
    if diverged(view, storage):
        message = f"both copies of {storage.name} were written while they were apart"
        yield _Verdict("False", ConditionReason.DIVERGED, message)


def _resource(view: View, storage: StorageSpec, dirty_before: int | None) -> _Verdict | None:
    """What is wrong, or not known, about a resource with one primary at most; None when it is well."""
    name, roles = storage.name, view.roles(storage)
    message = f"{name} is {_listed(roles)}"
    dead = [node for node in roles if view.mount(storage, node) is MountState.DEAD]
    if dead:
        gone = f"{' and '.join(dead)} still uses {storage.device}, which is gone under it ({_listed(roles)})"
        return _Verdict("False", ConditionReason.MOUNT_DEAD, gone)
    primary = next(iter(view.primaries(storage)), None)
    resource = view.resource(name, primary) if primary is not None else None
    if resource is not None:
        broken = _broken(view, storage, resource, str(primary))
        if broken is not None:
            return broken
    if ReportedRole.UNKNOWN in roles.values():
        return _Verdict("Unknown", ConditionReason.ROLE_UNKNOWN, message)
    if resource is None:
        return _Verdict("False", ConditionReason.NO_PRIMARY, message)
    if any(view.metadata(name, node) is None for node in roles):
        message = f"the copies of {name} could not be compared"
        return _Verdict("Unknown", ConditionReason.METADATA_UNKNOWN, message)
    if resource.dirty > IN_FLIGHT_BYTES:
        if dirty_before is not None and IN_FLIGHT_BYTES < dirty_before < resource.dirty:
            message = f"more and more of {name} is on {primary} only"
            return _Verdict("False", ConditionReason.FALLING_BEHIND, message)
        return _Verdict("True", ConditionReason.SYNCHRONISING, f"{name} is being copied from {primary}")
    return None


def _broken(view: View, storage: StorageSpec, resource: HastResource, primary: str) -> _Verdict | None:
    """What keeps the primary from having everything on both disks."""
    name = storage.name
    if stuck := device_never_came(view, storage, primary):
        return _Verdict("False", ConditionReason.DEVICE_NEVER_CAME, stuck)
    if cut := view.cut(storage):
        message = f"nothing of {name} reaches the other copy: {' and '.join(cut)}"
        return _Verdict("False", ConditionReason.REPLICATION_CUT, message)
    if resource.status != "complete":
        message = f"{name} is {resource.status or 'without a worker'} on {primary}"
        return _Verdict("False", ConditionReason.DEGRADED, message)
    if alone := view.unconnected(storage):
        message = f"{name} of {' and '.join(alone)} has no connection from {primary}"
        return _Verdict("False", ConditionReason.DEGRADED, message)
    if resource.local_errors:
        message = f"{primary} has had I/O errors on its own disk of {name}"
        return _Verdict("False", ConditionReason.LOCAL_ERRORS, message)
    return None


# --- configuration ------------------------------------------------------------------------------------------------


def _config_in_sync(view: View, plan: Plan, failing: Mapping[StepKey, str]) -> Finding:
    """Runtime and boot-time configuration against the document, by what the plan would do about it."""
    kind = ConditionType.CONFIG_IN_SYNC
    keys = dict.fromkeys([*(step.key for step in plan.steps), *failing])
    boot = [key for key in keys if key.verb.traits.boot_only]
    runtime = [key for key in keys if key not in boot]
    wrong = [hold for hold in plan.holds if hold.reason.about is not About.UNKNOWN and not hold.passing]
    by_hand = [hold for hold in wrong if hold.reason is HoldReason.BOOT_CONFIG_BY_HAND]
    held = [hold for hold in wrong if hold not in by_hand and hold.reason.about is About.CONFIGURATION]
    if runtime:
        return Finding(kind, "False", ConditionReason.RUNTIME_DRIFT, _some("differs now", runtime))
    if held:
        return Finding(kind, "False", ConditionReason.HELD, _messages(held))
    if view.unknowns() or _not_planned(view, plan):
        return Finding(kind, "Unknown", ConditionReason.READINGS_UNKNOWN, _unknown_message(view))
    if boot or by_hand:
        some = [_some("right now but wrong after a reboot", boot)] if boot else []
        message = "; ".join([*some, *(hold.message for hold in by_hand)])
        return Finding(kind, "False", ConditionReason.WRONG_AFTER_REBOOT, message)
    doubts = [hold for hold in plan.holds if hold.reason.about is About.UNKNOWN]
    if doubts:
        return Finding(kind, "Unknown", ConditionReason.READINGS_UNKNOWN, _messages(doubts))
    message = "running and boot-time configuration are as the document says"
    return Finding(kind, "True", ConditionReason.IN_SYNC, message)


def _some(what: str, keys: list[StepKey]) -> str:
    shown = ", ".join(str(key) for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{what}: {shown}{more}"


def _messages(holds: Sequence[Hold]) -> str:
    return "; ".join(hold.message for hold in holds)


def _unknown_message(view: View) -> str:
    parts = []
    for node, readings in view.unknowns().items():
        if "node" in readings:
            parts.append(f"{node} does not answer ({readings['node']})")
        else:
            parts.append(f"{node}: {', '.join(readings)} not known")
    return "; ".join(parts) or "the document was not compared with the nodes"


def _not_planned(view: View, plan: Plan) -> bool:
    """Whether the plan is none of this document's: references did not resolve, so nothing was compared."""
    keys_missing = any(
        vip.password_from is not None and (group.name, vip.name) not in view.cluster.keys for group, vip in view.vips()
    )
    return keys_missing or any(group.name not in plan.active for group in view.cluster.groups)


# --- the sum ------------------------------------------------------------------------------------------------------


def _ready(view: View, plan: Plan, parts: tuple[Finding, ...]) -> Finding:
    kind = ConditionType.READY
    if plan.stages:
        count = len(plan.steps)
        message = f"{count} step{'s' if count != 1 else ''} to go"
        return Finding(kind, "False", ConditionReason.CHANGES_PENDING, message)
    wrong = [hold for hold in plan.holds if hold.reason.about is not About.UNKNOWN]
    if wrong:
        return Finding(kind, "False", ConditionReason.HELD, _messages(wrong))
    for part in parts:
        if part.status == "False":
            return replace(part, type=kind)
    if view.unknowns() or plan.holds or _not_planned(view, plan):
        message = _messages(plan.holds) if plan.holds and not view.unknowns() else _unknown_message(view)
        return Finding(kind, "Unknown", ConditionReason.READINGS_UNKNOWN, message)
    for part in parts:
        if part.status == "Unknown":
            return replace(part, type=kind)
    return Finding(kind, "True", ConditionReason.AS_DESIRED, "every node is as the document says")


def _progress(view: View, plan: Plan, failing: Mapping[StepKey, str]) -> Iterator[Finding]:
    """Reconciling and Stalled: they exist only while true."""
    waits = [hold for hold in plan.holds if hold.passing]
    stuck = [hold for hold in plan.holds if not hold.passing]
    observing = view.cluster.document.spec.mode is Mode.OBSERVE
    approval = any(hold.reason is HoldReason.WAITING_FOR_APPROVAL for hold in stuck)
    if plan.stages and not observing and not approval:
        message = f"stage 1 of {len(plan.stages)}: {plan.stages[0].title}"
        yield Finding(ConditionType.RECONCILING, "True", ConditionReason.STEPS_PENDING, message)
    elif waits:
        yield Finding(ConditionType.RECONCILING, "True", ConditionReason.WAITING, _messages(waits))
    if failing:
        message = "; ".join(f"{key}: {what}" for key, what in failing.items())
        yield Finding(ConditionType.STALLED, "True", ConditionReason.STEP_FAILING, message)
    elif stuck:
        yield Finding(ConditionType.STALLED, "True", stuck[0].reason, _messages(stuck))
    elif plan.stages and observing:
        message = "mode is Observe: what differs is shown and not changed"
        yield Finding(ConditionType.STALLED, "True", ConditionReason.OBSERVE_ONLY, message)
