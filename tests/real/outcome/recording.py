"""`make real RECORD=FOLDER`: what ran on the nodes, in the format of tests/recordings.

Every program that an exam ran is a step, with its output; every handle that was pulled is a note. What hactl itself
runs is not in it: that is in its history.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ..nodes.node import Nodes, Ran


class Recording:
    """Of one round."""

    def __init__(self, nodes: Nodes, scenario: str, about: str) -> None:
        """From now on; `close` writes it."""
        self.nodes, self.began = nodes, time.monotonic()
        self.text: dict[str, Any] = {"scenario": scenario, "about": about, "release": nodes.release, "steps": []}
        for node in nodes.both:
            node.told.append(self.step)
        nodes.told.append(self.event)

    def _now(self) -> float:
        return round(time.monotonic() - self.began, 2)

    def step(self, node: str, command: str, ran: Ran) -> None:
        """A program ended."""
        self.text["steps"].append({
            "t": round(self._now() - ran.seconds, 2), "node": node, "command": command, "exit": ran.exit,
            "stdout": ran.out, "stderr": ran.err, "seconds": round(ran.seconds, 3),
        })  # fmt: skip

    def event(self, note: str) -> None:
        """Something happened outside the nodes."""
        self.text["steps"].append({"t": self._now(), "note": note})

    def close(self, folder: Path) -> None:
        """FOLDER/RELEASE/SCENARIO.json."""
        for node in self.nodes.both:
            node.told.remove(self.step)
        self.nodes.told.remove(self.event)
        file = folder / self.text["release"] / f"{self.text['scenario']}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.text, indent=1) + "\n")
