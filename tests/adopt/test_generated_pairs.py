"""Pairs that their owners set up, generated: the document of an import, its plan, and the plan after one change.

Each is read as `hactl import` reads running nodes, and looked at by the probe itself in a real sh. A failure prints the
seed and the files; `-k N` with the first seed of its block plays the block again.
"""

from __future__ import annotations

from random import Random

import pytest

from support.pairs.by_hand import change
from support.pairs.generator import generated
from support.pairs.judge import cluster_of, imported, looked, planned, told, wrong_after, wrong_at_first

PAIRS, AT_ONCE = 500, 20


@pytest.mark.parametrize("first", range(0, PAIRS, AT_ONCE))
def test_a_pair_set_up_by_hand_is_as_its_own_document_says(first: int) -> None:
    """The plan has what is truly missing and no more; then one thing is changed, and the plan is exactly that."""
    for seed in range(first, first + AT_ONCE):
        pair = generated(seed)
        before = str(pair)
        made = imported(pair)
        assert made.missing == [], f"{made.missing}\n{before}"
        cluster = cluster_of(made)
        facts = looked(cluster, pair)
        untouched = told(planned(cluster, facts))
        assert wrong_at_first(pair, cluster, untouched) == [], before
        changed = change(Random(seed), pair)
        now = told(planned(cluster, {**facts, **looked(cluster, pair, changed.at)}))
        assert wrong_after(cluster, untouched, now, changed) == [], f"{changed.what}\n{before}"
