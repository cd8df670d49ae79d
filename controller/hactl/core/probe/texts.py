"""The text of a few files of a node, for people who compare what is there with what would be: read only, in one exec.

Rules: never asked for files that may hold secrets; a file that cannot be read whole is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from hactl.core.parse.answer.frames import FRAME, split_frames
from hactl.core.script import PATH
from hactl.core.sh import quote

#: Bytes of one file; a longer one is left out.
TEXT_LIMIT = 256 * 1024


def texts_script(paths: Sequence[str], nonce: str) -> str:
    """The script for `/bin/sh -s`; `nonce` frames its answer (see `hactl.core.parse.answer.frames`)."""
    frame = quote(f"{FRAME} {nonce}")
    lines = [f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL"]
    for number, path in enumerate(paths):
        lines.append(f"printf '%s begin %s\\n' {frame} {number}; head -c {TEXT_LIMIT + 1} {quote(path)} 2>/dev/null")
        lines.append(f"h_r=$?; printf '\\n%s end %s %s\\n' {frame} {number} $h_r")
    lines.append(f"printf '%s done\\n' {frame}")
    return "\n".join(lines) + "\n"


def parse_texts(paths: Sequence[str], answer: str, nonce: str) -> dict[str, str]:
    """Path -> text of what was read whole; empty when the answer is not ours."""
    try:
        sections = split_frames(answer, nonce).sections
    except ValueError:
        return {}
    found = {path: sections.get(str(number)) for number, path in enumerate(paths)}
    return {
        path: section.text
        for path, section in found.items()
        if section is not None and section.status == 0 and len(section.text.encode()) <= TEXT_LIMIT
    }
