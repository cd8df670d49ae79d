"""What acts on CARP and HAST besides hactl: lines of core/probe/rivals.sh, taken apart.

`FILE:LINE:KIND:WORDS`, or `calls:FILE` for a program that a crontab or script calls, which was looked at too.
Man pages: crontab(5), rc(8), ifstated(8) of ports.
"""

from __future__ import annotations

import re

from hactl.core.facts import Rival, RivalKind
from hactl.core.parse.text import NotUnderstood

_LINE = re.compile(r"(/[^:]+):([0-9]{1,7}):([a-z]+):(.*)")
#: More than any node has; a list that is longer is not understood.
_MOST = 1000


def parse_rivals(text: str) -> tuple[Rival, ...]:
    """In the order of the files. Raises NotUnderstood for anything but such lines."""
    found: list[Rival] = []
    for line in text.splitlines():
        if not line or line.startswith("calls:"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[3] not in set(RivalKind) or len(found) >= _MOST:
            raise NotUnderstood("scripts of one's own are not as they were to be told, or too many")
        found.append(Rival(match[1], int(match[2]), RivalKind(match[3]), match[4].strip()))
    return tuple(dict.fromkeys(found))
