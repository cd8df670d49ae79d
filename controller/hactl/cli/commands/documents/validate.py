"""`hactl validate` and `hactl explain`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from hactl.cli.output import files_option
from hactl.errors import DocumentError, HactlError
from hactl.ports import Document, SourceState


def load(paths: Sequence[str]) -> SourceState:
    """What the files of a command line hold."""
    from hactl.adapters.sources.files import load_files

    return load_files(list(paths), stdin=sys.stdin.buffer)


def load_all(paths: Sequence[str]) -> tuple[Document, ...]:
    """Every document, or every problem: a command that acts wants all of them right. Raises DocumentError."""
    state = load(paths)
    if state.problems or state.down:
        raise DocumentError(state.problems) if state.problems else HactlError(str(state.down))
    return tuple(state.documents.values())


def selected(documents: Sequence[Document], names: Sequence[str]) -> list[Document]:
    """The documents of these clusters, or all. Raises HactlError for a name that is not there."""
    known = {document.cluster.name: document for document in documents}
    missing = [name for name in names if name not in known]
    if missing:
        files = [name for name in missing if Path(name).exists()]
        hint = f"; for another file say -f {files[0]}, or -f and its directory" if files else ""
        raise HactlError(f"there is no cluster {', '.join(missing)} in these files, only {', '.join(known)}{hint}")
    return [known[name] for name in names] if names else list(documents)


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


@click.command()
@click.argument("field", default="HACluster")
@click.option("--recursive", is_flag=True, help="Only the names and types of all fields below.")
def explain(field: str, recursive: bool) -> None:
    """Say what FIELD of the document means, e.g. HACluster.spec.groups."""
    from hactl.core.document.explain import explain as text

    click.echo(text(field, recursive=recursive).rstrip("\n"))
