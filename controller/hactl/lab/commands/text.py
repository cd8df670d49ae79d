"""tr(1), where a script counts the zero bytes of a disk: the player's own is slow on megabytes.

Rules:
- Ranges, classes and escapes of both strings; -c, -C, -d, -s, -u. Texts are characters, as in the C locale.
- Man pages: tr(1).
"""

from __future__ import annotations

import re
import string

from hactl.lab.commands.files import options
from hactl.lab.commands.registry import Call, Result, command

_USAGE = (
    "usage: tr [-Ccsu] string1 string2\n       tr [-Ccu] -d string1\n       tr [-Ccu] -s string1\n"
    "       tr [-Ccu] -ds string1 string2\n"
)
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(32), 127])),
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": " \t\n\r\v\f",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ITEM = re.compile(r"\[:(?P<cls>\w+):\]|\\(?P<octal>[0-7]{1,3})|\\(?P<escape>.)|(?P<char>.)", re.DOTALL)


def _characters(text: str) -> str:
    """The characters a string argument stands for, in order. Raises KeyError for a class there is not."""
    found: list[str] = []
    at = 0

    def one() -> str:
        nonlocal at
        item = _ITEM.match(text, at)
        assert item is not None
        at = item.end()
        if item["cls"]:
            return _CLASSES[item["cls"]]
        if item["octal"]:
            return chr(int(item["octal"], 8) & 0xFF)
        return _ESCAPES.get(item["escape"], item["escape"]) if item["escape"] else item["char"]

    while at < len(text):
        first = one()
        if len(first) == 1 and text[at : at + 1] == "-" and at + 1 < len(text):
            at += 1
            last = one()
            found.append("".join(map(chr, range(ord(first), ord(last[0]) + 1))))
        else:
            found.append(first)
    return "".join(found)


@command("tr", quick=True)
async def tr(call: Call) -> Result:
    """Translate, squeeze or delete characters."""
    flags, _, operands, bad = options(call.argv, "Ccdsu", "")
    wanted = 2 if ("d" in flags) == ("s" in flags) else 1
    if bad is not None or not wanted <= len(operands) <= (2 if "s" in flags and "d" not in flags else wanted):
        return Result("", _USAGE, 1)
    try:
        first, *more = [_characters(operand) for operand in operands]
    except KeyError as unknown:
        return Result("", f"tr: unknown class '{unknown.args[0]}'\n", 1)
    text, kept = call.stdin, first
    if flags & {"c", "C"}:
        first = "".join(chr(code) for code in range(256) if chr(code) not in kept)
    if "d" in flags and flags & {"c", "C"} and len(kept) == 1 and text == kept * len(text):
        pass  # nothing else is there: a zeroed disk
    elif "d" in flags:
        for gone in first:
            text = text.replace(gone, "")
    elif more and more[0]:
        text = text.translate(str.maketrans(first, more[0].ljust(len(first), more[0][-1])[: len(first)]))
    if "s" in flags:
        text = re.sub(f"([{re.escape(more[-1] if more else first)}])\\1+", r"\1", text)
    return Result(text)
