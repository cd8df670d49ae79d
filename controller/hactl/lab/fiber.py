"""Coroutines of the simulated side under virtual time: each is resumed by the world's own events.

Rules:
- A fiber runs until it sleeps on the clock; the world resumes it at its time, in the order of the event queue.
- It belongs to a machine: frozen with it, ended where it stands when the machine loses power.
- Killing the process whose command it runs wakes it; `process.check_alive` then ends that command.
- Each has a context of its own, so that what one sets (the running process) no other sees.
- None is left when the interpreter ends: the threads of their scripts must not meet its end half-way.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol
from weakref import WeakSet

from hactl.lab.process import CURRENT, check_alive

#: The fiber whose code runs now; None: somebody outside drives (a test, `drive`).
RUNNING: ContextVar[Fiber | None] = ContextVar("hactl_lab_fiber", default=None)


class PowerLost(Exception):
    """The machine a coroutine ran on lost power."""


def inherited() -> Context:
    """The context of a process that leaves its parent: what it inherits, but not who waits for it."""
    context = copy_context()
    context.run(CURRENT.set, None)
    return context


class Job(Protocol):
    """Work in the background: a fiber, or a task of asyncio."""

    def done(self) -> bool:
        """Whether it ended."""
        ...

    def cancel(self) -> object:
        """End it where it stands."""
        ...


class Owner(Protocol):
    """The machine a fiber or an event belongs to."""

    #: Grows with every loss of power: what was there before is void.
    power_cycles: int
    #: Monotonic seconds since when its time stands still; None: it does not.
    frozen_at: float | None


class Alarm(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None: ...


class Queue(Protocol):
    """What resumes fibers, and hears of their end: the world's events."""

    def at(self, delay_seconds: float, action: Callable[[], object], *, machine: Owner | None = None) -> Alarm: ...
    def forget(self, job: Job) -> None: ...


class _Sleep:
    """What a fiber hands out when it suspends."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[_Sleep, None, None]:
        yield self


class Fiber:
    """One coroutine and its place in the world's queue."""

    def __init__(
        self, queue: Queue, work: Coroutine[Any, Any, Any], machine: Owner | None, context: Context | None = None
    ) -> None:
        """Nothing runs yet; `begin` does. `context`: None for an empty one."""
        self.queue, self.machine = queue, machine
        self._work = work
        self._context = context if context is not None else Context()
        self._context.run(RUNNING.set, self)
        self._handle: Alarm | None = None
        self._active = False
        self._doomed = False
        self._done = False
        _UNFINISHED.add(self)

    def begin(self) -> None:
        """Run to the first sleep. Raises what the coroutine raises (but PowerLost)."""
        self._step()

    def done(self) -> bool:
        """Whether it ended."""
        return self._done

    def cancel(self) -> None:
        """End it where it stands, as a loss of power does."""
        if self._done:
            return
        self._doomed = True
        if not self._active:
            self._unwind()

    async def sleep(self, seconds: float) -> None:
        """Suspend; raises process.Killed when the process whose command runs is ended."""
        process = CURRENT.get()
        check_alive()
        if process is not None:
            process.on_kill.append(self.wake)
        try:
            await _Sleep(max(0.0, seconds))
        finally:
            if process is not None:
                process.on_kill.remove(self.wake)
        check_alive()

    def wake(self) -> None:
        """Go on at once instead of at the end of the sleep."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = self.queue.at(0.0, self._step, machine=self.machine)

    def _step(self) -> None:
        if self._done:
            return
        self._handle = None
        pause = self._run(lambda: self._work.send(None))
        if pause is None:
            return
        if self._doomed:
            self._unwind()
        else:
            self._handle = self.queue.at(pause.seconds, self._step, machine=self.machine)

    def _unwind(self) -> None:
        """Let it clean up; whatever it waits for meanwhile it does not get."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while not self._done:
            self._run(lambda: self._work.throw(PowerLost()))

    def _run(self, resume: Callable[[], Any]) -> _Sleep | None:
        """Go on to the next sleep, or to the end (None)."""
        self._active, pause = True, None
        try:
            awaited = self._context.run(resume)
            pause = awaited if isinstance(awaited, _Sleep) else None
        except (StopIteration, PowerLost):
            return None
        finally:
            self._active = False
            if pause is None:
                self._done = True
                _UNFINISHED.discard(self)
                self.queue.forget(self)
        if pause is None:
            self._work.close()
            raise RuntimeError("a coroutine suspended under virtual time: it awaited something that is not the clock")
        return pause


_UNFINISHED: WeakSet[Fiber] = WeakSet()


@atexit.register
def _end_all() -> None:
    for fiber in list(_UNFINISHED):
        fiber.cancel()


# The threads of scripts are not forked: a child has nothing to end.
os.register_at_fork(after_in_child=_UNFINISHED.clear)
