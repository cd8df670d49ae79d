"""`hactl pause`, `resume`, `approve` and `resolve` when a server is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import asking
from hactl.cli.api_client.client import CLUSTERS, Call, Client
from hactl.cli.asking import Body, name_of, status_of
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import condition, safe

if TYPE_CHECKING:
    from hactl.cli.commands.operations.pause import Scope


def known(client: Client) -> dict[str, Mapping[str, Any]]:
    """What every cluster consists of, by name: what the newest look saw, or else its document."""
    return {name_of(body): _parts(body) for body in client.send(Call("GET", CLUSTERS))["items"]}


def _parts(body: Body) -> Mapping[str, Any]:
    return {"groups": body["spec"]["groups"], "nodes": body["spec"]["nodes"]}


def pause(client: Client, scope: Scope, reason: str, until: datetime | None) -> str:
    """Ask for it; the name of the request."""
    spec = {"type": "Pause", "cluster": scope.cluster, "group": scope.group, "node": scope.node,
            "reason": reason, "expiresAt": asking.wire_time(until)}  # fmt: skip
    return name_of(asking.ask(client, spec))


def resume(client: Client, scope: Scope) -> None:
    """End it. Raises NotAskedFor, with what is paused instead."""
    found = asking.open_operations(client, "Pause", cluster=scope.cluster, group=scope.group, node=scope.node)
    if not found:
        others = [_told(each) for each in asking.open_operations(client, "Pause")]
        raise NotAskedFor(f"{scope} is not paused" + ("; paused are:\n  " + "\n  ".join(others) if others else ""))
    asking.take_back(client, found)


def _told(operation: Body) -> str:
    spec, status = operation["spec"], status_of(operation)
    what = " ".join(spec[key] for key in ("cluster", "group", "node") if spec.get(key)) or "the whole fleet"
    why = f": {spec['reason']}" if spec.get("reason") else ""
    return safe(f"{what}, asked for by {status.get('actor', '-')}{why} ({name_of(operation)})")


def approve(client: Client, name: str, digest: str, reason: str, until: datetime) -> int:
    """See `hactl.cli.commands.operations.pause`."""
    plan = status_of(asking.cluster(client, name)).get("plan")
    if plan is not None and plan["digest"] != digest:
        said = f"the plan of {name} has digest {plan['digest']}" if plan["steps"] else f"{name} has nothing to do"
        raise NotAskedFor(f"nothing was approved: {said}, by the newest look")
    spec = {"type": "Approve", "cluster": name, "digest": digest, "reason": reason,
            "expiresAt": asking.wire_time(until)}  # fmt: skip
    made = asking.ask(client, spec)
    click.echo(
        f"plan {digest} of {name} is approved ({name_of(made)}): the controller of {client.where} carries it out"
    )
    return 0


def resolve(
    client: Client, name: str, resource: str, discard: str, preserve: str, given: str | None, reason: str, *, dry: bool
) -> int:
    """Both copies can be seen only where the nodes are: here the newest look has to do."""
    from hactl.cli.commands.operations.resolve import NotResolved, confirmed

    body = asking.cluster(client, name)
    status = status_of(body)
    spec = {"type": "Resolve", "cluster": name, "resource": resource, "node": discard, "preserve": preserve,
            "reason": reason}  # fmt: skip
    asking.ask(client, spec, dry_run=True)
    split = condition(status, "SplitBrain")
    if split.get("status") != "True":
        raise NotResolved(f"refused: by the newest look {name} has no split-brain, so no copy has to go")
    click.echo(click.style(safe(split["message"]), bold=True))
    for group in status.get("groups", ()):
        for storage in group["storage"]:
            if storage["name"] == resource:
                roles = ", ".join(f"{node} says {role}" for node, role in storage["roles"].items())
                click.echo(f"  {resource}: {roles}; in use on {', '.join(storage['mountedOn']) or 'no node'}")
    click.echo("  the copies are compared, and the steps shown, only on the controller's machine: "
               f"hactl resolve {name} {resource} --discard {discard} --dry-run")  # fmt: skip
    if dry:
        return 0
    confirmed(discard, given)
    made = asking.ask(client, spec)
    click.echo(f"{name_of(made)} is on record: the controller of {client.where} carries it out, if it is safe; "
               f"hactl events {name} shows every step")  # fmt: skip
    return 0
