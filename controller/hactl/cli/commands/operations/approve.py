"""`hactl approve`: let one plan be carried out (mode Propose)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.operations import name_of, status_of
from hactl.cli.output import to_seconds
from hactl.errors import HactlError


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
    ctx: click.Context, cluster: str, digest: str, reason: str, seconds: float, server: str | None, context: str | None
) -> int:
    """In mode Propose: let the plan of CLUSTER that has this DIGEST be carried out, and only that one.

    `hactl plan` and `hactl status CLUSTER` show the digest. A plan that changes meanwhile needs another approval. The
    running controller carries it out, or the next `hactl apply`.

    Exit status: 0 approved, 1 refused or error.
    """
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    with connected(ctx, server=server, context=context) as client:
        plan = status_of(operations.cluster(client, cluster)).get("plan")
        if plan is not None and plan["digest"] != digest:
            found = (
                f"the plan of {cluster} has digest {plan['digest']}"
                if plan["steps"]
                else f"{cluster} has nothing to do"
            )
            raise HactlError(f"nothing was approved: {found}, by the newest look; look at it: hactl plan")
        spec = {"type": "Approve", "cluster": cluster, "digest": digest, "reason": reason,
                "expiresAt": operations.wire_time(until)}  # fmt: skip
        made = operations.create(client, spec)
    click.echo(f"plan {digest} of {cluster} is approved ({name_of(made)}): "
               "a running controller carries it out, else: hactl apply -f FILE")  # fmt: skip
    return 0
