"""The OpenAPI document of the paths that Kubernetes does not have: health, metrics, who is active, tokens, the stream.

It is at /openapi/v3/hactl; kubectl passes it over, people and fuzzers do not.
"""

from __future__ import annotations

from typing import Any

from hactl.core.document.schema import Schema
from hactl.core.kube.access import ROLES
from hactl.core.kube.openapi.paths import JSON, answered, path_parameter, query_parameter, refusals
from hactl.core.kube.openapi.schemas import LIST_META, STATUS, meta, reference

#: Where the document is, below /openapi/v3/.
PATH = "hactl"

_TEXT = "text/plain"
_STREAM = "text/event-stream"

_GROUP = query_parameter("group", "Only that group; all of them must agree otherwise.")
_CLUSTER = path_parameter("cluster", "Name of the cluster.")
_READ = (400, 401, 403, 404, 405, 429, 503)
_WRITE = (*_READ, 409, 413, 422)


def paths() -> Schema:
    """Every path that Kubernetes does not have."""
    node = path_parameter("node", "Name of the node.")
    active = _says("The one node that has it.", "Nobody has it, several have parts of it, or it is not known.")
    role = _says("It is active there.", "It is not, or it is not known.")
    return {
        "/healthz": {"get": _health("Healthz", "Whether the process answers.")},
        "/livez": {"get": _health("Livez", "Whether the process answers.")},
        "/readyz": {"get": _health("Readyz", "Whether the controller works; every trouble on its line.")},
        "/version": {"get": _version()},
        "/metrics": {
            "get": _request("getMetrics", "Measurements for Prometheus.", {"200": _text("The measurements.")})
        },
        "/clusters/{cluster}/active": {
            "get": _request("getClusterActive", "The node a cluster is active on.", active, parameters=[_GROUP]),
            "parameters": [_CLUSTER],
        },
        "/clusters/{cluster}/nodes/{node}/role": {
            "get": _request("getNodeRole", "Whether a node is the active one.", role, parameters=[_GROUP]),
            "parameters": [_CLUSTER, node],
        },
        "/stream": {"get": _stream()},
        "/nudge": {
            "post": _request(
                "createNudge",
                "Read the sources again now.",
                {"202": _text("The sources are being read.")},
                parameters=[query_parameter("source", "Only the source of that label.")],
                codes=_WRITE,
            )
        },
        "/tokens": {"get": _tokens(), "post": _make_token()},
        "/tokens/{name}": {
            "delete": _request(
                "deleteToken",
                "Accept a token no more.",
                {"200": answered("The token is accepted no more.", _GONE)},
                codes=_WRITE,
            ),
            "parameters": [path_parameter("name", "Name of the token.")],
        },
    }


def schemas() -> Schema:
    """The schemas those paths need."""
    return {name: schema for name, schema in meta().items() if name in (STATUS, LIST_META)}


_STRING: Schema = {"type": "string"}
_WHEN: Schema = {"type": "string", "format": "date-time", "nullable": True}
_ROLE: Schema = {"type": "string", "enum": list(ROLES)}
_NAME: Schema = {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
_GONE: Schema = {
    "type": "object",
    "required": ["name", "revoked"],
    "properties": {"name": _STRING, "revoked": {"type": "boolean"}},
}


def _request(
    name: str,
    description: str,
    answers: Schema,
    *,
    parameters: list[Schema] | None = None,
    codes: tuple[int, ...] = _READ,
    **more: Any,
) -> Schema:
    """One request with its answers; what is documented on its own is no Status."""
    return {
        "tags": ["hactl"],
        "description": description,
        "operationId": name,
        "parameters": parameters or [],
        "responses": {**refusals(codes), **answers},
        **more,
    }


def _text(description: str, kind: str = _TEXT) -> Schema:
    return {"description": description, "content": {kind: {"schema": _STRING}}}


def _says(yes: str, no: str) -> Schema:
    """Answers for a load balancer; 503 may also be a Status, when the server has trouble of its own."""
    trouble = answered(no, reference(STATUS))["content"]
    return {"200": _text(yes), "503": {"description": no, "content": {_TEXT: {"schema": _STRING}, **trouble}}}


def _health(name: str, description: str) -> Schema:
    # Without a credential: a supervisor has none.
    return _request(f"get{name}", description, _says("It does.", "It does not; the text says why."), security=[])


def _version() -> Schema:
    known = {"type": "object", "required": ["major", "minor", "gitVersion"], "additionalProperties": _STRING}
    return _request("getVersion", "What runs.", {"200": answered("The version.", known)}, security=[])


def _stream() -> Schema:
    last = {**query_parameter("Last-Event-ID", "Go on after that revision."), "in": "header"}
    after = query_parameter("after", "The same, for clients that cannot set a header.")
    return _request(
        "watchStream",
        "Every change as server-sent events, without end.",
        {"200": _text("The events.", _STREAM)},
        parameters=[last, after],
        codes=(*_READ, 410),
    )


def _tokens() -> Schema:
    token = {
        "type": "object",
        "required": ["name", "role"],
        "properties": {
            "name": _STRING,
            "role": _ROLE,
            "createdAt": _STRING,
            "createdBy": _STRING,
            "expiresAt": _WHEN,
            "lastUsedAt": _WHEN,
        },
    }
    listed = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": token}},
    }
    return _request("listTokens", "Tokens that are accepted.", {"200": answered("The tokens.", listed)})


def _make_token() -> Schema:
    wanted = {
        "type": "object",
        "required": ["name", "role"],
        "additionalProperties": False,
        "properties": {"name": _NAME, "role": _ROLE, "expiresAt": _WHEN},
    }
    made = {
        "type": "object",
        "required": ["name", "role", "token"],
        "properties": {"name": _STRING, "role": _ROLE, "expiresAt": _WHEN, "token": _STRING},
    }
    return _request(
        "createToken",
        "Make a token. It is in this answer and nowhere else.",
        {"201": answered("The token.", made)},
        codes=_WRITE,
        requestBody={"required": True, "content": {JSON: {"schema": wanted}}},
    )
