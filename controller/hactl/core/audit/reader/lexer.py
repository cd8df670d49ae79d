"""Reads the sh text of a step for the audit: which programs it would run, with which words, writing which files.

Rules: nothing is guessed. Text this reader does not follow (back quotes, eval, a shell started by name) raises
`Unreadable`, and the audit complains. Every branch counts: what a command could run, it is taken to run. The audit
shares no code with the planner or the node's script. Man page: sh(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

#: A part of a word: ("text", "vtnet1"), ("variable", "HACTL_PASS_1") or ("script", "service nfsd rcvar").
Part = tuple[str, str]

_OPERATORS = (";;", "&&", "||", "<<-", "<<", ">>", ">&", "<&", ">|", "<>", ";", "&", "|", "(", ")", "<", ">", "\n")
_REDIRECTIONS = frozenset({"<<-", "<<", ">>", ">&", "<&", ">|", "<>", "<", ">"})
_WRITES = frozenset({">>", ">|", "<>", ">"})
#: Words that may stand before a command without being one.
_OPENERS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{"})
_CLOSERS = frozenset({"fi", "done", "esac", "}"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")


class Unreadable(Exception):
    """The text is not in the part of sh that the audit reads. `str()` says what is not."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word (parts) or an operator (text)."""

    operator: str = ""
    parts: tuple[Part, ...] = ()
    #: The word as written, quotes kept: reserved words and assignments are recognised only unquoted.
    raw: str = ""
    #: Body of a here-document, on the token of its delimiter.
    here: tuple[Part, ...] | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command. A variable whose value is not known stays as `${name}`, a substitution as `$(script)`."""

    words: tuple[str, ...]
    #: Files opened for writing.
    writes: tuple[str, ...] = ()
    #: Text of a here-document.
    here: str = ""
    #: The words in which a `$HACTL_...` secret is expanded, by position.
    secret_words: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Lexer:
    """Characters to tokens."""

    text: str
    at: int = 0
    waiting: list[tuple[int, str, bool, bool]] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    def run(self) -> list[Token]:
        while self.at < len(self.text):
            self._step()
        if self.waiting:
            raise Unreadable("a here-document without its text")
        return self.tokens

    def _step(self) -> None:
        char = self.text[self.at]
        if char in " \t":
            self.at += 1
        elif self.text.startswith("\\\n", self.at):
            self.at += 2
        elif char == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        else:
            operator = next((o for o in _OPERATORS if self.text.startswith(o, self.at)), None)
            if operator is None:
                self._word()
            else:
                self.at += len(operator)
                self.tokens.append(Token(operator=operator))
                if operator == "\n":
                    self._here_documents()

    def _word(self) -> None:
        start = self.at
        parts: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] not in " \t\n;&|()<>":
            self._piece(parts)
        raw = self.text[start : self.at]
        before = self.tokens[-1].operator if self.tokens else ""
        if raw.isdigit() and self.text[self.at : self.at + 1] in ("<", ">"):
            return  # the number of a descriptor: 2>/dev/null
        self.tokens.append(Token(parts=tuple(parts), raw=raw))
        if before in ("<<", "<<-"):
            quoted = any(c in raw for c in "'\"\\")
            self.waiting.append((len(self.tokens) - 1, _plain(parts), quoted, before == "<<-"))

    def _piece(self, parts: list[Part]) -> None:
        char = self.text[self.at]
        if char == "'":
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise Unreadable("a quote that does not end")
            parts.append(("text", self.text[self.at + 1 : end]))
            self.at = end + 1
        elif char == '"':
            self.at += 1
            while True:
                if self.at >= len(self.text):
                    raise Unreadable("a quote that does not end")
                if self.text[self.at] == '"':
                    break
                self._expanding(parts, escapes='$`"\\\n')
            self.at += 1
            parts.append(("text", ""))
        else:
            self._expanding(parts, escapes=None)

    def _expanding(self, parts: list[Part], escapes: str | None) -> None:
        """One character, escape or expansion; `escapes`: what a backslash quotes (None: everything)."""
        char = self.text[self.at]
        if char == "\\" and self.at + 1 < len(self.text):
            following = self.text[self.at + 1]
            if escapes is None or following in escapes:
                parts.append(("text", "" if following == "\n" else following))
            else:
                parts.append(("text", "\\" + following))
            self.at += 2
        elif char == "`":
            raise Unreadable("back quotes")
        elif char == "$":
            self._dollar(parts)
        else:
            parts.append(("text", char))
            self.at += 1

    def _dollar(self, parts: list[Part]) -> None:
        if self.text.startswith("$((", self.at):
            self.at = _closing(self.text, self.at + 1)
            parts.append(("variable", "#arithmetic"))
        elif self.text.startswith("$(", self.at):
            end = _closing(self.text, self.at + 1)
            parts.append(("script", self.text[self.at + 2 : end - 1]))
            self.at = end
        elif self.text.startswith("${", self.at):
            end = self.text.find("}", self.at)
            if end < 0:
                raise Unreadable("a variable that does not end")
            name = self.text[self.at + 2 : end]
            if "$" in name or "`" in name:
                raise Unreadable(f"${{{name}}}")
            parts.append(("variable", name))
            self.at = end + 1
        else:
            match = _NAME.match(self.text, self.at + 1)
            parts.append(("variable", match.group()) if match else ("text", "$"))
            self.at = match.end() if match else self.at + 1

    def _here_documents(self) -> None:
        for index, delimiter, quoted, tabs in self.waiting:
            lines: list[str] = []
            while True:
                if self.at >= len(self.text):
                    raise Unreadable("a here-document without its end")
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
                lines.append(line)
            body = "".join(line + "\n" for line in lines)
            self.tokens[index] = Token(
                parts=self.tokens[index].parts,
                raw=self.tokens[index].raw,
                here=(("text", body),) if quoted else _expand_body(body),
            )
        self.waiting.clear()


def _expand_body(body: str) -> tuple[Part, ...]:
    """The parts of a here-document whose delimiter is not quoted."""
    lexer = _Lexer(body)
    parts: list[Part] = []
    while lexer.at < len(body):
        lexer._expanding(parts, escapes="$`\\\n")
    return tuple(parts)


def _closing(text: str, at: int) -> int:
    """The position after the parenthesis that closes the one at `at`; quotes are respected."""
    depth = 0
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise Unreadable("a parenthesis that does not close")


def _plain(parts: list[Part] | tuple[Part, ...]) -> str:
    return "".join(value for kind, value in parts if kind == "text")


@dataclass(slots=True)
class _Reader:
    """Tokens to commands, with the values of the variables the text itself sets."""

    values: dict[str, str]
    functions: set[str] = field(default_factory=set)
    found: list[Command] = field(default_factory=list)

    def run(self, text: str) -> None:
        tokens = _Lexer(text).run()
        at = 0
        while at < len(tokens):
            at = self._command(tokens, at)

    def _command(self, tokens: list[Token], at: int) -> int:
        """Read from `at` to the end of one command; returns where the next starts."""
        token = tokens[at]
        if token.operator:
            return at + 1 if token.operator not in _REDIRECTIONS else self._simple(tokens, at)
        if token.raw in _OPENERS or token.raw in _CLOSERS:
            return at + 1
        if token.raw == "case":
            return self._case(tokens, at)
        if token.raw == "for":
            while at < len(tokens) and tokens[at].operator not in (";", "\n"):
                self._substitutions(tokens[at])
                at += 1
            return at
        if [t.operator for t in tokens[at + 1 : at + 3]] == ["(", ")"]:
            self.functions.add(token.raw)
            return at + 3
        return self._simple(tokens, at)

    def _case(self, tokens: list[Token], at: int) -> int:
        """`case WORD in PATTERN) ... ;; esac`: patterns are skipped, every branch is read."""
        while at < len(tokens) and tokens[at].raw != "in":
            self._substitutions(tokens[at])
            at += 1
        at += 1
        pattern = True
        while at < len(tokens) and tokens[at].raw != "esac":
            if pattern:
                pattern = tokens[at].operator != ")"
                at += 1
            elif tokens[at].operator == ";;":
                pattern = True
                at += 1
            else:
                at = self._command(tokens, at)
        return at + 1

    def _simple(self, tokens: list[Token], at: int) -> int:
        words: list[str] = []
        writes: list[str] = []
        here = ""
        secret: set[int] = set()
        while at < len(tokens):
            token = tokens[at]
            if token.operator in _REDIRECTIONS:
                if at + 1 >= len(tokens) or tokens[at + 1].operator:
                    raise Unreadable(f"{token.operator} without a file")
                target = self._value(tokens[at + 1].parts)
                if token.operator in _WRITES:
                    writes.append(target)
                if tokens[at + 1].here is not None:
                    here += self._value(tokens[at + 1].here or ())
                at += 2
            elif token.operator:
                break
            elif not words and _ASSIGNMENT.match(token.raw):
                self._assign(token)
                at += 1
            else:
                self._substitutions(token)
                if any(kind == "variable" and value.startswith("HACTL_") for kind, value in token.parts):
                    secret.add(len(words))
                words.append(self._value(token.parts))
                at += 1
        if words or writes:
            self.found.append(Command(tuple(words), tuple(writes), here, frozenset(secret)))
        return at

    def _assign(self, token: Token) -> None:
        self._substitutions(token)
        name, _, value = self._value(token.parts).partition("=")
        self.values[name] = value

    def _value(self, parts: tuple[Part, ...]) -> str:
        """The text of a word as far as it is known."""
        out: list[str] = []
        for kind, value in parts:
            if kind == "text":
                out.append(value)
            elif kind == "variable":
                out.append(self._variable(value))
            else:
                if re.fullmatch(r"\s*date\s+\+\S+\s*", value):
                    out.append("DATE")  # part of a backup's name
                    continue
                # What a link points to stands for the link.
                made = re.fullmatch(r"\s*(?:mktemp\s+(?:-[a-z]\s+)*|readlink\s+-f\s+)(\S+)\s*", value)
                template = _one_word(made.group(1), self.values) if made else None
                out.append(f"$({value})" if template is None else template)
        return "".join(out)

    def _variable(self, name: str) -> str:
        """What a variable holds, or the part of it that `%/*` leaves: the directory of a path."""
        if name.endswith("%/*") and "/" in self.values.get(name[:-3], ""):
            return self.values[name[:-3]].rpartition("/")[0]
        return self.values.get(name, f"${{{name}}}")

    def _substitutions(self, token: Token) -> None:
        """Commands inside `$( )` run too."""
        for kind, value in token.parts:
            if kind == "script":
                self.run(value)


def _one_word(text: str, values: Mapping[str, str]) -> str | None:
    tokens = _Lexer(text).run()
    if len(tokens) != 1 or tokens[0].operator:
        return None
    return _Reader(dict(values))._value(tokens[0].parts)


@lru_cache(maxsize=1024)  # the same commands come again with every look
def read_commands(text: str) -> tuple[tuple[Command, ...], frozenset[str]]:
    """Every simple command the text could run, in order of appearance, and the names of functions it defines.

    Raises Unreadable.
    """
    reader = _Reader({})
    reader.run(text)
    return tuple(reader.found), frozenset(reader.functions)


def secret_variables(text: str) -> frozenset[str]:
    """Names of the `$HACTL_...` variables the text expands."""
    return frozenset(re.findall(r"\$\{?(HACTL_[A-Za-z0-9_]+)", text))


def clear_passwords(text: str) -> Iterator[str]:
    """Words that stand in clear where a CARP password is meant: after `pass` (ifconfig(8)), not a shell variable."""
    for match in re.finditer(r"(?<![\w$])pass[ \t]+(\S+)", text):
        word = match.group(1).lstrip("\"'\\")
        if not re.match(r"\$\{?HACTL_|%s", word):
            yield match.group(1)
