"""The status of a cluster: everything `hactl status` and `hactl get` show, as one JSON-able value with wire names.

Rules: it is made from facts and plan alone; every reading shows its age and what is not known says so; times that did
not change keep the text they had (`previous`), so that an unchanged cluster gives an unchanged status but for ages.
Units: `...Seconds`, `...Bytes`; times are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from hactl.core.catalogue import ConditionReason, ConditionType
from hactl.core.cluster import interface_on
from hactl.core.evidence.failures import Place, as_recorded
from hactl.core.evidence.left import still_there
from hactl.core.evidence.view import MountState, View
from hactl.core.facts import HastMetadata, NodeFacts, NoMetadata, System, Unknown, known, rebooted
from hactl.core.hook.installed import differing
from hactl.core.hook.render import hook_files
from hactl.core.objects import GroupSpec, ServiceSpec, StorageSpec, VirtualIP
from hactl.core.operations import Failures
from hactl.core.status.changes import last_known
from hactl.core.status.conditions import Finding, findings
from hactl.core.steps import Hold, Plan, Stage, Step, StepKey

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document is from."""

    source: str
    #: Which revision of the source (a commit, an ETag ...), and when that was made; empty: not known.
    revision: str = ""
    revised_at: str = ""
    #: What is wrong around the document, one line each.
    problems: Sequence[str] = ()
    #: What a newer document was refused for, and what is wrong with the source itself; "": nothing.
    refused: str = ""
    trouble: str = ""


def cluster_status(
    view: View,
    plan: Plan,
    origin: Origin,
    *,
    wall: datetime,
    previous: Mapping[str, Any] | None = None,
    failing: Mapping[StepKey, str] | None = None,
    failures: Mapping[Place, Failures] | None = None,
) -> Status:
    """The status at `view.now`, which is `wall` (timezone-aware) on the controller's clock.

    `previous`: the last status of this cluster, for times of transitions. `failing`: `Step.key` of steps that keep
    failing -> what happened. `failures`: services that stopped by themselves, which the next look goes on from.
    """
    before: Mapping[str, Any] = previous or {}
    cluster = view.cluster
    dirty = {s["name"]: s["dirtyBytes"] for g in before.get("groups", ()) for s in g["storage"] if s["dirtyBytes"]}
    found = [*findings(view, plan, failing=failing or {}, dirty_before=dirty), *document_findings(origin)]
    nodes_before = {node["name"]: node for node in before.get("nodes", ())}
    status: Status = {
        "name": cluster.name,
        "generation": cluster.generation,
        "observedGeneration": plan.generation,
        "source": origin.source,
        **({"sourceRevision": origin.revision} if origin.revision else {}),
        **({"sourceAt": origin.revised_at} if origin.revised_at else {}),
        "mode": cluster.document.spec.mode.value,
        "observedAt": _text(wall),
        "problems": list(origin.problems),
        "nodes": [_node(view, name, wall, nodes_before.get(name, {})) for name in view.nodes],
        "groups": [_group(view, plan, group, failures or {}) for group in cluster.groups],
        "plan": _plan(plan),
        "holds": [_hold(hold) for hold in plan.holds],
        "left": [
            {"what": left.what.value, "name": left.name, "node": left.node}
            for left in cluster.left
            if still_there(view, left) is not False
        ],
        "failing": {str(key): what for key, what in (failing or {}).items()},
        "conditions": [_condition(finding, before, plan.generation, wall) for finding in found],
    }
    return {**status, "lastKnown": last_known(before, status)}


def document_findings(origin: Origin) -> tuple[Finding, Finding]:
    """Whether the newest document is in force, and whether its source can be read."""
    accepted = Finding(ConditionType.SPEC_ACCEPTED, "True", ConditionReason.ACCEPTED, f"{origin.source} is in force")
    if origin.refused:
        message = f"a newer document was refused, the last good one stays in force: {origin.refused}"
        accepted = Finding(ConditionType.SPEC_ACCEPTED, "False", ConditionReason.DOCUMENT_REFUSED, message)
    read = Finding(ConditionType.SOURCE_READY, "True", ConditionReason.SOURCE_READ, "the source was read")
    if origin.trouble:
        read = Finding(ConditionType.SOURCE_READY, "False", ConditionReason.SOURCE_SILENT, origin.trouble)
    return accepted, read


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch_text(seconds: int) -> str:
    return _text(datetime.fromtimestamp(seconds, UTC))


def _condition(finding: Finding, before: Mapping[str, Any], generation: int, wall: datetime) -> Status:
    same = next(
        (c for c in before.get("conditions", ()) if c["type"] == finding.type and c["status"] == finding.status), None
    )
    return {
        "type": finding.type.value,
        "status": finding.status,
        "reason": finding.reason.value,
        "message": finding.message,
        "lastTransitionTime": same["lastTransitionTime"] if same else _text(wall),
        "observedGeneration": generation,
    }


# --- nodes --------------------------------------------------------------------------------------------------------


def _node(view: View, name: str, wall: datetime, before: Mapping[str, Any]) -> Status:
    """One node. Without an answer only the silence is told: since when, and why."""
    facts, silence = view.facts.get(name), view.silent.get(name)
    reason = silence.reason if silence is not None else None
    age = view.age_seconds(name)
    at = _text(wall - timedelta(seconds=age))
    since = at
    if reason is not None and before.get("reason") == reason and before.get("silentSince"):
        since = before["silentSince"]
    system = known(facts.system) if facts else None
    return {
        "name": name,
        "answers": facts is not None,
        "reason": reason,
        "silentSince": None if facts else since,
        "ageSeconds": round(age, 1),
        "seenAt": at if known(view.snapshot.nodes.get(name)) is not None else None,
        "release": system.release if system else None,
        "bootTime": _boot_time(system, before) if system else None,
        "lastBootTime": _boot_time(system, before) if system else before.get("lastBootTime"),
        "hostnameMismatch": _other_name(name, system),
        "carpDemotion": view.sysctl(name, "demotion"),
        "hook": _hook(view, name),
        "unknown": _unknowns(facts, view.unknowns().get(name, {})) if facts else [],
        "notes": list(facts.notes) if facts else [],
    }


def _hook(view: View, name: str) -> Status | None:
    """What the node does by itself; None where there is nothing to move but addresses, or nothing is known of it."""
    hook = view.hook(name)
    files = hook_files(view.cluster, name)
    if hook is None or not files:
        return None
    there = any(file.path in hook.files for file in files)
    return {
        "state": "Installed" if not differing(files, hook) else "Differs" if there else "Missing",
        "heldBy": hook.held,
        "drained": hook.drained,
        "confirmed": sorted(hook.confirmed),
        "disconnected": sorted(hook.disconnected),
        "moves": list(hook.moves),
    }


def _boot_time(system: System, before: Mapping[str, Any]) -> str:
    """The boot time, in the text it had while it moved by no more than the clock's discipline."""
    was, now = before.get("lastBootTime"), _epoch_text(system.boot_epoch)
    return str(was) if was and not rebooted(was, now) else now


def _other_name(name: str, system: System | None) -> str | None:
    """What the machine calls itself, when that is not its name in the document."""
    if system is None or name in (system.hostname, system.hostname.split(".")[0]):
        return None
    return system.hostname


def _unknowns(facts: NodeFacts, needed: Mapping[str, str]) -> list[Status]:
    """Every reading of the node that is Unknown; `needed` ones keep the node from being called right."""
    found: dict[str, str] = dict(needed)
    for entry in fields(facts):
        value = getattr(facts, entry.name)
        name = entry.name.replace("_", " ")
        if isinstance(value, Unknown):
            found.setdefault(name, value.reason)
    return [{"reading": name, "reason": reason, "needed": name in needed} for name, reason in sorted(found.items())]


# --- groups -------------------------------------------------------------------------------------------------------


def _texts(states: Mapping[str, StrEnum]) -> dict[str, str]:
    return {node: state.value for node, state in states.items()}


def _group(view: View, plan: Plan, group: GroupSpec, failures: Mapping[Place, Failures]) -> Status:
    return {
        "name": group.name,
        "active": view.active(group),
        "wantedActive": plan.active.get(group.name),
        "goal": plan.goals.get(group.name),
        "addresses": [_address(view, vip) for vip in group.virtual_ips],
        "storage": [_storage(view, storage) for storage in group.storage],
        "services": [_service(view, service, failures) for service in group.services],
    }


def _address(view: View, vip: VirtualIP) -> Status:
    masters = view.masters(vip)
    return {
        "name": vip.name,
        "vhid": vip.vhid,
        "addresses": list(vip.addresses),
        "interfaces": {node: interface_on(vip, node) for node in view.nodes},
        "states": _texts(view.states(vip)),
        "master": masters[0] if len(masters) == 1 else None,
    }


def _storage(view: View, storage: StorageSpec) -> Status:
    """The status and dirty bytes are the primary's; None while there is not exactly one."""
    primaries = view.primaries(storage)
    mounts = {node: view.mount(storage, node) for node in view.roles(storage)}
    primary = view.resource(storage.name, primaries[0]) if len(primaries) == 1 else None
    return {
        "name": storage.name,
        "device": storage.device,
        "roles": _texts(view.roles(storage)),
        "primary": primaries[0] if len(primaries) == 1 else None,
        "status": primary.status if primary else None,
        "dirtyBytes": primary.dirty if primary else None,
        "localErrors": primary.local_errors if primary else None,
        "mountedOn": [node for node, state in mounts.items() if state is MountState.MOUNTED],
        "mounts": _texts(mounts),
        "metadata": {node: _metadata(view.metadata(storage.name, node)) for node in storage.hast.devices},
    }


def _metadata(metadata: HastMetadata | NoMetadata | None) -> Status:
    if isinstance(metadata, HastMetadata):
        # resuid is a 64-bit number: as text, because JSON readers lose its last digits.
        return {
            "state": "Present",
            "resuid": str(metadata.resuid),
            "localCount": metadata.localcnt,
            "remoteCount": metadata.remotecnt,
        }
    return {"state": metadata.value.capitalize() if metadata is not None else "Unknown"}


def _service(view: View, service: ServiceSpec, failures: Mapping[Place, Failures]) -> Status:
    failed = as_recorded(failures, service.name)
    return {
        "name": service.name,
        "runOn": service.run_on.value,
        "states": _texts({node: view.service(service.name, node) for node in view.nodes}),
        **({"onFailure": service.on_failure.action.value} if service.on_failure is not None else {}),
        **({"failures": failed} if failed else {}),
    }


# --- plan ---------------------------------------------------------------------------------------------------------


def _plan(plan: Plan) -> Status:
    return {
        "digest": plan.digest,
        "stages": len(plan.stages),
        "steps": len(plan.steps),
        "next": _stage(plan.stages[0]) if plan.stages else None,
    }


def _stage(stage: Stage) -> Status:
    return {
        "title": stage.title,
        "ordered": stage.ordered,
        "risk": stage.risk.value,
        "steps": [_step(step) for step in stage.steps],
    }


def _step(step: Step) -> Status:
    return {
        "node": step.node,
        "verb": str(step.verb),
        "target": step.target,
        "why": step.why,
        "command": step.command,
        "risk": step.risk.value,
    }


def _hold(hold: Hold) -> Status:
    return {
        "reason": str(hold.reason),
        "message": hold.message,
        "node": hold.node,
        "target": hold.target,
        "remedy": hold.remedy,
        "passing": hold.passing,
    }
