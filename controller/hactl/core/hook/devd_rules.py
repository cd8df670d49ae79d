"""Which rules of devd.conf(5) keep the node hook from being called: devd runs only one of those that match an event.

Rules: the matching rule of the highest priority acts, and only it; of equal ones any may (std::sort keeps no order).
Expressions are extended, case-insensitive, between `^` and `$`; a leading `!` inverts; a variable that is not set is
empty. What cannot be judged here is taken to match. A rule that calls the hook itself keeps nothing from it.
Sources: sbin/devd/devd.cc (config::find_and_execute, match::do_match, media::do_match), token.l, parse.y.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hactl.core.facts import DevdRule
from hactl.core.hook.render import HOOK, RULE_PRIORITY

#: Words of a rule that ask something, and how many strings follow (parse.y).
_ASKING = {"match": 2, "device-name": 1, "class": 1, "subdevice": 1}
_TOKEN = re.compile(
    r"""[ \t\r\n]+ | \#[^\n]* | //[^\n]* | /\*.*?\*/
    | "(?P<text>[^"]+)" | (?P<mark>[{};]) | (?P<word>[A-Za-z][A-Za-z0-9_-]*) | (?P<number>[0-9]+) | (?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "space": r"\s",
    "blank": r" \t",
    "xdigit": "0-9A-Fa-f",
}
_CALLS_HOOK = f"{HOOK} carp $subsystem $type"
_STATES = ("MASTER", "BACKUP", "INIT")


@dataclass(frozen=True, slots=True)
class _Token:
    #: text, mark, word, number or end.
    kind: str
    text: str
    line: int


_END = _Token("end", "", 0)


def rules_before(files: Mapping[str, str], subsystems: Sequence[str]) -> tuple[DevdRule, ...]:
    """Rules of these files (path -> text) that act instead of the hook's when one of its vhids changes its state.

    Raises ValueError when devd could not read a file either.
    """
    return tuple(rule for rule in _others(files, subsystems) if rule.priority >= RULE_PRIORITY)


def rules_behind(files: Mapping[str, str], subsystems: Sequence[str]) -> tuple[DevdRule, ...]:
    """Rules that act on these events as long as there is no hook's. Raises ValueError, as `rules_before`."""
    return tuple(rule for rule in _others(files, subsystems) if rule.priority < RULE_PRIORITY)


def _others(files: Mapping[str, str], subsystems: Sequence[str]) -> Iterator[DevdRule]:
    """Rules for CARP events of these vhids that do not call the hook. Raises ValueError."""
    events = [
        {"system": "CARP", "subsystem": name, "type": state, "_": f"system=CARP subsystem={name} type={state}"}
        for name in subsystems
        for state in _STATES
    ]
    for path, text in files.items():
        for line, priority, statements in _blocks(path, text, "notify"):
            action = next((strings[0] for word, strings in statements if word == "action"), "")
            if _CALLS_HOOK in action:
                continue
            its = [e for e in events if all(_may_match(word, strings, e) for word, strings in statements)]
            if its:
                # INIT in addition, which carp(4)'s own example leaves out, is for no program what it must not hear.
                rest = [each for each in events if each not in its and each["type"] != "INIT"]
                only = tuple(f"{each['subsystem']} {each['type']}" for each in its) if rest else ()
                yield DevdRule(path, line, priority, action, only)


def directories(files: Mapping[str, str]) -> tuple[str, ...] | None:
    """Where devd looks for more files than its devd.conf; None when that is not among them. Raises ValueError."""
    found = [
        strings[0]
        for path, text in files.items()
        if path.endswith("/etc/devd.conf")
        for _, _, statements in _blocks(path, text, "options")
        for word, strings in statements
        if word == "directory"
    ]
    return tuple(found) or None


def _may_match(word: str, strings: Sequence[str], event: Mapping[str, str]) -> bool:
    if word == "media-type":
        return False  # it asks an interface, and the subsystem of CARP is none
    if word not in _ASKING:
        return True
    variable, wanted = (strings[0], strings[1]) if word == "match" else (word, strings[0])
    inverted = wanted.startswith("!")
    pattern = wanted[1:] if inverted else wanted
    for name, members in _CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", members)
    if re.search(r"\$[A-Za-z]", pattern):
        return True  # a variable of devd's options
    try:
        found = re.search(f"^{pattern}$", event.get(variable, ""), re.IGNORECASE) is not None
    except re.error:
        return True
    return found != inverted


def _blocks(path: str, text: str, kind: str) -> Iterator[tuple[int, int, list[tuple[str, list[str]]]]]:
    """Line, priority and statements of every `notify`, or of the `options`. Raises ValueError."""
    tokens = _tokens(path, text)
    for first in tokens:
        priority = 0 if first.text == "options" else int(_expected(path, tokens, "number").text)
        _expected(path, tokens, "mark", "{")
        statements = []
        while (token := next(tokens, _END)).text != "}" or token.kind != "mark":
            statements.append((token.text, _strings(path, tokens, token)))
        _expected(path, tokens, "mark", ";")
        if first.text == kind:
            yield first.line, priority, statements


def _strings(path: str, tokens: Iterator[_Token], word: _Token) -> list[str]:
    """What stands between a word and its semicolon. Raises ValueError."""
    found = []
    while (token := next(tokens, _END)).kind not in ("mark", "end"):
        found.append(token.text)
    if token.text != ";" or word.kind != "word" or len(found) < _ASKING.get(word.text, 1):
        raise ValueError(f"devd cannot read {path} either")
    return found


def _expected(path: str, tokens: Iterator[_Token], kind: str, text: str = "") -> _Token:
    token = next(tokens, _END)
    if token.kind != kind or (text and token.text != text):
        raise ValueError(f"devd cannot read {path} either")
    return token


def _tokens(path: str, text: str) -> Iterator[_Token]:
    """Words, numbers, strings and marks. Raises ValueError."""
    line = 1
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "bad":
            raise ValueError(f"devd cannot read {path} either (line {line})")
        if kind is not None:
            yield _Token(kind, found.group(kind), line)
        line += found.group().count("\n")
