"""What another controller tells of a cluster, checked before it is believed: its status, and events.

Readers of a status (listings, ages, metrics, commands) count on what hactl itself always writes: a status without that
is refused here, so that it breaks nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hactl.core.document.problems import path_text, printable
from hactl.core.kube.codec import moment_of
from hactl.core.kube.errors import Cause, invalid
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, NAMESPACE, part

#: What every status of hactl has (`hactl.core.status.cluster`), and of what type it is.
_WHOLE: Mapping[str, type] = {
    "observedAt": str, "conditions": list, "nodes": list, "groups": list, "holds": list, "problems": list, "plan": dict,
    "failing": dict,
}  # fmt: skip
#: What every condition has (metav1.Condition).
_OF_A_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_WORDS: Mapping[type, str] = {str: "text", list: "a list", dict: "a mapping"}
_LONGEST_REASON = 128
_LONGEST_MESSAGE = 4096
#: The names of events of the record itself.
_OURS = re.compile(r".*\.[0-9a-f]{16}")


def check_status(status: Any, name: str) -> dict[str, Any]:
    """The status, if it is one as hactl writes it. Raises ApiError (422) with every fault."""
    causes = list(_faults(status))
    if causes:
        raise invalid(HACLUSTERS.group, HACLUSTERS.kind, name, causes[:100])
    found: dict[str, Any] = status
    return found


def _faults(status: Any) -> Iterator[Cause]:
    if not isinstance(status, dict):
        yield Cause("status", "Required value: the whole status, as hactl writes it", "FieldValueRequired")
        return
    for key, kind in _WHOLE.items():
        if not isinstance(status.get(key), kind):
            yield Cause(f"status.{key}", f"expected {_WORDS[kind]}")
    if isinstance(status.get("observedAt"), str) and moment_of(status["observedAt"]) is None:
        yield Cause("status.observedAt", "write a time as 2026-11-24T03:00:00Z")
    for key in ("nodes", "groups", "holds", "conditions"):
        found = status.get(key)
        for number, each in enumerate(found if isinstance(found, list) else ()):
            if not isinstance(each, dict):
                yield Cause(path_text(("status", key, number)), "expected a mapping")
            elif key == "conditions":
                yield from _of_a_condition(each, number)
            elif key in ("nodes", "groups") and not isinstance(each.get("name"), str):
                yield Cause(path_text(("status", key, number, "name")), "expected text")
            elif key == "groups":
                yield from _of_a_group(each, number)


def _of_a_group(group: Mapping[str, Any], number: int) -> Iterator[Cause]:
    """Where it is active decides where load balancers send people to."""
    where = ("status", "groups", number)
    if "active" not in group or not isinstance(group["active"], str | None):
        yield Cause(path_text((*where, "active")), "expected the name of a node, or null")
    for key in ("addresses", "storage", "services"):
        if not isinstance(group.get(key), list):
            yield Cause(path_text((*where, key)), "expected a list")


def _of_a_condition(condition: Mapping[str, Any], number: int) -> Iterator[Cause]:
    where = ("status", "conditions", number)
    for key in _OF_A_CONDITION:
        if not isinstance(condition.get(key), str):
            yield Cause(path_text((*where, key)), "expected text")
    if condition.get("status") not in ("True", "False", "Unknown"):
        yield Cause(path_text((*where, "status")), "write True, False or Unknown")
    since = condition.get("lastTransitionTime")
    if isinstance(since, str) and moment_of(since) is None:
        yield Cause(path_text((*where, "lastTransitionTime")), "write a time as 2026-11-24T03:00:00Z")


def check_event(body: Mapping[str, Any], name: str) -> str:
    """The cluster that an Event is about. Raises ApiError (422) with every fault."""
    about = part(body, "involvedObject")
    causes = []
    if about.get("kind") != HACLUSTERS.kind or about.get("namespace", NAMESPACE) != NAMESPACE:
        causes.append(Cause("involvedObject", f"events here are about objects of kind {HACLUSTERS.kind}"))
    if not isinstance(about.get("name"), str) or not about["name"]:
        causes.append(Cause("involvedObject.name", "Required value: the cluster", "FieldValueRequired"))
    for key, longest in (("reason", _LONGEST_REASON), ("message", _LONGEST_MESSAGE)):
        text = body.get(key)
        if not isinstance(text, str) or not text or len(text) > longest:
            causes.append(Cause(key, f"expected text of at most {longest} characters"))
    if body.get("type") not in ("Normal", "Warning"):
        causes.append(Cause("type", "write Normal or Warning"))
    causes += [
        Cause(key, "write a time as 2026-11-24T03:00:00Z")
        for key in ("firstTimestamp", "lastTimestamp")
        if body.get(key) is not None and moment_of(body[key]) is None
    ]
    source = body.get("source")
    if source is not None and not (isinstance(source, dict) and all(isinstance(one, str) for one in source.values())):
        causes.append(Cause("source", "expected a mapping of text"))
    if _OURS.fullmatch(name):
        causes.append(Cause("metadata.name", "such names are those of this controller's own events"))
    if causes:
        raise invalid(EVENTS.group, EVENTS.kind, printable(name), causes)
    return str(about["name"])
