"""The body of a PATCH as a function of the object that it changes: merge patch, JSON patch, strategic merge patch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hactl.adapters.yaml.nodes import MAX_VALUES
from hactl.api.request.payload import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    flag,
    media_type,
    read_json,
)
from hactl.api.request.wire import Request
from hactl.api.workers import Lane
from hactl.core.kube.errors import Cause, invalid, unsupported_media_type
from hactl.core.kube.kinds import Resource
from hactl.core.kube.patches import json_patch, merge_patch
from hactl.core.kube.strategic_merge import strategic_merge_patch


async def change_of(
    request: Request, resource: Resource, schema: Mapping[str, Any], lane: Lane
) -> Callable[[Mapping[str, Any]], Any]:
    """What the patch makes of an object; the body is read in `lane`. Raises ApiError: 415 for another kind of patch."""
    kind, who = media_type(request.headers), request.identity.actor
    if "force" in request.query and flag(request.query, "force"):
        cause = Cause("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    if kind == MERGE_PATCH:
        change = await lane.run(who, lambda: read_json(request.body))
        return lambda body: merge_patch(body, change)
    if kind == JSON_PATCH:
        # The patch has limits of its own.
        operations = await lane.run(who, lambda: read_json(request.body, max_values=10 * MAX_VALUES))
        return lambda body: json_patch(body, operations)
    if kind == STRATEGIC_PATCH and not resource.is_custom:
        wanted = await lane.run(who, lambda: read_json(request.body))
        return lambda body: strategic_merge_patch(body, wanted, schema)
    more = () if resource.is_custom else (STRATEGIC_PATCH,)
    raise unsupported_media_type(kind, (JSON_PATCH, MERGE_PATCH, APPLY_PATCH, *more))
