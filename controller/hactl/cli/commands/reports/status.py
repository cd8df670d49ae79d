"""`hactl status`: every cluster as the API has it, worst first. No node is asked."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.api_client.client import CLUSTERS, OPERATIONS, Call, Client, Unreachable
from hactl.cli.api_client.connect import chosen_server, connected, server_options
from hactl.cli.api_client.watch import revision_of
from hactl.cli.forms.option import is_data, output_option
from hactl.cli.output import (
    age,
    coloured_truth,
    condition,
    operation_data,
    operation_line,
    print_data,
    safe,
    table,
    terminal_width,
)
from hactl.cli.record import reading, state_path
from hactl.core.catalogue import ConditionReason, ConditionType
from hactl.core.kube.codec import operation_body, status_view
from hactl.core.status.freshness import believed
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

#: With --watch: after a change, and between two screens without one, seconds.
SETTLE_SECONDS, REDRAW_SECONDS = 0.5, 3.0
#: Conditions that are only there while something is the matter.
TROUBLES = (ConditionType.SPLIT_BRAIN, ConditionType.STALLED, ConditionType.RECONCILING)


@click.command()
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@output_option("wide", "json", "yaml", "name")
@click.option("-w", "--watch", "follow", is_flag=True, help="Show it again whenever something changes, until Ctrl-C.")
@server_options
@click.pass_context
def status(
    ctx: click.Context,
    names: tuple[str, ...],
    form: str | None,
    follow: bool,
    server: str | None,
    context: str | None,
) -> int:
    """Every cluster on one screen, worst first, from this machine's record; from elsewhere as a server tells it.

    Exit status: 0 everything shown is Ready, 3 something is not or is not known (any more), 1 error.
    """
    wide = form == "wide" or bool(names)
    if not follow and chosen_server(ctx, server=server, context=context) is None:
        # What the API would answer from the record, without all that it takes to answer anything else.
        told = asyncio.run(_of_the_record(state_path(ctx)))
        screen = _screen(replace(told, bodies=_as_of_now(told, whole=is_data(form))), names)
        _print(screen, form, wide=wide)
    else:
        with connected(ctx, server=server, context=context) as client:
            screen = _screen(_of_a_server(client), names)
            _print(screen, form, wide=wide)
            if follow:
                _follow(client, names, form, screen)
    ready = (condition(row["status"], ConditionType.READY).get("status") for row in screen.rows if row["managed"])
    return 0 if all(each == "True" for each in ready) else 3


@dataclass(frozen=True, slots=True)
class Screen:
    """What is shown."""

    rows: Sequence[Mapping[str, Any]]
    #: Open operations.
    operations: Sequence[Mapping[str, Any]]
    holder: str | None

    def essence(self) -> Any:
        """What makes two screens differ: not how long ago something was."""
        rows = [{key: value for key, value in row["status"].items() if key != "observedAt"} for row in self.rows]
        return rows, [row["managed"] for row in self.rows], self.operations, self.holder


def _screen(told: Told, names: Sequence[str]) -> Screen:
    """What there is now. Raises HactlError for a cluster that is named and not there."""
    rows = [row for row in _rows(told) if not names or row["cluster"] in names]
    if missing := sorted(set(names) - {row["cluster"] for row in rows}):
        raise HactlError(f"there is no cluster {', '.join(missing)}")
    operations = [
        each
        for each in told.operations
        if each["status"]["state"] == "Open" and (not names or any(_about(each, name) for name in names))
    ]
    return Screen(rows, operations, told.holder)


def _print(screen: Screen, form: str | None, *, wide: bool) -> None:
    if is_data(form):
        print_data(
            form,
            [
                {
                    **row["status"],
                    "managed": row["managed"],
                    "ageSeconds": row["age_seconds"],
                    "requests": [operation_data(each) for each in screen.operations if _about(each, row["cluster"])],
                }
                for row in screen.rows
            ],
        )
    elif form == "name":
        for row in screen.rows:
            click.echo(row["cluster"])
    else:
        _show(screen.rows, screen.operations, screen.holder, wide=wide)


def _follow(client: Client, names: Sequence[str], form: str | None, before: Screen) -> None:
    """Again and again, until a person ends it: on a terminal over the last one, elsewhere only what changed."""
    terminal = sys.stdout.isatty() and not is_data(form)
    said = ""
    while True:
        time.sleep(SETTLE_SECONDS)
        try:
            _changed(client)
            screen, said = _screen(_of_a_server(client), names), ""
        except (Unreachable, HactlError) as error:
            if str(error) != said:
                click.echo(f"hactl: {safe(str(error))}; trying again", err=True)
            said = str(error)
            continue
        if terminal:
            click.clear()
        elif screen.essence() == before.essence():
            continue
        elif not is_data(form) and form != "name":
            click.echo(f"\n{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}")
        _print(screen, form, wide=form == "wide" or bool(names))
        sys.stdout.flush()
        before = screen


def _changed(client: Client) -> None:
    """Return when a cluster changed, or nothing did for a while: ages grow, and what nobody looks at gets old."""
    found = client.send(Call("GET", CLUSTERS, {"limit": "1"}))
    query = {"watch": "true", "resourceVersion": revision_of(found)}
    for _ in client.watch(Call("GET", CLUSTERS, query), quiet_seconds=REDRAW_SECONDS):
        return


@dataclass(frozen=True, slots=True, repr=False)
class Told:
    """What a server or the record tells; without a repr, which asyncio.run makes of its result (in `signal.signal`)."""

    #: The controller that runs; None: none does. Of a server elsewhere its address.
    holder: str | None
    #: Statuses as the record keeps them: also of clusters whose document is gone, and when each changed.
    rows: Mapping[str, Mapping[str, Any]]
    #: Clusters as the API has them: those that are managed.
    bodies: Sequence[Mapping[str, Any]]
    #: Operations, perhaps with those that are over.
    operations: Sequence[Mapping[str, Any]]


def _of_a_server(client: Client) -> Told:
    bodies = client.send(Call("GET", CLUSTERS))["items"]
    if client.record is None:
        return Told(client.where, {}, bodies, client.send(Call("GET", OPERATIONS))["items"])
    return replace(asyncio.run(_of_the_record(client.record)), bodies=bodies)


async def _of_the_record(path: Path) -> Told:
    from hactl.adapters.lock import ClusterLock, lock_directory

    async with reading(path) as store:
        rows = {row["cluster"]: row for row in await store.statuses()}
        operations = [operation_body(each, "") for each in await store.operations(open_only=True)]
    holder = ClusterLock(lock_directory(path)).controller_holder()
    return Told(None if holder is None else str(holder), rows, [], operations)


def _as_of_now(told: Told, *, whole: bool) -> list[Mapping[str, Any]]:
    """What is on record of managed clusters, as it may be believed now; see `api_client.local`.

    `whole`: with what the API adds for other clients, which no screen of ours shows.
    """
    now = datetime.now(UTC)
    bodies: list[Mapping[str, Any]] = []
    for name, row in told.rows.items():
        if row["managed"]:
            status = status_view(row["status"]) if whole else row["status"]
            if told.holder is None:
                status = {**believed(status, now, why="no controller runs on this record")}
            bodies.append({"metadata": {"name": name}, "status": status})
    return bodies


def _rows(told: Told) -> list[Mapping[str, Any]]:
    """Every cluster that somebody has looked at, worst first."""
    rows = dict(told.rows)
    for body in told.bodies:
        if found := body.get("status"):
            name = body["metadata"]["name"]
            ago = rows[name]["age_seconds"] if name in rows else _changed_seconds(found)
            found = {"name": name, "generation": found.get("observedGeneration"), **found}
            rows[name] = {"cluster": name, "managed": True, "status": found, "age_seconds": ago}
    return sorted(rows.values(), key=_badness)


def _changed_seconds(found: Mapping[str, Any]) -> float:
    """Since a condition changed last; without any, since it was looked at."""
    times = [one["lastTransitionTime"] for one in found.get("conditions", ())] or [found["observedAt"]]
    return (datetime.now(UTC) - max(datetime.fromisoformat(each) for each in times)).total_seconds()


def _about(operation: Mapping[str, Any], cluster: str) -> bool:
    """Whether it is about that cluster, or the whole fleet."""
    return operation["spec"].get("cluster", "") in ("", cluster)


def _badness(row: Mapping[str, Any]) -> tuple[int, int, str]:
    """Managed before unmanaged; split-brain, stalled, not ready, unknown, working, ready."""
    found = row["status"]
    ready = condition(found, ConditionType.READY).get("status", "Unknown")
    order = 0 if condition(found, ConditionType.SPLIT_BRAIN) else 1 if condition(found, ConditionType.STALLED) else 2
    if order == 2:
        order = {"False": 2, "Unknown": 3, "True": 5}[ready]
        if order == 2 and condition(found, ConditionType.RECONCILING):
            order = 4
    return (0 if row["managed"] else 1, order, row["cluster"])


def _show(
    rows: Sequence[Mapping[str, Any]], operations: Sequence[Mapping[str, Any]], holder: str | None, *, wide: bool
) -> None:
    if not rows:
        click.echo("no cluster is on record yet")
    elif holder is None:
        # What is shown may be long over: it is said before it is shown.
        click.echo(click.style("nobody looks at the nodes: no controller runs on this record", fg="yellow") +
                   "; this is what the last look saw (hactl why CLUSTER looks now)")  # fmt: skip
    lines = []
    for row in rows:
        found = row["status"]
        active = ", ".join(sorted({group["active"] or "nobody" for group in found["groups"]}))
        ready = condition(found, ConditionType.READY)
        lines.append([
            click.style(row["cluster"], bold=True), coloured_truth(ready.get("status", "Unknown")), active,
            coloured_truth(condition(found, ConditionType.FAILOVER_READY).get("status", "Unknown")), _sync(found),
            age(row["age_seconds"]), safe(_what(row)),
        ])  # fmt: skip
    if rows:
        click.echo(table(lines, ["CLUSTER", "READY", "ACTIVE", "FAILOVER", "SYNC", "CHANGED", "WHAT"],
                         width=None if wide else terminal_width()))  # fmt: skip
    if operations:
        click.echo(f"\n{click.style('Operations', bold=True)}")
    for each in operations:
        click.echo(f"  {click.style(each['spec']['type'].lower(), fg='magenta')}  {operation_line(each)}")
    if wide:
        for row in rows:
            print_details(row)
    if holder is not None:
        old = [row["cluster"] for row in rows if _is_stale(row["status"])]
        what = f"it does not come round to {', '.join(old)}" if old else "what is shown is current"
        click.echo(f"\na controller is running ({holder}): {what}; CHANGED is when it last changed")


def _is_stale(found: Mapping[str, Any]) -> bool:
    """Whether nobody has looked for too long."""
    return any(one["reason"] == ConditionReason.STALE for one in found.get("conditions", ()))


def _sync(found: Mapping[str, Any]) -> str:
    states = []
    for group in found["groups"]:
        for storage in group["storage"]:
            dirty = storage["dirtyBytes"]
            states.append(f"{storage['status'] or '-'}" + (f" ({dirty // 1048576} MiB dirty)" if dirty else ""))
    return ", ".join(sorted(set(states))) or "-"


def _what(row: Mapping[str, Any]) -> str:
    """The one thing to know."""
    found = row["status"]
    if not row["managed"]:
        return "unmanaged: its document is gone"
    if found["problems"]:
        more = len(found["problems"]) - 1
        return f"{found['problems'][0]}" + (f" (and {more} more)" if more else "")
    for name in TROUBLES:
        one = condition(found, name)
        if one:
            return f"{name}: {_first(found, one['message'])}"
    ready = condition(found, ConditionType.READY)
    return "" if ready.get("status") == "True" else f"{ready.get('reason', '')}: {ready.get('message', '')}"


def _first(found: Mapping[str, Any], message: str) -> str:
    """Of a message that is made of several holds the first, and how many more there are."""
    for passing in (False, True):
        told = [hold["message"] for hold in found.get("holds", ()) if hold["passing"] is passing]
        if len(told) > 1 and message == "; ".join(told):
            return f"{told[0]} (and {len(told) - 1} more)"
    return message


def print_details(row: Mapping[str, Any]) -> None:
    """Everything a status says of one cluster; `row` has cluster and status."""
    found = row["status"]
    click.echo(f"\n{click.style(row['cluster'], bold=True)}  {found['source']}  generation {found['generation']}, "
               f"mode {found['mode']}")  # fmt: skip
    for node in found["nodes"]:
        _node(node)
    for group in found["groups"]:
        _group(group)
    width = max(len(one["type"]) for one in found["conditions"])
    for one in found["conditions"]:
        truth = coloured_truth(one["status"]) + " " * (7 - len(one["status"]))
        since = _since(one["lastTransitionTime"])
        click.echo(f"  {one['type']:<{width}}  {truth}  {one['reason']} {since}: {safe(one['message'])}")
    following = found["plan"]["next"]
    if following:
        steps = found["plan"]["steps"]
        click.echo(f"  next  {following['title']}: {steps} step{'s' if steps != 1 else ''} to go, plan "
                   f"{found['plan']['digest']}")  # fmt: skip
    for key, what in found["failing"].items():
        click.echo(f"  failing  {key}: {safe(what)}")
    for hold in found["holds"]:
        click.echo(f"  {'waiting' if hold['passing'] else 'held'}  {hold['reason']}: {safe(hold['message'])}")
        if hold.get("remedy"):
            click.echo(f"        what helps: {safe(hold['remedy'])}")
    for problem in found["problems"]:
        click.echo(f"  problem  {safe(problem)}")


def _node(node: Mapping[str, Any]) -> None:
    """One machine: what it runs, or since when it is silent; what it did not tell."""
    says = f"silent {_since(node['silentSince'])}: {node['reason']}"
    if node["answers"]:
        booted = f", booted {_ago(node['bootTime'])} ago" if node["bootTime"] else ""
        says = f"FreeBSD {safe(node['release'] or 'release not known')}{booted}"
    demotion = f", CARP demoted by {node['carpDemotion']}" if node["carpDemotion"] else ""
    other = f", calls itself {safe(node['hostnameMismatch'])}" if node["hostnameMismatch"] else ""
    click.echo(f"  node {node['name']}: {says}{demotion}{other}")
    for unknown in node["unknown"]:
        if unknown["needed"]:
            click.echo(f"    not known: {unknown['reading']}: {safe(unknown['reason'])}")


def _group(group: Mapping[str, Any]) -> None:
    """What moves together, and where each part of it is."""
    click.echo(f"  group {group['name']}: active on {group['active'] or 'nobody'}")
    for vip in group["addresses"]:
        states = ", ".join(f"{node} {state}" for node, state in vip["states"].items())
        click.echo(f"    vhid {vip['vhid']} {', '.join(vip['addresses'])}: {states}")
    for storage in group["storage"]:
        roles = ", ".join(f"{node} {role}" for node, role in storage["roles"].items())
        click.echo(f"    {storage['name']}: {roles}; {storage['status'] or 'not connected'}; mounted on "
                   f"{', '.join(storage['mountedOn']) or 'no node'}")  # fmt: skip
    for service in group["services"]:
        states = ", ".join(f"{node} {state.lower()}" for node, state in service["states"].items())
        click.echo(f"    {service['name']}: {states}")


def _ago(moment: str) -> str:
    """How long ago, by this machine's clock."""
    return age((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def _since(moment: str | None) -> str:
    return f"for {_ago(moment)}" if moment else ""
