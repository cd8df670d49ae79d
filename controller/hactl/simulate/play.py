"""Many stories at once: each in a fork(2) of the one process that holds the cluster at rest.

Rules:
- The caller's process never touches the simulated world: a stage process of its own sets the cluster up, so that
  whoever waits can be interrupted at any moment and everything ends with the stage's process group.
- A world cannot be copied, but a process can: a story begins where the stage stands, and nothing of it comes back but
  its result. At rest no script is half-way: threads are not forked.
- The stage ends with its caller, however that ends: a pipe whose other end is closed tells it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import threading
import traceback
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from hactl.core.objects import HACluster
from hactl.core.simulation.story import Fault, Result, name_of
from hactl.errors import HactlError
from hactl.simulate.cluster import SimulatedCluster
from hactl.simulate.faults import pairs, singles
from hactl.simulate.start import Unplayable, at_rest, played
from hactl.simulate.story import Story

#: A story that takes longer, processor seconds, hangs: the lab has a fault.
HANG_SECONDS = 120
#: From one fault of a pair to the next, virtual seconds: the first one is dealt with by then.
GAP_SECONDS = 20.0


class PlayFailed(HactlError):
    """The simulation itself went wrong; nothing is said of the document."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What a simulation tells while it goes on."""

    #: How many stories there are in all; 0: the nodes are being set up.
    total: int = 0
    result: Result | None = None
    #: Its place among all: results come as they end.
    number: int = 0
    #: What of the document is not played as it is.
    notes: tuple[str, ...] = ()


def play(document: HACluster, *, faults: int, jobs: int, only: Sequence[str] = ()) -> Generator[Told, None, None]:
    """Play every story of a document with so many faults at most, in so many processes.

    `only`: those whose name contains one of these texts.
    Raises Unplayable and PlayFailed. Closing the iterator, or any exception in its caller, ends all processes.
    """
    found = played(document)
    yield Told(notes=found.notes)
    from_stage, to_caller = os.pipe()
    lifeline, mine = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_stage(from_stage, mine)
        _leave(lambda: _Stage(to_caller, lifeline, faults, jobs, only).run(at_rest(found)), to_caller)
    os.close(to_caller)
    os.close(lifeline)
    left: int | None = None
    try:
        with os.fdopen(from_stage) as lines:
            for line in lines:
                told = _told(json.loads(line))
                left = told.total if told.result is None else (left or 0) - 1
                yield told
        if left != 0:
            raise PlayFailed("the process that plays was ended before all stories were; is there enough memory?")
    finally:
        os.close(mine)
        _end_group(pid)


def _told(message: dict[str, Any]) -> Told:
    if "unplayable" in message:
        raise Unplayable(message["unplayable"])
    if "failed" in message:
        raise PlayFailed(message["failed"])
    if "total" in message:
        return Told(message["total"])
    return Told(message["of"], Result.of_data(message["result"]), message["number"])


def _end_group(pid: int) -> None:
    """Whatever the stage and its stories do, they end now."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It has not become a group of its own yet.
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _become_stage(*theirs: int) -> None:
    """In the fork: a process group of its own, which the terminal's Ctrl-C does not reach."""
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for descriptor in theirs:
        os.close(descriptor)


def _leave(work: Any, pipe: int) -> None:
    """Do the work of a fork and end it; it must never go on as its parent."""
    try:
        work()
    except Unplayable as refused:
        _send(pipe, {"unplayable": str(refused)})
    except BaseException as problem:  # noqa: BLE001
        last = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{last.filename.rpartition('/hactl/')[2]}:{last.lineno}"
        what = f"{type(problem).__name__}: {problem} ({where})"
        _send(pipe, {"failed": f"the simulation broke, which is a fault of hactl: {what}"})
    finally:
        os._exit(0)


def _send(pipe: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(pipe, data) :]


@dataclass(slots=True)
class _Child:
    """A story that is being played, and what came of it so far."""

    pid: int
    number: int
    faults: Sequence[Fault]
    text: bytes = b""


class _Stage:
    """The process that holds the cluster at rest."""

    def __init__(self, to_caller: int, lifeline: int, faults: int, jobs: int, only: Sequence[str]) -> None:
        self.to_caller, self.lifeline, self.faults, self.jobs, self.only = to_caller, lifeline, faults, jobs, only
        self._children: dict[int, _Child] = {}

    def run(self, simulated: SimulatedCluster) -> None:
        """Play everything and tell it as it ends."""
        found = singles(simulated)
        stories: list[Sequence[Fault]] = [(fault,) for fault in found]
        if self.faults > 1:
            stories += pairs(found)
        if self.only:
            stories = [faults for faults in stories if any(text in name_of(faults) for text in self.only)]
        _send(self.to_caller, {"total": len(stories)})
        if threading.active_count() > 1:
            raise RuntimeError("a script still runs in the cluster at rest: it cannot be forked")
        # What is there stays where it is: else each story would copy it when it collects.
        gc.collect()
        gc.freeze()
        for number, faults in enumerate(stories):
            while len(self._children) >= self.jobs:
                self._wait(len(stories))
            self._begin(simulated, number, faults)
        while self._children:
            self._wait(len(stories))

    def _begin(self, simulated: SimulatedCluster, number: int, faults: Sequence[Fault]) -> None:
        result, mine = os.pipe()
        pid = os.fork()
        if pid == 0:
            for other in (result, self.to_caller, *self._children):
                os.close(other)
            gc.disable()  # it does not live long
            signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
            _leave(lambda: _send(mine, {"result": Story(simulated, faults, GAP_SECONDS).play().as_data()}), mine)
        os.close(mine)
        self._children[result] = _Child(pid, number, faults)

    def _wait(self, total: int) -> None:
        """Until a story tells something. The caller's end ends us all."""
        ready, _, _ = select.select([self.lifeline, *self._children], [], [])
        if self.lifeline in ready:
            os.killpg(0, signal.SIGKILL)
        for descriptor in ready:
            child = self._children[descriptor]
            piece = os.read(descriptor, 65536)
            child.text += piece
            if piece:
                continue
            os.close(descriptor)
            del self._children[descriptor]
            os.waitpid(child.pid, 0)
            _send(self.to_caller, self._message(child, total))

    def _message(self, child: _Child, total: int) -> dict[str, Any]:
        what = name_of(child.faults)
        if not child.text.endswith(b"\n"):
            return {"failed": f"the story of {what} did not end within {HANG_SECONDS} s of a processor, or was killed"}
        message = json.loads(child.text)
        if "failed" in message:
            return {"failed": f"{what}: {message['failed']}"}
        return {"of": total, "number": child.number, "result": message["result"]}
