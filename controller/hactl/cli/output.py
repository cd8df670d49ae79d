"""What people see: colour, ages, tables, and the machine-readable forms of `-o`.

Rules: colour only on a terminal (or as asked); nothing here decides anything; values that are shown come from facts,
plans and the record as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.forms.option import is_data
from hactl.core.document.problems import printable
from hactl.core.operations import Kind
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.core.steps import Hold


def print_data(form: str, data: Any, *, headers: bool = True) -> None:
    """JSON, YAML, or a template of `hactl.cli.forms.option`. Raises HactlError for a template that does not fit."""
    if form == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
    elif form == "yaml":
        click.echo(yaml_text(data), nl=False)
    else:
        _print_template(form, data, headers=headers)


def _print_template(form: str, data: Any, *, headers: bool) -> None:
    from hactl.cli.forms.columns import parse_columns, rows_of
    from hactl.cli.forms.jsonpath import TemplateError, parse_template

    name, _, text = form.partition("=")
    try:
        if name == "custom-columns":
            columns = parse_columns(text)
            rows = [[safe(cell) for cell in columns.cells(one)] for one in rows_of(data)]
            if headers or rows:
                shown = table(rows, columns.header)
                click.echo(shown if headers else shown.partition("\n")[2])
            return
        template = parse_template(text)
        if name == "jsonpath-as-json":
            print_data("json", template.find(data))
            return
        found = template.render(data)
    except TemplateError as error:
        raise HactlError(f"{name}: {error}") from error
    # A program gets every byte; a terminal is played no tricks on.
    click.echo(safe(found) if sys.stdout.isatty() else found, nl=False)


def yaml_text(data: Any) -> str:
    """As YAML."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(json.loads(json.dumps(data, default=str)), stream)
    return stream.getvalue()


def table(rows: Sequence[Sequence[str]], header: Sequence[str], *, width: int | None = None) -> str:
    """Columns as kubectl prints them; the last column is not padded, and cut when a line is wider than `width`."""
    plain = [[click.unstyle(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in plain) for column in range(len(header))]
    room = None if width is None else width - sum(widths[:-1]) - 3 * (len(header) - 1)
    lines = []
    for row, bare in zip([header, *rows], plain, strict=True):
        cells = [cell + " " * (width - len(text)) for cell, text, width in zip(row, bare, widths, strict=True)]
        if room is not None and len(bare[-1]) > room > len(header[-1]) + 3:
            cells[-1] = f"{bare[-1][: room - 3]}..."
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)


def terminal_width() -> int | None:
    """Columns of the terminal; None: it is none, and nothing is cut for a file or a program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def replace_file(path: Path, text: str, mode: int = 0o600) -> None:
    """A file that has its mode before it has its content, and is there whole or not at all. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def age(seconds: float | None) -> str:
    """`5s`, `12m`, `3h`, `4d`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def safe(text: str) -> str:
    """Text that came from a node, unable to play tricks on a terminal: control characters are shown escaped."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


#: Longer than anybody waits: a hundred years. Beyond it there is no date.
LONGEST_SECONDS = 100 * 366 * 86400.0


def to_seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """`90`, `90s`, `10m`, `1h` as seconds; more than 0."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value)
    seconds = float(found[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise click.BadParameter(f"{value} is no duration; say 90s, 10m or 1h", ctx, param)
    return seconds


def to_end(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """`30d`, `12h`, `90m` from now."""
    if value is None:
        return None
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    if value[:-1].isdecimal() and value[-1] in units:
        seconds = float(value[:-1]) * units[value[-1]]
        if 0 < seconds <= LONGEST_SECONDS:
            return datetime.now(UTC) + timedelta(seconds=seconds)
    raise click.BadParameter(f"{value} is no duration; say 90d, 12h or 30m", ctx, param)


def indent(text: str, columns: int) -> str:
    """Indent every line."""
    return textwrap.indent(text, " " * columns)


def print_hold(hold: Mapping[str, Any]) -> None:
    """Why something is not done, and what a person can do: a hold as a status, or `hold_data`, has it."""
    mark, colour = ("waiting", "cyan") if hold["passing"] else ("held", "magenta")
    click.echo(f"  {click.style(mark, fg=colour)}  {hold['reason']}: {safe(hold['message'])}")
    if hold["remedy"]:
        click.echo(f"        {click.style('what helps:', dim=True)} {safe(hold['remedy'])}")


def hold_data(hold: Hold) -> dict[str, Any]:
    """A hold for `-o json`."""
    return {
        "reason": hold.reason, "message": hold.message, "node": hold.node, "target": hold.target,
        "remedy": hold.remedy, "passing": hold.passing,
    }  # fmt: skip


def operation_line(operation: Mapping[str, Any]) -> str:
    """One line about an operation (an HAOperation)."""
    spec, status = operation["spec"], operation["status"]
    cluster, group, node = (spec.get(key, "") for key in ("cluster", "group", "node"))
    what = {
        Kind.SWITCHOVER: f"{group} is to move to {node}",
        Kind.DRAIN: f"{node} is drained",
        Kind.PAUSE: f"{node or group or cluster or 'the whole fleet'} is paused",
        Kind.APPROVE: f"plan {spec.get('digest', '')} is approved",
        Kind.RESOLVE: f"the copy of {spec.get('resource', '')} on {node} is to be thrown away",
        Kind.GIVE_UP: f"{spec.get('setting', '')} of {node} is given up",
    }[Kind(spec["type"])]
    since = f"not before {_local(spec['notBefore'])}, " if "notBefore" in spec else ""
    until = f"until {_local(spec['expiresAt'])}, " if "expiresAt" in spec else ""
    where = f"{cluster}: " if cluster else ""
    why = f": {spec['reason']}" if spec.get("reason") else ""
    return safe(f"{where}{what}, {since}{until}by {status['actor']}{why} (operation {status['number']})")


def _local(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"


def operation_data(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation (an HAOperation) for `-o json`."""
    spec, status = operation["spec"], operation["status"]
    times = {"openedAt": status.get("openedAt"), "notBefore": spec.get("notBefore"),
             "expiresAt": spec.get("expiresAt"), "endedAt": status.get("endedAt")}  # fmt: skip
    return {
        "id": status["number"], "kind": spec["type"],
        **{key: spec.get(key, "") for key in ("cluster", "group", "node", "resource")},
        "actor": status["actor"], "reason": spec.get("reason", ""),
        "detail": {key: spec[key] for key in ("digest", "preserve", "from") if key in spec},
        "state": status["state"], "message": status.get("message", ""),
        **{key: datetime.fromisoformat(moment).isoformat() if moment else None for key, moment in times.items()},
        "seconds": status.get("seconds"),
    }  # fmt: skip


def condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A condition of a status; empty when it does not exist."""
    return next((c for c in status.get("conditions", ()) if c["type"] == name), {})


def coloured_truth(value: str) -> str:
    """True green, False red, Unknown yellow."""
    return click.style(value, fg={"True": "green", "False": "red"}.get(value, "yellow"))


def print_explanations(answers: Sequence[Mapping[str, Any]], form: str | None) -> None:
    """What explains a cluster (`hactl.core.why.answer.explanation_data`), for people or as data."""
    if is_data(form):
        print_data(form, answers)
        return
    for number, answer in enumerate(answers):
        if number:
            click.echo("")
        for line in explanation_lines(answer):
            click.echo(line)


def explanation_lines(answer: Mapping[str, Any]) -> list[str]:
    """For people: the headline, the facts with node and age, what helps, what else there is."""
    lines = [click.style(safe(answer["headline"]), bold=True)]
    for fact in answer["facts"]:
        node, seconds = fact["node"] or "", fact["ageSeconds"]
        where = f"{node}, {age(seconds)} ago" if seconds is not None else node
        lines.append(f"  {f'{where}: ' if where else ''}{safe(fact['text'])}")
    mark = "to change it:" if answer["healthy"] else "what helps:"
    for remedy in answer["remedies"]:
        where = f"on {remedy['node']}: " if remedy["node"] else ""
        note = f"  ({remedy['note']})" if remedy["note"] else ""
        lines.append(f"  {click.style(mark, dim=True)} {safe(where + remedy['command'] + note)}")
    lines += [f"  {click.style('also:', dim=True)} {safe(line)}" for line in answer["also"]]
    return lines
