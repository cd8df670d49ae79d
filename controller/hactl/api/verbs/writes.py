"""Writing objects: create, update, patch, server-side apply.

- A write says which state it replaces; one that does not (a patch) is done again on the newest state when somebody else
  was faster, a few times.
- What takes long (reading, patching, whose fields they are, checking) is done in a lane where each client has its turn.
- Nothing is written when nothing differs, and nothing at all in a dry run.
- Objects that come from another source than the API are read-only here: two owners would undo each other's changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from hactl.adapters.yaml.nodes import MAX_VALUES
from hactl.api.request.metadata import check_place, check_versions, given_metadata, must_name_version, name_for, settled
from hactl.api.request.paths import ResourcePath
from hactl.api.request.payload import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    an_object,
    flag,
    is_dry_run,
    media_type,
    read_json,
    read_object,
    read_yaml,
    strictness,
)
from hactl.api.request.wire import Request
from hactl.api.verbs.admission import Admitted, admit, check_lengths, references_start, reshaped, schema_of
from hactl.api.verbs.operations import OperationMaker
from hactl.api.verbs.written import Body, Written
from hactl.api.workers import Lane
from hactl.core.kube.apply.server_side_apply import applied, updated
from hactl.core.kube.codec import time_text
from hactl.core.kube.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    unsupported_media_type,
)
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS, Resource
from hactl.core.kube.patches import json_patch, merge_patch
from hactl.core.kube.strategic_merge import strategic_merge_patch
from hactl.errors import AlreadyExists, NoSuchObject, StaleRevision
from hactl.ports import FILES_ORIGIN, Clock, Objects

#: How often a write that names no state is done again because somebody else was faster.
TRIES = 5
_MAX_MANAGER = 128


class Writer:
    """Creates and changes stored objects."""

    def __init__(self, objects: Objects, clock: Clock, lane: Lane, *, secrets_directory: str) -> None:
        """What takes long is done in `lane`. References of documents start from `secrets_directory`."""
        self._lane = lane
        self._objects = objects
        self._clock = clock
        self._directory = secrets_directory
        self._operations = OperationMaker(objects, clock)

    # -- requests ---------------------------------------------------------------------------------------------------

    async def create(self, path: ResourcePath, request: Request) -> Written:
        """POST. Raises ApiError."""
        resource = path.resource

        def made() -> tuple[str, Body]:
            body = self._read(resource, request)
            metadata = given_metadata(body)
            check_place(metadata, path.namespace, "")
            if metadata.get("resourceVersion") not in (None, ""):
                raise bad_request("resourceVersion should not be set on objects to be created")
            # An operation that nobody named gets a name by its number.
            unnamed = resource == HAOPERATIONS and not (metadata.get("name") or metadata.get("generateName"))
            name = "" if unnamed else name_for(resource, metadata)
            settling = {**body, "metadata": settled(resource, metadata, name, None)}
            return name, self._owned(resource, None, settling, request)

        name, body = await self._lane.run(request.identity.actor, made)
        return await self._create(resource, name, body, request)

    async def update(self, path: ResourcePath, request: Request) -> Written:
        """PUT. Raises ApiError."""
        resource, name = path.resource, path.name
        who = request.identity.actor
        body = await self._lane.run(who, lambda: self._read(resource, request, name))
        metadata = given_metadata(body)
        check_place(metadata, path.namespace, name)
        before = await self.current(resource, name)
        if not check_versions(resource, metadata, before["metadata"], name):
            raise must_name_version(resource, name)

        def made() -> Body:
            after = {**body, "metadata": settled(resource, metadata, name, before["metadata"])}
            return self._owned(resource, before, after, request)

        return await self._store(resource, name, before, await self._lane.run(who, made), request)

    def _read(self, resource: Resource, request: Request, name: str = "") -> dict[str, Any]:
        """The object that was sent, of lengths that can be worked with. Raises ApiError."""
        body = read_object(request.body, request.headers, resource, name)
        check_lengths(resource, body)
        return body

    async def patch(self, path: ResourcePath, request: Request) -> Written:
        """PATCH: merge patch, JSON patch, strategic merge patch or server-side apply. Raises ApiError."""
        resource, name = path.resource, path.name
        kind, who = media_type(request.headers), request.identity.actor
        if kind == APPLY_PATCH:
            return await self._retried(lambda: self._apply(path, request))
        if "force" in request.query and flag(request.query, "force"):
            cause = Cause("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden")
            raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        make: Callable[[Body], Any]
        if kind == MERGE_PATCH:
            change = await self._lane.run(who, lambda: read_json(request.body))
            make = lambda body: merge_patch(body, change)  # noqa: E731
        elif kind == JSON_PATCH:
            # The patch has limits of its own.
            operations = await self._lane.run(who, lambda: read_json(request.body, max_values=10 * MAX_VALUES))
            make = lambda body: json_patch(body, operations)  # noqa: E731
        elif kind == STRATEGIC_PATCH and not resource.is_custom:
            change = await self._lane.run(who, lambda: read_json(request.body))
            make = lambda body: strategic_merge_patch(body, change, schema_of(resource))  # noqa: E731
        else:
            more = () if resource.is_custom else (STRATEGIC_PATCH,)
            raise unsupported_media_type(kind, (JSON_PATCH, MERGE_PATCH, APPLY_PATCH, *more))
        return await self._retried(lambda: self._patch(resource, name, make, request))

    async def _retried(self, attempt: Callable[[], Any]) -> Written:
        """Do it again on the newest state as long as others are faster."""
        for _ in range(TRIES - 1):
            try:
                done: Written = await attempt()
            except _Overtaken:
                continue
            return done
        last: Written = await attempt()
        return last

    async def _patch(self, resource: Resource, name: str, make: Callable[[Body], Any], request: Request) -> Written:
        before = await self.current(resource, name)

        def patched() -> tuple[Body, bool]:
            made = reshaped(resource, make(before))
            check_lengths(resource, made)
            metadata = given_metadata(made)
            check_place(metadata, before["metadata"].get("namespace"), name)
            differs = metadata.get("resourceVersion") != before["metadata"]["resourceVersion"]
            named = check_versions(resource, metadata, before["metadata"], name) and differs
            after = {**made, "metadata": settled(resource, metadata, name, before["metadata"])}
            return self._owned(resource, before, after, request), named

        owned, named = await self._lane.run(request.identity.actor, patched)
        return await self._store(resource, name, before, owned, request, retry=not named)

    async def _apply(self, path: ResourcePath, request: Request) -> Written:
        """Server-side apply: the whole of what one manager wants; creates what is not there."""
        resource, name = path.resource, path.name
        who = request.identity.actor
        given = await self._lane.run(who, lambda: an_object(read_yaml(request.body, resource, name), resource))
        check_lengths(resource, given)
        metadata = given_metadata(given)
        check_place(metadata, path.namespace, name)
        if not request.query.get("fieldManager"):
            raise bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: is required for apply patch")
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        before = await self.current_or_none(resource, name)
        named = metadata.get("resourceVersion") not in (None, "", "0")
        if before is not None and named:
            check_versions(resource, metadata, before["metadata"], name)
        if before is None and named:
            raise not_found(resource.group, resource.plural, name)
        wanted = {
            **{key: value for key, value in given.items() if key != "status"},
            "metadata": {key: value for key, value in metadata.items() if key not in ("resourceVersion", "uid")}
            | {"name": name},
        }

        def made() -> dict[str, Any]:
            found = applied(
                before,
                wanted,
                manager=self._manager(request),
                force=flag(request.query, "force"),
                schema=schema_of(resource),
                now=time_text(self._clock.now()),
            )
            kept = found["metadata"].get("managedFields")
            settling = settled(resource, found["metadata"], name, before and before["metadata"])
            return {**found, "metadata": {**settling, "managedFields": kept}}

        after = await self._lane.run(who, made)
        if before is None:
            try:
                return await self._create(resource, name, after, request)
            except ApiError as refusal:
                if refusal.reason == "AlreadyExists":
                    raise _Overtaken(resource, name) from None
                raise
        return await self._store(resource, name, before, after, request, retry=not named)

    # -- storing ----------------------------------------------------------------------------------------------------

    async def _admit(self, resource: Resource, body: Body, request: Request, before: Body | None) -> Admitted:
        check = partial(
            admit,
            resource,
            body,
            directory=self._directory,
            strictness=strictness(request.query),
            before=before,
            local=_is_local(request),
        )
        return await self._lane.run(request.identity.actor, check)

    async def _create(self, resource: Resource, name: str, body: Body, request: Request) -> Written:
        dry = is_dry_run(None, request.query)
        if resource == HAOPERATIONS:
            return await self._operations.make(name, body, actor=request.identity.actor, dry=dry)
        admitted = await self._admit(resource, body, request, None)
        if await self.current_or_none(resource, name) is not None:
            raise already_exists(resource.group, resource.plural, name)
        if dry:
            ours = {
                "uid": str(uuid.uuid4()),
                "creationTimestamp": time_text(self._clock.now()),
                **({"generation": 1} if resource == HACLUSTERS else {}),
            }
            made = {**_without_status(admitted.body), "metadata": {**admitted.body["metadata"], **ours}}
            return Written(made, 201, changed=False, warnings=admitted.warnings)
        try:
            stored = await self._objects.create_object(
                resource.plural,
                _without_status(admitted.body),
                actor=request.identity.actor,
                document=admitted.document,
            )
        except AlreadyExists:
            raise already_exists(resource.group, resource.plural, name) from None
        return Written(stored, 201, changed=True, warnings=admitted.warnings)

    async def _store(
        self, resource: Resource, name: str, before: Body, after: Body, request: Request, *, retry: bool = False
    ) -> Written:
        dry = is_dry_run(None, request.query)
        # What a command on this machine handed in becomes the API's when such a command hands it in here.
        adopts = resource == HACLUSTERS and _is_local(request) and references_start(after) is not None
        await self.check_origin(resource, name, adopting=adopts, fields=_of_document(before, after))
        admitted = await self._admit(resource, after, request, before)
        status = {"status": before["status"]} if "status" in before else {}
        after = {**_without_status(admitted.body), **status}
        over = "deletionTimestamp" in before["metadata"] and not after["metadata"].get("finalizers")
        if after == before and not over:
            return Written(before, 200, changed=False, warnings=admitted.warnings)
        if dry:
            generation = before["metadata"].get("generation")
            if generation is not None and after.get("spec") != before.get("spec"):
                after = {**after, "metadata": {**after["metadata"], "generation": generation + 1}}
            return Written(after, 200, changed=False, warnings=admitted.warnings)
        expected = int(before["metadata"]["resourceVersion"])
        actor = request.identity.actor
        try:
            if over:
                # The last finalizer is gone: what was asked to be deleted is.
                gone = await self._objects.delete_object(resource.plural, name, actor=actor, expected=expected)
                return Written(gone, 200, changed=True)
            stored = await self._objects.update_object(
                resource.plural, after, expected=expected, actor=actor, document=admitted.document
            )
        except StaleRevision:
            raise (_Overtaken(resource, name) if retry else conflict(resource.group, resource.plural, name)) from None
        except NoSuchObject:
            raise not_found(resource.group, resource.plural, name) from None
        changed = stored["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
        return Written(stored, 200, changed=changed, warnings=admitted.warnings)

    # -- shared -----------------------------------------------------------------------------------------------------

    async def current(self, resource: Resource, name: str) -> Body:
        """The object as it is now. Raises ApiError (404)."""
        found = await self.current_or_none(resource, name)
        if found is None:
            raise not_found(resource.group, resource.plural, name)
        return found

    async def current_or_none(self, resource: Resource, name: str) -> Body | None:
        """The object as it is now, or None."""
        _, found = await self._objects.objects(resource.plural, name)
        return found[0] if found else None

    async def put(self, resource: Resource, after: Body, *, expected: int, request: Request) -> Body:
        """Store what differs in its metadata only. Raises StaleRevision; NoSuchObject."""
        document = (await self._admit(resource, after, request, after)).document
        actor = request.identity.actor
        return await self._objects.update_object(
            resource.plural, after, expected=expected, actor=actor, document=document
        )

    async def check_origin(
        self,
        resource: Resource,
        name: str,
        *,
        deleting: bool = False,
        adopting: bool = False,
        fields: tuple[str, ...] = (),
    ) -> None:
        """Raises ApiError (403) for a cluster whose document comes from elsewhere.

        `fields`: what is to be changed, where that is nothing but labels and annotations.
        """
        if resource != HACLUSTERS:
            return
        origin = await self._objects.origin(name)
        if not origin or (origin == FILES_ORIGIN and (deleting or adopting)):
            return
        message = f"{name} is kept by the source {origin}; change it there"
        if fields:
            # They are a part of the document: what is written here would be gone with its next revision.
            message = f"{name} is kept by the source {origin}; write {' and '.join(fields)} in its document there"
        if origin == FILES_ORIGIN:
            how = f"write {' and '.join(fields)} in its document and apply that" if fields else "apply it"
            message = f"{name} was handed in with `hactl apply` on the controller; {how} there, or delete it first"
        raise forbidden(resource.group, resource.plural, name, message)

    def _owned(self, resource: Resource, before: Body | None, after: Body, request: Request) -> Body:
        """With the record of who owns which field."""
        return updated(
            before,
            after,
            manager=self._manager(request),
            subresource="",
            schema=schema_of(resource),
            now=time_text(self._clock.now()),
        )

    def _manager(self, request: Request) -> str:
        """Who the fields belong to: as the client says, else the name of its program. Raises ApiError (400)."""
        name = request.query.get("fieldManager") or request.headers.get("user-agent", "").partition("/")[0] or "unknown"
        if len(name) > _MAX_MANAGER or not name.isprintable():
            raise bad_request("fieldManager: Invalid value: at most 128 printable characters")
        return name


class _Overtaken(ApiError):
    """Somebody else was faster; told as a conflict when it happens too often."""

    def __init__(self, resource: Resource, name: str) -> None:
        known = conflict(resource.group, resource.plural, name)
        super().__init__(known.code, known.reason, str(known), known.details)


def _is_local(request: Request) -> bool:
    """Whether who asks is on this machine: the owner of the Unix socket, or this very process."""
    return request.identity.origin in ("unix", "local")


def _of_document(before: Body, after: Body) -> tuple[str, ...]:
    """The fields of the document's metadata that differ; none where more than these does."""
    if before.get("spec") != after.get("spec"):
        return ()
    found = [name for name in ("labels", "annotations") if before["metadata"].get(name) != after["metadata"].get(name)]
    return tuple(f"metadata.{name}" for name in found)


def _without_status(body: Body) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "status"}
