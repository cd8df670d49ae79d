"""Findings as lines for people, as JSON, and as SARIF 2.1.0 (OASIS, what code hosts show beside the lines)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from hactl.core.lint.codes import Code, Severity
from hactl.core.lint.finding import Finding

#: The page of this project that has a section for each code, as SARIF wants it: absolute.
_PAGE = "https://hactl.dev/docs/lint.md"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def line_of(finding: Finding) -> str:
    """`file:line:column: CODE severity: field.path: sentence; fix`."""
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    path = f"{finding.path}: " if finding.path else ""
    return f"{place}: {finding.code} {finding.code.severity}: {path}{_sentence(finding)}"


def summary(findings: Sequence[Finding], documents: int) -> str:
    """`2 findings in 3 documents: 1 error, 1 warning`."""
    counts = [(severity, sum(each.code.severity is severity for each in findings)) for severity in Severity]
    parts = [
        f"{count} {severity}{'s' if count > 1 and severity != 'info' else ''}" for severity, count in counts if count
    ]
    total = f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"
    return f"{total} in {documents} document{'' if documents == 1 else 's'}{': ' if parts else ''}{', '.join(parts)}"


def as_data(finding: Finding) -> dict[str, Any]:
    """One object of `-o json`."""
    return {
        "code": str(finding.code),
        "severity": str(finding.code.severity),
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
        "message": finding.message,
        "fix": finding.fix,
        "help": f"docs/lint.md#{finding.code}",
    }


def sarif(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """The log of one run."""
    codes = list(Code)
    rules = [
        {
            "id": str(code),
            "name": "".join(word.capitalize() for word in code.name.split("_")),
            "shortDescription": {"text": code.meaning},
            "fullDescription": {"text": code.meaning},
            "help": {"text": f"Why, and what helps: section {code} of docs/lint.md."},
            "helpUri": f"{_PAGE}#{code}",
            "defaultConfiguration": {"level": _LEVELS[code.severity]},
        }
        for code in codes
    ]
    driver = {"name": "hactl lint", "version": version, "informationUri": _PAGE, "rules": rules}
    results = [_result(finding, codes.index(finding.code)) for finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding, index: int) -> dict[str, Any]:
    absolute = "file://" if finding.file.startswith("/") else ""
    place: dict[str, Any] = {"artifactLocation": {"uri": absolute + quote(finding.file)}}
    if finding.line:
        place["region"] = {"startLine": finding.line, "startColumn": finding.column}
    path = f"{finding.path}: " if finding.path else ""
    return {
        "ruleId": str(finding.code),
        "ruleIndex": index,
        "level": _LEVELS[finding.code.severity],
        "message": {"text": path + _sentence(finding)},
        "locations": [{"physicalLocation": place}],
    }


def _sentence(finding: Finding) -> str:
    return f"{finding.message}; {finding.fix}" if finding.fix else finding.message
