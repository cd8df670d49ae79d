"""What is played and what came of it: faults, and for each story who serves, for how long nobody did, and the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

#: Between the faults of a story.
THEN = ", then "


class FaultKind(StrEnum):
    """What can break."""

    POWER = "power"
    LINK = "link"
    FREEZE = "freeze"
    DISK = "disk"
    HASTD = "hastd"
    SERVICE = "service"
    CONTROLLER = "controller"
    BLACKOUT = "blackout"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that breaks, and what it is called: the text names it, also between two revisions of a document."""

    kind: FaultKind
    text: str
    #: The node it happens to; of a blackout the one that is back first, empty: all at once.
    node: str = ""
    #: The interface, the resource or the service.
    what: str = ""
    #: Of a blackout: no other node comes back before everything is mended.
    alone: bool = False

    @property
    def weight(self) -> int:
        """How many faults it counts as: the power of all nodes is more than one."""
        return 2 if self.kind is FaultKind.BLACKOUT else 1


def name_of(faults: Iterable[Fault]) -> str:
    """What happens, in words; the same words in two documents are the same fault."""
    return THEN.join(fault.text for fault in faults)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a story: virtual seconds since the first fault, and what happened."""

    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one story."""

    #: Texts of the faults, in the order in which they happened.
    faults: tuple[str, ...]
    #: How many faults they count as.
    weight: int
    #: Group -> the nodes that serve it while the faults last, at the end of that time.
    serves: Mapping[str, tuple[str, ...]]
    #: The same at the end, when what broke works again.
    afterwards: Mapping[str, tuple[str, ...]]
    #: Seconds in which a node ran and some group was served by none, in all.
    away_seconds: float
    #: Longest time in which two nodes served a group at once, seconds.
    both_seconds: float = 0.0
    #: Writes that a node acknowledged; None: nothing is written, the document has no filesystem on a replicated disk.
    acknowledged: int | None = None
    #: Of them, not there at the end.
    lost: int = 0
    #: Of them, on one disk only at the end of the faults.
    one_copy: int = 0
    #: What a person has to decide or do although everything that broke works again; empty: nothing.
    person: str = ""
    lines: tuple[Line, ...] = field(default=())

    @property
    def name(self) -> str:
        """What happens, see `name_of`."""
        return THEN.join(self.faults)

    @property
    def over(self) -> bool:
        """Whether every group is served at the end."""
        return all(self.afterwards.values())

    def as_data(self) -> dict[str, Any]:
        """For JSON; wire names."""
        return {
            "faults": list(self.faults),
            "weight": self.weight,
            "serves": {group: list(nodes) for group, nodes in self.serves.items()},
            "afterwards": {group: list(nodes) for group, nodes in self.afterwards.items()},
            "unavailableSeconds": self.away_seconds,
            "servedTwiceSeconds": self.both_seconds,
            "acknowledgedWrites": self.acknowledged,
            "lostWrites": self.lost,
            "writesOnOneCopy": self.one_copy,
            "needsPerson": self.person or None,
            "story": [asdict(line) for line in self.lines],
        }

    @staticmethod
    def of_data(data: Mapping[str, Any]) -> Result:
        """From what `as_data` made."""
        return Result(
            tuple(data["faults"]),
            data["weight"],
            {group: tuple(nodes) for group, nodes in data["serves"].items()},
            {group: tuple(nodes) for group, nodes in data["afterwards"].items()},
            data["unavailableSeconds"],
            data["servedTwiceSeconds"],
            data["acknowledgedWrites"],
            data["lostWrites"],
            data["writesOnOneCopy"],
            data["needsPerson"] or "",
            tuple(Line(line["seconds"], line["text"]) for line in data["story"]),
        )
