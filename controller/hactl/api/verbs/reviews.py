"""May I, what may I, and who am I: reviews as `kubectl auth can-i`, `can-i --list` and `whoami` ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hactl.api.request.paths import non_kubernetes
from hactl.api.request.payload import JSON, an_object, media_type, read_json
from hactl.api.request.wire import Identity, Request, Response
from hactl.api.verbs.discovery import is_description
from hactl.core.document.problems import shown
from hactl.core.kube.access import ALL, all_allowed, allowed, refusal
from hactl.core.kube.access_review import PROTOBUF, read_review
from hactl.core.kube.errors import Cause, invalid, unsupported_media_type
from hactl.core.kube.kinds import ACCESS_REVIEWS, RESOURCES, RULES_REVIEWS, Resource

_BY_NAME = {
    name: resource.plural
    for resource in RESOURCES
    for name in (resource.plural, resource.singular, *resource.short_names)
}

_GROUPS = {resource.plural: resource.group for resource in RESOURCES}
#: Resources of `hactl.core.kube.access` that are paths -> these paths.
_PATHS = {
    "tokens": ("/tokens", "/tokens/*"),
    "stream": ("/stream",),
    "history": ("/history",),
    "metrics": ("/metrics",),
    "clusters": ("/clusters/*",),
    "nudge": ("/nudge",),
    "discovery": ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"),
    "health": ("/healthz", "/livez", "/readyz"),
    "version": ("/version",),
}
#: Verbs about a path -> the method.
_METHODS = {"get": "GET", "list": "GET", "watch": "GET", "post": "POST", "create": "POST", "delete": "DELETE"}


def review(request: Request, resource: Resource) -> Response:
    """POST; answered in JSON whatever it was asked in. Raises ApiError: 400, 415, 422."""
    kind = media_type(request.headers)
    if kind not in (JSON, PROTOBUF):
        raise unsupported_media_type(kind, (JSON, PROTOBUF))
    given = read_json(request.body) if kind == JSON else read_review(request.body, resource)
    body = an_object(given, resource)
    spec = body.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    status = _answer(request.identity, resource, spec)
    asked = {"spec": spec} if resource in (ACCESS_REVIEWS, RULES_REVIEWS) else {}
    return Response(status=201, body={**body, "metadata": body.get("metadata") or {}, **asked, "status": status})


def _answer(identity: Identity, resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    if resource == RULES_REVIEWS:
        return _rules(identity)
    if resource != ACCESS_REVIEWS:
        groups = ["system:authenticated", *([f"hactl:{identity.role}"] if identity.role else [])]
        extra = {"hactl.dev/origin": [identity.origin]} if identity.origin else {}
        return {"userInfo": {"username": identity.actor, "groups": groups, **({"extra": extra} if extra else {})}}
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(of_resource, dict) == isinstance(of_path, dict):
        cause = Cause("spec", "exactly one of nonResourceAttributes or resourceAttributes must be specified")
        raise invalid(ACCESS_REVIEWS.group, ACCESS_REVIEWS.kind, "", [cause])
    may, why = _resource(identity, of_resource) if isinstance(of_resource, dict) else _path(identity, of_path or {})
    return {"allowed": may, **({"reason": why} if why else {})}


def _rules(identity: Identity) -> dict[str, Any]:
    """SubjectRulesReviewStatus: everything that role may do, and that this is all."""
    of_resources, of_paths = [], []
    for (name, subresource), verbs in all_allowed(identity.role).items():
        if name in _GROUPS:
            plural = f"{name}/{subresource}" if subresource else name
            of_resources.append({"verbs": verbs, "apiGroups": [_GROUPS[name]], "resources": [plural]})
        elif name != "clusters" or subresource == "active":
            of_paths.append({"verbs": verbs, "nonResourceURLs": list(_PATHS[name])})
    return {"resourceRules": of_resources, "nonResourceRules": of_paths, "incomplete": False}


def _resource(identity: Identity, wanted: Mapping[str, Any]) -> tuple[bool, str]:
    verb, name = str(wanted.get("verb", "")), str(wanted.get("resource", ""))
    subresource = str(wanted.get("subresource", ""))
    plural, group = _BY_NAME.get(name, name), wanted.get("group") or ALL
    if plural in _GROUPS and group not in (ALL, _GROUPS[plural]):
        return False, f"there are no {plural} in the group {shown(group)}"
    if allowed(identity.role, verb, plural, subresource):
        return True, f"{identity.actor} has the role {identity.role}"
    return False, refusal(identity.actor, identity.role, verb, plural, subresource)


def _path(identity: Identity, wanted: Mapping[str, Any]) -> tuple[bool, str]:
    """A path that is no resource: its verbs are the methods of HTTP in lower case, or what we call them."""
    verb, path = str(wanted.get("verb", "")), str(wanted.get("path", ""))
    if ALL in (verb, path):
        return allowed(identity.role, ALL, ALL), ""
    method = _METHODS.get(verb)
    if method is None:
        return False, f"nobody can {verb} a path"
    plain = "get" if method == "GET" else method.lower()
    place = non_kubernetes(path, method)
    if path.strip("/") == "version":
        place = plain, "version", ""
    elif is_description(path):
        place = plain, "discovery", ""
    if place is None:
        return False, f"there is no path {shown(path)}"
    if allowed(identity.role, *place):
        return True, f"{identity.actor} has the role {identity.role}" if identity.role else ""
    return False, refusal(identity.actor, identity.role, *place)
