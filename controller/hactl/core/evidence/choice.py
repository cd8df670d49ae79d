"""Which copy of a HAST resource is the one to serve: read from the metadata both nodes hold.

Rules: the table of hastd's own handshake (hastd/secondary.c, init_remote): L is what a copy counts for itself, R what
it counts for its peer. Both sides ahead of what the other knows is a split-brain and never ours to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hactl.core.facts import HastMetadata

#: What a person does about copies that refuse each other.
COMPARE = (
    "compare `hastctl dump {name}` on both nodes; on the node whose data is thrown away: hastctl role init {name}, "
    "hastctl create {name}, hastctl role secondary {name}"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The node whose copy should serve, or why nobody can say."""

    node: str | None
    why: str
    #: Hold reason when node is None.
    hold: str = ""


def choose_copy(
    resource: str, metadata: Mapping[str, HastMetadata], preferred: tuple[str, ...], *, moved: bool = False
) -> Choice:
    """Of two nodes that are both not primary, the one that holds the newest complete copy.

    `metadata` has both nodes. Ties go to the node that was primary last, then to the order of `preferred`; with
    `moved` (a person asked for it, after everything was on both disks) to that order at once.
    """
    first, second = (node for node in preferred if node in metadata)
    a, b = metadata[first], metadata[second]
    if a.resuid != b.resuid:
        return _different_ids(resource, first, a, second, b)
    ahead_a, ahead_b = a.localcnt > b.remotecnt, b.localcnt > a.remotecnt
    if ahead_a and ahead_b:
        return Choice(
            None,
            f"{resource}: both copies were written while apart ({first} counts {a.localcnt}/{a.remotecnt}, "
            f"{second} counts {b.localcnt}/{b.remotecnt})",
            "SplitBrain",
        )
    if ahead_a:
        return Choice(first, f"{first} wrote while {second} was away")
    if ahead_b:
        return Choice(second, f"{second} wrote while {first} was away")
    if a.localcnt != b.remotecnt or b.localcnt != a.remotecnt:
        return Choice(
            None,
            f"{resource}: the copies count each other wrongly ({first} {a.localcnt}/{a.remotecnt}, "
            f"{second} {b.localcnt}/{b.remotecnt})",
            "CountersDisagree",
        )
    if moved and a.resuid != 0:
        return Choice(first, f"both copies are the same; {first} was asked for")
    return _equal(first, a, second, b)


def _different_ids(resource: str, first: str, a: HastMetadata, second: str, b: HastMetadata) -> Choice:
    """A copy without an id was just created and holds nothing."""
    if b.resuid == 0:
        return Choice(first, f"{second}'s copy is new and empty")
    if a.resuid == 0:
        return Choice(second, f"{first}'s copy is new and empty")
    return Choice(None, f"{resource}: the disks of {first} and {second} belong to different resources", "ForeignCopy")


def _equal(first: str, a: HastMetadata, second: str, b: HastMetadata) -> Choice:
    """The counters say in sync; during a first full sync they do so too early, but prevrole then tells the source."""
    if a.prevrole != "primary" and b.prevrole == "primary":
        return Choice(second, f"{second} was primary last")
    if a.prevrole == "primary" and b.prevrole != "primary":
        return Choice(first, f"{first} was primary last")
    return Choice(first, f"both copies are the same; {first} is preferred")
