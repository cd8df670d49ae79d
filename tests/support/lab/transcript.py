"""Plays a transcript of tests/scenarios on the lab and writes down what it saw.

Its words are explained in tests/scenarios/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML

from hactl.core.operations import Overrides
from support.lab.closed_loop import Loop, example
from support.lab.converged import converged
from support.lab.serving import complaints

MAINTENANCE = "admin: maintenance"


class Player:
    """Plays one transcript."""

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
            if line and not line.startswith("#"):
                word = max((word for word in WORDS if f"{line} ".startswith(f"{word} ")), key=len, default="")
                assert word, f"no transcript has such a line: {line}"
                WORDS[word](self, line.removeprefix(word).strip())
        return "\n".join(self.lines) + "\n"

    def given(self, rest: str) -> None:
        """A lab."""
        self.name, _, state = rest.partition(" ")
        if state == "converged" and not self.edits:
            self._loop = converged(self.name)
        else:
            self._loop = Loop(example(self.name, self._edit))
        if state == "converged":
            self.loop.converge()
            self.loop.world.advance(5.0)

    def document(self, rest: str) -> None:
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

    def by_hand(self, rest: str) -> None:
        """Somebody does something on a node."""
        self._sh(rest)

    def _sh(self, rest: str) -> str:
        node, colon, command = rest.partition(": ")
        assert colon, f"NODE: COMMAND, not {rest}"
        return self.loop.sh(node, command)

    def wait(self, seconds: str) -> None:
        """Time goes by."""
        self.loop.world.advance(float(seconds))

    def plan(self, _: str) -> None:
        """Converge and write down what ran."""
        ran = self.loop.converge()
        self.lines += [f"    {command.splitlines()[0]}" for command in ran] or ["    (nothing)"]

    def move(self, rest: str) -> None:
        """Somebody moves a group."""
        group, node = rest.split()
        self.loop.overrides = Overrides(moves={group: node})

    def drain(self, node: str) -> None:
        """Somebody drains a node."""
        self.loop.overrides = Overrides(drained={node: MAINTENANCE})

    def pause(self, what: str) -> None:
        """Somebody pauses a node or a group."""
        if what in {node.name for node in self.loop.cluster.nodes}:
            self.loop.overrides = Overrides(paused_nodes={what: MAINTENANCE})
        else:
            assert what in {group.name for group in self.loop.cluster.groups}, what
            self.loop.overrides = Overrides(paused_groups={what: MAINTENANCE})

    def discard(self, rest: str) -> None:
        """Somebody decides which copy is thrown away."""
        resource, node = rest.split()
        self.loop.overrides = Overrides(discards={resource: (node, "")})

    def nothing(self, _: str) -> None:
        """What people asked for is over."""
        self.loop.overrides = Overrides()

    def shows(self, rest: str) -> None:
        """Write down what a command prints on a node."""
        self.lines += [f"    {line}" for line in self._sh(rest).splitlines()] or ["    (nothing)"]

    def held(self, _: str) -> None:
        """Write down why what is left is left."""
        holds = self.loop.plan().holds
        self.lines += [f"    {hold.reason}: {hold.message}" for hold in holds] or ["    (nothing)"]

    def serves(self, _: str) -> None:
        """The cluster serves, and there is nothing left to do."""
        self.loop.world.advance(10.0)
        assert complaints(self.loop) == []
        assert self.loop.plan().stages == (), "an unchanged pass has a step"

    def serves_without_hactl(self, _: str) -> None:
        """The cluster serves by itself; nobody looks at what hactl would still do."""
        assert complaints(self.loop) == []


def _happens(verb: str) -> Callable[[Player, str], None]:
    """Something happens to a node, under the name that it has in `hactl lab`."""
    return lambda player, arguments: getattr(player.loop.world, verb.replace("-", "_"))(*arguments.split())


HAPPENINGS = ("power-off", "power-on", "reboot", "cut", "join", "freeze", "thaw", "fail-disk", "mend-disk")

#: How a line may begin; the longest that fits counts. Each is explained in tests/scenarios/README.md.
WORDS: dict[str, Callable[[Player, str], None]] = {
    "given": Player.given,
    "document": Player.document,
    "when": Player.by_hand,
    "when wait": Player.wait,
    **{f"when {verb}": _happens(verb) for verb in HAPPENINGS},
    "operation move": Player.move,
    "operation drain": Player.drain,
    "operation pause": Player.pause,
    "operation discard": Player.discard,
    "operation nothing": Player.nothing,
    "plan": Player.plan,
    "held": Player.held,
    "shows": Player.shows,
    "then serves": Player.serves,
    "then serves without hactl": Player.serves_without_hactl,
}
