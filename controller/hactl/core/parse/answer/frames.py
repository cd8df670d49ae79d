"""The frames of a probe's answer: which section said what, with which exit status, and whether the end was reached.

A section is `FRAME nonce begin NAME`, its output, a line feed, `FRAME nonce end NAME STATUS`; the last line is
`FRAME nonce done`. The line feed before an end belongs to the frame, so output without a final newline is exact.
Nothing a command prints can be taken for a frame: it would have to know the nonce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Opens every frame line. The same words as in scripts of steps, so that one search finds both in a transcript.
FRAME = "%%hactl"


@dataclass(frozen=True, slots=True)
class Section:
    """What one query printed."""

    text: str
    status: int

    @property
    def timed_out(self) -> bool:
        """timeout(1) ended it: 124, or 137 when it had to kill."""
        return self.status in (124, 137)


@dataclass(frozen=True, slots=True)
class Frames:
    """An answer taken apart."""

    sections: Mapping[str, Section]
    #: Sections that began but did not end, with what came of them.
    partial: Mapping[str, str]
    #: The `done` line was there: a section that is missing was not asked, not lost.
    complete: bool
    #: What stood before the first frame: a login shell's banner.
    banner: str = ""
    #: What stood between frames: messages of the shell itself.
    stray: tuple[str, ...] = field(default=())


def split_frames(text: str, nonce: str) -> Frames:
    """Take an answer apart. Raises ValueError when there is no frame of that nonce at all."""
    mark = re.compile(
        rf"(?m)^{re.escape(FRAME)} {re.escape(nonce)} (?:(begin) (\S+)|(end) (\S+) ([0-9]{{1,5}})|(done))\r?$\n?"
    )
    matches = list(mark.finditer(text))
    if not matches:
        raise ValueError("no frame of ours in the answer")
    sections: dict[str, Section] = {}
    partial: dict[str, str] = {}
    stray: list[str] = []
    open_name, start, complete = None, 0, False
    for match in matches:
        between = text[start : match.start()]
        begin, begun, end, ended, status, done = match.groups()
        if open_name is not None and end and ended == open_name:
            sections.setdefault(open_name, Section(between.removesuffix("\n"), int(status)))
            open_name = None
        elif open_name is not None:
            partial.setdefault(open_name, between)
            open_name = None
        elif start and between.strip():
            stray.append(between.strip())
        if begin:
            open_name = begun
        complete = complete or bool(done)
        start = match.end()
    if open_name is not None:
        partial.setdefault(open_name, text[start:])
    return Frames(sections, partial, complete, text[: matches[0].start()], tuple(stray))
