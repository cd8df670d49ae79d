"""`hactl token` and `hactl kubeconfig`: who may use the API over the network, and kubectl's configuration for it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from hactl.cli.api_client.client import Call, connected
from hactl.cli.commands.objects.get import server_options
from hactl.cli.output import output_option, print_data, table
from hactl.cli.record import state_path
from hactl.errors import HactlError

ROLES = ("viewer", "operator", "editor", "admin")


def to_end(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """`30d`, `12h`, `90m` from now."""
    if value is None:
        return None
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    if value[:-1].isdecimal() and value[-1] in units and int(value[:-1]):
        return datetime.now(UTC) + timedelta(seconds=int(value[:-1]) * units[value[-1]])
    raise click.BadParameter(f"{value} is no duration; say 90d, 12h or 30m", ctx, param)


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
    made = make_token(ctx, name, role, until, server, context)
    click.echo(made["token"])
    return 0


@token.command("list")
@output_option("json", "yaml", "name")
@server_options
@click.pass_context
def list_tokens(ctx: click.Context, form: str | None, server: str | None, context: str | None) -> int:
    """Every token that was not revoked, without the token."""
    with connected(ctx, server=server, context=context) as client:
        items = client.send(Call("GET", "/tokens"))["items"]
    if form in ("json", "yaml"):
        print_data(form, items)
    elif form == "name":
        click.echo("\n".join(each["name"] for each in items))
    elif items:
        rows = [[e["name"], e["role"], e["createdAt"], e["createdBy"], e["expiresAt"] or "never"] for e in items]
        click.echo(table(rows, ["NAME", "ROLE", "CREATED", "BY", "ENDS"]))
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


def make_token(
    ctx: click.Context, name: str, role: str, until: datetime | None, server: str | None, context: str | None
) -> Any:
    """Name, role, end and the token itself."""
    body = {"name": name, "role": role, **({"expiresAt": until.isoformat()} if until else {})}
    with connected(ctx, server=server, context=context) as client:
        return client.send(Call("POST", "/tokens", body=body))


@click.command()
@click.argument("url", metavar="https://HOST:PORT")
@click.option("--name", default="kubectl", show_default=True, help="Name of the token it makes.")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What it may do.")
@click.option("--for", "until", callback=to_end, metavar="DURATION", help="The token ends after 90d, 12h ...")
@click.option(
    "--authority", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="What clients must trust. Default: the authority that `hactl run` made beside the record.",
)  # fmt: skip
@server_options
@click.pass_context
def kubeconfig(
    ctx: click.Context,
    url: str,
    name: str,
    role: str,
    until: datetime | None,
    authority: Path | None,
    server: str | None,
    context: str | None,
) -> int:
    """Make a token and print a kubeconfig with it: `hactl kubeconfig https://ha.example.org:6443 > ~/.kube/hactl`.

    The file holds the token: keep it as you would keep a password.
    """
    if not url.startswith("https://"):
        raise click.UsageError("kubectl sends tokens over TLS only: write https://HOST:PORT")
    path = authority or state_path(ctx).parent / "tls" / "ca.crt"
    try:
        trusted = path.read_bytes()
    except OSError as error:
        raise HactlError(
            f"{path}: {error.strerror}; `hactl run --listen` makes it, --authority FILE names another"
        ) from error
    made = make_token(ctx, name, role, until, server, context)
    user = f"hactl-{name}"
    print_data(
        "yaml",
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "hactl",
                    "cluster": {
                        "server": url,
                        "certificate-authority-data": base64.b64encode(trusted).decode(),
                    },
                }
            ],
            "users": [{"name": user, "user": {"token": made["token"]}}],
            "contexts": [{"name": "hactl", "context": {"cluster": "hactl", "user": user, "namespace": "default"}}],
            "current-context": "hactl",
        },
    )
    return 0
