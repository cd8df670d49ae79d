"""`hactl delete`: take objects back."""

from __future__ import annotations

import click

from hactl.cli.api_client.client import Call, StatusError
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.objects import path_of, split_names
from hactl.cli.operations import confirm
from hactl.cli.output import safe
from hactl.core.kube.kinds import HACLUSTERS


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME...")
@click.option("--dry-run", is_flag=True, help="Only check whether it could be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@namespace_options()
@server_options
@click.pass_context
def delete(
    ctx: click.Context, words: tuple[str, ...], dry_run: bool, yes: bool, server: str | None, context: str | None
) -> int:
    """Delete objects: a cluster is no longer managed (nothing is torn down on its nodes), an operation is cancelled.

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
            except StatusError as refused:
                click.echo(f"hactl: {safe(str(refused))}", err=True)
                failed = True
                continue
            waits = ", ".join((answer.get("metadata") or {}).get("finalizers") or ())
            ends = " (dry run)" if dry_run else f" as soon as its finalizers are gone: {safe(waits)}" if waits else ""
            click.echo(f"{resource.singular}/{name} deleted{ends}")
    return 1 if failed else 0
