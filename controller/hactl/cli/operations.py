"""Asking for something and seeing it through: opening a request, following the controller, or carrying it out here.

Rules: when a controller runs on the record it does the work and this process only watches, so Ctrl-C leaves the request
as it is; when none runs the work is done here, as `apply` does, and a request that could not be finished is ended, so
that nothing happens later that nobody expects any more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.output import safe
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.adapters.lock import Holder
    from hactl.adapters.record.store import Store
    from hactl.core.operations import Operation
    from hactl.core.pace.convergence import Summary
    from hactl.core.pace.result import PassResult

#: How often the record is read while a controller works, seconds.
POLL_SECONDS = 0.4

#: Whether what was asked for is there, by the newest status of the cluster.
Reached = Callable[[Mapping[str, Any]], bool]


class NotAskedFor(HactlError):
    """Refused, not confirmed, or it makes no sense now."""


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal. Raises NotAskedFor when the answer is no, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotAskedFor("nothing was done: say --yes, or run it on a terminal")
    if not click.confirm(question):
        raise NotAskedFor("nothing was done")


def holder_of(path: Path) -> Holder | None:
    """The controller that runs on that record; None: none does."""
    from hactl.adapters.lock import ClusterLock, lock_directory

    return ClusterLock(lock_directory(path)).controller_holder()


async def open_store(path: Path) -> Store:
    """The record, to write requests into. Raises HactlError when there is none yet."""
    from hactl.adapters.record.sqlite.store import open_record
    from hactl.app import actor

    if not await asyncio.to_thread(path.exists):
        raise HactlError(f"there is no record at {path} yet: `hactl apply` and `hactl run` make it; see --state PATH")
    return await open_record(path, actor=actor())


async def ask(path: Path, request: Mapping[str, Any]) -> int:
    """Record a request of this person; its number. Raises Busy when it is asked for already."""
    from hactl.app import actor

    store = await open_store(path)
    try:
        return await store.open_operation({"actor": actor(), **request})
    finally:
        await store.close()


async def end(path: Path, matches: Callable[[Operation], bool], state: str, message: str) -> list[Operation]:
    """End the open requests that match; returns them as they were."""
    from hactl.core.operations import State

    store = await open_store(path)
    try:
        found = [each for each in await store.operations(open_only=True) if matches(each)]
        for each in found:
            await store.end_operation(each.id, State(state), message)
        return found
    finally:
        await store.close()


async def fetch(path: Path, number: int) -> Operation:
    """A request as it stands now."""
    from hactl.cli.record import reading

    async with reading(path) as store:
        return next(each for each in await store.operations() if each.id == number)


# -- a controller does the work ---------------------------------------------------------------------------------------


async def follow(
    path: Path, cluster: str, number: int, *, limit_seconds: float, reached: Reached | None = None
) -> Operation | None:
    """Show what the controller does until the request is over, or `reached`; the request, None when time was up.

    Raises HactlError when no controller runs any more.
    """
    from hactl.cli.record import reading

    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_seconds
    async with reading(path) as store:
        screen = await _Following.start(store, cluster)
        while True:
            await screen.show()
            found = next(each for each in await store.operations(cluster) if each.id == number)
            if found.state != "Open":
                return found
            status: Mapping[str, Any] = next(
                (r["status"] for r in await store.statuses() if r["cluster"] == cluster), {}
            )
            if reached is not None and reached(status):
                return found
            screen.say_why(status)
            if await asyncio.to_thread(holder_of, path) is None:
                raise HactlError(f"no controller runs any more; request {number} stays open and nobody works on it")
            if loop.time() > deadline:
                return None
            await asyncio.sleep(POLL_SECONDS)


class _Following:
    """Prints what is new on record about one cluster."""

    def __init__(self, store: Store, cluster: str, last: int) -> None:
        self._store = store
        self._cluster = cluster
        self._last = last
        self._running: set[int] = set()
        self._said: tuple[str, ...] = ()

    @classmethod
    async def start(cls, store: Store, cluster: str) -> _Following:
        """From here on."""
        newest = await store.history({"cluster": cluster, "limit": 1})
        return cls(store, cluster, newest[-1]["id"] if newest else 0)

    async def show(self) -> None:
        """Steps that began or ended since."""
        for row in await self._store.history({"cluster": self._cluster, "kind": "Step", "limit": 100}):
            if row["outcome"] is None and row["id"] > self._last and row["id"] not in self._running:
                self._running.add(row["id"])
                _say(f"  {click.style(row['node'], bold=True)}  {_first(row)}  {click.style(row['why'], dim=True)}")
            elif row["outcome"] is not None and (row["id"] > self._last or row["id"] in self._running):
                if row["id"] not in self._running:
                    _say(f"  {click.style(row['node'], bold=True)}  {_first(row)}  {click.style(row['why'], dim=True)}")
                self._running.discard(row["id"])
                colour = {"Done": "green", "Failed": "red"}.get(row["outcome"], "yellow")
                said = row["output"].strip().splitlines() if row["outcome"] != "Done" and row["output"] else []
                why = f": {safe(said[-1])}" if said else ""
                ended = click.style(row["outcome"].lower(), fg=colour)
                _say(f"  {click.style(row['node'], bold=True)}  {ended} in {row['seconds'] or 0.0:.1f} s{why}")
            else:
                continue
            self._last = max(self._last, row["id"])

    def say_why(self, status: Mapping[str, Any]) -> None:
        """What is waited for, once."""
        told = tuple(hold["message"] for hold in status.get("holds", ()))
        if told != self._said:
            self._said = told
            for text in told:
                _say(f"  {click.style('waiting', fg='cyan')}  {safe(text)}")


def _first(row: Mapping[str, Any]) -> str:
    lines = row["command"].splitlines()
    return str(lines[0]) if len(lines) == 1 else f"{row['verb']} {row['target']}"


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


# -- the work is done here --------------------------------------------------------------------------------------------


async def carry_out(
    path: Path,
    cluster: str,
    *,
    limit_seconds: float,
    awaited: int = 0,
    done: Callable[[PassResult], bool] | None = None,
    quiet: bool = False,
) -> Summary:
    """Pass after pass on the document in force, until the request `awaited` is over or `done` says so."""
    import signal

    from hactl.app import actor, opened, revive
    from hactl.cli.commands.documents.apply import Screen, on_signal
    from hactl.runtime.passes.types import Accepted, PassRequest

    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, on_signal(stop))
    async with opened(path) as app:
        row = next((row for row in await app.store.documents() if row["cluster"] == cluster), None)
        if row is None:
            raise HactlError(f"no document of {cluster} is in force on this record")
        accepted = Accepted(revive(row), int(row["generation"]))
        request = PassRequest(
            accepted,
            cause="request",
            actor=actor(),
            stop=stop,
            listener=Screen("", app, quiet=quiet).listener(),
        )
        return await app.converge(
            request,
            timeout_seconds=limit_seconds,
            until=done or (lambda result: any(each.id == awaited for each in result.ended)),
        )


def told(summary: Summary) -> str:
    """Why a run ended before it was done, for people and for the record."""
    words = {
        "stalled": "it cannot go on",
        "held": "it is held back",
        "deadline": "the time was up",
        "stopped": "a person stopped it",
        "refused": "references of the document do not resolve",
        "store": "the record cannot be kept",
    }
    says = [words.get(summary.end, summary.end)]
    says += [str(summary.error)] if summary.error is not None else []
    says += [hold.message for hold in summary.holds if not hold.passing][:3]
    says += [f"{e.step.key}: {e.result.reason}" for e in summary.ended[-1:] if e.result.reason]
    return "; ".join(says)


def serving(status: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    """Who serves what, as every node that has a say told in the last look; one line for each part."""
    lines = []
    for group in status.get("groups", ()):
        if group["name"] not in groups:
            continue
        for vip in group["addresses"]:
            states = ", ".join(f"{node} says {state}" for node, state in vip["states"].items())
            lines.append(f"vhid {vip['vhid']} {', '.join(vip['addresses'])}: {states}")
        for storage in group["storage"]:
            roles = ", ".join(f"{node} says {role}" for node, role in storage["roles"].items())
            mounted = ", ".join(storage["mountedOn"]) or "no node"
            lines.append(f"{storage['name']}: {roles}; {storage['status'] or 'not connected'}; in use on {mounted}")
        for service in group["services"]:
            states = ", ".join(f"{node} {state.lower()}" for node, state in service["states"].items())
            lines.append(f"{service['name']}: {states}")
    return lines
