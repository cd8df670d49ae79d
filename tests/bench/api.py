"""The API's share of `make bench`: requests a second, from a write to every watcher, memory, what a status costs.

No node is asked. Everything is on a real record; with sockets the clients are in a process of their own, without
them requests go straight to `api.service`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from facts_builder import healthy_pair
from hactl.adapters.clock import SystemClock
from hactl.adapters.store import SQLiteStore
from hactl.adapters.store_rows import canonical, without_ages
from hactl.adapters.store_writer import Writer
from hactl.api.server import Listener, Server
from hactl.api.service import Service
from hactl.api.wire import Identity, Request, Response
from hactl.core.status import cluster_status
from hactl.core.steps import Plan
from served_record import document as accepted

from .api_report import ApiFindings, Rates, StatusCost, figures
from .measure import Samples, rss_kib
from .report import table, to_rows
from .site import EXAMPLE, BenchFailed

OBJECTS, WATCHERS, SAMPLES = 1000, 100, 100
#: Requests of one kind, gets and applies; lists are of all objects.
REQUESTS, LISTS = 300, 10
#: Writes in a burst that every watcher hears.
BURST = 50
STATUSES = 300
WHERE = "/apis/hactl.dev/v1alpha1/namespaces/default/haclusters"
ADMIN = Identity("bench@local", "admin", "local")
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
WATCHED = f"{WHERE}/nas-0001"
#: Nothing on the other side of the socket takes longer, seconds.
CLIENT_SECONDS = 60.0
_EXAMPLE: dict[str, Any] = YAML(typ="safe").load(EXAMPLE.read_text())


def document(number: int, label: str = "a") -> dict[str, Any]:
    """The example under another name and on other machines."""
    data: dict[str, Any] = json.loads(json.dumps(_EXAMPLE))
    data["metadata"] = {"name": f"nas-{number:04}", "labels": {"version": label}}
    for index, node in enumerate(data["spec"]["nodes"]):
        node["ssh"] = {**node["ssh"], "host": f"node-{number}-{index}.example.org"}
    return data


def requests(label: str) -> dict[str, list[dict[str, Any]]]:
    """What is asked, once without sockets and once with them: the same but for a label."""
    names = [f"{WHERE}/nas-{number:04}" for number in range(REQUESTS)]
    applied = [json.dumps(document(number, label)) for number in range(REQUESTS)]
    query = "?fieldManager=bench&force=true"
    applies = [
        {"method": "PATCH", "path": name + query, "body": body, "kind": APPLY}
        for name, body in zip(names, applied, strict=True)
    ]
    return {
        "get": [{"method": "GET", "path": name} for name in names],
        "list": [{"method": "GET", "path": WHERE}] * LISTS,
        "apply": applies,
        "same": applies,
    }


async def ask(service: Service, method: str, path: str, body: str = "", kind: str = "application/json") -> Response:
    """One request, which is answered well; a list is made into the bytes that a server would send."""
    path, _, query = path.partition("?")
    asked = dict(word.split("=") for word in query.split("&")) if query else {}
    headers = {"accept": "application/json", "content-type": kind}
    response = await service.handle(Request(method, path, ADMIN, asked, headers, body.encode()))
    if response.status >= 400:
        raise BenchFailed(f"{method} {path}: {response.body}")
    if response.raw is None and response.stream is None:
        json.dumps(response.body)
    return response


async def straight(service: Service) -> Rates:
    """Requests a second, one after the other, without sockets."""

    async def rate(asked: list[dict[str, Any]]) -> float:
        began = time.monotonic()
        for each in asked:
            await ask(service, **each)
        return len(asked) / (time.monotonic() - began)

    return Rates(**{kind: await rate(asked) for kind, asked in requests("b").items()})


async def over_socket(socket: Path) -> Rates:
    """The same through the server: one client, one connection, one request after the other."""

    async def rate(asked: list[dict[str, Any]]) -> float:
        async with client(socket, "ask") as process:
            answer, _ = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), CLIENT_SECONDS)
        if process.returncode:
            raise BenchFailed(f"the client ended with {process.returncode}")
        return len(asked) / float(json.loads(answer)["seconds"])

    return Rates(**{kind: await rate(asked) for kind, asked in requests("c").items()})


@asynccontextmanager
async def client(socket: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The other end of the socket; it has gone when the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("api_client.py")), str(socket), *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def revision(service: Service) -> str:
    """The newest one."""
    return str((await ask(service, "GET", f"{WHERE}?limit=1")).body["metadata"]["resourceVersion"])


async def write(service: Service, number: int) -> float:
    """Change one object; the moment before, monotonic seconds."""
    began = time.monotonic()
    await ask(service, "PATCH", WATCHED, json.dumps({"metadata": {"labels": {"version": f"w{began}-{number}"}}}), MERGE)
    return began


async def watched(service: Service) -> tuple[Samples, float]:
    """From a write to the last of the watchers without sockets, seconds; and KiB a watcher."""
    before = rss_kib()
    seen, told = [0] * WATCHERS, asyncio.Event()
    path = f"{WHERE}?watch=true&resourceVersion={await revision(service)}"

    async def follow(index: int) -> None:
        response = await ask(service, "GET", path)
        assert response.stream is not None
        async for _ in response.stream:
            seen[index] += 1
            told.set()

    followers = [asyncio.ensure_future(follow(index)) for index in range(WATCHERS)]
    try:
        taken = []
        for number in range(1, SAMPLES + 1):
            began = await write(service, number)
            async with asyncio.timeout(CLIENT_SECONDS):
                while min(seen) < number:
                    told.clear()
                    await told.wait()
            taken.append(time.monotonic() - began)
            if number == 1:
                each = (rss_kib() - before) / WATCHERS
    finally:
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    return Samples(tuple(taken)), each


async def watched_over_socket(service: Service, socket: Path) -> tuple[Samples, float]:
    """The same with every watcher on a connection of its own; and changes told to somebody a second in a burst."""
    path = f"{WHERE}?watch=true&resourceVersion={await revision(service)}"
    async with client(socket, "watch", path, str(WATCHERS)) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        async def line() -> dict[str, Any]:
            assert process.stdout is not None
            text = await asyncio.wait_for(process.stdout.readline(), CLIENT_SECONDS)
            if not text:
                raise BenchFailed("the watching client ended")
            found: dict[str, Any] = json.loads(text)
            return found

        await line()
        taken = []
        for number in range(SAMPLES):
            process.stdin.write(b"1\n")
            began = await write(service, number)
            taken.append(float((await line())["at"]) - began)
        process.stdin.write(f"{BURST}\n".encode())
        began = time.monotonic()
        for number in range(BURST):
            await write(service, number)
        seconds = float((await line())["at"]) - began
    return Samples(tuple(taken)), BURST * WATCHERS / seconds


def status_cost(directory: Path) -> StatusCost:
    """A status that changed, as the record takes it, against a bare row of it: same file, same commit, taking turns."""
    scene, clock = healthy_pair(), SystemClock()
    plan = Plan("nas", 1, (), (), {group.name: "nas-a" for group in scene.cluster.groups})
    judged = cluster_status(scene.cluster, scene.snapshot, plan, now=scene.now, wall=clock.now(), source="nas.yaml")
    status: dict[str, Any] = json.loads(json.dumps(judged))
    writer = Writer(directory / "status.db", clock, "bench", "bench")
    try:
        writer.put_document(accepted("nas"), "bench", "clusters")
        writer.put_status("nas", status, ())
        with writer.writing() as connection:
            connection.execute("CREATE TABLE bare (cluster TEXT, status TEXT, meaning TEXT)")
        changed = [{**status, "message": f"change {number}"} for number in range(STATUSES)]
        whole = [each for value in changed for each in _both(writer, value)]
    finally:
        writer.db.close()
    return StatusCost(Samples(tuple(whole[::2])), Samples(tuple(whole[1::2])))


def _both(writer: Writer, value: dict[str, Any]) -> tuple[float, float]:
    def bare(connection: sqlite3.Connection) -> None:
        row = ("nas", canonical(value), canonical(without_ages(value)))
        connection.execute("INSERT INTO bare (cluster, status, meaning) VALUES (?, ?, ?)", row)

    began = time.monotonic()
    if not writer.put_status("nas", value, ()):
        raise BenchFailed("a status that changed was not written")
    between = time.monotonic()
    with writer.writing() as connection:
        bare(connection)
    return between - began, time.monotonic() - between


async def timed(times: int, act: Callable[[int], Awaitable[Any]]) -> float:
    """How many a second, one after the other."""
    began = time.monotonic()
    for number in range(times):
        await act(number)
    return times / (time.monotonic() - began)


async def bench() -> ApiFindings:
    """Everything, on a record that is gone afterwards."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hactl-bench-") as place:
        socket = Path(place) / "api.sock"
        store = await SQLiteStore.open(Path(place) / "hactl.db", actor="bench", command="bench")
        service = Service(store, store, clock=SystemClock(), secrets_directory=place)
        server = Server(service)
        try:
            # What one object brings into memory once is not the second one's.
            await ask(service, "POST", WHERE, json.dumps(document(OBJECTS)))
            before = rss_kib()
            creates = await timed(OBJECTS - 1, lambda n: ask(service, "POST", WHERE, json.dumps(document(n))))
            each = (rss_kib() - before) / (OBJECTS - 1)
            rates = await straight(service)
            latency, watcher = await watched(service)
            await server.start(Listener(ADMIN, socket=socket))
            socket_rates = await over_socket(socket)
            socket_latency, fan_out = await watched_over_socket(service, socket)
        finally:
            await server.stop()
            await store.close()
        cost = await asyncio.to_thread(status_cost, Path(place))
    return ApiFindings(
        objects=OBJECTS,
        watchers=WATCHERS,
        seconds=time.monotonic() - began,
        creates=creates,
        straight=rates,
        socket=socket_rates,
        latency=latency,
        socket_latency=socket_latency,
        fan_out=fan_out,
        object_kib=each,
        watcher_kib=watcher,
        status=cost,
    )


def main() -> int:
    """Parse, run, print; as `bench` itself."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="JSON on standard output instead of a table")
    options = parser.parse_args()
    try:
        found = asyncio.run(bench())
    except BenchFailed as problem:
        print(f"the bench could not be done: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; everything is cleaned up", file=sys.stderr)
        return 130
    shown = figures(found)
    print(json.dumps({"seconds": found.seconds, "figures": to_rows(shown)}, indent=2) if options.json else table(shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
