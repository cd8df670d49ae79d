"""The planner's behaviour as transcripts: every tests/scenarios/*.txt is played on the lab and must come out the same.

What a transcript is made of: README.md beside them. HACTL_UPDATE=1 writes what came out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.lab.transcript import WORDS, Player

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_comes_out_the_same(path: Path) -> None:
    """Played on the lab, each command and hold is as written."""
    before = path.read_text()
    after = Player().play(before)
    if os.environ.get("HACTL_UPDATE"):
        path.write_text(after)
    assert after == before


def test_there_are_transcripts() -> None:
    """The folder is not empty."""
    assert len(TRANSCRIPTS) >= 10


def test_the_readme_explains_every_word() -> None:
    """What a line may begin with: what the player knows and what README.md lists are the same."""
    listed = re.findall(r"^\| `([^`]+)` \| \S", (HERE / "README.md").read_text(), re.MULTILINE)
    literal = {" ".join(re.split(r" (?=[A-Z\[])", form)[0].split()) for form in listed}
    assert literal == set(WORDS)


@pytest.mark.parametrize("line", ["then server", "when explode nas-a", "operation", "plans"])
def test_a_line_that_no_transcript_has_is_refused(line: str) -> None:
    """A word that is spelled wrong is no line that says nothing."""
    with pytest.raises(AssertionError, match=r"no transcript has such a line|NODE: COMMAND"):
        Player().play(f"{line}\n")
