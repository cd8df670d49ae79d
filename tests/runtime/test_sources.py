"""Several sources in one controller: who owns a name, what is told, who leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.adapters.yaml.documents import digest
from hactl.core.document.problems import Problem
from hactl.core.kube.codec import cluster_body
from hactl.errors import HactlError
from hactl.ports import API_LABEL, API_ORIGIN, Document, SourceState
from hactl.runtime.documents import Changes, DocumentsInForce
from hactl.runtime.leadership import SharedSource
from runtime.test_controller import DONE, House, state
from support.toy_world import ToySource, make_document, play

GIT = "git:https://h/ha.git#main:clusters"
LABELS = {"git": GIT}


def from_git(name: str = "pair", *, commit: str = "c1", note: str = "") -> Document:
    """A document of a commit."""
    document = make_document(name, note=note, source=f"{GIT}/{name}.yaml")
    return replace(document, revision=commit, author="Ada <ada@example.org>", revised_at="2026-11-01T10:00:00Z")


def from_api(name: str = "pair", *, note: str = "") -> Document:
    """A document that was made through the API."""
    return make_document(name, note=note, source=f"api/{name}")


class Desk:
    """Documents in force on a real (in memory) record; `again` is a restart."""

    def __init__(self, **sources: ToySource) -> None:
        self.sources = {LABELS.get(label, label): source for label, source in sources.items()}
        self.store = memory_record()
        self.documents: dict[str, Document] = {}
        self.again()

    def again(self) -> None:
        """A new process on the same record."""
        self.in_force = DocumentsInForce(self.sources, self.store, revive=self._revive)

    def _revive(self, row: Mapping[str, Any]) -> Document:
        return next(d for d in self.documents.values() if d.digest == row["digest"] and d.source == row["source"])

    async def take(self, *labels: str) -> Changes:
        """Read these sources (all), in this order."""
        changes = Changes()
        for label in labels or tuple(self.sources):
            label = LABELS.get(label, label)
            read = await self.in_force.read(label)
            self.documents |= {f"{label}/{name}": document for name, document in read.documents.items()}
            changes = await self.in_force.take(label, read)
        return changes

    async def events(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Events of that kind."""
        return await self.store.history({"kind": kind})


async def test_a_generation_knows_its_commit_and_author() -> None:
    """In the event, in the record and in what is in force."""
    desk = Desk(git=ToySource(from_git()))
    await desk.take()
    [event] = await desk.events("DocumentAccepted")
    assert event["detail"]["revision"] == "c1"
    assert event["detail"]["author"] == "Ada <ada@example.org>"
    assert event["detail"]["origin"] == GIT
    accepted = desk.in_force.accepted["pair"]
    assert (accepted.label, accepted.document.revision, accepted.generation) == (GIT, "c1", 1)


async def test_a_commit_that_changes_nothing_here_makes_no_generation() -> None:
    """Its revision is shown all the same."""
    source = ToySource(from_git())
    desk = Desk(git=source)
    await desk.take()
    source.put(state(from_git(commit="c2")))
    changes = await desk.take()
    assert changes.touched == {"pair"}
    assert desk.in_force.accepted["pair"].generation == 1
    assert desk.in_force.accepted["pair"].document.revision == "c2"
    assert len(await desk.events("DocumentAccepted")) == 1


async def test_what_comes_back_from_the_record_still_names_its_commit() -> None:
    """The source is down when the controller starts."""
    source = ToySource(from_git())
    desk = Desk(git=source, clusters=ToySource(make_document("web")))
    await desk.take()
    desk.again()
    desk._revive = lambda row: make_document(source=row["source"])  # type: ignore[method-assign]
    desk.in_force = DocumentsInForce(desk.sources, desk.store, revive=desk._revive)
    source.put(SourceState({}, (), down="cannot be fetched"))
    await desk.take("git")
    found = desk.in_force.accepted["pair"].document
    assert (found.revision, found.author) == ("c1", "Ada <ada@example.org>")
    assert set(desk.in_force.accepted) == {"pair"}, "what another source gave is not brought back here"


async def test_a_name_of_the_api_and_of_a_directory_is_an_error_on_both() -> None:
    """The API's stays in force; it is told for both, and once in the history."""
    api, directory = ToySource(), ToySource()
    desk = Desk(api=api, clusters=directory)
    api.put(state(from_api()))
    await desk.store.create_object("haclusters", _body(from_api()), actor="ada", document=from_api())
    await desk.take()
    directory.put(state(make_document(note="other")))
    await desk.take()
    accepted = desk.in_force.accepted["pair"]
    assert (accepted.label, accepted.document) == (API_LABEL, from_api())
    told = "pair is in two sources, api/pair and clusters/pair.yaml; remove it from one of them"
    assert accepted.problems == (told,)
    assert desk.in_force.problems == {"api": (told,), "clusters": (told,)}
    await desk.take()
    [event] = await desk.events("DocumentRefused")
    assert (event["cluster"], event["summary"]) == ("pair", told)
    directory.put(state())
    await desk.take()
    assert desk.in_force.accepted["pair"].problems == ()
    assert desk.in_force.problems == {"api": (), "clusters": ()}


async def test_after_a_restart_the_one_that_was_in_force_still_is() -> None:
    """Whichever source is read first, and whatever kind the other one is."""
    for order in (("git", "clusters"), ("clusters", "git")):
        git, directory = ToySource(from_git()), ToySource()
        desk = Desk(git=git, clusters=directory)
        await desk.take()
        directory.put(state(make_document(note="other")))
        await desk.take()
        desk.again()
        await desk.take(*order)
        accepted = desk.in_force.accepted["pair"]
        if order[0] == "git":
            assert (accepted.label, accepted.document.digest) == (GIT, from_git().digest)
        assert "is in two sources" in accepted.problems[0]
        assert all(desk.in_force.problems.values())


async def test_two_sources_at_the_first_sight_of_a_name_manage_nothing() -> None:
    """Neither was in force before."""
    desk = Desk(git=ToySource(from_git()), clusters=ToySource())
    read = [(label, await desk.in_force.read(label)) for label in desk.sources]
    desk.sources["clusters"].put(state(make_document()))  # type: ignore[attr-defined]
    desk.in_force._held["clusters"].good["pair"] = make_document()
    await desk.in_force.take(*read[0])
    assert desk.in_force.accepted == {}
    assert all("is in two sources" in told[0] for told in desk.in_force.problems.values())


async def test_a_source_that_was_emptied_on_purpose_is_empty() -> None:
    """Where the source knows; elsewhere it is taken for an outage."""
    for certain in (True, False):
        source = ToySource(from_git(), from_git("web"))
        desk = Desk(git=source)
        await desk.take()
        source.put(SourceState({}, (), certain=certain))
        await desk.take()
        assert set(desk.in_force.accepted) == (set() if certain else {"pair", "web"})


async def test_trouble_of_a_source_is_told_for_each_of_its_clusters() -> None:
    """A refused commit is the business of everybody whose document it could have changed."""
    source = ToySource(from_git(), from_git("web"))
    desk = Desk(git=source, clusters=ToySource(make_document("other")))
    await desk.take()
    problem = Problem(f"{GIT}/web.yaml", 3, 7, "spec", "expected a mapping")
    good = {name: from_git(name) for name in ("pair", "web")}
    source.put(SourceState(good, (problem,), trouble="commit c2 is refused", certain=True))
    changes = await desk.take()
    assert desk.in_force.accepted["pair"].problems == (f"{GIT}: commit c2 is refused",)
    assert desk.in_force.accepted["web"].problems == (f"{GIT}: commit c2 is refused", str(problem))
    assert desk.in_force.accepted["other"].problems == ()
    assert changes.vanished == frozenset()


def _body(document: Document) -> dict[str, Any]:
    from hactl.core.kube.codec import cluster_body

    return cluster_body(document.cluster)


# -- the controller ---------------------------------------------------------------------------------------------------


def test_a_slow_source_keeps_no_other_waiting() -> None:
    """Its read hangs; the other one's change is in force within a second."""

    class Slow(ToySource):
        async def read(self) -> SourceState:
            await asyncio.sleep(1000)
            return self.state

    async def story() -> None:
        quick = ToySource(make_document())
        house = House({"slow": Slow(make_document("web")), "quick": quick})
        async with house.running():
            await asyncio.sleep(20)
            quick.put(state(make_document(note="second")))
            await asyncio.sleep(1)
            assert house.controller.accepted["pair"].generation == 2
            assert "web" not in house.controller.accepted

    play(story)


def test_a_nudge_reads_one_source_or_all_at_once() -> None:
    """It says nothing about what changed."""

    async def story() -> None:
        house = House({"one": ToySource(make_document()), "two": ToySource(make_document("web"))})
        async with house.running() as controller:
            await asyncio.sleep(20)
            assert controller.sources == ("one", "two")
            before = [source.reads for source in house.sources.values()]
            controller.nudge("two")
            await asyncio.sleep(0.1)
            assert [source.reads for source in house.sources.values()] == [before[0], before[1] + 1]
            controller.nudge()
            await asyncio.sleep(0.1)
            assert [source.reads for source in house.sources.values()] == [before[0] + 1, before[1] + 2]

    play(story)


class ToyShared(ToySource):
    """A shared source whose lead a test gives and takes."""

    def __init__(self, *documents: Document) -> None:
        super().__init__(*documents)
        self.mine = False
        self.told: list[tuple[str, Mapping[str, Any], Sequence[Mapping[str, Any]]]] = []
        self.refuses = False
        self.closed = False
        self._changed_lead: Callable[[], None] = lambda: None
        self.gave_back = False

    @property
    def leads(self) -> bool:
        return self.mine

    @property
    def leader(self) -> str:
        return "" if self.mine else "another"

    def lead(self, mine: bool) -> None:
        """Win or lose."""
        self.mine = mine
        self._changed_lead()

    async def campaign(self, changed: Callable[[], None]) -> None:
        self._changed_lead = changed
        try:
            await asyncio.Event().wait()
        finally:
            self.gave_back = True

    async def report(self, cluster: str, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
        if self.refuses:
            raise HactlError("503")
        self.told.append((cluster, status, events))

    async def close(self) -> None:
        self.closed = True


def test_the_toy_is_what_the_controller_takes_for_a_shared_source() -> None:
    """And a plain one is not."""
    assert isinstance(ToyShared(), SharedSource)
    assert not isinstance(ToySource(), SharedSource)


def test_without_the_lead_it_looks_and_changes_nothing() -> None:
    """The status says who leads; its own other sources are not held up; with the lead it acts and tells."""

    async def story() -> None:
        shared = ToyShared(make_document())
        house = House({"k8s": shared, "clusters": ToySource(make_document("web"))})
        async with house.running() as controller:
            await asyncio.sleep(60)
            assert house.nodes.node("a").probes > 0
            assert house.loaded() == {}
            assert house.loaded("a", "web") == DONE
            assert house.problems() == ["k8s: another is the leader; this hactl looks and changes nothing"]
            assert (controller.leads("pair"), controller.leads("web")) == (False, True)
            assert shared.told == []
            shared.lead(True)
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            assert house.problems() == []
            cluster, status, _ = shared.told[-1]
            assert cluster == "pair"
            assert status["conditions"][0]["status"] == "True"
        assert shared.gave_back
        assert shared.closed

    play(story)


def test_a_lost_lead_stops_acting_at_once() -> None:
    """The step that runs gets its grace; no further one begins."""

    async def story() -> None:
        shared = ToyShared(make_document())
        shared.mine = True
        house = House({"k8s": shared})
        for node in "ab":
            house.nodes.node(node).work_seconds = 5.0
        async with house.running():
            shared.lead(True)
            await asyncio.sleep(2)
            begun = len(house.store.steps)
            assert begun > 0
            shared.lead(False)
            await asyncio.sleep(120)
            assert len(house.store.steps) == begun
            assert house.loaded() != DONE
            shared.lead(True)
            await asyncio.sleep(120)
            assert house.loaded() == DONE

    play(story)


def test_a_lead_that_lapsed_unseen_is_noticed_before_acting() -> None:
    """A process that was frozen has no task that could have told it."""

    async def story() -> None:
        shared = ToyShared(make_document())
        house = House({"k8s": shared})
        async with house.running():
            shared.lead(True)
            await asyncio.sleep(30)
            shared.mine = False
            house.nodes.node("a").modules.clear()
            await asyncio.sleep(120)
            assert house.loaded() == {}

    play(story)


def test_a_status_that_could_not_be_told_is_told_later() -> None:
    """The newest one only; what did not change is told again once a minute, so that it does not look forgotten."""

    async def story() -> None:
        shared = ToyShared(make_document())
        shared.refuses = True
        house = House({"k8s": shared})
        async with house.running():
            shared.lead(True)
            await asyncio.sleep(30)
            assert house.loaded() == DONE
            assert shared.told == []
            shared.refuses = False
            await asyncio.sleep(10)
            told = len(shared.told)
            assert told == 1
            await asyncio.sleep(600)
            assert 8 <= len(shared.told) - told <= 10
            assert all(not events for _, _, events in shared.told[1:]), "what happened is told once"

    play(story)


# -- spec.managedBy, and a controller's own name ----------------------------------------------------------------------


def managed(document: Document, name: str | None) -> Document:
    """The same document, looked after by another controller."""
    spec = document.cluster.spec.model_copy(update={"managed_by": name})
    cluster = document.cluster.model_copy(update={"spec": spec})
    return replace(document, cluster=cluster, digest=digest(cluster))


def holds(source: ToySource, *documents: Document) -> None:
    """From now on the source has these."""
    source.put(SourceState({document.cluster.name: document for document in documents}, ()))


class NamedDesk:
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
    assert asyncio.run(NamedDesk(source, name).take()) == mine


@pytest.mark.parametrize("restart", [False, True])
def test_a_document_that_goes_to_another_controller_is_let_go(restart: bool) -> None:
    """At once, or when it comes back to it; nothing is torn down, and the history says who has it."""

    async def story() -> None:
        source = ToySource(make_document("pair"), make_document("web"))
        desk = NamedDesk(source, "")
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
        desk = NamedDesk(source, "")
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
        desk = NamedDesk(source, "", label=API_LABEL)
        for document in (make_document("pair"), theirs):
            body = cluster_body(document.cluster)
            await desk.store.create_object("haclusters", body, actor="ada", document=document)
        assert await desk.take() == ["pair"]
        if broken:
            source.put(SourceState({}, (), broken=frozenset({"pair", "web"})))
        desk.again()
        assert await desk.take() == ["pair"]
        assert await desk.store.origin("web") == API_ORIGIN
        assert await desk.store.history({"kind": "DocumentVanished"}) == []
        holds(source, managed(make_document("pair"), "second"), theirs)
        assert await desk.take() == []
        assert await desk.store.origin("pair") == API_ORIGIN
        [row] = await desk.store.history({"kind": "DocumentVanished"})
        assert "the controller second looks after it" in row["summary"]

    asyncio.run(story())
