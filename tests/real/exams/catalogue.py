"""Every exam by name, in the order in which all of them run."""

from __future__ import annotations

from ..scenes.facts import facts
from .blank import blank
from .cable import cable
from .drift import document, drift
from .exam import Exam
from .full import full
from .hand_made.adopt import adopt
from .lost_writes import lost_writes
from .moves import reboot, switchover
from .power import power_cut, power_cut_both
from .resources import resources
from .sight.access import access
from .sight.look import look
from .sight.told import told
from .sleep import freeze
from .torn import power_cut_config

EXAMS: tuple[Exam, ...] = (
    blank, look, told, access, drift, document, power_cut, power_cut_both, freeze, cable, switchover, reboot,
    power_cut_config, full, resources, adopt, lost_writes, facts,
)  # fmt: skip
#: What CI has time for.
SHORT = ("blank/nas", "power-cut/01", "switchover/01")
