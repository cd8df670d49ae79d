"""The entries of `metadata.managedFields`: who claims which fields, since when, and by which kind of write.

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
class Claim:
    """What an owner owns; `time` (RFC 3339) is that of its last write that changed something, "" when not known."""

    fields: Fields
    version: str
    time: str


def is_reset(entries: object) -> bool:
    """Whether a client asks to forget every owner: `[]` or `[{}]`."""
    return isinstance(entries, list) and (not entries or (len(entries) == 1 and entries[0] == {}))


def claims(entries: object) -> dict[Owner, Claim]:
    """What managedFields say; {} when any of it cannot be read, as Kubernetes does."""
    result: dict[Owner, Claim] = {}
    if not isinstance(entries, list):
        return result
    try:
        for entry in entries:
            owner, claim = _read(entry)
            had = result.get(owner)
            result[owner] = Claim(union(had.fields, claim.fields), claim.version, claim.time) if had else claim
    except ValueError:
        return {}
    return {owner: claim for owner, claim in result.items() if claim.fields}


def _read(entry: object) -> tuple[Owner, Claim]:
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
    owner = Owner(manager, cast('Literal["Apply", "Update"]', operation), subresource, _key_version(operation, version))
    fields = entry.get("fieldsV1")
    return owner, Claim(decode({} if fields is None else fields), version, time)


def _key_version(operation: str, version: str) -> str:
    return version if operation == "Update" else ""


def encoded(known: Mapping[Owner, Claim]) -> list[dict[str, Any]]:
    """As they stand in an object: Apply first, then by time, name, version and subresource."""
    ordered = sorted(
        known.items(),
        key=lambda each: (each[0].operation, each[1].time, each[0].manager, each[1].version, each[0].subresource),
    )
    return [
        {
            "apiVersion": claim.version,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(claim.fields),
            "manager": owner.manager,
            "operation": owner.operation,
            **({"subresource": owner.subresource} if owner.subresource else {}),
            **({"time": claim.time} if claim.time else {}),
        }
        for owner, claim in ordered
    ]


def oldest_joined(known: Mapping[Owner, Claim]) -> dict[Owner, Claim]:
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
        claim = result.pop(owner)
        had = result.pop(first[owner.version])
        first[owner.version] = bucket
        result[bucket] = Claim(union(had.fields, claim.fields), claim.version, claim.time)
        excess -= 1
    return result
