"""What is asked of a gate, as the typed lines that gate.sh reads. No line of it is sh."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from hactl.core.cluster import Cluster
from hactl.core.gate.render import TEXTS
from hactl.core.parse.question import Question
from hactl.core.probe.script import known_services

#: What the gate exits with when it refuses; its sentence is the last line of standard error, after `GATE_SAYS`.
REFUSED_STATUS = 77
GATE_SAYS = "hactl-gate: "
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def look_request(gate: str, cluster: Cluster, nonce: str, question: Question, seconds: float) -> str:
    """One look: see `hactl.core.probe.script.probe_script`. `seconds`: the node ends it then."""
    known = question.known
    return _request(
        gate,
        [
            f"look {_whole(seconds)}",
            f"nonce {nonce}",
            f"parts {' '.join(sorted(question.parts))}",
            f"quick {int(question.quick)}",
            f"bounded {int(question.bounded)}",
            f"services {known_services(cluster, question)}",
            f"pids {known.pids}",
            *_told("file", known.files),
            *_told("process", known.processes),
        ],
    )


def texts_request(gate: str, paths: Sequence[str], nonce: str, seconds: float) -> str:
    """The text of some files: see `hactl.core.probe.texts.texts_script`. All of them are of `TEXTS`."""
    numbers = [f"text {TEXTS.index(path)}" for path in paths]
    return _request(gate, [f"texts {_whole(seconds)}", f"nonce {nonce}", *numbers])


def listen_request(gate: str) -> str:
    """What tells at once (`hactl.core.probe.listening.LISTEN`); nothing is noted on the node."""
    return _request(gate, ["listen"])


def _told(word: str, text: str) -> list[str]:
    """What the node told last, line by line; nothing when a name has what no request may: it is read again."""
    lines = text.rstrip("\n").split("\n") if text else []
    return [] if any(_CONTROL.search(line) for line in lines) else [f"{word} {line}" for line in lines]


def _request(gate: str, lines: Iterable[str]) -> str:
    return "\n".join([f"gate {gate}", *lines, "."]) + "\n"


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
