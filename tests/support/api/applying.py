"""Server-side apply and other writes of one cluster, shortened for tests."""

from __future__ import annotations

import pytest

from hactl.core.document.crd.cluster import custom_resource_definition
from hactl.core.kube.apply.server_side_apply import applied, updated
from hactl.core.kube.errors import ApiError

SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
V = "hactl.dev/v1alpha1"
#: Moments, one after the other.
T = [f"2026-11-24T10:00:{second:02}Z" for second in range(60)]


def body(spec=None, **metadata):
    """A configuration of the cluster nas."""
    found = {"apiVersion": V, "kind": "HACluster", "metadata": {"name": "nas", "namespace": "default", **metadata}}
    return found if spec is None else {**found, "spec": spec}


def apply(current, config, manager="alice", *, at=0, force=False, schema=SCHEMA, subresource=""):
    """One server-side apply."""
    return applied(
        current, config, manager=manager, force=force, schema=schema, now=T[at], subresource=subresource
    )  # fmt: skip


def update(before, after, manager="kubectl-edit", *, at=0, subresource=""):
    """One create, update or patch."""
    return updated(before, after, manager=manager, subresource=subresource, schema=SCHEMA, now=T[at])


def without_managed_fields(found):
    """The object as `kubectl get -o yaml` shows it."""
    return {**found, "metadata": {key: value for key, value in found["metadata"].items() if key != "managedFields"}}


def fields(found):
    """fieldsV1 by (manager, operation)."""
    entries = found["metadata"].get("managedFields", ())
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def conflicts(call):
    """The causes of a conflict."""
    with pytest.raises(ApiError) as caught:
        call()
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert all(cause.reason == "FieldManagerConflict" for cause in caught.value.details.causes)
    return [(cause.field, cause.message) for cause in caught.value.details.causes]
