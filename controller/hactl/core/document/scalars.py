"""What a plain YAML scalar means, and which ones mean different things to YAML 1.1 and 1.2.

kubectl and many editors read 1.1, ruamel.yaml and this program 1.2. A plain `on`, `010`, `1:30` or `1_000` is
text or a number depending on who reads it, so it is refused here with "quote it" instead of guessed.
Rules: YAML 1.2.2 section 10.3.2 (core schema); YAML 1.1 types repository as PyYAML implements it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

#: Longer scalars are text to everybody.
_MAX_CHARACTERS = 64
#: No field of a document needs more digits; Python itself refuses to convert thousands of them.
_MAX_DIGITS = 18

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT_BOTH = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX_BOTH = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT_BOTH = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_INF_NAN = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

#: (pattern, what 1.1 reads, what 1.2 reads), first hit wins; only reached when both do not agree.
_DIFFERENT: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"y|Y|yes|Yes|YES|on|On|ON"), "true", "text"),
    (re.compile(r"n|N|no|No|NO|off|Off|OFF"), "false", "text"),
    (re.compile(r"[-+]?0[0-7]+"), "an octal number", "a decimal number"),
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number", "text"),
    (re.compile(r"[-+]?0[0-9]+"), "text", "a decimal number"),
    (re.compile(r"[-+]?0o[0-7]+"), "text", "an octal number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number", "text"),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), "a hexadecimal number", "text"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number to base 60", "text"),
    (re.compile(r"[-+]?[0-9][0-9_]*"), "a number", "text"),
    (re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?"), "a number", "text"),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+"), "text", "a number"),
    (
        re.compile(
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
            r"(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
            r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?"
        ),
        "a date",
        "text",
    ),
    (re.compile(r"="), "a special value", "text"),
)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A plain scalar on which readers differ, or that nobody can mean."""

    message: str
    fix: str


def read_plain(text: str) -> Scalar | Ambiguous:
    """The value of a plain (unquoted) scalar, or why it is refused."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if len(text) > _MAX_DIGITS and re.fullmatch(r"[-+]?[0-9]+|0x[0-9a-fA-F]+", text):
        return Ambiguous("the number has too many digits", "quote it if it is text")
    if _INT_BOTH.fullmatch(text):
        return int(text)
    if _HEX_BOTH.fullmatch(text):
        return int(text, 16)
    if _FLOAT_BOTH.fullmatch(text) or _INF_NAN.fullmatch(text):
        return float(text.replace(".", "", 1) if _INF_NAN.fullmatch(text) else text)
    if len(text) > _MAX_CHARACTERS:
        return text
    for pattern, old, new in _DIFFERENT:
        if pattern.fullmatch(text):
            return Ambiguous(f"plain {text} is {old} in YAML 1.1 and {new} in YAML 1.2", _advice(text))
    return text


def _advice(text: str) -> str:
    """What to write instead."""
    lowered = text.lower()
    if lowered in {"y", "yes", "on"}:
        return f'quote it if it is text ("{text}"), write true if it is a truth value'
    if lowered in {"n", "no", "off"}:
        return f'quote it if it is text ("{text}"), write false if it is a truth value'
    return f'quote it if it is text ("{text}"), or write a plain decimal number'
