"""The patches Kubernetes clients send: JSON Merge Patch (RFC 7386) and JSON Patch (RFC 6902), with limits.

Errors are worded as a Kubernetes API server words them where it says enough.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import jsonpatch

from hactl.core.kube.apply.structural_schema import check_depth, same, too_deep
from hactl.core.kube.errors import ApiError, Cause, Details, bad_request

#: As Kubernetes (apiserver, maxJSONPatchOperations).
MAX_OPERATIONS = 10_000
#: What all copies of one patch may add, and how large an object may become: as large as a request may be that sends it,
#: and as many values as a document may have. Copies of copies double with each operation.
MAX_BYTES = 1024 * 1024
MAX_VALUES = 20_000

_NEEDED = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
#: How the library says that an operation does not apply; the last three only in old releases.
_FAILURES = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, LookupError, AttributeError)


def merge_patch(body: Mapping[str, Any], patch: object) -> dict[str, Any]:
    """`body` after a merge patch: null removes, objects are merged, anything else replaces. New data.

    Raises ApiError: 400 for a patch that is no object or nested too deep, 413 for a result that is too large.
    """
    if not isinstance(patch, Mapping):
        raise bad_request("error decoding patch: a merge patch must be a JSON object")
    check_depth(patch)
    result: dict[str, Any] = copy.deepcopy(_merged(body, patch))
    check_size(result)
    return result


def _merged(target: object, patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = _merged(result.get(name), value)
        else:
            result[name] = value
    return result


def json_patch(body: Mapping[str, Any], operations: object) -> dict[str, Any]:
    """`body` after the operations, all or nothing. New data.

    Raises ApiError: 400 for what is no JSON Patch, 413 for too many operations or too much growth, 422 (with the
    operation as the field of the cause) for an operation that does not apply, a failed test among them.
    """
    found = _operations(operations)
    result: Any = copy.deepcopy(dict(body))
    budget, values = MAX_BYTES, MAX_VALUES
    for index, (operation, step) in enumerate(found):
        if operation["op"] == "copy":
            added = _copied(result, operation, index)
            values -= _count(added, values)
            budget -= _size(added)
            if budget < 0:
                raise _grown("the accumulated size increase of copy operations")
        try:
            if operation["op"] == "test":
                _test(result, operation)
            else:
                result = step.apply(result, in_place=True)
        except _FAILURES as error:
            raise _refused(result, operation, index, error) from None
    if not isinstance(result, dict):
        raise _invalid("patch", "the patched object must be a JSON object")
    if too_deep(result):
        raise _invalid("patch", "the patched object is nested too deep")
    check_size(result)
    return result


def _test(body: Any, operation: Mapping[str, Any]) -> None:
    """Raises when the value is another one; not left to the library, of which old releases take 1 for true."""
    value = jsonpatch.JsonPointer(operation["path"]).resolve(body)
    if not same(value, operation["value"]):
        raise jsonpatch.JsonPatchTestFailed


def _operations(operations: object) -> list[tuple[Mapping[str, Any], jsonpatch.JsonPatch]]:
    """Each operation as sent and as jsonpatch understands it."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch must be a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(operations)}",
        )
    check_depth(operations)
    result = []
    for index, operation in enumerate(operations):
        why = _malformed(operation)
        if why:
            raise bad_request(f"error decoding patch: operation {index}: {why}")
        try:
            step = jsonpatch.JsonPatch([operation])
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise bad_request(f"error decoding patch: operation {index}: {error}") from None
        result.append((operation, step))
    return result


def _malformed(operation: object) -> str:
    """Why this is no operation; "" when it is one."""
    if not isinstance(operation, Mapping):
        return "must be an object"
    kind = operation.get("op")
    if not isinstance(kind, str) or kind not in _NEEDED:
        return f"Unexpected kind: {json.dumps(kind)}; known: {', '.join(_NEEDED)}"
    for name in ("path", *_NEEDED[kind]):
        if name not in operation:
            return f"{kind} needs {name}"
        if name != "value" and not isinstance(operation[name], str):
            return f"{name} must be text"
    return ""


def _count(value: Any, most: int) -> int:
    """How many values there are in JSON data; stops at `most` of them. Raises ApiError (413) when there are more."""
    found, left = 0, [value]
    while left:
        each = left.pop()
        found += 1
        if isinstance(each, Mapping):
            left += each.values()
        elif isinstance(each, list):
            left += each
        if found + len(left) > most:
            message = f"Request entity too large: the patched object would have more than {MAX_VALUES} values"
            raise ApiError(413, "RequestEntityTooLarge", message)
    return found


def _copied(body: Any, operation: Mapping[str, Any], index: int) -> Any:
    """What a copy will add; looked at before it is made, for copies of copies grow without bound."""
    try:
        value = jsonpatch.JsonPointer(operation["from"]).resolve(body)
    except _FAILURES as error:
        raise _refused(body, operation, index, error) from None
    if too_deep(value):
        raise _invalid(f"patch[{index}]", "the copied value is nested too deep")
    return value


def _refused(body: Any, operation: Mapping[str, Any], index: int, error: Exception) -> ApiError:
    kind, path = operation["op"], operation["path"]
    if kind == "test":
        return _invalid(f"patch[{index}]", f"testing value {path} failed: test failed")
    needed = operation["from"] if kind in ("move", "copy") else path
    if _exists(body, path.rpartition("/")[0] if kind == "add" else needed):
        what = str(error)
    else:
        what = f"doc is missing path: {json.dumps(needed, ensure_ascii=False)}: missing value"
    return _invalid(f"patch[{index}]", f"{kind} operation does not apply: {what}")


def _exists(body: Any, path: str) -> bool:
    try:
        jsonpatch.JsonPointer(path).resolve(body)
    except _FAILURES:
        return False
    return True


def _invalid(field: str, why: str) -> ApiError:
    message = f"the server rejected our request due to an error in our request: {why}"
    return ApiError(422, "Invalid", message, Details(causes=(Cause(field, why),)))


def check_size(body: Mapping[str, Any]) -> None:
    _count(body, MAX_VALUES)
    if _size(body) > MAX_BYTES:
        raise _grown("the size of the patched object")


def _grown(what: str) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {what} exceeds {MAX_BYTES} bytes")


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass"))
