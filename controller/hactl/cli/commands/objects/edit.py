"""`hactl edit`: change a cluster's document in an editor."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import click

from hactl.cli.api_client.client import Call, Client, StatusError, Unreachable
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.objects import path_of
from hactl.cli.output import safe
from hactl.core.kube.kinds import HACLUSTERS
from hactl.errors import HactlError

#: What an editor need not show: only the server writes it.
_SERVERS = ("managedFields", "uid", "generation", "creationTimestamp")


@click.command()
@click.argument("name", metavar="CLUSTER")
@namespace_options()
@server_options
@click.pass_context
def edit(ctx: click.Context, name: str, server: str | None, context: str | None) -> int:
    """Change a cluster's document in $EDITOR; it is checked and handed in when the editor ends.

    A document that is refused is opened again with what is wrong on top. Nothing changed: nothing is done. Clusters
    from a directory, Git or another source are changed there. Exit status: 0, or 1 when it was not handed in.
    """
    with connected(ctx, server=server, context=context) as client:
        before = client.send(Call("GET", path_of(HACLUSTERS, name)))
        text = shown = _editable(before)
        # Whoever may not change it hears so before he has typed anything.
        _put(client, name, text, dry_run=True)
        head = refusal = ""
        while True:
            edited = click.edit(head + shown, extension=".yaml")
            # None: the editor ended without saving.
            lines = shown.splitlines(keepends=True) if edited is None else edited.splitlines(keepends=True)
            shown = "".join(line for line in lines if not line.startswith("# hactl: "))
            if shown == text or not shown.strip():
                if refusal:
                    raise HactlError(f"not handed in, and not changed since it was refused: {refusal}{_kept(shown)}")
                click.echo("nothing was changed")
                return 0
            try:
                _put(client, name, shown)
            except StatusError as refused:
                if refused.code not in (400, 422):
                    raise HactlError(f"{refused}{_kept(shown)}") from refused
                head = "".join(f"# hactl: {safe(line)}\n" for line in str(refused).splitlines())
                text, refusal = shown, str(refused)
                continue
            except Unreachable as error:
                raise HactlError(f"{error}{_kept(shown)}") from error
            click.echo(f"hacluster/{name} edited")
            return 0


def _put(client: Client, name: str, text: str, *, dry_run: bool = False) -> None:
    query = {"fieldManager": "hactl-edit", "dryRun": "All" if dry_run else ""}
    where = path_of(HACLUSTERS, name)
    client.send(Call("PUT", where, query, body=text.encode(), content_type="application/yaml"))


def _kept(text: str) -> str:
    """Keep what somebody typed; where, for the message."""
    if not text.strip():
        return ""
    descriptor, path = tempfile.mkstemp(prefix="hactl-edit-", suffix=".yaml")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return f"; your text is kept in {path}"


def _editable(body: Mapping[str, Any]) -> str:
    """The object as YAML without what only the server writes; the resourceVersion stays, to notice other changes."""
    from ruamel.yaml import YAML

    metadata = {key: value for key, value in body["metadata"].items() if key not in _SERVERS}
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    rest = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    yaml.dump({"apiVersion": rest.pop("apiVersion"), "kind": rest.pop("kind"), "metadata": metadata, **rest}, stream)
    return stream.getvalue()
