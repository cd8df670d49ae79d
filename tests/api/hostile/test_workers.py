"""What takes long: off the loop, in turns, within limits."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref

import pytest

from hactl.api import workers
from hactl.api.workers import WAITING_EACH, Bodies, Lane
from hactl.core.kube.errors import ApiError, bad_request
from support.api.service import CLUSTERS, JSON_PATCH, LEASES, MERGE, asking, document, lease
from support.limits import until


async def test_clients_take_turns() -> None:
    """Who asks a hundred times waits for himself: another client's piece is the next but one."""
    lane, done, begun, go = Lane("test"), [], threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(10)

    def piece(name: str) -> None:
        done.append(name)

    blocked = asyncio.create_task(lane.run("a", first))
    await asyncio.to_thread(begun.wait, 10)
    tasks = [asyncio.create_task(lane.run("a", lambda: piece("a"))) for _ in range(20)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(lane.run(name, lambda name=name: piece(name))) for name in ("b", "c", "b")]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(blocked, *tasks)
    assert done[:6] == ["a", "b", "c", "a", "b", "a"]
    lane.close()


async def test_more_than_a_share_is_refused() -> None:
    """429 for who has too much waiting, and nobody else; what fails fails for who asked; the end is an end."""
    lane, go = Lane("test"), threading.Event()
    tasks = [asyncio.create_task(lane.run("a", lambda: go.wait(10))) for _ in range(WAITING_EACH + 1)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as refused:
        await lane.run("a", lambda: None)
    assert (refused.value.code, refused.value.details.retry_after_seconds) == (429, 1)
    # Who does not wait any more takes no turn.
    tasks[1].cancel()
    go.set()
    assert await lane.run("b", lambda: 7) == 7
    assert (await asyncio.gather(*tasks, return_exceptions=True)).count(True) == WAITING_EACH
    with pytest.raises(ZeroDivisionError):
        await lane.run("a", lambda: 1 // 0)
    lane.close()
    with pytest.raises(ApiError) as ended:
        await lane.run("a", lambda: None)
    assert ended.value.code == 503


async def test_large_bodies_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of one client at a time; others are not concerned, and nothing is kept of who is done."""
    monkeypatch.setattr(workers, "BODIES_EACH", 1)
    bodies = Bodies()
    async with bodies.turn("a", 1.0):
        with pytest.raises(ApiError) as refused:
            async with bodies.turn("a", 0.01):
                pass
        assert refused.value.code == 429
        async with bodies.turn("b", 0.01):
            pass
    async with bodies.turn("a", 0.01):
        pass
    assert bodies._turns == {}


async def test_reads_do_not_wait_for_writes() -> None:
    """A write that takes long keeps neither a list nor the loop waiting."""
    async with asking() as ada:
        for number in range(30):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        go, began = threading.Event(), threading.Event()

        def long() -> None:
            began.set()
            go.wait(10)

        writing = asyncio.create_task(ada.service._writes.run("eve", long))
        await asyncio.to_thread(began.wait, 10)
        waiting = asyncio.create_task(ada.ok("POST", LEASES, lease("late")))
        assert len(await ada.names(LEASES)) == 30
        assert not waiting.done()
        go.set()
        await asyncio.gather(writing, waiting)
        assert len(await ada.names(LEASES)) == 31


async def test_a_patch_that_grows_without_end_costs_little() -> None:
    """Copies of copies double; copies of wide values add up: refused before they are made; in processor time."""
    copies = [{"op": "copy", "from": "/spec", "path": f"/spec/x{number}"} for number in range(39)]
    wide = [{"op": "add", "path": "/spec/a", "value": [[] for _ in range(15000)]}]
    wide += [{"op": "copy", "from": "/spec/a", "path": f"/spec/a{number}"} for number in range(39)]
    lists = [{"op": "add", "path": "/spec/a", "value": list(range(8))}]
    lists += [{"op": "copy", "from": "/spec/a", "path": "/spec/a/-"}] * 39
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        began = time.process_time()
        for operations in (copies, wide, lists):
            await ada.refused(413, "PATCH", f"{CLUSTERS}/nas", operations, kind=JSON_PATCH)
        # It was 16 seconds for the three.
        assert time.process_time() - began < 2.0


async def test_no_object_becomes_so_long_that_the_next_change_costs_much() -> None:
    """What nobody needs is refused before it is worked with, wherever it stands in an object and however it is sent."""
    many = {f"k{number}": "" for number in range(5000)}
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await ada.ok("POST", LEASES, lease("a"))
        tries = [
            ("PATCH", f"{CLUSTERS}/nas", {"metadata": {"annotations": many}}, MERGE),
            ("PATCH", f"{CLUSTERS}/nas", {"metadata": {"labels": many}}, MERGE),
            ("PATCH", f"{CLUSTERS}/nas", {"spec": many}, MERGE),
            ("PATCH", f"{CLUSTERS}/nas", many, MERGE),
            ("PATCH", f"{LEASES}/a", {"metadata": {"annotations": many}}, MERGE),
            ("POST", LEASES, lease("b", annotations=many), ""),
            ("POST", CLUSTERS, document("c", finalizers=list(many)), ""),
        ]
        for method, path, body, kind in tries:
            told = await ada.refused(422, method, path, body, kind=kind)
            assert "it has 50" in told["message"], told
        applied = {**document(), "metadata": {"name": "nas", "annotations": many}}
        await ada.refused(
            422, "PATCH", f"{CLUSTERS}/nas", json.dumps(applied).encode(), kind="application/apply-patch+yaml",
            fieldManager="me",
        )  # fmt: skip
        assert await ada.names(LEASES) == ["a"]


async def test_refused_work_is_gone_at_once() -> None:
    """An error, its frames and what they worked on are no circle: the collector may come a day later."""

    class Work:
        def __call__(self) -> None:
            raise bad_request("no")

    lane = Lane("test")
    gc.disable()
    try:
        work = Work()
        left = weakref.ref(work)
        with pytest.raises(ApiError):
            await lane.run("ada", work)
        del work
        await until(lambda: left() is None, "the end of the work")
    finally:
        gc.enable()
        lane.close()
