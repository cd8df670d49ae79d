"""`hactl doctor`: is everything there that hactl needs? Nothing is changed anywhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hactl.cli.forms.option import is_data, output_option
from hactl.cli.output import print_data, safe, to_seconds
from hactl.cli.record import reading, state_path
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

    from hactl.cli.doctor.finding import Finding
    from hactl.ports import Document

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option(
    "-f", "--filename", "paths", multiple=True, metavar="PATH", type=str,
    help="Documents whose keys and nodes are checked. Default: those in force, from the record.",
)  # fmt: skip
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE",
    help="A source, as for hactl run: it is read once. May be given several times.",
)  # fmt: skip
@click.option(
    "--timeout", "seconds", callback=to_seconds, default="10s", show_default=True, metavar="DURATION",
    help="No node and no source is waited for longer.",
)  # fmt: skip
@click.option("--no-nodes", is_flag=True, help="Ask no node.")
@output_option("json", "yaml")
@click.pass_context
def doctor(
    ctx: click.Context,
    paths: tuple[str, ...],
    sources: tuple[str, ...],
    seconds: float,
    no_nodes: bool,
    form: str | None,
) -> int:
    """Check this machine, keys, sources, the record, clocks, and every node, and say what is wrong and what helps.

    All nodes are asked at once, so that one that hangs delays no other. Nothing is changed anywhere. Exit status: 0
    nothing is wrong (there may be warnings), 1 something is.
    """
    from hactl.cli.commands.controller.source_option import parse_sources
    from hactl.cli.doctor.finding import worst
    from hactl.cli.doctor.machine import machine
    from hactl.cli.doctor.records import record
    from hactl.cli.doctor.records import sources as read_sources
    from hactl.cli.doctor.references import references

    state, options = state_path(ctx), parse_sources(sources)
    documents, unread = _documents(state, paths)
    about_keys, targets = references(documents)
    found = [*machine(sum(len(each.cluster.spec.nodes) for each in documents)), *record(state), *unread, *about_keys]

    async def ask() -> list[Finding]:
        from hactl.cli.doctor.nodes import ask as ask_nodes

        by_sources = read_sources(options, limit_seconds=seconds)
        by_nodes = ask_nodes({} if no_nodes else targets, limit_seconds=seconds)
        return [each for part in await asyncio.gather(by_sources, by_nodes) for each in part]

    found += asyncio.run(ask())
    if is_data(form):
        print_data(form, [asdict(each) for each in found])
    else:
        _show(found)
    return 1 if worst(found) == "fail" else 0


def _documents(state: Path, paths: Sequence[str]) -> tuple[list[Document], list[Finding]]:
    """The documents to check, and those that cannot be read any more."""
    from hactl.app import revive
    from hactl.cli.doctor.finding import Finding
    from hactl.cli.documents import load

    if paths:
        loaded = load(paths)
        troubles = [*map(str, loaded.problems), *([str(loaded.down)] if loaded.down else [])]
        wrong = [Finding("fail", "document", "", each, "hactl validate says more") for each in troubles]
        return list(loaded.documents.values()), wrong
    if not state.exists():
        return [], []

    async def kept() -> tuple[list[Document], list[Finding]]:
        documents, unread = [], []
        async with reading(state) as store:
            for row in await store.documents():
                try:
                    documents.append(revive(row))
                except HactlError as error:
                    words = str(error)
                    unread.append(Finding("fail", "document", row["cluster"], words, "apply it again, as it is to be"))
        return documents, unread

    try:
        return asyncio.run(kept())
    except HactlError:
        # What is wrong with the record is a finding of its own.
        return [], []


def _show(found: Sequence[Finding]) -> None:
    for each in found:
        about = f"{each.about}: " if each.about else ""
        mark = click.style(f"{each.level:<4}", fg=COLOURS[each.level])
        click.echo(f"{mark}  {each.area:<8}  {safe(about + each.text)}")
        if each.remedy:
            click.echo(f"      {'':<8}  {click.style('what helps:', dim=True)} {safe(each.remedy)}")
    counts = Counter(each.level for each in found)
    click.echo(f"\n{counts['fail']} wrong, {counts['warn']} to look at, {counts['ok']} well")
