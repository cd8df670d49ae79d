"""When a cluster is looked at again."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.pace.gate import Gate
from hactl.core.pace.interval import Pace, Passing, next_look_seconds
from hactl.core.steps import Hold, Plan


def seconds(gate: Gate = Gate.OPEN, **known: Any) -> float:
    """Until the next look, with nothing going on but that, and all times doubled by chance."""
    given = {"moving": False, "passing_for": None, "moments": (), **known}
    return next_look_seconds(Pace(), gate, spread=lambda each: 2 * each, **given)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, 60.0),
        ({"moving": True}, 4.0),
        ({"gate": Gate.BUSY}, 6.0),
        ({"gate": Gate.STORE, "moving": True}, 6.0),
        ({"gate": Gate.PAUSED}, 60.0),
        ({"passing_for": 0.0}, 2.0),
        ({"passing_for": 20.0}, 6.0),
        ({"passing_for": 5000.0}, 20.0),
        ({"moments": (50.0, 3.0)}, 3.0),
        ({"moments": (3.0,), "passing_for": 0.0}, 2.0),
    ],
)
def test_the_first_of_what_may_change_counts(known: dict[str, Any], expected: float) -> None:
    """Routine looks are rare, moments that are known are kept to."""
    assert seconds(**known) == expected


def test_what_passes_by_itself_is_timed_from_when_it_was_last_something_else() -> None:
    """A message that changes is the same hold; holds for people do not count."""

    def plan(*holds: Hold) -> Plan:
        return Plan("pair", 1, (), holds)

    one = Hold("Synchronising", "40 % left", node="b", target="data", passing=True)
    later = Hold("Synchronising", "30 % left", node="b", target="data", passing=True)
    other = Hold("Electing", "no MASTER yet", target="vtnet1 vhid 80", passing=True)
    person = Hold("SplitBrain", "both copies were written")
    passing = Passing().renewed(plan(one, person), 10.0)
    assert passing.since == 10.0
    assert passing.renewed(plan(later), 20.0) == passing
    assert passing.renewed(plan(other, later), 30.0).since == 30.0
    assert passing.renewed(plan(person), 40.0).holds == ()
