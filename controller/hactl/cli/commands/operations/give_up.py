"""`hactl give-up`: let hactl end something that was on a node before it."""

from __future__ import annotations

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.operations import name_of, status_of
from hactl.errors import HactlError


@click.command("give-up")
@click.argument("cluster")
@click.argument("node")
@click.argument("setting")
@click.option("--reason", default="", help="Why, for the record.")
@server_options
@click.pass_context
def give_up(
    ctx: click.Context, cluster: str, node: str, setting: str, reason: str, server: str | None, context: str | None
) -> int:
    """Let hactl end a SETTING of NODE that was there before it and that the document of CLUSTER does not say.

    SETTING is what `hactl plan` and `hactl status CLUSTER` call it in a hold NotInDocument, for instance
    /etc/hast.conf:data.exec. The other answers are to say it in the document, or to name it in spec.keep.

    Exit status: 0 it is given up, 1 refused or error.
    """
    with connected(ctx, server=server, context=context) as client:
        holds = status_of(operations.cluster(client, cluster)).get("holds", ())
        waiting = {(hold["node"], hold["target"]) for hold in holds if hold["reason"] == "NotInDocument"}
        if (node, setting) not in waiting:
            listed = ", ".join(f"{on} {name}" for on, name in sorted(waiting)) or "nothing"
            raise HactlError(f"nothing was given up: by the newest look, what waits for an answer is {listed}")
        spec = {"type": "GiveUp", "cluster": cluster, "node": node, "setting": setting, "reason": reason}
        made = operations.create(client, spec)
    click.echo(f"{setting} of {node} is given up ({name_of(made)}): "
               "a running controller goes on, else: hactl apply -f FILE")  # fmt: skip
    return 0
