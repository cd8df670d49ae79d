"""`hactl token`: who may use the API over the network."""

from __future__ import annotations

from datetime import datetime

import click

from hactl.cli.api_client.client import Call, new_token
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.output import output_option, print_data, table, to_end
from hactl.core.kube.access import ROLES


@click.group()
def token() -> None:
    """Tokens of the API: each has a name, a role and perhaps an end.

    A viewer reads; an operator also moves, drains, pauses, approves and resolves; an editor also writes documents; an
    admin also makes tokens. Only a hash is kept: a token is shown once.
    """


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may do.")
@click.option("--for", "until", callback=to_end, metavar="DURATION", help="It ends after 90d, 12h ... Default: never.")
@server_options
@click.pass_context
def create(
    ctx: click.Context, name: str, role: str, until: datetime | None, server: str | None, context: str | None
) -> int:
    """Make a token and print it, once."""
    with connected(ctx, server=server, context=context) as client:
        click.echo(client.send(new_token(name, role, until))["token"])
    return 0


@token.command("list")
@output_option("json", "yaml", "name")
@server_options
@click.pass_context
def list_tokens(ctx: click.Context, form: str | None, server: str | None, context: str | None) -> int:
    """Every token that was not revoked, without the token. When it was used last is right to ten minutes."""
    with connected(ctx, server=server, context=context) as client:
        items = client.send(Call("GET", "/tokens"))["items"]
    if form in ("json", "yaml"):
        print_data(form, items)
    elif form == "name":
        click.echo("\n".join(each["name"] for each in items))
    elif items:
        rows = [
            [
                e["name"],
                e["role"],
                e["createdAt"],
                e["createdBy"],
                e["expiresAt"] or "never",
                e["lastUsedAt"] or "never",
            ]
            for e in items
        ]
        click.echo(table(rows, ["NAME", "ROLE", "CREATED", "BY", "ENDS", "LAST USED"]))
    else:
        click.echo("there are no tokens", err=True)
    return 0


@token.command()
@click.argument("name")
@server_options
@click.pass_context
def revoke(ctx: click.Context, name: str, server: str | None, context: str | None) -> int:
    """Refuse a token from now on (within a second everywhere)."""
    with connected(ctx, server=server, context=context) as client:
        client.send(Call("DELETE", f"/tokens/{name}"))
    click.echo(f"token {name} revoked")
    return 0
