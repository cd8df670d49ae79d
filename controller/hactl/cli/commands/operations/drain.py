"""`hactl drain`: move everything off a node and keep it off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from hactl.cli import operations
from hactl.cli.api_client.client import Client
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.observe import durations_of, look_at
from hactl.cli.operations import Body, name_of, status_of, wait_options
from hactl.cli.output import hold_data, print_hold, safe
from hactl.cli.steps import print_step
from hactl.cli.work.node_loop import NodeLoop


@click.command()
@click.argument("node")
@click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
@click.option("--reason", default="", help="Why, for the record and for every listing.")
@click.option("--dry-run", is_flag=True, help="Only what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_options
@server_options
@click.pass_context
def drain(ctx: click.Context, /, node: str, cluster: str | None, *, dry_run: bool, **how: Any) -> int:
    """Move everything off NODE and keep it off, until `hactl uncordon NODE`.

    Done when every group of the node is served by another one. It survives reboots of the node and of the controller,
    shows in every listing, and the node itself takes nothing over meanwhile. A running controller does the work and
    this command watches; without one the work is done here, from the document in force in the record.

    Exit status: 0 drained (or shown, or on record), 1 refused or error, 3 not there yet, 130 stopped.
    """
    with connected(ctx, server=how["server"], context=how["context"]) as client, NodeLoop() as nodes:
        body = operations.cluster_with(client, node, cluster)
        wanted = {"type": "Drain", "cluster": name_of(body), "node": node, "reason": how["reason"]}
        operations.create(client, wanted, dry_run=True)
        if how["no_wait"] and not dry_run:
            operations.must_run(client)
        _show(client, body, node, nodes)
        if dry_run:
            return 0
        operations.confirm(f"Move everything off {node} and keep it off?", yes=how["yes"])
        made = operations.create(client, wanted)
        click.echo(f"{name_of(made)} is on record")
        if how["no_wait"]:
            return 0
        return _follow(client, name_of(body), node, made, seconds=how["seconds"], nodes=nodes)


def _show(client: Client, body: Body, node: str, nodes: NodeLoop) -> None:
    """What would be moved, where to, and what stands in the way."""
    name = name_of(body)
    click.echo(click.style(f"{name}: drain {node}", bold=True))
    if client.record is None:
        # From elsewhere: by what the controller saw last.
        mine = [group["name"] for group in status_of(body).get("groups", ()) if group["active"] == node]
        click.echo(f"  {', '.join(mine)} must move to another node" if mine else f"  {node} serves nothing now")
        return
    from hactl.core.plan import make_plan
    from hactl.core.plan.durations import moving_steps, prediction

    seen = look_at(client.record, name, nodes=nodes)
    overrides = replace(seen.overrides, drained={**seen.overrides.drained, node: "to be drained"})
    plan = make_plan(seen.cluster, seen.snapshot, seen.now, overrides=overrides)
    mine = [group.name for group in seen.cluster.groups if plan.active.get(group.name) == node]
    if not mine:
        click.echo(f"  {node} serves nothing now")
    for group in mine:
        goal = plan.goals.get(group)
        click.echo(f"  {group} moves to {goal}" if goal != node else f"  {group} stays: no other node could take it")
    for number, step in enumerate(moving_steps(plan), 1):
        print_step(number, step)
    for hold in plan.holds:
        print_hold(hold_data(hold))
    if mine:
        seconds = prediction(plan, durations_of(client.record, name))
        click.echo(f"  about {seconds:.1f} s without service are expected")


def _follow(client: Client, cluster: str, node: str, made: Body, *, seconds: float, nodes: NodeLoop) -> int:
    undo = f"hactl uncordon {node}"

    def emptied(status: Mapping[str, Any]) -> bool:
        return bool(status) and not status["plan"]["steps"] and not left_on(status, node)

    ending = operations.carry_out(
        client, cluster, operation=made, seconds=seconds, reached=emptied,
        aside=f"{node} is being drained. To take it back: {undo}", nodes=nodes,
    )  # fmt: skip
    state = ending.operation
    if state.get("state", "Open") != "Open":
        click.echo(f"the drain of {node} ended: {state['state']}: {safe(state.get('message', ''))}")
        return 1
    if not ending.over:
        click.echo(f"{node} is not empty yet" + (f": {safe(ending.why)}" if ending.why else ""))
        click.echo(f"{name_of(made)} stays on record: hactl describe {cluster} shows it, {undo} takes it back")
        return ending.status
    word = click.style("drained", fg="green", bold=True)
    click.echo(f"{word}: nothing is served by {node}, and it takes nothing over until: {undo}")
    return 0


def left_on(status: Mapping[str, Any], node: str) -> list[str]:
    """Groups that the node still has something of, or that nobody serves, by the wire status of its cluster."""
    left = []
    for group in status.get("groups", ()):
        elsewhere = group["active"] is not None and group["active"] != node
        masters = {name for vip in group["addresses"] for name, state in vip["states"].items() if state == "MASTER"}
        primaries = {name for each in group["storage"] for name, role in each["roles"].items() if role == "primary"}
        concerned = any(node in vip["states"] for vip in group["addresses"]) or any(
            node in each["roles"] for each in group["storage"]
        )
        if (concerned or group["active"] == node) and not (elsewhere and (masters | primaries) <= {group["active"]}):
            left.append(group["name"])
    return left
