"""How a structural schema divides a value: what is one field, what has parts, and by which steps its parts are known.

`x-kubernetes-list-type` (atomic, set, map), `x-kubernetes-list-map-keys` and `x-kubernetes-map-type` are what
server-side apply merges by. https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hactl.core.document.problems import FieldPath, path_text
from hactl.core.kube.apply.fieldsets import json_text
from hactl.core.kube.errors import Cause, bad_request

Schema: TypeAlias = Mapping[str, Any]

#: Nothing of ours is nested a fifth as deep; what is deeper would exhaust the stack of whoever walks it.
MAX_DEPTH = 100

_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
#: meta/v1 ObjectMeta, as far as it has parts.
_METADATA: Schema = {
    "type": "object",
    "properties": {
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-map-type": "atomic"},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
        },
        "managedFields": {"type": "array"},
    },
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a value."""

    value: Any
    schema: Schema
    #: It exists because somebody put it there by name (an item, a key of a map), not as a field of a known shape.
    is_item: bool


def object_schema(schema: Schema) -> Schema:
    """The schema of whole objects: `schema` (of the kind; may be empty) with the metadata that every kind has."""
    known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}
    plain = {"spec": {"type": "object"}, "status": {"type": "object"}}
    return {**schema, "type": "object", "properties": {**plain, **schema.get("properties", {}), **known}}


def parts(value: Any, schema: Schema) -> dict[str, Part] | None:
    """The parts of a value by their steps, in order; `{}` when there could be some; None for what is one field.

    Of items with the same key the first counts: see `faults`.
    """
    if isinstance(value, Mapping):
        if schema.get("type", "object") != "object" or schema.get("x-kubernetes-map-type") == "atomic":
            return None
        return {f"f:{name}": _field(name, child, schema) for name, child in value.items()}
    if isinstance(value, list):
        return _items(value, schema)
    return None


def _field(name: str, value: Any, schema: Schema) -> Part:
    known = schema.get("properties", {})
    if name in known:
        return Part(value, known[name], is_item=False)
    others = schema.get("additionalProperties")
    return Part(value, others if isinstance(others, Mapping) else {}, is_item=True)


def _items(value: list[Any], schema: Schema) -> dict[str, Part] | None:
    kind = schema.get("x-kubernetes-list-type", "atomic")
    if kind == "atomic" or schema.get("type", "array") != "array":
        return None
    below: Schema = schema.get("items", {})
    result: dict[str, Part] = {}
    for item in value:
        found = _item_step(item, schema)
        if found is None:
            return None
        result.setdefault(found, Part(item, below, is_item=True))
    return result


def list_keys(schema: Schema) -> tuple[str, ...]:
    """The names of the fields that are the key of an item of a list; () unless the list is a map."""
    return tuple(schema.get("x-kubernetes-list-map-keys", ())) if is_list_map(schema) else ()


def is_list_map(schema: Schema) -> bool:
    """Whether a list of this schema is a map by some fields of its items."""
    return schema.get("x-kubernetes-list-type") == "map"


def _item_step(item: Any, schema: Schema) -> str | None:
    """The step to an item of a set or map; None when it cannot be one."""
    if not is_list_map(schema):
        return None if item is None or isinstance(item, Mapping | list) else f"v:{json_text(item)}"
    if not isinstance(item, Mapping):
        return None
    defaults = schema.get("items", {}).get("properties", {})
    key = {}
    for name in list_keys(schema):
        value = item.get(name, defaults.get(name, {}).get("default"))
        if value is None or isinstance(value, Mapping | list):
            return None
        key[name] = value
    return f"k:{json_text(key)}"


def faults(value: Any, schema: Schema, path: FieldPath = ()) -> Iterator[Cause]:
    """Where sets and maps are none: the same key twice, or items without a key."""
    if isinstance(value, Mapping):
        for name, part in (parts(value, schema) or {}).items():
            yield from faults(part.value, part.schema, (*path, name[2:]))
        return
    if not isinstance(value, list):
        return
    atomic = schema.get("x-kubernetes-list-type", "atomic") == "atomic"
    seen: set[str] = set()
    for index, item in enumerate(value):
        here = (*path, index)
        step = None if atomic else _item_step(item, schema)
        if not atomic and step is None:
            yield _misfit(item, schema, here)
        elif step is not None and step in seen:
            yield Cause(path_text(here), f"Duplicate value: {step[2:]}", "FieldValueDuplicate")
        elif step is not None:
            seen.add(step)
        yield from faults(item, schema.get("items", {}), here)


def _misfit(item: Any, schema: Schema, path: FieldPath) -> Cause:
    if is_list_map(schema) and isinstance(item, Mapping):
        keys = list_keys(schema)
        missing = next((name for name in keys if item.get(name) is None), keys[0])
        return Cause(path_text((*path, missing)), "Required value: it is the key of this item", "FieldValueRequired")
    wanted = "an object" if is_list_map(schema) else "a single value"
    return Cause(path_text(path), f"Invalid value: every item of this list is {wanted}", "FieldValueTypeInvalid")


def without_nulls(value: Any, schema: Schema) -> Any:
    """A copy without nulls, except where the schema knows null (`nullable`) and inside of what is one field."""
    if parts(value, schema) is None:
        return value
    if isinstance(value, list):
        return [without_nulls(item, schema.get("items", {})) for item in value]
    result = {}
    for name, child in value.items():
        below = _field(name, child, schema).schema
        if child is not None or below.get("nullable"):
            result[name] = without_nulls(child, below)
    return result


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, the order of keys says nothing."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(child, other[name]) for name, child in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON data is nested deeper than `limit`; does not itself recurse."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for found in level
            if isinstance(found, Mapping | list)
            for child in (found.values() if isinstance(found, Mapping) else found)
        ]
        if not level:
            return False
    return True


def check_depth(value: Any) -> None:
    """Raises ApiError (400) when JSON data is nested too deep to be walked."""
    if too_deep(value):
        raise bad_request(f"the body of the request is nested deeper than {MAX_DEPTH} levels")
