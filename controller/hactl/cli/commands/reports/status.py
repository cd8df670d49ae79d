"""`hactl status`: what the record says of every cluster, worst first. No node is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.api_client.client import CLUSTERS, OPERATIONS, Call, Client
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.output import (
    age,
    coloured_truth,
    condition,
    operation_data,
    operation_line,
    output_option,
    print_data,
    safe,
    table,
)
from hactl.cli.record import reading
from hactl.core.catalogue import ConditionType
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

    from hactl.core.operations import Operation

#: Conditions that are only there while something is the matter.
TROUBLES = (ConditionType.SPLIT_BRAIN, ConditionType.STALLED, ConditionType.RECONCILING)


@click.command()
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@output_option("wide", "json", "yaml", "name")
@server_options
@click.pass_context
def status(
    ctx: click.Context, names: tuple[str, ...], form: str | None, server: str | None, context: str | None
) -> int:
    """Every cluster on one screen, worst first, from this machine's record; from elsewhere as a server tells it.

    Exit status: 0 everything shown is Ready, 3 something is not, 1 error.
    """
    with connected(ctx, server=server, context=context) as client:
        if client.record is None:
            rows, operations, holder = _by_objects(client, names)
        else:
            rows, operations, holder = asyncio.run(_by_record(client.record, names))
    missing = sorted(set(names) - {row["cluster"] for row in rows})
    if missing:
        raise HactlError(f"there is no cluster {', '.join(missing)}")
    if form in ("json", "yaml"):
        print_data(
            form,
            [
                {
                    **row["status"],
                    "managed": row["managed"],
                    "ageSeconds": row["age_seconds"],
                    "requests": [operation_data(each) for each in operations if each.about(row["cluster"])],
                }
                for row in rows
            ],
        )
    elif form == "name":
        for row in rows:
            click.echo(row["cluster"])
    else:
        _show(rows, operations, holder, wide=form == "wide" or bool(names))
    return (
        0
        if all(condition(row["status"], ConditionType.READY).get("status") == "True" for row in rows if row["managed"])
        else 3
    )


async def _by_record(path: Path, names: Sequence[str]) -> tuple[list[Mapping[str, Any]], list[Operation], str | None]:
    """Statuses, open operations, and the controller that runs."""
    from hactl.adapters.lock import ClusterLock, lock_directory

    async with reading(path) as store:
        rows = [row for row in await store.statuses() if not names or row["cluster"] in names]
        operations = [
            each
            for each in await store.operations(open_only=True)
            if not names or any(each.about(name) for name in names)
        ]
    holder = ClusterLock(lock_directory(path)).controller_holder()
    return sorted(rows, key=_badness), operations, None if holder is None else str(holder)


def _by_objects(client: Client, names: Sequence[str]) -> tuple[list[Mapping[str, Any]], list[Operation], str | None]:
    """The same from a server's objects; clusters nobody has looked at yet are not in it, as they have no status."""
    rows = []
    for body in client.send(Call("GET", CLUSTERS))["items"]:
        name, found = body["metadata"]["name"], body.get("status")
        if (names and name not in names) or not found:
            continue
        ago = (datetime.now(UTC) - _changed(found)).total_seconds()
        found = {"name": name, "generation": body["metadata"]["generation"], **found}
        rows.append({"cluster": name, "managed": True, "status": found, "age_seconds": ago})
    everything = [_operation(body) for body in client.send(Call("GET", OPERATIONS))["items"]]
    operations = [each for each in everything if each.state == "Open" and (not names or any(map(each.about, names)))]
    return sorted(rows, key=_badness), sorted(operations, key=lambda each: each.id), client.where


def _changed(found: Mapping[str, Any]) -> datetime:
    """When a condition changed last; without any, when it was looked at."""
    times = [one["lastTransitionTime"] for one in found.get("conditions", ())] or [found["observedAt"]]
    return max(datetime.fromisoformat(each) for each in times)


def _operation(body: Mapping[str, Any]) -> Operation:
    """An operation, from its object."""
    from hactl.core.operations import Kind, Operation, State

    spec, state = body["spec"], body["status"]
    times = {
        key: datetime.fromisoformat(value) if value else None
        for key, value in (
            ("not_before", spec.get("notBefore")),
            ("expires_at", spec.get("expiresAt")),
            ("ended_at", state.get("endedAt")),
        )
    }
    return Operation(
        id=state["number"],
        kind=Kind(spec["type"]),
        cluster=spec.get("cluster", ""),
        group=spec.get("group", ""),
        node=spec.get("node", ""),
        resource=spec.get("resource", ""),
        actor=state["actor"],
        reason=spec.get("reason", ""),
        detail={key: spec[key] for key in ("digest", "preserve", "from") if key in spec},
        opened_at=datetime.fromisoformat(state["openedAt"]),
        state=State(state["state"]),
        message=state.get("message", ""),
        seconds=state.get("seconds"),
        **times,
    )


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
    rows: Sequence[Mapping[str, Any]], operations: Sequence[Operation], holder: str | None, *, wide: bool
) -> None:
    if not rows:
        click.echo("no cluster is on record yet")
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
        click.echo(table(lines, ["CLUSTER", "READY", "ACTIVE", "FAILOVER", "SYNC", "CHANGED", "WHAT"]))
    if operations:
        click.echo(f"\n{click.style('Operations', bold=True)}")
    for each in operations:
        click.echo(f"  {click.style(each.kind.value.lower(), fg='magenta')}  {safe(operation_line(each))}")
    if wide:
        for row in rows:
            print_details(row)
    click.echo("")
    if holder is None:
        click.echo("no controller is running on this record: what is shown is what the last apply or controller saw; "
                   "nobody has looked since")  # fmt: skip
    else:
        click.echo(f"a controller is running ({holder}): what is shown is current; CHANGED is when it last changed")


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
            return f"{name}: {one['message']}"
    ready = condition(found, ConditionType.READY)
    return "" if ready.get("status") == "True" else f"{ready.get('reason', '')}: {ready.get('message', '')}"


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
