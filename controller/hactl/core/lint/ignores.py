"""`# hactl:ignore CODE reason`: what a document silences, and what is wrong with that.

On the line of the finding, alone on a line above it, or before everything for the whole document. Several codes have
commas between them. A comment without a reason silences nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from hactl.core.document.problems import closest, shown
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Finding, Note, Subject

WORD = "hactl:ignore"
#: At the beginning of a comment, or behind the # that begins it anew.
_FORM = re.compile(rf"(?:.*#\s*)?{WORD}(?::?\s+([\w,-]+))?(?:\s+(.*))?")
_MEANT = re.compile(rf"(?:.*#\s*)?{WORD}.*")
_WRITE = f"write # {WORD} CODE reason"
_CODES = {str(code): code for code in Code}


@dataclass(frozen=True, slots=True)
class _Ignore:
    note: Note
    codes: tuple[Code, ...]


def silenced(subject: Subject, findings: Sequence[Finding], wanted: Collection[Code]) -> list[Finding]:
    """The findings of a document without those it silences, and with what is wrong with its comments.

    `wanted`: the codes that were looked for; a comment about another one cannot be said to silence nothing.
    """
    if not subject.notes:
        return list(findings)
    ignores, wrong = _read(subject)
    used: set[tuple[Note, Code]] = set()
    left = []
    for finding in findings:
        matching = [
            each.note for each in ignores if finding.code in each.codes and each.note.about in (0, finding.line)
        ]
        used |= {(note, finding.code) for note in matching}
        if not matching:
            left.append(finding)
    return left + [each for each in (*wrong, *_unused(subject, ignores, used, wanted)) if each.code in wanted]


def _read(subject: Subject) -> tuple[list[_Ignore], list[Finding]]:
    """The comments that can be followed, and what is wrong with the others."""
    ignores, wrong = [], []
    for note in subject.notes:
        found = _FORM.fullmatch(note.text)
        if found is None:
            if _MEANT.fullmatch(note.text):
                wrong.append(_about(subject, note, Code.IGNORE_UNKNOWN, "it cannot be read", _WRITE))
            continue
        words = [word for word in (found[1] or "").split(",") if word]
        codes = tuple(_CODES[word] for word in words if word in _CODES and _CODES[word].can_be_ignored)
        if not words:
            wrong.append(_about(subject, note, Code.IGNORE_UNKNOWN, "it names no code", _WRITE))
        wrong += [_about(subject, note, Code.IGNORE_UNKNOWN, *_unknown(word)) for word in words if word not in codes]
        if words and not (found[2] or "").strip():
            wrong.append(_about(subject, note, Code.IGNORE_NO_REASON, "it gives no reason and is not followed", _WRITE))
        elif codes:
            ignores.append(_Ignore(note, codes))
    return ignores, wrong


def _unknown(word: str) -> tuple[str, str]:
    """What is wrong with a code that cannot be ignored, and what would be right."""
    if word in _CODES:
        return f"{word} keeps the document from being loaded and cannot be ignored", "mend the document"
    meant = closest(word, [code for code in Code if code.can_be_ignored])
    return f"there is no code {shown(word)}", f"did you mean {meant}?" if meant else "hactl lint --list has all"


def _unused(
    subject: Subject, ignores: Sequence[_Ignore], used: set[tuple[Note, Code]], wanted: Collection[Code]
) -> Iterator[Finding]:
    for each in ignores:
        for code in each.codes:
            if (each.note, code) not in used and code in wanted:
                message = f"there is nothing to silence with {code} here"
                yield _about(subject, each.note, Code.IGNORE_UNUSED, message, "remove it")


def _about(subject: Subject, note: Note, code: Code, message: str, fix: str) -> Finding:
    return Finding(subject.file, note.line, note.column, code, "", message, fix)
