"""One look from here at the nodes of one cluster, for commands that explain and those that show what they would do.

Nothing is recorded or touched. Heavy imports happen when a command is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hactl.cli.documents import load_all
from hactl.cli.record import reading
from hactl.errors import HactlError, StoreError

if TYPE_CHECKING:
    from hactl.app import Sight
    from hactl.cli.work.node_loop import NodeLoop
    from hactl.core.cluster import Cluster
    from hactl.core.facts import Snapshot
    from hactl.core.operations import Overrides
    from hactl.core.plan.durations import Durations
    from hactl.core.steps import Plan
    from hactl.core.why.answer import Question
    from hactl.ports import Document

F = TypeVar("F", bound=Callable[..., Any])

#: Between two looks that show which counters move: more than two advertisements.
BETWEEN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a command has to explain from."""

    cluster: Cluster
    snapshot: Snapshot
    plan: Plan
    #: Monotonic seconds of the look.
    now: float
    #: The document's file, for commands.
    source: str
    overrides: Overrides
    #: An earlier look, when two MASTERs made one worth it.
    before: Snapshot | None = None
    #: Events and steps of the last hour (`History.history`).
    rows: tuple[Mapping[str, Any], ...] = ()
    #: The last status on record; None: nobody has looked.
    status: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A document, and what the record says around it."""

    document: Document
    generation: int
    overrides: Overrides | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    #: The last status; None: nobody has looked.
    status: Mapping[str, Any] | None = None


def document_option(function: F) -> F:
    """`-f PATH...`, optional: else the document in force, from the record."""
    return click.option(
        "-f", "--filename", "paths", multiple=True, metavar="PATH", type=str,
        help="The document's file or directory. Default: the document in force, from the record.",
    )(function)  # fmt: skip


async def find(record: Path, paths: Sequence[str], wanted: Callable[[Document], bool]) -> list[Recorded]:
    """Every document of `paths`, else of the record, that is wanted. Raises HactlError when it cannot be read."""
    from hactl.app import last_statuses, likely_generations, revive

    if paths:
        documents = [document for document in load_all(paths) if wanted(document)]
        generations = await likely_generations(record, documents)
        if not await asyncio.to_thread(record.exists):
            return [Recorded(document, generations[document.cluster.name]) for document in documents]
    else:
        async with reading(record) as store:
            rows = await store.documents()
        revived = [(revive(row), int(row["generation"])) for row in rows]
        documents = [document for document, _ in revived if wanted(document)]
        generations = {document.cluster.name: generation for document, generation in revived}
    found = []
    statuses = await last_statuses(record)
    async with reading(record) as store:
        for document in documents:
            name = document.cluster.name
            try:
                overrides, rows_of = await _recorded(store, name)
            except StoreError as error:
                click.echo(f"the open operations cannot be read: {error}", err=True)
                overrides, rows_of = None, ()
            found.append(Recorded(document, generations[name], overrides, rows_of, statuses.get(name)))
    return found


async def _recorded(store: Any, cluster: str) -> tuple[Overrides, tuple[Mapping[str, Any], ...]]:
    from hactl.core.operations import overrides
    from hactl.core.why.looked import FIGHT_HOURS

    wall = datetime.now(UTC)
    since = wall - timedelta(hours=FIGHT_HOURS)
    rows = await store.history({"cluster": cluster, "since": since})
    return overrides(await store.operations_in_force(cluster), cluster, wall), tuple(rows)


async def look(recorded: Recorded, paths: Sequence[str], sight: Sight | None = None) -> Looked:
    """Look at the nodes; twice, some seconds apart, when two MASTERs are seen, because only counters that move tell."""
    from hactl.app import opened
    from hactl.core.evidence.failures import on_record
    from hactl.core.evidence.view import View
    from hactl.core.operations import Overrides
    from hactl.core.pace.gate import as_recorded
    from hactl.runtime.passes.types import Accepted

    accepted = Accepted(recorded.document, recorded.generation)
    overrides = replace(recorded.overrides or Overrides(), failures=on_record(recorded.status))
    async with opened(None, sight=sight) as app:
        resolved, snapshot, plan = await app.reconciler.look(accepted, overrides=overrides, previous=recorded.status)
        before = None
        view = View.at(resolved.cluster, snapshot, app.clock.monotonic())
        if any(len(view.masters(vip)) > 1 for group in resolved.cluster.groups for vip in group.virtual_ips):
            before = snapshot
            await app.clock.sleep(BETWEEN_SECONDS)
            resolved, snapshot, plan = await app.reconciler.look(
                accepted, overrides=overrides, previous=recorded.status
            )
        source = paths[0] if len(paths) == 1 else recorded.document.source.partition("#")[0]
        now = app.clock.monotonic()
        plan = as_recorded(plan, recorded.status)
        return Looked(resolved.cluster, snapshot, plan, now, source, overrides, before, recorded.rows, recorded.status)


def look_at(record: Path, cluster: str, paths: Sequence[str] = (), *, nodes: NodeLoop | None = None) -> Looked:
    """Find the cluster of that name and look. Raises HactlError when there is none.

    `nodes`: where connections stay open for what comes next.
    """

    async def looked(sight: Sight | None = None) -> Looked:
        found = await find(record, paths, lambda document: document.cluster.name == cluster)
        if not found:
            where = ", ".join(paths) if paths else "the record"
            raise HactlError(f"there is no cluster {cluster} in {where}")
        return await look(found[0], paths, sight)

    return asyncio.run(looked()) if nodes is None else nodes.run(looked)


def durations_of(record: Path, cluster: str) -> Durations:
    """How long steps take, from the newest ones on record."""
    from hactl.core.plan.durations import measured

    async def durations() -> Durations:
        async with reading(record) as store:
            return measured(await store.history({"cluster": cluster, "kind": "Step", "limit": 1000}))

    return asyncio.run(durations())


def explained(looked: Looked, question: Question) -> Mapping[str, Any]:
    """The answer to one question (`explanation_data`). Raises HactlError for a group that does not exist."""
    from hactl.core.why.answer import explanation_data
    from hactl.core.why.looked import Seen, answer

    seen = Seen(looked.cluster, looked.snapshot, looked.plan, looked.source, looked.before)
    try:
        found = answer(seen, question, now=looked.now, status=looked.status, rows=looked.rows)
    except KeyError as error:
        groups = ", ".join(group.name for group in looked.cluster.groups)
        raise HactlError(f"{looked.cluster.name} has no group {question.group}; it has {groups}") from error
    return explanation_data(looked.cluster.name, found)
