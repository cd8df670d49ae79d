"""How old a status may be and still be believed: past its age nothing in it says how things are now.

Rules: it is told from when the nodes were looked at last, not from when the status changed last; what is too old is
Unknown with the reason and with what it was, never True and never gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hactl.core.catalogue import ConditionReason

#: A status older than this says nothing about now, seconds: several looks of the usual pace were missed.
FRESH_SECONDS = 120.0
#: With rarer looks (`run --resync`): so many of them missed.
MISSED_LOOKS = 4.0


def limit_seconds(resync_seconds: float) -> float:
    """How old a status may be where every cluster is looked at that often."""
    return max(FRESH_SECONDS, MISSED_LOOKS * resync_seconds)


def age_seconds(status: Mapping[str, Any] | None, wall: datetime) -> float | None:
    """Seconds since the nodes were looked at; None: that is not known."""
    observed = (status or {}).get("observedAt")
    return None if not observed else (wall - datetime.fromisoformat(observed)).total_seconds()


def is_fresh(status: Mapping[str, Any] | None, wall: datetime, limit: float = FRESH_SECONDS) -> bool:
    """Whether it still says how things are. One from a time to come (a clock was set back) has no age that is known."""
    age = age_seconds(status, wall)
    return age is not None and -FRESH_SECONDS <= age <= limit


def believed(status: Mapping[str, Any], wall: datetime, *, why: str, limit: float = FRESH_SECONDS) -> Mapping[str, Any]:
    """The status as it may be believed at `wall`: past its age every condition is Unknown.

    `why`: why nobody has looked, for people.
    """
    if is_fresh(status, wall, limit):
        return status
    observed = status.get("observedAt")
    since = f"nobody has looked at the nodes since {observed}" if observed else "nobody has looked at the nodes"
    conditions = [
        {
            **each,
            "status": "Unknown",
            "reason": ConditionReason.STALE.value,
            "message": f"{since}: {why}; then it was {each['status']}: {each.get('message', '')}".rstrip(": "),
        }
        for each in status.get("conditions", ())
        if each["reason"] != ConditionReason.STALE
    ]
    return {**status, "conditions": conditions} if conditions else status


def newer(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of two statuses of one cluster the one whose look was later; the second one when they are of one second."""
    return one if str(one.get("observedAt") or "") > str(other.get("observedAt") or "") else other
