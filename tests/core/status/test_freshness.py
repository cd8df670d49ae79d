"""What is too old is not believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.core.status.freshness import FRESH_SECONDS, believed, is_fresh, limit_seconds, newer

LOOKED = datetime(2026, 11, 30, 3, tzinfo=UTC)
STATUS: dict[str, Any] = {
    "observedAt": "2026-11-30T03:00:00Z",
    "active": "nas-a",
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "AsDesired", "message": "", "lastTransitionTime": "then"},
        {"type": "FailoverReady", "status": "False", "reason": "Drained", "message": "nas-b is drained"},
    ],
}


def test_past_its_age_every_condition_is_unknown_and_says_what_it_was() -> None:
    """To the second; nothing else of the status changes, and nothing is said twice."""
    edge = LOOKED + timedelta(seconds=FRESH_SECONDS)
    assert believed(STATUS, edge, why="x") is STATUS
    old = believed(STATUS, edge + timedelta(seconds=1), why="no controller runs on this record")
    assert [(c["type"], c["status"], c["reason"]) for c in old["conditions"]] == [
        ("Ready", "Unknown", "Stale"),
        ("FailoverReady", "Unknown", "Stale"),
    ]
    since = "nobody has looked at the nodes since 2026-11-30T03:00:00Z: no controller runs on this record; then it was"
    assert [c["message"] for c in old["conditions"]] == [f"{since} True", f"{since} False: nas-b is drained"]
    assert old["conditions"][0]["lastTransitionTime"] == "then"
    assert old["active"] == "nas-a"
    assert not is_fresh(STATUS, LOOKED - timedelta(seconds=FRESH_SECONDS + 1))
    assert not is_fresh(None, LOOKED)
    assert not is_fresh({}, LOOKED)
    assert believed({}, LOOKED, why="x") == {}


def test_rare_looks_have_more_time_and_of_two_looks_the_later_counts() -> None:
    """`run --resync 10m` is no reason to say Unknown in between."""
    assert (limit_seconds(30.0), limit_seconds(600.0)) == (FRESH_SECONDS, 2400.0)
    later = {**STATUS, "observedAt": "2026-11-30T03:00:05Z"}
    assert newer(STATUS, later) is later
    assert newer(later, STATUS) is later
    assert newer(STATUS, dict(STATUS)) is not STATUS
