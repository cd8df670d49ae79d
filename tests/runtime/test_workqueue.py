"""The queue of names."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.errors import InvariantBroken
from hactl.runtime.workqueue import Priority, WorkQueue
from support.toy_world import VirtualClock, play


@asynccontextmanager
async def running(queue: WorkQueue, work: Callable[[str], Awaitable[None]]) -> Any:
    """The queue runs inside, and is stopped at the end."""
    task = asyncio.ensure_future(queue.run(work))
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        queue.stop()
        await asyncio.wait({task})


def make_queue(**options: Any) -> WorkQueue:
    """A queue in virtual time."""
    return WorkQueue(VirtualClock(), random.Random(1), **options)


def test_a_name_added_often_is_looked_at_once() -> None:
    """Adding is de-duplicated while the name waits."""
    seen: list[str] = []

    async def story() -> None:
        queue = make_queue()
        for _ in range(5):
            queue.add("nas")

        async def work(name: str) -> None:
            seen.append(name)

        async with running(queue, work):
            await asyncio.sleep(10)

    play(story)
    assert seen == ["nas"]


def test_a_name_added_while_its_work_runs_is_looked_at_once_more_and_never_twice_at_a_time() -> None:
    """One worker per name; what came meanwhile is one more look."""
    spans: list[tuple[float, float]] = []

    async def story() -> None:
        queue = make_queue()

        async def work(name: str) -> None:
            began = VirtualClock().monotonic()
            await asyncio.sleep(2)
            spans.append((began, VirtualClock().monotonic()))

        async with running(queue, work):
            queue.add("nas")
            await asyncio.sleep(1)
            queue.add("nas")
            queue.add("nas", Priority.INCIDENT)
            queue.add_after("nas", 0.5)
            await asyncio.sleep(60)

    play(story)
    assert spans == [(1000.0, 1002.0), (1002.0, 1004.0)]


def test_incidents_and_new_specs_go_before_routine_but_routine_is_not_starved() -> None:
    """With one worker and a stream of incidents, a routine look has its turn within its handicap."""
    order: list[tuple[str, float]] = []

    async def story() -> None:
        queue = make_queue(workers=1, slow_after_seconds=1e9)
        queue.add("routine", Priority.ROUTINE)
        queue.add("spec", Priority.SPEC)
        queue.add("incident", Priority.INCIDENT)

        async def work(name: str) -> None:
            order.append((name, VirtualClock().monotonic() - 1000.0))
            await asyncio.sleep(1)
            if name.startswith("incident"):
                queue.add(f"{name}+", Priority.INCIDENT)

        async with running(queue, work):
            await asyncio.sleep(30)

    play(story)
    names = [name for name, _ in order]
    assert names[0] == "incident"
    assert "spec" in names[1:3]
    assert dict(order)["routine"] <= 12.0


def test_a_stuck_name_delays_nobody_even_with_one_worker() -> None:
    """Work that has waited for a node for a while gives its place to others."""
    seen: dict[str, float] = {}

    async def story() -> None:
        queue = make_queue(workers=1, slow_after_seconds=3)

        async def work(name: str) -> None:
            seen[name] = VirtualClock().monotonic() - 1000.0
            if name == "stuck":
                await asyncio.sleep(1000)

        async with running(queue, work):
            queue.add("stuck", Priority.INCIDENT)
            for number in range(50):
                queue.add(f"c{number}")
            await asyncio.sleep(20)
            queue.stop()
            assert queue.running == {"stuck"}

    play(story)
    assert max(at for name, at in seen.items() if name != "stuck") <= 3.1


def test_delayed_names_come_when_due_and_the_earliest_counts() -> None:
    """add_after keeps one time per name, and any look settles it."""
    seen: list[tuple[str, float]] = []

    async def story() -> None:
        queue = make_queue()

        async def work(name: str) -> None:
            seen.append((name, round(VirtualClock().monotonic() - 1000.0, 3)))

        async with running(queue, work):
            queue.add_after("a", 30)
            queue.add_after("a", 5)
            queue.add_after("a", 10)
            queue.add_after("b", 7)
            await asyncio.sleep(6)
            queue.add("b")
            queue.add_after("c", 1)
            queue.drop("c")
            await asyncio.sleep(100)

    play(story)
    assert seen == [("a", 5.0), ("b", 6.0)]


def test_retries_back_off_exponentially_with_jitter_and_forget_starts_over() -> None:
    """Each delay is between the base and a ceiling that doubles up to its limit."""

    async def story() -> None:
        queue = make_queue(backoff_seconds=1.0, backoff_limit_seconds=60.0)
        delays = [queue.retry("nas") for _ in range(20)]
        for number, delay in enumerate(delays):
            assert 1.0 <= delay <= min(60.0, 2.0**number)
        assert max(delays) > 30.0
        assert len(set(delays[1:])) == 19
        queue.forget("nas")
        assert queue.retry("nas") == 1.0
        queue.stop()

    play(story)


def test_work_that_raises_is_retried_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in one look is logged and costs only that name."""
    seen: list[str] = []

    async def story() -> None:
        queue = make_queue()

        async def work(name: str) -> None:
            seen.append(name)
            if name == "bad" and seen.count("bad") < 3:
                raise ValueError("odd")

        async with running(queue, work):
            queue.add("bad")
            queue.add("good")
            await asyncio.sleep(60)

    play(story)
    assert seen.count("bad") == 3
    assert seen.count("good") == 1
    assert "work failed unexpectedly" in caplog.text


def test_a_broken_invariant_stops_the_queue() -> None:
    """It is raised from run, and running work is cancelled."""
    cancelled: list[str] = []

    async def story() -> None:
        queue = make_queue()

        async def work(name: str) -> None:
            if name == "bad":
                await asyncio.sleep(1)
                raise InvariantBroken("two primaries")
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        queue.add("bad")
        queue.add("other")
        with pytest.raises(InvariantBroken):
            await queue.run(work)

    play(story)
    assert cancelled == ["other"]


def test_stop_lets_running_work_end_and_starts_nothing() -> None:
    """run returns when the last work has ended."""
    seen: list[str] = []

    async def story() -> float:
        queue = make_queue(workers=1)

        async def work(name: str) -> None:
            await asyncio.sleep(2)
            seen.append(name)

        task = asyncio.ensure_future(queue.run(work))
        queue.add("first")
        queue.add("second")
        queue.add_after("third", 1)
        await asyncio.sleep(0.5)
        queue.stop()
        await task
        return VirtualClock().monotonic()

    assert play(story) == 1002.0
    assert seen == ["first"]


NAMES = st.sampled_from(["a", "b", "c", "d"])
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "after", "retry", "wait"]),
        NAMES,
        st.sampled_from(list(Priority)),
        st.floats(min_value=0, max_value=5),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(actions=ACTIONS, workers=st.integers(1, 3), seconds=st.floats(0, 2))
def test_whatever_is_added_is_looked_at_afterwards_and_never_twice_at_once(
    actions: list[tuple[str, str, Priority, float]], workers: int, seconds: float
) -> None:
    """For any history of adds: each add is followed by a look that began after it, one at a time per name."""

    async def story() -> None:
        queue = WorkQueue(VirtualClock(), random.Random(2), workers=workers, slow_after_seconds=1e9)
        clock = VirtualClock()
        active: set[str] = set()
        began: dict[str, float] = {}
        wanted: dict[str, float] = {}
        looks = 0

        async def work(name: str) -> None:
            nonlocal looks
            looks += 1
            assert name not in active
            assert len(active) < workers
            active.add(name)
            began[name] = clock.monotonic()
            await asyncio.sleep(seconds)
            active.discard(name)

        async with running(queue, work):
            adds = 0
            for action, name, priority, delay in actions:
                if action == "wait":
                    await asyncio.sleep(delay)
                    continue
                adds += 1
                wanted[name] = clock.monotonic()
                if action == "add":
                    queue.add(name, priority)
                elif action == "after":
                    queue.add_after(name, delay, priority)
                else:
                    queue.retry(name, priority)
            await asyncio.sleep(1000)
            assert not queue.waiting
            assert all(began[name] >= at for name, at in wanted.items())
            assert looks <= adds

    play(story)
