"""`hactl resume`: end a pause."""

from __future__ import annotations

from typing import Any

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.operations import scope_options
from hactl.cli.output import operation_line
from hactl.errors import HactlError


@click.command()
@scope_options
@server_options
@click.pass_context
def resume(ctx: click.Context, /, *, server: str, context: str, **words: Any) -> int:
    """End a pause: the same words as for `hactl pause`.

    Exit status: 0 it is resumed, 1 it was not paused, or error.
    """
    operations.check_scope(**words)
    with connected(ctx, server=server, context=context) as client:
        scope = operations.scope(client, words["cluster"], words["group"], words["node"])
        found = operations.open_operations(client, "Pause", **scope.fields)
        if not found:
            others = [operation_line(each) for each in operations.open_operations(client, "Pause")]
            raise HactlError(f"{scope} is not paused" + ("; paused are:\n  " + "\n  ".join(others) if others else ""))
        operations.cancel(client, found)
    click.echo(f"{scope} is resumed")
    return 0
