"""Lint's share of `make bench`: what its rules cost beside reading the documents. No node is asked."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from hactl.adapters.sources.files import load_with_places
from hactl.core.lint.check import RULES, lint
from hactl.core.lint.finding import Subject
from support.documents import write_pairs

from .measure import cpu_seconds_each

CLUSTERS = 100
#: What was asked for: lint of a hundred clusters that are parsed, and with reading them.
AIM_SECONDS, AIM_COLD_SECONDS = 0.3, 1.0


def bench() -> None:
    """Load the documents once, lint them often."""
    with tempfile.TemporaryDirectory() as directory:
        place = write_pairs(Path(directory) / "site", CLUSTERS)
        began = time.process_time()
        state, trees = load_with_places([str(place)])
        loading = time.process_time() - began
    subjects = [
        Subject(each.cluster, each.file, trees[name].at, each.directory) for name, each in state.documents.items()
    ]
    all_rules = cpu_seconds_each(lambda: lint(subjects))
    one = cpu_seconds_each(lambda: lint(subjects[:1]))
    print(f"Lint, {CLUSTERS} clusters, {len(RULES)} rules over one and those over all, CPU")
    print(f"  parsed {all_rules * 1000:.0f} ms (goal {AIM_SECONDS * 1000:.0f}), with reading them "
          f"{(loading + all_rules) * 1000:.0f} ms (goal {AIM_COLD_SECONDS * 1000:.0f})")  # fmt: skip
    print(f"  rules over reading {all_rules / loading:.2f}; {CLUSTERS} clusters over one {all_rules / one:.0f}")


if __name__ == "__main__":
    bench()
