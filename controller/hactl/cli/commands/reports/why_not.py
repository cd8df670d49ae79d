"""`hactl why-not`: what keeps a node from being active, MASTER or primary. Read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.api_client.client import CLUSTERS, Call, Client
from hactl.cli.api_client.connect import connected, elsewhere, server_options
from hactl.cli.forms.option import output_option
from hactl.cli.observe import Looked, document_option, explained, find, look
from hactl.cli.output import print_explanations
from hactl.cli.record import state_path
from hactl.errors import HactlError

if TYPE_CHECKING:
    from pathlib import Path

    from hactl.ports import Document


@click.command("why-not")
@click.argument("node")
@click.argument("what", type=click.Choice(["active", "master", "primary"]))
@document_option
@click.option("--cluster", metavar="CLUSTER", help="The cluster, when a node of that name is in several.")
@click.option("--group", metavar="GROUP", help="The group. Default: the first for which it is not so.")
@output_option("json", "yaml")
@server_options
@click.pass_context
def why_not(
    ctx: click.Context,
    node: str,
    what: str,
    paths: tuple[str, ...],
    cluster: str | None,
    group: str | None,
    form: str | None,
    server: str | None,
    context: str | None,
) -> int:
    """Explain why NODE is not active, not MASTER or not primary, and what would make it so.

    The nodes are asked now; a server elsewhere explains from its controller's last look. Nothing is touched. Exit
    status: 0 answered, 1 error.
    """
    if not paths and elsewhere(ctx, server, context):
        with connected(ctx, server=server, context=context) as client:
            found = cluster or _cluster_of(client, node)
            query = {"group": group or "", "node": node, "what": what}
            print_explanations(client.send(Call("GET", f"/clusters/{found}/why", query))["items"], form)
        return 0
    from hactl.core.why.answer import Question

    looked = asyncio.run(_look_for(state_path(ctx), paths, cluster, node))
    question = Question(group=group, node=node, what=_what(what))
    print_explanations([explained(looked, question)], form)
    return 0


def _what(word: str) -> Any:
    """click has checked it already."""
    return word


def _cluster_of(client: Client, node: str) -> str:
    """The one cluster that has a node of that name. Raises HactlError."""
    bodies = client.send(Call("GET", CLUSTERS))["items"]
    names = [one["metadata"]["name"] for one in bodies if node in (each["name"] for each in one["spec"]["nodes"])]
    if len(names) == 1:
        return str(names[0])
    if not names:
        raise HactlError(f"there is no node {node} on {client.where}")
    raise HactlError(f"{node} is in several clusters ({', '.join(names)}): say which with --cluster")


async def _look_for(record: Path, paths: Sequence[str], cluster: str | None, node: str) -> Looked:
    def wanted(document: Document) -> bool:
        names = [spec.name for spec in document.cluster.spec.nodes]
        return node in names and cluster in (None, document.cluster.name)

    found = await find(record, paths, wanted)
    if not found:
        where = f"cluster {cluster}" if cluster else (", ".join(paths) if paths else "the record")
        raise HactlError(f"there is no node {node} in {where}")
    if len(found) > 1:
        names = ", ".join(one.document.cluster.name for one in found)
        raise HactlError(f"{node} is in several clusters ({names}): say which with --cluster")
    return await look(found[0], paths)
