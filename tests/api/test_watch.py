"""Watches: what is told, in which order, from when on, in which form, and how they end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.memory import MemoryBackend
from hactl.adapters.record.store import Store
from hactl.api import cache
from hactl.api.service import Service
from hactl.api.verbs import watch
from hactl.core.kube.kinds import LEASES as LEASE_KIND
from support.api.service import CLUSTERS, EVENTS, LEASES, MERGE, TABLE, asking, document, lease, taken


async def test_changes_come_in_order() -> None:
    """Without a revision what is there is told first; then every change, each with a greater resourceVersion."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a"))
        stream = await ada.watch(LEASES)
        assert await taken(stream, 1) == [("ADDED", "a")]
        await ada.ok("POST", LEASES, lease("b"))
        await ada.ok("PATCH", f"{LEASES}/a", {"spec": {"holderIdentity": "you"}}, kind=MERGE)
        await ada.ok("DELETE", f"{LEASES}/b")
        found = [await anext(stream) for _ in range(3)]
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in found] == [
            ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b"),
        ]  # fmt: skip
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in found]
        assert versions == sorted(set(versions))


async def test_a_watch_goes_on_where_a_list_ended() -> None:
    """From a list's revision exactly what changed since is told, and nothing of other resources."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a"))
        version = (await ada.ok("GET", LEASES))["metadata"]["resourceVersion"]
        await ada.ok("POST", CLUSTERS, document())
        await ada.ok("POST", LEASES, lease("b"))
        stream = await ada.watch(LEASES, resourceVersion=version)
        assert await taken(stream, 1) == [("ADDED", "b")]


async def test_after_a_restart_a_watch_goes_on() -> None:
    """A new server on the same record tells what changed since the revision of the old one, with selectors too."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a", labels={"x": "1"}))
        version = (await ada.ok("GET", LEASES))["metadata"]["resourceVersion"]
        await ada.ok("POST", LEASES, lease("b", labels={"x": "1"}))
        await ada.ok("PATCH", f"{LEASES}/b", {"metadata": {"labels": {"x": "2"}}}, kind=MERGE)
        await ada.ok("DELETE", f"{LEASES}/a")
        async with asking(ada.store) as again:
            stream = await again.watch(LEASES, resourceVersion=version, labelSelector="x=1")
            assert await taken(stream, 3) == [("ADDED", "b"), ("DELETED", "b"), ("DELETED", "a")]


async def test_selectors_make_changes_of_what_is_seen() -> None:
    """An object that begins to match is ADDED, one that ceases to is DELETED with its last matching state."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a", labels={"x": "1"}))
        stream = await ada.watch(LEASES, labelSelector="x=2")
        for value in ("2", "3", "2"):
            await ada.ok("PATCH", f"{LEASES}/a", {"metadata": {"labels": {"x": value}}}, kind=MERGE)
        await ada.ok("PATCH", f"{LEASES}/a", {"spec": {"holderIdentity": "you"}}, kind=MERGE)
        await ada.ok("DELETE", f"{LEASES}/a")
        found = [await anext(stream) for _ in range(5)]
        assert [event["type"] for event in found] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]
        assert found[1]["object"]["metadata"]["labels"] == {"x": "2"}
        assert int(found[1]["object"]["metadata"]["resourceVersion"]) > int(
            found[0]["object"]["metadata"]["resourceVersion"]
        )


async def test_initial_events_end_with_a_bookmark() -> None:
    """sendInitialEvents: what is there as ADDED, then a bookmark with the annotation, at a revision to go on from."""
    async with asking() as ada:
        for name in ("a", "b"):
            await ada.ok("POST", LEASES, lease(name))
        more = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
        stream = await ada.watch(LEASES, **more)
        assert await taken(stream, 2) == [("ADDED", "a"), ("ADDED", "b")]
        mark = await anext(stream)
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        await ada.ok("POST", LEASES, lease("c"))
        version = mark["object"]["metadata"]["resourceVersion"]
        assert await taken(await ada.watch(LEASES, resourceVersion=version), 1) == [("ADDED", "c")]
        await ada.refused(422, "GET", LEASES, watch="true", sendInitialEvents="true")
        await ada.refused(422, "GET", LEASES, watch="true", resourceVersionMatch="NotOlderThan")


async def test_tables() -> None:
    """A watch of a Table has columns in its first event only, and one row in each."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document("a"))
        await ada.ok("POST", CLUSTERS, document("b"))
        response = await ada.ask("GET", CLUSTERS, watch="true", accept=TABLE)
        assert response.stream is not None
        first, second = [await anext(response.stream) for _ in range(2)]
        assert [len(event["object"]["rows"]) for event in (first, second)] == [1, 1]
        assert first["object"]["columnDefinitions"]
        assert not second["object"]["columnDefinitions"]


async def test_a_watch_ends_when_its_time_is_over() -> None:
    """timeoutSeconds: with bookmarks the last thing told is a bookmark; then the stream ends by itself."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a"))
        stream = await ada.watch(LEASES, timeoutSeconds="1", allowWatchBookmarks="true")
        found = [event async for event in stream]
        assert [event["type"] for event in found] == ["ADDED", "BOOKMARK"]
        assert ada.service.reader.watchers == 0


@pytest.mark.parametrize("version", ["1", "99999999"])
async def test_a_revision_nobody_knows_ends_with_410(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too old, or of another record: one ERROR event with 410 Expired, and the stream ends."""
    monkeypatch.setattr(cache, "KEPT", 5)
    async with asking() as ada:
        await ada.names(LEASES)
        for number in range(12):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        found = [event async for event in await ada.watch(LEASES, resourceVersion=version)]
        assert [(event["type"], event["object"]["code"]) for event in found] == [("ERROR", 410)]
        assert found[0]["object"]["reason"] == "Expired"
        if version == "1":
            await ada.refused(410, "GET", LEASES, resourceVersion=version, resourceVersionMatch="Exact")


async def test_a_slow_watcher_is_dropped_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not take its events gets 410 when it comes back; others have all of them meanwhile."""
    monkeypatch.setattr(cache.Subscription.__init__, "__defaults__", (8,))
    async with asking() as ada:
        slow, quick = await ada.watch(LEASES), await ada.watch(LEASES)
        for number in range(30):
            await ada.ok("POST", LEASES, lease(f"l{number:02}"))
            assert await taken(quick, 1) == [("ADDED", f"l{number:02}")]
        rest = [event async for event in slow]
        assert [event["object"]["code"] for event in rest] == [410]
        assert ada.service.reader.watchers == 1


async def test_closing_ends_every_watch() -> None:
    """When the server stops, streams end; clients come back and go on."""
    async with asking() as ada:
        stream = await ada.watch(LEASES)
        ending = asyncio.ensure_future(taken(stream, 1))
        await asyncio.sleep(0)
        await ada.service.close()
        with pytest.raises(StopAsyncIteration):
            await ending


async def test_events_are_watched() -> None:
    """The history can be followed, by the cluster it is about."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document("other"))
        stream = await ada.watch(EVENTS, fieldSelector="involvedObject.name=nas")
        await ada.ok("POST", CLUSTERS, document("nas"))
        reasons = [(await anext(stream))["object"]["reason"] for _ in range(2)]
        assert reasons == ["DocumentAccepted", "RequestAccepted"]


async def test_events_that_are_too_many_are_told_as_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest leave the list, and who watches is told so; the revision never goes back."""
    monkeypatch.setattr(cache, "KEPT", 4)
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document("nas"))
        before = await ada.names(EVENTS)
        stream = await ada.watch(EVENTS)
        assert [name for _, name in await taken(stream, len(before))] == before
        for number in range(3):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        events = [await anext(stream) for _ in range(4)]
        assert [event["type"] for event in events] == ["ADDED", "ADDED", "ADDED", "DELETED"]
        assert events[-1]["object"]["metadata"]["name"] == before[0]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(versions)
        assert before[0] not in await ada.names(EVENTS)
        assert len(await ada.names(EVENTS)) == 4


async def test_one_object_by_its_name() -> None:
    """What `kubectl wait` and `delete` do: a watch with a field selector on the name."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document("a"))
        await ada.ok("POST", CLUSTERS, document("b"))
        stream = await ada.watch(CLUSTERS, fieldSelector="metadata.name=b")
        await ada.ok("DELETE", f"{CLUSTERS}/a")
        await ada.ok("DELETE", f"{CLUSTERS}/b")
        assert await taken(stream, 2) == [("ADDED", "b"), ("DELETED", "b")]


class _LostPlace(Store):
    """A record that, once, no longer keeps the changes somebody asks for."""

    lost = False

    async def changes_since(self, revision: int, *, limit: int = 1000) -> Any:
        if self.lost:
            from hactl.errors import TooOld

            self.lost = False
            raise TooOld("pruned")
        return await super().changes_since(revision, limit=limit)


async def test_a_cache_that_lost_its_place_begins_anew() -> None:
    """When too much was written elsewhere, watchers get 410, and lists are right."""
    store = _LostPlace(MemoryBackend(SystemClock()))
    async with asking(store) as ada:
        await ada.ok("POST", LEASES, lease("a"))
        stream = await ada.watch(LEASES)
        assert await taken(stream, 1) == [("ADDED", "a")]
        other = Service(store, store, clock=SystemClock(), secrets_directory="/x")
        store.lost = True
        await store.create_object("leases", lease("b"), actor="somebody")
        assert await ada.names(LEASES) == ["a", "b"]
        assert (await anext(stream))["object"]["code"] == 410
        await other.close()


def test_what_is_seen_of_a_change_whose_past_is_unknown() -> None:
    """It is taken for one of an object that was seen: the watcher at most forgets what it never had."""
    body = {"metadata": {"name": "a", "resourceVersion": "7"}}

    class All:
        def match(self, found: Any) -> bool:
            return bool(found)

    class Nothing(All):
        def match(self, found: Any) -> bool:
            return False

    changed = cache.Entry(7, LEASE_KIND.plural, "a", "MODIFIED", body, cache.UNKNOWN)
    assert watch.as_seen(changed, All()) == ("MODIFIED", body)  # type: ignore[arg-type]
    assert watch.as_seen(changed, Nothing()) == ("DELETED", body)  # type: ignore[arg-type]


async def test_large_objects_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache forgets the oldest beyond so many bytes; a watcher that does not read is dropped beyond as many."""
    monkeypatch.setattr(cache, "KEPT_BYTES", 100_000)
    monkeypatch.setattr(cache, "WAITING_BYTES", 60_000)
    async with asking() as ada:
        slow = await ada.watch(LEASES)
        first = (await ada.ok("POST", LEASES, lease("a")))["metadata"]["resourceVersion"]
        assert await taken(slow, 1) == [("ADDED", "a")]
        for number in range(10):
            change = {"metadata": {"annotations": {"a": str(number) * 20_000}}}
            await ada.ok("PATCH", f"{LEASES}/a", change, kind=MERGE)
            await ada.ok("GET", LEASES)
        told = [each async for each in slow]
        assert told[-1]["object"]["code"] == 410
        assert len(told) < 10
        feed = await ada.service.reader.feed(LEASE_KIND)
        assert sum(len(json.dumps(each.body)) for each in feed._log) < 120_000
        assert (await ada.refused(410, "GET", LEASES, resourceVersion=first, resourceVersionMatch="Exact"))[
            "code"
        ] == 410
