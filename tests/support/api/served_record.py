"""A record with a pair that was looked at, and the API served on it: over its Unix socket and over TLS, in a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.sqlite.store import open_record
from hactl.api.http.sockets import default_socket
from hactl.api.identity import token_digest
from hactl.api.serving import Wanted
from hactl.api.serving import serving as serve
from hactl.core.evidence.view import View
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Plan
from hactl.ports import Document, SourceHealth
from support.contracts.store import ManualClock, intent
from support.documents import FIREWALL, NAS, read
from support.facts.builder import healthy_pair
from support.limits import LIMIT_SECONDS

#: The token of an admin.
TOKEN = "hactl_tests"


def document(name: str) -> Document:
    """nas, or the firewall pair under another name."""
    text = NAS if name == "nas" else FIREWALL.replace("name: edge\n", f"name: {name}\n")
    (found,) = read(text, f"clusters/{name}.yaml").documents
    assert found.cluster.name == name
    return found


class LongAgo(ManualClock):
    """Ages that do not change while a test runs: whole days."""

    def now(self) -> datetime:
        """A hundred days and some hours ago."""
        return datetime.now(UTC) - timedelta(days=100, hours=5)


async def filled(path: Path) -> None:
    """A record: nas from a directory and looked at, fw handed in and not looked at, steps, events, a pause."""
    clock = LongAgo()
    store = await open_record(path, actor="tester", clock=clock)
    scene = healthy_pair()
    await store.put_document(document("nas"), actor="controller", origin="clusters")
    await store.put_document(document("fw"), actor="tester")
    active: dict[str, str | None] = {group.name: "nas-a" for group in scene.cluster.groups}
    plan = Plan("nas", 1, (), (), active)
    now = clock.now()
    status = cluster_status(
        View.at(scene.cluster, scene.snapshot, scene.now), plan, Origin("clusters/nas.yaml"), wall=now
    )
    # Looked at just now, and for a slow machine a little later.
    looked_at = (SystemClock().now() + timedelta(seconds=100)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await store.put_status("nas", json.loads(json.dumps({**status, "observedAt": looked_at})))
    step = await store.begin_step(intent())
    await store.end_step(step, outcome="Done", exit_status=0, output="fine\n", seconds=0.2)
    await store.record("NodeLost", "nas", "nas-b does not answer", node="nas-b")
    await store.open_operation({"kind": "Pause", "cluster": "fw", "actor": "carol@ops", "reason": "new switch"})
    await store.create_token("ci", digest=token_digest(TOKEN), role="admin", actor="tester", expires_at=None)
    await store.close()


@dataclass(slots=True)
class Served:
    """Where the API is."""

    record: Path
    socket: Path
    port: int
    authority: Path

    @property
    def url(self) -> str:
        """Over TLS."""
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def serving(record: Path, port: int = 0) -> Iterator[Served]:
    """The API on that record until the block ends."""
    started, ready = threading.Event(), _Ready()
    port = port or free_port()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(record, port, ready, started)))
    thread.start()
    assert started.wait(LIMIT_SECONDS), "the server did not start"
    try:
        if ready.served is None:
            raise AssertionError(f"the server did not start: {ready.error}")
        yield ready.served
    finally:
        ready.stop()
        thread.join(20)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Ready:
    """What the thread tells, and how it is stopped."""

    served: Served | None = None
    error: BaseException | None = None
    loop: asyncio.AbstractEventLoop | None = None
    over: asyncio.Event | None = None

    def stop(self) -> None:
        """End the thread."""
        if self.loop is not None and self.over is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.over.set)


class Idle:
    """A controller that keeps nothing."""

    statuses: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    sources = ("clusters", "api")
    depth = 0
    source_health: ClassVar[Mapping[str, SourceHealth]] = {}
    fresh_seconds = 120.0

    def seen(self, cluster: str) -> None:
        """Nothing was looked at."""

    def nudge(self, label: str | None = None) -> None:
        """Nothing to read."""


async def _serve(record: Path, port: int, ready: _Ready, started: threading.Event) -> None:
    ready.loop, ready.over = asyncio.get_running_loop(), asyncio.Event()
    store = await open_record(record, actor="controller@test", command="hactl run")
    directory = record.parent / "tls"
    wanted = Wanted(default_socket(record), listen=(("127.0.0.1", port),), tls_directory=directory)
    secrets = str(record.parent / "secrets")
    try:
        async with serve(store, Idle(), wanted, clock=SystemClock(), secrets_directory=secrets):
            ready.served = Served(record, default_socket(record), port, directory / "ca.crt")
            started.set()
            await ready.over.wait()
    except BaseException as error:
        ready.error = error
        raise
    finally:
        started.set()
        await store.close()
