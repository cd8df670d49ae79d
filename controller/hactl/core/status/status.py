"""The status of a cluster: everything `hactl status` and `hactl get` show, as one JSON-able value with wire names.

Rules: it is made from facts and plan alone; every reading shows its age and what is not known says so; times that did
not change keep the text they had (`previous`), so that an unchanged cluster gives an unchanged status but for ages.
Units: `...Seconds`, `...Bytes`; times are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from hactl.core.cluster import Cluster, interface_on
from hactl.core.evidence.view import MountState, View
from hactl.core.facts import HastMetadata, Known, NodeFacts, NoMetadata, Snapshot, System, Unknown, known
from hactl.core.hook.installed import differing
from hactl.core.hook.render import hook_files
from hactl.core.objects import GroupSpec, ServiceSpec, StorageSpec, VirtualIP
from hactl.core.status.changes import changes, last_known, same_but_for_ages
from hactl.core.status.conditions import Finding, findings
from hactl.core.steps import Hold, Plan, Stage, Step, StepKey

__all__ = ["changes", "cluster_status", "same_but_for_ages"]

#: kern.boottime moves by small amounts when a clock is disciplined; more than this is a reboot or a stepped clock.
BOOT_TIME_SLACK_SECONDS = 5

Status = dict[str, Any]


def cluster_status(
    cluster: Cluster,
    snapshot: Snapshot,
    plan: Plan,
    *,
    now: float,
    wall: datetime,
    source: str,
    source_revision: str = "",
    source_at: str = "",
    previous: Mapping[str, Any] | None = None,
    problems: Sequence[str] = (),
    failing: Mapping[StepKey, str] | None = None,
) -> Status:
    """The status at `now` (monotonic seconds), which is `wall` (timezone-aware) on the controller's clock.

    `source_revision`, `source_at`: which revision of the source the document is from (a commit, an ETag ...), and when
    that was made. `previous`: the last status of this cluster, for times of transitions. `problems`: what is wrong
    around the document, one line each. `failing`: `Step.key` of steps that keep failing -> what happened.
    """
    before: Mapping[str, Any] = previous or {}
    view = View.at(cluster, snapshot, now)
    dirty = {s["name"]: s["dirtyBytes"] for g in before.get("groups", ()) for s in g["storage"] if s["dirtyBytes"]}
    found = findings(view, plan, failing=failing or {}, dirty_before=dirty)
    nodes_before = {node["name"]: node for node in before.get("nodes", ())}
    status: Status = {
        "name": cluster.name,
        "generation": cluster.generation,
        "observedGeneration": plan.generation,
        "source": source,
        **({"sourceRevision": source_revision} if source_revision else {}),
        **({"sourceAt": source_at} if source_at else {}),
        "mode": cluster.document.spec.mode.value,
        "observedAt": _text(wall),
        "problems": list(problems),
        "nodes": [
            _node(view, snapshot, spec.name, now, wall, nodes_before.get(spec.name, {})) for spec in cluster.nodes
        ],
        "groups": [_group(view, plan, group) for group in cluster.groups],
        "plan": _plan(plan),
        "holds": [_hold(hold) for hold in plan.holds],
        "failing": {str(key): what for key, what in (failing or {}).items()},
        "conditions": [_condition(finding, before, plan.generation, wall) for finding in found],
    }
    return {**status, "lastKnown": last_known(before, status)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch_text(seconds: int) -> str:
    return _text(datetime.fromtimestamp(seconds, UTC))


def _condition(finding: Finding, before: Mapping[str, Any], generation: int, wall: datetime) -> Status:
    same = next(
        (c for c in before.get("conditions", ()) if c["type"] == finding.type and c["status"] == finding.status), None
    )
    return {
        "type": finding.type,
        "status": finding.status,
        "reason": finding.reason,
        "message": finding.message,
        "lastTransitionTime": same["lastTransitionTime"] if same else _text(wall),
        "observedGeneration": generation,
    }


# --- nodes --------------------------------------------------------------------------------------------------------


def _node(view: View, snapshot: Snapshot, name: str, now: float, wall: datetime, before: Mapping[str, Any]) -> Status:
    """One node. Without an answer only the silence is told: since when, and why."""
    reading = snapshot.nodes.get(name, Unknown("NotAsked", now))
    at = reading.value.seen_at if isinstance(reading, Known) else reading.since
    facts = view.facts.get(name)
    reason = view.silent[name].reason if name in view.silent else None
    since = _text(wall - timedelta(seconds=max(0.0, now - at)))
    if reason is not None and before.get("reason") == reason and before.get("silentSince"):
        since = before["silentSince"]
    system = known(facts.system) if facts else None
    sysctls = known(facts.carp_sysctls) if facts else None
    return {
        "name": name,
        "answers": facts is not None,
        "reason": reason,
        "silentSince": None if facts else since,
        "ageSeconds": round(max(0.0, now - at), 1),
        "seenAt": _text(wall - timedelta(seconds=max(0.0, now - at))) if isinstance(reading, Known) else None,
        "release": system.release if system else None,
        "bootTime": _boot_time(system, before) if system else None,
        "lastBootTime": _boot_time(system, before) if system else before.get("lastBootTime"),
        "hostnameMismatch": _other_name(name, system),
        "carpDemotion": sysctls.get("demotion") if sysctls else None,
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
    text = before.get("lastBootTime")
    if text:
        moved = abs(datetime.fromisoformat(text).timestamp() - system.boot_epoch)
        if moved <= BOOT_TIME_SLACK_SECONDS:
            return str(text)
    return _epoch_text(system.boot_epoch)


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


def _group(view: View, plan: Plan, group: GroupSpec) -> Status:
    return {
        "name": group.name,
        "active": view.active(group),
        "wantedActive": plan.active.get(group.name),
        "goal": plan.goals.get(group.name),
        "addresses": [_address(view, vip) for vip in group.virtual_ips],
        "storage": [_storage(view, storage) for storage in group.storage],
        "services": [_service(view, service) for service in group.services],
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


def _service(view: View, service: ServiceSpec) -> Status:
    return {
        "name": service.name,
        "runOn": service.run_on.value,
        "states": _texts({node: view.service(service.name, node) for node in view.nodes}),
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
        "verb": step.verb,
        "target": step.target,
        "why": step.why,
        "command": step.command,
        "risk": step.risk.value,
    }


def _hold(hold: Hold) -> Status:
    return {
        "reason": hold.reason,
        "message": hold.message,
        "node": hold.node,
        "target": hold.target,
        "remedy": hold.remedy,
        "passing": hold.passing,
    }
