"""A Kubernetes-style API as a source: list, watch, resume, relist, status and events back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from hactl.adapters.kubernetes.client import KubeClient, KubeError
from hactl.adapters.kubernetes.kubeconfig import KubeAccess, in_cluster, load_kubeconfig
from hactl.adapters.sources.kubernetes import KubeSource
from support.api.kube_server import KubeServer
from support.api.tls_files import Authority
from support.contracts.sources import SourceContract
from support.limits import LIMIT_SECONDS, turns
from support.sources import StillClock, document


class QuickClock(StillClock):
    """Sleeps are short, not nothing: real sockets have to have their turn."""

    async def sleep(self, seconds: float) -> None:
        """A moment."""
        await super().sleep(seconds)
        await asyncio.sleep(0.01)


@pytest.fixture
async def kube():
    """A server."""
    server = KubeServer()
    await server.start()
    yield server
    await server.stop()


class KubeWorld:
    """Objects in a server."""

    remote = True

    def __init__(self, kube: KubeServer, tmp_path: Path) -> None:
        self.kube = kube
        self.clock = QuickClock()
        self.secrets = tmp_path / "secrets"
        self.file = kube.kubeconfig(tmp_path / "kubeconfig")
        self.source = KubeSource(
            "k8s:test", lambda: load_kubeconfig(self.file), self.clock, secrets_directory=self.secrets, identity="me"
        )
        self._following: asyncio.Task[None] | None = None
        self.hints = 0

    async def put(self, **documents):
        """Apply or delete objects, and give the watch time to tell."""
        for name, text in documents.items():
            if text is None:
                await self.kube.delete(name)
            else:
                await self.kube.apply(text)
        if self._following is None and not self.source._fresh:
            self._following = asyncio.ensure_future(self._follow())
        await turns()

    async def _follow(self) -> None:
        """What the controller does: listen all the time."""
        async for _ in self.source.changes():
            self.hints += 1

    async def fail(self):
        """The server answers 500 to everything, and open watches end."""
        self.kube.down = 500
        await self.kube.cut()
        await turns(150)

    async def mend(self):
        """It works again."""
        self.kube.down = 0

    async def until(self, condition) -> None:
        """Wait for what the watch brings."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                if condition(await self.source.read()):
                    return
                await asyncio.sleep(0.01)

    async def nobody_listens(self) -> None:
        """End the watch."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    async def close(self) -> None:
        """End the watch and the connections."""
        await self.nobody_listens()
        await self.source.close()


@pytest.fixture
async def world(kube, tmp_path):
    """An empty namespace."""
    world = KubeWorld(kube, tmp_path)
    yield world
    await world.close()


class TestContract(SourceContract):
    """The contract of all sources."""


async def test_a_document_names_its_revision_and_manager(world):
    """The API keeps no users, but who manages the fields and since when."""
    body = await world.kube.apply(document("nas"))
    found = (await world.source.read()).documents["nas"]
    assert (found.author, found.revised_at) == ("kubectl", "2026-11-02T10:00:00Z")
    assert found.revision == str(world.kube.version)
    assert found.source == "k8s:test#nas"
    assert body["metadata"]["generation"] == 1


async def test_a_change_of_the_status_alone_is_no_news(world):
    """Else telling the status would be told as a change, for ever."""
    await world.put(nas=document("nas"))
    before = await world.source.read()
    hints = world.hints
    await world.source.report("nas", {"generation": 3, "observedGeneration": 3, "conditions": []}, [])
    await turns()
    assert await world.source.read() == before
    assert world.hints == hints
    assert world.kube.objects["nas"]["status"]["observedGeneration"] == 1


async def test_a_watch_is_resumed_where_it_broke(world):
    """No second list; nothing is lost in between."""
    await world.put(nas=document("nas"))
    await world.source.read()
    await turns()
    await world.kube.cut()
    await world.kube.apply(document("nas", 9))
    await world.until(lambda state: "192.0.2.9/24" in state.documents["nas"].text)
    lists = [path for method, path in world.kube.requests if method == "GET" and "haclusters" in path]
    assert len(lists) == 1 + len(world.kube.watches_from)
    assert len(world.kube.watches_from) >= 2


async def test_a_revision_that_is_gone_is_listed_anew(world):
    """410: what changed meanwhile is in the list, also deletions."""
    await world.put(nas=document("nas"), web=document("web", 8))
    await world.source.read()
    await turns()
    world.kube.refuse["GET", "haclusters"] = 503
    await world.kube.cut()
    await world.kube.delete("web")
    await world.kube.apply(document("nas", 9))
    world.kube.compact()
    world.kube.refuse.clear()
    await world.until(lambda state: set(state.documents) == {"nas"} and "192.0.2.9/24" in state.documents["nas"].text)


async def test_an_empty_namespace_was_emptied_on_purpose(world):
    """The server's list is whole."""
    await world.put(nas=document("nas"), web=document("web", 8))
    await world.source.read()
    await world.put(nas=None, web=None)
    state = await world.source.read()
    assert (dict(state.documents), state.certain) == ({}, True)


async def test_without_the_crd_nothing_looks_deleted(world):
    """404 for the list is an outage."""
    world.kube.refuse["GET", "haclusters"] = 404
    assert "404" in ((await world.source.read()).down or "")


async def test_a_long_list_comes_in_pages(world):
    """All of them."""
    world.kube.page_limit = 2
    for number in range(5):
        await world.kube.apply(document(f"c{number}", 10 + number))
    assert len((await world.source.read()).documents) == 5


async def test_the_status_is_written_whole_and_events_once(world):
    """What the status no longer says is not left behind; an event that is there is not made again."""
    await world.put(nas=document("nas"))
    await world.source.read()
    row = {
        "id": 7, "at": "2026-11-24T10:00:00.000Z", "kind": "GroupMoved", "cluster": "nas", "node": None,
        "summary": "lan moved", "detail": None,
    }  # fmt: skip
    await world.source.report("nas", {"failing": {"step": "x"}, "conditions": []}, [row])
    await world.source.report("nas", {"failing": {}, "conditions": []}, [row])
    assert world.kube.objects["nas"]["status"]["failing"] == {}
    [event] = world.kube.events.values()
    assert event["involvedObject"]["uid"] == world.kube.objects["nas"]["metadata"]["uid"]
    assert (event["reason"], event["message"]) == ("GroupMoved", "lan moved")


async def test_a_server_that_takes_no_events_is_told_the_status_only(world):
    """Another hactl makes its own events; it is asked once."""
    world.kube.refuse["POST", "events"] = 405
    await world.put(nas=document("nas"))
    await world.source.read()
    rows = [
        {"id": n, "at": "2026-11-24T10:00:00Z", "kind": "GroupMoved", "cluster": "nas", "node": None, "summary": "x"}
        for n in (1, 2)
    ]
    await world.source.report("nas", {"conditions": []}, rows)
    assert [path for method, path in world.kube.requests if method == "POST"] == ["/api/v1/namespaces/default/events"]


async def test_telling_about_what_is_deleted_is_harmless(world):
    """The object is gone on the server, or was never there."""
    await world.put(nas=document("nas"))
    await world.source.read()
    world.kube.objects.clear()
    await world.source.report("nas", {"conditions": []}, [])
    await world.source.report("other", {"conditions": []}, [])


async def test_a_status_that_is_not_taken_is_an_error(world):
    """So that it is told again."""
    await world.put(nas=document("nas"))
    await world.source.read()
    world.kube.refuse["PATCH", "status"] = 403
    with pytest.raises(KubeError, match="403"):
        await world.source.report("nas", {"conditions": []}, [])


async def test_client_certificate_and_token_over_tls(tmp_path):
    """Certificates as data of the kubeconfig; the token file is read again when it was rotated."""
    authority = Authority(tmp_path / "tls")
    server, client = authority.pair("server"), authority.pair("client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(server.cert, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    kube = KubeServer()
    await kube.start(context)
    token = tmp_path / "token"
    token.write_text("first")
    access = KubeAccess(
        kube.url, ca_text=authority.file.read_text(), cert_text=client.cert.read_text(),
        key_text=client.key.read_text(), token_file=token,
    )  # fmt: skip
    assert "PRIVATE" not in repr(access)
    await kube.apply(document("nas"))
    source = KubeSource("k8s:x", lambda: access, QuickClock(), secrets_directory=tmp_path)
    try:
        assert "nas" in (await source.read()).documents
        token.write_text("second")
        await source.report("nas", {"conditions": []}, [])
        assert [headers["Authorization"] for headers in kube.headers] == ["Bearer first", "Bearer second"]
    finally:
        await source.close()
        await kube.stop()


async def test_in_a_pod_the_service_account_is_used(tmp_path):
    """Address from the environment; authority, token and namespace from its files."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("t")
    (account / "namespace").write_text("ha\n")
    access = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, account)
    assert (access.server, access.namespace) == ("https://[fd00::1]:6443", "ha")
    assert (access.token_file, access.ca_file) == (account / "token", account / "ca.crt")


async def test_a_closed_client_makes_no_new_connection(kube):
    """A read that comes late does not leave a session behind."""
    client = KubeClient(lambda: KubeAccess(kube.url))
    await client.close()
    with pytest.raises(KubeError, match="closed"):
        await client.request("GET", "/version")


async def test_a_kubeconfig_that_vanishes_is_an_outage(world):
    """It is looked up again for every request."""
    world.file.unlink()
    assert "cannot be read" in ((await world.source.read()).down or "")
