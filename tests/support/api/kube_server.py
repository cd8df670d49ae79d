"""A small Kubernetes API server for tests: haclusters with a watch log that can be compacted, leases, events."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import jsonpatch
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.limits import turns

GROUP = "/apis/hactl.dev/v1alpha1/namespaces/{ns}/haclusters"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"


class KubeServer:
    """Objects in one namespace; every write gets the next resourceVersion."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace
        self.version = 100
        self.oldest = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, str, dict[str, Any]]] = []
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.watches_from: list[str] = []
        #: Answer everything with this status.
        self.down = 0
        #: Answer these methods and path parts with a status.
        self.refuse: dict[tuple[str, str], int] = {}
        #: Requests about leases wait for this.
        self.lease_gate = asyncio.Event()
        self.lease_gate.set()
        self.page_limit = 1000
        self._news = asyncio.Condition()
        self._cut = asyncio.Event()
        app = web.Application(middlewares=[self._gate])
        app.router.add_get(GROUP, self._list)
        app.router.add_patch(GROUP + "/{name}/status", self._patch_status)
        app.router.add_post("/api/v1/namespaces/{ns}/events", self._post_event)
        app.router.add_post(LEASES, self._create_lease)
        app.router.add_get(LEASES + "/{name}", self._get_lease)
        app.router.add_put(LEASES + "/{name}", self._put_lease)
        self.server = TestServer(app)

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on loopback."""
        await self.server.start_server(ssl=context)

    async def stop(self) -> None:
        """Cut every watch and close."""
        self._cut.set()
        async with self._news:
            self._news.notify_all()
        await self.server.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.server.scheme}://127.0.0.1:{self.server.port}"

    def kubeconfig(self, path: Path, *, user: str = "{}", cluster: str = "") -> Path:
        """A kubeconfig for it."""
        path.write_text(
            f"apiVersion: v1\nkind: Config\ncurrent-context: test\n"
            f"contexts:\n- name: test\n  context: {{cluster: c, user: u, namespace: {self.namespace}}}\n"
            f"clusters:\n- name: c\n  cluster: {{server: '{self.url}'{cluster}}}\nusers:\n- name: u\n  user: {user}\n"
        )
        return path

    # -- what a test does ---------------------------------------------------------------------------------------------

    async def apply(self, text: str, *, name: str = "") -> dict[str, Any]:
        """What kubectl would do with a document, valid or not."""
        from ruamel.yaml import YAML

        body = YAML(typ="safe").load(text)
        name = name or body["metadata"]["name"]
        before = self.objects.get(name)
        old = before["metadata"] if before else {}
        changed = before is None or before["spec"] != body["spec"]
        body["metadata"] |= {
            "namespace": self.namespace,
            "uid": old.get("uid", f"uid-{name}-{self.version}"),
            "creationTimestamp": "2026-11-01T10:00:00Z",
            "generation": old.get("generation", 0) + changed,
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "time": "2026-11-02T10:00:00Z"}],
        }
        if before and "status" in before:
            body["status"] = before["status"]
        await self._change("MODIFIED" if before else "ADDED", body)
        return body

    async def delete(self, name: str) -> None:
        """Remove an object."""
        await self._change("DELETED", self.objects[name])

    def compact(self) -> None:
        """Forget the log: older watches are Gone."""
        self.oldest = self.version
        self.log.clear()

    async def cut(self) -> None:
        """Break every open watch in the middle of a line."""
        self._cut.set()
        async with self._news:
            self._news.notify_all()
        await turns(25)
        self._cut = asyncio.Event()

    async def _change(self, kind: str, body: dict[str, Any]) -> None:
        self.version += 1
        body = json.loads(json.dumps(body))
        body["metadata"]["resourceVersion"] = str(self.version)
        name = body["metadata"]["name"]
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = body
        self.log.append((self.version, kind, body))
        async with self._news:
            self._news.notify_all()

    # -- the wire -----------------------------------------------------------------------------------------------------

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.headers.append(dict(request.headers))
        for (method, part), status in self.refuse.items():
            if request.method == method and part in request.path:
                return _status(status, "refused by the test")
        if self.down:
            return _status(self.down, "etcdserver: request timed out")
        return await handler(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["ns"] != self.namespace:
            return _status(404, "no such namespace")
        if request.query.get("watch") == "true":
            return await self._watch(request)
        names = sorted(self.objects)
        start = int(request.query.get("continue", "0"))
        end = start + min(int(request.query.get("limit", "1000")), self.page_limit)
        metadata = {"resourceVersion": str(self.version)}
        if end < len(names):
            metadata["continue"] = str(end)
        return web.json_response(
            {"kind": "HAClusterList", "metadata": metadata, "items": [self.objects[name] for name in names[start:end]]}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        self.watches_from.append(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        cut = self._cut
        if since < self.oldest:
            await _line(response, "ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
            return response
        try:
            while True:
                entries = [entry for entry in self.log if entry[0] > since]
                since = self.version
                for _, kind, body in entries:
                    await _line(response, kind, body)
                bookmark = {"kind": "HACluster", "metadata": {"resourceVersion": str(since)}}
                await _line(response, "BOOKMARK", bookmark)
                async with self._news:
                    # What changed while this was written is not waited for.
                    while not cut.is_set() and not any(entry[0] > since for entry in self.log):
                        await self._news.wait()
                if cut.is_set():
                    await response.write(b'{"type":"MODI')
                    if request.transport is not None:
                        request.transport.close()
                    return response
        except (ConnectionResetError, asyncio.CancelledError):
            return response

    async def _patch_status(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self.objects:
            return _status(404, f'haclusters.hactl.dev "{name}" not found')
        if request.content_type != "application/json-patch+json":
            return _status(415, "unsupported")
        body = jsonpatch.apply_patch(self.objects[name], await request.json())
        await self._change("MODIFIED", {**self.objects[name], "status": body["status"]})
        return web.json_response(self.objects[name])

    async def _post_event(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = body["metadata"]["name"]
        if name in self.events:
            return _status(409, "exists")
        self.events[name] = body
        return web.json_response(body, status=201)

    async def _create_lease(self, request: web.Request) -> web.StreamResponse:
        await self.lease_gate.wait()
        body = await request.json()
        if body["metadata"]["name"] in self.leases:
            return _status(409, "exists")
        return self._keep_lease(body, 201)

    async def _get_lease(self, request: web.Request) -> web.StreamResponse:
        await self.lease_gate.wait()
        found = self.leases.get(request.match_info["name"])
        return web.json_response(found) if found else _status(404, "no such lease")

    async def _put_lease(self, request: web.Request) -> web.StreamResponse:
        await self.lease_gate.wait()
        body = await request.json()
        found = self.leases[request.match_info["name"]]
        if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        return self._keep_lease(body, 200)

    def _keep_lease(self, body: dict[str, Any], status: int) -> web.StreamResponse:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.leases[body["metadata"]["name"]] = body
        return web.json_response(body, status=status)


async def _line(response: web.StreamResponse, kind: str, body: dict[str, Any]) -> None:
    await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "code": code, "message": message}, status=code)
