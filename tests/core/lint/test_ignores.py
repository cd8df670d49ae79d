"""`# hactl:ignore CODE reason`: where it counts, what it needs, and what is said of one that does nothing."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from hactl.adapters.yaml.comments import comments
from hactl.adapters.yaml.documents import read_documents
from hactl.core.lint.check import lint
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Note, Subject
from hactl.core.lint.ignores import WORD
from support.documents import NAS

#: Three findings without looking at files: NO_WITNESS on the line of `spec:`, SLOW_ADVBASE, SHORT_TIMEOUT.
TEXT = NAS.replace("advbase: 1", "advbase: 9").replace("replication: memsync", "timeoutSeconds: 5")
ALL = {"HL302 8", "HL109 32", "HL203 40"}


def found(text: str, wanted: Collection[Code] = frozenset(Code)) -> set[str]:
    """`CODE line` of each finding; the text is one file."""
    content = read_documents(text.encode(), source="nas.yaml", directory="/clusters", places=True)
    assert content.problems == ()
    subjects = [
        Subject(
            document.cluster,
            document.file,
            tree.at,
            notes=tuple(Note(each.line, each.column, each.text, each.about) for each in comments(tree, WORD)),
        )
        for document, tree in zip(content.documents, content.trees, strict=True)
    ]
    return {f"{each.code} {each.line}" for each in lint(subjects, wanted)}


def test_without_comments_everything_is_found() -> None:
    """The numbers of the other tests."""
    assert found(TEXT) == ALL


def test_on_the_line_of_the_finding() -> None:
    """Only that code and only that line."""
    assert found(TEXT.replace("advbase: 9", "advbase: 9 # hactl:ignore HL109 a slow site")) == ALL - {"HL109 32"}
    elsewhere = TEXT.replace("vhid: 80", "vhid: 80 # hactl:ignore HL109 a slow site")
    assert found(elsewhere) == ALL | {"HL903 29"}
    other = TEXT.replace("advbase: 9", "advbase: 9 # hactl:ignore HL110 a slow site")
    assert found(other) == ALL | {"HL903 32"}


def test_alone_above_the_line() -> None:
    """Several may stand above one line, other comments and blank lines between them."""
    above = "# hactl:ignore HL109 a slow site\n\n          # another comment\n          advbase: 9"
    assert found(TEXT.replace("advbase: 9", above)) == {"HL302 8", "HL203 43"}


def test_before_everything_it_is_for_the_whole_document() -> None:
    """On the first lines, before `---`, beside it, with several codes; another document of the file is left alone."""
    ignore = "# hactl:ignore HL109,HL203 a slow site\n"
    for start in (ignore, ignore + "---\n", "---\n" + ignore, "--- " + ignore, "# first\n" + ignore + "\n---\n"):
        lines = start.count("\n")
        assert found(start + TEXT) == {f"HL302 {8 + lines}"}, start
    second = NAS.replace("name: nas\n", "name: other\n").replace("advbase: 1", "advbase: 9")
    both = found(ignore + TEXT + "---\n" + second, {Code.SLOW_ADVBASE})
    assert both == {f"HL109 {1 + TEXT.count(chr(10)) + 1 + 32}"}


def test_a_reason_is_needed() -> None:
    """Without one it is not followed."""
    assert found(TEXT.replace("advbase: 9", "advbase: 9 # hactl:ignore HL109 ")) == ALL | {"HL901 32"}


@pytest.mark.parametrize("words", ["", "HL999 because", "hl109 because", "HA003 because"])
def test_a_code_that_cannot_be_ignored_is_said(words: str) -> None:
    """None, one that is not there, one in other letters, one that keeps a document from being loaded."""
    assert found(TEXT.replace("advbase: 9", f"advbase: 9 # hactl:ignore {words}")) == ALL | {"HL902 32"}


def test_what_was_not_looked_for_is_not_called_unused() -> None:
    """`--select` leaves the comments of other codes alone."""
    text = TEXT.replace("vhid: 80", "vhid: 80 # hactl:ignore HL109 a slow site")
    assert found(text, {Code.SHORT_TIMEOUT, Code.IGNORE_UNUSED}) == {"HL203 40"}
    assert found(text, {Code.SLOW_ADVBASE, Code.IGNORE_UNUSED}) == {"HL109 32", "HL903 29"}
    assert found(text, {Code.SLOW_ADVBASE}) == {"HL109 32"}


def test_a_text_is_no_comment() -> None:
    """Inside quotes and blocks a # begins nothing; behind a quoted text it does, and a # in a word does not."""
    quoted = '  annotations:\n    note: "a # hactl:ignore HL109 b"\n'
    block = "  annotations:\n    note: |\n      # hactl:ignore HL109 in a block\n"
    for text, lines in ((quoted, 2), (block, 3)):
        moved = {f"{code} {int(line) + lines}" for code, line in (each.split() for each in ALL)}
        assert found(TEXT.replace("  labels:\n", f"{text}  labels:\n")) == moved
    name = TEXT.replace("site: example", 'site: "a_b" # hactl:ignore HL109 not here')
    assert found(name) == ALL | {"HL903 7"}


def test_a_comment_that_is_meant_is_understood_or_said() -> None:
    """Behind another comment and with a colon; one that only mentions the word is none; anything else is told."""
    for words in ("# seconds # hactl:ignore HL109 a slow site", "# hactl:ignore: HL109 a slow site"):
        assert found(TEXT.replace("advbase: 9", f"advbase: 9 {words}")) == ALL - {"HL109 32"}
    assert found(TEXT.replace("advbase: 9", "advbase: 9 # as hactl:ignore HL109 would say")) == ALL
    for words in ("# hactl:ignore(HL109) a slow site", "# hactl:ignored HL109 a slow site"):
        assert found(TEXT.replace("advbase: 9", f"advbase: 9 {words}")) == ALL | {"HL902 32"}
