"""Asking a server for something: an HAOperation made through its API, followed until it is over, or taken back.

The controller behind the server does the work and judges whether and when it can be done; this process only watches, so
Ctrl-C leaves the request as it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from hactl.cli.api_client.client import CLUSTERS, OPERATIONS, Call, Client, Refused, Unreachable
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import safe
from hactl.cli.submit import newest_event, told

Body = Mapping[str, Any]
#: Whether what was asked for is there, by the newest status of the cluster.
Reached = Callable[[Mapping[str, Any]], bool]


def cluster(client: Client, name: str) -> Body:
    """The cluster's object. Raises NotAskedFor when there is none."""
    try:
        found: Body = client.send(Call("GET", f"{CLUSTERS}/{name}"))
    except Refused as refused:
        if refused.code == 404:
            raise NotAskedFor(f"{client.where} has no cluster {name}") from refused
        raise
    return found


def cluster_with(client: Client, node: str, name: str | None) -> Body:
    """The one cluster that has the node. Raises NotAskedFor."""
    found = [
        body
        for body in client.send(Call("GET", CLUSTERS))["items"]
        if name in (None, name_of(body)) and any(each["name"] == node for each in body["spec"]["nodes"])
    ]
    if len(found) != 1:
        names = ", ".join(name_of(body) for body in found)
        raise NotAskedFor(f"{node} is in {names}: say --cluster" if found else f"{client.where} has no node {node}")
    one: Body = found[0]
    return one


def name_of(body: Body) -> str:
    """The name of an object."""
    return str(body["metadata"]["name"])


def status_of(body: Body) -> Mapping[str, Any]:
    """The status of an object; empty while nobody has looked."""
    return body.get("status") or {}


def wire_time(moment: datetime | None) -> str | None:
    """As the API wants it; None: none."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask(client: Client, spec: Mapping[str, Any], *, dry_run: bool = False) -> Body:
    """Make the operation; empty fields are left out. Raises Refused."""
    body = {"spec": {key: value for key, value in spec.items() if value}}
    query = {"dryRun": "All"} if dry_run else {}
    made: Body = client.send(Call("POST", OPERATIONS, query, body=body))
    return made


def open_operations(client: Client, kind: str, **fields: str) -> list[Body]:
    """Operations of that type that are not over, whose spec has these fields exactly (empty: not there)."""
    return [
        body
        for body in client.send(Call("GET", OPERATIONS))["items"]
        if status_of(body).get("state") == "Open"
        and body["spec"]["type"] == kind
        and all(body["spec"].get(key, "") == value for key, value in fields.items())
    ]


def take_back(client: Client, operations: Sequence[Body]) -> None:
    """Cancel them; those that are gone meanwhile are."""
    for body in operations:
        try:
            client.send(Call("DELETE", f"{OPERATIONS}/{name_of(body)}"))
        except Refused as refused:
            if refused.code != 404:
                raise


def seen_through(
    client: Client, about: str, name: str, *, seconds: float, reached: Reached | None = None
) -> Body | None:
    """Show what the controller does until the operation is over, or `reached`; as it is then, None: time was up."""
    deadline = time.monotonic() + seconds
    revision = newest_event(client)
    said: tuple[str, ...] = ()
    while True:
        try:
            operation = _operation(client, name)
            if status_of(operation).get("state") != "Open":
                told(client, about, revision)
                return operation
            status = status_of(client.send(Call("GET", f"{CLUSTERS}/{about}")))
            if reached is not None and reached(status):
                return operation
            waits = tuple(hold["message"] for hold in status.get("holds", ()))
            revision = told(client, about, revision)
        except Unreachable as error:
            waits = (str(error),)
            time.sleep(1.0)
        if waits != said:
            said = waits
            for text in waits:
                click.echo(f"  {click.style('waiting', fg='cyan')}  {safe(text)}")
            sys.stdout.flush()
        if time.monotonic() > deadline:
            return None


def _operation(client: Client, name: str) -> Body:
    try:
        found: Body = client.send(Call("GET", f"{OPERATIONS}/{name}"))
    except Refused as refused:
        if refused.code != 404:
            raise
        return {"status": {"state": "Cancelled", "message": "it was deleted meanwhile"}}
    return found
