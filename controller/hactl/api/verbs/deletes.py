"""Deleting: one object or every selected one, with preconditions, finalizers and dry runs.

`propagationPolicy` is accepted and changes nothing: nothing hactl serves has dependents. Deleting a cluster means that
hactl no longer manages it; nothing is torn down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hactl.api.request.metadata import given_metadata
from hactl.api.request.paths import ResourcePath
from hactl.api.request.payload import JSON, YAML, is_dry_run, media_type, read_json, read_yaml, to_number
from hactl.api.request.wire import Request
from hactl.api.verbs.writes import Writer
from hactl.api.verbs.written import Body, Written
from hactl.api.workers import Lane
from hactl.core.kube.codec import time_text
from hactl.core.kube.errors import ApiError, bad_request, conflict, not_found, success, unsupported_media_type
from hactl.core.kube.kinds import Resource
from hactl.errors import NoSuchObject, StaleRevision
from hactl.ports import Clock, Objects

_POLICIES = ("Background", "Foreground", "Orphan")
_TRIES = 5


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """As far as they matter."""

    dry: bool = False
    uid: str | None = None
    revision: int | None = None


def delete_options(request: Request, resource: Resource) -> DeleteOptions:
    """What the body and the query ask for. Raises ApiError (400, 415)."""
    body: Any = {}
    if request.body.strip():
        kind = media_type(request.headers)
        if kind not in (JSON, YAML):
            raise unsupported_media_type(kind, (JSON, YAML))
        body = read_json(request.body) if kind == JSON else read_yaml(request.body, resource, "")
    if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request("the body of a deletion is DeleteOptions")
    policy = body.get("propagationPolicy") or request.query.get("propagationPolicy") or "Background"
    if policy not in _POLICIES:
        raise bad_request(f"propagationPolicy: Unsupported value: supported values: {', '.join(_POLICIES)}")
    if body.get("orphanDependents") is not None and body.get("propagationPolicy"):
        raise bad_request("orphanDependents and propagationPolicy cannot both be set")
    wanted = body.get("preconditions") or {}
    if not isinstance(wanted, dict):
        raise bad_request("preconditions: expected a mapping")
    uid, version = wanted.get("uid"), wanted.get("resourceVersion")
    if uid is not None and not isinstance(uid, str):
        raise bad_request("preconditions.uid: expected text")
    revision = None if version is None else to_number(version, "preconditions.resourceVersion")
    return DeleteOptions(is_dry_run(body.get("dryRun"), request.query), uid, revision)


class Deleter:
    """Deletes stored objects."""

    def __init__(self, objects: Objects, clock: Clock, writer: Writer, lane: Lane) -> None:
        """`writer` knows what may be changed; what takes long is done in `lane`."""
        self._lane = lane
        self._objects = objects
        self._clock = clock
        self._writer = writer

    async def delete(self, path: ResourcePath, request: Request) -> Written:
        """DELETE of one object: Success, or the object while finalizers hold it. Raises ApiError."""
        options = await self._options(path, request)
        return await self._delete(path.resource, path.name, options, request)

    async def delete_each(
        self, path: ResourcePath, request: Request, chosen: list[Mapping[str, Any]]
    ) -> tuple[list[Body], list[str]]:
        """DELETE of a collection: what was (or will be) deleted, and the names. Raises ApiError, then for all."""
        options = await self._options(path, request)
        for body in chosen:
            await self._writer.check_origin(path.resource, body["metadata"]["name"])
        deleted: list[Body] = []
        changed: list[str] = []
        for body in chosen:
            name = body["metadata"]["name"]
            one = DeleteOptions(options.dry, body["metadata"]["uid"], None)
            try:
                done = await self._delete(path.resource, name, one, request)
            except ApiError as refused:
                if refused.code in (404, 409):
                    # Somebody else deleted it, or made another one of that name: not what was chosen.
                    continue
                raise
            deleted.append(body)
            changed += [name] if done.changed else []
        return deleted, changed

    async def _options(self, path: ResourcePath, request: Request) -> DeleteOptions:
        return await self._lane.run(request.identity.actor, lambda: delete_options(request, path.resource))

    async def _delete(self, resource: Resource, name: str, options: DeleteOptions, request: Request) -> Written:
        for _ in range(_TRIES):
            before = await self._writer.current(resource, name)
            metadata = before["metadata"]
            self._check(resource, name, options, metadata)
            await self._writer.check_origin(resource, name, deleting=True)
            held = bool(given_metadata(before).get("finalizers"))
            if held and "deletionTimestamp" in metadata:
                return Written(before, 200, changed=False)
            if options.dry:
                return Written(before if held else _done(resource, metadata), 200, changed=False)
            expected = int(metadata["resourceVersion"])
            try:
                if held:
                    return Written(await self._mark(resource, before, expected, request), 200, changed=True)
                gone = await self._objects.delete_object(
                    resource.plural, name, actor=request.identity.actor, expected=expected
                )
            except StaleRevision:
                continue
            except NoSuchObject:
                raise not_found(resource.group, resource.plural, name) from None
            return Written(_done(resource, gone["metadata"]), 200, changed=True, about=gone)
        raise conflict(resource.group, resource.plural, name)

    def _check(self, resource: Resource, name: str, options: DeleteOptions, metadata: Mapping[str, Any]) -> None:
        if options.uid is not None and options.uid != metadata["uid"]:
            why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {metadata['uid']}"
            raise conflict(resource.group, resource.plural, name, why)
        if options.revision is not None and options.revision != int(metadata["resourceVersion"]):
            why = (
                f"Precondition failed: ResourceVersion in precondition: {options.revision}, "
                f"ResourceVersion in object meta: {metadata['resourceVersion']}"
            )
            raise conflict(resource.group, resource.plural, name, why)

    async def _mark(self, resource: Resource, before: Body, expected: int, request: Request) -> Body:
        """Finalizers hold it: it is marked, and deleted when the last one is taken away."""
        marked = {"deletionTimestamp": time_text(self._clock.now()), "deletionGracePeriodSeconds": 0}
        after = {**before, "metadata": {**before["metadata"], **marked}}
        return await self._writer.put(resource, after, expected=expected, request=request)


def _done(resource: Resource, metadata: Mapping[str, Any]) -> Body:
    return success(
        {
            "name": metadata["name"],
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.plural,
            "uid": metadata["uid"],
        }
    )
