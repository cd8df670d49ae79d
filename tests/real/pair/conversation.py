"""A small reliable TCP client over frames that may be lost: one line out, one line back, then the next.

Pure but for the clock it is given. It never sends a line twice on purpose: one that was not answered in time is given
up with its connection, because nobody knows whether it was done; the caller sends the next number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .frames import ACK, FIN, PSH, RST, SYN, Segment

#: A lost segment is sent again after this.
AGAIN_SECONDS = 0.5
#: What was not answered by then never will be: the connection is dropped and opened anew.
PATIENCE_SECONDS = 3.0
_MODULUS = 1 << 32

#: (sequence, acknowledgement), flags, data.
Emit = Callable[[int, tuple[int, int], int, bytes], None]


@dataclass
class Conversation:
    """One connection after the other to the same port; `emit` gets our port, the numbers, the flags and the data."""

    emit: Emit
    port: int = 20000
    state: str = "closed"
    #: Next byte of ours that is not acknowledged, next byte of theirs.
    mine: int = 0
    theirs: int = 0
    unacknowledged: bytes = b""
    received: bytes = b""
    sent_at: float = 0.0
    since: float = 0.0

    @property
    def idle(self) -> bool:
        """Open, and nothing is under way."""
        return self.state == "open" and not self.unacknowledged

    def open(self, now: float) -> None:
        """Begin a new connection, from another port."""
        self.port = 20000 + (self.port - 19999) % 20000
        self.state, self.mine, self.unacknowledged, self.received = "opening", (self.port * 7919) % _MODULUS, b"", b""
        self.since = self.sent_at = now
        self.emit(self.port, (self.mine, 0), SYN, b"")

    def drop(self) -> None:
        """Give the connection up, and tell the other side."""
        if self.state != "closed":
            self.emit(self.port, (self.mine, self.theirs), RST | ACK, b"")
        self.state = "closed"

    def say(self, line: bytes, now: float) -> None:
        """Send a line; only when idle."""
        self.unacknowledged, self.since = line, now
        self._push(now)

    def _push(self, now: float) -> None:
        self.sent_at = now
        self.emit(self.port, (self.mine, self.theirs), PSH | ACK, self.unacknowledged)

    def tick(self, now: float) -> None:
        """Send again what may be lost; `overdue` is the caller's to heed."""
        if now - self.sent_at < AGAIN_SECONDS:
            return
        if self.state == "opening":
            self.sent_at = now
            self.emit(self.port, (self.mine, 0), SYN, b"")
        elif self.unacknowledged:
            self._push(now)

    def overdue(self, now: float) -> bool:
        """Nobody answered for as long as this client waits."""
        return self.state != "closed" and now - self.since > PATIENCE_SECONDS

    def hear(self, segment: Segment) -> list[bytes]:
        """Whole lines that came with a segment for this connection."""
        if self.state == "closed" or segment.ports[1] != self.port:
            return []
        if segment.flags & RST:
            self.state = "closed"
            return []
        if self.state == "opening":
            if segment.flags & SYN and segment.ack == (self.mine + 1) % _MODULUS:
                self.mine, self.theirs, self.state = segment.ack, (segment.seq + 1) % _MODULUS, "open"
                self.emit(self.port, (self.mine, self.theirs), ACK, b"")
            return []
        done = (segment.ack - self.mine) % _MODULUS
        if segment.flags & ACK and 0 < done <= len(self.unacknowledged):
            self.mine, self.unacknowledged = segment.ack, self.unacknowledged[done:]
        return self._take(segment)

    def _take(self, segment: Segment) -> list[bytes]:
        if segment.seq == self.theirs:
            self.received += segment.data
            self.theirs = (self.theirs + len(segment.data)) % _MODULUS
            if segment.flags & FIN:
                self.theirs = (self.theirs + 1) % _MODULUS
        if segment.data or segment.flags & FIN:
            self.emit(self.port, (self.mine, self.theirs), ACK, b"")
        *lines, self.received = self.received.split(b"\n")
        if segment.flags & FIN:
            self.drop()
        return lines
