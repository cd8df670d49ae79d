"""`hactl validate`: shape, meaning, and what documents refer to."""

from __future__ import annotations

import click

from hactl.cli.documents import files_option, load
from hactl.errors import HactlError


@click.command()
@files_option
@click.option("--offline", is_flag=True, help="Do not look at the secrets and keys the documents refer to.")
def validate(paths: tuple[str, ...], offline: bool) -> int:
    """Check documents: shape, meaning, and the secrets and keys they refer to.

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
    for document in state.documents.values():
        warnings: tuple[str, ...] = ()
        if not offline:
            try:
                warnings = tuple(resolve_references(document).warnings)
            except HactlError as error:
                click.echo(str(error), err=True)
                failed = True
                continue
        for warning in warnings:
            click.echo(f"{document.source}: warning: {warning}", err=True)
        groups = ", ".join(group.name for group in document.cluster.spec.groups)
        nodes = ", ".join(node.name for node in document.cluster.spec.nodes)
        click.echo(f"{document.source}: HACluster {document.cluster.name} is valid (nodes {nodes}; groups {groups})")
    return 1 if failed else 0
