"""The planner's behaviour as transcripts: every tests/scenarios/*.txt is played on the lab and must come out the same.

A transcript is lines of:
    given NAME [converged]        a document of manifests/examples on a fresh lab
    document PATH = VALUE         a change of the document (a new generation), VALUE is YAML
    when NODE: COMMAND            somebody does something by hand
    when VERB NODE [ARGUMENT]     power-off power-on reboot cut join freeze thaw fail-disk (as `hactl lab`)
    when wait SECONDS
    plan                          hactl converges; below it, indented, every command it ran (first lines only)
    held                          below it, indented, the reasons that are left
    then serves                   one MASTER, on the node with the primary, the mount and the services
HACTL_UPDATE=1 writes what came out; commit the difference only if you can say why.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hactl.core.operations import Overrides
from support.lab.closed_loop import Loop, example
from support.lab.converged import converged
from support.lab.serving import complaints

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


class Player:
    """Plays one transcript and writes down what it saw."""

    def __init__(self) -> None:
        """Nothing has been given yet."""
        self.lines: list[str] = []
        self.edits: list[tuple[str, Any]] = []
        self.name = ""
        self._loop: Loop | None = None

    @property
    def loop(self) -> Loop:
        """The lab; `given` makes it."""
        assert self._loop is not None, "a transcript begins with given"
        return self._loop

    def play(self, text: str) -> str:
        """Play; returns the transcript as it came out."""
        for line in text.splitlines():
            if line.startswith("    "):
                continue  # what came out last time
            self.lines.append(line)
            word, _, rest = line.partition(" ")
            if word and not line.startswith("#"):
                getattr(self, f"do_{word}")(rest)
        return "\n".join(self.lines) + "\n"

    def do_given(self, rest: str) -> None:
        """A lab."""
        self.name, _, state = rest.partition(" ")
        if state == "converged" and not self.edits:
            self._loop = converged(self.name)
        else:
            self._loop = Loop(example(self.name, self._edit))
        if state == "converged":
            self.loop.converge()
            self.loop.world.advance(5.0)

    def do_document(self, rest: str) -> None:
        """A change of the document: a new generation."""
        path, _, value = rest.partition(" = ")
        self.edits.append((path, YAML(typ="safe").load(value)))
        if self._loop is not None:
            self.loop.document = example(self.name, self._edit)
            self.loop.generation += 1

    def _edit(self, data: dict[str, Any]) -> None:
        for path, value in self.edits:
            *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
            place: Any = data
            for part in parents:
                place = place[part]
            place[last] = value

    def do_when(self, rest: str) -> None:
        """Something happens."""
        word, _, argument = rest.partition(" ")
        if word.endswith(":"):
            self.loop.sh(word[:-1], argument)
        elif word == "wait":
            self.loop.world.advance(float(argument))
        else:
            node, *more = argument.split(" ")
            getattr(self.loop.world, word.replace("-", "_"))(node, *more)

    def do_plan(self, rest: str) -> None:
        """Converge and write down what ran."""
        ran = self.loop.converge()
        self.lines += [f"    {command.splitlines()[0]}" for command in ran] or ["    (nothing)"]

    def do_wish(self, rest: str) -> None:
        """What people ask for: `move GROUP NODE`, `drain NODE`, `pause WHAT`, `discard RESOURCE NODE`, `nothing`."""
        word, *words = rest.split(" ")
        match word:
            case "move":
                self.loop.overrides = Overrides(moves={words[0]: words[1]})
            case "drain":
                self.loop.overrides = Overrides(drained={words[0]: "admin: maintenance"})
            case "discard":
                self.loop.overrides = Overrides(discards={words[0]: (words[1], "")})
            case "pause" if words[0] in {node.name for node in self.loop.cluster.nodes}:
                self.loop.overrides = Overrides(paused_nodes={words[0]: "admin: maintenance"})
            case "pause" if words[0] in {group.name for group in self.loop.cluster.groups}:
                self.loop.overrides = Overrides(paused_groups={words[0]: "admin: maintenance"})
            case _:
                assert rest == "nothing", rest
                self.loop.overrides = Overrides()

    def do_shows(self, rest: str) -> None:
        """Write down what a command prints on a node, without what differs from run to run."""
        node, _, command = rest.partition(": ")
        self.lines += [f"    {line}" for line in self.loop.sh(node, command).splitlines()] or ["    (nothing)"]

    def do_held(self, rest: str) -> None:
        """Write down why what is left is left."""
        holds = self.loop.plan().holds
        self.lines += [f"    {hold.reason}: {hold.message}" for hold in holds] or ["    (nothing)"]

    def do_then(self, rest: str) -> None:
        """The cluster serves; `without hactl`: by itself, nobody looks at what hactl would still do."""
        if rest == "serves without hactl":
            assert complaints(self.loop) == []
            return
        assert rest == "serves", rest
        self.loop.world.advance(10.0)
        assert complaints(self.loop) == []
        assert self.loop.plan().stages == (), "an unchanged pass has a step"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_comes_out_the_same(path: Path) -> None:
    """Played on the lab, each command and hold is as written."""
    before = path.read_text()
    after = Player().play(before)
    if os.environ.get("HACTL_UPDATE"):
        path.write_text(after)
    assert after == before


def test_there_are_transcripts() -> None:
    """The folder is not empty."""
    assert len(TRANSCRIPTS) >= 10
