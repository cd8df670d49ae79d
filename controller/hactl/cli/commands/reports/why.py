"""`hactl why`: look at the nodes and say what explains how a cluster is. Read-only."""

from __future__ import annotations

import click

from hactl.cli.forms.option import output_option
from hactl.cli.observe import document_option, explained, look_at, record_of
from hactl.cli.output import print_explanations


@click.command()
@click.argument("cluster")
@click.argument("group", required=False)
@document_option
@output_option("json", "yaml")
@click.pass_context
def why(ctx: click.Context, cluster: str, group: str | None, paths: tuple[str, ...], form: str | None) -> int:
    """Explain why a cluster (or one GROUP of it) is as it is: few facts, CARP's arithmetic, the remedy.

    The nodes are asked now; nothing is touched. Exit status: 0 all is well, 3 something is not, 1 error.
    """
    from hactl.core.why.answer import Question

    looked = look_at(record_of(ctx, paths), cluster, paths)
    names = [group] if group is not None else [one.name for one in looked.cluster.groups]
    answers = [explained(looked, Question(group=name)) for name in names]
    print_explanations(cluster, answers, form)
    return 0 if all(answer.healthy for answer in answers) else 3
