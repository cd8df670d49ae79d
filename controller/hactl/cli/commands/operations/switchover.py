"""`hactl switchover`: move a group to another node on purpose, and see it through."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import operations as requests
from hactl.cli.api_client.client import server_of
from hactl.cli.commands.objects.get import server_options
from hactl.cli.observe import find, look
from hactl.cli.operations import NotAskedFor
from hactl.cli.output import age, print_hold, print_step, safe, to_seconds
from hactl.cli.record import reading, state_path
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

    from hactl.cli.observe import Looked
    from hactl.core.objects import GroupSpec
    from hactl.core.operations import Operation, Overrides
    from hactl.core.steps import Plan


def to_later(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A timezone-aware time to come: ISO 8601 (local time without an offset), or `2h`, `30m` from now."""
    if value is None:
        return None
    from datetime import timedelta

    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return datetime.now(UTC) + timedelta(seconds=to_seconds(ctx, param, value))
    moment = moment if moment.tzinfo else moment.astimezone()
    if moment <= datetime.now(UTC):
        raise click.BadParameter(f"{value} is over already", ctx, param)
    return moment


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be moved, and what was seen of it."""

    group: GroupSpec
    active: str
    node: str
    #: Why it could not move right now: sentence, and whether time alone clears it.
    obstacles: tuple[tuple[str, bool], ...]
    plan: Plan
    predicted_seconds: float


@click.command()
@click.argument("cluster")
@click.argument("group", required=False)
@click.option("--to", "node", metavar="NODE", help="Where to. Default: the other node.")
@click.option("--at", "at", callback=to_later, metavar="TIME", help="Not before: 2026-11-24T03:00, or 2h from now.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--dry-run", is_flag=True, help="Only the pre-checks, the steps and the predicted seconds.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Ask the running controller for it and do not watch.")
@click.option("--cancel", is_flag=True, help="Take back a switchover that is asked for.")
@click.option(
    "--timeout", "timeout_seconds", callback=to_seconds, default="15m", metavar="DURATION", show_default=True,
    help="Watch, or begin new passes, no longer than this.",
)  # fmt: skip
@server_options
@click.pass_context
def switchover(
    ctx: click.Context,
    cluster: str,
    group: str | None,
    node: str | None,
    at: datetime | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    cancel: bool,
    timeout_seconds: float,
    server: str | None,
    context: str | None,
) -> int:
    """Move GROUP of CLUSTER to another node: checked before, in the safe order, verified from both sides.

    The nodes are looked at, then the steps and the seconds without service are shown, then you are asked. A running
    controller does the work and this command watches: Ctrl-C leaves it going. Without a controller the work is done
    here, from the document in force in the record; --at needs a controller. If a step fails the group goes back to
    where it can serve. With --server or --context that server's controller is asked, and looks at the nodes itself.
    Exit status: 0 moved (or shown, or asked for), 1 refused, failed or error, 3 not over yet, 130 stopped.
    """
    remote = server_of(ctx, server, context)
    if remote is not None:
        from hactl.cli import asking_moves

        if cancel:
            return asking_moves.cancel_switchover(remote, cluster, group)
        return asking_moves.switchover(
            remote, cluster, group, node, at=at, reason=reason, dry_run=dry_run, yes=yes, no_wait=no_wait,
            seconds=timeout_seconds,
        )  # fmt: skip
    path = state_path(ctx)
    if cancel:
        return _cancel(path, cluster, group)
    return asyncio.run(_switch(ctx, path, cluster, group, node, at, reason, dry_run, yes, no_wait, timeout_seconds))


async def _switch(
    ctx: click.Context,
    path: Path,
    cluster: str,
    name: str | None,
    node: str | None,
    at: datetime | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    limit_seconds: float,
) -> int:
    found = await find(ctx, (), lambda document: document.cluster.name == cluster)
    if not found:
        raise HactlError(f"no document of {cluster} is in force on this record; hactl apply makes it so")
    looked = await look(found[0], ())
    move = prepared(looked, await measured(path, cluster), found[0].overrides, name, node)
    if move is None:
        return 0
    _show(move, later=at is not None)
    if dry_run:
        return 0
    holder = await asyncio.to_thread(requests.holder_of, path)
    if holder is None and (at is not None or no_wait):
        raise NotAskedFor("nothing was done: no controller runs on this record that could do it later")
    requests.confirm(f"Move {move.group.name} from {move.active} to {move.node}?", yes=yes)
    number = await requests.ask(
        path,
        {
            "kind": "Switchover",
            "cluster": cluster,
            "reason": reason,
            "group": move.group.name,
            "node": move.node,
            "detail": {"from": move.active},
            "not_before": at,
        },
    )
    if holder is None:
        return await _carry_out(path, cluster, number, move, limit_seconds)
    click.echo(f"request {number} is on record; the running controller ({holder}) carries it out")
    if no_wait or at is not None:
        return 0
    return await _follow(path, cluster, number, move, limit_seconds)


async def measured(path: Path, cluster: str) -> dict[str, float]:
    """Seconds by verb, from the newest steps on record."""
    from hactl.core.plan.durations import seconds_by_verb

    async with reading(path) as store:
        return seconds_by_verb(await store.history({"cluster": cluster, "kind": "Step", "limit": 1000}))


def prepared(
    looked: Looked, usual: dict[str, float], overrides: Overrides | None, name: str | None, node: str | None
) -> Move | None:
    """What would be moved and how; None: it is there already (said). Raises NotAskedFor with the reason otherwise."""
    from hactl.core.operations import Overrides
    from hactl.core.plan import make_plan
    from hactl.core.plan.switchover import arrived, pre_checks, prediction, refusal

    group = chosen(looked, name)
    active = looked.plan.active.get(group.name)
    target = node or _other(looked, group, active, overrides)
    why = refusal(looked.cluster, group, target)
    if why:
        raise NotAskedFor(f"refused: {why}")
    if arrived(looked.cluster, looked.snapshot, looked.now, group, target):
        click.echo(f"nothing to do: {group.name} is served by {target} already")
        return None
    obstacles = tuple(pre_checks(looked.cluster, looked.snapshot, looked.now, group, target))
    wanted = overrides or Overrides()
    plan = make_plan(
        looked.cluster,
        looked.snapshot,
        looked.now,
        overrides=replace(wanted, moves={**wanted.moves, group.name: target}),
    )
    return Move(group, active or "nobody", target, obstacles, plan, prediction(plan, usual))


def chosen(looked: Looked, name: str | None) -> GroupSpec:
    """The group of that name, or the only one."""
    groups = looked.cluster.groups
    found = [group for group in groups if name is None or group.name == name]
    if len(found) != 1:
        names = ", ".join(group.name for group in groups)
        said = "name the group that is to move" if name is None else f"there is no group {name}"
        raise NotAskedFor(f"{said}: {looked.cluster.name} has {names}")
    return found[0]


def _other(looked: Looked, group: GroupSpec, active: str | None, overrides: Overrides | None) -> str:
    """The first other node that could take it; else the first other one."""
    from hactl.core.plan.switchover import pre_checks

    drained = overrides.drained if overrides is not None else {}
    others = [node for node in group.preferred if node != active and node not in drained]
    if not others:
        raise NotAskedFor(f"refused: {group.name} has no other node that is not drained")
    for node in others:
        if not list(pre_checks(looked.cluster, looked.snapshot, looked.now, group, node)):
            return node
    return others[0]


def _show(move: Move, *, later: bool) -> None:
    """Pre-checks, steps, seconds. Raises NotAskedFor when it could not begin now and time alone does not help."""
    from hactl.core.plan.switchover import moving_steps

    click.echo(click.style(f"{move.group.name}: {move.active} -> {move.node}", bold=True))
    for text, passing in move.obstacles:
        mark = click.style("waits", fg="cyan") if passing else click.style("not now", fg="red")
        click.echo(f"  {mark}  {safe(text)}")
    if not move.obstacles:
        click.echo(f"  {click.style('ready', fg='green')}  {move.node} could take it now")
    if any(not passing for _, passing in move.obstacles) and not later:
        raise NotAskedFor(
            f"refused: {move.node} could not take {move.group.name}; what is said above has to change first"
        )
    steps = list(moving_steps(move.plan))
    for number, step in enumerate(steps, 1):
        print_step(number, step)
    for hold in move.plan.holds:
        print_hold(hold)
    if steps:
        click.echo(f"  about {move.predicted_seconds:.1f} s without service are expected")


async def _follow(path: Path, cluster: str, number: int, move: Move, limit_seconds: float) -> int:
    try:
        over = await requests.follow(path, cluster, number, limit_seconds=limit_seconds)
    except asyncio.CancelledError:
        click.echo(f"\nnot watching any more; request {number} goes on. To take it back: "
                   f"hactl switchover {cluster} {move.group.name} --cancel", err=True)  # fmt: skip
        raise
    if over is None:
        click.echo(f"not over within {age(limit_seconds)}; request {number} goes on, hactl status {cluster} shows it")
        return 3
    return await _tell(path, cluster, over, move)


async def _carry_out(path: Path, cluster: str, number: int, move: Move, limit_seconds: float) -> int:
    summary = await requests.carry_out(path, cluster, limit_seconds=limit_seconds, awaited=number)
    over = await requests.fetch(path, number)
    if over.state == "Open":
        # Nobody would go on with it: it must not happen by surprise with the next apply.
        state = "Failed" if summary.ended else "Cancelled"
        await requests.end(path, lambda each: each.id == number, state, requests.told(summary))
        over = await requests.fetch(path, number)
    status = await _tell(path, cluster, over, move)
    if summary.ended and over.state == "Failed":
        click.echo(f"where it can serve it goes with the next: hactl apply -f FILE {cluster}")
    return 130 if summary.end == "stopped" else status


async def _tell(path: Path, cluster: str, over: Operation, move: Move) -> int:
    """How it ended, as every node that has a say sees it."""
    async with reading(path) as store:
        status: dict[str, Any] = next(
            (row["status"] for row in await store.statuses() if row["cluster"] == cluster), {}
        )
    done = over.state == "Done"
    took = f", at most {over.seconds:.1f} s without service" if over.seconds is not None else ""
    expected = f" ({move.predicted_seconds:.1f} s expected)" if took and move.predicted_seconds else ""
    word = click.style(str(over.state.value), fg="green" if done else "red", bold=True)
    click.echo(f"{move.group.name}: {word}{took}{expected}: {safe(over.message)}")
    for line in requests.serving(status, [move.group.name]):
        click.echo(f"  {safe(line)}")
    sys.stdout.flush()
    return 0 if done else 1


def _cancel(path: Path, cluster: str, group: str | None) -> int:
    from hactl.app import actor

    def matches(each: Operation) -> bool:
        return each.kind == "Switchover" and each.cluster == cluster and group in (None, each.group)

    ended = asyncio.run(requests.end(path, matches, "Cancelled", f"taken back by {actor()}"))
    if not ended:
        raise NotAskedFor(f"no switchover of {cluster} is asked for")
    for each in ended:
        click.echo(f"request {each.id}, {each.group} to {each.node}, is taken back; a step that runs ends first")
    return 0
