"""`hactl lint`: what `validate` finds in documents, and what only experience finds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hactl.core.lint.codes import Code
    from hactl.core.lint.finding import Finding


@click.command()
@click.option(
    "-f", "--filename", "paths", multiple=True, metavar="PATH",
    help="A document, a directory of documents, or - for standard input. May be given several times.",
)  # fmt: skip
@click.option(
    "-o", "--output", "form", type=click.Choice(["text", "json", "sarif"]), default="text", help="How to show it."
)
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "info"]), default="warning", show_default=True,
    help="The mildest severity that makes the exit status 1.",
)  # fmt: skip
@click.option("--select", multiple=True, metavar="CODE", help="Only these codes; HL1 is all that begin so.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Not these codes.")
@click.option("--offline", is_flag=True, help="Do not look at the secrets and keys the documents refer to.")
@click.option("--list", "show_codes", is_flag=True, help="Print every code, its severity and what it says.")
def lint(
    paths: tuple[str, ...],
    form: str,
    fail_on: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    offline: bool,
    show_codes: bool,
) -> int:
    """Find what works and is likely to go wrong: in documents alone, no node is asked.

    Documents that are given together are compared with each other. Every finding has a code, which docs/lint.md
    explains. A comment silences one, on its line or alone above it; before everything, in the whole document:

    \b
      # hactl:ignore HL302 both nodes hang on one switch

    Exit status: 0 nothing as bad as --fail-on, 1 findings.
    """
    from hactl.core.lint.codes import Code, Severity

    if show_codes:
        _show_codes()
        return 0
    if not paths:
        raise click.UsageError("name documents with -f, or ask for --list")
    wanted = frozenset(Code) & (_named(select) if select else frozenset(Code)) - _named(ignore)
    findings, documents = _found(paths, wanted, offline=offline)
    _show(findings, documents, form)
    limit = Severity(fail_on).rank
    return 1 if any(each.code.severity.rank <= limit for each in findings) else 0


def _named(words: tuple[str, ...]) -> frozenset[Code]:
    """The codes that options name; a beginning such as HL1 names all that begin so."""
    from hactl.core.lint.codes import Code

    named: set[Code] = set()
    for word in (part for each in words for part in each.split(",")):
        found = {code for code in Code if word and code.startswith(word)}
        if not found:
            raise click.UsageError(f"there is no code {word}; hactl lint --list has all")
        if not any(code.can_be_ignored for code in found):
            raise click.UsageError(f"{word} keeps a document from being loaded; it is always shown")
        named |= found
    return frozenset(named)


def _found(paths: tuple[str, ...], wanted: frozenset[Code], *, offline: bool) -> tuple[list[Finding], int]:
    """What is found in these files, and how many documents could be read."""
    from hactl.adapters.references import reference_faults
    from hactl.adapters.sources.files import load_with_places
    from hactl.adapters.yaml.comments import comments
    from hactl.core.lint.check import lint as find
    from hactl.core.lint.check import of_problems
    from hactl.core.lint.finding import Note, Subject
    from hactl.core.lint.ignores import WORD

    state, trees = load_with_places(list(paths), stdin=sys.stdin.buffer)
    subjects = []
    for name, document in state.documents.items():
        tree = trees[name]
        notes = tuple(Note(each.line, each.column, each.text, each.about) for each in comments(tree, WORD))
        references = () if offline else reference_faults(document)
        subjects.append(Subject(document.cluster, document.file, tree.at, document.directory, notes, references))
    return sorted([*of_problems(state.problems), *find(subjects, wanted)]), len(subjects)


def _show(findings: list[Finding], documents: int, form: str) -> None:
    """On standard output; the number of findings beside it."""
    from hactl import __version__
    from hactl.cli.output import print_data
    from hactl.core.lint.report import as_data, line_of, sarif, summary

    if form == "json":
        print_data("json", [as_data(each) for each in findings])
    elif form == "sarif":
        print_data("json", sarif(findings, __version__))
    else:
        for each in findings:
            click.echo(line_of(each))
        click.echo(summary(findings, documents), err=True)


def _show_codes() -> None:
    from hactl.cli.output import table
    from hactl.core.lint.codes import Code

    rows = [[str(code), str(code.severity), code.meaning] for code in Code]
    click.echo(table(rows, ["CODE", "SEVERITY", "MEANING"]))
