"""`hactl explain`: what a field of the document means."""

from __future__ import annotations

import click


@click.command()
@click.argument("field", default="HACluster")
@click.option("--recursive", is_flag=True, help="Only the names and types of all fields below.")
def explain(field: str, recursive: bool) -> None:
    """Say what FIELD of the document means, e.g. HACluster.spec.groups."""
    from hactl.core.document.explain import explain as text

    click.echo(text(field, recursive=recursive).rstrip("\n"))
