"""Bringing the pairs of a bench to where they can be measured: connected, converged, and honest about how.

Rules: one pair converges as every pair does, over SSH, pass after pass. That takes the lab about 30 looks, and all
pairs share one lab process; so the commands that were recorded for that pair are run on the others by hand, in the
lab, and passes then do what is left and say whether a pair is converged. Nothing is taken on trust.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hactl.app import App
from hactl.core.steps import Outcome
from hactl.runtime.passes.types import Accepted, PassRequest

from .measure import rss_kib
from .site import BenchFailed, Site, as_of, name_of, password_of

#: Pairs worked on at once.
AT_ONCE = 16
#: What a step waits for at its end (a device, a role) is there a moment later: so the next one is tried again.
TRIES = 10


@dataclass(frozen=True, slots=True)
class Converged:
    """How bringing all pairs to their documents went."""

    accepted: tuple[Accepted, ...]
    seconds: float
    steps: int
    cpu_seconds: float


async def converge(app: App, accepted: Sequence[Accepted], *, for_seconds: float) -> Converged:
    """Blank pairs become Ready, several at a time; those that did not in time are left out."""
    places = asyncio.Semaphore(AT_ONCE)
    began, cpu = time.monotonic(), time.process_time()
    ready: list[Accepted] = []
    steps = 0

    async def one(wanted: Accepted) -> None:
        nonlocal steps
        async with places:
            left = began + for_seconds - time.monotonic()
            if left <= 0:
                return
            summary = await app.converge(PassRequest(wanted, cause="apply", actor="bench"), timeout_seconds=left)
        steps += len(summary.done)
        if summary.end == "converged":
            ready.append(wanted)

    await asyncio.gather(*(one(wanted) for wanted in accepted))
    ready.sort(key=lambda wanted: wanted.document.cluster.metadata.name)
    return Converged(tuple(ready), time.monotonic() - began, steps, time.process_time() - cpu)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of this process, KiB."""

    #: One pair converged and looked at: everything is imported.
    before: int
    #: All other nodes connected and looked at once.
    connected: int
    #: After everything that was done to them.
    after: int = 0
    #: With the controller running and a devd stream from every node.
    listening: int = 0


async def connect_others(app: App, others: Sequence[Accepted]) -> Memory:
    """Look at pairs that were never looked at."""
    before = rss_kib()
    await look_at_all(app, others)
    return Memory(before, rss_kib())


async def look_at_all(app: App, accepted: Sequence[Accepted]) -> None:
    """One look at each, few at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(wanted: Accepted) -> None:
        async with places:
            await app.reconciler.reconcile(PassRequest(wanted, act=False))

    await asyncio.gather(*(one(wanted) for wanted in accepted))


async def replay(app: App, site: Site, pairs: int) -> int:
    """Run what was recorded for pair 0 on all others, by hand; returns how many commands did not work there."""
    query = {"cluster": name_of(0), "kind": "Step", "limit": 1000}
    rows = [row for row in await app.store.history(query) if row["outcome"] == Outcome.DONE.value]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(pair: int) -> int:
        async with places:
            return sum([not await _by_hand(site, pair, row) for row in rows])

    return sum(await asyncio.gather(*(one(pair) for pair in range(1, pairs))))


async def _by_hand(site: Site, pair: int, row: Mapping[str, Any]) -> bool:
    script = (
        f"HACTL_PASS_1={password_of(pair)}\nhactl_tries={TRIES}\n"
        f"until (\n{as_of(pair, row['command'])}\n) </dev/null; do\n"
        '[ "$hactl_tries" -gt 0 ] || exit 1\nhactl_tries=$((hactl_tries - 1)); sleep 0.3\ndone\n'
    )
    try:
        await site.lab.on(as_of(pair, row["node"]), script)
    except BenchFailed:
        return False
    return True
