"""From plain data to an `HACluster`, or to faults a person can act on: pydantic's errors in the document's words.

Data are checked as strictly as Kubernetes does: no text where a number belongs, no field by its Python name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hactl.core.document.problems import Fault, FieldPath, closest, listed, may_show, shown
from hactl.core.document.schema import describe_type, field_schema, range_text
from hactl.core.objects import API_VERSION, KIND, PATTERNS, HACluster

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Fields people write out of habit, and what hactl has instead.
_INSTEAD = {
    "password": "secrets never stand in the document: use passwordFrom: {file: ...} or {env: ...}",
    "pass": "secrets never stand in the document: use passwordFrom: {file: ...} or {env: ...}",
    "advskew": "use advskews: {node: number}, or leave it to the order of preferred",
    "address": "use addresses, a list",
    "device": "use devices, a map by node name",
    "remote": "hactl derives it from addresses",
    "namespace": "names of clusters are unique in the source; there are no namespaces",
    "status": "hactl writes the status, documents hold none",
}


def read_cluster(data: object) -> HACluster | list[Fault]:
    """The cluster, or everything that is wrong with the types and names of the data."""
    faults = _kind_faults(data)
    if faults:
        return faults
    try:
        # JSON mode is strict about types and still reads enumerations from text.
        return HACluster.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return [_fault(detail) for detail in error.errors(include_url=False, include_context=True)]


def _kind_faults(data: object) -> list[Fault]:
    """A document of another kind has other fields: say so, and nothing about its fields."""
    wanted = f"a document starts with apiVersion: {API_VERSION} and kind: {KIND}"
    if not isinstance(data, dict):
        return [Fault((), f"a document is a mapping, not {_kind_of(data)}", wanted)]
    if "kind" not in data:
        return [Fault((), "the required field kind is missing", wanted)]
    if data["kind"] == KIND:
        return []
    kind = data["kind"]
    faults = [Fault(("kind",), f"hactl knows no kind {shown(kind)}", f"write {KIND}")]
    if data.get("apiVersion") != API_VERSION:
        faults.append(Fault(("apiVersion",), f"hactl reads {API_VERSION} only", f"write {API_VERSION}"))
    return faults


def _kind_of(value: object) -> str:
    """What a value is, in words, without repeating it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "a mapping"


def _fault(detail: ErrorDetails) -> Fault:
    """One error of pydantic as a fault."""
    path: FieldPath = detail["loc"]
    kind = detail["type"]
    if kind == "missing":
        return _missing(path)
    if kind == "extra_forbidden":
        return _unknown(path)
    value = detail["input"]
    # Data hold lists, maps and scalars; anything else is the whole input, which is never shown.
    text = shown(value) if may_show(path) else _kind_of(value)
    schema = field_schema(path) or {}
    if kind in {"enum", "literal_error"}:
        return _not_a_choice(path, value, text, schema)
    context: Mapping[str, Any] = detail.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        wanted = PATTERNS.get(str(context.get("pattern")), f"text that matches {context.get('pattern')}")
        return Fault(path, f"{text} is not valid here", f"write {wanted}")
    if bound := _bound(kind, context, schema):
        return Fault(path, f"{text} is {bound[0]}", bound[1])
    return Fault(path, f"expected {describe_type(schema)}, found {_found(value, text)}", _type_advice(value, schema))


def _found(value: object, text: str) -> str:
    kind = _kind_of(value)
    return kind if text == kind or isinstance(value, list | dict) or value is None else f"{kind}: {text}"


def _missing(path: FieldPath) -> Fault:
    schema = field_schema(path) or {}
    example = "..." if schema.get("type") not in {"object", "array"} else ""
    about = schema.get("description", "")
    fix = f"add {path[-1]}: {example}".rstrip()
    return Fault(path, "this required field is missing", f"{fix} ({about})" if about else fix)


def _unknown(path: FieldPath) -> Fault:
    name = str(path[-1])
    known = list((field_schema(path[:-1]) or {}).get("properties", {}))
    meant = closest(name, known)
    if name in _INSTEAD:
        fix = _INSTEAD[name]
    elif meant:
        fix = f"did you mean {meant}?"
    elif known:
        fix = f"known here: {listed(known, last='and')}"
    else:
        fix = "remove it"
    return Fault(path, f"unknown field {shown(name)}", fix, at_key=True)


def _not_a_choice(path: FieldPath, value: object, text: str, schema: Mapping[str, Any]) -> Fault:
    choices = [str(choice) for choice in schema.get("enum", [])]
    meant = closest(value, choices) if isinstance(value, str) else None
    fix = f"write {listed(choices)}"
    if meant and len(choices) > 1:
        fix = f"did you mean {meant}? It takes {listed(choices)}"
    return Fault(path, f"{text} is not one of its values", fix)


def _bound(kind: str, context: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """(what is wrong, what would be right) for limits."""
    if kind in {"greater_than_equal", "less_than_equal"}:
        wrong = "too small" if kind == "greater_than_equal" else "too large"
        return wrong, f"it takes {range_text(schema)}"
    if kind == "string_too_long":
        return "too long", f"at most {context.get('max_length')} characters"
    if kind == "string_too_short":
        return "too short", f"at least {context.get('min_length')} characters"
    if kind == "too_short":
        return "too short", f"it takes at least {context.get('min_length')} item(s)"
    if kind == "too_long":
        return "too long", f"it takes at most {context.get('max_length')} items"
    return None


def _type_advice(value: object, schema: Mapping[str, Any]) -> str:
    wanted = schema.get("type")
    if value is None:
        return "give it a value, or remove the line"
    if wanted == "string" and isinstance(value, bool | int | float):
        return "quote it"
    if wanted == "integer" and isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return "write it without quotes"
    if wanted == "array" and not isinstance(value, list):
        return "write a list: [a, b], or one '- item' per line"
    if wanted == "object" and schema.get("properties"):
        return f"fields: {listed(schema['properties'], last='and')}"
    return "write it as NAME: value" if wanted == "object" else ""
