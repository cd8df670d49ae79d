"""What the API says about itself: discovery, OpenAPI and version."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hactl import __version__
from hactl.api.request.wire import Request, Response
from hactl.core.kube import discovery
from hactl.core.kube.errors import no_such_path
from hactl.core.kube.openapi.index import V2_STUB, V2_TYPE, document, index

#: The Kubernetes whose conventions the API follows: what clients compare their own version with.
FOLLOWS = ("1", "36")


def version() -> dict[str, Any]:
    """/version."""
    major, minor = FOLLOWS
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+hactl.{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "freebsd/amd64",
        "hactl": __version__,
    }


def is_description(path: str) -> bool:
    """Whether `described` answers it: /api, /apis, a group or version of it, or OpenAPI."""
    parts = path.strip("/").split("/")
    return parts[0] == "openapi" or (parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3)


def described(request: Request) -> Response:
    """The answer to a GET of such a path. Raises ApiError (404)."""
    parts = request.path.strip("/").split("/")
    match parts:
        case ["api"] | ["apis"]:
            core = parts[0] == "api"
            found = discovery.aggregated_version(request.headers.get("accept", ""))
            if found is not None:
                body = discovery.aggregated(core, found)
                return Response(body=body, content_type=discovery.aggregated_type(found))
            return Response(body=discovery.core_versions() if core else discovery.group_list())
        case ["api", name]:
            return _or_404(discovery.resource_list("", name))
        case ["apis", name]:
            return _or_404(discovery.group(name))
        case ["apis", group, name]:
            return _or_404(discovery.resource_list(group, name))
        case ["openapi", "v2"]:
            return Response(raw=V2_STUB, content_type=V2_TYPE)
        case ["openapi", "v3"]:
            return Response(body=index())
        case ["openapi", "v3", *rest]:
            text = _document("/".join(rest))
            if text is None:
                raise no_such_path()
            return Response(raw=text)
    raise no_such_path()


@cache
def _document(path: str) -> bytes | None:
    found = document(path)
    return None if found is None else json.dumps(found, separators=(",", ":")).encode()


def _or_404(body: dict[str, Any] | None) -> Response:
    if body is None:
        raise no_such_path()
    return Response(body=body)
