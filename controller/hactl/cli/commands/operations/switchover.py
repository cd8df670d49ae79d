"""`hactl switchover`: move a group to another node on purpose, and see it through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import operations
from hactl.cli.api_client.client import Client
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.observe import durations_of, look_at
from hactl.cli.operations import Body, Ending, name_of, status_of, wait_options
from hactl.cli.output import condition, hold_data, print_hold, safe, to_seconds
from hactl.cli.steps import print_step
from hactl.cli.work.node_loop import NodeLoop
from hactl.core.catalogue import ConditionType
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.cli.observe import Looked
    from hactl.core.steps import Plan


def to_later(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A timezone-aware time to come: ISO 8601 (local time without an offset), or `2h`, `30m` from now."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise click.BadParameter(f"{value} is beyond every calendar", ctx, param) from None
    except ValueError:
        return datetime.now(UTC) + timedelta(seconds=to_seconds(ctx, param, value))
    if moment <= datetime.now(UTC):
        raise click.BadParameter(f"{value} is over already", ctx, param)
    return moment


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be moved, and what was seen of it."""

    group: str
    #: Empty: nobody is known to serve it.
    active: str
    node: str
    #: It is there already, with everything.
    arrived: bool
    #: Why it could not move right now: sentence, and whether time alone clears it.
    obstacles: tuple[tuple[str, bool], ...] = ()
    #: None: the nodes cannot be looked at from here.
    plan: Plan | None = None
    predicted_seconds: float = 0.0

    def __str__(self) -> str:
        """For people."""
        return f"{self.group}: {self.active or 'nobody'} -> {self.node}"


@click.command()
@click.argument("cluster")
@click.argument("group", required=False)
@click.option("--to", "node", metavar="NODE", help="Where to. Default: the other node.")
@click.option("--at", "at", callback=to_later, metavar="TIME", help="Not before: 2026-11-24T03:00, or 2h from now.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--dry-run", is_flag=True, help="Only the pre-checks, the steps and the predicted seconds.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--cancel", is_flag=True, help="Cancel a switchover that is not over.")
@wait_options
@server_options
@click.pass_context
def switchover(
    ctx: click.Context, /, cluster: str, group: str | None, node: str | None, *, cancel: bool, dry_run: bool, **how: Any
) -> int:
    """Move GROUP of CLUSTER to another node: checked before, in the safe order, verified from both sides.

    On the controller's machine the nodes are looked at, and the steps and the seconds without service are shown;
    elsewhere what the controller saw last. Then you are asked. A running controller does the work and this command
    watches: Ctrl-C leaves it going. Without a controller the work is done here, from the document in force in the
    record; --at and --no-wait need a controller. If a step fails the group goes back to where it can serve.

    Exit status: 0 moved (or shown, or on record), 1 refused, failed or error, 3 not over yet, 130 stopped.
    """
    with connected(ctx, server=how["server"], context=how["context"]) as client, NodeLoop() as nodes:
        if cancel:
            return _cancel(client, cluster, group)
        leave = how["no_wait"] or how["at"] is not None
        if leave and not dry_run:
            operations.must_run(client)
        body = operations.cluster(client, cluster)
        spec = _group(body, group)
        if how["at"] is None and node in _drained(client, body):
            raise HactlError(f"refused: {node} is drained; to let it work again: hactl uncordon {node}")
        seen = None if client.record is None else look_at(client.record, cluster, nodes=nodes)
        move = _by_status(client, body, spec, node) if seen is None else _by_nodes(client, body, seen, spec, node)
        if move.arrived and how["at"] is None:
            click.echo(f"nothing to do: {move.group} is served by {move.node} already")
            return 0
        wanted = {
            "type": "Switchover", "cluster": cluster, "group": move.group, "node": move.node, "from": move.active,
            "reason": how["reason"], "notBefore": operations.wire_time(how["at"]),
        }  # fmt: skip
        operations.create(client, wanted, dry_run=True)
        _show(move, body, later=how["at"] is not None)
        if dry_run:
            return 0
        operations.confirm(f"Move {move.group} from {move.active or 'nobody'} to {move.node}?", yes=how["yes"])
        made = operations.create(client, wanted)
        click.echo(f"{name_of(made)} is on record")
        return 0 if leave else _follow(client, cluster, move, made, seconds=how["seconds"], nodes=nodes)


def _group(body: Body, name: str | None) -> Body:
    """The group of that name, or the only one. Raises HactlError."""
    groups = body["spec"]["groups"]
    found: list[Body] = [group for group in groups if name is None or group["name"] == name]
    if len(found) != 1:
        names = ", ".join(group["name"] for group in groups)
        problem = "name the group that is to move" if name is None else f"there is no group {name}"
        raise HactlError(f"{problem}: {name_of(body)} has {names}")
    return found[0]


def _drained(client: Client, body: Body) -> set[str]:
    """Nodes that are kept empty."""
    drains = operations.open_operations(client, "Drain", cluster=name_of(body))
    return {each["spec"]["node"] for each in drains}


def _others(client: Client, body: Body, group: Body, active: str) -> list[str]:
    """The other nodes that are not drained. Raises HactlError when there is none."""
    drained = _drained(client, body)
    others = [str(node) for node in group["preferred"] if node != active and node not in drained]
    if not others:
        raise HactlError(f"refused: {group['name']} has no other node that is not drained")
    return others


def _by_nodes(client: Client, body: Body, seen: Looked, spec: Body, node: str | None) -> Move:
    """The move, by a look at the nodes from here. Raises HactlError with the reason when it is not possible."""
    from hactl.core.plan import make_plan
    from hactl.core.plan.durations import prediction
    from hactl.core.plan.switchover import arrived, pre_checks, refusal

    name = spec["name"]
    group = next((each for each in seen.cluster.groups if each.name == name), None)
    if group is None:
        raise HactlError(f"{name_of(body)} changed meanwhile, and has no group {name} any more")
    active = seen.plan.active.get(name) or ""

    def obstacles(target: str) -> tuple[tuple[str, bool], ...]:
        return tuple(pre_checks(seen.cluster, seen.snapshot, seen.now, group, target))

    if node is None:
        others = _others(client, body, spec, active)
        # The first that could take it now; else the first.
        node = next((each for each in others if not obstacles(each)), others[0])
    if why := refusal(group, node):
        raise HactlError(f"refused: {why}")
    overrides = replace(seen.overrides, moves={**seen.overrides.moves, name: node})
    plan = make_plan(seen.cluster, seen.snapshot, seen.now, overrides=overrides)
    assert client.record is not None
    seconds = prediction(plan, durations_of(client.record, name_of(body)))
    there = arrived(seen.cluster, seen.snapshot, seen.now, group, node)
    return Move(name, active, node, there, obstacles(node), plan, seconds)


def _by_status(client: Client, body: Body, spec: Body, node: str | None) -> Move:
    """The move, by what the controller saw last. Raises HactlError."""
    groups = {each["name"]: each["active"] or "" for each in status_of(body).get("groups", ())}
    active = groups.get(spec["name"], "")
    node = node or _others(client, body, spec, active)[0]
    return Move(spec["name"], active, node, active == node)


def _show(move: Move, body: Body, *, later: bool) -> None:
    """Pre-checks, steps, seconds. Raises HactlError when it could not begin now and time alone does not help."""
    from hactl.core.plan.durations import moving_steps

    click.echo(click.style(str(move), bold=True))
    if move.plan is None:
        ready = condition(status_of(body), ConditionType.FAILOVER_READY)
        true = ready.get("status") == "True"
        mark = click.style("ready", fg="green") if true else click.style("not sure", fg="yellow")
        click.echo(f"  {mark}  by the newest look: {safe(ready.get('message', 'nobody has looked yet'))}")
        click.echo("  the controller checks both nodes again before it begins, and refuses what is not safe")
        return
    for text, passing in move.obstacles:
        mark = click.style("waits", fg="cyan") if passing else click.style("not now", fg="red")
        click.echo(f"  {mark}  {safe(text)}")
    if not move.obstacles:
        click.echo(f"  {click.style('ready', fg='green')}  {move.node} could take it now")
    if any(not passing for _, passing in move.obstacles) and not later:
        raise HactlError(f"refused: {move.node} could not take {move.group}; see the reasons above")
    steps = list(moving_steps(move.plan))
    for number, step in enumerate(steps, 1):
        print_step(number, step)
    for hold in move.plan.holds:
        print_hold(hold_data(hold))
    if steps:
        click.echo(f"  about {move.predicted_seconds:.1f} s without service are expected")


def _follow(client: Client, cluster: str, move: Move, made: Body, *, seconds: float, nodes: NodeLoop) -> int:
    """See it through, and tell how it ended, as every node that has a say sees it."""
    name = name_of(made)
    undo = f"hactl switchover {cluster} {move.group} --cancel"
    aside = f"{name} goes on. To cancel it: {undo}"
    ending = operations.carry_out(client, cluster, operation=made, seconds=seconds, aside=aside, nodes=nodes)
    if ending.operation.get("state", "Open") == "Open":
        click.echo(f"{name} is not over yet and goes on: hactl describe {cluster} shows it, {undo} cancels it")
        return ending.status
    return _tell(client, cluster, move, ending)


def _tell(client: Client, cluster: str, move: Move, ending: Ending) -> int:
    over: Mapping[str, Any] = ending.operation
    done = over["state"] == "Done"
    took = f", at most {over['seconds']:.1f} s without service" if over.get("seconds") is not None else ""
    expected = f" ({move.predicted_seconds:.1f} s expected)" if took and move.predicted_seconds else ""
    word = click.style(str(over["state"]), fg="green" if done else "red", bold=True)
    click.echo(f"{move.group}: {word}{took}{expected}: {safe(over.get('message', ''))}")
    for line in operations.serving(status_of(operations.cluster(client, cluster)), move.group):
        click.echo(f"  {safe(line)}")
    if ending.stopped:
        return 130
    return 0 if done else 1


def _cancel(client: Client, cluster: str, group: str | None) -> int:
    fields = {"cluster": cluster, **({"group": group} if group else {})}
    found = operations.open_operations(client, "Switchover", **fields)
    if not found:
        raise HactlError(f"no switchover of {cluster} is open")
    operations.cancel(client, found)
    for each in found:
        spec = each["spec"]
        click.echo(f"{name_of(each)}, {spec['group']} to {spec['node']}, is cancelled; a step that runs ends first")
    return 0
