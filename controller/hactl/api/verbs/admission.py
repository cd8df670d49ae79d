"""What an object must be before it is stored: clusters as `hactl validate` wants them, leases by their few fields.

The field paths of the problems become the causes of the refusal. Clusters are checked strictly whatever
`fieldValidation` says: hactl refuses unknown fields everywhere, because a misspelt one would silently not be in force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any

from hactl.adapters.yaml.documents import digest
from hactl.api.request.payload import an_object
from hactl.core.document.crd.cluster import MAX_ITEMS, custom_resource_definition
from hactl.core.document.crd.operation import operation_schema
from hactl.core.document.load import read_cluster
from hactl.core.document.problems import Fault, FieldPath, path_text, shown
from hactl.core.document.recover import more_faults
from hactl.core.document.remote_references import check_remote
from hactl.core.document.rules.check import RULES
from hactl.core.kube.codec import REFERENCES, cluster_body, document_data, moment_of, operation_fields
from hactl.core.kube.errors import ApiError, Cause, Details, bad_request, invalid
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS, LEASES, Resource, part
from hactl.core.objects import HACluster
from hactl.ports import API_LABEL, Document

#: More of the same says nothing new.
_MAX_CAUSES = 100
#: Fields of a Lease's spec and their types.
_LEASE_FIELDS: Mapping[str, type] = {
    "holderIdentity": str,
    "leaseDurationSeconds": int,
    "acquireTime": str,
    "renewTime": str,
    "leaseTransitions": int,
    "strategy": str,
    "preferredHolder": str,
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """An object that may be stored."""

    body: Mapping[str, Any]
    document: Document | None = None
    warnings: tuple[str, ...] = ()


def check_lengths(resource: Resource, body: Mapping[str, Any]) -> None:
    """Before anything is made of what a client sent. Raises ApiError (422) for lists and mappings nobody needs."""
    faults = [fault for key, each in body.items() for fault in too_long((key,), each)]
    faults += [Fault((), f"it has {len(body)} fields", f"at most {MAX_ITEMS}")] if len(body) > MAX_ITEMS else []
    if faults:
        name = part(body, "metadata").get("name")
        raise invalid(
            resource.group, resource.kind, name if isinstance(name, str) else "", causes_of(faults[:_MAX_CAUSES])
        )


def admit(
    resource: Resource,
    body: Mapping[str, Any],
    *,
    directory: str,
    strictness: str,
    before: Mapping[str, Any] | None = None,
    local: bool = False,
) -> Admitted:
    """Check an object that takes the place of `before`. Raises ApiError with every fault.

    `local`: who asks is on this machine, and may say that references start elsewhere than in `directory`.
    """
    if resource == HACLUSTERS:
        return _cluster(body, directory, before, local=local)
    if resource == HAOPERATIONS:
        return _operation(body, before)
    assert resource == LEASES, resource
    return _lease(body, strictness)


@cache
def schema_of(resource: Resource) -> dict[str, Any]:
    """The structural schema of the whole object, for the ownership of fields."""
    if resource == HACLUSTERS:
        version = custom_resource_definition()["spec"]["versions"][0]
        found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
        return found
    if resource == HAOPERATIONS:
        return operation_schema()
    kinds = {str: "string", int: "integer"}
    fields = {name: {"type": kinds[kind]} for name, kind in _LEASE_FIELDS.items()}
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}


# -- clusters ---------------------------------------------------------------------------------------------------------


def _cluster(body: Mapping[str, Any], directory: str, before: Mapping[str, Any] | None, *, local: bool) -> Admitted:
    pruned = {**body, "spec": _without_nulls(body.get("spec"))} if "spec" in body else dict(body)
    data = document_data(pruned)
    start = references_start(pruned)
    start_before = None if before is None else references_start(before)
    wrong = _wrong_start(start, start_before, local=local)
    found = wrong or read_cluster(data)
    if isinstance(found, HACluster):
        # Somebody on this machine could read those files himself; nobody else gets at more of them than there were.
        same = before is not None and start == start_before and pruned.get("spec") == before["spec"]
        may_name_any = same or (local and start is not None)
        faults = chain.from_iterable(rule(found) for rule in RULES)
        wrong = list(islice(chain(faults, () if may_name_any else check_remote(found)), _MAX_CAUSES + 1))
    elif found is not wrong:
        wrong = [*found, *more_faults(data, found)]
    if wrong or not isinstance(found, HACluster):
        name = pruned["metadata"].get("name", "")
        raise invalid(HACLUSTERS.group, HACLUSTERS.kind, name, causes_of(wrong))
    return Admitted(pruned, document_of(found, start or directory))


def references_start(body: Mapping[str, Any]) -> str | None:
    """The directory that somebody on this machine said references of this object start from."""
    found = part(body, "metadata", "annotations").get(REFERENCES)
    return found if isinstance(found, str) else None


def _wrong_start(start: str | None, before: str | None, *, local: bool) -> list[Fault]:
    """Whether that directory may be changed by who asks, and is one."""
    path = ("metadata", "annotations", REFERENCES)
    if start != before and not local:
        fix = f"keep {before}" if before is not None else "leave it out"
        return [Fault(path, "only somebody on the controller's own machine may set or change it", fix)]
    if start is not None and (not start.startswith("/") or not start.isprintable()):
        return [Fault(path, f"{shown(start)} is no absolute path", "write the directory's whole path")]
    return []


def causes_of(wrong: list[Fault]) -> list[Cause]:
    """Faults as causes, each once, in the order of the document's fields."""
    causes = {Cause(path_text(f.path), f"{f.text}; {f.fix}" if f.fix else f.text, _reason(f)): None for f in wrong}
    found = sorted(causes, key=lambda cause: cause.field)
    return found if len(found) <= _MAX_CAUSES else [*found[:_MAX_CAUSES], Cause("", "and more problems")]


def too_long(path: FieldPath, value: Any) -> list[Fault]:
    """Lists and mappings that are longer than any object needs: some rules compare everything with everything."""
    if not isinstance(value, list | dict):
        return []
    if len(value) > MAX_ITEMS:
        return [Fault(path, f"it has {len(value)} items", f"at most {MAX_ITEMS}")]
    inner = enumerate(value) if isinstance(value, list) else value.items()
    return [fault for key, each in inner for fault in too_long((*path, key), each)]


def _reason(fault: Fault) -> str:
    return "FieldValueRequired" if fault.message.startswith("this required field") else "FieldValueInvalid"


def document_of(cluster: HACluster, directory: str) -> Document:
    """The document that stands in an object; its references start from that directory."""
    body = cluster_body(cluster)
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    text = json.dumps({**body, "metadata": metadata}, indent=2, ensure_ascii=False)
    return Document(cluster, API_LABEL, directory, digest(cluster), text + "\n")


def _without_nulls(value: Any) -> Any:
    """Fields that are null are absent, as Kubernetes prunes them."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


# -- operations -------------------------------------------------------------------------------------------------------


def _operation(body: Mapping[str, Any], before: Mapping[str, Any] | None) -> Admitted:
    """What is asked for never changes; labels, annotations, finalizers and owners may."""
    name = str(body["metadata"]["name"])
    wanted = operation_fields(body, name, actor="")
    if before is None or wanted == operation_fields(before, name, actor=""):
        return Admitted({**body, "spec": (before or body)["spec"]})
    spec, kept = body["spec"], before["spec"]
    causes = [
        Cause(f"spec.{key}", "Invalid value: what is asked for never changes; delete it, and ask anew")
        for key in sorted(spec.keys() | kept.keys())
        if spec.get(key) != kept.get(key)
    ]
    raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, causes)


# -- leases -----------------------------------------------------------------------------------------------------------


def _lease(body: Mapping[str, Any], strictness: str) -> Admitted:
    name = body["metadata"]["name"]
    spec = body.get("spec")
    spec = {} if spec is None else spec
    if not isinstance(spec, dict):
        raise invalid(LEASES.group, LEASES.kind, name, [Cause("spec", "expected a mapping")])
    unknown = [f'unknown field "spec.{key}"'[:100] for key in spec if key not in _LEASE_FIELDS]
    unknown += [f'unknown field "{key}"'[:100] for key in body if key not in ("apiVersion", "kind", "metadata", "spec")]
    if unknown and strictness == "Strict":
        raise bad_request(f"strict decoding error: {', '.join(unknown)}")
    kept = {key: value for key, value in spec.items() if key in _LEASE_FIELDS and value is not None}
    causes = [
        Cause(f"spec.{key}", "expected text" if kind is str else "expected a whole number")
        for key, kind in _LEASE_FIELDS.items()
        if key in kept and type(kept[key]) is not kind
    ]
    causes += [
        Cause(f"spec.{key}", "must be greater than 0" if least else "must be greater than or equal to 0")
        for key, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0))
        if type(kept.get(key, least)) is int and not least <= kept.get(key, least) < 2**31
    ]
    causes += [
        Cause(f"spec.{key}", "write a time as 2026-11-24T03:00:00.000000Z")
        for key in ("acquireTime", "renewTime")
        if isinstance(kept.get(key), str) and moment_of(kept[key]) is None
    ]
    if causes:
        raise invalid(LEASES.group, LEASES.kind, name, causes)
    shaped = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": body["metadata"], "spec": kept}
    return Admitted(shaped, None, tuple(unknown) if strictness == "Warn" else ())


def reshaped(resource: Resource, body: Any) -> dict[str, Any]:
    """What a patch made, as an object again. Raises ApiError (422) when it is none any more."""
    try:
        return an_object(body, resource)
    except ApiError as refusal:
        raise ApiError(422, "Invalid", str(refusal), Details(resource.group, resource.kind)) from None
