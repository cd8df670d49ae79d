"""`hactl kubeconfig`: a token, and kubectl's configuration with it."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

import click

from hactl.cli.api_client.client import new_token
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.output import print_data, to_end
from hactl.cli.record import state_path
from hactl.core.kube.access import ROLES
from hactl.errors import HactlError


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
    with connected(ctx, server=server, context=context) as client:
        made = client.send(new_token(name, role, until))
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
