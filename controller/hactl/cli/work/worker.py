"""The work of a controller in this process, for one command, when no controller runs on the record.

It is done in another thread (`hactl.cli.work.node_loop`), while the command follows through the API, as it would follow
a controller. Rules: an operation that is awaited and could not be finished is ended, so that nothing happens later that
nobody expects any more; a step that runs is never cut.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hactl.cli.api_client.client import Client
from hactl.cli.work.node_loop import NodeLoop
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.app import App, Sight
    from hactl.core.pace.convergence import Summary
    from hactl.core.pace.result import PassResult

#: Whether what is wanted is there, by the newest status of the cluster.
Reached = Callable[[Mapping[str, Any]], bool]
#: Said when a person stops work that is done here.
STOPPING = "\nstopping: a running step may end, no other is started"


@dataclass(frozen=True, slots=True)
class HowEnded:
    """What a command says of work that ended so."""

    #: Exit status.
    status: int
    #: After the name of the cluster.
    words: str
    #: As a reason, for people and for the record.
    why: str


HOW_ENDED = {
    "converged": HowEnded(0, "Ready", "converged"),
    "over": HowEnded(0, "done", "over"),
    "stalled": HowEnded(3, "held back", "it cannot go on"),
    "held": HowEnded(3, "held back", "it is held back"),
    "deadline": HowEnded(3, "not there yet, time is up", "the time was up"),
    "refused": HowEnded(1, "refused", "references of the document do not resolve"),
    "store": HowEnded(1, "the record cannot be kept, so nothing more was done", "the record cannot be kept"),
    "stopped": HowEnded(130, "stopped", "a person stopped it"),
    #: Only told by a controller.
    "overtaken": HowEnded(1, "another document was handed in meanwhile", "another document was handed in meanwhile"),
}


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done."""

    clusters: Sequence[str]
    #: After so long no new pass begins.
    seconds: float
    #: Number of the operation that is waited for; 0: none, then `reached`, and without it convergence.
    awaited: int = 0
    reached: Reached | None = None
    cause: str = "operation"

    @property
    def until(self) -> Callable[[PassResult], bool] | None:
        """What a pass has to show; None: convergence."""
        if reached := self.reached:
            return lambda result: reached(result.status)
        return _Over(self.awaited) if self.awaited else None


class _Over:
    """Whether an operation is over and what it left to do is done: the notes and the boot configuration after a move,
    or the way back after one that failed.
    """

    def __init__(self, awaited: int) -> None:
        self._awaited = awaited
        self._ended = False

    def __call__(self, result: PassResult) -> bool:
        """Asked about each pass, in order."""
        self._ended = self._ended or any(each.id == self._awaited for each in result.ended)
        return self._ended and (not result.plan.stages or result.next == "wait")


class Worker:
    """Works until it is done, cannot go on, or is stopped."""

    def __init__(self, record: Path, work: Work, nodes: NodeLoop) -> None:
        """Begins at once."""
        self._record = record
        self._work = work
        self._nodes = nodes
        self._summaries: dict[str, Summary] = {}
        self._stop = asyncio.Event()
        self._running = nodes.start(self._carry_out)

    def ended(self, cluster: str) -> Summary | None:
        """How it ended with that cluster; None: it goes on. Raises what ended the work for all of them."""
        if self._running.done():
            self._running.result()
        return self._summaries.get(cluster)

    def stop(self) -> None:
        """Let a running step end, begin no other; returns when everything has ended."""
        self._nodes.soon(self._stop.set)
        while not self._running.done():
            try:
                wait([self._running])
            except KeyboardInterrupt:
                # It was said what is waited for.
                continue

    async def _carry_out(self, sight: Sight) -> None:
        from hactl.app import opened

        async with opened(self._record, sight=sight) as app:
            works = [asyncio.ensure_future(self._converge(app, name)) for name in self._work.clusters]
            try:
                await asyncio.gather(*works)
            finally:
                # What ended one of them ends all, before the record is closed.
                for each in works:
                    each.cancel()
                await asyncio.gather(*works, return_exceptions=True)

    async def _converge(self, app: App, cluster: str) -> None:
        from hactl.app import actor, revive
        from hactl.runtime.passes.types import Accepted, PassRequest

        row = next((row for row in await app.store.documents() if row["cluster"] == cluster), None)
        if row is None:
            raise HactlError(f"no document of {cluster} is in force on this record")
        work, accepted = self._work, Accepted(revive(row), int(row["generation"]))
        request = PassRequest(accepted, cause=work.cause, actor=actor(), stop=self._stop)
        summary = await app.converge(request, timeout_seconds=work.seconds, until=work.until)
        if work.awaited:
            await _end(app, work.awaited, summary)
        self._summaries[cluster] = summary


async def _end(app: App, number: int, summary: Summary) -> None:
    """End an operation that is still open: what was begun has failed, what was not is cancelled."""
    from hactl.core.operations import State

    if any(each.id == number for each in await app.store.operations(open_only=True)):
        await app.store.end_operation(number, State.FAILED if summary.ended else State.CANCELLED, why_ended(summary))


def why_ended(summary: Summary) -> str:
    """Why work ended before it was done, for people and for the record."""
    says = [HOW_ENDED[summary.end].why]
    says += [str(summary.error)] if summary.error is not None else []
    says += [hold.message for hold in summary.holds if not hold.passing][:3]
    says += [f"{e.step.key}: {e.result.reason}" for e in summary.ended[-1:] if e.result.reason]
    return "; ".join(says)


def controller_runs(client: Client) -> bool:
    """Whether a controller works on what the client reaches."""
    from hactl.adapters.lock import ClusterLock, lock_directory

    if client.served or client.record is None:
        return True
    return ClusterLock(lock_directory(client.record)).controller_holder() is not None


@contextmanager
def working(client: Client, work: Work, nodes: NodeLoop | None = None) -> Iterator[Worker | None]:
    """Carry the work out here while the block runs, unless a controller does (None); stopped at its end.

    `nodes`: the connections the command has already.
    """
    if controller_runs(client):
        yield None
        return
    assert client.record is not None
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    worker: Worker | None = None
    try:
        with nullcontext(nodes) if nodes is not None else NodeLoop() as loop:
            try:
                worker = Worker(client.record, work, loop)
                yield worker
            finally:
                if worker is not None:
                    worker.stop()
    finally:
        signal.signal(signal.SIGTERM, before)
