"""`hactl history`: what happened, and every command that ran."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hactl.cli.api_client.client import OPERATIONS, Call, Client
from hactl.cli.api_client.connect import connected, elsewhere, server_options
from hactl.cli.forms.option import is_data, output_option
from hactl.cli.output import LONGEST_SECONDS, indent, operation_line, print_data, safe
from hactl.cli.record import reading, state_path
from hactl.errors import HactlError

#: A command of more lines than this is shown with --full only.
SHOWN_LINES = 20
COLOURS = {"Done": "green", "Failed": "red", "Indeterminate": "yellow"}


def to_moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A timezone-aware time: ISO 8601 (local time without an offset), or `2h`, `30m`, `3d` ago."""
    if value is None:
        return None
    if ago := re.fullmatch(r"(\d+)([smhd])", value):
        seconds = float(ago[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[ago[2]]
        return datetime.now(UTC) - timedelta(seconds=min(seconds, LONGEST_SECONDS))
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value} is no time; say 2026-11-24T03:12, or 2h ago as 2h", ctx, param) from None
    return moment


def to_kind(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A kind of event, or Step."""
    from hactl.core.catalogue import EventKind

    if value is None or value == "Step" or value in set(EventKind):
        return value
    raise click.BadParameter(f"{value} is no kind of event; say Step, {', '.join(EventKind)}", ctx, param)


@click.command()
@click.argument("name", required=False, metavar="[CLUSTER]")
@click.option("--node", help="Only this node.")
@click.option(
    "--kind",
    callback=to_kind,
    metavar="KIND",
    help="Only this kind of event (see the reference), or Step for commands.",
)
@click.option(
    "--since", callback=to_moment, metavar="TIME", help="From this time on: 2026-11-24T03:12, or 2h for two hours ago."
)
@click.option("--until", callback=to_moment, metavar="TIME", help="Up to this time.")
@click.option("--failed", is_flag=True, help="Only what went wrong.")
@click.option(
    "--limit", type=click.IntRange(1), default=200, show_default=True, help="Show this many, the newest ones."
)
@click.option("--full", is_flag=True, help="As -o wide, with commands of many lines whole.")
@output_option("wide", "json", "yaml")
@server_options
@click.pass_context
def history(
    ctx: click.Context,
    /,
    name: str | None,
    node: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    failed: bool,
    *,
    limit: int,
    full: bool,
    form: str | None,
    server: str | None,
    context: str | None,
) -> None:
    """What happened, oldest first: documents, changes of state, and every command with its outcome.

    -o wide adds the command, why it ran, for whom, and what it printed; --full also what was written to files. From
    this machine's record; with --server or a context from that server, 5000 rows at most.
    """
    query = {"cluster": name, "node": node, "kind": kind, "since": since, "until": until, "limit": limit}
    given = {key: value for key, value in query.items() if value is not None} | ({"failed": True} if failed else {})
    if elsewhere(ctx, server, context):
        with connected(ctx, server=server, context=context) as client:
            rows, operations = _of_a_server(client, given, name)
    else:
        rows, operations = asyncio.run(_of_the_record(ctx, given, name))
    if is_data(form):
        print_data(form, [dict(row) for row in rows])
        return
    for row in rows:
        _show(row, wide=full or form == "wide", full=full, named=name is None)
    for each in operations:
        click.echo(f"{click.style('open', fg='magenta')}  {operation_line(each)}")
    if not rows:
        click.echo("nothing on record" + (f" for {name}" if name else ""))


#: Events and steps, and the operations that are not over.
Found = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


async def _of_the_record(ctx: click.Context, query: Mapping[str, Any], name: str | None) -> Found:
    from hactl.core.kube.codec import operation_body

    async with reading(state_path(ctx)) as store:
        try:
            rows = await store.history(query)
        except ValueError as error:
            raise HactlError(str(error)) from error
        return rows, [operation_body(each, "") for each in await store.operations(name, open_only=True)]


def _of_a_server(client: Client, query: Mapping[str, Any], name: str | None) -> Found:
    """What its record has. Raises StatusError, also for more rows than it gives at once."""
    texts = {key: _as_text(value) for key, value in query.items()}
    rows = client.send(Call("GET", "/history", texts))["items"]
    operations = client.send(Call("GET", OPERATIONS))["items"]
    return rows, [
        each
        for each in operations
        if each["status"]["state"] == "Open" and (name is None or each["spec"].get("cluster", "") in ("", name))
    ]


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "true" if value is True else str(value)


def _show(row: Mapping[str, Any], *, wide: bool, full: bool, named: bool) -> None:
    at = datetime.fromisoformat(row["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    cluster = f"{row['cluster']}  " if named and row["cluster"] else ""
    if "outcome" not in row:
        node = f"{row['node']}  " if row["node"] and row["node"] not in row["summary"] else ""
        click.echo(f"{at}  {cluster}{node}{safe(row['summary'])}  {click.style(row['kind'], dim=True)}")
        return
    outcome = row["outcome"] or "running"
    took = f" in {row['seconds']:.1f} s" if row["seconds"] is not None else ""
    command = row["command"].splitlines()
    shown = command[0] if len(command) == 1 else f"{row['verb']} {row['target']}"
    click.echo(f"{at}  {cluster}{click.style(row['node'], bold=True)}  {shown}  "
               f"{click.style(outcome + took, fg=COLOURS.get(outcome))}")  # fmt: skip
    if wide:
        click.echo(indent(f"why: {row['why']}\nby: {row['actor']} ({row['cause']}), generation {row['generation']}, "
                          f"plan {row['plan']}, risk {row['risk']}", 4))  # fmt: skip
        if len(command) > 1:
            cut = [] if full or len(command) <= SHOWN_LINES else [f"... {len(command)} lines in all: --full shows them"]
            click.echo(indent("\n".join([*command[: 3 if cut else None], *cut]), 6))
    if row["output"] and (wide or outcome != "Done"):
        click.echo(indent(safe(row["output"]), 4))
