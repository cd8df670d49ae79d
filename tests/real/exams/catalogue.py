"""Every exam by name, in the order in which all of them run."""

from __future__ import annotations

from . import blank, moves, power
from .exam import Exam

EXAMS: tuple[Exam, ...] = (
    blank.blank,
    power.power_cut,
    moves.switchover,
)
#: What CI has time for.
SHORT = ("blank/nas", "power-cut/01", "switchover/01")
