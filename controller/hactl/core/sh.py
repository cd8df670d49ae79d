"""Words of sh(1): how text of the document gets into a command, whatever it holds."""

from __future__ import annotations

import string

#: Characters that mean nothing to sh anywhere in a word.
PLAIN = frozenset(string.ascii_letters + string.digits + "._-/:@,=")


def quote(text: str) -> str:
    """One sh word, whatever `text` holds. NUL cannot be carried and is refused."""
    if "\0" in text:
        raise ValueError("a NUL byte cannot be part of a shell word")
    return "'" + text.replace("'", "'\\''") + "'"


def quote_plain(word: str) -> str:
    """For commands that people read: a word that needs no quotes stays as it is; anything else is quoted."""
    return word if word and PLAIN.issuperset(word) and not word.startswith("-") else quote(word)
