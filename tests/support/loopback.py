"""Ports on loopback."""

from __future__ import annotations

import itertools
import random
import socket

#: Below what kernels give to outgoing connections: a port that is free now is not taken by one a moment later.
FIRST, COUNT = 20_000, 12_000
_NUMBERS = itertools.count(random.SystemRandom().randrange(COUNT))


def free_port() -> int:
    """A TCP port nobody listens on now, another one each time."""
    for number in itertools.islice(_NUMBERS, COUNT):
        port = FIRST + number % COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"no port is free from {FIRST} on")


def listens(port: int) -> bool:
    """Whether somebody accepts connections."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
