"""Paths of the Kubernetes API: which resource, namespace, object and subresource a path names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hactl.core.kube.kinds import HACLUSTERS, Resource, find

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """What a path names. `namespace` None: all of them, or a resource without namespaces."""

    resource: Resource
    namespace: str | None = None
    #: Empty: the collection.
    name: str = ""
    subresource: str = ""


def resource_path(path: str) -> ResourcePath | None:
    """The resource a path names; None when it is no resource."""
    parts = path.strip("/").split("/")
    if parts[:1] == ["api"]:
        group, rest = "", parts[1:]
    elif parts[:1] == ["apis"] and len(parts) > 1:
        group, rest = parts[1], parts[2:]
    else:
        return None
    if len(rest) < 2 or "" in rest:
        return None
    version, rest = rest[0], rest[1:]
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else ""
    if resource.namespaced and name and namespace is None:
        return None
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        return None
    return ResourcePath(resource, namespace, name, subresource)


def is_about_documents(path: str) -> bool:
    """Whether what is sent there may be as large as a document is."""
    found = resource_path(path)
    return found is not None and found.resource == HACLUSTERS


def non_kubernetes(path: str, method: str) -> tuple[str, str, str] | None:
    """Verb, resource and subresource of `hactl.core.kube.access` for a path of ours; None: it is none."""
    parts = path.strip("/").split("/")
    verbs = {"GET": "list" if parts == ["tokens"] else "get", "POST": "create", "DELETE": "delete"}
    verb = verbs.get(method, "get")
    match parts:
        case ["healthz" | "livez" | "readyz", *_]:
            return verb, "health", ""
        case ["clusters", _, *_]:
            return verb, "clusters", "active" if parts[-1] == "active" else "role"
        case ["metrics" | "stream" | "nudge" | "tokens", *_]:
            return verb, parts[0], ""
    return None


def non_kubernetes_methods(path: str) -> tuple[str, ...]:
    """The methods of HTTP that there are for a path of ours; HEAD is what some load balancers ask with."""
    match path.strip("/").split("/"):
        case ["tokens"]:
            return ("GET", "POST")
        case ["tokens", *_]:
            return ("DELETE",)
        case ["nudge", *_]:
            return ("POST",)
        case ["stream", *_]:
            return ("GET",)
    return ("GET", "HEAD")


def verb_and_resource(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str]:
    """What a request is about, in few words that do not depend on names: for metrics."""
    verb = _VERBS.get(method, "other")
    found = resource_path(path)
    if found is None:
        ours = non_kubernetes(path, method)
        first = path.strip("/").partition("/")[0]
        return verb, ours[1] if ours else first if first in ("api", "apis", "openapi", "version") else "other"
    if verb == "get" and not found.name:
        verb = "watch" if query.get("watch", "").lower() in ("true", "1", "t") else "list"
    return verb, f"{found.resource.plural}/{found.subresource}" if found.subresource else found.resource.plural
