"""Words of the document in commands that people read: plain where nothing needs quotes, quoted otherwise."""

from __future__ import annotations

import string

from hactl.core.steps import quote

#: Characters that mean nothing to sh anywhere in a word.
PLAIN = frozenset(string.ascii_letters + string.digits + "._-/:@,=")


def quote_plain(word: str) -> str:
    """A word that needs no quotes stays readable; anything else is quoted."""
    return word if word and PLAIN.issuperset(word) and not word.startswith("-") else quote(word)
