"""The circuit breaker: when so many nodes are silent that the trouble is ours."""

from __future__ import annotations

import pytest

from hactl.core.pace.circuit_breaker import fleet_silent


@pytest.mark.parametrize(
    ("silent", "answering", "trips"),
    [
        (0, 0, False),
        (2, 0, False),
        (2, 2, False),
        (3, 0, True),
        (3, 3, True),
        (3, 4, False),
        (4, 4, True),
        (0, 5, False),
        (50, 49, True),
    ],
)
def test_the_breaker_trips_at_three_silent_nodes_that_are_half_of_all(silent: int, answering: int, trips: bool) -> None:
    """A pair that lost its power is a pair's trouble; half a fleet is ours."""
    looks = [("c", f"s{n}", False) for n in range(silent)] + [("c", f"a{n}", True) for n in range(answering)]
    assert bool(fleet_silent(looks)) is trips


def test_the_breaker_names_some_of_them() -> None:
    """Enough to know where to look, in an order that does not change from look to look."""
    looks = [(cluster, "a", False) for cluster in "dcba"]
    assert fleet_silent(looks) == fleet_silent(reversed(looks))
    assert fleet_silent(looks).startswith("4 of 4 nodes are silent (a/a, b/a, c/a and 1 more)")
