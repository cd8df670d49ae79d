"""The document's shape for machines, and JSON Schema for editors.

It comes from the pydantic models and nothing else, with every reference written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

from hactl.core.document.problems import FieldPath
from hactl.core.objects import API_VERSION, KIND, HACluster

Schema: TypeAlias = dict[str, Any]

GROUP, VERSION = API_VERSION.split("/")

#: Types in words.
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "number": "a number",
}


@cache
def document_schema() -> Schema:
    """The shape of a document, references written out; wire names, required fields, limits, descriptions.

    Built once and shared: callers must not change it.
    """
    raw = HACluster.model_json_schema(by_alias=True)
    inlined: Schema = _inline(raw, raw.get("$defs", {}))
    return inlined


def _inline(node: Any, definitions: Schema) -> Any:
    """Write references out, and drop what only says that an optional field may be null."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key not in {"$defs", "title"} or isinstance(value, dict)}
    node.pop("$defs", None)
    if "$ref" in node:
        node = definitions[node.pop("$ref").removeprefix("#/$defs/")] | node
        return _inline(node, definitions)
    if "anyOf" in node:
        [choice] = [choice for choice in node.pop("anyOf") if choice != {"type": "null"}]
        return _inline(choice | node, definitions)
    if "default" in node and node["default"] is None:
        del node["default"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    return {
        key: {name: _inline(field, definitions) for name, field in value.items()}
        if key == "properties"
        else value
        if key == "default"
        else _inline(value, definitions)
        for key, value in node.items()
    }


def range_text(schema: Mapping[str, Any]) -> str:
    """`1 to 255` of a number's limits; empty without limits."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return f"at most {high}" if high is not None else ""


def describe_type(schema: Mapping[str, Any]) -> str:
    """The type of a field in words."""
    return _TYPES.get(str(schema.get("type")), "another type")


def field_schema(path: FieldPath) -> Mapping[str, Any] | None:
    """The schema of the field at this path; None when there is no such field."""
    schema: Mapping[str, Any] | None = document_schema()
    for part in path:
        if schema is None:
            return None
        if isinstance(part, int):
            schema = schema.get("items")
        elif part in schema.get("properties", {}):
            schema = schema["properties"][part]
        else:
            extra = schema.get("additionalProperties")
            schema = extra if isinstance(extra, dict) else None
    return schema


def json_schema() -> Schema:
    """JSON Schema 2020-12 of a document, for editors (yaml-language-server and the like)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{GROUP}/schemas/{VERSION}/hacluster.schema.json",
        "title": KIND,
        **document_schema(),
    }
