"""`hactl why` and `hactl why-not`: look at the nodes and say what explains it. Read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.observe import Looked, document_option, find, look, look_at
from hactl.cli.output import age, output_option, print_data, safe
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.core.why.answer import Explanation, Question
    from hactl.ports import Document


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

    looked = asyncio.run(look_at(ctx, paths, cluster))
    names = [group] if group is not None else [one.name for one in looked.cluster.groups]
    answers = [_answer(looked, Question(group=name)) for name in names]
    _print(looked, answers, form)
    return 0 if all(answer.healthy for answer in answers) else 3


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

    looked = asyncio.run(_look_for(ctx, paths, cluster, node))
    question = Question(group=group, node=node, what=_what(what))
    _print(looked, [_answer(looked, question)], form)
    return 0


def _what(word: str) -> Any:
    """click has checked it already."""
    return word


async def _look_for(ctx: click.Context, paths: Sequence[str], cluster: str | None, node: str) -> Looked:
    def wanted(document: Document) -> bool:
        names = [spec.name for spec in document.cluster.spec.nodes]
        return node in names and cluster in (None, document.cluster.name)

    found = await find(ctx, paths, wanted)
    if not found:
        where = f"cluster {cluster}" if cluster else (", ".join(paths) if paths else "the record")
        raise HactlError(f"there is no node {node} in {where}")
    if len(found) > 1:
        names = ", ".join(one.document.cluster.name for one in found)
        raise HactlError(f"{node} is in several clusters ({names}): say which with --cluster")
    return await look(found[0], paths)


def _answer(looked: Looked, question: Question) -> Explanation:
    from hactl.core.evidence.view import View
    from hactl.core.why.ask import explain
    from hactl.core.why.fights import fights
    from hactl.core.why.subject import Background

    view = View.at(looked.cluster, looked.snapshot, looked.now)
    background = Background(before=looked.before, fights=fights(looked.rows), source=looked.source)
    try:
        return explain(view, looked.plan, question, background)
    except KeyError as error:
        groups = ", ".join(group.name for group in looked.cluster.groups)
        raise HactlError(f"{looked.cluster.name} has no group {question.group}; it has {groups}") from error


def _print(looked: Looked, answers: Sequence[Explanation], form: str | None) -> None:
    if form in ("json", "yaml"):
        print_data(form, [explanation_data(looked.cluster.name, answer) for answer in answers])
        return
    for number, answer in enumerate(answers):
        if number:
            click.echo("")
        for line in explanation_lines(answer):
            click.echo(line)


def explanation_lines(answer: Explanation) -> list[str]:
    """For people: the headline, the facts with node and age, what helps, what else there is."""
    lines = [click.style(safe(answer.headline), bold=True)]
    for fact in answer.facts:
        where = f"{fact.node}, {age(fact.age_seconds)} ago" if fact.age_seconds is not None else fact.node or ""
        lines.append(f"  {f'{where}: ' if where else ''}{safe(fact.text)}")
    mark = "to change it:" if answer.healthy else "what helps:"
    lines += [f"  {click.style(mark, dim=True)} {safe(remedy.line)}" for remedy in answer.remedies]
    lines += [f"  {click.style('also:', dim=True)} {safe(line)}" for line in answer.also]
    return lines


def explanation_data(cluster: str, answer: Explanation) -> dict[str, Any]:
    """For `-o json`."""
    return {
        "cluster": cluster,
        "cause": answer.cause,
        "healthy": answer.healthy,
        "headline": answer.headline,
        "facts": [{"node": fact.node, "ageSeconds": fact.age_seconds, "text": fact.text} for fact in answer.facts],
        "remedies": [{"node": r.node, "command": r.command, "note": r.note} for r in answer.remedies],
        "also": list(answer.also),
    }
