"""`hactl plan`: look at the nodes, show what would be done. Nothing is touched and nothing is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hactl.cli.documents import files_option, load_all, selected
from hactl.cli.forms.option import is_data, output_option
from hactl.cli.objectives import warn_of_objectives
from hactl.cli.output import operation_line, print_data
from hactl.cli.record import state_path
from hactl.cli.steps import Texts, file_of, plan_data, print_plan
from hactl.core.catalogue import HoldReason
from hactl.core.steps import Plan
from hactl.ports import Document

if TYPE_CHECKING:
    from hactl.app import App
    from hactl.core.facts import Snapshot
    from hactl.runtime.passes.types import ResolvedCluster


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@click.option("--full", is_flag=True, help="Every command as it is, with the whole text of files that are written.")
@output_option("wide", "json", "yaml", "name")
@click.pass_context
def plan(ctx: click.Context, paths: tuple[str, ...], names: tuple[str, ...], full: bool, form: str | None) -> int:
    """Show the exact commands, their order and risk, and what is held back and why. Read-only.

    Of a file that is written its mode and size are shown and how it differs from what is there.
    Only the first stage is ever carried out before the nodes are looked at again; later stages are what is expected.

    Exit status: 0 nothing to do, 2 there are changes, 1 error: also when there is nothing to do as far as one can see,
    but a node gave no facts.
    """
    documents = selected(load_all(paths), names)
    warn_of_objectives(state_path(ctx), documents)
    looked = asyncio.run(_plans(ctx, documents, with_texts=form in (None, "wide") and not full))
    plans = [found for found, _ in looked]
    if is_data(form):
        print_data(form, [plan_data(found) for found in plans])
    elif form == "name":
        for found in plans:
            for step in found.steps:
                click.echo(f"{found.cluster} {step.key}")
    else:
        for document, (found, there) in zip(documents, looked, strict=True):
            _show(document, found)
            print_plan(found, there, full=full)
            if form == "wide":
                _show_checks(found)
            click.echo("")
    if any(found.stages for found in plans):
        return 2
    return 1 if any(hold.reason is HoldReason.NODE_SILENT for found in plans for hold in found.holds) else 0


async def _plans(ctx: click.Context, documents: Sequence[Document], *, with_texts: bool) -> list[tuple[Plan, Texts]]:
    """Each plan, and what is in the files that it writes."""
    from hactl.app import last_statuses, likely_generations, opened, operations_in_force
    from hactl.core.kube.codec import operation_body
    from hactl.core.operations import overrides
    from hactl.runtime.passes.types import Accepted

    generations = await likely_generations(state_path(ctx), documents)
    before = await last_statuses(state_path(ctx))
    async with opened(None) as app:
        looks = []
        for document in documents:
            name = document.cluster.name
            found = await operations_in_force(state_path(ctx), name)
            for each in found:
                if each.state == "Open":
                    click.echo(f"open: {operation_line(operation_body(each, ''))}", err=True)
            wanted = overrides(found, name, app.clock.now())
            accepted = Accepted(document, generations[name])
            looks.append(app.reconciler.look(accepted, overrides=wanted, previous=before.get(name)))
        looked = await asyncio.gather(*looks)
        there = [await _texts(app, *each) if with_texts else {} for each in looked]
        return [(found, texts) for (_, _, found), texts in zip(looked, there, strict=True)]


async def _texts(app: App, resolved: ResolvedCluster, snapshot: Snapshot, found: Plan) -> Texts:
    """What is in the files that the plan writes whole: read from the nodes where a look does not tell."""
    from hactl.core.facts import known

    there: dict[tuple[str, str], str | None] = {}
    wanted: dict[str, list[str]] = {}
    for step in found.steps:
        file, facts = file_of(step), known(snapshot.nodes.get(step.node))
        if file is None or file.part or facts is None:
            continue
        hook, seen = known(facts.hook), known(facts.files.get(file.path))
        if seen is not None and (seen.text is not None or not seen.exists):
            there[step.node, file.path] = seen.text
        elif hook is not None and file.path not in hook.files and seen is None:
            there[step.node, file.path] = None
        else:
            wanted.setdefault(step.node, []).append(file.path)
    return {**there, **await app.texts(resolved.targets, wanted)}


def _show(document: Document, found: Plan) -> None:
    spec = document.cluster.spec
    where = ", ".join(f"{group}: {node or 'nobody'}" for group, node in found.active.items())
    click.echo(click.style(f"{found.cluster}", bold=True) + f"  ({document.source}, mode {spec.mode}, generation "
               f"{found.generation})")  # fmt: skip
    click.echo(f"  active  {where}")
    count = len(found.steps)
    if not found.stages:
        click.echo("  nothing to do" if not found.holds else "  nothing to do now; what is held or waited for is below")
    else:
        stages = f"{len(found.stages)} stage{'s' if len(found.stages) != 1 else ''}"
        click.echo(f"  {count} step{'s' if count != 1 else ''} in {stages}, digest {found.digest}")


def _show_checks(found: Plan) -> None:
    """What each node tests itself, before and after each step."""
    for step in found.steps:
        click.echo(f"\n{step.key}")
        for check in step.before:
            click.echo(f"  before: {check.says}")
        for check in step.after:
            click.echo(f"  after:  {check.says} (within {check.within_seconds:.0f} s)")
