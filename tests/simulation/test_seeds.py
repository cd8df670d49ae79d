"""Seeded episodes on the lab in virtual time: whatever happens, the invariants hold.

An episode takes about 2 s of one core and lasts six simulated minutes.

`HACTL_SEEDS=N` plays N seeds (`make sim SEEDS=200`). A failure prints its seed and its story;
`HACTL_SEED=S pytest tests/simulation/test_seeds.py` plays that one alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from hactl.core.steps import Plan, Stage
from support.episodes.episode import Episode
from support.episodes.judge import IN_VAIN, Broken, Judge
from support.lab.converged import converged
from support.toy_world import make_step

#: How many when HACTL_SEEDS is not set.
SEEDS = 120
#: Things that happen in one episode.
EVENTS = 10


def chosen() -> list[int]:
    """The seeds to play."""
    if "HACTL_SEED" in os.environ:
        return [int(os.environ["HACTL_SEED"])]
    return list(range(int(os.environ.get("HACTL_SEEDS", SEEDS))))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", chosen())
def test_whatever_happens_the_invariants_hold(seed: int, record_property: Callable[[str, object], None]) -> None:
    """Faults, mistakes, new documents, late and dying controllers; in the end it serves, or a person has to decide."""
    episode = Episode(seed)
    try:
        episode.play(EVENTS)
    except Exception as problem:
        story = "\n".join(episode.log)
        raise AssertionError(f"HACTL_SEED={seed}: {problem}\n{story}") from problem
    finally:
        record_property("simulated_seconds", episode.simulated_seconds)


def test_a_step_that_repeats_without_a_cause_is_noticed() -> None:
    """The judge sees it; a look in between that does not want the step ends the count."""
    judge = Judge(converged("firewall"), lambda _: None)
    step = make_step("fw-1", "carp")
    wanted = Plan("edge", 1, (Stage("s", (step,)),))
    for _ in range(2 * IN_VAIN):
        judge.done(step)
        judge.wants(Plan("edge", 1))
    for _ in range(IN_VAIN):
        judge.wants(wanted)
        judge.done(step)
    with pytest.raises(Broken, match="Done 4 times in a row"):
        judge.wants(wanted)
