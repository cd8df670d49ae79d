"""Making operations: what people ask for, checked against the cluster it is about.

The rest is the controller's: it judges from the facts whether and when it is over. Deleting one cancels it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hactl.api.request.metadata import check_place, generated_name, given_metadata, name_for
from hactl.api.request.paths import ResourcePath
from hactl.api.request.payload import is_dry_run, read_object
from hactl.api.request.wire import Request
from hactl.api.verbs.writes import Written
from hactl.api.workers import Lane
from hactl.core.document.problems import closest, shown
from hactl.core.kube.codec import operation_body, operation_fields
from hactl.core.kube.errors import Cause, already_exists, conflict, invalid
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS
from hactl.core.operations import Kind, Operation
from hactl.errors import AlreadyExists, Busy
from hactl.ports import Clock, Objects

_NOT_KEPT = ("labels", "annotations", "finalizers", "ownerReferences")


class OperationMaker:
    """Creates haoperations."""

    def __init__(self, objects: Objects, clock: Clock, lane: Lane) -> None:
        """What takes long is done in `lane`."""
        self._lane = lane
        self._objects = objects
        self._clock = clock

    async def create(self, path: ResourcePath, request: Request) -> Written:
        """POST. Without a name the record gives one, e.g. `drain-7`. Raises ApiError (409: asked for already)."""
        resource = HAOPERATIONS
        body = await self._lane.run(
            request.identity.actor, lambda: read_object(request.body, request.headers, resource)
        )
        metadata = given_metadata(body)
        check_place(metadata, path.namespace, "")
        name = name_for(resource, metadata) if metadata.get("name") or metadata.get("generateName") else ""
        dry = is_dry_run(None, request.query)
        if unknown := [key for key in body if key not in ("apiVersion", "kind", "metadata", "spec", "status")]:
            causes = [Cause(key[:100], "unknown field") for key in unknown]
            raise invalid(resource.group, resource.kind, name, causes)
        fields = operation_fields(body, name, actor=request.identity.actor)
        await self._check(fields, name)
        warnings = tuple(f"metadata.{key} of operations are not kept" for key in _NOT_KEPT if metadata.get(key))
        if dry:
            return Written(await self._as_if(fields, name), 201, changed=False, warnings=warnings)
        try:
            made = await self._objects.create_operation(fields, name=name)
        except AlreadyExists:
            raise already_exists(resource.group, resource.plural, name) from None
        except Busy as busy:
            raise conflict(resource.group, resource.plural, name, str(busy)) from None
        return Written(made, 201, changed=True, warnings=warnings)

    async def _as_if(self, fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """What would be made."""
        if name and (await self._objects.objects(HAOPERATIONS.plural, name))[1]:
            raise already_exists(HAOPERATIONS.group, HAOPERATIONS.plural, name)
        more = {"kind": Kind(fields["kind"]), "reason": fields.get("reason", "")}
        operation = Operation(id=0, opened_at=self._clock.now(), **{**fields, **more})
        return operation_body(operation, name or generated_name(f"{fields['kind'].lower()}-"))

    async def _check(self, fields: Mapping[str, Any], name: str) -> None:
        """What it is about must exist. Raises ApiError (422)."""
        cluster = fields["cluster"]
        if not cluster:
            return
        _, found = await self._objects.objects(HACLUSTERS.plural, cluster)
        causes = list(_unknown(fields, found[0]["spec"])) if found else [
            Cause("spec.cluster", f"there is no cluster {shown(cluster)}", "FieldValueNotFound")
        ]  # fmt: skip
        if causes:
            raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, causes)


def _unknown(fields: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Cause]:
    """Groups, nodes and resources the cluster does not have."""
    groups = [group["name"] for group in spec["groups"]]
    nodes = [node["name"] for node in spec["nodes"]]
    resources = [storage["name"] for group in spec["groups"] for storage in group.get("storage") or ()]
    for field, known in (("group", groups), ("node", nodes), ("resource", resources)):
        one = fields.get(field)
        if one and one not in known:
            meant = closest(one, known)
            hint = f"did you mean {meant}?" if meant else f"it has {', '.join(known) or 'none'}"
            message = f"{fields['cluster']} has no {field} {shown(one)}; {hint}"
            yield Cause(f"spec.{field}", message, "FieldValueNotFound")


def cluster_of(body: Any) -> str:
    """The cluster an operation is about, for the history; empty: none, or nobody knows."""
    spec = body.get("spec") if isinstance(body, dict) else None
    name = spec.get("cluster") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""
