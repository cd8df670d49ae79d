"""Two copies side by side: every row of the handshake's table, and what the counters cannot tell."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.evidence.copies import (
    Comparison,
    Verdict,
    choose_copy,
    compare_copies,
    comparison_table,
    outruns,
)
from hactl.core.evidence.view import View
from hactl.core.facts import HastMetadata, HastRole, NoMetadata
from support.facts.builder import Scene, healthy_pair
from support.facts.hooked_scene import hook, hooked_pair, with_log


def compared(scene: Scene) -> Comparison:
    """The copies of `data`."""
    return compare_copies(
        View.at(scene.cluster, scene.snapshot, scene.snapshot.taken_at), scene.cluster.groups[0].storage[0]
    )


def counted(a: tuple[int, int], b: tuple[int, int], scene: Scene | None = None) -> Scene:
    """(localcnt, remotecnt) of both nodes."""
    start = scene or healthy_pair()
    start = start.metadata("nas-a", localcnt=a[0], remotecnt=a[1])
    return start.metadata("nas-b", localcnt=b[0], remotecnt=b[1])


PRIMARY: dict[str, Any] = {"role": HastRole.PRIMARY, "status": "degraded"}

TABLE: dict[str, tuple[Scene, Verdict, str | None]] = {
    "in step": (counted((0, 0), (0, 0)), Verdict.SAME, None),
    "in step, counted": (counted((3, 2), (2, 3)), Verdict.SAME, None),
    "first ahead": (counted((1, 0), (0, 0)), Verdict.FIRST_NEWER, "nas-a"),
    "second ahead": (counted((0, 0), (1, 0)), Verdict.SECOND_NEWER, "nas-b"),
    "both ahead (recording 05)": (counted((1, 0), (1, 0)), Verdict.DIVERGED, None),
    "counters fit nothing": (counted((0, 1), (0, 0)), Verdict.UNKNOWN, None),
    "dirty on the primary": (healthy_pair().resource("nas-a", dirty=2097152), Verdict.FIRST_NEWER, "nas-a"),
    "another resource's id": (healthy_pair().metadata("nas-b", resuid=7), Verdict.FOREIGN, None),
    "garbage": (healthy_pair().metadata("nas-b", value=NoMetadata.INVALID), Verdict.FOREIGN, None),
    "new and empty": (healthy_pair().metadata("nas-b", resuid=0), Verdict.FIRST_NEWER, "nas-a"),
    "blank": (healthy_pair().metadata("nas-a", value=NoMetadata.ABSENT), Verdict.SECOND_NEWER, "nas-b"),
    "not known": (healthy_pair().unknown("nas-b", "metadata"), Verdict.UNKNOWN, None),
    "silent": (healthy_pair().silent("nas-b"), Verdict.UNKNOWN, None),
    "stale": (healthy_pair().aged(60, "nas-b"), Verdict.UNKNOWN, None),
    "two primaries, nothing written": (healthy_pair().resource("nas-b", **PRIMARY), Verdict.UNKNOWN, None),
    "two primaries that both write, uncounted": (
        healthy_pair().resource("nas-a", dirty=4096, status="degraded").resource("nas-b", **PRIMARY, dirty=4096),
        Verdict.DIVERGED,
        None,
    ),
    "ahead before, the other writes now": (
        counted((0, 0), (1, 0), healthy_pair().resource("nas-a", dirty=4096, status="degraded")),
        Verdict.DIVERGED,
        None,
    ),
}


@pytest.mark.parametrize(("scene", "verdict", "newer"), TABLE.values(), ids=TABLE)
def test_verdicts(scene: Scene, verdict: Verdict, newer: str | None) -> None:
    """The verdict, and whose copy is the newer one."""
    found = compared(scene)
    assert (found.verdict, found.newer) == (verdict, newer)
    assert found.apart == (verdict in (Verdict.DIVERGED, Verdict.FOREIGN))


def test_the_table_shows_both_sides() -> None:
    """Counters, resource id, dirty bytes and who wrote alone, a column for each node."""
    scene = counted((1, 0), (1, 0), healthy_pair().resource("nas-a", dirty=10485760, status="degraded"))
    header, rows = comparison_table(compared(scene))
    cells = {row[0]: row[1:] for row in rows}
    assert header == ["", "nas-a", "nas-b"]
    assert cells["localcnt"] == ["1", "1"]
    assert cells["wrote alone"] == ["yes", "yes"]
    assert cells["dirty"] == ["10485760 bytes (10 MiB)", "not counted"]
    assert cells["resuid"] == ["4022304802173682088"] * 2
    assert cells["mounted"] == ["yes", "no"]


def test_the_timeline_is_the_groups_own() -> None:
    """State changes of its vhids and moves of the hook; other vhids and other groups are left out."""
    log = ("80@vtnet1: BACKUP -> MASTER (master timed out)", "9@vtnet1: INIT -> BACKUP (initialization complete)")
    moves = ("1795450000 files took 12 serving", "1795450000 other took 1 x", "179545")
    scene = with_log(hook(hooked_pair(), "nas-b", moves=moves), "nas-b", log)
    assert compared(scene).copy("nas-b").timeline == (log[0], "2026-11-23 16:06:40Z hook: took serving")


def _copy(resuid: int = 7, prevrole: str = "secondary") -> HastMetadata:
    return HastMetadata("data", 134213120, 2097152, 64, 4608, resuid, 0, 0, prevrole)


@pytest.mark.parametrize(
    ("a", "b", "chosen"),
    [
        (_copy(), _copy(resuid=0), "a"),
        (_copy(resuid=0), _copy(), "b"),
        (_copy(), _copy(prevrole="primary"), "b"),
        (_copy(prevrole="primary"), _copy(), "a"),
        (_copy(prevrole="primary"), _copy(prevrole="primary"), "a"),
        (_copy(), _copy(), "a"),
    ],
    ids=["b is empty", "a is empty", "b served last", "a served last", "both served", "neither served"],
)
def test_of_two_copies_that_agree_the_one_that_was_written_serves(
    a: HastMetadata, b: HastMetadata, chosen: str
) -> None:
    """An empty copy never; during a first sync the source; else the preferred node (I4)."""
    assert choose_copy("data", {"a": a, "b": b}, ("a", "b")).node == chosen


@pytest.mark.parametrize(
    ("sleeper", "serves", "expected"),
    [
        ((1, 1), (1, 0), "nas-a"),
        ((2, 1), (1, 1), "nas-a"),
        ((1, 1), (1, 1), None),
        ((0, 1), (1, 0), None),
        ((1, 0), (0, 0), None),
    ],
)
def test_a_sleeper_outruns_only_where_hastd_would_take_its_copy(
    sleeper: tuple[int, int], serves: tuple[int, int], expected: str | None
) -> None:
    """Where what the other node writes alone is not counted, and what it wrote itself is."""
    scene = hook(counted(sleeper, serves, hooked_pair()), "nas-a", fenced={"data": (1796003000, 24)})
    view = View.at(scene.cluster, scene.snapshot, scene.snapshot.taken_at)
    assert outruns(view, scene.cluster.groups[0].storage[0]) == expected
