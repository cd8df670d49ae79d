"""Looking at nodes: trouble is a reading, and costs nobody else time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hactl.core.facts import Known, Reading, Service, Snapshot, Unknown
from hactl.core.parse.question import ALL_PARTS, Answered, NextLook, Part, Question
from hactl.errors import NodeGarbled
from hactl.runtime.passes.observe import BASE_SECONDS, Observer
from support.toy_world import ToyNodes, VirtualClock, make_document, play, resolve, toy_parse, toy_probe


def make_observer(nodes: ToyNodes) -> Observer:
    """An observer with toy core functions."""
    return Observer(nodes, VirtualClock(), b"salt", script=toy_probe, parse=toy_parse)


async def look(observer: Observer, *nodes: str) -> Snapshot:
    """One snapshot of a cluster with these nodes."""
    resolved = await resolve(make_document(nodes=nodes), 1)
    return await observer.observe(resolved.cluster, resolved.targets)


def unknown(snapshot: Snapshot, node: str) -> Unknown:
    """The reading, which must be Unknown."""
    reading = snapshot.nodes[node]
    assert isinstance(reading, Unknown)
    return reading


def test_all_nodes_are_asked_at_once_with_one_exec_each() -> None:
    """A pass takes as long as its slowest node; facts are as old as the begin of their exec."""

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        for name in "abc":
            nodes.node(name).latency_seconds = 2.0
        snapshot = await look(make_observer(nodes), "a", "b", "c")
        assert snapshot.taken_at == 1002.0
        assert [nodes.node(name).probes for name in "abc"] == [1, 1, 1]
        reading = snapshot.nodes["a"]
        assert isinstance(reading, Known)
        assert reading.seen_at == reading.value.seen_at == 1000.0

    play(story)


def test_a_hanging_node_costs_the_deadline_and_no_more() -> None:
    """The others are seen, and their facts keep their own age."""

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        nodes.node("b").hangs = True
        snapshot = await look(make_observer(nodes), "a", "b")
        assert snapshot.taken_at <= 1025.0
        assert isinstance(snapshot.nodes["a"], Known)
        assert snapshot.nodes["a"].seen_at == 1000.0
        assert unknown(snapshot, "b").reason == "Timeout"

    play(story)


def test_an_unknown_node_keeps_the_moment_its_silence_began_until_it_answers() -> None:
    """`since` is of the first failure, whatever the failures are; an answer ends it."""

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        observer = make_observer(nodes)
        nodes.node("z").unreachable = True
        await look(observer, "z")
        nodes.node("a").unreachable = True
        first = unknown(await look(observer, "a"), "a")
        assert (first.reason, first.since, first.raw) == ("Unreachable", 1000.1, "a: connection refused")
        await asyncio.sleep(50)
        nodes.node("a").unreachable = False
        nodes.node("a").garbage = "Welcome to Linux"
        second = unknown(await look(observer, "a"), "a")
        assert (second.reason, second.since) == ("Garbled", 1000.1)
        assert "Welcome to Linux" in second.raw
        nodes.node("a").garbage = None
        assert isinstance((await look(observer, "a")).nodes["a"], Known)
        await asyncio.sleep(50)
        nodes.node("a").unreachable = True
        both = await look(observer, "a", "z")
        assert unknown(both, "a").since > 1100.0
        assert unknown(both, "z").since == 1000.0
        observer.forget("pair")
        assert unknown(await look(observer, "z"), "z").since > 1100.0

    play(story)


def test_a_session_that_breaks_is_a_reading_too() -> None:
    """No NodeError leaves the observer."""

    class Breaking(ToyNodes):
        async def run(self, target, script, **options):  # type: ignore[no-untyped-def]
            raise NodeGarbled(target.node, "closed in the middle")

    async def story() -> None:
        reading = unknown(await look(make_observer(Breaking(VirtualClock())), "a"), "a")
        assert (reading.reason, reading.raw) == ("Garbled", "a: closed in the middle")

    play(story)


def test_an_answer_our_parser_stumbles_over_blinds_us_to_that_node_only(caplog: pytest.LogCaptureFixture) -> None:
    """A bug is logged with its place but without its message, which may quote a key; the other node is seen."""

    def stumbling(cluster, node, text, **rest):  # type: ignore[no-untyped-def]
        if node == "a":
            raise KeyError(text)
        return toy_parse(cluster, node, text, **rest)

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        nodes.node("a").modules["s3cret"] = True
        observer = Observer(nodes, VirtualClock(), b"salt", script=toy_probe, parse=stumbling)
        snapshot = await look(observer, "a", "b")
        assert unknown(snapshot, "a").reason == "Garbled"
        assert isinstance(snapshot.nodes["b"], Known)
        assert "s3cret" not in repr(snapshot)

    play(story)
    record = next(record for record in caplog.records if "error" in record.__dict__)
    assert record.__dict__["error"] == "KeyError"
    assert "stumbling" in record.__dict__["traceback"]
    assert "s3cret" not in caplog.text + repr([record.__dict__ for record in caplog.records])


def test_silence_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """A dead node does not fill the log."""
    caplog.set_level("INFO", "hactl.runtime")

    async def story() -> None:
        nodes = ToyNodes(VirtualClock())
        observer = make_observer(nodes)
        nodes.node("a").unreachable = True
        for _ in range(5):
            await look(observer, "a")
        nodes.node("a").unreachable = False
        await look(observer, "a")

    play(story)
    assert [record.message for record in caplog.records] == ["node gives no facts", "node answers again"]


def test_a_look_between_two_stages_takes_the_word_of_the_steps() -> None:
    """What they stopped is stopped; it is asked where nothing is known of it, and where the last look is old."""

    async def story() -> None:
        clock = VirtualClock()
        nodes, asked = ToyNodes(clock), list[Question]()

        def parse(*given: Any, question: Question, **named: Any) -> Answered:
            asked.append(question)
            answered = toy_parse(*given, question=question, **named)
            services: dict[str, Reading[Service]] = {
                "nfsd": Known(Service("nfsd", True, True, False), answered.facts.seen_at),
                "odd": Unknown("Odd", answered.facts.seen_at),
            }
            return replace(answered, facts=replace(answered.facts, services=services))

        observer = Observer(nodes, clock, b"salt", script=toy_probe, parse=parse)
        resolved = await resolve(make_document(nodes=("a",)), 1)

        async def ask(*stopped: str) -> Question:
            look = NextLook(frozenset({Part.STORAGE}), {"a": frozenset(stopped)})
            await observer.observe(resolved.cluster, resolved.targets, look=look)
            return asked[-1]

        await observer.observe(resolved.cluster, resolved.targets)
        told = await ask("nfsd")
        assert told.parts == {Part.STORAGE}
        assert told.before is not None
        assert told.before.services["nfsd"] == Known(Service("nfsd", True, False, False), 1000.1)
        assert (await ask("nfsd", "odd")).parts == {Part.STORAGE, Part.SERVICES}
        await clock.sleep(BASE_SECONDS + 1)
        late = await ask("nfsd")
        assert late.parts == ALL_PARTS

    play(story)
