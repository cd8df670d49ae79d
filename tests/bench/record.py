"""The record's share of `make bench`: years of a fleet, how large they are, and how soon a command answers on them.

`python -m bench.record --clusters 1000 --days 400` is what was asked for, and takes a while to be made; --keep PATH
has it made once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hactl.adapters.record.rules import BUDGETS, DOCUMENTS_BYTES
from hactl.adapters.record.sqlite.file import size_bytes
from support.record.fleet import fill, name_of

#: What was asked for: `history` and `status`, seconds.
AIM_SECONDS = 0.3
ROUNDS = 5
_MIB = 1048576
QUESTIONS = (
    ("status",),
    ("history",),
    ("history", name_of(3)),
    ("history", "--node", f"{name_of(3)}-a"),
    ("history", "--kind", "NodeRebooted"),
    ("history", "--kind", "Step"),
    ("history", "--failed"),
    ("history", "--since", "2h"),
    ("history", "--until", "100d"),
    ("history", name_of(3), "--until", "100d"),
)


def main() -> None:
    """Make the record, unless it is there, and ask."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", type=int, default=100, help="clusters of the fleet (default 100)")
    parser.add_argument("--days", type=int, default=400, help="days of its history (default 400)")
    parser.add_argument("--incidents", type=float, default=0.2, help="incidents a day and cluster (default 0.2)")
    parser.add_argument("--keep", type=Path, help="the record: made there if it is missing, and left there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = options.keep or Path(directory) / "hactl.db"
        if not path.exists():
            written = asyncio.run(
                fill(path, clusters=options.clusters, days=options.days, incidents_a_day=options.incidents)
            )
            print(f"{options.clusters} clusters, {options.days} days: {written} rows of history were written")
        limit = (sum(BUDGETS.values()) + DOCUMENTS_BYTES) / _MIB
        print(f"Record: {size_bytes(path) / _MIB:.0f} MiB; the budgets of all kinds are {limit:.0f} MiB together")
        bare, _ = _asked(path, ("--version",))
        print(f"  hactl --version {bare * 1000:.0f} ms")
        for words in QUESTIONS:
            seconds, cpu = _asked(path, words)
            print(f"  hactl {' '.join(words):<40} {seconds * 1000:5.0f} ms (goal {AIM_SECONDS * 1000:.0f}), "
                  f"processor {cpu * 1000:4.0f} ms, {seconds / bare:4.1f} of --version")  # fmt: skip


def _asked(path: Path, words: tuple[str, ...]) -> tuple[float, float]:
    """The median of the seconds it took, and of its processor."""
    taken, used = [], []
    for _ in range(ROUNDS):
        began, before = time.monotonic(), _cpu()
        subprocess.run(
            [sys.executable, "-m", "hactl", "--state", str(path), *words], stdout=subprocess.DEVNULL, check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        taken.append(time.monotonic() - began)
        used.append(_cpu() - before)
    return statistics.median(taken), statistics.median(used)


def _cpu() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    main()
