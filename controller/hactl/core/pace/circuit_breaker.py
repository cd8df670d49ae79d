"""The circuit breaker: when many nodes vanish at once our own network is suspected, and nothing is changed anywhere.

Rules: it judges the newest look at every node of the fleet; it trips at three silent nodes that are at least half of
all; it recovers by itself as soon as that is no longer so. Looking and planning go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hactl.core.facts import Known, Snapshot

#: Fewer silent nodes than this say nothing about our own network: a pair that lost its power is a pair's trouble.
LEAST_SILENT = 3
#: The part of the fleet that must be silent.
PART = 0.5


def fleet_silent(looks: Iterable[tuple[str, str, bool]]) -> str:
    """Why nothing is changed, for people; empty: it may be.

    `looks`: cluster, node, and whether the node gave facts in its newest look.
    """
    answers = [(f"{cluster}/{node}", answered) for cluster, node, answered in looks]
    silent = sorted(name for name, answered in answers if not answered)
    if len(silent) < LEAST_SILENT or len(silent) < PART * len(answers):
        return ""
    shown = ", ".join(silent[:LEAST_SILENT]) + (f" and {len(silent) - LEAST_SILENT} more" if silent[3:] else "")
    return f"{len(silent)} of {len(answers)} nodes are silent ({shown}): our own network is suspected"


def newest_answers(snapshots: Mapping[str, Snapshot]) -> Iterator[tuple[str, str, bool]]:
    """What `fleet_silent` judges, of the newest look at every cluster."""
    for cluster, snapshot in snapshots.items():
        for node, reading in snapshot.nodes.items():
            yield cluster, node, isinstance(reading, Known)
