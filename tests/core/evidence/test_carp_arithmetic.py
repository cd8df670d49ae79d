"""CARP's arithmetic: the numbers of ip_carp.c, checked against the recordings' outcomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.evidence.carp import (
    Reaction,
    Voice,
    advskew_ladder,
    compared,
    demotion_sources,
    effective_skew,
    hears,
    master_down_seconds,
)


@pytest.mark.parametrize(
    ("advskew", "demotion", "skew"),
    [(0, 0, 0), (100, 0, 100), (100, 240, 240), (0, 240, 240), (254, 0, 240), (100, -240, 0), (100, -50, 50)],
)
def test_the_effective_skew_is_clamped(advskew: int, demotion: int, skew: int) -> None:
    """clamp(advskew + demotion, 0, 240)."""
    assert effective_skew(advskew, demotion) == skew


def test_a_master_speaks_less_often_when_it_is_demoted_and_a_backup_is_not_more_patient() -> None:
    """The interval has the demotion in it, the master-down time has not (docs/freebsd-facts.md#1.2)."""
    plain, demoted = Voice(1, 100), Voice(1, 100, 240)
    assert plain.interval_seconds == pytest.approx(1 + 100 / 256)
    assert demoted.interval_seconds == pytest.approx(1 + 240 / 256)
    assert plain.patience_seconds == demoted.patience_seconds == pytest.approx(3.390625)
    assert master_down_seconds(10, 0) == 30


def test_seconds_count_before_skew() -> None:
    """advbase first, then microseconds, cut."""
    assert compared(1, 240) == (1, 937500)
    assert compared(2, 0) > compared(1, 240)
    assert compared(1, 1) == (1, 3906)


@pytest.mark.parametrize(
    ("own", "other", "master", "preempt", "reaction"),
    [
        (Voice(1, 0), Voice(1, 100), False, True, Reaction.PREEMPTS),
        (Voice(1, 0), Voice(1, 100), False, False, Reaction.LISTENS),
        (Voice(1, 100), Voice(1, 0), False, True, Reaction.LISTENS),
        (Voice(1, 0), Voice(1, 0), False, True, Reaction.LISTENS),
        (Voice(1, 0), Voice(1, 0), True, True, Reaction.YIELDS),
        (Voice(1, 0), Voice(1, 100), True, False, Reaction.STAYS),
        (Voice(1, 100), Voice(1, 0), True, False, Reaction.YIELDS),
        # Recording 02, "demotion adds"; and docs/freebsd-facts.md#1.2, "same with peer preempt=0: nothing moves".
        (Voice(1, 50), Voice(1, 0, 240), False, True, Reaction.PREEMPTS),
        (Voice(1, 50), Voice(1, 0, 240), False, False, Reaction.LISTENS),
        (Voice(1, 0), Voice(4, 0), False, False, Reaction.OUTLASTS),
        (Voice(1, 250), Voice(1, 0, 240), True, True, Reaction.YIELDS),
    ],
)
def test_what_a_node_does_on_an_advertisement(
    own: Voice, other: Voice, master: bool, preempt: bool, reaction: Reaction
) -> None:
    """The state machine of docs/freebsd-facts.md#1.2, row by row."""
    assert hears(own, other, master=master, preempt=preempt) is reaction


@pytest.mark.parametrize(("nodes", "last"), [(1, 0), (2, 100), (3, 200), (4, 237), (240, 239)])
def test_the_ladder_of_advskews_ends_where_they_still_count(nodes: int, last: int) -> None:
    """100 apart, or as far as 239 allows; all different up to 240 nodes."""
    ladder = advskew_ladder([f"node{number}" for number in range(nodes)])
    assert list(ladder.values())[-1] == last
    assert len(set(ladder.values())) == nodes
    assert list(ladder.values()) == sorted(ladder.values())


@given(
    st.builds(Voice, st.integers(1, 5), st.integers(0, 254), st.integers(-300, 600)),
    st.builds(Voice, st.integers(1, 5), st.integers(0, 254), st.integers(-300, 600)),
)
def test_of_two_that_hear_each_other_one_at_most_stays_master(first: Voice, second: Voice) -> None:
    """Never do both stay; equal ones both step down."""
    reactions = [hears(first, second, master=True, preempt=True), hears(second, first, master=True, preempt=True)]
    assert reactions.count(Reaction.STAYS) <= 1


@pytest.mark.parametrize(
    ("log", "demotion", "left"),
    [
        ((), 0, {}),
        ((), 240, {"unlogged": 240}),
        (((240, 240, "interface down"),), 240, {"interface": 240}),
        (((240, 240, "interface down"), (-240, 0, "interface up")), 0, {}),
        (((240, 240, "sysctl"), (240, 480, "interface down"), (-240, 240, "interface up")), 240, {"sysctl": 240}),
        (((240, 240, "send error 50 on em0"), (-240, 0, "send ok on em0")), 0, {}),
        (((240, 240, "pfsync bulk start"),), 240, {"pfsync": 240}),
        (((240, 480, "sysctl"),), 480, {"sysctl": 240, "unlogged": 240}),
    ],
)
def test_the_log_accounts_for_a_demotion(
    log: tuple[tuple[int, int, str], ...], demotion: int, left: dict[str, int]
) -> None:
    """Each source takes back what it added; the rest is not accounted for."""
    assert demotion_sources(log, demotion) == left


def test_the_sum_is_told_as_it_is_done() -> None:
    """People see the addition and the cap."""
    assert Voice(1, 100, 240).arithmetic.startswith(
        "advskew 100 + demotion 240 = 340, counted as 240: an advertisement"
    )
    assert Voice(1, 0, 0).arithmetic == "advskew 0 + demotion 0 = 0: an advertisement every 1.00 s"
