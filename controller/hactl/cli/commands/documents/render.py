"""`hactl render`: the files of the node hook, as they would stand on a node."""

from __future__ import annotations

import click

from hactl.cli.documents import files_option, load_all
from hactl.errors import HactlError


@click.command()
@click.argument("node")
@files_option
@click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
def render(node: str, paths: tuple[str, ...], cluster: str | None) -> int:
    """Print what hactl installs on NODE so that it fails over by itself: the hook, its devd rule, its rc.d scripts.

    Exit status: 0 printed, 1 error.
    """
    from hactl.core.cluster import Cluster
    from hactl.core.hook.render import rendered

    found = [
        document
        for document in load_all(paths)
        if cluster in (None, document.cluster.name) and node in [each.name for each in document.cluster.spec.nodes]
    ]
    if len(found) != 1:
        names = ", ".join(document.cluster.name for document in found)
        raise HactlError(f"{node} is in {names}: say --cluster" if found else f"there is no node {node} in these files")
    text = rendered(Cluster(found[0].cluster, 0), node)
    if not text:
        click.echo(f"{node} needs no hook: none of its groups has anything but addresses", err=True)
    click.echo(text, nl=not text or not text.endswith("\n"))
    return 0
