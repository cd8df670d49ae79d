"""ApiSource: the API's own clusters as the controller reads them, from a record in memory and from a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.adapters.sources import api as object_source
from hactl.adapters.sources.api import ApiSource
from hactl.adapters.yaml.documents import digest, read_documents
from hactl.core.document.load import read_cluster
from hactl.core.kube.codec import REFERENCES, document_data
from hactl.core.objects import HACluster
from hactl.errors import StoreError
from hactl.ports import Document
from support.contracts.store import document
from support.limits import LIMIT_SECONDS
from support.store_process import finish, process

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKk4hmqIM5hIbHqDoc5VAqqeD3lqFMhOs3Bl5jcRVZZs"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """An empty record."""
    made = memory_record()
    yield made
    await made.close()


def cluster(name: str = "nas", **changes: Any) -> dict[str, Any]:
    """A valid cluster as somebody posts it; `changes` go into the metadata, `password` into its only vhid."""
    password = changes.pop("password", {"file": "nas/carp"})
    nodes = [
        {"name": f"{name}-{letter}", "ssh": {"host": f"192.0.2.1{number}", "hostKey": KEY}}
        for number, letter in enumerate("ab")
    ]
    vip = {"name": "files", "vhid": 80, "addresses": ["192.0.2.80/24"], "passwordFrom": password}
    vip["interfaces"] = {node["name"]: "em0" for node in nodes}
    group = {"name": "files", "preferred": [node["name"] for node in nodes], "virtualIPs": [vip]}
    return {
        "apiVersion": "hactl.dev/v1alpha1",
        "kind": "HACluster",
        "metadata": {"name": name, **changes},
        "spec": {"nodes": nodes, "groups": [group]},
    }


async def post(store: Store, body: dict[str, Any]) -> int:
    """Store it as the API does; its revision."""
    found = read_cluster(document_data(body))
    if not isinstance(found, HACluster):
        # What an older hactl let in: a document this one does not read any more.
        made = document(body["metadata"]["name"])
    else:
        made = Document(found, "api", "/nowhere", digest(found), "{}")
    current = (await store.objects("haclusters", body["metadata"]["name"]))[1]
    if current:
        revision = int(current[0]["metadata"]["resourceVersion"])
        stored = await store.update_object("haclusters", body, expected=revision, actor="a", document=made)
    else:
        stored = await store.create_object("haclusters", body, actor="a", document=made)
    return int(stored["metadata"]["resourceVersion"])


async def test_what_was_made_through_the_api_is_read(store: Store) -> None:
    """With the digest the API stored, references from the directory of secrets, and a text that loads again."""
    await post(store, cluster(labels={"site": "b"}, annotations={"smile": "\u263a"}))
    await store.put_document(document("fw"), actor="controller", origin="/etc/hactl")
    state = await ApiSource(store, "/secrets").read()
    assert (set(state.documents), state.problems, state.broken, state.down) == ({"nas"}, (), frozenset(), None)
    found = state.documents["nas"]
    assert (found.source, found.directory) == ("api/nas", "/secrets")
    assert found.digest == (await store.documents())[1]["digest"]
    assert (found.cluster.metadata.labels, found.cluster.metadata.annotations) == ({"site": "b"}, {"smile": "\u263a"})
    again = read_documents(found.text.encode(), source="x", directory="/secrets").documents[0]
    assert again.cluster == found.cluster
    assert await store.put_document(found, actor="controller", origin="") == 1


async def test_an_empty_source_is_meant_so(store: Store) -> None:
    """The record says what was deleted: it is no outage when nothing is left."""
    for name in ("a", "b"):
        await post(store, cluster(name))
    source = ApiSource(store, "/secrets")
    assert len((await source.read()).documents) == 2
    for name in ("a", "b"):
        await store.delete_object("haclusters", name, actor="a")
    state = await source.read()
    assert (state.documents, state.certain) == ({}, True)


async def test_what_does_not_load_is_broken_and_not_gone(store: Store) -> None:
    """A record of another hactl, or references to what no document from a network may name: told, with the field."""
    await post(store, cluster("good"))
    await post(store, cluster("greedy", password={"file": "/etc/master.passwd"}))
    await post(store, cluster("odd") | {"spec": {"nodes": "two"}})
    state = await ApiSource(store, "/secrets").read()
    assert set(state.documents) == {"good"}
    assert state.broken == {"greedy", "odd"}
    told = [str(problem) for problem in state.problems]
    assert any(line.startswith("api/greedy: spec.groups[0].virtualIPs[0].passwordFrom.file: ") for line in told)
    assert any(line.startswith("api/odd: spec.nodes: ") for line in told)


async def test_references_of_a_document_of_this_machine(store: Store) -> None:
    """Its object says where they start, and it may name what it likes, as a file of a directory may."""
    await post(store, cluster(annotations={REFERENCES: "/srv/kim/site"}, password={"file": "/etc/carp"}))
    state = await ApiSource(store, "/secrets").read()
    assert state.problems == ()
    assert state.documents["nas"].directory == "/srv/kim/site"
    await post(store, cluster("odd", annotations={REFERENCES: "/x"}) | {"spec": {"nodes": "two"}})
    state = await ApiSource(store, "/secrets").read()
    assert state.broken == {"odd"}
    assert all(str(problem).startswith("api/odd: ") for problem in state.problems)


async def test_a_record_that_cannot_be_read_is_an_outage(store: Store) -> None:
    """Everything stays in force."""
    source = ApiSource(store, "/secrets")
    await store.close()
    state = await source.read()
    assert state.down is not None
    assert "closed" in state.down


class Watch:
    """Counts what a source says."""

    def __init__(self, source: ApiSource) -> None:
        self.source = source
        self.hints = asyncio.Queue[None]()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for hint in self.source.changes():
            self.hints.put_nowait(hint)

    async def hinted(self) -> bool:
        """Whether there is a hint, now that everything had its turn."""
        for _ in range(20):
            await asyncio.sleep(0)
        hints = self.hints.qsize()
        while self.hints.qsize():
            self.hints.get_nowait()
        return hints > 0

    async def stop(self) -> None:
        """No more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_hints_are_about_documents(store: Store) -> None:
    """A cluster that comes, changes or goes; not statuses, nor what belongs to other sources, nor leases."""
    await post(store, cluster())
    await store.put_document(document("fw"), actor="controller", origin="/etc/hactl")
    source = ApiSource(store, "/secrets")
    watch = Watch(source)
    assert await watch.hinted(), "nothing was read yet"
    await source.read()
    for name in ("nas", "fw"):
        await store.put_status(name, {"a": 1})
    await store.put_document(document("fw", "d2"), actor="controller", origin="/etc/hactl")
    await store.record("NodeLost", "nas", "x")
    await store.unmanage("fw", why="gone")
    assert not await watch.hinted()
    await post(store, cluster(labels={"a": "b"}))
    assert await watch.hinted()
    await source.read()
    await post(store, cluster("web"))
    assert await watch.hinted()
    await source.read()
    await store.delete_object("haclusters", "web", actor="a")
    assert await watch.hinted()
    await watch.stop()


async def test_what_becomes_the_apis_is_a_hint(store: Store) -> None:
    """A cluster that a command had handed in, handed in again to the API from this machine."""
    await store.put_document(document(), actor="kim")
    source = ApiSource(store, "/secrets")
    await source.read()
    watch = Watch(source)
    assert not await watch.hinted()
    await post(store, cluster(annotations={REFERENCES: "/srv/kim"}))
    assert await watch.hinted()
    assert set((await source.read()).documents) == {"nas"}
    await watch.stop()


async def test_a_change_between_reading_and_watching_is_not_lost(store: Store) -> None:
    """The watch begins where the reading was."""
    source = ApiSource(store, "/secrets")
    await source.read()
    await post(store, cluster())
    watch = Watch(source)
    assert await watch.hinted()
    await watch.stop()


async def test_many_changes_at_once_are_all_looked_at(store: Store) -> None:
    """More statuses than one portion of the log, and a new document after them."""
    await post(store, cluster())
    source = ApiSource(store, "/secrets")
    await source.read()
    for number in range(1100):
        await store.put_status("nas", {"a": number})
    await post(store, cluster(labels={"a": "b"}))
    watch = Watch(source)
    assert await watch.hinted()
    await watch.stop()


async def test_a_watch_that_slept_too_long_reads_again(store: Store) -> None:
    """The log no longer goes back to what was read: that is a hint, once."""
    await post(store, cluster())
    source = ApiSource(store, "/secrets")
    await source.read()
    for number in range(4200):
        await store.put_status("nas", {"a": number})
    watch = Watch(source)
    assert await watch.hinted()
    await source.read()
    await store.put_status("nas", {"a": "z"})
    assert not await watch.hinted()
    await watch.stop()


async def test_what_another_process_posts_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hactl apply` without a server writes to the same record: the controller sees it within a poll."""
    monkeypatch.setattr(object_source, "POLL_SECONDS", 0.02)
    path = tmp_path / "hactl.db"
    store = await open_record(path)
    source = ApiSource(store, "/secrets")
    await source.read()
    watch = Watch(source)
    other = process(
        """
        from support.contracts.objects import body
        store = await open_record(path)
        await store.create_object("haclusters", body(), actor="a", document=document())
        await store.close()
        """,
        path,
    )
    await asyncio.to_thread(finish, other)
    async with asyncio.timeout(LIMIT_SECONDS):
        await watch.hints.get()
    assert (await source.read()).broken | set((await source.read()).documents) == {"nas"}
    await watch.stop()
    await store.close()


async def test_a_watch_outlives_an_outage_of_the_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the record cannot be read there are hints, so that somebody reads and says so; then it goes on."""
    source = ApiSource(store, "/secrets")
    await source.read()
    watch = Watch(source)
    assert not await watch.hinted()

    async def broken(revision: int, *, limit: int = 1000) -> Any:
        raise StoreError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(store, "changes_since", broken)
        await store.put_status("nas", {"a": 1})
        assert await watch.hinted()
    await post(store, cluster())
    assert await watch.hinted()
    await watch.stop()
