"""devd.conf(5): which action belongs to which kernel event.

Rules:
- Regular expressions are extended, case-insensitive and stand between `^` and `$` without a group of their own
  (`a|b` is `^a` or `b$`); a leading `!` inverts; a variable that is not set is the empty string.
- The matching notify of the highest priority acts, and only it; equal priorities in the order they were read.
- `$name` in an action becomes `$'value'`, quoted for sh; `$$` a dollar, `$(...)` and `${...}` are left to sh.
- sbin/devd/devd.cc: config::expand_one, match::do_match, config::find_and_execute; parse.y, token.l.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hactl.lab.files import Files

CONFIG_PATH = "/etc/devd.conf"
#: What a fresh installation has there, as far as it matters to this lab.
DEVD_CONF = """\
# $FreeBSD$
#
# Refer to devd.conf(5) and devd(8) man pages for the details on how to
# run and configure devd.
#

options {
	# Each "directory" directive adds a directory to the list of
	# directories that we scan for files.  Files are loaded in the order
	# that they are returned from readdir(3).  The rule-set is combined
	# to create a DFA that's used to match events to actions.
	directory "/etc/devd";
	directory "/usr/local/etc/devd";
	pid-file "/var/run/devd.pid";
};
"""
_TOKEN = re.compile(r'\s+|#[^\n]*|"(?P<text>[^"]*)"|(?P<mark>[{};])|(?P<word>[A-Za-z0-9_-]+)|(?P<bad>.)', re.DOTALL)
_KINDS = frozenset({"attach", "detach", "nomatch", "notify"})
#: Statements inside a rule: keyword and how many strings follow.
_INSIDE = {"match": 2, "action": 1, "device-name": 1, "class": 1, "subdevice": 1, "media-type": 1}
_CLASSES = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "lower": "a-z", "upper": "A-Z", "space": r"\s",
    "blank": " \t", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip


class DevdSyntaxError(Exception):
    """A file devd cannot read; it does not start. The message is devd's."""


@dataclass(frozen=True, slots=True)
class Match:
    """One `match`, or `device-name` and the like: a variable and what it must look like."""

    variable: str
    pattern: re.Pattern[str] | None
    inverted: bool

    def holds(self, variables: Mapping[str, str]) -> bool:
        """Whether these variables satisfy it; an expression regcomp(3) refused matches nothing."""
        found = self.pattern is not None and self.pattern.search(variables.get(self.variable, "")) is not None
        return found != self.inverted


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement of a kind with its priority."""

    kind: str
    priority: int
    matches: tuple[Match, ...]
    actions: tuple[str, ...]


@dataclass(slots=True)
class DevdConf:
    """Everything read when devd started."""

    directories: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    def actions_for(self, line: str) -> list[str]:
        """The commands an event of the kernel (`!system=CARP ...`) runs, expanded for `sh -c`."""
        if not line.startswith("!"):
            return []
        variables = {**self.variables, "*": line, "_": line[1:], **event_variables(line[1:])}
        for rule in self.rules:
            if rule.kind == "notify" and all(match.holds(variables) for match in rule.matches):
                return [expand(action, variables, for_shell=True) for action in rule.actions]
        return []


def read(files: Files) -> DevdConf:
    """The main file and every *.conf of the directories it names. Raises DevdSyntaxError."""
    conf = DevdConf()
    if not files.exists(CONFIG_PATH):
        raise DevdSyntaxError(f"Cannot open config file {CONFIG_PATH}: No such file or directory")
    _read_file(conf, files, CONFIG_PATH)
    for directory in list(conf.directories):
        names = files.list(directory) if files.is_dir(directory) else []
        for name in names:
            if name.endswith(".conf") and files.kind(posixpath.join(directory, name)) == "file":
                _read_file(conf, files, posixpath.join(directory, name))
    conf.rules.sort(key=lambda rule: -rule.priority)
    return conf


def event_variables(text: str) -> dict[str, str]:
    """`system=CARP subsystem=1@em0 type=MASTER` as variables, up to the first word that is none."""
    found: dict[str, str] = {}
    pattern = re.compile(r'([\w-]+)=(?:"((?:\\"|[^"])*)"|(\S*))\s*')
    at = 0
    while (match := pattern.match(text, at)) is not None:
        quoted = match.group(2)
        found[match.group(1)] = quoted.replace('\\"', '"') if quoted is not None else match.group(3)
        at = match.end()
    return found


def expand(text: str, variables: Mapping[str, str], *, for_shell: bool) -> str:
    """`$name` replaced by its value, for sh as `$'value'`."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "$":
            return "$"
        found = variables.get(name, "")
        return "$'" + found.replace("\\", "\\\\").replace("'", "\\'") + "'" if for_shell else found

    return re.sub(r"\$(\$|(?:[A-Za-z_*-])[\w-]*)", value, text)


def _pattern(text: str) -> re.Pattern[str] | None:
    for name, members in _CLASSES.items():
        text = text.replace(f"[:{name}:]", members)
    try:
        return re.compile(f"^{text}$", re.IGNORECASE)
    except re.error:
        return None


def _read_file(conf: DevdConf, files: Files, path: str) -> None:
    text = files.read_text(path)
    reader = _Reader(path, text)
    while reader.tokens:
        word = reader.word()
        if word == "options":
            reader.expect("{")
            while not reader.take("}"):
                _option(conf, reader)
        elif word in _KINDS:
            priority = int(reader.word(number=True))
            reader.expect("{")
            conf.rules.append(_rule(conf, reader, word, priority))
        else:
            reader.fail()
        reader.expect(";")


def _option(conf: DevdConf, reader: _Reader) -> None:
    word = reader.word()
    if word == "set":
        name = reader.word()
        conf.variables[name] = reader.string()
    elif word == "directory":
        conf.directories.append(reader.string())
    elif word == "pid-file":
        reader.string()
    else:
        reader.fail()
    reader.expect(";")


def _rule(conf: DevdConf, reader: _Reader, kind: str, priority: int) -> Rule:
    matches, actions = [], []
    while not reader.take("}"):
        word = reader.word()
        if word not in _INSIDE:
            reader.fail()
        strings = [reader.string() for _ in range(_INSIDE[word])]
        reader.expect(";")
        if word == "action":
            actions.append(strings[0])
        elif word != "media-type":
            variable, wanted = (strings[0], strings[1]) if word == "match" else (word, strings[0])
            inverted = wanted.startswith("!")
            wanted = expand(wanted[1:] if inverted else wanted, conf.variables, for_shell=False)
            matches.append(Match(variable, _pattern(wanted), inverted))
    return Rule(kind, priority, tuple(matches), tuple(actions))


class _Reader:
    """The tokens of one file: (kind, text, line)."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.line = path, 1
        self.tokens: list[tuple[str, str, int]] = []
        for found in _TOKEN.finditer(text):
            kind = found.lastgroup
            if kind is not None:
                self.tokens.append((kind, found.group(kind), text.count("\n", 0, found.start()) + 1))
        self._last = text.count("\n") + 1
        self.tokens.reverse()

    def fail(self) -> None:
        raise DevdSyntaxError(f"Cannot parse {self.path} at line {self.line}")

    def _next(self, kind: str) -> str:
        found = self.tokens.pop() if self.tokens else ("end", "", self._last)
        self.line = found[2]
        if found[0] != kind:
            self.fail()
        return found[1]

    def word(self, *, number: bool = False) -> str:
        text = self._next("word")
        if text.isdigit() != number:
            self.fail()
        return text

    def string(self) -> str:
        return re.sub(r"\\\n\s*", "", self._next("text"))

    def expect(self, mark: str) -> None:
        if self._next("mark") != mark:
            self.fail()

    def take(self, mark: str) -> bool:
        """Whether this mark is next; then it is taken."""
        if self.tokens and self.tokens[-1][:2] == ("mark", mark):
            self.tokens.pop()
            return True
        return False
