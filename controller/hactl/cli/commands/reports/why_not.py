"""`hactl why-not`: what keeps a node from being active, MASTER or primary. Read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.forms.option import output_option
from hactl.cli.observe import Looked, document_option, explained, find, look, record_of
from hactl.cli.output import print_explanations
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
@click.pass_context
def why_not(
    ctx: click.Context,
    node: str,
    what: str,
    paths: tuple[str, ...],
    cluster: str | None,
    group: str | None,
    form: str | None,
) -> int:
    """Explain why NODE is not active, not MASTER or not primary, and what would make it so.

    The nodes are asked now; nothing is touched. Exit status: 0 answered, 1 error.
    """
    from hactl.core.why.answer import Question

    looked = asyncio.run(_look_for(record_of(ctx, paths), paths, cluster, node))
    question = Question(group=group, node=node, what=_what(what))
    print_explanations(looked.cluster.name, [explained(looked, question)], form)
    return 0


def _what(word: str) -> Any:
    """click has checked it already."""
    return word


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
