"""The select loop of hastd's main process: one thing at a time, and signals only when it wakes.

Rules:
- Work is a generator that yields the seconds it has to wait for somebody; until it ends, nothing else is done.
- What is posted (signals, ended children) is seen at the next request or connection, or when the loop's five
  seconds are over (recordings 03, 04, 05 and 07 all show it; hastd.c:main_loop, REPORT_INTERVAL).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hactl.lab.host import Host

#: The select loop's timeout, seconds.
SELECT_SECONDS = 5.0
Work = Iterator[float]


@dataclass(slots=True, eq=False)
class Request:
    """Work of the main process somebody waits for."""

    done: bool = False


class SelectLoop:
    """The loop of one main process, alive between `begin` and `end`."""

    def __init__(self, machine: Host) -> None:
        """Not running."""
        self.machine = machine
        self._alive = False
        self._posted: deque[Callable[[], Work]] = deque()
        self._working: Request | None = None
        self._woke_at = 0.0
        self._alarm_set = False

    @property
    def busy(self) -> bool:
        """Whether the main process is in the middle of something."""
        return self._working is not None

    def begin(self) -> None:
        """The process starts."""
        self.end()
        self._alive = True
        self._woke_at = self._now()

    def end(self) -> None:
        """The process is gone, and with it whatever it was doing."""
        self._alive = self._alarm_set = False
        self._working = None
        self._posted.clear()

    def _now(self) -> float:
        return self.machine.world.clock.monotonic()

    def post(self, event: Callable[[], Work]) -> None:
        """Something for the main process, seen when the loop wakes."""
        self._posted.append(event)
        if self._alarm_set:
            return
        rounds = max(1, math.ceil((self._now() - self._woke_at) / SELECT_SECONDS + 1e-9))
        self._alarm_set = True
        self.machine.world.at(self._woke_at + rounds * SELECT_SECONDS - self._now(), self._alarm, machine=self.machine)

    def _alarm(self) -> None:
        self._alarm_set = False
        self.wake()

    def wake(self) -> None:
        """Everything posted is done, as far as nothing has to be waited for."""
        if not self._alive or self.busy:
            return
        self._woke_at = self._now()
        while self._posted and not self.busy and self._alive:
            self.perform(self._posted.popleft()())

    def perform(self, work: Work) -> Request:
        """Do something now; it is done when the answer says so."""
        request = Request()
        self._working = request
        self._continue(request, work)
        return request

    def _continue(self, request: Request, work: Work) -> None:
        for delay in work:
            if delay > 0:
                self.machine.world.at(delay, lambda: self._resume(request, work), machine=self.machine)
                return
        request.done = True
        if self._working is request:
            self._working = None
            self._woke_at = self._now()
            if self._posted and self._alive:
                self.machine.world.at(0.0, self.wake, machine=self.machine)

    def _resume(self, request: Request, work: Work) -> None:
        # A process that was killed meanwhile does not go on.
        if self._working is request:
            self._continue(request, work)
