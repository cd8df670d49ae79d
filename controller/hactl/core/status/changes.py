"""What changed between two statuses of a cluster, as events for the record.

Rules: only what a person would want to read later; ages and messages are no events. A reading that became unknown and
came back the same is one loss and one return of its node, not a change of state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.facts import device_of, rebooted
from hactl.core.status.ages import without_ages

#: kind, summary, node, detail.
Event = tuple[EventKind, str, str | None, Any]

_UNKNOWN = "Unknown"


def same_but_for_ages(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same but for ages and the time they were made: then nothing need be written."""
    return bool(without_ages(a) == without_ages(b))


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
        earlier = old.get(key)
        if not node["answers"] and (earlier is None or earlier["answers"]):
            yield EventKind.NODE_LOST, f"{name} does not answer: {node['reason']}", name, {"reason": node["reason"]}
        elif node["answers"] and earlier is not None and not earlier["answers"]:
            yield EventKind.NODE_BACK, f"{name} answers again", name, {"silentSince": earlier.get("silentSince")}
    yield from _reboots(before, current)


def _reboots(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    """A node that was away has no boot time in between: the last one known is kept in `lastBootTime`."""
    old = _boot_times(before)
    for node in current.get("nodes", ()):
        was, now = old.get(node["name"]), node.get("bootTime")
        if was and now and rebooted(was, now):
            yield (
                EventKind.NODE_REBOOTED,
                f"{node['name']} booted at {now}",
                node["name"],
                {"before": was, "bootTime": now},
            )


def _boot_times(status: Mapping[str, Any]) -> dict[str, str]:
    return {node["name"]: node["lastBootTime"] for node in status.get("nodes", ()) if node.get("lastBootTime")}


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
                found["mount", device_of(storage["name"]), node] = state
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
            yield EventKind.STATE_CHANGED, f"{what} {name} on {node}: {was} -> {state}", node, detail


# --- conditions, holds, plan --------------------------------------------------------------------------------------


def _condition_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old = _by(before.get("conditions"), "type")
    new = _by(current.get("conditions"), "type")
    for key, condition in new.items():
        earlier = old.get(key)
        if earlier is None or (earlier["status"], earlier["reason"]) != (condition["status"], condition["reason"]):
            summary = f"{condition['type']} is {condition['status']}: {condition['reason']}: {condition['message']}"
            yield EventKind.CONDITION_CHANGED, summary, None, dict(condition)
    for key, condition in old.items():
        if key not in new:
            detail = {**condition, "status": "False", "reason": "Over", "message": ""}
            yield EventKind.CONDITION_CHANGED, f"{condition['type']} is over", None, detail


def _hold_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    keys = ("reason", "node", "target")
    old, new = _by(before.get("holds"), *keys), _by(current.get("holds"), *keys)
    for key, hold in new.items():
        if key not in old:
            yield EventKind.HOLD_CHANGED, f"{hold['reason']}: {hold['message']}", hold["node"], {**hold, "held": True}
    for key, hold in old.items():
        if key not in new:
            yield (
                EventKind.HOLD_CHANGED,
                f"{hold['reason']} is over: {hold['message']}",
                hold["node"],
                {**hold, "held": False},
            )


def _plan_events(before: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Event]:
    old, new = before.get("plan") or {"digest": None, "steps": 0}, current["plan"]
    if old["digest"] == new["digest"] or (not new["steps"] and not old["steps"]):
        return
    title = f": first {new['next']['title']}" if new["next"] else ""
    steps, stages = (f"{new[key]} {key if new[key] != 1 else key[:-1]}" for key in ("steps", "stages"))
    summary = f"{steps} in {stages}{title}" if new["steps"] else "nothing is left to do"
    yield EventKind.PLAN_CHANGED, f"plan {new['digest']}: {summary}", None, dict(new)
