"""`hactl delete` and `hactl edit`: take an object back, or change it in an editor."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import click

from hactl.cli.api_client.client import Call, Client, Refused, Unreachable, connected
from hactl.cli.commands.objects.get import path_of, server_options, split_names
from hactl.cli.operations import confirm
from hactl.cli.output import safe
from hactl.core.kube.kinds import HACLUSTERS
from hactl.errors import HactlError

#: What an editor need not show: only the server writes it.
_SERVERS = ("managedFields", "uid", "generation", "creationTimestamp")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME...")
@click.option("--dry-run", is_flag=True, help="Only check whether it could be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def delete(
    ctx: click.Context, words: tuple[str, ...], dry_run: bool, yes: bool, server: str | None, context: str | None
) -> int:
    """Delete objects: a cluster is no longer managed (nothing is torn down on its nodes), a request is cancelled.

    A cluster whose document comes from a directory, Git or another source is removed there. Exit status: 0, or 1 when
    something could not be deleted.
    """
    resource, names = split_names(words)
    if not names:
        raise click.UsageError("name what is to be deleted")
    if resource is HACLUSTERS and not dry_run:
        confirm(f"stop managing {', '.join(names)}? Nodes and their configuration stay as they are", yes=yes)
    failed = False
    with connected(ctx, server=server, context=context) as client:
        for name in names:
            try:
                answer = client.send(Call("DELETE", path_of(resource, name), {"dryRun": "All"} if dry_run else {}))
            except Refused as refused:
                click.echo(f"hactl: {safe(str(refused))}", err=True)
                failed = True
                continue
            waits = ", ".join((answer.get("metadata") or {}).get("finalizers") or ())
            ends = " (dry run)" if dry_run else f" as soon as its finalizers are gone: {safe(waits)}" if waits else ""
            click.echo(f"{resource.singular}/{name} deleted{ends}")
    return 1 if failed else 0


@click.command()
@click.argument("name", metavar="CLUSTER")
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
            except Refused as refused:
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
