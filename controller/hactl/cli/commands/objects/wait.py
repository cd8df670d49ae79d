"""`hactl wait`: until a condition is so, or an object is gone."""

from __future__ import annotations

import math
import re
import time

import click

from hactl.cli.api_client.client import Call, Client, StatusError, Unreachable
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.api_client.watch import RETRY_SECONDS
from hactl.cli.objects import path_of, split_names
from hactl.cli.output import safe, to_seconds
from hactl.core.kube.kinds import Resource


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option(
    "--for", "wanted", required=True, metavar="WHAT", help="condition=Ready, condition=Ready=False, or delete."
)
@click.option("--timeout", "seconds", callback=to_seconds, default="30s", show_default=True, metavar="DURATION")
@namespace_options()
@server_options
@click.pass_context
def wait(
    ctx: click.Context, words: tuple[str, ...], wanted: str, seconds: float, server: str | None, context: str | None
) -> int:
    """Wait until a condition is so, or the object is gone. Exit status: 0 it is, 3 the time was up, 1 error.

    A condition of a cluster that nobody has looked at for too long is Unknown, whatever it was: nothing is met by it.
    """
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
    except StatusError as refused:
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
    except StatusError as refused:
        if refused.code != 410:
            raise
