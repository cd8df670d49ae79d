"""`hactl record`: save the record, examine it, put a saved one back."""

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
            "what helps: stop hactl; hactl record restore BACKUP, or move the file away: hactl then reads its "
            "sources again, looks at the nodes, and does nothing on sound ones; history is lost",
            err=True,
        )
        return 1
    click.echo(f"{path} is sound: {_size(found)}")
    return 0


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
    if cancelled:
        were = "operations were" if cancelled > 1 else "operation was"
        click.echo(f"{cancelled} open {were} cancelled: ask again for what is still wanted")
    return 0


def _size(found: Examined) -> str:
    return f"{found.size_bytes / 1048576:.1f} MiB"


def _rows(found: Examined) -> str:
    rows = {each.name: each.rows for each in found.tables}
    return f"{rows.get('clusters', 0)} clusters, {rows.get('events', 0) + rows.get('steps', 0)} rows of history"
