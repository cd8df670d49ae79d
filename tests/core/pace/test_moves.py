"""Which groups moved, by whom, and whether they move too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hactl.core.changes.hast import SetRole
from hactl.core.cluster import Cluster
from hactl.core.facts import HastRole, Snapshot
from hactl.core.operations import Kind, OpenOperations, Operation, Overrides
from hactl.core.pace.moves import Moves, lost_groups
from hactl.core.steps import Plan, Risk, Stage, Step
from support.facts.hooked_scene import hook, hooked_pair
from support.toy_world import make_document

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CLUSTER = Cluster(make_document().cluster)
SILENT = Snapshot(0.0, {})


def status(active: str | None) -> dict[str, Any]:
    """The group is there."""
    return {"groups": [{"name": "g", "active": active}]}


def row(minutes_ago: float, to: str = "b") -> dict[str, Any]:
    """A move on record."""
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {"at": at, "detail": {"group": "g", "to": to}}


@pytest.mark.parametrize(
    ("minutes", "frozen"), [([50, 30, 20, 10], True), ([30, 20, 10], False), ([70, 30, 20, 10], False)]
)
def test_four_moves_within_an_hour_are_too_many(minutes: list[float], frozen: bool) -> None:
    """By default; what is older does not count."""
    moves = Moves()
    moves.read(row(each) for each in minutes)
    found = moves.frozen(CLUSTER, NOW)
    assert found == ({"g": "it moved 4 times within an hour (maxMovesPerHour is 4)"} if frozen else {})


def test_where_a_group_was_that_was_nowhere_is_known_from_its_last_move() -> None:
    """Rows about groups that are somewhere say nothing new."""
    assert lost_groups(status(None)) == {"g"}
    moves = Moves()
    moves.begin(status(None), [row(20, "a"), row(10, "b")])
    assert [event[1] for event in moves.events(status("a"), OpenOperations(), SILENT)] == [
        "g moved from b to a, by the nodes themselves"
    ]
    moves.begin(status("a"), [row(10, "b")])
    assert moves.events(status("a"), OpenOperations(), SILENT) == []


def test_a_move_that_an_operation_or_our_own_steps_were_to_bring_about_is_ours() -> None:
    """With the number of the operation, if there is one; once it is on record the next one is judged anew."""
    wanted = Operation(3, "pair", Kind.SWITCHOVER, "root", "", NOW, group="g", node="b")
    asked = OpenOperations((wanted,), Overrides(moves={"g": "b"}))
    moves = Moves()
    moves.begin(status("a"))
    ((_, _, _, detail),) = moves.events(status("b"), asked, SILENT)
    assert (detail["by"], detail["operation"]) == ("hactl", 3)
    moves.acting(Plan("pair", 1, active={"g": "a"}, goals={"g": "b"}))
    events = moves.events(status("b"), OpenOperations(), SILENT)
    assert (events[0][3]["by"], events[0][3]["operation"]) == ("hactl", None)
    moves.recorded(status("b"), events)
    assert not moves.are_read
    moves.recorded(status("a"), [])
    assert moves.events(status("b"), OpenOperations(), SILENT)[0][3]["by"] == "nodes"


def test_a_group_whose_storage_we_made_primary_came_because_of_us() -> None:
    """After a failover that nobody took, or that waited for a person."""
    moves = Moves()
    moves.begin({"groups": [{"name": "g", "active": "a", "storage": [{"name": "data"}]}]})
    step = Step.of("b", SetRole("data", HastRole.PRIMARY), "nobody is primary", Risk.NONE)
    moves.acting(Plan("pair", 1, (Stage("HAST", (step,)),), active={"g": "b"}, goals={"g": "b"}))
    there = {"groups": [{"name": "g", "active": "b", "storage": [{"name": "data"}]}]}
    events = moves.events(there, OpenOperations(), SILENT)
    assert events[0][1] == "g moved from a to b, by hactl"
    moves.recorded(there, events)
    back = {"groups": [{"name": "g", "active": "a", "storage": [{"name": "data"}]}]}
    assert moves.events(back, OpenOperations(), SILENT)[0][3]["by"] == "nodes"


def test_only_a_new_note_of_the_hook_measures_a_move() -> None:
    """A note of an hour ago, or of a move that a person began, is about something else."""
    scene = hooked_pair()

    def noted(*lines: str) -> tuple[dict[str, Any], Snapshot]:
        """nas-b is active, and its hook has noted this."""
        found = {
            "groups": [{"name": "files", "active": "nas-b"}],
            "nodes": [{"name": "nas-b", "hook": {"moves": lines}}],
        }
        return found, hook(scene, "nas-b", moves=lines).snapshot

    old = "1795450000 files took 53 peer 50 role 3"
    before = {**noted(old)[0], "groups": [{"name": "files", "active": "nas-a"}]}
    moves = Moves()
    moves.begin(before)
    status_now, snapshot = noted(old)
    assert moves.events(status_now, OpenOperations(), snapshot)[0][1] == (
        "files moved from nas-a to nas-b, by the nodes themselves"
    )
    status_now, snapshot = noted(old, "1795459000 files took-by-hand 140 peer 140")
    assert moves.events(status_now, OpenOperations(), snapshot)[0][3]["seconds"] is None
    status_now, snapshot = noted(old, "1795459000 files took 7 peer 3 role 4")
    assert moves.events(status_now, OpenOperations(), snapshot)[0][3]["seconds"] == 7
