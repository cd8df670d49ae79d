"""docs/lint.md has a section for each code of `hactl lint`, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from hactl.core.lint.codes import Code

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lint.md").read_text()
_HEAD = re.compile(r'^### <a id="(\w+)"></a>(\w+) (\w+): (.*)$', re.MULTILINE)
#: Fewer explain nothing.
_WORDS = 10


def test_every_code_has_its_section_and_every_section_its_code() -> None:
    """In the order of the codes, with the severity and the sentence that `--list` prints."""
    assert [found.groups() for found in _HEAD.finditer(PAGE)] == [
        (str(code), str(code), str(code.severity), code.meaning) for code in Code
    ]


def test_a_section_explains() -> None:
    """It says why, and what is about FreeBSD names its source."""
    _, *parts = _HEAD.split(PAGE)
    for code, text in zip(parts[::5], parts[4::5], strict=True):
        body = text.partition("\n#")[0]
        assert len(body.split()) >= _WORDS, code
        if code in {"HL101", "HL102", "HL106", "HL109", "HL111", "HL202", "HL203", "HL205", "HL301", "HL601", "HL704"}:
            assert re.search(r"docs/[a-z-]+\.md#\d|[a-z]\(\d\)", body), code


def test_codes_are_two_letters_and_three_digits_in_order() -> None:
    """So that a beginning names a family, and the table reads as the page."""
    assert all(re.fullmatch(r"H[AL]\d{3}", code) for code in Code)
    assert sorted(Code) == list(Code)
