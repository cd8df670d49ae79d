"""Judges a writer of numbered records: is every one that was acknowledged there, in order and whole, and from one node?

Pure, and shared by the exams on real nodes and by the simulation. A writer never uses a number twice: a record that was
not answered is given up, and may be there or not. A record is `WRITER NUMBER NODE .` on a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Two nodes that acknowledge by turns within this many seconds cannot have handed the group over in between: a role, a
#: check and a mount take longer.
HANDOVER_SECONDS = 2.0
#: How long a node that was overtaken may go on (docs/safety.md#invariants, I11).
GRACE_SECONDS = 1.0
_RECORD = re.compile(r"(?P<writer>\S+) (?P<number>\d+) (?P<node>\S+) \.")


@dataclass(frozen=True)
class Ack:
    """A record that a node said is safe: asked for at `sent`, answered at `acked`, on the clock of whoever asked."""

    writer: str
    number: int
    node: str
    sent: float
    acked: float


@dataclass(frozen=True)
class Overlap:
    """A node that acknowledged although another one already had: from when to when, and what."""

    node: str
    first: float
    last: float
    records: tuple[tuple[str, int], ...]

    @property
    def seconds(self) -> float:
        """From the first such answer to the last; 0: one only, which may have been under way when it fell asleep."""
        return self.last - self.first


@dataclass(frozen=True)
class Judgement:
    """What came of the records."""

    acknowledged: int
    #: Acknowledged and not there, by a node that nobody had overtaken: (writer, number).
    lost: tuple[tuple[str, int], ...] = ()
    #: Acknowledged, and only a part is there.
    torn: tuple[str, ...] = ()
    #: There, but after a later one of the same writer.
    disordered: tuple[tuple[str, int], ...] = ()
    overlaps: tuple[Overlap, ...] = field(default=())

    @property
    def two_at_once(self) -> tuple[Overlap, ...]:
        """Overlaps that went on for longer than an overtaken node may."""
        return tuple(each for each in self.overlaps if each.seconds > GRACE_SECONDS)

    @property
    def sound(self) -> bool:
        """Nothing lost, torn or out of order, and never two that both acknowledge."""
        return not (self.lost or self.torn or self.disordered or self.two_at_once)

    def words(self) -> str:
        """One line."""
        found = [f"{self.acknowledged} acknowledged, {len(self.lost)} lost, {len(self.torn)} torn"]
        if self.disordered:
            found.append(f"{len(self.disordered)} out of order")
        if self.lost:
            found.append("lost: " + ", ".join(f"{writer} {number}" for writer, number in self.lost[:5]))
        found += [f"{o.node} acknowledged {len(o.records)} more for {o.seconds:.1f} s after another node had"
                  for o in self.overlaps]  # fmt: skip
        return "; ".join(found)


def judge(acks: Iterable[Ack], kept: Mapping[str, str]) -> Judgement:
    """`kept`: the text of each writer's file on the copy that is served now."""
    acks = sorted(acks, key=lambda ack: ack.acked)
    overlaps = tuple(overlapping(acks))
    overtaken = {record for overlap in overlaps for record in overlap.records}
    there, disordered = _read(kept)
    lost, torn = [], []
    for ack in acks:
        record = (ack.writer, ack.number)
        if record in there or record in overtaken:
            continue
        pieces = [
            line for line in kept.get(ack.writer, "").splitlines() if line.startswith(f"{ack.writer} {ack.number} ")
        ]
        if pieces:
            torn.append(pieces[0])
        else:
            lost.append(record)
    return Judgement(len(acks), tuple(lost), tuple(torn), tuple(disordered), overlaps)


def _read(kept: Mapping[str, str]) -> tuple[set[tuple[str, int]], list[tuple[str, int]]]:
    there: set[tuple[str, int]] = set()
    disordered = []
    for writer, text in kept.items():
        highest = 0
        for line in text.splitlines():
            found = _RECORD.fullmatch(line)
            if not found or found["writer"] != writer:
                continue  # empty, or what a cut left of one that nobody acknowledged
            number = int(found["number"])
            there.add((writer, number))
            if number < highest:
                disordered.append((writer, number))
            highest = max(highest, number)
    return there, disordered


def overlapping(acks: Iterable[Ack]) -> Iterable[Overlap]:
    """What a node acknowledged that another one had overtaken: of two turns that overlap, the turn of that node.

    It is the one that served before: it slept and woke in the turn of the other one (its own turn began later), or it
    never stopped (its turn began earlier).
    """
    ordered = sorted(acks, key=lambda ack: ack.acked)
    turns = sorted(_turns(ordered), key=lambda turn: turn[0].acked)
    for index, later in enumerate(turns):
        for earlier in turns[:index]:
            if earlier[0].node == later[0].node or earlier[-1].acked < later[0].acked:
                continue
            before = [ack.node for ack in ordered if ack.acked < earlier[0].acked]
            overtaken = later if before and before[-1] == later[0].node else earlier
            end = min(earlier[-1].acked, later[-1].acked)
            inside = [ack for ack in overtaken if later[0].acked <= ack.acked <= end]
            if inside:
                records = tuple((ack.writer, ack.number) for ack in inside)
                yield Overlap(overtaken[0].node, inside[0].acked, inside[-1].acked, records)


def _turns(ordered: Sequence[Ack]) -> Iterable[list[Ack]]:
    """Runs of answers of one node with pauses shorter than any handover."""
    for node in sorted({ack.node for ack in ordered}):
        turn: list[Ack] = []
        for ack in ordered:
            if ack.node != node:
                continue
            if turn and ack.acked - turn[-1].acked >= HANDOVER_SECONDS:
                yield turn
                turn = []
            turn.append(ack)
        yield turn
