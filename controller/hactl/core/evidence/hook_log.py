"""What the node hook of a node wrote down of its moves, one line each: `EPOCH GROUP WHAT SECONDS TEXT`.

The text of a move is its phases with their seconds (`peer 2 role 1 filesystem 1 services 3`), and may end with
`of R/S`: how many resources and services the group had then.

Rules: a line that was cut while it was written, or that is not the hook's, is passed over. A move that a person began
(`hook react`) has another WHAT than one that CARP began: how long somebody waited before that is nobody's measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hactl.core.facts import HookFacts

_LINE = re.compile(r"([0-9]{1,18}) (\S+) (\S+) ([0-9]{1,9}(?:\.[0-9]{0,9})?)(?: (.*))?")
_PHASE = re.compile(r"([a-z-]+) ([0-9]{1,9}(?:\.[0-9]{1,9})?)(?: |$)")
_PARTS = re.compile(r"of ([0-9]{1,4})/([0-9]{1,4})$")
#: `what` of a move that brought the group to the node after CARP had moved its addresses there.
TOOK = "took"
#: `what` of a group that was given up because its addresses had gone.
GAVE = "gave"
#: `what` of a move that the hook gave up.
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class HookMove:
    """One thing that the hook did with a group."""

    #: The node's clock, seconds since 1970.
    epoch: int
    #: took, gave, stopped, reported, or another word of the hook's.
    what: str
    #: From its trigger to its end.
    seconds: float
    text: str
    #: Seconds of each phase of a move, in the order they passed; empty: the text is something else.
    phases: Mapping[str, float] = field(default_factory=dict)
    #: How many resources and services the group had; None: not noted.
    parts: tuple[int, int] | None = None


def moves_of(hook: HookFacts | None, group: str) -> Iterator[HookMove]:
    """What the hook did with that group, oldest first; nothing where that is not known."""
    for line in hook.moves if hook is not None else ():
        found = _LINE.fullmatch(line)
        if found is not None and found[2] == group:
            yield _move(int(found[1]), found[3], float(found[4]), found[5] or "")


def _move(epoch: int, what: str, seconds: float, text: str) -> HookMove:
    parts = _PARTS.search(text)
    counted = text[: parts.start()] if parts else text
    pairs = _PHASE.findall(counted)
    if "".join(f"{name} {number} " for name, number in pairs).strip() != counted.strip():
        return HookMove(epoch, what, seconds, text)
    phases: dict[str, float] = {}
    for name, number in pairs:
        phases[name] = phases.get(name, 0.0) + float(number)
    return HookMove(epoch, what, seconds, text, phases, (int(parts[1]), int(parts[2])) if parts else None)
