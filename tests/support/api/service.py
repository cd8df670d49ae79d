"""The API without HTTP, for tests: a service on a record in memory, asked in few words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.memory import memory_record
from hactl.api.request.wire import Identity, Request, Response, Role
from hactl.api.service import Service
from hactl.ports import Clock

CLUSTERS = "/apis/hactl.dev/v1alpha1/namespaces/default/haclusters"
OPERATIONS = "/apis/hactl.dev/v1alpha1/namespaces/default/haoperations"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
EVENTS = "/api/v1/namespaces/default/events"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
ROLES: tuple[Role, ...] = get_args(Role)
EXAMPLE = Path(__file__).resolve().parents[3] / "manifests" / "examples" / "nas.yaml"


def document(name: str = "nas", **metadata: Any) -> dict[str, Any]:
    """The example of a storage pair under another name."""
    found: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(EXAMPLE)))
    found["metadata"] = {"name": name, **metadata}
    return found


def lease(name: str, holder: str = "me", **metadata: Any) -> dict[str, Any]:
    """A small object."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, **metadata},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    }


class Asking:
    """Somebody with a role."""

    def __init__(self, service: Service, store: Any, role: Role | None = "admin", actor: str = "ada@here") -> None:
        """Over the Unix socket, as far as the service can tell."""
        self.service = service
        self.store = store
        self.identity = Identity(actor, role, "unix")

    def as_role(self, role: Role | None, actor: str = "bob@there") -> Asking:
        """Somebody else."""
        return Asking(self.service, self.store, role, actor)

    async def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "", accept: str = "", **query: str
    ) -> Response:
        """Any request; a body that is no bytes is sent as JSON."""
        headers = {"user-agent": "tests/1"}
        if body is not None:
            headers["content-type"] = kind or "application/json"
        if accept:
            headers["accept"] = accept
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = {name.removesuffix("_"): value for name, value in query.items()}
        return await self.service.handle(Request(method, path, self.identity, asked, headers, content))

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of an answer that must be good."""
        response = await self.ask(method, path, body, **more)
        assert response.status < 300, response.body
        return response.body

    async def refused(self, code: int, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The Status of a request that must be refused with that code."""
        response = await self.ask(method, path, body, **more)
        assert response.status == code, (response.status, response.body)
        assert response.body["kind"] == "Status"
        assert response.body["code"] == code
        return response.body

    async def names(self, path: str, **query: str) -> list[str]:
        """Names of a list."""
        return [item["metadata"]["name"] for item in (await self.ok("GET", path, **query))["items"]]

    async def watch(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """The events of a watch, to be taken with `taken`."""
        response = await self.ask("GET", path, watch="true", **query)
        assert response.status == 200, response.body
        assert response.stream is not None
        return response.stream


async def taken(stream: AsyncIterator[Mapping[str, Any]], count: int) -> list[tuple[str, Any]]:
    """The next events of a watch: (type, name or reason)."""
    found: list[tuple[str, Any]] = []
    while len(found) < count:
        event = await anext(stream)
        found.append((event["type"], event["object"].get("metadata", {}).get("name") or event["object"].get("reason")))
    return found


@asynccontextmanager
async def asking(store: Any = None, clock: Clock | None = None) -> AsyncIterator[Asking]:
    """An admin who asks a service on an empty record in memory."""
    clock = clock or SystemClock()
    store = store or memory_record(clock=clock)
    service = Service(store, store, clock=clock, secrets_directory="/var/db/hactl/secrets")
    try:
        yield Asking(service, store)
    finally:
        await service.close()
