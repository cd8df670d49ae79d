"""`hactl describe`: one object in full, and what happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from hactl.cli.api_client.client import EVENTS, TABLE, Call, Client
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.objects import path_of, print_events, split_names
from hactl.cli.output import print_data, safe
from hactl.core.kube.kinds import HACLUSTERS, Resource

#: Of an object's events, so many are shown.
SHOWN_EVENTS = 20


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME...")
@namespace_options()
@server_options
@click.pass_context
def describe(ctx: click.Context, words: tuple[str, ...], server: str | None, context: str | None) -> int:
    """Everything about a cluster (or another object): what is wanted, what is seen, why, and what happened lately."""
    resource, names = split_names(words)
    if not names:
        raise click.UsageError("name what is to be described")
    with connected(ctx, server=server, context=context) as client:
        for name in names:
            _describe(client, resource, client.send(Call("GET", path_of(resource, name))))
    return 0


def _describe(client: Client, resource: Resource, body: Mapping[str, Any]) -> None:
    metadata = body["metadata"]
    click.echo(f"Name:        {metadata['name']}")
    for title, key in (("Labels", "labels"), ("Annotations", "annotations")):
        pairs = [
            f"{name}={safe(value)}"
            for name, value in (metadata.get(key) or {}).items()
            if name != "kubectl.kubernetes.io/last-applied-configuration"
        ]
        click.echo(f"{title + ':':<12} {', '.join(pairs) or 'none'}")
    click.echo(f"Created:     {metadata.get('creationTimestamp', '-')}")
    if metadata.get("deletionTimestamp"):
        waits = ", ".join(metadata.get("finalizers") or ())
        click.echo(f"Deleted:     {metadata['deletionTimestamp']}, waits for {waits}")
    status = body.get("status")
    if resource is HACLUSTERS and status and status.get("nodes"):
        from hactl.cli.commands.reports.status import print_details

        print_details({"cluster": metadata["name"], "status": {**status, "generation": metadata["generation"]}})
    else:
        rest = {key: body[key] for key in ("spec", "status") if body.get(key)}
        print_data("yaml", rest)
        if resource is HACLUSTERS:
            click.echo("nobody has looked at it yet")
    if resource is HACLUSTERS:
        click.echo("\nEvents:")
        query = {"fieldSelector": f"involvedObject.name={metadata['name']}"}
        print_events(client.send(Call("GET", EVENTS, query, accept=TABLE)), SHOWN_EVENTS)
