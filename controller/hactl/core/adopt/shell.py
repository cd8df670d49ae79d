"""rc.conf(5) as text: its assignments with their lines, read without running any of it.

Forgiving: what sh(1) would refuse, or would only know by running it, is a finding, and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hactl.core.adopt.finding import Finding, Place, note

_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)(\+?)=", re.ASCII)
_SYSCTL = re.compile(r"[a-z]+(?:\.[a-z0-9_]+)+\s*=", re.ASCII)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})", re.ASCII)
#: A text in quotes that ends where the next one should begin: its own quote was forgotten.
_NEXT_ASSIGNMENT = re.compile(r"\n[ \t]*[A-Za-z_][A-Za-z0-9_]*\+?=\Z", re.ASCII)
_ENDS_A_COMMAND = " \t;\n&|"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a variable is set to last, and where that begins."""

    name: str
    value: str
    place: Place


def read_assignments(
    file: str, text: str, before: Mapping[str, Assignment]
) -> tuple[dict[str, Assignment], list[Finding]]:
    """The variables after this file; `before`: those of the files that rc(8) reads first."""
    reader = _Reader(file, text.replace("\r\n", "\n"), dict(before))
    reader.read()
    return reader.variables, reader.findings


class _Reader:
    """One file, from its beginning to its end."""

    def __init__(self, file: str, text: str, variables: dict[str, Assignment]) -> None:
        self._file, self._text, self._at, self._line = file, text, 0, 1
        self.variables = variables
        self.findings: list[Finding] = []

    def read(self) -> None:
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in _ENDS_A_COMMAND:
                self._skip(1)
            elif char == "#":
                self._skip_line()
            elif found := _ASSIGNMENT.match(self._text, self._at):
                self._assignment(found)
            else:
                self._no_assignment()

    def _skip(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _no_assignment(self) -> None:
        place = Place(self._file, self._line)
        if _SYSCTL.match(self._text, self._at):
            self.findings.append(
                Finding(place, "sh(1) takes this for a command that it does not find", "it belongs in /etc/sysctl.conf")
            )
        else:
            self.findings.append(note(place, "this line assigns nothing", "it is not read"))
        self._skip_line()

    def _assignment(self, found: re.Match[str]) -> None:
        name, place = found[1], Place(self._file, self._line)
        self._at = found.end()
        value = self._value(place)
        if found[2]:
            # sysrc(8) has +=, the file that it writes has not.
            self.findings.append(
                Finding(place, f"sh(1) has no +=, so {name} stays as it was", f'write {name}="${{{name}}} ..."')
            )
            value = f"{self._of(name)} {value}".strip()
        self.variables[name] = Assignment(name, value, place)

    def _of(self, name: str) -> str:
        return self.variables[name].value if name in self.variables else ""

    def _value(self, place: Place) -> str:
        """The word after `=`: pieces in quotes, in single quotes, and bare."""
        pieces: list[str] = []
        while self._at < len(self._text) and (char := self._text[self._at]) not in _ENDS_A_COMMAND:
            if char in "\"'":
                pieces.append(self._quoted(char, place))
            elif char == "\\":
                escaped = self._text[self._at + 1 : self._at + 2]
                pieces.append("" if escaped == "\n" else escaped)
                self._skip(2)
            else:
                end = self._at
                while end < len(self._text) and self._text[end] not in _ENDS_A_COMMAND + "\"'\\":
                    end += 1
                pieces.append(self._expanded(self._text[self._at : end], place))
                self._skip(end - self._at)
        return "".join(pieces)

    def _quoted(self, quote: str, place: Place) -> str:
        body = r"((?:[^\"\\]|\\.)*)\"" if quote == '"' else r"([^']*)'"
        found = re.compile(body, re.DOTALL).match(self._text, self._at + 1)
        if found is None or _NEXT_ASSIGNMENT.search(found[1]):
            self.findings.append(
                Finding(place, "a quote is opened and not closed on its line: sh(1) takes what follows for the value",
                        "the rest of the line is taken for it here")
            )  # fmt: skip
            self._skip(1)
            rest = self._text[self._at :].partition("\n")[0]
            self._skip(len(rest))
            return rest
        self._skip(1 + len(found[0]))
        if quote == "'":
            return found[1]
        return re.sub(r"\\([\"\\$`\n])", lambda m: "" if m[1] == "\n" else m[1], self._expanded(found[1], place))

    def _expanded(self, text: str, place: Place) -> str:
        if "$(" in text or "`" in text:
            self.findings.append(
                note(place, "what this says is known only when a command has run", "it is taken as it stands")
            )
        return _VARIABLE.sub(lambda found: self._of(found[1] or found[2]), text)
