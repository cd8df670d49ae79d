"""`hactl explain HACluster.spec.groups`: what a field of the document means, as kubectl explains its fields."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from hactl.core.document.problems import closest, listed, shown
from hactl.core.document.schema import document_schema, range_text
from hactl.core.objects import API_VERSION, KIND, PATTERNS
from hactl.errors import HactlError

_WIDTH = 78
_INDENT = "  "
_NAMES = {"string": "string", "integer": "integer", "boolean": "boolean", "object": "Object", "number": "number"}


class UnknownField(HactlError):
    """A path that names no field of the document."""


def explain(path: str, *, recursive: bool = False) -> str:
    """The text for a field path such as `HACluster.spec.groups`; the kind may be left out, `[0]` is ignored.

    Raises UnknownField, with what was probably meant, for a path that names no field.
    """
    walked, schema, required = _find(path)
    version = API_VERSION.split("/")[1]
    parts = [f"GROUP:      {API_VERSION.split('/')[0]}\nKIND:       {KIND}\nVERSION:    {version}"]
    if len(walked) > 1:
        needed = " -required-" if required else ""
        parts.append(f"FIELD: {'.'.join(walked[1:])} <{_type(schema)}>{needed}")
    notes = "".join(f"\n{_INDENT * 2}{note}" for note in _constraints(schema))
    about = _wrap(schema.get("description", "No description."), _INDENT * 2)
    parts.append(f"DESCRIPTION:\n{about}{notes}")
    inner = _object_of(schema)
    if inner:
        lines = _tree(inner, _INDENT) if recursive else _fields(inner)
        parts.append("FIELDS:\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _find(path: str) -> tuple[list[str], dict[str, Any], bool]:
    """(path walked, schema of the field, whether it is required)."""
    names = [name for name in re.sub(r"\[[^\]]*\]", "", path.strip()).split(".") if name]
    walked = [KIND]
    if names and names[0].casefold() in {KIND.casefold(), "hac", "haclusters"}:
        names = names[1:]
    schema, required = document_schema(), True
    for name in names:
        inner = _object_of(schema) or {}
        fields = inner.get("properties", {})
        if name not in fields:
            raise UnknownField(_no_such(walked, name, list(fields)))
        required = name in inner.get("required", ())
        schema = fields[name]
        walked.append(name)
    return walked, schema, required


def _no_such(walked: list[str], name: str, known: list[str]) -> str:
    """What to say about a wrong path."""
    where = ".".join(walked)
    if not known:
        return f"{where} has no fields, so there is no {shown(name)} in it"
    meant = closest(name, known)
    hint = f"did you mean {where}.{meant}?" if meant else f"it has {listed(known, last='and')}"
    return f"{where} has no field {shown(name)}; {hint}"


def _object_of(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The object with fields inside lists and maps, if there is one."""
    while "properties" not in schema:
        inner = schema.get("items") or schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return None
        schema = inner
    return schema


def _type(schema: dict[str, Any]) -> str:
    """`string`, `[]Object`, `map[string]integer`, as kubectl writes types."""
    kind = str(schema.get("type"))
    if kind == "array":
        return f"[]{_type(schema['items'])}"
    extra = schema.get("additionalProperties")
    if kind == "object" and isinstance(extra, dict):
        return f"map[string]{_type(extra)}"
    return _NAMES.get(kind, kind)


def _constraints(schema: dict[str, Any]) -> list[str]:
    """What limits the value, one line each."""
    leaf = schema
    while leaf.get("type") == "array" or isinstance(leaf.get("additionalProperties"), dict):
        leaf = leaf.get("items") or leaf["additionalProperties"]
    lines = []
    if "enum" in leaf:
        lines.append(f"one of: {', '.join(str(choice) for choice in leaf['enum'])}")
    if span := range_text(leaf):
        lines.append(f"range: {span}")
    if "pattern" in leaf:
        lines.append(f"form: {PATTERNS.get(leaf['pattern'], leaf['pattern'])}")
    if leaf.get("type") == "string" and "maxLength" in leaf:
        lines.append(f"length: at most {leaf['maxLength']} characters")
    if "minItems" in schema or "maxItems" in schema:
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        lines.append(f"items: {low} to {high}" if high is not None else f"items: {low} or more")
    if "default" in schema:
        value = schema["default"]
        lines.append(f"default: {str(value).lower() if isinstance(value, bool) else value}")
    return lines


def _fields(schema: dict[str, Any]) -> list[str]:
    """The fields of an object with their descriptions and limits."""
    lines = []
    for name, field in schema["properties"].items():
        needed = " -required-" if name in schema.get("required", ()) else ""
        lines.append(f"{_INDENT}{name}\t<{_type(field)}>{needed}")
        lines.append(_wrap(field.get("description", ""), _INDENT * 2))
        lines += [f"{_INDENT * 2}{note}" for note in _constraints(field)]
        lines.append("")
    return lines[:-1]


def _tree(schema: dict[str, Any], indent: str) -> list[str]:
    """All fields below an object, names and types only."""
    lines = []
    for name, field in schema["properties"].items():
        needed = " -required-" if name in schema.get("required", ()) else ""
        lines.append(f"{indent}{name}\t<{_type(field)}>{needed}")
        inner = _object_of(field)
        if inner:
            lines += _tree(inner, indent + _INDENT)
    return lines


def _wrap(text: str, indent: str) -> str:
    """Wrapped text, never cut inside a word."""
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
