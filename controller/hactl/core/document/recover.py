"""Reading on in a document with errors: what is wrong with the rest of it, so that all errors are shown at once.

What does not validate is taken out, the rest is checked for meaning, and faults that may only be there because
something was taken out are dropped. The result is for messages only, never for acting.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hactl.core.document.load import read_cluster
from hactl.core.document.problems import Fault, FieldPath
from hactl.core.document.rules.check import faults
from hactl.core.objects import API_VERSION, HACluster

#: Lists of a group whose items stand for themselves.
_LISTS = frozenset({"virtualIPs", "storage", "services"})
#: With so much wrong there is nothing left worth reading.
_TOO_MANY = 100


def more_faults(data: object, found: Sequence[Fault]) -> list[Fault]:
    """Faults of meaning in what is left of the data without the faults found; none when too little is left."""
    hopeless = len(found) > _TOO_MANY or any(fault.path in {(), ("kind",)} for fault in found)
    if not isinstance(data, dict) or hopeless:
        return []
    rest = copy.deepcopy(data)
    taken: set[FieldPath] = set()
    for fault in found:
        if not _take_out(rest, fault, taken):
            return []
    for path in sorted(taken, key=str):
        _remove(rest, path)
    kept = _compact(rest)
    cluster = read_cluster(rest)
    if not isinstance(cluster, HACluster):
        return []
    wrong = [_restored(fault, kept) for fault in faults(cluster)]
    return [
        fault for fault in wrong if not any(_touches(fault.path, each.path) or _named(fault, each) for each in found)
    ]


def _take_out(rest: dict[str, Any], fault: Fault, taken: set[FieldPath]) -> bool:
    """Note what has to go because of one fault; False when nothing sensible is left."""
    path = fault.path
    if path == ("apiVersion",):
        rest["apiVersion"] = API_VERSION
    elif path == ("metadata", "name") and isinstance(rest.get("metadata"), dict):
        rest["metadata"]["name"] = "unnamed"
    elif fault.at_key:
        taken.add(path)
    elif path[:2] == ("spec", "groups") and len(path) > 2:
        whole = 5 if len(path) > 4 and path[3] in _LISTS else 3
        taken.add(path[:whole])
    elif (path[:1] == ("metadata",) and len(path) > 1) or path[:2] in {("spec", "carp"), ("spec", "mode")}:
        taken.add(path[:2])
    elif path[:2] == ("spec", "nodes") and len(path) > 4 and path[3] == "ssh" and path[4] != "host":
        taken.add(path[:5])
    else:
        return False
    return True


def _remove(rest: Any, path: FieldPath) -> None:
    """Take a field out; a list item leaves None, so that the indices of the others stay."""
    node = rest
    for part in path[:-1]:
        node = node[part] if _has(node, part) else None
    if isinstance(node, dict):
        node.pop(str(path[-1]), None)
    elif isinstance(node, list) and _has(node, path[-1]):
        node[int(path[-1])] = None


def _has(node: Any, part: str | int) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int) and part < len(node)


def _compact(rest: dict[str, Any]) -> dict[FieldPath, list[int]]:
    """Drop the None items of groups and their lists; returns the old indices of what is left, by list (new path)."""
    kept: dict[FieldPath, list[int]] = {}
    spec = rest.get("spec")
    groups = spec.get("groups") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(groups, list):
        return kept
    kept["spec", "groups"] = [index for index, group in enumerate(groups) if group is not None]
    spec["groups"] = [group for group in groups if group is not None]
    for index, group in enumerate(spec["groups"]):
        for name in _LISTS & group.keys() if isinstance(group, dict) else ():
            items = group[name]
            if isinstance(items, list):
                kept["spec", "groups", index, name] = [at for at, item in enumerate(items) if item is not None]
                group[name] = [item for item in items if item is not None]
    return kept


def _restored(fault: Fault, kept: dict[FieldPath, list[int]]) -> Fault:
    """The fault with the indices of the document as written."""
    other = None if fault.other is None else _old_path(fault.other, kept)
    return replace(fault, path=_old_path(fault.path, kept), other=other)


def _old_path(path: FieldPath, kept: dict[FieldPath, list[int]]) -> FieldPath:
    old: list[str | int] = []
    for index, part in enumerate(path):
        places = kept.get(path[:index])
        old.append(places[part] if places is not None and isinstance(part, int) else part)
    return tuple(old)


def _named(fault: Fault, known: Fault) -> bool:
    """Whether a service may be missing from what another one comes after only because it was taken out."""
    return fault.path[3:4] == known.path[3:4] == ("services",) and fault.path[5:6] == ("after",)


def _touches(one: FieldPath, other: FieldPath) -> bool:
    """Whether one path is the other or around it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
