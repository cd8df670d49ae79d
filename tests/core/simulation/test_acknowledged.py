"""The judge of records: what is lost, torn, out of order, or acknowledged by two."""

from __future__ import annotations

import pytest

from hactl.core.simulation.acknowledged import Ack, judge


def _acks(node: str, numbers: range, begin: float, writer: str = "w") -> list[Ack]:
    return [Ack(writer, n, node, begin + i * 0.5, begin + i * 0.5 + 0.1) for i, n in enumerate(numbers)]


def _text(*records: str) -> str:
    return "".join(f"\n{record}\n" for record in records)


def test_everything_is_there() -> None:
    """Through a failover, with a record that nobody acknowledged and what a cut left of one."""
    acks = _acks("a", range(1, 4), 0) + _acks("b", range(5, 8), 10)
    kept = {"w": _text("w 1 a .", "w 2 a .", "w 3 a .", "w 4 a", "w 5 b .", "w 6 b .", "w 7 b .")}
    judgement = judge(acks, kept)
    assert judgement.sound
    assert judgement.acknowledged == 6
    assert judgement.words() == "6 acknowledged, 0 lost, 0 torn"


def test_a_lost_one_and_a_torn_one_are_told_apart() -> None:
    """A part of an acknowledged record is worse than nothing, and both are said by name."""
    judgement = judge(_acks("a", range(1, 4), 0), {"w": _text("w 1 a .", "w 2 a")})
    assert judgement.lost == (("w", 3),)
    assert judgement.torn == ("w 2 a",)
    assert not judgement.sound
    assert "1 lost, 1 torn; lost: w 3" in judgement.words()


def test_a_file_that_is_not_there_is_all_lost() -> None:
    """Another writer's records do not stand in for it."""
    judgement = judge(_acks("a", range(1, 3), 0), {"other": _text("other 1 a .", "w 1 a .")})
    assert judgement.lost == (("w", 1), ("w", 2))


def test_a_later_record_before_an_earlier_one_is_out_of_order() -> None:
    """Of one writer; writers do not wait for each other."""
    assert judge([], {"w": _text("w 2 a .", "w 1 a ."), "v": _text("v 1 a .")}).disordered == (("w", 1),)


@pytest.mark.parametrize(("records", "sound"), [(1, True), (2, True), (8, False)])
def test_a_node_that_was_overtaken_has_one_second(records: int, sound: bool) -> None:
    """What it acknowledged is gone with its copy: allowed for a second, and no longer."""
    sleeper = _acks("a", range(1, 3), 0) + _acks("a", range(3, 3 + records), 62.2)
    other = _acks("b", range(1, 30), 58, "v")
    kept = {"w": _text("w 1 a .", "w 2 a ."), "v": _text(*(f"v {n} b ." for n in range(1, 30)))}
    judgement = judge(sleeper + other, kept)
    assert [len(each.records) for each in judgement.overlaps] == [records]
    assert not judgement.lost
    assert judgement.sound is sound


def test_one_after_the_other_is_no_overlap() -> None:
    """There and back, with the seconds that a move takes."""
    acks = _acks("a", range(1, 5), 0) + _acks("b", range(5, 9), 6) + _acks("a", range(9, 12), 14)
    kept = {"w": _text(*(f"w {n} {'b' if 5 <= n < 9 else 'a'} ." for n in range(1, 12)))}
    assert judge(acks, kept).overlaps == ()


def test_one_that_never_stopped_is_overtaken_too() -> None:
    """Both went on: the one that served first counts as overtaken from the other's first answer on."""
    acks = _acks("a", range(1, 41), 0) + _acks("b", range(1, 10), 10, "v")
    kept = {"w": _text(*(f"w {n} a ." for n in range(1, 21))), "v": _text(*(f"v {n} b ." for n in range(1, 10)))}
    (overlap,) = judge(acks, kept).overlaps
    assert (overlap.node, overlap.seconds > 3) == ("a", True)
    assert judge(acks, kept).two_at_once
