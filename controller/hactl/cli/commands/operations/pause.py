"""`hactl pause`, `hactl resume` and `hactl approve`: what people decide besides the document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import operations as requests
from hactl.cli.api_client.client import Remote, server_of
from hactl.cli.commands.objects.get import server_options
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import to_seconds, told_operation
from hactl.cli.record import reading, state_path
from hactl.errors import HactlError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hactl.core.operations import Operation


@dataclass(frozen=True, slots=True)
class Scope:
    """What is meant: the fleet (all empty), a cluster, or a group or node of it."""

    cluster: str
    group: str = ""
    node: str = ""

    def __str__(self) -> str:
        """For people."""
        part = f"group {self.group} of " if self.group else f"node {self.node} of " if self.node else ""
        return f"{part}{self.cluster}" if self.cluster else "the whole fleet"


def scope_options(function: Callable[..., int]) -> Callable[..., int]:
    """CLUSTER, --group, --node, --all."""
    for decorate in (
        click.argument("cluster", required=False),
        click.option("--group", default="", metavar="GROUP", help="Only this group of the cluster."),
        click.option("--node", default="", metavar="NODE", help="Only this node."),
        click.option("--all", "everything", is_flag=True, help="The whole fleet."),
    ):
        function = decorate(function)
    return function


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds, or None when it is not given."""
    return None if value is None else to_seconds(ctx, param, value)


@click.command()
@scope_options
@click.option("--reason", required=True, help="Why; everybody who looks sees it.")
@click.option("--for", "seconds", callback=duration, metavar="DURATION", help="How long: 4h. Default: until resumed.")
@server_options
@click.pass_context
def pause(
    ctx: click.Context,
    cluster: str | None,
    group: str,
    node: str,
    everything: bool,
    reason: str,
    seconds: float | None,
    server: str | None,
    context: str | None,
) -> int:
    """Change nothing of a cluster, a group, a node, or the whole fleet, for a while. It is still observed and planned.

    A pause keeps hactl from acting; the nodes still fail over by themselves. It has an owner, a reason and an end, and
    shows in every listing. A running controller heeds it within a second; a step that runs is not cut.
    Exit status: 0 it is paused, 1 error.
    """
    remote, path = server_of(ctx, server, context), state_path(ctx)
    scope = _scope(remote, path, cluster, group, node, everything=everything)
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    if remote is not None:
        from hactl.cli import asking_decisions

        made = asking_decisions.pause(remote, scope, reason, until)
    else:
        request = {"kind": "Pause", "cluster": scope.cluster, "group": scope.group, "node": scope.node,
                   "reason": reason, "expires_at": until}  # fmt: skip
        made = f"request {asyncio.run(requests.ask(path, request))}"
    end = f"until {until.astimezone():%Y-%m-%d %H:%M}" if until is not None else "until it is resumed"
    click.echo(f"{scope} is paused {end} ({made}); the nodes still fail over by themselves")
    return 0


@click.command()
@scope_options
@server_options
@click.pass_context
def resume(
    ctx: click.Context,
    cluster: str | None,
    group: str,
    node: str,
    everything: bool,
    server: str | None,
    context: str | None,
) -> int:
    """End a pause: the same words as for `hactl pause`.

    Exit status: 0 it is resumed, 1 it was not paused, or error.
    """
    from hactl.app import actor

    remote, path = server_of(ctx, server, context), state_path(ctx)
    scope = _scope(remote, path, cluster, group, node, everything=everything)
    if remote is not None:
        from hactl.cli import asking_decisions

        asking_decisions.resume(remote, scope)
        click.echo(f"{scope} is resumed")
        return 0

    def matches(each: Operation) -> bool:
        return each.kind == "Pause" and Scope(each.cluster, each.group, each.node) == scope

    ended = asyncio.run(requests.end(path, matches, "Done", f"resumed by {actor()}"))
    if not ended:
        others = [told_operation(each) for each in asyncio.run(_pauses(path))]
        raise NotAskedFor(f"{scope} is not paused" + ("; paused are:\n  " + "\n  ".join(others) if others else ""))
    click.echo(f"{scope} is resumed")
    return 0


async def _pauses(path: Path) -> list[Operation]:
    async with reading(path) as store:
        return [each for each in await store.operations(open_only=True) if each.kind == "Pause"]


def _scope(remote: Remote | None, path: Path, cluster: str | None, group: str, node: str, *, everything: bool) -> Scope:
    """What is meant. Raises UsageError for a contradiction, HactlError for what the record does not have."""
    if everything:
        if cluster or group or node:
            raise click.UsageError("--all is the whole fleet: no cluster, group or node beside it")
        return Scope("")
    if group and node:
        raise click.UsageError("a group or a node, not both")
    if not cluster and not node:
        raise click.UsageError("name a cluster, a --node, or --all")
    if remote is not None:
        from hactl.cli import asking_decisions

        statuses = asking_decisions.known(remote)
        known = set(statuses)
    else:
        statuses, known = asyncio.run(_on_record(path))
    if cluster and cluster not in known:
        raise HactlError(f"the record has no cluster {cluster}; it has {', '.join(sorted(known)) or 'none'}")
    names = [cluster] if cluster else [name for name in sorted(known) if _has(statuses.get(name, {}), "nodes", node)]
    if len(names) != 1:
        raise HactlError(f"{node} is in {', '.join(names)}: name the cluster" if names else f"there is no node {node}")
    for kind, one in (("groups", group), ("nodes", node)):
        if one and names[0] in statuses and not _has(statuses[names[0]], kind, one):
            raise HactlError(f"{names[0]} has no {kind[:-1]} {one}")
    return Scope(names[0], group, node)


async def _on_record(path: Path) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
    """The statuses by cluster, and every cluster there is."""
    async with reading(path) as store:
        statuses = {row["cluster"]: row["status"] for row in await store.statuses()}
        return statuses, {row["cluster"] for row in await store.documents()} | set(statuses)


def _has(status: Mapping[str, Any], kind: str, name: str) -> bool:
    return any(each["name"] == name for each in status.get(kind, ()))


@click.command()
@click.argument("cluster")
@click.argument("digest")
@click.option("--reason", default="", help="Why, for the record.")
@click.option(
    "--for", "seconds", callback=to_seconds, default="24h", metavar="DURATION", show_default=True,
    help="How long the approval is good for.",
)  # fmt: skip
@server_options
@click.pass_context
def approve(
    ctx: click.Context,
    cluster: str,
    digest: str,
    reason: str,
    seconds: float,
    server: str | None,
    context: str | None,
) -> int:
    """In mode Propose: let the plan of CLUSTER that has this DIGEST be carried out, and only that one.

    `hactl plan` and `hactl status CLUSTER` show the digest. A plan that changes meanwhile needs another approval.
    Exit status: 0 approved, 1 refused or error.
    """
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    remote = server_of(ctx, server, context)
    if remote is not None:
        from hactl.cli import asking_decisions

        return asking_decisions.approve(remote, cluster, digest, reason, until)
    path = state_path(ctx)
    plan = asyncio.run(_planned(path, cluster))
    if plan is not None and plan["digest"] != digest:
        said = f"the plan of {cluster} has digest {plan['digest']}" if plan["steps"] else f"{cluster} has nothing to do"
        raise NotAskedFor(f"nothing was approved: {said}, by the newest look on record; look at it: hactl plan")
    request = {"kind": "Approve", "cluster": cluster, "reason": reason, "detail": {"digest": digest},
               "expires_at": until}  # fmt: skip
    number = asyncio.run(requests.ask(path, request))
    holder = requests.holder_of(path)
    who = f"the running controller ({holder}) carries it out" if holder else "hactl apply carries it out"
    click.echo(f"plan {digest} of {cluster} is approved (request {number}): {who}")
    return 0


async def _planned(path: Path, cluster: str) -> Mapping[str, Any] | None:
    """The newest plan on record. Raises HactlError when there is no such cluster."""
    async with reading(path) as store:
        if cluster not in {row["cluster"] for row in await store.documents()}:
            raise HactlError(f"no document of {cluster} is in force on this record")
        for row in await store.statuses():
            if row["cluster"] == cluster:
                plan: Mapping[str, Any] = row["status"]["plan"]
                return plan
    return None
