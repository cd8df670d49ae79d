"""Every kind of source at once, on a real record: what is in force, where it came from, and who was told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hactl.app import App, opened, revive
from hactl.cli.commands.controller.source_option import make_source, parse_sources
from hactl.core.pace.interval import Pace
from hactl.ports import Source
from hactl.runtime.controller import Controller
from hactl.runtime.documents import DocumentsInForce
from hactl.runtime.watch import DevdWatch
from hactl.runtime.workqueue import WorkQueue
from support.api.kube_server import KubeServer
from support.limits import LIMIT_SECONDS
from support.sources import Repository, nowhere


class Site:
    """A directory, a web server, a repository and an API server."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.clusters = tmp_path / "clusters"
        self.clusters.mkdir()
        self.repository = Repository(tmp_path / "repository")
        self.kube = KubeServer()
        self.pages = {"web.yaml": nowhere("web", 8)}
        app = web.Application()
        app.router.add_get("/{name}", self._page)
        self.web = TestServer(app)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self.pages[request.match_info["name"]])

    async def start(self) -> None:
        """Everything holds one document."""
        await self.kube.start()
        await self.web.start_server()
        self.kube.kubeconfig(self.tmp_path / "kubeconfig")
        (self.clusters / "dir.yaml").write_text(nowhere("dir"))
        self.repository.commit({"prod/git.yaml": nowhere("git", 9)})
        await self.kube.apply(nowhere("kube", 10))

    async def stop(self) -> None:
        """All servers."""
        await self.kube.stop()
        await self.web.close()

    @property
    def sources(self) -> tuple[str, ...]:
        """As on the command line."""
        return (
            str(self.clusters),
            f"http://127.0.0.1:{self.web.port}/web.yaml#allow-http=true",
            f"git:{self.repository.url}#main:prod",
            f"k8s:{self.tmp_path}/kubeconfig",
        )

    @asynccontextmanager
    async def running(self, *texts: str, record: str = "hactl.db") -> AsyncIterator[Running]:
        """A controller on a record of this name."""
        async with opened(self.tmp_path / record, pace=Pace(resync_seconds=1.0)) as app:
            sources = {
                option.label: make_source(
                    option, app.clock, state=self.tmp_path / record, secrets=self.tmp_path / "secrets"
                )
                for option in parse_sources(texts or self.sources)
            }
            running = Running(app, sources)
            task = asyncio.ensure_future(running.controller.run())
            try:
                yield running
            finally:
                running.controller.stop()
                await task


class Running:
    """A controller at work."""

    def __init__(self, app: App, sources: Mapping[str, Source]) -> None:
        self.app = app
        queue = WorkQueue(app.clock, random.Random(1))
        watch = DevdWatch(app.nodes, app.clock, random.Random(2), lambda cluster, seconds: None, app.holder.token)
        documents = DocumentsInForce(sources, app.store, revive=revive)
        self.controller = Controller(documents, app.store, app.reconciler, queue, watch, app.clock)

    def status(self, name: str) -> Mapping[str, Any]:
        """The newest status."""
        return self.controller.statuses.get(name, {})

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path, monkeypatch):
    """Servers on loopback."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    site = Site(tmp_path)
    await site.start()
    yield site
    await site.stop()


async def test_every_kind_of_source_in_one_controller(site):
    """Status and history say which source and which revision of it; a nudge brings a commit in; a bad one does not."""
    async with site.running() as running:
        controller = running.controller
        await running.until(lambda: all(running.status(name) for name in ("dir", "web", "git", "kube")))
        status = running.status("git")
        head = site.repository.git("rev-parse", "HEAD")
        assert status["source"] == f"git:{site.repository.url}#main:prod/git.yaml"
        assert (status["sourceRevision"], status["sourceAt"]) == (head, "2026-11-01T10:00:00Z")
        assert running.status("web")["sourceRevision"].startswith("sha256:")
        assert "sourceRevision" not in running.status("dir")
        accepted = {
            row["cluster"]: row["detail"] for row in await running.app.store.history({"kind": "DocumentAccepted"})
        }
        assert accepted["git"]["revision"] == head
        assert accepted["git"]["author"] == "Ada <ada@example.org>"
        assert accepted["kube"]["author"] == "kubectl"

        site.repository.commit({"prod/git.yaml": nowhere("git", 11)})
        controller.nudge(f"git:{site.repository.url}#main:prod")
        await running.until(lambda: controller.accepted["git"].generation == 2)
        bad = site.repository.commit({"prod/git.yaml": "garbage: ["})
        controller.nudge()
        await running.until(lambda: running.status("git")["problems"])
        assert any(bad[:12] in problem and "is refused" in problem for problem in running.status("git")["problems"])
        assert controller.accepted["git"].generation == 2


async def test_a_restart_without_any_source_goes_on_with_what_was_good(site):
    """The web server and the API server are away, the repository is gone."""
    async with site.running() as running:
        await running.until(lambda: all(running.status(name) for name in ("dir", "web", "git", "kube")))
        before = {name: accepted.generation for name, accepted in running.controller.accepted.items()}
    site.kube.down = 500
    site.pages.clear()
    site.repository.directory.rename(site.tmp_path / "gone")
    async with site.running() as running:
        controller = running.controller
        await running.until(lambda: set(controller.accepted) == {"dir", "web", "git", "kube"})
        assert {name: accepted.generation for name, accepted in controller.accepted.items()} == before
        await running.until(lambda: all(running.status(name).get("problems") for name in ("web", "git", "kube")))
        assert running.status("git")["sourceRevision"]


async def test_the_same_name_from_two_kinds_of_source_is_told_on_both(site):
    """And what was in force stays."""
    async with site.running() as running:
        controller = running.controller
        await running.until(lambda: running.status("web") and running.status("git"))
        site.repository.commit({"prod/web.yaml": nowhere("web", 12)})
        controller.nudge()
        await running.until(lambda: running.status("web").get("problems"))
        assert "web is in two sources" in running.status("web")["problems"][0]
        assert controller.accepted["web"].label.startswith("http://")
        told = [label for label, problems in controller.problems.items() if any("two sources" in p for p in problems)]
        assert len(told) == 2


async def test_one_of_two_controllers_leads_and_tells_the_api(site):
    """The status of the object is the leader's; when that stops, the other one takes over."""
    k8s = site.sources[3]
    async with site.running(k8s, record="second.db") as second:
        async with site.running(k8s, record="first.db") as first:
            await first.until(lambda: first.status("kube") and second.status("kube"))
            await first.until(lambda: "status" in site.kube.objects["kube"])
            leads = [each.controller.leads("kube") for each in (first, second)]
            assert sorted(leads) == [False, True]
            other = second if leads[0] else first
            await first.until(lambda: any("is the leader" in p for p in other.status("kube")["problems"]))
            status = site.kube.objects["kube"]["status"]
            assert status["problems"] == []
            assert status["observedGeneration"] == site.kube.objects["kube"]["metadata"]["generation"]
        await second.until(lambda: second.controller.leads("kube"))
        await second.until(lambda: second.status("kube")["problems"] == [])
    assert site.kube.leases["hactl"]["spec"]["holderIdentity"] == ""
    assert site.kube.events
