"""`hactl status`: what the record says of every cluster, worst first. No node is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hactl.cli.output import age, coloured_truth, condition, output_option, print_data, table

#: Conditions that are only there while something is the matter.
TROUBLES = ("SplitBrain", "Stalled", "Reconciling")


@click.command()
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@output_option("wide", "json", "yaml", "name")
@click.pass_context
def status(ctx: click.Context, names: tuple[str, ...], form: str | None) -> int:
    """Every cluster on one screen, worst first, from the record.

    Exit status: 0 everything shown is Ready, 3 something is not, 1 error.
    """
    rows, holder = asyncio.run(_read(ctx, names))
    if form in ("json", "yaml"):
        print_data(
            form, [{**row["status"], "managed": row["managed"], "ageSeconds": row["age_seconds"]} for row in rows]
        )
    elif form == "name":
        for row in rows:
            click.echo(row["cluster"])
    else:
        _show(rows, holder, wide=form == "wide" or bool(names))
    return 0 if all(condition(row["status"], "Ready").get("status") == "True" for row in rows if row["managed"]) else 3


async def _read(ctx: click.Context, names: Sequence[str]) -> tuple[list[Mapping[str, Any]], str | None]:
    from hactl.adapters.lock import ClusterLock, lock_directory
    from hactl.adapters.store import SQLiteStore
    from hactl.app import state_path
    from hactl.errors import HactlError

    path = state_path(ctx.obj["state"])
    if not path.exists():
        raise HactlError(
            f"there is no record at {path} yet: `hactl apply` and `hactl run` make it; --state PATH names another"
        )
    holder = ClusterLock(lock_directory(path)).controller_holder()
    store = await SQLiteStore.open(path, read_only=True)
    try:
        rows = [row for row in await store.statuses() if not names or row["cluster"] in names]
    finally:
        await store.close()
    missing = sorted(set(names) - {row["cluster"] for row in rows})
    if missing:
        raise HactlError(f"the record has no cluster {', '.join(missing)}")
    return sorted(rows, key=_badness), None if holder is None else str(holder)


def _badness(row: Mapping[str, Any]) -> tuple[int, int, str]:
    """Managed before unmanaged; split-brain, stalled, not ready, unknown, working, ready."""
    found = row["status"]
    ready = condition(found, "Ready").get("status", "Unknown")
    order = 0 if condition(found, "SplitBrain") else 1 if condition(found, "Stalled") else 2
    if order == 2:
        order = {"False": 2, "Unknown": 3, "True": 5}[ready]
        if order == 2 and condition(found, "Reconciling"):
            order = 4
    return (0 if row["managed"] else 1, order, row["cluster"])


def _show(rows: Sequence[Mapping[str, Any]], holder: str | None, *, wide: bool) -> None:
    if not rows:
        click.echo("no cluster is on record yet")
    lines = []
    for row in rows:
        found = row["status"]
        active = ", ".join(sorted({group["active"] or "nobody" for group in found["groups"]}))
        ready = condition(found, "Ready")
        lines.append([
            click.style(row["cluster"], bold=True), coloured_truth(ready.get("status", "Unknown")), active,
            coloured_truth(condition(found, "FailoverReady").get("status", "Unknown")), _sync(found),
            age(row["age_seconds"]), _what(row),
        ])  # fmt: skip
    if rows:
        click.echo(table(lines, ["CLUSTER", "READY", "ACTIVE", "FAILOVER", "SYNC", "CHANGED", "WHAT"]))
    if wide:
        for row in rows:
            _details(row)
    click.echo("")
    if holder is None:
        click.echo(
            "no controller is running on this record: what is shown is as old as CHANGED says, or as the last apply"
        )
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
        return click.style(found["problems"][0], fg="red")
    for name in TROUBLES:
        one = condition(found, name)
        if one:
            return f"{name}: {one['message']}"
    ready = condition(found, "Ready")
    return "" if ready.get("status") == "True" else f"{ready.get('reason', '')}: {ready.get('message', '')}"


def _details(row: Mapping[str, Any]) -> None:
    found = row["status"]
    click.echo(f"\n{click.style(row['cluster'], bold=True)}  {found['source']}  generation {found['generation']}, "
               f"mode {found['mode']}")  # fmt: skip
    for node in found["nodes"]:
        says = (
            f"FreeBSD {node['release']}, up since {node['bootTime']}"
            if node["answers"]
            else f"silent: {node['reason']}"
        )
        demotion = f", CARP demoted by {node['carpDemotion']}" if node["carpDemotion"] else ""
        click.echo(f"  node {node['name']}: {says}{demotion}")
    for group in found["groups"]:
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
    for one in found["conditions"]:
        click.echo(f"  {one['type']}: {coloured_truth(one['status'])}  {one['reason']}: {one['message']}")
    for hold in found["holds"]:
        click.echo(f"  held  {hold['reason']}: {hold['message']}")
        if hold.get("remedy"):
            click.echo(f"        what helps: {hold['remedy']}")
    for problem in found["problems"]:
        click.echo(f"  problem  {problem}")
