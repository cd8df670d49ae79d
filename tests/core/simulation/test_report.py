"""The table, the stories that are told, and Markdown: pure."""

from __future__ import annotations

from dataclasses import replace

from core.simulation.test_verdict import GOOD, NOBODY, PAIR, WANTED
from hactl.core.simulation.report import STORY_LINES, bad, comparison, markdown, row, serving, story, summary
from hactl.core.simulation.story import Line
from hactl.core.simulation.verdict import compare


def test_rows() -> None:
    """A row has the cells of the header; nothing is said of writes where nothing is written."""
    assert row(GOOD, WANTED) == ["power of nas-a", "nas-b", "4.0 s", "0", "40", "no", "met"]
    assert row(replace(NOBODY, acknowledged=None), None)[2:] == ["for good", "-", "-", "yes", "-"]
    assert row(PAIR, WANTED)[-1] == "-"


def test_who_serves() -> None:
    """One word where all groups are served alike."""
    assert serving(GOOD) == "nas-b"
    assert serving(replace(GOOD, serves={"a": ("x",), "b": ()})) == "a: x, b: nobody"
    assert serving(replace(GOOD, serves={"a": ("x", "y")})) == "x and y"


def test_what_one_fault_explains_is_told_once() -> None:
    """A pair is told only if it is bad in a way that none of its faults is alone."""
    same = replace(NOBODY, faults=("power of nas-a", "nas-b freezes"), weight=2)
    more = replace(same, lost=3)
    other = replace(NOBODY, faults=("nas-b freezes", "hastd of nas-a is killed"), weight=2)
    assert [result for result, _ in bad([GOOD, PAIR, same, NOBODY, other], None)] == [NOBODY, other]
    assert [result for result, _ in bad([NOBODY, more], None)] == [NOBODY, more]


def test_a_long_story_is_cut_in_the_middle() -> None:
    """The beginning and the end are shown."""
    lines = tuple(Line(float(n), f"line {n}") for n in range(40))
    shown = list(story(replace(NOBODY, lines=lines), ["bad"]))
    assert len(shown) == STORY_LINES + 3
    assert shown[1].endswith("line 0")
    assert shown[-1] == "             a person: SplitBrain: both copies were written"
    assert any(f"... {40 - STORY_LINES} lines" in line for line in shown)


def test_summary_and_comparison() -> None:
    """Sentences a person counts on."""
    assert summary([GOOD, PAIR], WANTED) == "2 stories, none of them bad; objectives met in all 1"
    assert summary([GOOD, NOBODY], WANTED) == "2 stories, 1 of them bad; objectives missed in 1 of 2"
    assert list(comparison(compare([NOBODY], [GOOD]))) == [
        "0 of 1 faults become worse, 1 better",
        "  better: power of nas-a: seconds without service for good -> 4; needs a person yes -> no",
    ]


def test_markdown() -> None:
    """A heading, what changed, the bad stories, and the table folded; a bar in a name breaks no table."""
    text = markdown("nas", [replace(GOOD, faults=("a|b",)), NOBODY], WANTED, compare([GOOD], [NOBODY]))
    assert text.startswith("### hactl simulate: nas\n\n2 stories, 1 of them bad")
    assert "**1 of 1 faults become worse, 0 better**" in text
    assert "| a\\|b | nas-b | 4.0 s |" in text
    assert "<details><summary>All 2 stories</summary>" in text
