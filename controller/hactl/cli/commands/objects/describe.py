"""`hactl describe`, `hactl events` and `hactl wait`: one object in full, what happened to it, and until it is so."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from hactl.cli.api_client.client import EVENTS, TABLE, Call, Client, Refused, Unreachable, connected
from hactl.cli.api_client.watch import RETRY_SECONDS, follow, revision_of
from hactl.cli.commands.objects.get import path_of, server_options, split_names
from hactl.cli.output import output_option, print_data, safe, table, to_seconds
from hactl.core.kube.kinds import HACLUSTERS, Resource

#: Of an object's events, so many are shown.
SHOWN_EVENTS = 20


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME...")
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
        _events_table(client.send(Call("GET", EVENTS, query, accept=TABLE)), SHOWN_EVENTS)


def _events_table(found: Mapping[str, Any], limit: int) -> None:
    columns = [i for i, column in enumerate(found["columnDefinitions"]) if not column.get("priority")]
    rows = [[safe(str(row["cells"][i])) for i in columns] for row in found["rows"][-limit:]]
    if rows:
        click.echo(table(rows, [str(found["columnDefinitions"][i]["name"]).upper() for i in columns]))
    else:
        click.echo("none on record")


@click.command()
@click.argument("name", required=False, metavar="[CLUSTER]")
@click.option("-w", "--watch", "follow", is_flag=True, help="Then show every new one, until Ctrl-C.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@output_option("json", "yaml")
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
            _events_table(found, limit)
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


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option(
    "--for", "wanted", required=True, metavar="WHAT", help="condition=Ready, condition=Ready=False, or delete."
)
@click.option("--timeout", "seconds", callback=to_seconds, default="30s", show_default=True, metavar="DURATION")
@server_options
@click.pass_context
def wait(
    ctx: click.Context, words: tuple[str, ...], wanted: str, seconds: float, server: str | None, context: str | None
) -> int:
    """Wait until a condition is so, or the object is gone. Exit status: 0 it is, 3 the time was up, 1 error."""
    resource, names = split_names(words)
    if len(names) != 1:
        raise click.UsageError("name one object")
    found = re.fullmatch(r"condition=([A-Za-z]+)(?:=(\w+))?|delete", wanted)
    if found is None:
        raise click.BadParameter(f"{wanted}: write condition=TYPE, condition=TYPE=STATUS, or delete")
    deadline = time.monotonic() + seconds
    with connected(ctx, server=server, context=context) as client:
        while True:
            left = deadline - time.monotonic()
            try:
                done, last, revision = _state(client, resource, names[0], found[1], found[2] or "True")
                if done:
                    click.echo(f"{resource.singular}/{names[0]} {'deleted' if found[1] is None else 'condition met'}")
                    return 0
                if left > 0:
                    _until_changed(client, resource, names[0], revision, left)
            except Unreachable as error:
                # A server that is restarted meanwhile is no reason to give up.
                last = str(error)
                time.sleep(min(RETRY_SECONDS, max(0.0, left)))
            if left <= 0:
                click.echo(f"time is up: {safe(last)}", err=True)
                return 3


def _state(client: Client, resource: Resource, name: str, condition: str | None, truth: str) -> tuple[bool, str, str]:
    """Whether it is so, what is so instead, and the revision of the object."""
    try:
        body = client.send(Call("GET", path_of(resource, name)))
    except Refused as refused:
        if refused.code == 404 and condition is None:
            return True, "", ""
        raise
    revision = str(body["metadata"]["resourceVersion"])
    if condition is None:
        return False, f"{name} still exists", revision
    for one in (body.get("status") or {}).get("conditions", ()):
        if one["type"].lower() == condition.lower():
            met = one["status"].lower() == truth.lower()
            return met, f"{one['type']} is {one['status']}: {one.get('message', '')}", revision
    return False, f"{name} has no condition {condition} now", revision


def _until_changed(client: Client, resource: Resource, name: str, revision: str, seconds: float) -> None:
    """Until the object changes, or that long."""
    query = {
        "fieldSelector": f"metadata.name={name}",
        "resourceVersion": revision,
        "watch": "true",
        "timeoutSeconds": str(max(1, math.ceil(seconds))),
    }
    try:
        for _ in client.watch(Call("GET", path_of(resource), query)):
            return
    except Refused as refused:
        if refused.code != 410:
            raise
