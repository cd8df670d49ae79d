"""docs/security.md cites tests by name, and a test stands behind each line that promises something."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_it_names_exists() -> None:
    """By its whole name."""
    cited = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(cited) > 20
    there: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^\s*(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE))
    assert cited - there == set()


def test_every_party_has_a_promise_that_is_tested() -> None:
    """Each section from the third on names at least one test."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[3:]
    assert len(sections) == 5
    assert [section.splitlines()[0] for section in sections if "`test_" not in section] == []
