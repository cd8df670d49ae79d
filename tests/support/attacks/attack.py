"""One attack: what is sent, what may be seen, and how to play it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from support.attacks.daemon import Daemon


@dataclass(frozen=True)
class Attack:
    """`play` sends it and says what was seen; that must be one of `expected`."""

    name: str
    sent: str
    expected: tuple[str, ...]
    play: Callable[[Daemon], Awaitable[str]]


def short(sent: bytes) -> str:
    """For a table."""
    return repr(sent[:90])[2:-1] + ("..." if len(sent) > 90 else "")
