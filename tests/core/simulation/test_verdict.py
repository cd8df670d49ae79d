"""Objectives, comparisons and what is kept on record: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hactl.core.choices import NeedsPerson
from hactl.core.objects import HACluster, ObjectivesSpec
from hactl.core.simulation.story import Line, Result
from hactl.core.simulation.verdict import Trouble, compare, digest, misses, on_record, record_of, troubles
from support.lab.closed_loop import example

GOOD = Result(
    ("power of nas-a",), 1, {"files": ("nas-b",)}, {"files": ("nas-b",)}, 4.0, acknowledged=50, one_copy=40,
    lines=(Line(0.0, "power of nas-a"),),
)  # fmt: skip
PAIR = replace(GOOD, faults=("nas-b freezes", "power of nas-a"), weight=2)
NOBODY = replace(GOOD, afterwards={"files": ()}, person="SplitBrain: both copies were written")
WANTED = ObjectivesSpec(unavailable_seconds=15, lost_writes=0, needs_person=NeedsPerson.NEVER)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (GOOD, []),
        (replace(GOOD, away_seconds=15.0), []),
        (replace(GOOD, away_seconds=15.2), ["unavailableSeconds 15, at most 15"]),
        (replace(GOOD, lost=1), ["lostWrites 1, at most 0"]),
        (replace(GOOD, person="DiskErrors: x"), ["needsPerson yes, never wanted"]),
        (NOBODY, ["unavailableSeconds for good, at most 15", "needsPerson yes, never wanted"]),
        (replace(PAIR, lost=7, away_seconds=99.0), []),
    ],
)
def test_objectives(result: Result, expected: list[str]) -> None:
    """Each is judged by itself, for as many faults at once as the document says."""
    assert misses(WANTED, result) == expected


def test_objectives_of_two_faults_and_none() -> None:
    """`faults: 2` judges pairs too; what is absent is not judged."""
    both = WANTED.model_copy(update={"faults": 2})
    assert misses(both, replace(PAIR, lost=7)) == ["lostWrites 7, at most 0"]
    assert misses(None, NOBODY) == []
    assert misses(ObjectivesSpec(), NOBODY) == []


def test_a_person_while_it_serves() -> None:
    """WhileServing: a person may decide at leisure."""
    wanted = ObjectivesSpec(needs_person=NeedsPerson.WHILE_SERVING)
    assert misses(wanted, replace(GOOD, person="DiskErrors: x")) == []
    assert misses(wanted, NOBODY) == ["needsPerson yes, and nobody serves meanwhile"]


def test_troubles() -> None:
    """What is bad whatever the owner wants, worst first."""
    assert troubles(GOOD) == []
    assert troubles(replace(GOOD, both_seconds=1.0)) == []
    assert troubles(replace(NOBODY, serves={"files": ()}, lost=1, both_seconds=1.5)) == list(Trouble)


def test_json_keeps_everything() -> None:
    """What a story's process sends is what its parent gets."""
    for result in (GOOD, NOBODY, replace(GOOD, acknowledged=None)):
        assert Result.of_data(result.as_data()) == result


def test_comparison() -> None:
    """Worse in one thing is worse; a second more or less is nothing; other faults are named."""
    link = replace(GOOD, faults=("lan link of nas-a",))
    slower, quick = replace(GOOD, away_seconds=9.0, lost=0), replace(GOOD, away_seconds=4.9)
    mixed = replace(GOOD, away_seconds=60.0, person="")
    found = compare([GOOD, link, NOBODY_LINK], [slower, replace(link, person="x"), replace(NOBODY_LINK, afterwards=OK)])
    assert (found.common, len(found.worse), len(found.better)) == (3, 2, 1)
    assert found.worse[0].worse == ("seconds without service 4 -> 9",)
    assert found.better[0].better == ("seconds without service for good -> 4",)
    assert compare([GOOD], [quick]).worse == compare([GOOD], [quick]).better == ()
    other = compare([replace(GOOD, lost=3)], [mixed]).worse[0]
    assert (other.worse, other.better) == (("seconds without service 4 -> 60",), ("lost writes 3 -> 0",))
    assert compare([GOOD, link], [GOOD, PAIR]).gone == ("lan link of nas-a",)
    assert compare([GOOD, link], [GOOD, PAIR]).new == ("nas-b freezes, then power of nas-a",)


OK = {"files": ("nas-b",)}
NOBODY_LINK = replace(GOOD, faults=("nas-a freezes",), afterwards={"files": ()})


def document(**objectives: Any) -> HACluster:
    """The example with objectives."""
    return example("nas", lambda data: data["spec"].update(objectives=objectives or None))


def test_the_digest_is_of_what_matters() -> None:
    """Logins, passwords and labels do not; every setting that the nodes get does, and the objectives."""
    same = digest(example("nas"))
    group = "groups"
    for change in (
        lambda d: d["metadata"].update(labels={"a": "b"}),
        lambda d: d["spec"]["nodes"][0]["ssh"].update(port=22, user="admin"),
        lambda d: d["spec"][group][0]["virtualIPs"][0].update(passwordFrom={"env": "X"}),
    ):
        assert digest(example("nas", change)) == same
    for change in (
        lambda d: d["spec"][group][0].update(failback="WhenReady"),
        lambda d: d["spec"][group][0]["storage"][0]["hast"].update(timeoutSeconds=20),
        lambda d: d["spec"].update(objectives={"lostWrites": 0}),
    ):
        assert digest(example("nas", change)) != same


def test_what_is_on_record() -> None:
    """Nothing to say without objectives or when they are met; else what is missed, or that nobody simulated this."""
    wanted = document(unavailableSeconds=15)
    good, bad = record_of(wanted, 1, [GOOD, PAIR]), record_of(wanted, 1, [GOOD, NOBODY])
    assert on_record(example("nas"), [bad]) == ""
    assert on_record(wanted, [good, bad]) == ""
    assert on_record(wanted, [bad, good]) == (
        "objectives: missed in 1 of 2 simulated stories: power of nas-a: unavailableSeconds for good, at most 15"
    )
    assert on_record(wanted, []) == "objectives: no simulation of this document is on record"
    assert on_record(document(unavailableSeconds=14), [good]).endswith("no simulation of this document is on record")
    deeper = document(unavailableSeconds=15, faults=2)
    assert "with 2 faults at once" in on_record(deeper, [record_of(deeper, 1, [GOOD])])
    assert on_record(deeper, [record_of(deeper, 2, [GOOD, PAIR])]) == ""
