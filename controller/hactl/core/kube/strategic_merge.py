"""Strategic merge patches: a merge patch that knows which lists are merged, and by what.

Only for the kinds that Kubernetes itself has (here: Lease): kubectl sends them for those (`apply`, `edit`, `patch`
without --type), and a real API server answers 415 for custom resources. Which lists are merged is read from the
structural schema: a set by its values, a map by its keys, any other list is replaced.
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hactl.core.kube.apply.structural_schema import Schema, check_depth, object_schema
from hactl.core.kube.errors import ApiError, bad_request
from hactl.core.kube.patches import check_size

_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _REMOVE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merge_patch(body: Mapping[str, Any], patch: object, schema: Schema) -> dict[str, Any]:
    """`body`, an object of a kind with that schema, after the patch. New data.

    Raises ApiError: 400 for a patch that is no object, is nested too deep or has directives that are none; 413 for a
    result that is too large.
    """
    if not isinstance(patch, Mapping):
        raise bad_request("error decoding patch: a strategic merge patch must be a JSON object")
    check_depth(patch)
    result: dict[str, Any] = copy.deepcopy(_merged(body, patch, object_schema(schema)))
    check_size(result)
    return result


def _merged(target: object, patch: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    fields = {name: value for name, value in patch.items() if not name.startswith("$")}
    match patch.get(_PATCH, "merge"):
        case "replace":
            return fields
        case "delete":
            return {}
        case "merge":
            pass
        case _:
            raise _malformed(_PATCH, "write replace, delete or merge")
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in fields.items():
        part = _part(schema, name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = _merged(result.get(name), value, part)
        elif isinstance(value, list) and _is_merged(part):
            result[name] = _merged_list(result.get(name), value, part)
        else:
            result[name] = value
    for name, value in patch.items():
        if name.startswith("$") and name != _PATCH:
            _direct(result, name, value, schema)
    return result


def _direct(result: dict[str, Any], directive: str, value: object, schema: Schema) -> None:
    """Do what a directive beside the fields says."""
    if not isinstance(value, list):
        raise _malformed(directive, "expected a list")
    if directive == _RETAIN:
        for name in [name for name in result if name not in value]:
            del result[name]
        return
    kind, slash, name = directive.partition("/")
    if kind + slash not in (_ORDER, _REMOVE) or not name:
        raise _malformed(directive, "this directive is not known")
    part = _part(schema, name)
    if not _is_merged(part):
        raise _malformed(directive, "this list is replaced as a whole")
    found = result.get(name)
    if not isinstance(found, list):
        return
    key = _key(part)
    if kind + slash == _REMOVE:
        result[name] = [each for each in found if each not in value]
    else:
        result[name] = _in_order(found, [key(each) for each in value], key)


def _merged_list(target: object, changes: Sequence[Any], schema: Schema) -> list[Any]:
    """The list with what the changes add, change and remove; what is new stands at the end."""
    key = _key(schema)
    if any(isinstance(each, Mapping) and each.get(_PATCH) == "replace" for each in changes):
        return [each for each in changes if not (isinstance(each, Mapping) and _PATCH in each)]
    result = list(target) if isinstance(target, list) else []
    for change in changes:
        known = key(change)
        at = next((index for index, each in enumerate(result) if key(each) == known), None)
        gone = isinstance(change, Mapping) and change.get(_PATCH) == "delete"
        if gone and at is not None:
            del result[at]
        elif isinstance(change, Mapping) and not gone:
            made = _merged(None if at is None else result[at], change, schema.get("items") or {})
            if at is None:
                result.append(made)
            else:
                result[at] = made
        elif at is None and not gone:
            result.append(change)
    return result


def _in_order(items: Sequence[Any], wanted: Sequence[object], key: Callable[[Any], object]) -> list[Any]:
    """Those that are named in that order; each of the others stays behind the one it stood behind."""
    groups: dict[int, list[Any]] = {}
    behind = -1
    for each in items:
        known = key(each)
        if known in wanted:
            behind = wanted.index(known)
            groups.setdefault(behind, []).insert(0, each)
        else:
            groups.setdefault(behind, []).append(each)
    return [each for place in sorted(groups) for each in groups[place]]


def _part(schema: Schema, name: str) -> Schema:
    found = (schema.get("properties") or {}).get(name)
    found = schema.get("additionalProperties") if found is None else found
    return found if isinstance(found, Mapping) else {}


def _is_merged(schema: Schema) -> bool:
    return schema.get("x-kubernetes-list-type") in ("set", "map")


def _key(schema: Schema) -> Callable[[Any], object]:
    """What tells the members of such a list apart."""
    if schema.get("x-kubernetes-list-type") == "set":
        return lambda each: each
    names: Sequence[str] = schema.get("x-kubernetes-list-map-keys") or ()

    def of(each: Any) -> object:
        if not isinstance(each, Mapping) or any(name not in each for name in names):
            raise bad_request(f"error decoding patch: each item of this list needs {', '.join(names)}")
        return [each[name] for name in names]

    return of


def _malformed(directive: str, why: str) -> ApiError:
    return bad_request(f"error decoding patch: {directive[:100]}: {why}")
