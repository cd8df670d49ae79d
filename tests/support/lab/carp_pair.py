"""A pair of simulated machines wired like the recorded one, and a small reader of recorded command lines.

`Pair.run` understands `a; b`, `a && b` and `| grep`, `| tail`: enough for the CARP parts of the recordings
without the lab's shell, so that a failure here is a failure of CARP and ifconfig and of nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hactl.lab.build import plug_recorded
from hactl.lab.clock import VirtualClock
from hactl.lab.machine import Machine
from hactl.lab.process import Result
from hactl.lab.program import COMMANDS, Call
from hactl.lab.world import World

RECORDINGS = Path(__file__).parents[2] / "recordings"


def call(machine: Machine, line: str, user: str = "root") -> Result:
    """Run one command line without a shell."""
    words = shlex.split(line)
    coroutine = COMMANDS[words[0]](Call(machine, words[0], words[1:], "", {"USER": user}, "/"))
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError(f"{line}: suspended")


@dataclass
class Answer:
    """What a line of several commands printed."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


class Pair:
    """nas-a and nas-b (or more, or one), booted."""

    def __init__(self, count: int = 2, *, release: str = "13.2-RELEASE", seed: int = 0) -> None:
        self.world = World(VirtualClock(), seed)
        self.machines = [plug_recorded(self.world, f"nas-{'abcdefgh'[i]}", release=release) for i in range(count)]
        self.world.start()
        self.a, self.b = self.machines[0], self.machines[-1]

    def run(self, machine: Machine, line: str) -> Answer:
        """Run `x; y && z | grep p | tail -3`."""
        answer = Answer()
        for part in re.split(r";\s*", line):
            for piece in part.split(" && "):
                self._pipeline(machine, piece, answer)
                if answer.status:
                    break
        return answer

    def _pipeline(self, machine: Machine, line: str, answer: Answer) -> None:
        first, *filters = re.split(r"\s\|\s", line)
        if first.startswith("grep -i carp /var/log/messages"):
            lines = machine.files.read_text("/var/log/messages").splitlines(keepends=True)
            result = Result("".join(line for line in lines if "carp" in line.lower()))
        else:
            result = call(machine, first)
        text, status = result.stdout, result.status
        for words in map(shlex.split, filters):
            lines = text.splitlines(keepends=True)
            if words[0] == "tail":
                text, status = "".join(lines[-int(words[1].removeprefix("-")) :]), 0
            else:
                pattern = words[-1]
                text = "".join(line for line in lines if re.search(pattern, line))
                status = 0 if text else 1
        answer.stdout += text
        answer.stderr += result.stderr
        answer.status = status

    def states(self, number: int = 1) -> str:
        """The state of a vhid on each machine: "MASTER BACKUP"; "-" where it does not exist."""
        found = []
        for machine in self.machines:
            vhid = machine.net.interfaces["vtnet1"].vhids.get(number)
            found.append("-" if vhid is None else vhid.state)
        return " ".join(found)

    def carp(self, *lines: str) -> None:
        """Load the module everywhere, then run one line on each machine in turn ("" for none)."""
        for machine in self.machines:
            assert call(machine, "kldload -n carp").status == 0
        for machine, line in zip(self.machines, lines, strict=False):
            if line:
                result = call(machine, line)
                assert (result.status, result.stderr) == (0, ""), line


def steps(name: str) -> list[dict[str, Any]]:
    """The steps of a recording."""
    path = next(RECORDINGS.glob(f"{name}*.json"))
    loaded: list[dict[str, Any]] = json.loads(path.read_text())["steps"]
    return loaded
