"""`hactl plan`: look at the nodes, show what would be done. Nothing is touched and nothing is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from hactl.cli.documents import files_option, load_all, selected
from hactl.cli.output import operation_line, output_option, plan_data, print_data, print_plan
from hactl.cli.record import state_path
from hactl.core.catalogue import HoldReason
from hactl.core.steps import Plan
from hactl.ports import Document


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@output_option("wide", "json", "yaml", "name")
@click.pass_context
def plan(ctx: click.Context, paths: tuple[str, ...], names: tuple[str, ...], form: str | None) -> int:
    """Show the exact commands, their order and risk, and what is held back and why. Read-only.

    Only the first stage is ever carried out before the nodes are looked at again; later stages are what is expected.
    Exit status: 0 nothing to do, 2 there are changes, 1 error: also when there is nothing to do as far as one can see,
    but a node gave no facts.
    """
    documents = selected(load_all(paths), names)
    plans = asyncio.run(_plans(ctx, documents))
    if form in ("json", "yaml"):
        print_data(form, [plan_data(found) for found in plans])
    elif form == "name":
        for found in plans:
            for step in found.steps:
                click.echo(f"{found.cluster} {step.key}")
    else:
        for document, found in zip(documents, plans, strict=True):
            _show(document, found, wide=form == "wide")
    if any(found.stages for found in plans):
        return 2
    return 1 if any(hold.reason is HoldReason.NODE_SILENT for found in plans for hold in found.holds) else 0


async def _plans(ctx: click.Context, documents: Sequence[Document]) -> list[Plan]:
    from hactl.app import likely_generations, opened, operations_in_force
    from hactl.core.kube.codec import operation_body
    from hactl.core.operations import overrides
    from hactl.runtime.passes.types import Accepted

    generations = await likely_generations(state_path(ctx), documents)
    async with opened(None) as app:
        looks = []
        for document in documents:
            name = document.cluster.name
            found = await operations_in_force(state_path(ctx), name)
            for each in found:
                if each.state == "Open":
                    click.echo(f"open: {operation_line(operation_body(each, ''))}", err=True)
            wanted = overrides(found, name, app.clock.now())
            looks.append(app.reconciler.look(Accepted(document, generations[name]), overrides=wanted))
        return [found for _, _, found in await asyncio.gather(*looks)]


def _show(document: Document, found: Plan, *, wide: bool) -> None:
    spec = document.cluster.spec
    where = ", ".join(f"{group}: {node or 'nobody'}" for group, node in found.active.items())
    click.echo(click.style(f"{found.cluster}", bold=True) + f"  ({document.source}, mode {spec.mode}, generation "
               f"{found.generation})")  # fmt: skip
    click.echo(f"  active  {where}")
    count = len(found.steps)
    if not found.stages:
        click.echo("  nothing to do" if not found.holds else "  nothing can be done now")
    else:
        stages = f"{len(found.stages)} stage{'s' if len(found.stages) != 1 else ''}"
        click.echo(f"  {count} step{'s' if count != 1 else ''} in {stages}, digest {found.digest}")
    print_plan(found)
    if wide:
        for step in found.steps:
            click.echo(f"\n{step.key}")
            for check in step.before:
                click.echo(f"  before: {check.says}")
            for check in step.after:
                click.echo(f"  after:  {check.says} (within {check.within_seconds:.0f} s)")
    click.echo("")
