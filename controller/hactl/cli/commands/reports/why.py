"""`hactl why`: what explains how a cluster is: the nodes are looked at, or a server tells what it saw. Read-only."""

from __future__ import annotations

import click

from hactl.cli.api_client.client import Call
from hactl.cli.api_client.connect import connected, elsewhere, server_options
from hactl.cli.forms.option import output_option
from hactl.cli.observe import document_option, explained, look_at
from hactl.cli.output import print_explanations
from hactl.cli.record import state_path


@click.command()
@click.argument("cluster")
@click.argument("group", required=False)
@document_option
@output_option("json", "yaml")
@server_options
@click.pass_context
def why(
    ctx: click.Context,
    cluster: str,
    group: str | None,
    paths: tuple[str, ...],
    form: str | None,
    server: str | None,
    context: str | None,
) -> int:
    """Explain why a cluster (or one GROUP of it) is as it is: few facts, CARP's arithmetic, the remedy.

    The nodes are asked now; a server elsewhere explains from its controller's last look, and each fact says how old it
    is. Nothing is touched. Exit status: 0 all is well, 3 something is not, 1 error.
    """
    if not paths and elsewhere(ctx, server, context):
        with connected(ctx, server=server, context=context) as client:
            query = {"group": group} if group else {}
            answers = client.send(Call("GET", f"/clusters/{cluster}/why", query))["items"]
    else:
        from hactl.core.why.answer import Question

        looked = look_at(state_path(ctx), cluster, paths)
        names = [group] if group is not None else [one.name for one in looked.cluster.groups]
        answers = [explained(looked, Question(group=name)) for name in names]
    print_explanations(answers, form)
    return 0 if all(answer["healthy"] for answer in answers) else 3
