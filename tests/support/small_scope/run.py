"""Every interleaving of a small set of events on the two-node, one-resource pair, up to a depth; judged by the world.

The real planner, audit, step scripts and node hooks run on the lab in virtual time: world.py is the pair,
play.py its events' effects and judges, events.py the alphabet, digest.py what makes two states one,
explorer.py the walk.

`cd tests && python -m support.small_scope.run DEPTH DIRECTORY [EVENT ...]` explores by hand,
everything or what begins with one of the events; what was found out is in tests/simulation/test_small_scope.py.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from support.small_scope.events import EVENTS, NEVER_FIRST
from support.small_scope.explorer import Board, Explorer


def main(depth: str, directory: str, *firsts: str) -> None:
    """One walk, its tally as JSON on standard output."""
    tally = Explorer(Board(Path(directory)), int(depth)).walk(firsts or [e for e in EVENTS if e not in NEVER_FIRST])
    print(json.dumps(asdict(tally)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # shells of half-way hooks would outlive the interpreter
