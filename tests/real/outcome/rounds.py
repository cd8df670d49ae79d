"""Rounds of exams: what one came to, the chance it drew from, and the file that lets a run go on where it stopped."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    """Worst first: `failed` is safety or correctness, `goal missed` is only slower than was asked for."""

    FAILED = "failed"
    BROKEN = "not known"
    GOAL_MISSED = "goal missed"
    NOT_RUN = "not run"
    PASSED = "passed"


@dataclass
class Outcome:
    """What a round came to; remarks are sentences for people."""

    verdict: Verdict = Verdict.PASSED
    seconds: dict[str, float] = field(default_factory=dict)
    predicted: float | None = None
    phases: str = ""
    #: What a program start took on the active node when the round began: how slow or busy the machines were.
    start_ms: float | None = None
    remarks: list[str] = field(default_factory=list)
    #: What the table has no column for: commands of each drift, for one.
    details: list[str] = field(default_factory=list)

    def say(self, verdict: Verdict, remark: str) -> None:
        """The worse verdict counts."""
        self.verdict = worst(self.verdict, verdict)
        self.remarks.append(remark)

    def must(self, holds: object, remark: str) -> None:
        """Correctness."""
        if not holds:
            self.say(Verdict.FAILED, remark)

    def goal(self, what: str, seconds: float, limit: float) -> None:
        """A time, and what was asked for."""
        self.seconds[what] = seconds
        if not seconds <= limit:
            self.say(Verdict.GOAL_MISSED, f"{what} {seconds:.1f} s, goal {limit:g} s")


def worst(*verdicts: Verdict) -> Verdict:
    """In the order in which they are declared."""
    return min(verdicts, key=list(Verdict).index)


def within(measured: float, predicted: float | None) -> bool:
    """A prediction is good within 30 % or 2 s."""
    return predicted is not None and abs(measured - predicted) <= max(0.3 * measured, 2.0)


def chance(seed: int, release: str, exam: str, name: str) -> random.Random:
    """The same for the same round, whatever ran before."""
    return random.Random(f"{seed}/{release}/{exam}/{name}")


def key(release: str, exam: str, name: str) -> str:
    """What a round is called in the state file and among the evidence."""
    return f"{release}/{exam}/{name}"


class State:
    """Finished rounds, written after each one."""

    def __init__(self, file: Path) -> None:
        """Reads what is there."""
        self.file = file
        self.rounds: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def done(self, name: str) -> bool:
        """Known: one whose verdict is `not known` or `not run` is tried again."""
        known = self.rounds.get(name)
        return known is not None and known["verdict"] not in (Verdict.BROKEN, Verdict.NOT_RUN)

    def record(self, name: str, outcome: Outcome) -> None:
        """Whole beside it and renamed: a run may be killed at any moment."""
        self.rounds[name] = asdict(outcome)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.rounds, indent=1))
        part.replace(self.file)

    def outcomes(self) -> Mapping[str, Outcome]:
        """By key."""
        return {name: Outcome(**{**each, "verdict": Verdict(each["verdict"])}) for name, each in self.rounds.items()}
