"""Making operations: what people ask for, checked against the cluster it is about.

The rest is the controller's: it judges from the facts whether and when it is over. Deleting one cancels it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hactl.api.request.metadata import generated_name
from hactl.api.verbs.written import Body, Written
from hactl.core.choices import NodeAccess
from hactl.core.document.problems import closest, shown
from hactl.core.kube.codec import operation_body, operation_fields
from hactl.core.kube.errors import Cause, already_exists, conflict, invalid
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS, is_elsewhere, looked_after_by
from hactl.core.operations import Kind, Operation
from hactl.errors import AlreadyExists, Busy
from hactl.ports import Clock, Objects


class OperationMaker:
    """Makes haoperations."""

    def __init__(self, objects: Objects, clock: Clock, managed_by: str | None) -> None:
        """`objects`: where they are kept. `managed_by`: the name of the controller that will carry them out."""
        self._managed_by = managed_by
        self._objects = objects
        self._clock = clock

    async def make(self, name: str, body: Body, *, actor: str, dry: bool) -> Written:
        """A new one, of an object whose metadata are settled. Without a name the record gives one, e.g. `drain-7`.

        Raises ApiError (409: asked for already).
        """
        fields = operation_fields(body, name, actor=actor)
        await self._check(fields, name)
        metadata = {key: value for key, value in body["metadata"].items() if key != "name"}
        if dry:
            return Written(await self._as_if(fields, name, metadata), 201, changed=False)
        try:
            made = await self._objects.create_operation(fields, name=name, metadata=metadata)
        except AlreadyExists:
            raise already_exists(HAOPERATIONS.group, HAOPERATIONS.plural, name) from None
        except Busy as busy:
            raise conflict(HAOPERATIONS.group, HAOPERATIONS.plural, name, str(busy)) from None
        return Written(made, 201, changed=True)

    async def _as_if(self, fields: Mapping[str, Any], name: str, metadata: Body) -> Mapping[str, Any]:
        """What would be made."""
        if name and (await self._objects.objects(HAOPERATIONS.plural, name))[1]:
            raise already_exists(HAOPERATIONS.group, HAOPERATIONS.plural, name)
        more = {"kind": Kind(fields["kind"]), "reason": fields.get("reason", "")}
        operation = Operation(id=0, opened_at=self._clock.now(), **{**fields, **more})
        made = operation_body(operation, name or generated_name(f"{fields['kind'].lower()}-"))
        return {**made, "metadata": {**metadata, **made["metadata"]}}

    async def _check(self, fields: Mapping[str, Any], name: str) -> None:
        """What it is about must exist. Raises ApiError (422)."""
        cluster = fields["cluster"]
        if not cluster:
            return
        _, found = await self._objects.objects(HACLUSTERS.plural, cluster)
        causes = list(_unknown(fields, found[0]["spec"])) if found else [
            Cause("spec.cluster", f"there is no cluster {shown(cluster)}", "FieldValueNotFound")
        ]  # fmt: skip
        if found and is_elsewhere(found[0], self._managed_by):
            who = looked_after_by(found[0])
            causes = [Cause("spec.cluster", f"{who} looks after {cluster}, and does not hear of it here; ask there")]
        if causes:
            raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, causes)


def _unknown(fields: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Cause]:
    """Groups, nodes and resources the cluster does not have; a plan that hactl has no key to carry out."""
    if fields["kind"] == Kind.APPROVE and all(_only_looks(node) for node in spec["nodes"]):
        message = f"hactl's keys for the nodes of {fields['cluster']} only look (ssh.access: Observe): do it by hand"
        yield Cause("spec.type", message)
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


def _only_looks(node: Mapping[str, Any]) -> bool:
    return bool(node["ssh"].get("access") == NodeAccess.OBSERVE)


def cluster_of(body: Any) -> str:
    """The cluster an operation is about, for the history; empty: none, or nobody knows."""
    spec = body.get("spec") if isinstance(body, dict) else None
    name = spec.get("cluster") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""
