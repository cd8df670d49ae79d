"""Seeded episodes on the lab in virtual time: whatever happens, the invariants hold.

An episode takes about 2 s of one core and lasts six simulated minutes.

`HACTL_SEEDS=N` plays N seeds (`make sim SEEDS=200`). A failure prints its seed and its story;
`HACTL_SEED=S pytest tests/simulation/test_seeds.py` plays that one alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from support.episodes.episode import Episode

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
