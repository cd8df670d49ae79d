"""Findings as lines, JSON and SARIF."""

from __future__ import annotations

import json
import re

from hactl.core.lint.check import of_problems
from hactl.core.lint.codes import Code, Severity
from hactl.core.lint.finding import Finding
from hactl.core.lint.report import as_data, line_of, sarif, summary
from support.documents import NAS, read

SLOW = Finding("a b/nas.yaml", 32, 20, Code.SLOW_ADVBASE, "spec.groups[0]", "it is slow", "write 1")
WHOLE = Finding("/etc/nas.yaml", 0, 0, Code.UNREADABLE, "", "cannot be read")
NOTE = Finding("nas.yaml", 3, 1, Code.OBSERVE, "spec.mode", "nothing is repaired")


def test_a_finding_is_one_line() -> None:
    """file:line:column: CODE severity: field: sentence; fix; what is not known is left out."""
    assert line_of(SLOW) == "a b/nas.yaml:32:20: HL109 warning: spec.groups[0]: it is slow; write 1"
    assert line_of(WHOLE) == "/etc/nas.yaml: HA001 error: cannot be read"


def test_findings_are_in_the_order_of_their_lines() -> None:
    """By file, line, column, code."""
    assert sorted([NOTE, SLOW, WHOLE]) == [WHOLE, SLOW, NOTE]
    assert sorted([SLOW, Finding("a b/nas.yaml", 4, 1, Code.OBSERVE, "", "")])[1] is SLOW


def test_the_summary_counts() -> None:
    """By severity, in numbers of English."""
    assert summary([SLOW, SLOW, WHOLE, NOTE], 3) == "4 findings in 3 documents: 1 error, 2 warnings, 1 info"
    assert summary([], 1) == "no findings in 1 document"
    assert summary([NOTE], 2) == "1 finding in 2 documents: 1 info"


def test_json_has_everything_by_name() -> None:
    """One flat object, with the section of the page."""
    assert as_data(SLOW) == {
        "code": "HL109",
        "severity": "warning",
        "file": "a b/nas.yaml",
        "line": 32,
        "column": 20,
        "path": "spec.groups[0]",
        "message": "it is slow",
        "fix": "write 1",
        "help": "docs/lint.md#HL109",
    }


def test_sarif_has_what_the_standard_wants() -> None:
    """SARIF 2.1.0: the required properties (3.13, 3.14, 3.18, 3.19, 3.27, 3.49), levels, places as URIs."""
    log = json.loads(json.dumps(sarif([WHOLE, SLOW, NOTE], "1.2.3")))
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("hactl lint", "1.2.3")
    rules = driver["rules"]
    assert [rule["id"] for rule in rules] == [str(code) for code in Code]
    for rule in rules:
        assert re.fullmatch(rf"https://\S+/docs/lint\.md#{rule['id']}", rule["helpUri"])
        assert re.fullmatch(r"([A-Z][a-z]*)+", rule["name"])
        assert rule["shortDescription"]["text"].endswith(".")
        # What code hosts want besides.
        assert rule["fullDescription"]["text"]
        assert rule["id"] in rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert len({rule["name"] for rule in rules}) == len(rules)
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert result["ruleId"] == rule["id"]
        assert result["level"] == rule["defaultConfiguration"]["level"]
        assert result["message"]["text"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert places == [
        {"artifactLocation": {"uri": "file:///etc/nas.yaml"}},
        {"artifactLocation": {"uri": "a%20b/nas.yaml"}, "region": {"startLine": 32, "startColumn": 20}},
        {"artifactLocation": {"uri": "nas.yaml"}, "region": {"startLine": 3, "startColumn": 1}},
    ]


def test_what_validate_finds_has_a_code_for_how_far_it_got() -> None:
    """Text, shape, meaning; with the place and the words of `hactl validate`."""
    for text, code in (
        ("a: [1", Code.UNREADABLE),
        (NAS.replace("vhid: 80", "vhid: 800"), Code.SHAPE),
        (NAS.replace("nas-b: 198.51.100.12", "nas-b: 192.0.2.80"), Code.MEANING),
    ):
        problems = read(text).problems
        findings = of_problems(problems)
        assert [each.code for each in findings] == [code]
        assert [line_of(each).replace(f"{code} error: ", "") for each in findings] == [str(each) for each in problems]


def test_severities_have_an_order() -> None:
    """What --fail-on compares."""
    assert Severity.ERROR.rank < Severity.WARNING.rank < Severity.INFO.rank
