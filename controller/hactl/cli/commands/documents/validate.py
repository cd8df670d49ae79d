"""`hactl validate`: shape, meaning, and what documents refer to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from hactl.cli.documents import files_option, load
from hactl.cli.record import reading, state_path
from hactl.core.catalogue import HoldReason
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

#: What the last look may have found of nodes that no document can be right for.
_UNSUITABLE = (HoldReason.HASTD_NEVER_CONNECTS,)


@click.command()
@files_option
@click.option("--offline", is_flag=True, help="Do not look at the secrets and keys the documents refer to.")
@click.pass_context
def validate(ctx: click.Context, paths: tuple[str, ...], offline: bool) -> int:
    """Check documents: shape, meaning, and the secrets and keys they refer to.

    What the last look found of their nodes is warned of, where a record is at hand: no node is asked.

    Every problem is printed as file:line:column, field, what is wrong and what would be right, all at once.

    Exit status: 0 all documents are valid, 1 something is wrong.
    """
    from hactl.adapters.references import resolve_references

    state = load(paths)
    failed = bool(state.problems or state.down)
    if state.down:
        click.echo(f"hactl: {state.down}", err=True)
    for problem in state.problems:
        click.echo(str(problem), err=True)
    seen = _unsuitable(state_path(ctx))
    for document in state.documents.values():
        warnings: tuple[str, ...] = ()
        if not offline:
            try:
                warnings = tuple(resolve_references(document).warnings)
            except HactlError as error:
                click.echo(str(error), err=True)
                failed = True
                continue
        for warning in (*warnings, *seen.get(document.cluster.name, ())):
            click.echo(f"{document.source}: warning: {warning}", err=True)
        groups = ", ".join(group.name for group in document.cluster.spec.groups)
        nodes = ", ".join(node.name for node in document.cluster.spec.nodes)
        click.echo(f"{document.source}: HACluster {document.cluster.name} is valid (nodes {nodes}; groups {groups})")
    return 1 if failed else 0


def _unsuitable(record: Path) -> dict[str, list[str]]:
    """By cluster: what the record says of nodes that cannot do what a document wants of them."""
    if not record.exists():
        return {}

    async def holds() -> dict[str, list[str]]:
        async with reading(record) as store:
            return {
                row["cluster"]: [
                    f"as seen at {row['status']['observedAt']}: {hold['message']}; what helps: {hold['remedy']}"
                    for hold in row["status"].get("holds", ())
                    if hold["reason"] in _UNSUITABLE
                ]
                for row in await store.statuses()
            }

    try:
        return asyncio.run(holds())
    except HactlError as error:
        click.echo(f"hactl: what the last look found is not known: {error}", err=True)
        return {}
