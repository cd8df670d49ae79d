"""`hactl record`: save the record, examine it, make its file smaller, put a saved one back, mend it."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hactl.cli.forms.option import output_option
from hactl.cli.operations import confirm
from hactl.cli.output import print_data, table
from hactl.cli.record import state_path

if TYPE_CHECKING:
    from hactl.adapters.record.sqlite.copies import Examined


@click.group()
def record() -> None:
    """The record: documents, history, operations and tokens, in one SQLite file.

    A backup is of one moment and may be taken while the controller runs. It holds no secret but the hashes of tokens;
    its history names hosts and shows commands, so it is written with mode 0600.
    """


@record.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.pass_context
def backup(ctx: click.Context, file: Path, force: bool) -> int:
    """Copy the record to FILE, while others use it.

    The copy is examined before FILE is there. Without room for it, or when it is not sound, FILE stays as it was.
    """
    from hactl.adapters.record.sqlite.copies import save

    found = save(state_path(ctx), file, over=force)
    click.echo(f"wrote {file}: {_size(found)}, {_rows(found)}")
    return 0


@record.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@output_option("json", "yaml")
@click.pass_context
def verify(ctx: click.Context, file: Path | None, form: str | None) -> int:
    """Read all of the record, or of the backup FILE, and say what is wrong and what can be read.

    Exit status: 0 it is sound, 1 it is not.
    """
    from hactl.adapters.record.sqlite.copies import examine

    path = file or state_path(ctx)
    found = examine(path)
    if form is not None:
        tables = [{"name": each.name, "rows": each.rows, "whole": each.whole} for each in found.tables]
        print_data(
            form, {"file": str(path), "bytes": found.size_bytes, "tables": tables, "problems": [*found.problems]}
        )
        return int(bool(found.problems))
    rows = [
        [each.name, str(each.rows), "" if each.whole else "and perhaps more, which cannot be read"]
        for each in found.tables
    ]
    click.echo(table(rows, ["TABLE", "ROWS", ""]))
    for problem in found.problems:
        click.echo(f"{path}: {problem}", err=True)
    if found.problems:
        click.echo(
            "what helps: stop hactl; hactl record restore BACKUP, or hactl record salvage, which makes a new record of "
            "what is listed above; hactl then reads its sources again, and does nothing on nodes that are well",
            err=True,
        )
        return 1
    click.echo(f"{path} is sound: {_size(found)}")
    return 0


@record.command()
@output_option("json", "yaml")
@click.pass_context
def compact(ctx: click.Context, form: str | None) -> None:
    """Give the room that the record does not need any more back to the disk, while others use it.

    Nothing is forgotten by it: history older than 400 days and beyond its budgets goes by itself. A record of an older
    hactl is written anew once, which takes twice its size for a moment; a controller begins nothing while that lasts.
    """
    from hactl.adapters.record.sqlite.compact import compact as compacted

    path = state_path(ctx)
    found = compacted(path)
    if form is not None:
        print_data(form, {"file": str(path), "bytesBefore": found.before, "bytesAfter": found.after})
        return
    anew = " (it was of an older hactl and is written anew)" if found.rewritten else ""
    click.echo(f"{path}: {_mebibytes(found.before)} before, {_mebibytes(found.after)} now{anew}")


@record.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def restore(ctx: click.Context, file: Path, yes: bool) -> int:
    """Put the backup FILE in the place of the record. The old record is kept beside it.

    No hactl may run on it. Open switchovers, approvals, resolutions and give-ups of the backup are cancelled, for they
    may have been done since; drains and pauses hold. What changed after the backup is forgotten: apply documents of the
    API anew.
    """
    from hactl.adapters.record.sqlite.copies import put_back

    path = state_path(ctx)
    confirm(f"Put {file} in the place of {path}?", yes=yes)
    kept, cancelled = asyncio.run(put_back(path, file, actor=f"{getpass.getuser()}@local", now=datetime.now(UTC)))
    click.echo(f"{path} is {file} now" + (f"; the old one is {kept}" if kept else ""))
    _tell_cancelled(cancelled)
    return 0


@record.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def salvage(ctx: click.Context, yes: bool) -> None:
    """Make a new record of what can be read of a damaged one, in its place. The damaged one is kept beside it.

    No hactl may run on it. Documents, history, tokens and clusters of the API are there as far as they can be read;
    operations that would act are cancelled: that they were done may be what was lost. A backup that is new enough is
    better: it is whole.
    """
    from hactl.adapters.record.sqlite.copies import salvage as salvaged

    path = state_path(ctx)
    confirm(f"Make a new record of what can be read of {path}?", yes=yes)
    found = asyncio.run(salvaged(path, actor=f"{getpass.getuser()}@local", now=datetime.now(UTC)))
    rows = [[each.name, str(each.rows), "" if each.whole else "what could be read"] for each in found.tables]
    click.echo(table(rows, ["TABLE", "ROWS", ""]))
    click.echo(f"{path} is a new record of these; the damaged one is {found.kept}")
    _tell_cancelled(found.cancelled)


def _tell_cancelled(cancelled: int) -> None:
    if cancelled:
        were = "operations were" if cancelled > 1 else "operation was"
        click.echo(f"{cancelled} open {were} cancelled: ask again for what is still wanted")


def _size(found: Examined) -> str:
    return _mebibytes(found.size_bytes)


def _mebibytes(size: int) -> str:
    return f"{size / 1048576:.1f} MiB"


def _rows(found: Examined) -> str:
    rows = {each.name: each.rows for each in found.tables}
    return f"{rows.get('clusters', 0)} clusters, {rows.get('events', 0) + rows.get('steps', 0)} rows of history"
