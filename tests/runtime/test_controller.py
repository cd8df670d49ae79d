"""The long-running loop: documents in and out, isolation, hints, stops."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from hactl.core.document.problems import Problem
from hactl.errors import DocumentError, InvariantBroken, StoreError
from hactl.ports import Document, SourceState
from hactl.runtime.controller import Controller
from hactl.runtime.documents import DocumentsInForce
from hactl.runtime.watch import DevdWatch
from hactl.runtime.workqueue import WorkQueue
from runtime.test_reconcile import make_reconciler
from support.toy_world import (
    WANTED,
    ToyLock,
    ToyNodes,
    ToySource,
    ToyStore,
    VirtualClock,
    make_document,
    play,
    toy_plan,
)

DONE = dict.fromkeys(WANTED, True)
BROKEN = Problem("clusters/pair.yaml", 3, 7, "spec", "expected a mapping")


@dataclass
class House:
    """A controller on toy parts."""

    sources: Mapping[str, ToySource]
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: ToyStore = field(default_factory=ToyStore)
    lock: ToyLock = field(default_factory=ToyLock)
    nodes: ToyNodes = None  # type: ignore[assignment]
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = self.nodes or ToyNodes(self.clock)
        self.queue = WorkQueue(self.clock, random.Random(1))
        reconciler = make_reconciler(self.nodes, self.store, self.lock, self.clock, **self.options)
        self.watch = DevdWatch(self.nodes, self.clock, random.Random(2), self._wake, "toy")
        documents = DocumentsInForce(self.sources, self.store, revive=revive)
        self.controller = Controller(documents, self.store, reconciler, self.queue, self.watch, self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Controller]:
        """The controller runs inside and is stopped at the end."""
        task = asyncio.ensure_future(self.controller.run())
        try:
            yield self.controller
        finally:
            self.controller.stop()
            await task
            self.stopped_at = self.clock.monotonic()
            await self.nodes.close()

    def _wake(self, cluster: str, seconds: float) -> None:
        self.controller.wake(cluster, seconds)

    def loaded(self, node: str = "a", cluster: str = "pair") -> Mapping[str, bool]:
        """What is loaded there."""
        return self.nodes.node(node, cluster).modules

    def problems(self, cluster: str = "pair") -> list[str]:
        """What the kept status of the cluster complains about."""
        return list(self.store.kept[cluster]["problems"])

    def kinds(self) -> list[str]:
        """Kinds of events on record."""
        return [event[0] for event in self.store.events]


def revive(row: Mapping[str, Any]) -> Document:
    """The toy record keeps documents whole."""
    if row["document"].text.endswith("too old"):
        raise DocumentError([Problem("record", 0, 0, "", "no longer valid")])
    document: Document = row["document"]
    return document


def state(*documents: Document, problems: tuple[Problem, ...] = (), broken: tuple[str, ...] = ()) -> SourceState:
    """A source that holds these."""
    return SourceState({d.cluster.name: d for d in documents}, problems, frozenset(broken))


def test_documents_are_accepted_recorded_and_brought_about() -> None:
    """From nothing to Ready, and its start and end are on record."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(), make_document("web"))})
        async with house.running():
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            assert house.loaded("b", "web") == DONE
        assert [d.digest for d in house.store.put["pair"]] == [make_document().digest]
        assert (house.kinds()[0], house.kinds()[-1]) == ("ControllerStarted", "ControllerStopped")

    play(story)


def test_a_quiet_hour_writes_nothing() -> None:
    """Resyncs look, and that is all."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document())})
        async with house.running():
            await asyncio.sleep(20)
            writes, probes = len(house.store.writes), house.nodes.node("a").probes
            await asyncio.sleep(3600)
            assert len(house.store.writes) == writes
            assert 90 <= house.nodes.node("a").probes - probes <= 130

    play(story)


def test_a_changed_document_is_acted_on_within_a_second() -> None:
    """A new generation goes first; drift waits for the resync."""

    async def story() -> None:
        source = ToySource(make_document())
        house = House({"clusters": source})
        async with house.running():
            await asyncio.sleep(20)
            house.nodes.node("a").modules.clear()
            began = house.clock.monotonic()
            source.put(state(make_document(note="second")))
            await asyncio.sleep(1)
            assert house.nodes.node("a").received[-1][0] - began < 1.0
            assert house.controller.accepted["pair"].generation == 2

    play(story)


def test_dead_and_hanging_clusters_delay_no_other() -> None:
    """Fifty clusters that hang in a fleet of a hundred, and one that must be done as fast as if it were alone."""

    async def alone(others: int) -> float:
        documents = [make_document(f"dead{n}") for n in range(others)]
        living = [make_document(f"living{n}", mode="Observe") for n in range(others)]
        house = House({"clusters": ToySource(*documents, *living, make_document())})
        for n in range(others):
            for node in "ab":
                machine = house.nodes.node(node, f"dead{n}")
                machine.hangs, machine.unreachable = n % 2 == 0, n % 2 == 1
        async with house.running():
            await asyncio.sleep(60)
            return max(at for node in "ab" for at, _ in house.nodes.node(node).applied) - 1000.0

    assert play(lambda: alone(50)) <= play(lambda: alone(0)) + 3.5


def test_when_most_of_the_fleet_vanishes_nothing_is_changed_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Our own network is suspected: observed, planned, held; it goes on by itself when they answer again."""
    caplog.set_level(logging.INFO, "hactl.runtime.passes.reconcile")

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(), make_document("two"), make_document("three"))})
        async with house.running():
            await asyncio.sleep(30)
            for node in "ab":
                house.nodes.node(node, "two").unreachable = True
            house.nodes.node("a", "three").unreachable = True
            await asyncio.sleep(70)
            house.nodes.node("a").modules.clear()
            await asyncio.sleep(70)
            assert house.nodes.node("a").modules == {}
            assert any("3 of 6 nodes are silent" in hold for hold in house.store.kept["pair"]["holds"])
            house.nodes.node("a", "three").unreachable = False
            await asyncio.sleep(90)
            assert set(house.nodes.node("a").modules) == set(WANTED)
        assert [r.getMessage() for r in caplog.records if "vanished at once" in r.getMessage()] == [
            "many nodes vanished at once; nothing is changed until they answer"
        ]
        assert any("going on" in r.getMessage() for r in caplog.records)

    play(story)


def test_a_broken_file_leaves_the_last_good_generation_in_force_and_says_so() -> None:
    """Drift is still corrected; the problem is in the status until the file is good again."""

    async def story() -> None:
        source = ToySource(make_document())
        house = House({"clusters": source})
        async with house.running():
            await asyncio.sleep(20)
            source.put(state(problems=(BROKEN,), broken=("pair",)))
            await asyncio.sleep(2)
            assert house.problems() == [str(BROKEN)]
            assert house.controller.accepted["pair"].refused == str(BROKEN)
            assert house.controller.source_health["clusters"].refused == 1
            house.nodes.node("a").modules.clear()
            await asyncio.sleep(40)
            assert house.loaded() == DONE
            assert house.kinds().count("DocumentRefused") == 1
            source.put(state(make_document()))
            await asyncio.sleep(2)
            assert house.problems() == []
            assert house.controller.accepted["pair"].refused == ""
            assert house.controller.accepted["pair"].generation == 1
            assert not house.store.unmanaged

    play(story)


def test_a_vanished_document_is_unmanaged_and_nothing_is_torn_down() -> None:
    """No look, no stream, no step afterwards; handing it in again manages it again."""

    async def story() -> None:
        source = ToySource(make_document(), make_document("web"))
        house = House({"clusters": source})
        async with house.running():
            await asyncio.sleep(20)
            source.put(state(make_document("web")))
            await asyncio.sleep(2)
            assert house.store.unmanaged == {"pair": "clusters/pair.yaml is gone"}
            assert house.nodes.streams_open == {("web", "a"), ("web", "b")}
            assert house.queue.waiting == {"web"}
            probes = house.nodes.node("a").probes
            house.nodes.node("a").modules.clear()
            await asyncio.sleep(300)
            assert house.nodes.node("a").probes == probes
            assert house.loaded() == {}
            source.put(state(make_document("web"), make_document()))
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            assert not house.store.unmanaged

    play(story)


def test_a_source_that_is_down_or_suddenly_empty_changes_nothing_and_is_told() -> None:
    """Everything stays in force."""

    async def story() -> None:
        source = ToySource(make_document(), make_document("web"))
        house = House({"clusters": source})
        async with house.running():
            await asyncio.sleep(20)
            for wrong in (SourceState({}, (), down="Permission denied"), state()):
                source.put(wrong)
                await asyncio.sleep(2)
                assert set(house.controller.accepted) == {"pair", "web"}
                assert "stay in force" in house.problems()[0]
                assert house.controller.accepted["web"].source_trouble == house.problems()[0]
                assert house.controller.accepted["web"].refused == ""
                assert house.controller.source_health["clusters"].trouble == house.problems()[0]
            assert not house.store.unmanaged
            source.put(SourceState({}, (), down="Permission denied"))
            await asyncio.sleep(200)
            assert (house.controller.source_health["clusters"].age_seconds or 0) > 150
            source.put(state(make_document(), make_document("web")))
            await asyncio.sleep(2)
            assert house.problems() == []
            assert house.controller.source_health["clusters"].trouble == ""
            assert (house.controller.source_health["clusters"].age_seconds or 0) < 3

    play(story)


def test_a_name_in_two_sources_is_an_error_on_both_and_changes_nothing() -> None:
    """What was in force stays; when one of them goes, the other is taken."""

    async def story() -> None:
        first, second = ToySource(make_document()), ToySource()
        house = House({"one": first, "two": second})
        async with house.running():
            await asyncio.sleep(20)
            second.put(state(make_document(note="other", source="two/pair.yaml")))
            await asyncio.sleep(2)
            assert house.controller.accepted["pair"].document == make_document()
            assert "clusters/pair.yaml and two/pair.yaml" in house.problems()[0]
            assert house.controller.accepted["pair"].refused == house.problems()[0]
            first.put(state())
            await asyncio.sleep(2)
            assert house.controller.accepted["pair"].document.source == "two/pair.yaml"
            assert house.controller.accepted["pair"].generation == 2
            assert house.problems() == []

    play(story)


def test_after_a_restart_a_file_that_is_broken_now_is_worked_on_as_it_was_accepted() -> None:
    """The record has the last good document; one that this hactl refuses is left alone."""

    async def story() -> None:
        store = ToyStore()
        for document in (make_document(), make_document("old", note="too old")):
            await store.put_document(document, actor="controller")
        source = ToySource()
        moved = Problem("clusters/moved.yaml", 1, 1, "", "not YAML")
        await store.put_document(make_document("moved", source="clusters/before.yaml"), actor="controller")
        source.state = state(problems=(BROKEN, moved), broken=("old", "moved"))
        house = House({"clusters": source}, store=store)
        async with house.running():
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            assert house.problems() == [str(BROKEN)]
            assert set(house.controller.accepted) == {"pair", "moved"}
            assert len(store.put["pair"]) == 1

    play(story)


def test_after_a_restart_with_the_source_down_the_record_decides() -> None:
    """The directory is not there: what came from it stays in force."""

    async def story() -> None:
        store = ToyStore()
        await store.put_document(make_document(), actor="controller")
        source = ToySource()
        source.state = SourceState({}, (), down="No such file or directory")
        house = House({"clusters": source}, store=store)
        async with house.running():
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            assert not store.unmanaged

    play(story)


def test_of_two_clusters_that_name_one_machine_the_later_one_is_refused_until_the_first_is_gone() -> None:
    """What came first goes on as if nothing had happened, also after a restart; the other says by name in whose way."""

    async def story() -> None:
        same = make_document().cluster
        named = same.model_copy(update={"metadata": same.metadata.model_copy(update={"name": "copy"})})
        copy = replace(make_document("copy"), cluster=named)
        source = ToySource(make_document(), make_document("web"))
        house = House({"clusters": source})
        async with house.running():
            await asyncio.sleep(20)
            assert house.loaded() == DONE
            source.put(state(make_document(), make_document("web"), copy))
            await asyncio.sleep(60)
            assert house.loaded("a", "copy") == {}
            assert house.loaded("b", "web") == DONE
            assert house.problems() == []
            (said,) = house.controller.statuses["copy"]["holds"]
            assert "a is a machine of the cluster pair (clusters/pair.yaml) too: both have a.pair.example" in said
            assert house.controller.statuses["pair"]["holds"] == []
            source.put(state(make_document("web"), copy))
            await asyncio.sleep(20)
            assert house.loaded("a", "copy") == DONE

    play(story)


def test_what_left_the_source_while_nobody_ran_is_unmanaged() -> None:
    """Its file was removed between two runs: said as if it had gone now; an empty directory is no such word."""

    async def story() -> None:
        store = ToyStore()
        for name in ("pair", "old", "older"):
            await store.put_document(make_document(name), actor="controller", origin="clusters")
        await store.put_document(make_document("foreign"), actor="controller", origin="another directory")
        source = ToySource()
        source.state = state()
        house = House({"clusters": source}, store=store)
        async with house.running():
            await asyncio.sleep(5)
            assert not store.unmanaged, "an empty directory is more likely not mounted"
            assert "suddenly empty" in house.problems()[0]
            source.put(state(make_document()))
            await asyncio.sleep(5)
            assert set(house.controller.accepted) == {"pair"}
            assert set(store.unmanaged) == {"old", "older"}

    play(story)


def test_a_document_that_cannot_be_recorded_is_not_in_force_until_it_can() -> None:
    """No record, no action; then it is taken in without a new hint."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document())})
        house.store.broken = True
        async with house.running():
            await asyncio.sleep(20)
            assert house.controller.accepted == {}
            assert house.nodes.node("a").probes == 0
            house.store.broken = False
            await asyncio.sleep(20)
            assert house.loaded() == DONE

    play(story)


def test_a_full_disk_stops_acting_keeps_looking_and_goes_on_when_there_is_room() -> None:
    """The newest status is still to be had from the process."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document())})
        async with house.running() as controller:
            await asyncio.sleep(20)
            house.store.broken = True
            house.nodes.node("a").modules.clear()
            await asyncio.sleep(100)
            assert house.loaded() == {}
            assert "store unavailable" in controller.statuses["pair"]["problems"][0]
            house.store.broken = False
            await asyncio.sleep(40)
            assert house.loaded() == DONE

    play(story)


def test_a_carp_event_wakes_a_look_within_a_second_and_a_storm_does_not_hammer() -> None:
    """Events are hints; other lines of devd are not even that."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document())})
        async with house.running():
            await asyncio.sleep(25)
            node, stream = house.nodes.node("a"), house.nodes.streams["pair", "a"]
            probes = node.probes
            stream.put_nowait("!system=USB subsystem=DEVICE type=ATTACH")
            await asyncio.sleep(0.5)
            assert node.probes == probes
            node.modules.pop("three")
            began = house.clock.monotonic()
            stream.put_nowait("!system=CARP subsystem=80@vtnet1 type=MASTER")
            await asyncio.sleep(3)
            assert node.received[-1][0] - began < 1.0
            assert [step["cause"] for step in house.store.steps.values()][-1] == "incident"
            probes = node.probes
            for _ in range(200):
                stream.put_nowait("!system=CARP subsystem=80@vtnet1 type=BACKUP")
                await asyncio.sleep(0.05)
            assert 5 <= node.probes - probes <= 13

    play(story)


def test_a_dead_stream_is_opened_again_and_what_was_missed_is_looked_for() -> None:
    """Latency is all it costs."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(nodes=["a"]))})
        async with house.running():
            await asyncio.sleep(40)
            opened = house.nodes.streams_opened
            probes = house.nodes.node("a").probes
            house.nodes.streams["pair", "a"].put_nowait(None)
            await asyncio.sleep(5)
            assert house.nodes.streams_opened == opened + 1
            assert house.nodes.node("a").probes >= probes + 1
            house.nodes.node("a").unreachable = True
            house.nodes.streams["pair", "a"].put_nowait(None)
            opened = house.nodes.streams_opened
            await asyncio.sleep(600)
            assert house.nodes.streams_opened == opened + 1
            house.nodes.node("a").unreachable = False
            probes = house.nodes.node("a").probes
            await asyncio.sleep(3)
            assert house.nodes.streams_opened == opened + 2
            assert house.nodes.node("a").probes > probes

    play(story)


def test_a_silent_stream_is_opened_again_at_once_and_wakes_nobody() -> None:
    """nc ends by itself after a minute without an event; one that does not is given up."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(nodes=["a"]))})
        async with house.running():
            await asyncio.sleep(20)
            opened, probes = house.nodes.streams_opened, house.nodes.node("a").probes
            await asyncio.sleep(600)
            assert house.nodes.streams_opened - opened == 10
            house.nodes.node("a").mute = True
            await asyncio.sleep(600)
            assert 16 <= house.nodes.streams_opened - opened <= 18
            assert house.nodes.streams_open == {("pair", "a")}
            assert house.nodes.node("a").probes - probes <= 41

    play(story)


def test_sighup_reads_everything_again_and_looks_at_everything() -> None:
    """Also what no hint told about."""

    async def story() -> None:
        source = ToySource(make_document())
        house = House({"clusters": source})
        async with house.running() as controller:
            await asyncio.sleep(20)
            source.state = state(make_document(note="second"))
            house.nodes.node("a").modules.clear()
            controller.reread()
            await asyncio.sleep(5)
            assert controller.accepted["pair"].generation == 2
            assert house.loaded() == DONE

    play(story)


@pytest.mark.parametrize("work_seconds", [1.0, 3.0, 28.0])
def test_sigterm_ends_within_its_bound_and_every_begun_step_has_an_outcome(work_seconds: float) -> None:
    """A short step ends, a long one is abandoned as Indeterminate; no other begins."""

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(nodes=["a"]), make_document("dead", nodes=["a"]))})
        house.nodes.node("a").work_seconds = work_seconds
        house.nodes.node("a", "dead").hangs = True
        async with house.running() as controller:
            await asyncio.sleep(0.9)
            controller.stop()
            controller.stop()
            began = house.clock.monotonic()
        assert len(house.store.steps) == 1
        assert house.store.steps[1]["outcome"] == ("Indeterminate" if work_seconds > 6 else "Done")
        assert house.stopped_at - began <= 8.0
        assert house.kinds()[-1] == "ControllerStopped"

    play(story)


def test_a_killed_controller_is_followed_by_one_that_goes_on_where_it_was() -> None:
    """Cancelled in the middle of a stage: steps of the dead are settled, nothing is repeated."""

    async def story(at: float) -> None:
        house = House({"clusters": ToySource(make_document())})
        task = asyncio.ensure_future(house.controller.run())
        await asyncio.sleep(at)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await house.nodes.close()
        after = House(house.sources, store=house.store, nodes=house.nodes)
        async with after.running():
            await asyncio.sleep(120)
        assert after.loaded() == DONE
        for node in "ab":
            assert [module for _, module in after.nodes.node(node).applied] == list(WANTED)
        assert all(step["outcome"] for step in house.store.steps.values())

    for tenth in range(1, 40, 3):
        play(lambda tenth=tenth: story(tenth / 10))


def test_steps_of_a_process_that_died_are_settled_at_the_start() -> None:
    """An intent without an outcome becomes Indeterminate, not a riddle."""

    async def story() -> None:
        house = House({"clusters": ToySource()})
        await house.store.begin_step({"cluster": "pair", "generation": 1, "node": "a", "verb": "V", "target": "t"})
        async with house.running():
            await asyncio.sleep(1)
        assert house.store.steps[1]["outcome"] == "Indeterminate"

    play(story)


def test_a_broken_invariant_ends_the_process() -> None:
    """Not only the cluster: nobody knows what else is wrong."""

    def dangerous(cluster: Any, *rest: Any) -> tuple[str, ...]:
        return ("two primaries",) if cluster.name == "pair" else ()

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(), make_document("web"))})
        house.options = {"audit": dangerous}
        house.__post_init__()
        with pytest.raises(InvariantBroken, match="two primaries"):
            await house.controller.run()
        await house.nodes.close()
        assert house.loaded() == {}

    play(story)


def test_a_bug_in_one_cluster_is_logged_backed_off_and_nobody_elses_problem(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception costs that cluster its look only."""
    tries: list[float] = []

    def buggy(cluster: Any, snapshot: Any, now: float, **rest: Any) -> Any:
        if cluster.name == "pair" and (now < 1300 or now > 2000):
            tries.append(now)
            raise ZeroDivisionError
        return toy_plan(cluster, snapshot, now, **rest)

    async def story() -> None:
        house = House({"clusters": ToySource(make_document(), make_document("web"))}, options={"plan": buggy})
        async with house.running():
            await asyncio.sleep(300)
            assert house.loaded("a", "web") == DONE
            await asyncio.sleep(800)
            assert house.loaded() == DONE

    play(story)
    assert 4 <= len([at for at in tries if at < 1300]) <= 20
    second = [at for at in tries if at > 2000]
    assert second[1] - second[0] < 2.0, "a success starts the delays over"
    assert "work failed unexpectedly" in caplog.text


def test_a_source_whose_hints_break_is_still_read_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Hints are a convenience."""

    class Deaf(ToySource):
        async def changes(self) -> AsyncIterator[None]:
            raise OSError("too many open files")
            yield

    async def story() -> None:
        source = Deaf(make_document())
        house = House({"clusters": source})
        async with house.running() as controller:
            await asyncio.sleep(20)
            source.state = state(make_document(note="second"))
            await asyncio.sleep(70)
            assert controller.accepted["pair"].generation == 2

    play(story)
    assert "no longer tells of changes" in caplog.text


def test_old_history_is_forgotten_at_once_and_every_hour() -> None:
    """A record that cannot be written then is tried an hour later."""

    class Forgetful(ToyStore):
        days: ClassVar[list[float | None]] = []

        async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
            self.days.append(keep_days)
            raise StoreError("disk full")

    async def story() -> None:
        house = House({"clusters": ToySource()}, store=Forgetful())
        async with house.running():
            await asyncio.sleep(1)
            assert Forgetful.days == [400.0]
            await asyncio.sleep(3600)
            assert Forgetful.days == [400.0, 400.0]

    play(story)
