"""The pure parts of the exams: what is torn, which steps were too many, what chance draws, which rounds are run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from real.__main__ import chosen
from real.exams.catalogue import EXAMS
from real.exams.drift import DRIFTS, STANDBY, Drift, unexpected
from real.exams.lost_writes import KINDS, drawn
from real.exams.torn import torn
from real.options import Wrong, read_options
from real.outcome.rounds import chance


def _step(node: str, verb: str) -> dict[str, Any]:
    return {"node": node, "verb": verb}


def test_what_a_power_cut_leaves_of_files() -> None:
    """NUL bytes, nothing, half a line and files that are gone; those that were so before are no news."""
    before = {
        "/etc/rc.conf": b"a\n",
        "/etc/spwd.db": b"\0\1",
        "/etc/motd": b"",
        "/etc/hast.conf": b"x\n",
        "/etc/x": b"\n",
    }
    assert torn(before, before) == []
    after = {
        "/etc/rc.conf": b"a\n\0\0",
        "/etc/spwd.db": b"\0\2",
        "/etc/motd": b"",
        "/etc/hast.conf": b"",
        "/etc/new": b"",
    }
    assert torn(before, after) == [
        "/etc/rc.conf has NUL bytes", "/etc/hast.conf is empty", "/etc/new is empty", "/etc/x is gone",
    ]  # fmt: skip
    assert torn({"/etc/a": b"one\ntwo\n"}, {"/etc/a": b"one\ntw"}) == ["/etc/a ends in the middle of a line"]


def test_steps_of_a_drift_are_those_and_no_others() -> None:
    """Each as often as it is named, on the node that it is named for."""
    change = Drift("x", STANDBY, "true", ("SetVhid", "AddAddress"))
    assert unexpected(change, "b", [_step("b", "AddAddress"), _step("b", "SetVhid"), _step("b", "ConfirmCopy")]) == []
    assert unexpected(change, "b", [_step("a", "SetVhid"), _step("b", "AddAddress")]) == [
        "SetVhid on a ran too", "SetVhid did not run",
    ]  # fmt: skip


def test_there_are_thirty_kinds_of_drift() -> None:
    """At least, and no name twice."""
    assert len(DRIFTS) >= 30
    assert not [name for name, count in Counter(each.name for each in DRIFTS).items() if count > 1]


def test_sixty_rounds_draw_every_kind_of_fault() -> None:
    """With and without a controller; the same seed draws the same."""
    rounds = next(exam.rounds for exam in EXAMS if exam.name == "lost-writes")
    faults = [drawn(chance(1, "13.2", "lost-writes", name)) for name in rounds]
    assert len(faults) >= 60
    assert {fault.kind for fault in faults} == set(KINDS)
    assert {fault.controller for fault in faults} == {True, False}
    assert faults == [drawn(chance(1, "13.2", "lost-writes", name)) for name in rounds]


def test_exams_are_chosen_by_name() -> None:
    """All, some, one round, the short ones; another number of rounds; a word that is none is refused."""

    def words(**settings: str) -> list[str]:
        return [f"{exam.name}/{name}" for exam, name in chosen(read_options({"HACTL_REAL": "images", **settings}))]

    assert len(words()) == sum(len(exam.rounds) for exam in EXAMS)
    assert words(EXAM="short") == ["blank/nas", "power-cut/01", "switchover/01"]
    assert words(EXAM="power-cut,reboot/both", TRIES="2") == ["power-cut/01", "power-cut/02", "reboot/both"]
    for wrong in ("nothing", "power-cut/9999"):
        with pytest.raises(Wrong):
            words(EXAM=wrong)
