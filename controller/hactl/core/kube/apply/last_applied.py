"""From `kubectl apply` to `kubectl apply --server-side`: the annotation that says what the former applied last.

As a Kubernetes API server does, for the manager `kubectl` only: it may take over, without a conflict, what it applied
client-side and nobody changed since; and the annotation is kept up to date, so that the way back works too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hactl.core.kube.apply.fieldsets import Fields, minus
from hactl.core.kube.apply.structural_schema import Schema, same, too_deep, without_nulls
from hactl.core.kube.apply.structured_merge import differences, owned
from hactl.core.kube.kinds import part

MANAGER = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
#: All annotations of an object together; beyond it this one is left out (apimachinery, ValidateAnnotationsSize).
MOST_BYTES = 256 * 1024


def untouched(current: Mapping[str, Any], schema: Schema) -> Fields:
    """What the annotation says was applied and still has that value."""
    last = _read(part(current, "metadata", "annotations").get(ANNOTATION))
    if last is None or last.get("apiVersion") != current.get("apiVersion"):
        return {}
    last = without_nulls(last, schema)
    since = differences(last, current, schema)
    return minus(minus(owned(last, schema), since.changed), since.removed)


def refresh(body: dict[str, Any], config: Mapping[str, Any]) -> None:
    """If the object has the annotation, let it say what is applied now."""
    annotations = part(body, "metadata", "annotations")
    if not annotations.get(ANNOTATION):
        return
    wanted = _without_annotation(config)
    last = _read(annotations[ANNOTATION])
    if last is not None and same(_without_annotation(last), wanted):
        return
    text = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False) + "\n"
    rest = {key: value for key, value in annotations.items() if key != ANNOTATION}
    size = sum(_bytes(key) + _bytes(value) for key, value in {**rest, ANNOTATION: text}.items())
    body["metadata"]["annotations"] = {**rest, ANNOTATION: text} if size <= MOST_BYTES else rest


def _bytes(text: object) -> int:
    return len(str(text).encode(errors="surrogatepass"))


def _read(text: object) -> dict[str, Any] | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and not too_deep(found) else None


def _without_annotation(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without this annotation, and without the empty annotations that kubectl writes then."""
    metadata = dict(config.get("metadata") or {})
    annotations = {key: value for key, value in part(config, "metadata", "annotations").items() if key != ANNOTATION}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {**config, "metadata": metadata}
