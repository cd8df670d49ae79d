"""One hactl as the source of another: the API of the first is what the second lists and watches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hactl.adapters.clock import SystemClock
from hactl.adapters.kubernetes.client import KubeError
from hactl.adapters.kubernetes.kubeconfig import KubeAccess
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.adapters.sources.kubernetes import KubeSource
from hactl.adapters.yaml.documents import read_documents
from hactl.api.http.server import Listener, Server
from hactl.api.request.wire import Identity
from hactl.api.service import Service
from hactl.core.kube.codec import cluster_body
from support.limits import LIMIT_SECONDS, turns
from support.sources import document


class OtherHactl:
    """A record with its API on loopback."""

    def __init__(self, store: Store, tmp_path: Path) -> None:
        self.store = store
        service = Service(store, store, clock=SystemClock(), secrets_directory=str(tmp_path), managed_by="")
        self.server = Server(service)
        self.url = ""

    async def start(self) -> None:
        """Everybody who asks is an editor."""

        async def editor(headers: Any, address: str, certificate: Any) -> Identity:
            return Identity("token:second", "editor", address)

        port = await self.server.start(Listener(editor, host="127.0.0.1", port=0))
        self.url = f"http://127.0.0.1:{port}"

    async def make(self, text: str) -> None:
        """As somebody's `kubectl create`."""
        [made] = read_documents(text.encode(), source="x", directory="/").documents
        await self.store.create_object("haclusters", cluster_body(made.cluster), actor="ada", document=made)

    async def object(self, name: str) -> dict[str, Any]:
        """The stored object."""
        [found] = (await self.store.objects("haclusters", name))[1]
        return dict(found)


@pytest.fixture
async def other(tmp_path):
    """A hactl that keeps documents."""
    store = await open_record(tmp_path / "other.db")
    other = OtherHactl(store, tmp_path)
    await other.start()
    yield other
    await other.server.stop()
    await store.close()


async def test_documents_and_the_lead_through_the_api_of_another_hactl(other, tmp_path):
    """List, watch, deletion and lease; of what it looks after itself it takes no word of ours, and says what to do."""
    theirs = document("nas").replace("spec:\n", "spec:\n  managedBy: second\n", 1)
    await other.make(theirs)
    source = KubeSource(
        "k8s:other", lambda: KubeAccess(other.url), SystemClock(), secrets_directory=tmp_path, identity="us",
        managed_by="second",
    )  # fmt: skip
    won = asyncio.Event()
    campaign = asyncio.ensure_future(source.campaign(won.set))
    changes = source.changes()
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            state = await source.read()
            assert (state.down, sorted(state.documents)) == (None, ["nas"])
            heard = asyncio.ensure_future(anext(changes))
            await turns(100)
            await other.make(document("web", 8))
            await heard
            assert sorted((await source.read()).documents) == ["nas", "web"]
            await won.wait()
            assert source.leads
            status = {
                "generation": 5, "observedGeneration": 5, "problems": ["from the second"], "conditions": [],
                "observedAt": "2026-11-24T10:00:00Z", "nodes": [], "groups": [], "holds": [], "plan": {}, "failing": {},
            }  # fmt: skip
            row = {
                "id": 1, "at": "2026-11-24T10:00:00Z", "kind": "GroupMoved", "cluster": "nas", "node": None,
                "summary": "moved",
            }  # fmt: skip
            await source.report("nas", status, [row])
            assert (await other.object("nas"))["status"]["problems"] == ["from the second"]
            [told] = await other.store.history({"kind": "Told"})
            assert (told["cluster"], told["summary"]) == ("nas", "moved")
            await source.report("nas", status, [row])
            assert len(await other.store.history({"kind": "Told"})) == 1, "the same event again is no other one"
            with pytest.raises(KubeError, match="--managed-by NAME"):
                await source.report("web", status, [row])
            await other.store.delete_object("haclusters", "nas", actor="ada")
            await anext(changes)
            assert sorted((await source.read()).documents) == ["web"]
    finally:
        await changes.aclose()
        campaign.cancel()
        await asyncio.gather(campaign, return_exceptions=True)
        await source.close()
    [lease] = (await other.store.objects("leases", "hactl-second"))[1]
    assert lease["spec"]["holderIdentity"] == ""
