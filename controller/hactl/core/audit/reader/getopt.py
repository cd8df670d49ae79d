"""The words of a command line as the audit takes them: wrappers off, options apart, nothing guessed.

Rules: what cannot be judged raises `Unreadable`. Man pages: getopt(1), timeout(1), env(1), lockf(1).
"""

from __future__ import annotations

import re

from hactl.core.audit.reader.lexer import Unreadable


def known_word(word: str) -> str:
    """A word the audit can judge: without unknown variables."""
    if "$" in word:
        raise Unreadable(f"the value of {word}")
    return word


def unwrapped(words: list[str]) -> list[str]:
    """Without the programs that only run another one."""
    while words:
        if words[0] == "command" and len(words) > 1 and not words[1].startswith("-"):
            words = words[1:]
        elif words[0] == "env" and len(words) > 1:
            words = words[1:]
            while words and re.match(r"[A-Za-z_]\w*=", words[0]):
                words = words[1:]
        elif words[0] == "timeout":
            words = _after_options(words[1:], with_value=("-k", "-s"))[1:]
        elif words[0] == "lockf":
            words = _after_options(words[1:], with_value=("-t",))[1:]
        elif words[0] == "command":
            return []
        else:
            return words
    return words


def _after_options(words: list[str], with_value: tuple[str, ...]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in with_value else words[1:]
    return words


def getopt(words: list[str], flags: str, valued: str) -> tuple[dict[str, list[str]], list[str]]:
    """getopt: options with their values, and the operands. Raises Unreadable for an option not named."""
    found: dict[str, list[str]] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                if not letters and not rest:
                    raise Unreadable(f"-{letter} without a value")
                found.setdefault(letter, []).append(letters or rest.pop(0))
                break
            if letter not in flags:
                raise Unreadable(f"the option {word}")
            found.setdefault(letter, [])
    return found, [known_word(word) for word in rest]
