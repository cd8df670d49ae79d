"""`hactl simulate`: play every fault of a document on simulated nodes, and judge what comes of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.documents import files_option, load_all, selected
from hactl.cli.output import print_data, safe, table
from hactl.cli.record import state_path
from hactl.errors import DocumentError, HactlError, StoreError
from hactl.ports import Document

if TYPE_CHECKING:
    from hactl.core.simulation.story import Result
    from hactl.core.simulation.verdict import Comparison


class NotPlayable(HactlError):
    """It cannot be played here."""

    exit_code = 2


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@click.option(
    "--faults", type=click.IntRange(1, 2), default=None,
    help="How many faults at once. Default: what the document's objectives hold for, else 1.",
)  # fmt: skip
@click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "markdown"]), default="table", help="How to show it."
)
@click.option(
    "--compare", metavar="REVISION|FILE", help="Play that one too: the file in a Git revision, or another file."
)
@click.option("--only", multiple=True, metavar="TEXT", help="Only faults whose name contains this; not put on record.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=os.cpu_count() or 1, show_default="processors",
    help="Stories that are played at the same time.",
)  # fmt: skip
@click.pass_context
def simulate(
    ctx: click.Context,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    faults: int | None,
    form: str,
    compare: str | None,
    only: tuple[str, ...],
    jobs: int,
) -> int:
    """Say what would happen, before anything is deployed: from the document, with the hook that would be installed.

    Every single fault, or with --faults 2 also every pair, is played on simulated nodes in virtual time: who serves
    afterwards, for how long nobody did, what becomes of acknowledged writes, whether a person is needed. Nothing is
    asked of real nodes.

    A controller keeps the nodes while the stories go on; one fault is that there is none. After a minute everything
    that broke works again.

    Exit status: 0 played, 1 an objective of the document is missed, 2 it cannot be played.
    """
    from hactl.core.simulation.verdict import record_of

    try:
        documents = selected(load_all(paths), names)
        others = {document.cluster.name: _other(document, compare) for document in documents} if compare else {}
    except HactlError as problem:
        # Not 1, which says that an objective is missed.
        raise NotPlayable(str(problem)) from problem
    signal.signal(signal.SIGTERM, _interrupted)
    reports: list[dict[str, Any]] = []
    missed = False
    for document in documents:
        name, objectives = document.cluster.name, document.cluster.spec.objectives
        how: dict[str, Any] = {"faults": faults or (objectives.faults if objectives else 1), "jobs": jobs, "only": only}
        before = _played(others[name], how) if compare else None
        results = _played(document, how)
        detail = record_of(document.cluster, how["faults"], results)
        missed |= bool(detail["missed"])
        if not only:
            _put_on_record(ctx, document, results, detail)
        reports.append(_show(document, form, results, before))
    if form == "json":
        print_data("json", reports)
    return 1 if missed else 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _other(document: Document, compare: str | None) -> Document:
    """The document to compare with. Raises HactlError, DocumentError."""
    assert compare is not None
    name = document.cluster.name
    if Path(compare).exists():
        found = load_all([compare])
    else:
        from hactl.adapters.sources.revision import at_revision

        if document.file == "<stdin>":
            raise NotPlayable("a document of standard input has no revisions; compare with a file")
        content = at_revision(Path(document.file), compare)
        if content.problems:
            raise DocumentError(content.problems)
        found = content.documents
    other = next((each for each in found if each.cluster.name == name), None)
    if other is None:
        raise NotPlayable(f"{compare} has no cluster {name}, only {', '.join(each.cluster.name for each in found)}")
    return other


def _played(document: Document, how: dict[str, Any]) -> list[Result]:
    """Every story, in order; progress and speed on standard error."""
    from hactl.core.simulation.report import counted

    try:
        from hactl.simulate.play import play
        from hactl.simulate.start import Unplayable
    except ImportError as missing:
        raise NotPlayable(f"simulated nodes are not installed ({missing.name}): pip install 'hactl[lab]'") from missing

    began, total = time.monotonic(), 0
    results: dict[int, Result] = {}
    stories = play(document.cluster, **how)
    try:
        for told in stories:
            total = max(total, told.total)
            for note in told.notes:
                click.echo(f"{document.source}: {safe(note)}", err=True)
            if told.result is not None:
                results[told.number] = told.result
            _progress(f"{document.source}: {f'{len(results)} of {total} stories' if total else 'setting the nodes up'}")
    except Unplayable as refused:
        lines = "\n".join(f"{document.source}: {line}" for line in str(refused).splitlines())
        raise NotPlayable(safe(lines)) from refused
    finally:
        stories.close()
        _progress("")
    if not results:
        raise NotPlayable(f"{document.source}: no fault of it is called so: {', '.join(how['only'])}")
    took = time.monotonic() - began
    click.echo(f"{document.source}: {counted(len(results))} in {took:.0f} s", err=True)
    return [results[number] for number in sorted(results)]


def _progress(text: str) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)


def _put_on_record(ctx: click.Context, document: Document, results: Sequence[Result], detail: dict[str, Any]) -> None:
    """For what `plan` and `apply` warn of."""
    from hactl.core.simulation.report import summary

    text = summary(results, document.cluster.spec.objectives)
    try:
        asyncio.run(_put(state_path(ctx), document.cluster.name, text, detail))
    except StoreError as problem:
        click.echo(f"not put on record, so plan and apply will not know of it: {safe(str(problem))}", err=True)


async def _put(path: Path, cluster: str, text: str, detail: dict[str, Any]) -> None:
    from hactl.adapters.record.sqlite.store import open_record
    from hactl.core.catalogue import EventKind

    store = await open_record(path)
    try:
        await store.record(EventKind.SIMULATED, cluster, text, detail=detail)
    finally:
        await store.close()


def _show(document: Document, form: str, results: list[Result], before: list[Result] | None) -> dict[str, Any]:
    """As text or Markdown; what it comes to for JSON."""
    from hactl.core.simulation import report
    from hactl.core.simulation.verdict import compare, misses

    objectives, name = document.cluster.spec.objectives, document.cluster.name
    compared = compare(before, results) if before is not None else None
    if form == "markdown":
        click.echo(safe(report.markdown(name, results, objectives, compared)))
    elif form == "table":
        _show_table(name, results, compared, document)
    data: dict[str, Any] = {
        "cluster": name,
        "stories": [{**each.as_data(), "missed": misses(objectives, each)} for each in results],
    }
    if compared is not None:
        data["compared"] = _comparison_data(compared)
    return data


def _comparison_data(compared: Comparison) -> dict[str, Any]:
    return {
        "faults": compared.common,
        "worse": [{"fault": change.after.name, "how": [*change.worse]} for change in compared.worse],
        "better": [{"fault": change.after.name, "how": [*change.better]} for change in compared.better],
        "onlyBefore": list(compared.gone),
        "new": list(compared.new),
    }


def _show_table(name: str, results: list[Result], compared: Comparison | None, document: Document) -> None:
    from hactl.core.simulation import report

    objectives = document.cluster.spec.objectives
    columns = len(report.HEADER) - (objectives is None)
    rows = [report.row(each, objectives)[:columns] for each in results]
    click.echo(click.style(name, bold=True))
    click.echo(safe(table(rows, report.HEADER[:columns])))
    found = report.bad(results, objectives)
    for result, wrong in found[: report.STORIES]:
        click.echo("")
        for line in report.story(result, wrong):
            click.echo(safe(line))
    if len(found) > report.STORIES:
        click.echo(f"\n{len(found) - report.STORIES} more are bad in a way of their own; -o json has every story")
    click.echo(f"\n{report.summary(results, objectives)}")
    if compared is not None:
        for line in report.comparison(compared):
            click.echo(safe(line))
