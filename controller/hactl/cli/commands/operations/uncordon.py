"""`hactl uncordon`: let a drained node work again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.operations import name_of, wait_options
from hactl.cli.output import safe
from hactl.errors import HactlError


@click.command()
@click.argument("node")
@click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
@wait_options
@server_options
@click.pass_context
def uncordon(
    ctx: click.Context, /, node: str, cluster: str | None, *, no_wait: bool, seconds: float, **how: Any
) -> int:
    """Let a drained NODE work again. Nothing moves back by itself, unless the document says failback: WhenReady.

    The note that it is drained is taken off the node by the running controller, or, without one, from here.

    Exit status: 0 it is so (or the controller does it), 1 refused or error, 3 not there yet, 130 stopped.
    """
    with connected(ctx, **how) as client:
        name = name_of(operations.cluster_with(client, node, cluster))
        found = operations.open_operations(client, "Drain", cluster=name, node=node)
        if not found:
            raise HactlError(f"{node} of {name} is not drained")
        if no_wait:
            operations.must_run(client)
        operations.cancel(client, found)
        click.echo(f"the drain of {node} is cancelled")
        if no_wait:
            return 0

        def released(status: Mapping[str, Any]) -> bool:
            hooks = [each.get("hook") for each in status.get("nodes", ()) if each["name"] == node]
            return bool(status) and not any(hook and hook.get("drained") for hook in hooks)

        aside = f"the controller removes the note from {node}"
        ending = operations.carry_out(client, name, operation=None, seconds=seconds, reached=released, aside=aside)
        if not ending.over:
            click.echo(
                f"{node} still has the note that it is drained" + (f": {safe(ending.why)}" if ending.why else "")
            )
            return ending.status
        click.echo(f"{node} may work again")
        return 0
