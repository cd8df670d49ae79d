"""What the node hook of a node wrote down of its moves, one line each: `EPOCH GROUP WHAT SECONDS TEXT`.

Rules: a line that was cut while it was written, or that is not the hook's, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hactl.core.facts import HookFacts

_LINE = re.compile(r"([0-9]{1,18}) (\S+) (\S+) ([0-9]{1,9}(?:\.[0-9]{0,9})?)(?: (.*))?")
#: `what` of a move that brought the group to the node.
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
    #: took, gave, stopped or reported.
    what: str
    #: From its trigger to its end.
    seconds: float
    text: str


def moves_of(hook: HookFacts | None, group: str) -> Iterator[HookMove]:
    """What the hook did with that group, oldest first; nothing where that is not known."""
    for line in hook.moves if hook is not None else ():
        found = _LINE.fullmatch(line)
        if found is not None and found[2] == group:
            yield HookMove(int(found[1]), found[3], float(found[4]), found[5] or "")
