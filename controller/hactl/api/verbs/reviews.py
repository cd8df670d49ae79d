"""May I? SelfSubjectAccessReview, as `kubectl auth can-i` asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hactl.api.request.payload import JSON, an_object, media_type, read_json
from hactl.api.request.wire import Identity, Request, Response
from hactl.core.kube.access import allowed, refusal
from hactl.core.kube.access_review import PROTOBUF, read_review
from hactl.core.kube.errors import Cause, invalid, unsupported_media_type
from hactl.core.kube.kinds import ACCESS_REVIEWS, RESOURCES

_BY_NAME = {
    name: resource.plural
    for resource in RESOURCES
    for name in (resource.plural, resource.singular, *resource.short_names)
}


def review(request: Request) -> Response:
    """POST; answered in JSON whatever it was asked in. Raises ApiError: 400, 415, 422."""
    kind = media_type(request.headers)
    if kind not in (JSON, PROTOBUF):
        raise unsupported_media_type(kind, (JSON, PROTOBUF))
    given = read_json(request.body) if kind == JSON else read_review(request.body)
    body = an_object(given, ACCESS_REVIEWS)
    spec = body.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if isinstance(of_resource, dict) == isinstance(of_path, dict):
        cause = Cause("spec", "exactly one of nonResourceAttributes or resourceAttributes must be specified")
        raise invalid(ACCESS_REVIEWS.group, ACCESS_REVIEWS.kind, "", [cause])
    may, why = _resource(request.identity, of_resource) if isinstance(of_resource, dict) else _path(request.identity)
    status = {"allowed": may, **({"reason": why} if why else {})}
    made = {**body, "metadata": body.get("metadata") or {}, "spec": spec, "status": status}
    return Response(status=201, body=made)


def _resource(identity: Identity, wanted: Mapping[str, Any]) -> tuple[bool, str]:
    verb, name = str(wanted.get("verb", "")), str(wanted.get("resource", ""))
    subresource = str(wanted.get("subresource", ""))
    plural = _BY_NAME.get(name, name)
    if allowed(identity.role, verb, plural, subresource):
        return True, f"{identity.actor} has the role {identity.role}"
    return False, refusal(identity.actor, identity.role, verb, plural, subresource)


def _path(identity: Identity) -> tuple[bool, str]:
    return allowed(identity.role, "get", "discovery"), ""
