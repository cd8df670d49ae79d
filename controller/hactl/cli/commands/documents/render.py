"""`hactl render`: the files of the node hook and of the base system, as they would stand on a node."""

from __future__ import annotations

import click

from hactl.cli.documents import files_option, load_all
from hactl.errors import HactlError


@click.command()
@click.argument("node")
@files_option
@click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
@click.option(
    "--system", is_flag=True,
    help="In their place hast.conf, and the lines of rc.conf, rc.conf.d/netif and sysctl.conf.",
)  # fmt: skip
@click.option("--gate", is_flag=True, help="In their place the gate, for a key that only looks (hactl node-access).")
def render(node: str, paths: tuple[str, ...], cluster: str | None, system: bool, gate: bool) -> int:
    """Print what hactl installs on NODE so that it fails over by itself: the hook, its devd rule, its rc.d scripts.

    With --system: what it writes into files of the base system, on a node that has nothing of it yet. CARP passwords
    are never printed; a shell variable stands for each.

    Exit status: 0 printed, 1 error.
    """
    from hactl.core.adopt.system_files import rendered_system
    from hactl.core.cluster import Cluster
    from hactl.core.gate.render import gate_text
    from hactl.core.hook.render import rendered

    if system and gate:
        raise click.UsageError("say --system or --gate")
    found = [
        document
        for document in load_all(paths)
        if cluster in (None, document.cluster.name) and node in [each.name for each in document.cluster.spec.nodes]
    ]
    if len(found) != 1:
        names = ", ".join(document.cluster.name for document in found)
        raise HactlError(f"{node} is in {names}: say --cluster" if found else f"there is no node {node} in these files")
    wanted = Cluster(found[0].cluster, 0)
    text = gate_text(wanted, node) if gate else rendered_system(wanted, node) if system else rendered(wanted, node)
    if not text and not system:
        click.echo(f"{node} needs no hook: none of its groups has anything but addresses", err=True)
    click.echo(text, nl=not text or not text.endswith("\n"))
    return 0
