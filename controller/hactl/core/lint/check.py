"""All rules over all documents: what `hactl lint` finds, in the order of the files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from hactl.core.document.problems import Fault, Problem, path_text
from hactl.core.lint import carp, failover, fleet, groups, hast, nodes
from hactl.core.lint.codes import OF_STAGE, Code
from hactl.core.lint.finding import Finding, Rule, Subject
from hactl.core.lint.ignores import silenced

#: The rules over one document, in the order of their codes.
RULES: tuple[tuple[Code, Rule], ...] = (*carp.RULES, *hast.RULES, *failover.RULES, *groups.RULES, *nodes.RULES)


def lint(subjects: Sequence[Subject], wanted: Collection[Code] = frozenset(Code)) -> list[Finding]:
    """Everything that is found with these codes, in the order of files and lines."""
    found: list[list[tuple[Code, Fault]]] = [
        [*((code, fault) for code, rule in RULES if code in wanted for fault in rule(subject.cluster)),
         *((code, fault) for code, fault in subject.references if code in wanted)]
        for subject in subjects
    ]  # fmt: skip
    for code, across in fleet.RULES:
        for number, fault in across(subjects) if code in wanted else ():
            found[number].append((code, fault))
    return sorted(
        finding
        for subject, faults in zip(subjects, found, strict=True)
        for finding in silenced(subject, _placed(subject, faults), wanted)
    )


def of_problems(problems: Iterable[Problem]) -> list[Finding]:
    """What keeps documents from being loaded, as findings."""
    return [
        Finding(each.source, each.line, each.column, OF_STAGE[each.stage], each.path, each.message, each.fix)
        for each in problems
    ]


def _placed(subject: Subject, faults: Iterable[tuple[Code, Fault]]) -> list[Finding]:
    findings = []
    for code, fault in faults:
        line, column = subject.at(fault.path, key=fault.at_key)
        findings.append(Finding(subject.file, line, column, code, path_text(fault.path), fault.text, fault.fix))
    return findings
