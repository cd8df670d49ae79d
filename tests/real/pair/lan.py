"""The LAN of a pair: a switch in one process. One datagram is one frame.

Its ports are node a, node b and clients. A client says that it is there with HELLO every second, and gets each frame
with the letter of the port it came from in front. Like a switch it learns behind which port a MAC address is, so a
takeover needs its gratuitous ARP. `DROP from-a to-b ...` makes it lose what these ports send, or what is for them: a
cable that is broken in one direction; `DROP` alone mends everything.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

from .qemu import kill, process
from .settings import LOCAL, Failed, Pair

HELLO = b"HELLO"
DROP = b"DROP"
#: How long the switch remembers a client that says nothing any more.
_CLIENT_SECONDS = 5.0
_START_SECONDS = 0.3
_FRAME = 65536


class Switch:
    """What it knows, apart from the socket: who is behind which port, and what it loses."""

    def __init__(self, nodes: dict[str, tuple[str, int]]) -> None:
        """Node ports by letter."""
        self.nodes = nodes
        self.letters = {address: letter for letter, address in nodes.items()}
        self.clients: dict[tuple[str, int], float] = {}
        self.learnt: dict[bytes, tuple[str, int]] = {}
        self.lost: set[str] = set()

    def forward(self, frame: bytes, source: tuple[str, int], now: float) -> list[tuple[bytes, tuple[str, int]]]:
        """What is sent where, for a datagram that came."""
        if frame == HELLO:
            self.clients[source] = now + _CLIENT_SECONDS
            return []
        if frame.startswith(DROP):
            self.lost = set(frame.decode().split()[1:])
            return []
        if len(frame) < 14 or f"from-{self.letters.get(source)}" in self.lost:
            return []
        self.learnt[frame[6:12]] = source
        self.clients = {client: end for client, end in self.clients.items() if end > now}
        behind = None if frame[0] & 1 else self.learnt.get(frame[:6])
        found = []
        for target in (*self.letters, *self.clients):
            if target == source or behind not in (None, target) or f"to-{self.letters.get(target)}" in self.lost:
                continue
            head = b"" if target in self.letters else self.letters.get(source, "c").encode()
            found.append((head + frame, target))
        return found


def serve(pair: Pair) -> None:
    """The switch itself; it ends when it is killed."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((LOCAL, switch_port(pair)))
    switch = Switch({node.key: (LOCAL, switch_port(pair) + node.number) for node in pair.nodes})
    while True:
        with contextlib.suppress(ConnectionRefusedError):  # a node that is off
            frame, source = link.recvfrom(_FRAME)
            for data, target in switch.forward(frame, source, time.monotonic()):
                with contextlib.suppress(OSError):
                    link.sendto(data, target)


def switch_port(pair: Pair) -> int:
    """Where the switch listens; the nodes' ends are the next two."""
    return pair.port + 3


def plug(pair: Pair) -> None:
    """Start the switch, unless it runs."""
    pidfile = pair.home / "hub.pid"
    if process(pidfile):
        return
    log = pair.home / "hub.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "real.pair", "_switch", str(pair.home)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    pidfile.write_text(str(child.pid))
    time.sleep(_START_SECONDS)
    if child.poll() is not None:
        raise Failed(f"the LAN does not start: {log.read_text().strip().splitlines()[-1]}")


def unplug(pair: Pair) -> None:
    """Stop the switch."""
    kill(pair.home / "hub.pid")


def lose(pair: Pair, *directions: str) -> None:
    """Have the switch lose what `from-a` sends or what is `to-b`; nothing: everything arrives again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b" ".join((DROP, *(word.encode() for word in directions))), (LOCAL, switch_port(pair)))
