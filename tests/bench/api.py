"""The API's share of `make bench`: requests a second, the way from a write to every watcher, memory. No node is asked.

Everything goes through `api.service` on a real record; sockets and TLS are not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.sqlite.store import open_record
from hactl.api.request.wire import Identity, Request, Response
from hactl.api.service import Service

from .measure import Samples, rss_kib

OBJECTS, WATCHERS, SAMPLES = 1000, 100, 100
WHERE = "/apis/hactl.dev/v1alpha1/namespaces/default/haclusters"
ADMIN = Identity("bench@local", "admin", "local")
EXAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "examples" / "nas.yaml"


def document(number: int, label: str = "a") -> dict[str, Any]:
    """The example under another name and on other machines."""
    data: dict[str, Any] = YAML(typ="safe").load(EXAMPLE.read_text())
    data["metadata"] = {"name": f"nas-{number:04}", "labels": {"version": label}}
    for index, node in enumerate(data["spec"]["nodes"]):
        node["ssh"] = {**node["ssh"], "host": f"node-{number}-{index}.example.org"}
    return data


async def ask(service: Service, method: str, path: str, body: Any = None, **more: Any) -> Response:
    """One request, which is answered well."""
    kind = more.pop("kind", "application/json")
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"accept": "application/json", "content-type": kind}
    response = await service.handle(Request(method, path, ADMIN, more, headers, data))
    if response.status >= 400:
        raise RuntimeError(f"{method} {path}: {response.body}")
    return response


async def rate(times: int, act: Callable[[int], Awaitable[Any]]) -> float:
    """How many a second, one after the other."""
    began = time.perf_counter()
    for number in range(times):
        await act(number)
    return times / (time.perf_counter() - began)


async def listed(service: Service) -> None:
    """All objects, as the bytes that a server would send."""
    response = await ask(service, "GET", WHERE)
    data = json.dumps(response.body) if response.raw is None else response.raw
    if len(data) < OBJECTS * 1000:
        raise RuntimeError(f"a list of {len(data)} bytes is not whole")


async def watch_latency(service: Service) -> tuple[Samples, float]:
    """From a request to the last of the watchers, and KiB a watcher."""
    before = rss_kib()
    seen = [0] * WATCHERS
    told = asyncio.Event()

    async def follow(index: int) -> None:
        response = await ask(service, "GET", WHERE, watch="true", resourceVersion=revision)
        assert response.stream is not None
        async for _ in response.stream:
            seen[index] += 1
            told.set()

    revision = (await ask(service, "GET", WHERE, limit="1")).body["metadata"]["resourceVersion"]
    followers = [asyncio.ensure_future(follow(index)) for index in range(WATCHERS)]
    await asyncio.sleep(0.5)
    each = (rss_kib() - before) / WATCHERS
    taken = []
    for number in range(1, SAMPLES + 1):
        began = time.perf_counter()
        patch = {"metadata": {"labels": {"version": f"w{number}"}}}
        await ask(service, "PATCH", f"{WHERE}/nas-0001", patch, kind="application/merge-patch+json")
        while min(seen) < number:
            told.clear()
            await told.wait()
        taken.append(time.perf_counter() - began)
    for follower in followers:
        follower.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*followers, return_exceptions=True)
    return Samples(tuple(taken)), each


async def bench() -> None:
    """Everything, printed as it comes."""
    with tempfile.TemporaryDirectory() as place:
        store = await open_record(Path(place) / "hactl.db", actor="bench", command="bench")
        service = Service(store, store, clock=SystemClock(), secrets_directory=place)
        try:
            before = rss_kib()
            creates = await rate(OBJECTS, lambda n: ask(service, "POST", WHERE, document(n)))
            gets = await rate(OBJECTS, lambda n: ask(service, "GET", f"{WHERE}/nas-{n:04}"))
            each = (rss_kib() - before) / OBJECTS
            lists = await rate(20, lambda _: listed(service))
            apply = "application/apply-patch+yaml"
            applies = await rate(
                200,
                lambda n: ask(service, "PATCH", f"{WHERE}/nas-{n:04}", document(n, "b"), kind=apply,
                              fieldManager="bench", force="true"),
            )  # fmt: skip
            same = await rate(
                200,
                lambda n: ask(service, "PATCH", f"{WHERE}/nas-{n:04}", document(n, "b"), kind=apply,
                              fieldManager="bench", force="true"),
            )  # fmt: skip
            taken, watcher = await watch_latency(service)
        finally:
            await service.close()
            await store.close()
    print(f"API, {OBJECTS} objects, {WATCHERS} watchers, no sockets")
    print(f"  create {creates:.0f}/s, get {gets:.0f}/s, list of {OBJECTS} {1000 / lists:.0f} ms")
    print(f"  server-side apply {applies:.0f}/s, of what is so already {same:.0f}/s: {same / applies:.1f} times")
    print(f"  get over create {gets / creates:.0f}; an item of a list over a get {gets / lists / OBJECTS:.2f}")
    print(f"  a write until {WATCHERS} watchers have it: median {taken.median * 1000:.1f} ms, "
          f"p95 {taken.p95 * 1000:.1f} ms")  # fmt: skip
    print(f"  memory: {each:.1f} KiB an object, {watcher:.1f} KiB a watcher")


if __name__ == "__main__":
    try:
        asyncio.run(bench())
    except KeyboardInterrupt:
        sys.exit(130)
