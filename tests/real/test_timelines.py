"""Outages as the client tells them, and the hook's notes."""

from __future__ import annotations

from real.outcome.timelines import away, longest, moves, outages

EVENTS = [
    {"t": 1.0, "kind": "tcp", "what": "first", "node": "nas-a"},
    {"t": 5.7, "kind": "tcp", "what": "lost", "from": 5.0},
    {"t": 6.0, "kind": "tcp", "what": "back", "from": 5.0, "node": "nas-a"},
    {"t": 20.3, "kind": "ping", "what": "lost", "from": 20.0},
    {"t": 20.8, "kind": "tcp", "what": "lost", "from": 20.1},
    {"t": 23.4, "kind": "ping", "what": "back", "from": 20.0, "node": "nas-b"},
    {"t": 24.0, "kind": "tcp", "what": "back", "from": 20.1, "node": "nas-b"},
    {"t": 25.7, "kind": "tcp", "what": "lost", "from": 25.0},
    {"t": 29.0, "kind": "tcp", "what": "back", "from": 25.0, "node": "nas-b"},
]
LATE = [
    {"t": 60.7, "kind": "ping", "what": "lost", "from": 60.2},
    {"t": 60.8, "kind": "ping", "what": "back", "from": 60.2, "node": "nas-b"},
]


def test_an_outage_lasts_from_the_last_good_answer_to_the_next() -> None:
    """Those that were over before the fault are not of it."""
    assert [each.seconds for each in outages(EVENTS, "ping")] == [23.4 - 20.0]
    assert [each.since for each in outages(EVENTS, "tcp", 20.05)] == [20.1, 25.0]
    assert longest(EVENTS, "tcp", 24.5) == 4.0


def test_away_counts_from_the_fault_to_the_end_of_the_last_outage() -> None:
    """A service that comes and goes again is not back."""
    assert away(EVENTS, "tcp", 20.0) == 9.0
    assert away(EVENTS + LATE, "ping", 20.0) == 23.4 - 20.0
    assert away(EVENTS, "ping", 24.0) == 0.0


def test_what_never_came_back_is_away_for_ever() -> None:
    """And its outage has no end."""
    assert away(EVENTS[:-1], "tcp", 20.0) == float("inf")
    assert outages(EVENTS[:-1], "tcp")[-1].until is None


def test_the_notes_of_the_hook() -> None:
    """What does not look like one is left out."""
    text = "1764452000 files took 43 peer 18 gone 2 role 17\nnonsense\n1764452100 files gave 3 \n"
    assert moves(text) == [("took", "43", "peer 18 gone 2 role 17"), ("gave", "3", "")]
