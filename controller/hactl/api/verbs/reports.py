"""Taking what another controller tells: the status of a cluster that it looks after, and its events.

- Only of clusters whose `spec.managedBy` names another controller than the one here, which knows better of all others.
- A status takes the place of the one before as a whole; the rest of the object stays, whatever the body says.
- Statuses and events are the history themselves: that they were written is not recorded once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from hactl.api.cache import Feed
from hactl.api.request.metadata import check_place, check_versions, given_metadata, must_name_version, name_for, settled
from hactl.api.request.paths import ResourcePath
from hactl.api.request.payload import APPLY_PATCH, an_object, flag, is_dry_run, media_type, read_object, read_yaml
from hactl.api.request.told import check_event, check_status
from hactl.api.request.wire import Request
from hactl.api.verbs.admission import check_lengths, reshaped, schema_of
from hactl.api.verbs.patching import change_of
from hactl.api.verbs.writes import Overtaken, manager_of, retried
from hactl.api.verbs.written import Body, Written
from hactl.api.workers import Lane
from hactl.core.catalogue import EventKind
from hactl.core.kube.apply.server_side_apply import applied, updated
from hactl.core.kube.codec import time_text, told_event
from hactl.core.kube.errors import already_exists, bad_request, conflict, forbidden, not_found
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, is_elsewhere
from hactl.errors import NoSuchObject, StaleRevision
from hactl.ports import Clock, History, Objects


class Reports:
    """Writes the status subresource, and events."""

    def __init__(
        self,
        objects: Objects,
        history: History,
        clock: Clock,
        lane: Lane,
        events: Callable[[], Awaitable[Feed]],
        *,
        managed_by: str | None,
    ) -> None:
        """`events`: the cache of them, up to date. `managed_by`: the name of the controller here; None: whoever works
        on this record, of whose clusters nobody else tells.
        """
        self._objects = objects
        self._history = history
        self._clock = clock
        self._lane = lane
        self._events = events
        self._managed_by = managed_by

    # -- statuses ---------------------------------------------------------------------------------------------------

    async def update(self, path: ResourcePath, request: Request) -> Written:
        """PUT. Raises ApiError."""
        # Whether anybody may is said before anything of the body is.
        await self._other_ones(path.name)

        def read() -> Body:
            return read_object(request.body, request.headers, HACLUSTERS, path.name)

        body = await self._lane.run(request.identity.actor, read)
        if given_metadata(body).get("resourceVersion") in (None, "", "0"):
            raise must_name_version(HACLUSTERS, path.name)

        def whole(_: Mapping[str, Any]) -> Body:
            return body

        return await self._changed(path, request, whole, named=True)

    async def patch(self, path: ResourcePath, request: Request) -> Written:
        """PATCH: merge patch, JSON patch or server-side apply. Raises ApiError."""
        schema = schema_of(HACLUSTERS)
        await self._other_ones(path.name)
        if media_type(request.headers) != APPLY_PATCH:
            make = await change_of(request, HACLUSTERS, schema, self._lane)
            return await retried(lambda: self._changed(path, request, make))
        given = await self._lane.run(
            request.identity.actor, lambda: an_object(read_yaml(request.body, HACLUSTERS, path.name), HACLUSTERS)
        )
        check_lengths(HACLUSTERS, given)
        if not request.query.get("fieldManager"):
            raise bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: is required for apply patch")
        make = partial(
            applied,
            wanted={**given, "metadata": {**given_metadata(given), "name": path.name}},
            manager=manager_of(request),
            force=flag(request.query, "force"),
            schema=schema,
            now=time_text(self._clock.now()),
            subresource="status",
        )
        return await retried(lambda: self._changed(path, request, make, owned=True))

    async def _changed(
        self,
        path: ResourcePath,
        request: Request,
        make: Callable[[Mapping[str, Any]], Any],
        *,
        named: bool = False,
        owned: bool = False,
    ) -> Written:
        """`named`: the state that is replaced is said. `owned`: what `make` gives says whose the fields are."""
        name = path.name
        before = await self._other_ones(name)

        def made() -> Body:
            found = reshaped(HACLUSTERS, make(before))
            check_lengths(HACLUSTERS, found)
            metadata = given_metadata(found)
            check_place(metadata, before["metadata"].get("namespace"), name)
            check_versions(HACLUSTERS, metadata, before["metadata"], name)
            after = {**before, "status": check_status(found.get("status"), name)}
            if owned:
                return {**after, "metadata": {**before["metadata"], "managedFields": metadata.get("managedFields")}}
            return updated(
                before,
                after,
                manager=manager_of(request),
                subresource="status",
                schema=schema_of(HACLUSTERS),
                now=time_text(self._clock.now()),
            )

        after = await self._lane.run(request.identity.actor, made)
        if after == before or is_dry_run(None, request.query):
            return Written(after, 200, changed=False)
        try:
            stored = await self._objects.update_status(after, expected=int(before["metadata"]["resourceVersion"]))
        except StaleRevision:
            if named:
                raise conflict(HACLUSTERS.group, HACLUSTERS.plural, name) from None
            raise Overtaken(HACLUSTERS, name) from None
        except NoSuchObject:
            raise not_found(HACLUSTERS.group, HACLUSTERS.plural, name) from None
        return Written(stored, 200, changed=True)

    async def _other_ones(self, name: str) -> Body:
        """The cluster, which another controller looks after. Raises ApiError: 403, 404."""
        _, found = await self._objects.objects(HACLUSTERS.plural, name)
        if not found:
            raise not_found(HACLUSTERS.group, HACLUSTERS.plural, name)
        if self._managed_by is None or not is_elsewhere(found[0], self._managed_by):
            message = (
                "its status and its events are written by the controller here, from what it sees on the nodes; another "
                "one may where spec.managedBy names that (hactl run --managed-by NAME)"
            )
            raise forbidden(HACLUSTERS.group, HACLUSTERS.plural, name, message)
        return found[0]

    # -- events -----------------------------------------------------------------------------------------------------

    async def event(self, path: ResourcePath, request: Request) -> Written:
        """POST of an Event. Raises ApiError."""

        def read() -> tuple[Body, str, str]:
            body = read_object(request.body, request.headers, EVENTS)
            metadata = given_metadata(body)
            check_place(metadata, path.namespace, "")
            name = name_for(EVENTS, metadata)
            settled(EVENTS, metadata, name, None)
            return body, name, check_event(body, name)

        body, name, cluster = await self._lane.run(request.identity.actor, read)
        await self._other_ones(cluster)
        if name in (await self._events()).state(EVENTS.plural):
            raise already_exists(EVENTS.group, EVENTS.plural, name)
        message, node, detail = told_event(body, name)
        if is_dry_run(None, request.query):
            return Written(body, 201, changed=False)
        await self._history.record(EventKind.TOLD, cluster, message, node=node, detail=detail)
        made = (await self._events()).state(EVENTS.plural).get(name)
        return Written(made if made is not None else body, 201, changed=True)
