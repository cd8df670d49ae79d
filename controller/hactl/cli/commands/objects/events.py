"""`hactl events`: what happened, as Kubernetes tells it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from hactl.cli.api_client.client import EVENTS, TABLE, Call, Client
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.api_client.watch import follow, revision_of
from hactl.cli.forms.option import output_option
from hactl.cli.objects import print_events
from hactl.cli.output import print_data, safe


@click.command()
@click.argument("name", required=False, metavar="[CLUSTER]")
@click.option("-w", "--watch", "follow", is_flag=True, help="Then show every new one, until Ctrl-C.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="Show this many, the newest ones."
)
@output_option("json", "yaml")
@namespace_options()
@server_options
@click.pass_context
def events(
    ctx: click.Context,
    name: str | None,
    follow: bool,
    limit: int,
    form: str | None,
    server: str | None,
    context: str | None,
) -> int:
    """What happened to a cluster, or to all, oldest first, as Kubernetes tells it. `hactl history` has every detail."""
    query = {"fieldSelector": f"involvedObject.name={name}"} if name else {}
    with connected(ctx, server=server, context=context) as client:
        accept = TABLE if form is None else "application/json"
        found = client.send(Call("GET", EVENTS, query, accept=accept))
        if form is not None:
            print_data(form, found["items"][-limit:])
        else:
            print_events(found, limit)
        if follow:
            _follow_events(client, query, revision_of(found), form)
    return 0


def _follow_events(client: Client, query: Mapping[str, str], revision: str, form: str | None) -> None:
    """Every new one, until a person ends it."""

    def again() -> str:
        click.echo("hactl: some events were missed; `hactl history` has all", err=True)
        return revision_of(client.send(Call("GET", EVENTS, {"limit": "1"})))

    for event in follow(client, Call("GET", EVENTS, query), revision, again=again):
        one = event["object"]
        if event["type"] == "DELETED":
            continue
        if form is None:
            about = one["involvedObject"].get("name") or "-"
            click.echo(f"{one['lastTimestamp']}  {one['type']}  {one['reason']}  {about}  {safe(one['message'])}")
        else:
            if form == "yaml":
                click.echo("---")
            print_data(form, one)
        sys.stdout.flush()
