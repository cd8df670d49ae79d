"""Defaults of a structural schema, filled into an object as a Kubernetes API server does when it is written.

Only where the object around it is there, and never over a value that was given; what has no default in the schema stays
absent. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hactl.core.kube.apply.structural_schema import Schema


def filled(value: Any, schema: Schema) -> Any:
    """`value` with its defaults; new data where something was filled in, the same value where nothing was.

    A null counts as absent where there is a default. Data of another shape than the schema's stays as it is: whoever
    checks it says so.
    """
    if isinstance(value, Mapping):
        return _object(value, schema)
    items = schema.get("items")
    if not isinstance(value, list) or not isinstance(items, Mapping):
        return value
    found = [filled(each, items) for each in value]
    return found if any(new is not old for new, old in zip(found, value, strict=True)) else value


def _object(value: Mapping[str, Any], schema: Schema) -> Any:
    known: Mapping[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties")
    changed: dict[str, Any] = {}
    for name, child in value.items():
        below = known.get(name, others if isinstance(others, Mapping) else {})
        after = filled(child, below)
        if after is not child:
            changed[name] = after
    for name, below in known.items():
        absent = name not in value or (value[name] is None and not below.get("nullable"))
        if absent and "default" in below:
            changed[name] = filled(copy.deepcopy(below["default"]), below)
    return {**value, **changed} if changed else value
