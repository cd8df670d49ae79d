"""The entries of `metadata.managedFields`: who owns which fields, since when, and by which kind of write.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ (managedFields)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from hactl.core.kube.apply.fieldsets import Fields, decode, encode, json_text, union

#: So many Update entries are kept apart; older ones are joined (as Kubernetes does), or they would grow for ever.
MOST_UPDATERS = 10
#: Who then owns what they owned.
ANCIENT = "ancient-changes"


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who wrote, and how; the same name as Apply and as Update are two owners, as for Kubernetes."""

    manager: str
    operation: Literal["Apply", "Update"]
    subresource: str = ""
    #: Of Update only: what is applied replaces what was applied in another version.
    version: str = ""

    def __str__(self) -> str:
        """As Kubernetes names it in conflicts: `"kubectl-edit" using hactl.dev/v1alpha1`."""
        through = f" with subresource {json_text(self.subresource)}" if self.subresource else ""
        using = f" using {self.version}" if self.operation == "Update" else ""
        return f"{json_text(self.manager)}{through}{using}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What an owner owns; `time` (RFC 3339) is that of its last write that changed something, "" when not known."""

    fields: Fields
    version: str
    time: str


def is_reset(entries: object) -> bool:
    """Whether a client asks to forget every owner: `[]` or `[{}]`."""
    return isinstance(entries, list) and (not entries or (len(entries) == 1 and entries[0] == {}))


def joined(older: Entry | None, newer: Entry) -> Entry:
    """What both say, as of the newer one."""
    return newer if older is None else Entry(union(older.fields, newer.fields), newer.version, newer.time)


def decoded(entries: object) -> dict[Owner, Entry]:
    """What managedFields say; {} when any of it cannot be read, as Kubernetes does."""
    result: dict[Owner, Entry] = {}
    if not isinstance(entries, list):
        return result
    try:
        for wire in entries:
            owner, entry = _read(wire)
            result[owner] = joined(result.get(owner), entry)
    except ValueError:
        return {}
    return {owner: entry for owner, entry in result.items() if entry.fields}


def _read(entry: object) -> tuple[Owner, Entry]:
    if not isinstance(entry, Mapping):
        raise ValueError("an entry of managedFields is not an object")
    operation, version = entry.get("operation"), entry.get("apiVersion")
    texts = [entry.get("manager", ""), entry.get("subresource", ""), entry.get("time") or ""]
    if operation not in ("Apply", "Update"):
        raise ValueError("operation must be `Apply` or `Update`")
    if not isinstance(version, str) or not version:
        raise ValueError("apiVersion must not be empty")
    if entry.get("fieldsType") != "FieldsV1":
        raise ValueError("fieldsType must be FieldsV1")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("manager, subresource and time must be text")
    manager, subresource, time = cast("list[str]", texts)
    of_version = version if operation == "Update" else ""
    owner = Owner(manager, cast('Literal["Apply", "Update"]', operation), subresource, of_version)
    fields = entry.get("fieldsV1")
    return owner, Entry(decode({} if fields is None else fields), version, time)


def encoded(known: Mapping[Owner, Entry]) -> list[dict[str, Any]]:
    """As they stand in an object: Apply first, then by time, name, version and subresource."""
    ordered = sorted(
        known.items(),
        key=lambda each: (each[0].operation, each[1].time, each[0].manager, each[1].version, each[0].subresource),
    )
    return [
        {
            "apiVersion": entry.version,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(entry.fields),
            "manager": owner.manager,
            "operation": owner.operation,
            **({"subresource": owner.subresource} if owner.subresource else {}),
            **({"time": entry.time} if entry.time else {}),
        }
        for owner, entry in ordered
    ]


def oldest_joined(known: Mapping[Owner, Entry]) -> dict[Owner, Entry]:
    """At most `MOST_UPDATERS` Update entries: the oldest of each version become one."""
    result = dict(known)
    updaters = sorted(
        (owner for owner in result if owner.operation == "Update"), key=lambda owner: (result[owner].time, owner)
    )
    excess = len(updaters) - MOST_UPDATERS
    first: dict[str, Owner] = {}
    for owner in updaters:
        if excess <= 0:
            break
        if owner.version not in first:
            first[owner.version] = owner
            continue
        bucket = Owner(ANCIENT, "Update", "", owner.version)
        entry = result.pop(owner)
        older = result.pop(first[owner.version])
        first[owner.version] = bucket
        result[bucket] = joined(older, entry)
        excess -= 1
    return result
