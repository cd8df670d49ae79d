"""What comments and docstrings cite exists: sections of docs/, invariants, recordings and their steps.

One form: `docs/freebsd-facts.md#2.6`, `docs/safety.md#evidence`, further anchors of the same file as `#2.7` or
`#trap-19`; an invariant is its number, a recording `recording 03` with `step 29` where one is meant.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = {path.name[:2]: path for path in (ROOT / "tests" / "recordings").glob("*.json")}
_SUFFIXES = (".md", ".py", ".sh", ".sql", ".toml", ".txt", ".yaml")
_NUMBERS = r"\d+(?:(?:, | and | or | to )\d+)*"
_DOCUMENT = re.compile(r"docs/([\w-]+\.md)(?:#([\w.-]*\w))?")
_ANCHOR = re.compile(r"(?<![\w.)/])#(\d+\.\d+|trap-\d+|I\d+)\b")
_RECORDING = re.compile(rf"\b[Rr]ecordings? ({_NUMBERS})(?:, steps? ({_NUMBERS}))?|[Ss]tep (\d+) of recording (\d+)")
_INVARIANT = re.compile(r"(?<![\w#])I(\d{1,2})(?: to I(\d{1,2}))?\b")
#: How they were cited when the documents did not belong to the project.
_STRAY = re.compile(r"\bFACTS\b|(?<!docs/)\bsafety\.md|\b[Tt]raps? \d|\brecorded in \d")


def _texts() -> Iterator[tuple[str, str]]:
    """Every text of the project, its comments and docstrings unwrapped; not this file."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in _SUFFIXES and path.is_file() and path != Path(__file__) and not name.startswith("crds/"):
            yield name, re.sub(r"\n[ \t]*(?:#:? )?(?=\S)", " ", path.read_text())


TEXTS = dict(_texts())


def _anchors(document: str) -> set[str]:
    return set(re.findall(r'<a id="([^"]+)">', (ROOT / "docs" / document).read_text()))


@pytest.fixture(scope="module")
def anchors() -> dict[str, set[str]]:
    return {path.name: _anchors(path.name) for path in (ROOT / "docs").glob("*.md")}


def _numbers(text: str) -> list[int]:
    """`03, 05 and 07` are three, `12 to 14` too."""
    found = []
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return found


def test_a_cited_section_exists(anchors: dict[str, set[str]]) -> None:
    """A file of docs/ with or without an anchor, and anchors that follow one."""
    cited = [(name, *found) for name, text in TEXTS.items() for found in _DOCUMENT.findall(text)]
    wrong = [
        f"{name}: docs/{document}#{anchor}"
        for name, document, anchor in cited
        if anchor not in {*anchors.get(document, ()), *([""] if document in anchors else [])}
    ]
    anywhere = set.union(*anchors.values())
    wrong += [f"{name}: #{found}" for name, text in TEXTS.items() for found in _ANCHOR.findall(text)
              if found not in anywhere]  # fmt: skip
    assert not wrong, "\n".join(wrong)
    assert len(cited) > 150


def test_a_cited_invariant_exists(anchors: dict[str, set[str]]) -> None:
    """I1 to I11 stand in docs/safety.md."""
    cited = {(name, f"I{number}") for name, text in TEXTS.items() for pair in _INVARIANT.findall(text)
             for number in pair if number}  # fmt: skip
    assert len(cited) > 50
    assert not [found for found in cited if found[1] not in anchors["safety.md"]]


def test_a_cited_recording_has_that_step() -> None:
    """Steps are counted from 0, with the notes."""
    steps = {int(number): len(json.loads(path.read_text())["steps"]) for number, path in RECORDINGS.items()}
    cited = 0
    for name, text in TEXTS.items():
        for found in _RECORDING.finditer(text):
            recordings = _numbers(found[1] or found[4])
            assert set(recordings) <= set(steps), f"{name}: {found[0]}"
            for step in _numbers(found[2] or found[3] or ""):
                assert step < max(steps[recording] for recording in recordings), f"{name}: {found[0]}"
            cited += len(recordings)
    assert cited > 100


def test_nothing_is_cited_in_another_way() -> None:
    """One form, so that everything is found."""
    stray = [f"{name}: {text[found.start() - 20 : found.end() + 20]}" for name, text in TEXTS.items()
             for found in _STRAY.finditer(text)]  # fmt: skip
    assert not stray, "\n".join(stray)


def test_anchors_are_said_once() -> None:
    """An anchor is one place; every recording is listed in the facts."""
    for path in (ROOT / "docs").glob("*.md"):
        found = re.findall(r'<a id="([^"]+)">', path.read_text())
        assert len(found) == len(set(found)), path.name
    facts = (ROOT / "docs" / "freebsd-facts.md").read_text()
    assert all(path.stem in facts for path in RECORDINGS.values())
