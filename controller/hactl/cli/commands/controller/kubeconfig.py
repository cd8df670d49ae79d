"""`hactl kubeconfig`: a token, and kubectl's configuration with it."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hactl.cli.api_client.client import new_token
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.output import replace_file, to_end, yaml_text
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
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write it there, so that only its owner can read it. Default: print it.",
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
    output: Path | None,
    server: str | None,
    context: str | None,
) -> int:
    """Make a token and a kubeconfig with it: `hactl kubeconfig https://ha.example.org:6443 -o ~/.kube/hactl`.

    The file holds the token: keep it as you would keep a password.
    """
    _check_url(url, None if authority else state_path(ctx).parent / "tls" / "tls.crt")
    path = authority or state_path(ctx).parent / "tls" / "ca.crt"
    try:
        trusted = path.read_bytes()
    except OSError as error:
        raise HactlError(
            f"{path}: {error.strerror}; `hactl run --listen` makes it, --authority FILE names another"
        ) from error
    with connected(ctx, server=server, context=context) as client:
        made = client.send(new_token(name, role, until))
    text = yaml_text(_config(url, trusted, name, made["token"]))
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(output, text)
    except OSError as error:
        raise HactlError(
            f"{output}: {error.strerror or error}; the token {name} was made for it: `hactl token revoke {name}`"
        ) from error
    ends = f"ends {until:%Y-%m-%d %H:%M} UTC" if until else "never ends (--for 90d would)"
    click.echo(f"wrote {output}; its token {name} has the role {role} and {ends}", err=True)
    return 0


def _config(url: str, trusted: bytes, name: str, token: str) -> dict[str, Any]:
    """https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/"""
    user = f"hactl-{name}"
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(trusted).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "hactl", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "hactl", "context": {"cluster": "hactl", "user": user, "namespace": "default"}}],
        "current-context": "hactl",
    }


def _check_url(url: str, certificate: Path | None) -> None:
    """`certificate`: of the server, where it is hactl's own. Raises UsageError; HactlError for a name it has not."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme == "https" and parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        raise click.UsageError("kubectl sends tokens over TLS only: write https://HOST:PORT")
    if certificate is None or not certificate.is_file():
        return
    from hactl.api.http.tls import is_for

    names = is_for(certificate, host)
    if names is not None:
        raise HactlError(
            f"the server's certificate is not for {host} but for {', '.join(names)}: clients would refuse it. "
            f"Start `hactl run` with --tls-san {host}; --authority FILE is for a server with another certificate"
        )
