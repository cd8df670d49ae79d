"""Reviews as `kubectl auth can-i` and `kubectl auth whoami` send them: in protobuf, and in nothing else.

Only what such a question needs of protobuf is read here; the answer is JSON, which kubectl takes.
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding,
k8s.io/api/authorization/v1/generated.proto, https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hactl.core.kube.errors import bad_request
from hactl.core.kube.kinds import ACCESS_REVIEWS, RULES_REVIEWS, Resource

PROTOBUF = "application/vnd.kubernetes.protobuf"
#: What every Kubernetes object in protobuf begins with; then comes an envelope: type, and the object itself.
MAGIC = b"k8s\x00"

_TYPE, _OBJECT = 1, 2
_API_VERSION, _KIND = 1, 2
_SPEC = 2
_RESOURCE, _PATH = 1, 2
_RESOURCE_FIELDS = {
    1: "namespace",
    2: "verb",
    3: "group",
    4: "version",
    5: "resource",
    6: "subresource",
    7: "name",
}
_PATH_FIELDS = {1: "path", 2: "verb"}

_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5


def read_review(body: bytes, resource: Resource) -> dict[str, Any]:
    """The question as the object it would be in JSON. Raises ApiError (400) for what is no such question."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is no Kubernetes object in protobuf")
    envelope = _fields(body[len(MAGIC) :])
    kind = _texts(envelope.get(_TYPE, b""), {_API_VERSION: "apiVersion", _KIND: "kind"})
    if kind != {"apiVersion": resource.api_version, "kind": resource.kind}:
        raise bad_request(f"only {resource.kind} of {resource.api_version} is read in protobuf here")
    spec = _fields(_fields(envelope.get(_OBJECT, b"")).get(_SPEC, b""))
    question: dict[str, Any] = {}
    if resource == RULES_REVIEWS:
        question = dict(_texts(_fields(envelope.get(_OBJECT, b"")).get(_SPEC, b""), {1: "namespace"}))
    elif resource == ACCESS_REVIEWS and _RESOURCE in spec:
        question["resourceAttributes"] = _texts(spec[_RESOURCE], _RESOURCE_FIELDS)
    if resource == ACCESS_REVIEWS and _PATH in spec:
        question["nonResourceAttributes"] = _texts(spec[_PATH], _PATH_FIELDS)
    return {**kind, "metadata": {}, "spec": question}


def _texts(message: bytes, names: Mapping[int, str]) -> dict[str, str]:
    """The named fields of a message that are text and not empty."""
    try:
        found = {name: _fields(message).get(number, b"").decode() for number, name in names.items()}
    except UnicodeDecodeError:
        raise bad_request("a text of the body is not UTF-8") from None
    return {name: text for name, text in found.items() if text}


def _fields(message: bytes) -> dict[int, bytes]:
    """The length-delimited fields of a message, the last one of each number; others are passed over."""
    found = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        if kind == _DELIMITED:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise bad_request("the body is no protobuf")
        if at + size > len(message):
            raise bad_request("the body ends in the middle of a field")
        if kind == _DELIMITED:
            found[tag >> 3] = message[at : at + size]
        at += size
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, low ones first; and where it ends."""
    value = 0
    for position in range(10):
        if at >= len(message):
            raise bad_request("the body ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, at
    raise bad_request("a number of the body is too long")
