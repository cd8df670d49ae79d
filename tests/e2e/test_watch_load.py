"""Writers, watchers, and a server that is killed in between: every watcher ends with the same objects.

Each writer counts in the objects it owns, one by one, so that a watcher sees at once when a change was lost or came
out of order. Watchers go on from the last revision they saw; only a clean 410 lets them list again.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from support.api.service import LEASES, MERGE, lease
from support.limits import LIMIT_SECONDS, until
from support.loopback import free_port

WRITERS, WATCHERS, OBJECTS, KILLS = 4, 8, 3, 3
SECONDS_BETWEEN_KILLS = 1.5


@dataclass
class Killable:
    """`hactl run`, that can be killed and started again on its record and port."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin."""
        command = [sys.executable, "-m", "hactl", "run", "--listen", f"127.0.0.1:{self.port}"]
        environment = {**os.environ, "HACTL_STATE": str(self.directory / "hactl.db")}
        with (self.directory / "run.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--insecure-loopback", "admin"], env=environment, stdout=log, stderr=log, text=True
            )

    def end(self, how: signal.Signals) -> None:
        """Kill it, or ask it to stop."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(LIMIT_SECONDS)


class Gone(Exception):
    """410: list again."""


@dataclass
class Watcher:
    """What an informer does."""

    session: aiohttp.ClientSession
    have: dict[str, int] = field(default_factory=dict)
    version: str = ""
    events: int = 0
    relists: int = 0

    async def run(self) -> None:
        """List, watch, go on, for ever."""
        while True:
            try:
                if not self.version:
                    await self._list()
                await self._watch()
            except Gone:
                self.version = ""
                self.relists += 1
            except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    async def _list(self) -> None:
        async with self.session.get(LEASES) as answer:
            answer.raise_for_status()
            body = await answer.json()
        self.have = {item["metadata"]["name"]: count(item) for item in body["items"]}
        self.version = body["metadata"]["resourceVersion"]

    async def _watch(self) -> None:
        query = {"watch": "1", "resourceVersion": self.version, "allowWatchBookmarks": "true"}
        async with self.session.get(LEASES, params=query) as answer:
            answer.raise_for_status()
            while line := await answer.content.readline():
                if not line.endswith(b"\n"):
                    return
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        body = event["object"]
        if event["type"] == "ERROR":
            assert body["code"] == 410, body
            raise Gone
        version = body["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            assert int(version) >= int(self.version)
            self.version = version
            return
        self.events += 1
        assert int(version) > int(self.version), "out of order, or told twice"
        self.version = version
        name = body["metadata"]["name"]
        match event["type"]:
            case "ADDED":
                assert name not in self.have
                assert count(body) == 0
                self.have[name] = 0
            case "MODIFIED":
                assert count(body) == self.have[name] + 1, "a change was lost"
                self.have[name] = count(body)
            case "DELETED":
                del self.have[name]


def count(body: dict[str, Any]) -> int:
    """How often it was changed."""
    return int(body["spec"]["leaseTransitions"])


async def write(session: aiohttp.ClientSession, number: int, done: asyncio.Event, chance: random.Random) -> int:
    """Create, count up, now and then delete, objects of its own, until `done`; how many writes were answered."""
    answered = 0
    while not done.is_set():
        name = f"w{number}-{chance.randrange(OBJECTS)}"
        try:
            async with session.get(f"{LEASES}/{name}") as answer:
                now = await answer.json()
            if answer.status == 404:
                body = lease(name)
                body["spec"]["leaseTransitions"] = 0
                async with session.post(LEASES, json=body) as answer:
                    assert answer.status in (201, 409), await answer.text()
            elif chance.random() < 0.1:
                async with session.delete(f"{LEASES}/{name}") as answer:
                    assert answer.status in (200, 404), await answer.text()
            else:
                version = now["metadata"]["resourceVersion"]
                patch = {"metadata": {"resourceVersion": version}, "spec": {"leaseTransitions": count(now) + 1}}
                headers = {"Content-Type": MERGE}
                async with session.patch(f"{LEASES}/{name}", data=json.dumps(patch), headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
            answered += 1
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0.05)
    return answered


async def test_every_watcher_ends_with_the_same_objects(tmp_path: Path) -> None:
    """With kills and restarts in between, no watcher loses a change or sees one out of order."""
    server = Killable(tmp_path)
    server.start()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=LIMIT_SECONDS)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.port}", timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        done = asyncio.Event()
        watchers = [Watcher(session) for _ in range(WATCHERS)]
        watching = [asyncio.ensure_future(each.run()) for each in watchers]
        writing = [
            asyncio.ensure_future(write(session, number, done, random.Random(number))) for number in range(WRITERS)
        ]
        try:
            for kill in range(KILLS + 1):
                goals = [each.events + 20 for each in watchers]

                def progressed(goals: list[int] = goals) -> bool:
                    assert not any(task.done() for task in watching), [task for task in watching if task.done()]
                    return all(each.events >= goal for each, goal in zip(watchers, goals, strict=True))

                await until(progressed, "progress of every watcher")
                await asyncio.sleep(SECONDS_BETWEEN_KILLS)
                if kill < KILLS:
                    await asyncio.to_thread(server.end, signal.SIGKILL)
                    server.start()
            done.set()
            answered = await asyncio.gather(*writing)
            async with session.get(LEASES) as answer:
                final = await answer.json()
            wanted = {item["metadata"]["name"]: count(item) for item in final["items"]}
            await until(lambda: [each.have for each in watchers] == [wanted] * WATCHERS, "the same objects everywhere")
            assert sum(answered) > 100
            assert all(each.relists == 0 for each in watchers)
        finally:
            for task in (*watching, *writing):
                task.cancel()
            results = await asyncio.gather(*watching, *writing, return_exceptions=True)
            await asyncio.to_thread(server.end, signal.SIGTERM)
        assert [each for each in results if isinstance(each, AssertionError)] == []
    assert "Traceback" not in (tmp_path / "run.log").read_text()
