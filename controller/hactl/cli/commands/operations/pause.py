"""`hactl pause`: change nothing for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.operations import name_of, scope_options
from hactl.cli.output import to_seconds


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds, or None when it is not given."""
    return None if value is None else to_seconds(ctx, param, value)


@click.command()
@scope_options
@click.option("--reason", required=True, help="Why; everybody who looks sees it.")
@click.option("--for", "seconds", callback=duration, metavar="DURATION", help="How long: 4h. Default: until resumed.")
@server_options
@click.pass_context
def pause(ctx: click.Context, /, *, reason: str, seconds: float | None, server: str, context: str, **words: Any) -> int:
    """Change nothing of a cluster, a group, a node, or the whole fleet, for a while. It is still observed and planned.

    A pause keeps hactl from acting; the nodes still fail over by themselves. It has an owner, a reason and an end, and
    shows in every listing. A running controller heeds it within a second; a step that runs is not cut.

    Exit status: 0 it is paused, 1 error.
    """
    operations.check_scope(**words)
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    with connected(ctx, server=server, context=context) as client:
        scope = operations.scope(client, words["cluster"], words["group"], words["node"])
        spec = {"type": "Pause", **scope.fields, "reason": reason, "expiresAt": operations.wire_time(until)}
        made = operations.create(client, spec)
    end = f"until {until.astimezone():%Y-%m-%d %H:%M}" if until is not None else "until it is resumed"
    click.echo(f"{scope} is paused {end} ({name_of(made)}); the nodes still fail over by themselves")
    return 0
