"""What the client on the LAN saw, as outages; what the hook noted, as phases. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: What is shorter was only answered late.
LATE_SECONDS = 1.0
_MOVE = re.compile(r"(?P<at>\d+) (?P<group>\S+) (?P<what>\S+) (?P<seconds>\S+) ?(?P<words>.*)")


@dataclass(frozen=True)
class Outage:
    """Nothing answered from the last good answer to the next one; `until` None: not yet."""

    kind: str
    since: float
    until: float | None
    node: str = ""

    @property
    def seconds(self) -> float:
        """Infinite while it lasts."""
        return float("inf") if self.until is None else self.until - self.since


def outages(events: Iterable[Mapping[str, Any]], kind: str, after: float = 0.0) -> list[Outage]:
    """Of one kind (`ping`, `tcp`), those that were not over at `after`."""
    found: list[Outage] = []
    begun: float | None = None
    for event in events:
        if event["kind"] != kind:
            continue
        match event["what"]:
            case "lost":
                begun = event["from"]
            case "back":
                found.append(Outage(kind, event["from"], event["t"], event["node"]))
                begun = None
    if begun is not None:
        found.append(Outage(kind, begun, None))
    return [each for each in found if each.until is None or each.until > after]


def longest(events: Sequence[Mapping[str, Any]], kind: str, after: float) -> float:
    """Seconds of the longest outage that was not over at `after`; 0: none."""
    return max((each.seconds for each in outages(events, kind, after)), default=0.0)


def away(events: Sequence[Mapping[str, Any]], kind: str, after: float) -> float:
    """Seconds from `after`, when something was broken, to the end of the last outage of it; 0: none.

    A late answer now and then, on a busy machine, is none.
    """
    found = [each for each in outages(events, kind, after) if each.seconds > LATE_SECONDS]
    return max((float("inf") if each.until is None else each.until for each in found), default=after) - after


def moves(text: str) -> list[tuple[str, str, str]]:
    """The hook's note of moves: (what, seconds, words), oldest first."""
    found = (_MOVE.fullmatch(line.strip()) for line in text.splitlines())
    return [(each["what"], each["seconds"], each["words"]) for each in found if each]
