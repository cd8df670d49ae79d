"""Many seeds, one after the other, that can be stopped and go on.

`python -m simulation.marathon FROM TO FILE`, from tests/.
Each seed is a line of JSON in FILE as soon as it ends: its seed, "ok" or what is broken with its story, simulated and
processor seconds. Seeds that stand in FILE are not played again. Exit status 1 when one is broken.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from support.episodes.episode import Episode

#: Things that happen in one episode, as in test_seeds.py.
EVENTS = 10


def play(seed: int) -> dict[str, Any]:
    """One episode; whatever it raises is its result."""
    began, episode, told = time.process_time(), None, "ok"
    try:
        episode = Episode(seed)
        episode.play(EVENTS)
    except Exception as problem:  # noqa: BLE001 - it is written down, with the seed
        told = f"{type(problem).__name__}: {problem}"
    found = {"seed": seed, "result": told, "cpu_seconds": round(time.process_time() - began, 2)}
    if episode is not None:
        found |= {"simulated_seconds": round(episode.simulated_seconds), "acknowledged": len(episode.judge.acks)}
        found |= {} if told == "ok" else {"story": episode.log}
    return found


def main() -> int:
    """Play what is not in the file yet."""
    first, last, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    lines = file.read_text().splitlines() if file.exists() else []
    played = {row["seed"]: row for row in map(json.loads, lines)}
    for seed in range(first, last):
        if seed not in played:
            played[seed] = play(seed)
            with file.open("a") as out:
                out.write(f"{json.dumps(played[seed])}\n")
    broken = [row for row in played.values() if row["result"] != "ok"]
    for row in broken:
        print(f"seed {row['seed']}: {row['result'][:300]}")
    records = sum(row.get("acknowledged", 0) for row in played.values())
    print(f"{len(played)} seeds, {len(broken)} broken, {records} acknowledged records")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
