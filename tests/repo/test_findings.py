"""docs/api-findings.md has a line for each finding of the strangers, and the tests it names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api-findings.md").read_text()
#: The findings in the order of the page.
FINDINGS = ["C1", "C2", *(f"M{number}" for number in range(1, 11)), *(f"m{number}" for number in range(1, 21))]
_ROW = re.compile(r"^\| ([CMm]\d+) \| (.*) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
#: Files of the checkout that are not in the wheel.
_NOT_SHIPPED = re.compile(r"(?:state|docs|crds|manifests|tests)/[\w.-]+\.md|(?<!/)\b(?:README|ARCHITECTURE)\.md")


def test_every_finding_has_a_line_with_what_happens_now_and_its_tests() -> None:
    """In their order, each once; no cell is empty, and the last one is nothing but tests."""
    rows = _ROW.findall(PAGE)
    assert [number for number, _ in rows] == FINDINGS
    for number, text in rows:
        kind, now, tests = text.split(" | ")
        assert all(len(cell.split()) > 1 for cell in (kind, now)), number
        assert _TEST.findall(tests), number
        assert not _TEST.sub("", tests).strip(), number


def test_what_is_named_is_a_test() -> None:
    """Of that file; a test that is renamed is renamed there too."""
    named = set(_TEST.findall(PAGE))
    there = {
        (file, name)
        for file in {file for file, _ in named}
        for name in re.findall(r"def (test_\w+)\(", (ROOT / file).read_text())
    }
    assert named - there == set()


def test_no_message_names_a_file_that_the_wheel_has_not() -> None:
    """Who installed hactl has no checkout: what a person reads names a command, or says it itself.

    Comments and docstrings may; the generated files say where they come from to who has them.
    """
    found = []
    for path in sorted((ROOT / "controller").rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.partition("#")[0]
            if _NOT_SHIPPED.search(code) and re.search(r"raise |Error\(|echo\(|log\.\w+\(|fix=|message", code):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []
