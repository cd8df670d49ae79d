"""HAClusters of a Kubernetes-style API as documents: another hactl, or a real API server that has the CRD of `crds/`.

List once, then watch from there; a watch that ends is resumed where it was, one that the server no longer has (410) or
that breaks twice is begun anew with a list. While the API does not answer, the last known documents stay in force. Of
several controllers only the one that holds the lease acts, and writes status and events back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hactl.adapters.kubernetes.client import KubeClient, KubeError
from hactl.adapters.kubernetes.kubeconfig import KubeAccess
from hactl.adapters.kubernetes.lease import Election
from hactl.adapters.sources.collection import Collection
from hactl.adapters.sources.text import Origin, object_document
from hactl.adapters.yaml.documents import FileContent
from hactl.core.document.problems import printable
from hactl.core.kube.codec import document_data, event_body, status_view
from hactl.core.kube.kinds import HACLUSTERS
from hactl.ports import Clock, SourceState

log = logging.getLogger("hactl.adapters.k8s")

PAGE = 500
#: The name of the lease of controllers without a name; of others it begins with this.
LEASE = "hactl"
WATCH_SECONDS = 180
RETRY_SECONDS = 1.0
RETRY_LIMIT_SECONDS = 60.0
#: A watch that breaks so often without an event in between is given up; a list says what is the matter.
RESUMES = 2
#: The server does not take events from us: another hactl makes its own, or we may not.
_NO_EVENTS = (403, 404, 405)


@dataclass(frozen=True, slots=True)
class _Held:
    """One object: its document, and the revision that made it so (a change of its status alone does not count)."""

    data: Mapping[str, Any]
    content: FileContent
    uid: str
    generation: int | None


class KubeSource:
    """`hactl.ports.Source` and `hactl.runtime.leadership.SharedSource` over one namespace of an API server."""

    def __init__(
        self,
        label: str,
        access: Callable[[], KubeAccess],
        clock: Clock,
        *,
        secrets_directory: Path,
        identity: str = "",
        managed_by: str = "",
        watch_seconds: int = WATCH_SECONDS,
    ) -> None:
        """`label` is how the source is written on the command line; references start in `secrets_directory`.

        `managed_by`: the name for which we lead (`spec.managedBy`); each name has a lease of its own.
        """
        self._label = label
        self._clock = clock
        self._secrets = str(secrets_directory)
        self._client = KubeClient(access)
        identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        lease = f"{LEASE}-{managed_by}" if managed_by else LEASE
        self._election = Election(self._client, clock, identity=identity, name=lease)
        self._watch_seconds = watch_seconds
        self._lock = asyncio.Lock()
        self._held: dict[str, _Held] = {}
        self._version = ""
        #: The list is as new as the watch: nothing was missed.
        self._fresh = False
        self._failures = 0
        #: What the server does not take: another hactl writes statuses and events of its own.
        self._declined: set[str] = set()

    # -- documents ------------------------------------------------------------------------------------------------

    async def read(self) -> SourceState:
        """What the watch has brought; a list first, where that is not whole. Never raises for what the server does."""
        async with self._lock:
            if not self._fresh:
                try:
                    await self._list()
                except KubeError as error:
                    return SourceState({}, (), down=str(error))
            return self._state()

    async def changes(self) -> AsyncIterator[None]:
        """Yields when a document changed, or when the list has to be made anew."""
        while True:
            if not self._fresh:
                await self._clock.sleep(self._pause())
                self._failures += 1
                if not self._fresh:
                    yield None
                continue
            broken, began = "", self._clock.monotonic()
            try:
                events = self._watch()
                async with aclosing(events):
                    async for event in events:
                        self._failures = 0
                        if self._apply(event):
                            yield None
            except KubeError as error:
                broken = str(error)
                if error.status == 410 or self._failures >= RESUMES:
                    self._fresh = False
            if not broken and self._clock.monotonic() - began < RETRY_SECONDS:
                broken = "it ended at once"
            if broken:
                log.info("a watch broke", extra={"source": self._label, "why": broken, "lists": not self._fresh})
                await self._clock.sleep(self._pause())
                self._failures += 1

    def _pause(self) -> float:
        return min(RETRY_SECONDS * 2.0 ** min(self._failures, 10), RETRY_LIMIT_SECONDS)

    async def _path(self) -> str:
        return f"{HACLUSTERS.prefix}/namespaces/{await self._client.namespace()}/{HACLUSTERS.plural}"

    async def _list(self) -> None:
        """Everything there is now, page by page. Raises KubeError."""
        path = await self._path()
        bodies: list[Mapping[str, Any]] = []
        query = {"limit": str(PAGE)}
        for _ in range(2):
            try:
                while True:
                    page = await self._client.request("GET", path, query=query)
                    bodies += [body for body in page.get("items") or () if isinstance(body, dict)]
                    metadata = page.get("metadata") or {}
                    if not metadata.get("continue"):
                        break
                    query = {"limit": str(PAGE), "continue": str(metadata["continue"])}
            except KubeError as error:
                # The pages are of one moment, and the server keeps that for some minutes only.
                if error.status != 410 or "continue" not in query:
                    raise
                bodies, query = [], {}
                continue
            break
        held = {}
        for body in bodies:
            name = _name(body)
            held[name] = self._take(body, self._held.get(name))
        self._held, self._version, self._fresh = held, str(metadata.get("resourceVersion") or ""), True
        self._failures = 0

    async def _watch(self) -> AsyncGenerator[Mapping[str, Any], None]:
        path = await self._path()
        events = self._client.watch(path, {"resourceVersion": self._version}, seconds=self._watch_seconds)
        async with aclosing(events):
            async for event in events:
                yield event

    def _apply(self, event: Mapping[str, Any]) -> bool:
        """Take in one event; whether a document changed."""
        body, kind = event["object"], event.get("type")
        version = str((body.get("metadata") or {}).get("resourceVersion") or "")
        self._version = version or self._version
        if kind == "BOOKMARK":
            return False
        name = _name(body)
        before = self._held.get(name)
        if kind == "DELETED":
            return self._held.pop(name, None) is not None
        self._held[name] = self._take(body, before)
        return before is None or before.content is not self._held[name].content

    def _take(self, body: Mapping[str, Any], before: _Held | None) -> _Held:
        """An object as it is now. What was read of it stays when nothing but its status changed."""
        metadata: Mapping[str, Any] = body.get("metadata") or {}
        data, uid, generation = document_data(body), str(metadata.get("uid") or ""), metadata.get("generation")
        if before is not None and (before.data, before.uid) == (data, uid):
            return _Held(data, before.content, uid, generation)
        author, at = _author(metadata)
        origin = Origin(printable(str(metadata.get("resourceVersion") or "")), author, at)
        source = f"{self._label}#{printable(_name(body))}"
        return _Held(
            data, object_document(body, source=source, directory=self._secrets, origin=origin), uid, generation
        )

    def _state(self) -> SourceState:
        collection = Collection()
        for held in self._held.values():
            collection.add(held.content)
        return collection.state(certain=True)

    # -- the lead and what is told --------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """See `hactl.runtime.leadership.SharedSource`."""
        return self._election.leads

    @property
    def leader(self) -> str:
        """See `hactl.runtime.leadership.SharedSource`."""
        return self._election.leader

    async def campaign(self, changed: Callable[[], None]) -> None:
        """See `hactl.runtime.leadership.SharedSource`."""
        await self._election.campaign(changed)

    async def close(self) -> None:
        """See `hactl.runtime.leadership.SharedSource`."""
        await self._client.close()

    async def report(self, cluster: str, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
        """See `hactl.runtime.leadership.SharedSource`: the status subresource, and core/v1 events."""
        held = self._held.get(cluster)
        if held is None:
            return
        path = f"{await self._path()}/{cluster}/status"
        # `add` replaces a member that is there as a whole; a merge would leave what is no longer said.
        patch = [{"op": "add", "path": "/status", "value": observed(status_view(status), status, held.generation)}]
        try:
            await self._client.request("PATCH", path, body=patch, content_type="application/json-patch+json")
        except KubeError as error:
            if error.status == 404:
                # Deleted meanwhile; the watch will say so.
                return
            if error.status != 405:
                raise
            self._decline("statuses", error)
        for row in events:
            if "events" not in self._declined:
                await self._post_event(row, held.uid)

    def _decline(self, what: str, error: KubeError) -> None:
        """The server does not take that from us: said once."""
        if what not in self._declined:
            self._declined.add(what)
            log.info(f"the API takes no {what} of ours", extra={"source": self._label, "why": str(error)})

    async def _post_event(self, row: Mapping[str, Any], uid: str) -> None:
        namespace = await self._client.namespace()
        body = dict(event_body({"revision": 0, **row}, uid))
        # The number of a row is unique in one record only, and several controllers tell here.
        moment = int(datetime.fromisoformat(row["at"]).timestamp() * 1000)
        name = f"{row['cluster']}.{row['id']:x}.{moment:x}"
        body["metadata"] = {"name": name, "namespace": namespace}
        body["involvedObject"] = {**body["involvedObject"], "namespace": namespace}
        try:
            await self._client.request("POST", f"/api/v1/namespaces/{namespace}/events", body=body)
        except KubeError as error:
            if error.status in _NO_EVENTS:
                self._decline("events", error)
            elif error.status != 409:
                raise


def observed(view: dict[str, Any], status: Mapping[str, Any], generation: int | None) -> dict[str, Any]:
    """A status with the generations of the API's object instead of those of our record."""
    newest = status.get("generation")

    def of(entry: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in entry.items() if key != "observedGeneration"}
        known = generation is not None and entry.get("observedGeneration") == newest
        return {**kept, "observedGeneration": generation} if known else kept

    return {**of(view), "conditions": [of(condition) for condition in view.get("conditions", ())]}


def _name(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""


def _author(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """(the field manager that wrote last, when); the API keeps no users."""
    newest = ("", str(metadata.get("creationTimestamp") or ""))
    for entry in metadata.get("managedFields") or ():
        if isinstance(entry, Mapping) and not entry.get("subresource"):
            at = str(entry.get("time") or "")
            if at >= newest[1]:
                newest = (printable(str(entry.get("manager") or "")), at)
    return newest[0], printable(newest[1])
