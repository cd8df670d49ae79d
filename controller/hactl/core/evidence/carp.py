"""CARP's own arithmetic: what a node advertises, who preempts whom, when silence ends, and where a demotion is from;
and the one ladder of advskews that hactl and its hook give to nodes.

Rules: pure numbers, as the kernel computes them (sys/netinet/ip_carp.c: DEMOTE_ADVSKEW, carp_setrun,
carp_send_ad_locked, carp_input_c). Man page: carp(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hactl.core.objects import MAX_ADVSKEW

#: The most that counts: an advertised or compared skew is never higher (ip_carp.c, CARP_MAXSKEW).
MAX_SKEW = 240
#: advskew is in 1/256 s.
SKEW_UNITS = 256
#: Distance between the advskews of two nodes that follow each other, if there is room.
ADVSKEW_STEP = 100


def effective_skew(advskew: int, demotion: int) -> int:
    """What is advertised and compared: `clamp(advskew + demotion, 0, 240)`."""
    return max(0, min(MAX_SKEW, advskew + demotion))


def master_down_seconds(advbase: int, advskew: int) -> float:
    """How much silence makes a BACKUP MASTER: 3*advbase + advskew/256; the demotion does not count here."""
    return 3 * advbase + advskew / SKEW_UNITS


def advskew_step(nodes: int) -> int:
    """Distance between the advskews of nodes that follow each other, so that the last one's still counts."""
    return min(ADVSKEW_STEP, MAX_ADVSKEW // max(1, nodes - 1))


def advskew_ladder(order: Sequence[str]) -> dict[str, int]:
    """advskew by node for nodes in that order, best first."""
    return {node: place * advskew_step(len(order)) for place, node in enumerate(order)}


def compared(seconds: int, skew: int) -> tuple[int, int]:
    """The time value the kernel compares: seconds first, then microseconds, cut and not rounded."""
    return seconds, skew * 1_000_000 // SKEW_UNITS


@dataclass(frozen=True, slots=True)
class Voice:
    """What one node says about one vhid."""

    advbase: int
    advskew: int
    #: net.inet.carp.demotion of the node: one number for all its vhids.
    demotion: int = 0

    @property
    def skew(self) -> int:
        """Effective skew."""
        return effective_skew(self.advskew, self.demotion)

    @property
    def interval_seconds(self) -> float:
        """Seconds between its advertisements while it is MASTER."""
        return self.advbase + self.skew / SKEW_UNITS

    @property
    def patience_seconds(self) -> float:
        """Seconds of silence after which it becomes MASTER."""
        return master_down_seconds(self.advbase, self.advskew)

    @property
    def arithmetic(self) -> str:
        """The sum, for people: `advskew 0 + demotion 240 = 240: an advertisement every 1.94 s`."""
        plain = self.advskew + self.demotion
        cut = "" if plain == self.skew else f", counted as {self.skew}"
        every = f"an advertisement every {self.interval_seconds:.2f} s"
        return f"advskew {self.advskew} + demotion {self.demotion} = {plain}{cut}: {every}"


class Reaction(StrEnum):
    """What a node does when it hears an advertisement that it believes; the kernel's words for its log."""

    #: BACKUP: becomes MASTER at once; needs net.inet.carp.preempt=1.
    PREEMPTS = "preempting a slower master"
    #: BACKUP: becomes MASTER at once, because the other one is slower than three of its own intervals.
    OUTLASTS = "master will time out"
    #: BACKUP: its timer starts again.
    LISTENS = "listens"
    #: MASTER: becomes BACKUP; also on an equal advertisement.
    YIELDS = "more frequent advertisement received"
    #: MASTER: goes on.
    STAYS = "stays"


def hears(own: Voice, other: Voice, *, master: bool, preempt: bool) -> Reaction:
    """What a node with `own` does on an advertisement of `other` (ip_carp.c, carp_input_c)."""
    mine, theirs = compared(own.advbase, own.skew), compared(other.advbase, other.skew)
    if master:
        return Reaction.YIELDS if mine >= theirs else Reaction.STAYS
    if preempt and mine < theirs:
        return Reaction.PREEMPTS
    if compared(3 * own.advbase, own.skew) < theirs:
        return Reaction.OUTLASTS
    return Reaction.LISTENS


# --- demotion -----------------------------------------------------------------------------------------------------

#: Beginning of a reason in the kernel's log -> what added it. The same source takes it back
#: (docs/freebsd-facts.md#1.3).
_SOURCES = (
    ("interface ", "interface"),
    ("vhid removed", "interface"),
    ("send ", "send errors"),
    ("pfsync", "pfsync"),
    ("sysctl", "sysctl"),
)
#: What the kernel's log does not account for.
UNLOGGED = "unlogged"


def demotion_sources(log: Sequence[tuple[int, int, str]], demotion: int) -> dict[str, int]:
    """What is left of each source of the demotion now: `interface`, `send errors`, `pfsync`, `sysctl`, `unlogged`.

    `log` is (amount, sum, reason) of the lines `carp: demoted by N to M (reason)`, oldest first; `demotion` is what
    the sysctl says now. The kernel's buffer forgets its oldest lines, so the rest is named `unlogged`.
    """
    left: dict[str, int] = {}
    for amount, _, reason in log:
        source = next((name for start, name in _SOURCES if reason.startswith(start)), reason)
        left[source] = left.get(source, 0) + amount
    left[UNLOGGED] = demotion - sum(left.values())
    return {source: amount for source, amount in left.items() if amount}
