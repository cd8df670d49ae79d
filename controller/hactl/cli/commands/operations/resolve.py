"""`hactl resolve`: throw away one of two copies that refuse each other. Shows both, the plan, and asks for the name."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from hactl.cli.api_client.client import server_of
from hactl.cli.commands.objects.get import server_options
from hactl.cli.observe import Looked, document_option, look_at
from hactl.cli.output import print_step, safe, table
from hactl.cli.record import state_path
from hactl.core.steps import Stage
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.core.evidence.copies import Comparison


class NotResolved(HactlError):
    """It is refused, or was not confirmed."""


@click.command()
@click.argument("cluster")
@click.argument("resource")
@click.option("--discard", required=True, metavar="NODE", help="The node whose copy is thrown away.")
@click.option("--preserve", default="", metavar="PATH", help="Keep an image of its device there first, on that node.")
@click.option("--yes-discard", metavar="NODE", help="The node's name again, instead of typing it.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--dry-run", is_flag=True, help="Only show both copies and the steps.")
@document_option
@server_options
@click.pass_context
def resolve(
    ctx: click.Context,
    cluster: str,
    resource: str,
    discard: str,
    preserve: str,
    yes_discard: str | None,
    reason: str,
    dry_run: bool,
    paths: tuple[str, ...],
    server: str | None,
    context: str | None,
) -> int:
    """Throw away the copy of RESOURCE on one node, after a split-brain, and let HAST fill it from the other one.

    Both copies are shown, then the exact steps, all of them on the node whose copy goes. The node's name has to be
    typed, or given with --yes-discard. Refused when there is no split-brain, when the copy is in use, and when the
    other node is not primary. The request is recorded; a running controller, or `hactl apply`, carries it out. With
    --server or --context that server's controller is asked; what it saw last is shown instead of the copies.
    Exit status: 0 asked for (or shown), 1 refused or error.
    """
    remote = None if paths else server_of(ctx, server, context)
    if remote is not None:
        from hactl.cli import asking_decisions

        return asking_decisions.resolve(
            remote, cluster, resource, discard, preserve, yes_discard, reason, dry=dry_run
        )  # fmt: skip
    from hactl.core.evidence.copies import compare_copies, group_of
    from hactl.core.evidence.view import View
    from hactl.core.plan.resolve import Refusal, resolve_steps

    looked = asyncio.run(look_at(ctx, paths, cluster))
    found = group_of(looked.cluster, resource)
    if found is None:
        names = ", ".join(storage.name for group in looked.cluster.groups for storage in group.storage)
        raise NotResolved(f"{cluster} has no resource {resource}; it has {names or 'none'}")
    _show(compare_copies(View.at(looked.cluster, looked.snapshot, looked.now), found[1]))
    steps = resolve_steps(looked.cluster, looked.snapshot, resource, discard, preserve, looked.now)
    if isinstance(steps, Refusal):
        helps = f"; what helps: {steps.remedy}" if steps.remedy else ""
        raise NotResolved(f"refused, {steps.reason}: {steps.message}{helps}")
    if not steps:
        click.echo(f"nothing to do: the copy on {discard} is new and empty, HAST fills it from the other one")
        return 0
    _show_steps(steps)
    if dry_run:
        return 0
    confirmed(discard, yes_discard)
    return asyncio.run(_ask_for(ctx, looked, resource, discard, preserve, reason))


def _show(comparison: Comparison) -> None:
    from hactl.core.evidence.copies import comparison_table

    header, rows = comparison_table(comparison)
    click.echo(table([[safe(cell) for cell in row] for row in rows], header))
    for copy in comparison.copies:
        for line in copy.timeline:
            click.echo(f"  {copy.node}: {safe(line)}")
    click.echo(f"\n{click.style(safe(comparison.message), bold=True)}")
    click.echo("  HAST keeps no time of the last write: look at the files themselves before one copy goes\n")


def _show_steps(stages: tuple[Stage, ...]) -> None:
    for stage in stages:
        click.echo(click.style(stage.title, bold=True))
        for number, step in enumerate(stage.steps, 1):
            print_step(number, step)
    click.echo("")


def confirmed(node: str, given: str | None) -> None:
    """The name, typed or given. Raises NotResolved when it is another one, or nobody can be asked."""
    if given is None:
        if not sys.stdin.isatty():
            raise NotResolved(f"nothing was done: say --yes-discard {node}, or run it on a terminal")
        given = click.prompt(f"what only {node} has is lost. Type the node's name to throw its copy away")
    if given != node:
        raise NotResolved(f"nothing was done: {given} is not {node}")


async def _ask_for(ctx: click.Context, looked: Looked, resource: str, discard: str, preserve: str, reason: str) -> int:
    from hactl.adapters.lock import ClusterLock, lock_directory
    from hactl.adapters.record.sqlite.store import open_record
    from hactl.app import actor
    from hactl.core.operations import Kind

    path, name = state_path(ctx), looked.cluster.name
    if not await asyncio.to_thread(path.exists):
        raise NotResolved(f"there is no record at {path} that could carry it: hactl apply -f {looked.source} first")
    store = await open_record(path, actor=actor())
    try:
        request = {"kind": Kind.RESOLVE, "cluster": name, "actor": actor(), "reason": reason, "resource": resource,
                   "node": discard, "detail": {"preserve": preserve} if preserve else {}}  # fmt: skip
        number = await store.open_operation(request)
    finally:
        await store.close()
    holder = ClusterLock(lock_directory(path)).controller_holder()
    who = f"hactl apply -f {looked.source} carries it out"
    if holder is not None:
        who = f"the running controller ({holder}) carries it out"
    click.echo(f"request {number} is on record: {who}; hactl history {name} shows every step")
    return 0
