"""The walk of the small scope: every event after every state that was not seen with as many events left.

- `Explorer` walks; from every new state everything is mended and the end is judged.
- A world cannot be copied, but a process can: each event happens in a fork(2) of the process that holds the world.
  While a hook is half-way its shell is a thread, and threads are not forked: there the events since the last quiet
  state are done again.
- `Board` is a directory where all processes, also those of other first events, note what was seen.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.lab.converged import CONVERGENCES
from support.small_scope.events import EVENTS, play
from support.small_scope.play import Scope

#: A child of the walk that takes longer, real seconds, hangs.
HANG_SECONDS = 120


class Board:
    """What was seen, in a directory all explorers of a run share. A name appears there exactly once."""

    def __init__(self, directory: Path) -> None:
        """The directory is made if it is not there."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def mark(self, name: str) -> bool:
        """Note it; False if somebody has."""
        try:
            os.close(os.open(self.directory / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def marked(self, name: str) -> bool:
        """Whether somebody noted it."""
        return (self.directory / name).exists()

    def claim(self, digest: str, left: int, most: int) -> bool:
        """Whether a state is still to be walked with that many events left."""
        if any(self.marked(f"walk-{digest}-{more}") for more in range(left, most + 1)):
            return False
        return self.mark(f"walk-{digest}-{left}")

    def start(self) -> Scope:
        """The pair every walk starts from; its convergence is computed once."""
        path = self.directory / "convergence"
        if path.exists():
            CONVERGENCES["nas"] = pickle.loads(path.read_bytes())
        scope = Scope()
        if not path.exists():
            mine = path.with_suffix(f".{os.getpid()}")
            mine.write_bytes(pickle.dumps(CONVERGENCES["nas"]))
            mine.rename(path)
        return scope


@dataclass
class Tally:
    """What a walk found."""

    transitions: int = 0
    #: Those that led to a state nobody had seen: from there it was mended, and had to converge.
    states: int = 0
    seconds: float = 0.0
    simulated_seconds: float = 0.0
    #: (events, what is wrong).
    broken: list[tuple[list[str], str]] = field(default_factory=list)


#: How a child of the walk ends: nothing more, walk on from its events, or it died over a mistake of ours.
_DONE, _WALK, _CRASHED = 0, 3, 4


class Explorer:
    """Walks from where its world is; every process of the walk is one of these."""

    def __init__(self, board: Board, depth: int) -> None:
        """The start, quiet."""
        self.board, self.depth = board, depth
        self.log = Path(tempfile.mkstemp(prefix="walk", dir=board.directory)[1])
        self.scope = board.start()
        self.seen: list[str] = []
        assert threading.active_count() == 1, "a shell runs in the converged pair: it cannot be forked"

    def walk(self, firsts: Sequence[str]) -> Tally:
        """Everything that begins with one of these events."""
        began = time.monotonic()
        self._grow((), firsts)
        tally = Tally()
        for line in self.log.read_text().splitlines():
            kind, value = json.loads(line)
            if kind == "broken":
                tally.broken.append((value[0], value[1]))
            elif kind == "simulated":
                tally.simulated_seconds += value
            else:
                setattr(tally, kind, getattr(tally, kind) + value)
        tally.seconds = time.monotonic() - began
        return tally

    def _note(self, kind: str, value: object) -> None:
        with self.log.open("a") as file:  # one short line: appended whole
            file.write(json.dumps([kind, value]) + "\n")

    def _grow(self, done: Sequence[str], events: Sequence[str]) -> None:
        """Try every event after `done`, which leads on from this process's world."""
        for event in events:
            if not done and not EVENTS[event].can(self.scope):
                continue
            if self._child(lambda event=event: self._try(done, event)) == _WALK:  # type: ignore[misc]
                self._grow((*done, event), list(EVENTS))

    def _child(self, work: Callable[[], int]) -> int:
        """Do it in a fork of this process; what it returns."""
        # A shell of ours that waits for its collection would wait in the child for threads that were not forked.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            status = _CRASHED
            gc.disable()  # it does not live long
            signal.alarm(HANG_SECONDS)
            try:
                status = work()
            except BaseException:  # noqa: BLE001
                # A child must not go on as its parent.
                self._note("broken", [self.seen, traceback.format_exc()])
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status < 0:
            self._note("broken", [self.seen, f"a child of the walk ended by signal {-status}"])
        return status

    def _try(self, done: Sequence[str], event: str) -> int:
        """In a child: the events, and then what comes of them."""
        began = self.scope.now
        play(self.scope, done)
        self.seen += [*done, event]
        if not EVENTS[event].can(self.scope):
            return _DONE
        self._note("transitions", 1)
        try:
            self.scope.do(EVENTS[event])
        except AssertionError as problem:
            self._note("broken", [self.seen, str(problem)])
            return _DONE
        self._note("simulated", self.scope.now - began)
        return self._visit()

    def _visit(self) -> int:
        digest = self.scope.digest()
        left = self.depth - len(self.seen)
        if self.board.mark(f"state-{digest}"):
            self._note("states", 1)
        fresh = not self.board.marked(f"good-{digest}") and self.board.mark(f"end-{digest}")
        further = left > 0 and self.board.claim(digest, left, self.depth)
        half_way = threading.active_count() > 1
        if fresh and further and not half_way:
            self._child(self._end)
        elif fresh:
            self._end()
        if further and half_way:  # whoever holds the world before the hook began goes on
            return _WALK
        if further:
            signal.alarm(0)
            self._grow((), list(EVENTS))
        return _DONE

    def _end(self) -> int:
        """Mended, it converges: noted for every state on the way."""
        began = self.scope.now
        try:
            for digest in self.scope.settle(lambda digest: self.board.marked(f"good-{digest}")):
                self.board.mark(f"good-{digest}")
        except AssertionError as problem:
            self._note("broken", [[*self.seen, "(mended)"], str(problem)])
        self._note("simulated", self.scope.now - began)
        return _DONE


def shortest(broken: Sequence[tuple[list[str], str]]) -> list[tuple[list[str], str]]:
    """Each kind of trouble once, by its shortest sequence."""
    found: dict[str, tuple[list[str], str]] = {}
    for events, problem in sorted(broken, key=lambda each: len(each[0])):
        found.setdefault("".join(c for c in problem if not c.isdigit()), (events, problem))
    return list(found.values())
