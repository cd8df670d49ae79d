"""OpenAPI v3: one document for every group's version, one for non-Kubernetes paths, and the index that names them.

kubectl validates, explains and diffs by these. A document's hash is in its address, so that clients keep what they
have. OpenAPI v2 is a stub: kubectl up to 1.28 wants an answer there and looks at nothing in it.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from hactl import __version__
from hactl.core.document.schema import Schema
from hactl.core.kube.kinds import RESOURCES
from hactl.core.kube.openapi import non_kubernetes
from hactl.core.kube.openapi.paths import paths
from hactl.core.kube.openapi.schemas import schemas

#: OpenAPI v2 as protobuf: `swagger: "2.0"` and nothing else.
V2_STUB: bytes = b"\x0a\x032.0"
#: With "@" for the last dot, as the request has it, clients in Go cannot read the type.
V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


@cache
def _documents() -> dict[str, tuple[Schema, Schema]]:
    """Paths and schemas by the path of their document: `api/v1`, `apis/hactl.dev/v1alpha1`, `hactl`."""
    versions = dict.fromkeys((resource.prefix, resource.group, resource.version) for resource in RESOURCES)
    found = {
        prefix.removeprefix("/"): (paths(group, version), schemas(group, version))
        for prefix, group, version in versions
    }
    return {**found, non_kubernetes.PATH: (non_kubernetes.paths(), non_kubernetes.schemas())}


def index() -> dict[str, Any]:
    """/openapi/v3: where each document is."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={document_hash(path)}"} for path in _documents()
        }
    }


@cache
def document(path: str) -> dict[str, Any] | None:
    """/openapi/v3/PATH, e.g. `apis/hactl.dev/v1alpha1`; None: there is none. Built once: callers must not change it."""
    found = _documents().get(path)
    if found is None:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "hactl", "version": __version__},
        "paths": found[0],
        "components": {
            "schemas": found[1],
            "securitySchemes": {"BearerToken": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"BearerToken": []}],
    }


@cache
def document_hash(path: str) -> str | None:
    """A name for what the document says now, fit for an ETag; None: there is no such document."""
    found = document(path)
    if found is None:
        return None
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32].upper()
