"""Limits on what a stranger can make the API do: wrong credentials per address, and what is recorded of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from hactl.ports import Clock

#: Wrong credentials from one address within the window, then it has to wait.
FAILURES = 10
WINDOW_SECONDS = 60.0
#: Addresses remembered at most; the one that failed longest ago is forgotten first.
ADDRESSES = 4096


@dataclass(slots=True)
class _Count:
    began: float
    failures: int = 0
    recorded: bool = False


class FailureLimit:
    """Counts wrong credentials by address, in windows of a minute."""

    def __init__(self, clock: Clock, *, failures: int = FAILURES, window_seconds: float = WINDOW_SECONDS) -> None:
        """Nobody has failed yet."""
        self._clock = clock
        self._failures = failures
        self._window = window_seconds
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """How long this address has to wait before anything it shows is looked at; 0: not at all."""
        count = self._counts.get(address)
        if count is None:
            return 0
        left = self._window - (self._clock.monotonic() - count.began)
        if left <= 0:
            del self._counts[address]
            return 0
        return max(1, round(left)) if count.failures >= self._failures else 0

    def failed(self, address: str) -> bool:
        """It showed wrong credentials. True: the first time in this window, so that it is worth a line of history."""
        now = self._clock.monotonic()
        count = self._counts.get(address)
        if count is None or now - count.began >= self._window:
            count = self._counts[address] = _Count(now)
        self._counts.move_to_end(address)
        count.failures += 1
        if len(self._counts) > ADDRESSES:
            self._counts.popitem(last=False)
        first, count.recorded = not count.recorded, True
        return first
