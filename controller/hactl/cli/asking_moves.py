"""`hactl switchover`, `drain` and `uncordon` when a server is asked: its controller looks at the nodes and acts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from hactl.cli import asking
from hactl.cli import operations as requests
from hactl.cli.api_client.client import Client
from hactl.cli.asking import Body, name_of, status_of
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import age, condition, safe


def switchover(
    client: Client,
    name: str,
    group: str | None,
    node: str | None,
    *,
    at: datetime | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    seconds: float,
) -> int:
    """See `hactl.cli.commands.operations.switchover`; the nodes are looked at by the controller, when it begins."""
    body = asking.cluster(client, name)
    found = _group(body, group)
    active = _active(body, found["name"])
    target = node or _other(client, body, found, active)
    if active == target and at is None:
        click.echo(f"nothing to do: {found['name']} is served by {target} already")
        return 0
    spec = {
        "type": "Switchover", "cluster": name, "group": found["name"], "node": target, "from": active,
        "reason": reason, "notBefore": asking.wire_time(at),
    }  # fmt: skip
    asking.ask(client, spec, dry_run=True)
    click.echo(click.style(f"{found['name']}: {active or 'nobody'} -> {target}", bold=True))
    _tell_readiness(body)
    if dry_run:
        return 0
    requests.confirm(f"Move {found['name']} from {active or 'nobody'} to {target}?", yes=yes)
    made = asking.ask(client, spec)
    click.echo(f"{name_of(made)} is on record; the controller of {client.where} carries it out")
    if no_wait or at is not None:
        return 0
    try:
        over = asking.seen_through(client, name, name_of(made), seconds=seconds)
    except KeyboardInterrupt:
        click.echo(f"\nnot watching any more; {name_of(made)} goes on. To take it back: "
                   f"hactl switchover {name} {found['name']} --cancel", err=True)  # fmt: skip
        raise
    if over is None:
        click.echo(f"not over within {age(seconds)}; {name_of(made)} goes on, hactl describe {name} shows it")
        return 3
    return _tell_move(client, name, found["name"], status_of(over))


def _tell_readiness(body: Body) -> None:
    ready = condition(status_of(body), "FailoverReady")
    mark = click.style("ready", fg="green") if ready.get("status") == "True" else click.style("not sure", fg="yellow")
    click.echo(f"  {mark}  by the newest look: {safe(ready.get('message', 'nobody has looked yet'))}")
    click.echo("  the controller checks both nodes again before it begins, and refuses what is not safe")


def _tell_move(client: Client, name: str, group: str, over: Mapping[str, Any]) -> int:
    done = over["state"] == "Done"
    took = f", at most {over['seconds']:.1f} s without service" if over.get("seconds") is not None else ""
    word = click.style(str(over["state"]), fg="green" if done else "red", bold=True)
    click.echo(f"{group}: {word}{took}: {safe(over.get('message', ''))}")
    for line in requests.serving(status_of(asking.cluster(client, name)), [group]):
        click.echo(f"  {safe(line)}")
    return 0 if done else 1


def _group(body: Body, name: str | None) -> Body:
    """The group of that name, or the only one. Raises NotAskedFor."""
    groups = body["spec"]["groups"]
    found = [group for group in groups if name is None or group["name"] == name]
    if len(found) != 1:
        names = ", ".join(group["name"] for group in groups)
        said = "name the group that is to move" if name is None else f"there is no group {name}"
        raise NotAskedFor(f"{said}: {name_of(body)} has {names}")
    one: Body = found[0]
    return one


def _active(body: Body, group: str) -> str:
    return next((g["active"] or "" for g in status_of(body).get("groups", ()) if g["name"] == group), "")


def _other(client: Client, body: Body, group: Body, active: str) -> str:
    """The first other node that is not drained. Raises NotAskedFor."""
    drained = {each["spec"]["node"] for each in asking.open_operations(client, "Drain", cluster=name_of(body))}
    for node in group["preferred"]:
        if node != active and node not in drained:
            return str(node)
    raise NotAskedFor(f"refused: {group['name']} has no other node that is not drained")


def cancel_switchover(client: Client, name: str, group: str | None) -> int:
    """Take back what is asked for."""
    fields = {"cluster": name, **({"group": group} if group else {})}
    found = asking.open_operations(client, "Switchover", **fields)
    if not found:
        raise NotAskedFor(f"no switchover of {name} is asked for")
    asking.take_back(client, found)
    for each in found:
        spec = each["spec"]
        click.echo(f"{name_of(each)}, {spec['group']} to {spec['node']}, is taken back; a step that runs ends first")
    return 0


def drain(
    client: Client,
    node: str,
    cluster: str | None,
    *,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    seconds: float,
) -> int:
    """See `hactl.cli.commands.operations.drain`."""
    from hactl.cli.commands.operations.drain import drained, left_on

    body = asking.cluster_with(client, node, cluster)
    name = name_of(body)
    spec = {"type": "Drain", "cluster": name, "node": node, "reason": reason}
    asking.ask(client, spec, dry_run=True)
    click.echo(click.style(f"{name}: drain {node}", bold=True))
    mine = [group["name"] for group in status_of(body).get("groups", ()) if group["active"] == node]
    click.echo(f"  {', '.join(mine)} must move to another node" if mine else f"  {node} serves nothing now")
    if dry_run:
        return 0
    requests.confirm(f"Move everything off {node} and keep it off?", yes=yes)
    made = asking.ask(client, spec)
    click.echo(f"{name_of(made)} is on record; the controller of {client.where} carries it out")
    if no_wait:
        return 0

    def emptied(status: Mapping[str, Any]) -> bool:
        return bool(status) and not status["plan"]["steps"] and not left_on(status, node)

    try:
        over = asking.seen_through(client, name, name_of(made), seconds=seconds, reached=emptied)
    except KeyboardInterrupt:
        click.echo(
            f"\nnot watching any more; {node} is being drained. To take it back: hactl uncordon {node}", err=True
        )
        raise
    if over is None:
        click.echo(f"{node} is not empty within {age(seconds)}; it goes on, hactl describe {name} shows it")
        return 3
    state = status_of(over)
    if state["state"] != "Open":
        click.echo(f"the drain of {node} ended: {state['state']}: {safe(state.get('message', ''))}")
        return 1
    return drained(node)


def uncordon(client: Client, node: str, cluster: str | None) -> int:
    """See `hactl.cli.commands.operations.drain`."""
    name = name_of(asking.cluster_with(client, node, cluster))
    found = asking.open_operations(client, "Drain", cluster=name, node=node)
    if not found:
        raise NotAskedFor(f"{node} of {name} is not drained")
    asking.take_back(client, found)
    click.echo(f"{node} is not drained any more; the controller of {client.where} tells it so")
    return 0
