"""Who looks after which document: `spec.managedBy`, and a controller's own name."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.adapters.yaml.documents import digest
from hactl.core.kube.codec import cluster_body
from hactl.ports import API_LABEL, API_ORIGIN, Document, SourceState
from hactl.runtime.documents import DocumentsInForce
from support.toy_world import ToySource, make_document


def managed(document: Document, name: str | None) -> Document:
    """The same document, looked after by another controller."""
    spec = document.cluster.spec.model_copy(update={"managed_by": name})
    cluster = document.cluster.model_copy(update={"spec": spec})
    return replace(document, cluster=cluster, digest=digest(cluster))


def holds(source: ToySource, *documents: Document) -> None:
    """From now on the source has these."""
    source.put(SourceState({document.cluster.name: document for document in documents}, ()))


class Desk:
    """Documents in force of a controller of a name."""

    def __init__(self, source: ToySource, name: str, *, label: str = "clusters") -> None:
        self.store = memory_record()
        self.label, self.source, self.name = label, source, name
        self.known: dict[str, Document] = {}
        self.again()

    def again(self) -> None:
        """A new process on the same record."""
        self.in_force = DocumentsInForce(
            {self.label: self.source}, self.store, revive=lambda row: self.known[row["digest"]], managed_by=self.name
        )

    async def take(self) -> list[str]:
        """Read the source; what is in force then."""
        state = await self.in_force.read(self.label)
        self.known |= {each.digest: each for each in state.documents.values()}
        await self.in_force.take(self.label, state)
        return sorted(self.in_force.accepted)


@pytest.mark.parametrize(("name", "mine"), [("", ["pair"]), ("second", ["web"]), ("third", [])])
def test_each_controller_takes_in_what_names_it(name: str, mine: list[str]) -> None:
    """One without a name what names none."""
    source = ToySource(make_document("pair"), managed(make_document("web"), "second"))
    assert asyncio.run(Desk(source, name).take()) == mine


@pytest.mark.parametrize("restart", [False, True])
def test_a_document_that_goes_to_another_controller_is_let_go(restart: bool) -> None:
    """At once, or when it comes back to it; nothing is torn down, and the history says who has it."""

    async def story() -> None:
        source = ToySource(make_document("pair"), make_document("web"))
        desk = Desk(source, "")
        assert await desk.take() == ["pair", "web"]
        holds(source, make_document("pair"), managed(make_document("web"), "second"))
        if restart:
            desk.again()
        assert await desk.take() == ["pair"]
        assert [row["cluster"] for row in await desk.store.documents()] == ["pair"]
        [row] = await desk.store.history({"kind": "DocumentVanished"})
        assert row["summary"].startswith("unmanaged: the controller second looks after it (spec.managedBy)")
        holds(source, make_document("pair"), make_document("web"))
        assert await desk.take() == ["pair", "web"]

    asyncio.run(story())


def test_a_source_of_which_all_goes_to_others_is_not_suddenly_empty() -> None:
    """Two go at once, and it is meant so."""

    async def story() -> None:
        source = ToySource(make_document("pair"), make_document("web"))
        desk = Desk(source, "")
        await desk.take()
        holds(source, *(managed(make_document(name), "second") for name in ("pair", "web")))
        assert await desk.take() == []
        assert desk.in_force.troubles["clusters"] == ("", 0)

    asyncio.run(story())


@pytest.mark.parametrize("broken", [False, True])
def test_what_the_api_keeps_for_another_controller_stays_there(broken: bool) -> None:
    """The record has it, and it is not taken for one of ours: not while it does not load, nor after a restart."""

    async def story() -> None:
        theirs = managed(make_document("web"), "second")
        source = ToySource(make_document("pair"), theirs)
        desk = Desk(source, "", label=API_LABEL)
        for document in (make_document("pair"), theirs):
            body = cluster_body(document.cluster)
            await desk.store.create_object("haclusters", body, actor="ada", document=document)
        assert await desk.take() == ["pair"]
        if broken:
            source.put(SourceState({}, (), broken=frozenset({"pair", "web"})))
        desk.again()
        assert await desk.take() == ["pair"]
        assert await desk.store.origin("web") == API_ORIGIN

    asyncio.run(story())
