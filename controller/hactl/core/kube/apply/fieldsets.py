"""Sets of fields, as `metadata.managedFields` names them: FieldsV1, and the algebra on them.

A set is a tree of steps: `f:NAME` (a key of an object), `k:{"name":"x"}` (an item of a list that is a map), `v:"x"` (an
item of a set). A node that has the key "." is in the set; so is, on the wire, a node with nothing below. Here "." is
always written out, and no node is empty: the empty set is `{}`.
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ (fieldsV1)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, Any]

#: The key that says that a node itself is in the set.
MEMBER = "."


def leaf() -> Fields:
    """A node that is in the set, with nothing below."""
    return {MEMBER: {}}


def json_text(value: Any) -> str:
    """Canonical JSON: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def union(one: Fields, other: Fields) -> Fields:
    """What is in either; shares nodes with both."""
    if not one or not other:
        return one or other
    result = dict(one)
    for step, below in other.items():
        result[step] = union(result[step], below) if step in result else below
    return result


def minus(one: Fields, other: Fields) -> Fields:
    """What is in `one` and not in `other`; shares nodes with `one`."""
    if not other:
        return one
    result: Fields = {}
    for step, below in one.items():
        if step not in other:
            result[step] = below
        elif step != MEMBER and (rest := minus(below, other[step])):
            result[step] = rest
    return result


def both(one: Fields, other: Fields) -> Fields:
    """What is in both."""
    result: Fields = {}
    for step, below in one.items():
        if step not in other:
            continue
        if step == MEMBER:
            result[step] = below
        elif rest := both(below, other[step]):
            result[step] = rest
    return result


def paths(fields: Fields, start: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member as its steps, sorted."""
    for step in sorted(fields):
        if step == MEMBER:
            yield start
        else:
            yield from paths(fields[step], (*start, step))


def path_text(path: tuple[str, ...]) -> str:
    """A path as Kubernetes prints it in conflicts: `.spec.groups[name="files"].preferred`."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    kind, text = step[:2], step[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        return "[" + ",".join(f"{key}={json_text(value)}" for key, value in json.loads(text).items()) + "]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"


def encode(fields: Fields) -> Fields:
    """As FieldsV1 on the wire: sorted, and `{}` for a member with nothing below."""
    return {step: {} if step == MEMBER else _encode_below(fields[step]) for step in sorted(fields)}


def _encode_below(fields: Fields) -> Fields:
    return {} if len(fields) == 1 and MEMBER in fields else encode(fields)


def decode(wire: object) -> Fields:
    """The set of a FieldsV1 object. Raises ValueError when it is none."""
    if not isinstance(wire, Mapping):
        raise ValueError("fieldsV1 is not an object")
    result: Fields = {}
    for step, below in wire.items():
        if step == MEMBER:
            result[MEMBER] = {}
        else:
            # Two spellings of one step mean the same.
            step = _canonical(step)
            found = decode(below) or leaf()
            result[step] = union(result[step], found) if step in result else found
    return result


def _canonical(step: str) -> str:
    kind, text = step[:2], step[2:]
    if kind == "f:":
        return step
    if kind == "i:":
        return f"i:{int(text)}"
    if kind not in ("k:", "v:"):
        raise ValueError(f"unknown path element type: {step!r}")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("a path element is nested too deep") from None
    parts = value.values() if kind == "k:" and isinstance(value, dict) else [value]
    if any(isinstance(part, dict | list) for part in parts):
        raise ValueError(f"not a path element: {step!r}")
    return f"{kind}{json_text(value)}"
