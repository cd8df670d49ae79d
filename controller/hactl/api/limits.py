"""Limits on what a stranger can make the API do: wrong credentials per address, and what is written down of them."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hactl.ports import Clock

#: Wrong credentials from one address within the window, then more of them have to wait.
FAILURES = 10
WINDOW_SECONDS = 60.0
#: Addresses remembered at most; the one that was heard of longest ago is forgotten first.
ADDRESSES = 4096
#: So many addresses have lines of their own within a window; the rest are told together.
TOLD_APART = 60
#: An address that only stands for many.
OTHERS = "other addresses"


def network_of(address: str) -> str:
    """What one stranger has: an IPv4 address, of IPv6 the /64, within which anybody may take any address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


@dataclass(slots=True)
class _Count:
    began: float
    times: int = 0
    last: str = ""


class FailureLimit:
    """Counts wrong credentials by address, in windows of a minute. What is right is never kept waiting by it."""

    def __init__(self, clock: Clock, *, failures: int = FAILURES, window_seconds: float = WINDOW_SECONDS) -> None:
        """Nobody has failed yet."""
        self._clock = clock
        self._failures = failures
        self._window = window_seconds
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def failed(self, address: str) -> int:
        """It showed wrong credentials: how many seconds it should wait with the next ones; 0: not at all."""
        now, network = self._clock.monotonic(), network_of(address)
        count = self._counts.get(network)
        if count is None or now - count.began >= self._window:
            count = self._counts[network] = _Count(now)
        self._counts.move_to_end(network)
        count.times += 1
        if len(self._counts) > ADDRESSES:
            self._counts.popitem(last=False)
        if count.times <= self._failures:
            return 0
        return max(1, round(self._window - (now - count.began)))


class Tally:
    """Says what is repeated without end once a window for each key: the first ones at once, the rest as a number."""

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[str, str, int], None],
        *,
        at_once: int = 1,
        keys: int = TOLD_APART,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        """`tell` gets the key, the last thing that was repeated, and how many more there were than had been said."""
        self._clock = clock
        self._tell = tell
        self._at_once = at_once
        self._keys = keys
        self._window = window_seconds
        self._counts: dict[str, _Count] = {}

    def seen(self, key: str, what: str) -> bool:
        """It happened once more. True: say it now; False: it is counted."""
        self.flush()
        if key not in self._counts and len(self._counts) >= self._keys:
            key = OTHERS
        count = self._counts.setdefault(key, _Count(self._clock.monotonic()))
        count.times += 1
        count.last = what
        return count.times <= self._at_once and key != OTHERS

    def flush(self, *, end: bool = False) -> None:
        """Tell the numbers of the windows that are over (at the `end` of all); to be called now and then."""
        now = self._clock.monotonic()
        for key, count in list(self._counts.items()):
            if now - count.began < self._window and not end:
                # They are in the order of their beginnings.
                break
            del self._counts[key]
            more = count.times - (self._at_once if key != OTHERS else 0)
            if more > 0:
                self._tell(key, count.last, more)
