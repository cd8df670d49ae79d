"""What every source of documents does, whatever stands behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from hactl.ports import Source
from support.limits import LIMIT_SECONDS, turns
from support.sources import GREEDY, document


class World(Protocol):
    """A source and what stands behind it."""

    source: Source
    #: Documents come over a network: references are held to stricter rules.
    remote: bool
    secrets: Path

    async def put(self, **documents: str | None) -> None:
        """Make `NAME.yaml` hold this text; None: take it away."""
        ...

    async def fail(self) -> None:
        """Let the other side not answer."""
        ...

    async def mend(self) -> None:
        """Let it answer again."""
        ...

    async def nobody_listens(self) -> None:
        """End what listens to the source: of two listeners only the first hears of a change."""
        ...


class SourceContract:
    """Subclasses give a fixture `world`."""

    async def test_it_gives_its_documents_by_name(self, world: World) -> None:
        """Each with its place, the directory of its references, its text and its revision."""
        await world.put(one=document("one"), two=document("two", 8))
        state = await world.source.read()
        assert sorted(state.documents) == ["one", "two"]
        assert (state.problems, state.broken, state.down, state.trouble) == ((), frozenset(), None, "")
        one = state.documents["one"]
        assert "one" in one.source
        if world.remote:
            assert one.directory == str(world.secrets)
            assert one.revision

    async def test_nothing_new_gives_the_same(self, world: World) -> None:
        """Reading is not an event."""
        await world.put(one=document("one"), two=document("two", 8))
        assert await world.source.read() == await world.source.read()

    async def test_a_changed_document_is_another_one(self, world: World) -> None:
        """Its digest differs; that of its neighbour does not."""
        await world.put(one=document("one"), two=document("two", 8))
        before = (await world.source.read()).documents
        await world.put(one=document("one", 9))
        after = (await world.source.read()).documents
        assert before["one"].digest != after["one"].digest
        assert before["two"].digest == after["two"].digest
        assert before["two"].revision == after["two"].revision

    async def test_a_broken_document_is_neither_lost_nor_loaded(self, world: World) -> None:
        """It is told where it is broken; the last good one is still given, or known to be broken."""
        await world.put(one=document("one"), two=document("two", 8))
        before = (await world.source.read()).documents
        await world.put(one=document("one", 300))
        state = await world.source.read()
        assert state.down is None
        assert state.documents.get("one") in (None, before["one"])
        assert "one" in state.documents or "one" in state.broken
        assert state.documents["two"] == before["two"]
        assert any("300 is too large" in str(problem) and "one" in problem.source for problem in state.problems)

    async def test_a_mended_document_is_loaded(self, world: World) -> None:
        """Nothing of the problem is left."""
        await world.put(one=document("one", 300), two=document("two", 8))
        assert "one" not in (await world.source.read()).documents
        await world.put(one=document("one", 9))
        state = await world.source.read()
        assert sorted(state.documents) == ["one", "two"]
        assert (state.problems, state.trouble) == ((), "")

    async def test_a_document_that_was_taken_away_is_gone(self, world: World) -> None:
        """Not broken, not kept."""
        await world.put(one=document("one"), two=document("two", 8))
        await world.source.read()
        await world.put(one=None)
        state = await world.source.read()
        assert sorted(state.documents) == ["two"]
        assert (state.broken, state.problems, state.down) == (frozenset(), (), None)

    async def test_files_of_the_controller_are_not_for_documents_from_a_network(self, world: World) -> None:
        """Absolute paths, ways out and other variables are refused."""
        if not world.remote:
            return
        await world.put(greedy=GREEDY, two=document("two", 8))
        state = await world.source.read()
        assert "greedy" not in state.documents
        told = "\n".join(str(problem) for problem in state.problems)
        assert "/etc/master.passwd" in told
        assert "../../b.pub" in told
        assert "HACTL_SECRET_" in told

    async def test_an_outage_is_told_and_ends(self, world: World) -> None:
        """It never looks as if documents had been taken away."""
        await world.put(one=document("one"), two=document("two", 8))
        good = await world.source.read()
        await world.fail()
        state = await world.source.read()
        assert state.down or state.trouble
        assert state.down or state.documents == good.documents
        await world.mend()
        assert (await world.source.read()).documents == good.documents

    async def test_a_change_is_told(self, world: World) -> None:
        """`changes` yields, and then the new document is read."""
        await world.put(one=document("one"), two=document("two", 8))
        await world.source.read()
        await world.nobody_listens()
        changes: Any = world.source.changes()
        heard = asyncio.ensure_future(anext(changes))
        await turns(25)
        await world.put(one=document("one", 9))
        await asyncio.wait_for(heard, LIMIT_SECONDS)
        await changes.aclose()
        state = await world.source.read()
        assert "192.0.2.9/24" in state.documents["one"].text
