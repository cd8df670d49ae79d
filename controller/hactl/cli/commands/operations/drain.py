"""`hactl drain` and `hactl uncordon`: keep everything off a node, and let it work again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import operations as requests
from hactl.cli.api_client.client import server_of
from hactl.cli.commands.objects.get import server_options
from hactl.cli.commands.operations.switchover import measured
from hactl.cli.observe import find, look
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import age, print_hold, print_step, safe, to_seconds
from hactl.cli.record import state_path

if TYPE_CHECKING:
    from pathlib import Path

    from hactl.cli.observe import Found
    from hactl.core.operations import Operation
    from hactl.core.pace.result import PassResult
    from hactl.ports import Document

_timeout = click.option(
    "--timeout", "timeout_seconds", callback=to_seconds, default="15m", metavar="DURATION", show_default=True,
    help="Watch, or begin new passes, no longer than this.",
)  # fmt: skip
_cluster = click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
_no_wait = click.option("--no-wait", is_flag=True, help="Ask the running controller for it and do not watch.")


@click.command()
@click.argument("node")
@_cluster
@click.option("--reason", default="", help="Why, for the record and for every listing.")
@click.option("--dry-run", is_flag=True, help="Only what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_no_wait
@_timeout
@server_options
@click.pass_context
def drain(
    ctx: click.Context,
    node: str,
    cluster: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    timeout_seconds: float,
    server: str | None,
    context: str | None,
) -> int:
    """Move everything off NODE and keep it off, until `hactl uncordon NODE`.

    Done when every group of the node is served by another one. It survives reboots of the node and of the controller,
    shows in every listing, and the node itself takes nothing over meanwhile. Without a running controller the work is
    done here, from the document in force in the record. With --server or --context that server's controller is asked.
    Exit status: 0 drained (or shown, or asked for), 1 refused or error, 3 not there yet, 130 stopped.
    """
    remote = server_of(ctx, server, context)
    if remote is not None:
        from hactl.cli import asking_moves

        return asking_moves.drain(
            remote, node, cluster, reason=reason, dry_run=dry_run, yes=yes, no_wait=no_wait, seconds=timeout_seconds
        )
    return asyncio.run(_drain(ctx, state_path(ctx), node, cluster, reason, dry_run, yes, no_wait, timeout_seconds))


async def _drain(
    ctx: click.Context,
    path: Path,
    node: str,
    cluster: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    limit_seconds: float,
) -> int:
    found = await cluster_of(ctx, node, cluster)
    await _show(found, node, await measured(path, found.document.cluster.name))
    if dry_run:
        return 0
    holder = await asyncio.to_thread(requests.holder_of, path)
    if holder is None and no_wait:
        raise NotAskedFor("nothing was done: no controller runs on this record that could do it later")
    requests.confirm(f"Move everything off {node} and keep it off?", yes=yes)
    name = found.document.cluster.name
    number = await requests.ask(path, {"kind": "Drain", "cluster": name, "node": node, "reason": reason})
    if holder is not None:
        click.echo(f"request {number} is on record; the running controller ({holder}) carries it out")
        return 0 if no_wait else await _follow(path, name, number, node, limit_seconds)

    def emptied(result: PassResult) -> bool:
        return not result.plan.stages and not left_on(result.status, node)

    summary = await requests.carry_out(path, name, limit_seconds=limit_seconds, done=emptied)
    if summary.end == "over":
        return drained(node)
    click.echo(f"{node} is not empty yet: {safe(requests.told(summary))}")
    click.echo(f"the drain stays on record; go on with: hactl apply, or take it back with: hactl uncordon {node}")
    return {"stopped": 130, "refused": 1, "store": 1}.get(summary.end, 3)


async def cluster_of(ctx: click.Context, node: str, cluster: str | None) -> Found:
    """The one cluster of the record that has the node. Raises NotAskedFor."""

    def has(document: Document) -> bool:
        names = [each.name for each in document.cluster.spec.nodes]
        return node in names and cluster in (None, document.cluster.name)

    found = await find(ctx, (), has)
    if len(found) != 1:
        names = ", ".join(each.document.cluster.name for each in found)
        raise NotAskedFor(f"{node} is in {names}: say --cluster" if found else f"the record has no node {node}")
    return found[0]


async def _show(found: Found, node: str, usual: dict[str, float]) -> None:
    """What would be moved, where to, and what stands in the way."""
    from dataclasses import replace

    from hactl.core.operations import Overrides
    from hactl.core.plan import make_plan
    from hactl.core.plan.switchover import moving_steps, prediction

    looked = await look(found, ())
    wanted = found.overrides or Overrides()
    overrides = replace(wanted, drained={**wanted.drained, node: "asked for now"})
    plan = make_plan(looked.cluster, looked.snapshot, looked.now, overrides=overrides)
    click.echo(click.style(f"{looked.cluster.name}: drain {node}", bold=True))
    mine = [group.name for group in looked.cluster.groups if plan.active.get(group.name) == node]
    if not mine:
        click.echo(f"  {node} serves nothing now")
    for name in mine:
        goal = plan.goals.get(name)
        click.echo(f"  {name} moves to {goal}" if goal != node else f"  {name} stays: no other node could take it")
    for number, step in enumerate(moving_steps(plan), 1):
        print_step(number, step)
    for hold in plan.holds:
        print_hold(hold)
    if mine:
        click.echo(f"  about {prediction(plan, usual):.1f} s without service are expected")


def left_on(status: Mapping[str, Any], node: str) -> list[str]:
    """Groups that the node still has something of, or that nobody serves, by the wire status of its cluster."""
    left = []
    for group in status.get("groups", ()):
        elsewhere = group["active"] is not None and group["active"] != node
        masters = {name for vip in group["addresses"] for name, state in vip["states"].items() if state == "MASTER"}
        primaries = {name for each in group["storage"] for name, role in each["roles"].items() if role == "primary"}
        concerned = any(node in vip["states"] for vip in group["addresses"]) or any(
            node in each["roles"] for each in group["storage"]
        )
        if (concerned or group["active"] == node) and not (elsewhere and (masters | primaries) <= {group["active"]}):
            left.append(group["name"])
    return left


async def _follow(path: Path, name: str, number: int, node: str, limit_seconds: float) -> int:
    def emptied(status: Mapping[str, Any]) -> bool:
        return bool(status) and not status["plan"]["steps"] and not left_on(status, node)

    try:
        over = await requests.follow(path, name, number, limit_seconds=limit_seconds, reached=emptied)
    except asyncio.CancelledError:
        click.echo(
            f"\nnot watching any more; {node} is being drained. To take it back: hactl uncordon {node}", err=True
        )
        raise
    if over is None:
        click.echo(f"{node} is not empty within {age(limit_seconds)}; it goes on, hactl status {name} shows it")
        return 3
    if over.state != "Open":
        click.echo(f"the drain of {node} ended: {over.state.value}: {safe(over.message)}")
        return 1
    return drained(node)


def drained(node: str) -> int:
    """Say that nothing is there any more."""
    word = click.style("drained", fg="green", bold=True)
    click.echo(f"{word}: nothing is served by {node}, and it takes nothing over until: hactl uncordon {node}")
    return 0


@click.command()
@click.argument("node")
@_cluster
@_timeout
@server_options
@click.pass_context
def uncordon(
    ctx: click.Context,
    node: str,
    cluster: str | None,
    timeout_seconds: float,
    server: str | None,
    context: str | None,
) -> int:
    """Let a drained NODE work again. Nothing moves back by itself, unless the document says failback: WhenReady.

    A running controller takes the note off the node within seconds; without one it is done here.
    Exit status: 0 it is so (or the controller does it), 1 refused or error, 3 not there yet, 130 stopped.
    """
    remote = server_of(ctx, server, context)
    if remote is not None:
        from hactl.cli import asking_moves

        return asking_moves.uncordon(remote, node, cluster)
    return asyncio.run(_uncordon(ctx, state_path(ctx), node, cluster, timeout_seconds))


async def _uncordon(ctx: click.Context, path: Path, node: str, cluster: str | None, limit_seconds: float) -> int:
    from hactl.app import actor

    found = await cluster_of(ctx, node, cluster)
    name = found.document.cluster.name

    def matches(each: Operation) -> bool:
        return each.kind == "Drain" and each.node == node and each.cluster == name

    ended = await requests.end(path, matches, "Done", f"uncordoned by {actor()}")
    if not ended:
        raise NotAskedFor(f"{node} of {name} is not drained")
    holder = await asyncio.to_thread(requests.holder_of, path)
    if holder is not None:
        click.echo(f"{node} is not drained any more; the running controller ({holder}) tells it so")
        return 0

    def released(result: PassResult) -> bool:
        return not any(step.verb == "ForgetDrained" for step in result.plan.steps)

    summary = await requests.carry_out(path, name, limit_seconds=limit_seconds, done=released)
    if summary.end != "over":
        said = safe(requests.told(summary))
        click.echo(f"{node} still has the note that it is drained: {said}; hactl apply goes on")
        return {"stopped": 130, "refused": 1, "store": 1}.get(summary.end, 3)
    click.echo(f"{node} may work again")
    return 0
