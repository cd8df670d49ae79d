"""getopt(3): the options of a program.

Rules:
- Options end at the first operand or behind `--`; a letter may have its value in the same word or in the next.
"""

from __future__ import annotations

from string import printable

#: For `known`: any letter will do.
ANY = printable


def options(argv: list[str], known: str, valued: str = "") -> tuple[set[str], dict[str, str], list[str], str | None]:
    """getopt(3): flags, options with values, operands, and the first unknown option if any."""
    flags: set[str] = set()
    values: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        position = 1
        while position < len(word):
            letter = word[position]
            if letter in valued:
                values[letter] = word[position + 1 :] or (rest.pop(0) if rest else "")
                break
            if letter not in known:
                return flags, values, rest, letter
            flags.add(letter)
            position += 1
    return flags, values, rest, None
