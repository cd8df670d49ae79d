"""What changed between two statuses of a cluster, as events for the record.

Rules: only what a person would want to read later; ages and messages are no events. A reading that became unknown and
came back the same is one loss and one return of its node, not a change of state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

#: kind (`hactl.core.catalogue.EventKind`), summary, node, detail.
Event = tuple[str, str, str | None, Any]

_AGES = frozenset({"ageSeconds", "observedAt", "seenAt"})
_UNKNOWN = "Unknown"
#: See `hactl.core.status.status.BOOT_TIME_SLACK_SECONDS`.
_BOOT_TIME_SLACK_SECONDS = 5


def same_but_for_ages(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same but for ages and the time they were made: then nothing need be written."""
    return bool(_without_ages(a) == _without_ages(b))


def _without_ages(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_ages(entry) for key, entry in value.items() if key not in _AGES}
    if isinstance(value, list | tuple):
        return [_without_ages(entry) for entry in value]
    return value


def changes(previous: Mapping[str, Any] | None, current: Mapping[str, Any]) -> list[Event]:
    """The events between two statuses: (kind, summary, node or None, JSON-able detail). The first status has few."""
    before = previous or {}
    return [
        *_node_events(before, current),
        *_state_events(before, current),
        *_condition_events(before, current),
        *_hold_events(before, current),
        *_plan_events(before, current),
    ]


def _by(items: Any, *keys: str) -> dict[Any, Mapping[str, Any]]:
    return {tuple(item[key] for key in keys): item for item in items or ()}


# --- nodes --------------------------------------------------------------------------------------------------------


def _node_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old = _by(before.get("nodes"), "name")
    for key, node in _by(current.get("nodes"), "name").items():
        name = node["name"]
        had = old.get(key)
        if not node["answers"] and (had is None or had["answers"]):
            yield "NodeLost", f"{name} does not answer: {node['reason']}", name, {"reason": node["reason"]}
        elif node["answers"] and had is not None and not had["answers"]:
            yield "NodeBack", f"{name} answers again", name, {"silentSince": had.get("silentSince")}
    yield from _reboots(before, current)


def _reboots(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    """A node that was away has no boot time in between: the last one known is kept in `lastBootTime`."""
    old = _boot_times(before)
    for node in current.get("nodes", ()):
        was, now = old.get(node["name"]), node.get("bootTime")
        if was and now and abs((_moment(now) - _moment(was)).total_seconds()) > _BOOT_TIME_SLACK_SECONDS:
            yield "NodeRebooted", f"{node['name']} booted at {now}", node["name"], {"before": was, "bootTime": now}


def _boot_times(status: Mapping[str, Any]) -> dict[str, str]:
    return {node["name"]: node["lastBootTime"] for node in status.get("nodes", ()) if node.get("lastBootTime")}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- states -------------------------------------------------------------------------------------------------------


def last_known(before: Mapping[str, Any], current: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was last known of the states that are Unknown now, so that a change behind our back is told later."""
    was = _facets(before)
    return [
        {"what": key[0], "name": key[1], "node": key[2], "state": was[key]}
        for key, state in _facets({**current, "lastKnown": []}).items()
        if state == _UNKNOWN and was.get(key, _UNKNOWN) != _UNKNOWN
    ]


def _facets(status: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """(what, name, node) -> state, for everything that has a state on a node; what is Unknown as it was last known."""
    found: dict[tuple[str, str, str], str] = {}
    for group in status.get("groups", ()):
        for vip in group["addresses"]:
            for node, state in vip["states"].items():
                found["CARP", f"vhid {vip['vhid']} ({vip['name']})", node] = state
        for storage in group["storage"]:
            for node, role in storage["roles"].items():
                found["HAST", storage["name"], node] = role
            for node, state in storage["mounts"].items():
                found["mount", f"/dev/hast/{storage['name']}", node] = state
        for service in group["services"]:
            for node, state in service["states"].items():
                found["service", service["name"], node] = state
    for entry in status.get("lastKnown", ()):
        found[entry["what"], entry["name"], entry["node"]] = entry["state"]
    return found


def _state_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old = _facets(before)
    for key, state in _facets({**current, "lastKnown": []}).items():
        what, name, node = key
        was = old.get(key, _UNKNOWN)
        if state != was and _UNKNOWN not in (state, was):
            detail = {"what": what, "name": name, "before": was, "after": state}
            yield "StateChanged", f"{what} {name} on {node}: {was} -> {state}", node, detail


# --- conditions, holds, plan --------------------------------------------------------------------------------------


def _condition_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old = _by(before.get("conditions"), "type")
    new = _by(current.get("conditions"), "type")
    for key, condition in new.items():
        had = old.get(key)
        if had is None or (had["status"], had["reason"]) != (condition["status"], condition["reason"]):
            summary = f"{condition['type']} is {condition['status']}: {condition['reason']}: {condition['message']}"
            yield "ConditionChanged", summary, None, dict(condition)
    for key, condition in old.items():
        if key not in new:
            detail = {**condition, "status": "False", "reason": "Over", "message": ""}
            yield "ConditionChanged", f"{condition['type']} is over", None, detail


def _hold_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    keys = ("reason", "node", "target")
    old, new = _by(before.get("holds"), *keys), _by(current.get("holds"), *keys)
    for key, hold in new.items():
        if key not in old:
            yield "HoldChanged", f"{hold['reason']}: {hold['message']}", hold["node"], {**hold, "held": True}
    for key, hold in old.items():
        if key not in new:
            yield "HoldChanged", f"{hold['reason']} is over: {hold['message']}", hold["node"], {**hold, "held": False}


def _plan_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old, new = before.get("plan") or {"digest": None, "steps": 0}, current["plan"]
    if old["digest"] == new["digest"] or (not new["steps"] and not old["steps"]):
        return
    title = f": first {new['next']['title']}" if new["next"] else ""
    summary = f"{new['steps']} steps in {new['stages']} stages{title}" if new["steps"] else "nothing is left to do"
    yield "PlanChanged", f"plan {new['digest']}: {summary}", None, dict(new)
