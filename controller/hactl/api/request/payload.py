"""What a client sends, read: JSON or YAML bodies and query parameters, strictly and within limits.

A body is refused when two readers could understand different things by it: keys that are there twice, numbers JSON
does not have, plain YAML scalars on which 1.1 and 1.2 differ.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hactl.adapters.yaml.nodes import MAX_VALUES
from hactl.adapters.yaml.tree import read_trees
from hactl.core.kube.errors import ApiError, Cause, bad_request, invalid, unsupported_media_type
from hactl.core.kube.kinds import Resource

JSON = "application/json"
YAML = "application/yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

#: Deeper data are no object of ours, and would exhaust whoever walks them.
MAX_DEPTH = 60
MAX_YAML_BYTES = 128 * 1024
_MAX_DIGITS = 18


def media_type(headers: Mapping[str, str]) -> str:
    """The Content-Type without parameters; without one it is JSON."""
    return headers.get("content-type", JSON).partition(";")[0].strip().lower() or JSON


#: A string (atomic, so that an unclosed one is looked at once), an unclosed one, and what opens, closes and separates.
_TOKEN = re.compile(rb'(?>"[^"\\]*+(?:\\.[^"\\]*+)*+")|["\[\]{},]', re.DOTALL)


def read_json(content: bytes, *, max_values: int = MAX_VALUES) -> Any:
    """The value. Raises ApiError (400) for what is no JSON, is too deep or has too many values."""
    _measure(content, max_values)
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_mapping,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
        if b"\\u" in content:
            # Half surrogate pairs are no text: they could not be sent or kept.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        message = "too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise bad_request(f"the body is not JSON: {message}") from None
    return value


def _measure(content: bytes, max_values: int) -> None:
    """Raises ApiError (400) for a text that is too deep or has too many values, before anything is made of it."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") < MAX_DEPTH:
        return
    depth, values = 0, 1
    for found in _TOKEN.finditer(content):
        match found[0][:1]:
            case b",":
                values += 1
            case b"[" | b"{":
                depth += 1
                values += 1
                if depth > MAX_DEPTH:
                    raise bad_request(f"the body is more than {MAX_DEPTH} levels deep")
            case b"]" | b"}":
                depth -= 1
            case _ if len(found[0]) == 1:
                # What is no JSON will be said by who reads it.
                return
        if values > max_values:
            raise bad_request(f"the body has more than {max_values} values")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS + 2:
        raise ValueError(f"{text[:40]} is too large a number")
    return int(text)


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text[:40]} is too large a number")
    return found


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {json.dumps(twice)} is there twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def read_yaml(content: bytes, resource: Resource, name: str) -> Any:
    """The one document of a YAML (or JSON) text. Raises ApiError: 400 for no YAML, 422 for what could be misread."""
    if content.lstrip()[:1] in (b"{", b"["):
        return read_json(content)
    if len(content) > MAX_YAML_BYTES:
        # It is read letter by letter.
        raise bad_request(f"the body is more than {MAX_YAML_BYTES} bytes of YAML; send it as JSON")
    trees, problems = read_trees(content, "body")
    if len(trees) != 1 or not trees[0].readable:
        found = problems or [problem for tree in trees for problem in tree.problems]
        message = str(found[0]) if found else "it has more than one document"
        raise bad_request(f"the body is not one YAML document: {message}")
    if trees[0].problems:
        causes = [Cause(p.path, f"{p.message}; {p.fix}" if p.fix else p.message) for p in trees[0].problems]
        raise invalid(resource.group, resource.kind, name, causes)
    return trees[0].data


def read_object(content: bytes, headers: Mapping[str, str], resource: Resource, name: str = "") -> dict[str, Any]:
    """The object of a create or update. Raises ApiError: 400, 415, 422."""
    kind = media_type(headers)
    if kind == JSON:
        value = read_json(content)
    elif kind in (YAML, "text/yaml", "application/x-yaml"):
        value = read_yaml(content, resource, name)
    else:
        raise unsupported_media_type(kind, (JSON, YAML))
    return an_object(value, resource)


def an_object(value: Any, resource: Resource) -> dict[str, Any]:
    """Check that it is an object of that resource. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise bad_request(f"the body is not an object of kind {resource.kind}")
    for field, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        found = value.get(field, wanted)
        if found != wanted:
            given = found if isinstance(found, str) else "something else"
            raise bad_request(f"the {field} in the data ({given}) does not match the expected {field} ({wanted})")
    return {"apiVersion": resource.api_version, "kind": resource.kind, **value}


def flag(query: Mapping[str, str], name: str) -> bool:
    """A truth value of the query. Raises ApiError (400)."""
    text = query.get(name, "")
    if text.lower() in ("true", "1", "t"):
        return True
    if text.lower() in ("", "false", "0", "f"):
        return False
    raise bad_request(f'{name}: Invalid value: "{text[:40]}": write true or false')


def number(query: Mapping[str, str], name: str) -> int | None:
    """A number of the query; None: not given. Raises ApiError (400)."""
    text = query.get(name, "")
    return None if not text else to_number(text, name)


def to_number(text: object, name: str) -> int:
    """A number that counts something. Raises ApiError (400)."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise bad_request(f'{name}: Invalid value: "{str(text)[:40]}": write a whole number')


def is_dry_run(values: Any, query: Mapping[str, str]) -> bool:
    """Whether nothing is to be kept: `dryRun` of the query, or of DeleteOptions. Raises ApiError (400)."""
    chosen = [query["dryRun"]] if query.get("dryRun") else []
    if isinstance(values, list):
        chosen += values
    elif values is not None:
        raise bad_request("dryRun: expected a list")
    if any(each != "All" for each in chosen):
        raise bad_request('dryRun: Unsupported value: supported values: "All"')
    return bool(chosen)


def strictness(query: Mapping[str, str]) -> str:
    """`fieldValidation` of the query: Strict, Warn or Ignore. Raises ApiError (400)."""
    found = query.get("fieldValidation") or "Warn"
    if found not in ("Strict", "Warn", "Ignore"):
        raise ApiError(400, "BadRequest", 'fieldValidation: supported values: "Ignore", "Strict", "Warn"')
    return found
