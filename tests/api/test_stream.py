"""The stream of everything that changes, and the API put together as `hactl run` does it."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.memory import memory_record
from hactl.adapters.record.store import Store
from hactl.api import cache
from hactl.api.non_kubernetes.stream import changes
from hactl.api.serving import Wanted, serving
from hactl.errors import HactlError
from hactl.ports import SourceHealth
from support.api.service import CLUSTERS, LEASES, asking, document, lease


async def until_mark(stream: AsyncIterator[Mapping[str, Any]]) -> tuple[list[tuple[str, str]], str]:
    """Events up to the next bookmark: (type, name) of each, and the id."""
    found = []
    async for event in stream:
        if event["event"] == "BOOKMARK":
            return found, event["id"]
        found.append((event["event"], event["data"]["object"]["metadata"]["name"]))
    raise AssertionError(found)


async def test_nothing_is_missed_over_a_reconnect() -> None:
    """From the last id on, objects and events that changed meanwhile are told; an id says that all before was told."""
    async with asking() as ada:
        stream = changes(ada.service.reader, None)
        assert (await until_mark(stream))[0] == []
        await ada.ok("POST", LEASES, lease("a"))
        found, last = await until_mark(stream)
        while ("ADDED", "a") not in found:
            more, last = await until_mark(stream)
            found += more
        await stream.aclose()  # type: ignore[attr-defined]
        await ada.ok("POST", CLUSTERS, document())
        await ada.ok("DELETE", f"{LEASES}/a")
        again = changes(ada.service.reader, int(last))
        found, _ = await until_mark(again)
        assert [pair for pair in found if "." not in pair[1]] == [("ADDED", "nas"), ("DELETED", "a")]
        # Events of the history have the cluster's name in theirs.
        assert sum(name.startswith("nas.") for _, name in found) == 2
        await again.aclose()  # type: ignore[attr-defined]
        assert ada.service.reader.watchers == 0


async def test_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes back too late is told to read anew, and the stream ends."""
    monkeypatch.setattr(cache, "KEPT", 3)
    async with asking() as ada:
        await ada.names(LEASES)
        for number in range(9):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        found = [event async for event in changes(ada.service.reader, 1)]
        assert [event["event"] for event in found] == ["gone"]


class Live:
    """A controller that does nothing."""

    statuses: Mapping[str, Mapping[str, Any]] = {}
    sources = ("api", "clusters")
    depth = 3
    source_health: Mapping[str, SourceHealth] = {}
    fresh_seconds = 120.0

    def __init__(self) -> None:
        self.nudged: list[str | None] = []

    def seen(self, cluster: str) -> None:
        """Nothing was looked at."""

    def nudge(self, label: str | None = None) -> None:
        """Remember it."""
        self.nudged.append(label)


@asynccontextmanager
async def running(directory: Path, wanted: Wanted) -> AsyncIterator[tuple[Store, Live]]:
    """The API on what is wanted."""
    store, live, clock = memory_record(), Live(), SystemClock()
    async with serving(store, live, wanted, clock=clock, secrets_directory=str(directory)):
        yield store, live


async def test_everything_is_there_on_the_socket(tmp_path: Path) -> None:
    """Health, metrics, nudges, tokens and the stream answer with the resources, with the owner's role."""
    path = tmp_path / "api.sock"
    connector = aiohttp.UnixConnector(str(path))
    async with (
        running(tmp_path, Wanted(path)) as (store, live),
        aiohttp.ClientSession("http://localhost", connector=connector) as session,
    ):
        async with session.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with session.post("/nudge", params={"source": "clusters"}) as answer:
            assert answer.status == 202
        async with session.post("/nudge", params={"source": "nowhere"}) as answer:
            assert answer.status == 404
        assert live.nudged == ["clusters"]
        async with session.post("/tokens", json={"name": "ci", "role": "viewer"}) as answer:
            assert (answer.status, (await answer.json())["role"]) == (201, "viewer")
        async with session.get("/stream") as answer:
            assert answer.content_type == "text/event-stream"
            assert (await answer.content.readuntil(b"\n\n")).startswith(b"event: BOOKMARK\nid: ")
            await store.create_object("leases", lease("a"), actor="somebody")
            told = await answer.content.readuntil(b"\n\n")
            fields = dict(line.split(": ", 1) for line in told.decode().strip().split("\n"))
            assert (fields["event"], json.loads(fields["data"])["object"]["metadata"]["name"]) == ("ADDED", "a")
        async with session.get(LEASES, params={"watch": "1"}), session.get("/metrics") as answer:
            text = await answer.text()
        assert "hactl_queue_depth 3.0" in text
        assert "hactl_api_watches 1.0" in text
        assert 'hactl_api_requests_total{code="202",resource="nudge",verb="create"} 1.0' in text
    assert not path.exists()


async def test_tls_tokens_and_roles(tmp_path: Path, unused_port: int) -> None:
    """Over TLS: our authority is trusted, nobody is 401, a token has its role, failures delay failures only."""
    wanted = Wanted(tmp_path / "api.sock", listen=(("127.0.0.1", unused_port),), tls_directory=tmp_path / "tls")
    async with running(tmp_path, wanted) as (store, _):
        trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.crt"))
        connector = aiohttp.UnixConnector(str(tmp_path / "api.sock"))
        async with (
            aiohttp.ClientSession("http://localhost", connector=connector) as owner,
            owner.post("/tokens", json={"name": "ci", "role": "viewer"}) as answer,
        ):
            token = (await answer.json())["token"]
        async with aiohttp.ClientSession(
            f"https://127.0.0.1:{unused_port}", connector=aiohttp.TCPConnector(ssl=trust)
        ) as session:
            async with session.get(LEASES) as answer:
                assert answer.status == 401
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(LEASES, headers=headers) as answer:
                assert answer.status == 200
            async with session.post(LEASES, json=lease("a"), headers=headers) as answer:
                assert answer.status == 403
            async with session.get("/tokens", headers=headers) as answer:
                assert answer.status == 403
            codes = []
            for _ in range(12):
                async with session.get(LEASES, headers={"Authorization": "Bearer hactl_wrong"}) as answer:
                    codes.append(answer.status)
            assert (codes[0], codes[-1]) == (401, 429)
            async with session.get(LEASES, headers=headers) as answer:
                assert answer.status == 200
            async with session.get("/healthz") as answer:
                assert answer.status == 200
        rows = await store.history({"kind": "RequestRefused"})
        # Whoever is known by a right token passes, whatever others from that address did; strangers leave nothing.
        assert {row["detail"]["actor"] for row in rows} == {"token:ci"}
        assert token not in json.dumps([*rows, *await store.history({})], default=str)


async def test_a_usual_socket_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    """The controller works without it; one that was asked for is an error."""
    wanted = Wanted(tmp_path / ("x" * 200), socket_needed=False)
    async with running(tmp_path, wanted):
        pass
    with pytest.raises(HactlError, match="103 bytes"):
        async with running(tmp_path, replace(wanted, socket_needed=True)):
            pass


@pytest.fixture
def unused_port() -> int:
    """A port nobody listens on."""
    from support.loopback import free_port

    return free_port()
