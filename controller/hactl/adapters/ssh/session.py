"""One exec on one SSH channel: collects what the node prints and notices how it ends.

The class has the methods asyncssh calls on an SSHClientSession, and knows nothing else of SSH.
Output is bytes until the end; text that is not UTF-8 is kept with replacement characters, never refused.
An exec has ended when its channel is closed. A daemon that was started by the script can hold the output
open for ever (sshd(8) waits for end of file), so an exec whose exit status is known has also ended once
nothing more came for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

#: A line longer than this is handed on in pieces, so that a node cannot make us wait for a newline for ever.
LINE_BYTES = 64 * 1024


class Channel(Protocol):
    """What we use of an SSH channel."""

    def write(self, data: bytes) -> None:
        """Send to the standard input of the exec."""
        ...

    def write_eof(self) -> None:
        """End its standard input."""
        ...

    def terminate(self) -> None:
        """Ask sshd to send SIGTERM (it refuses for root sessions and forced commands)."""
        ...

    def close(self) -> None:
        """Close the channel: the exec's output goes nowhere from now on."""
        ...

    def pause_reading(self) -> None:
        """Let the node wait with further output."""
        ...

    def resume_reading(self) -> None:
        """Take output again."""
        ...


class Lines:
    """Cuts a stream of bytes into decoded lines."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now, without their newline."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE_BYTES:
            whole.append(self._rest[:LINE_BYTES])
            self._rest = self._rest[LINE_BYTES:]
        return [text(line) for line in whole]

    def flush(self) -> list[str]:
        """A last line that has no newline."""
        rest, self._rest = self._rest, b""
        return [text(rest)] if rest else []


def text(data: bytes | bytearray) -> str:
    """UTF-8 with replacement characters; a carriage return before a newline is part of the text."""
    return data.decode("utf-8", errors="replace")


class ExecSession:
    """Collects one exec."""

    def __init__(self, *, limit_bytes: int, linger_seconds: float, on_line: Callable[[str], None] | None) -> None:
        """`on_line` gets every line of both streams, in the order they arrive."""
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.exit_status: int | None = None
        #: Name of the signal that ended it, without SIG, e.g. "KILL".
        self.signal: str | None = None
        self.truncated = False
        #: Why the connection went away; None after an orderly close.
        self.lost: Exception | None = None
        #: What `on_line` raised; the caller's own bug, raised again by whoever runs the exec.
        self.listener_error: Exception | None = None
        self.ended = asyncio.Event()
        self._limit_bytes = limit_bytes
        self._linger_seconds = linger_seconds
        self._on_line = on_line
        self._lines = {False: Lines(), True: Lines()}
        self._linger: asyncio.TimerHandle | None = None

    @property
    def answered(self) -> bool:
        """It ended by itself: with an exit status or by a signal."""
        return self.exit_status is not None or self.signal is not None

    # What asyncssh calls.

    def connection_made(self, chan: object) -> None:
        """The channel exists."""

    def session_started(self) -> None:
        """The exec request was accepted."""

    def xon_xoff_requested(self, client_can_do: bool) -> None:
        """Flow control of terminals; there is none."""

    def pause_writing(self) -> None:
        """Scripts are small: what does not fit the window waits in asyncssh's buffer."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Output arrived: datatype None is standard output, 1 standard error."""
        if self.truncated or self.listener_error is not None:
            return
        is_stderr = datatype is not None
        room = self._limit_bytes - len(self.stdout) - len(self.stderr)
        kept = data[:room] if len(data) > room else data
        (self.stderr if is_stderr else self.stdout).extend(kept)
        self._tell(self._lines[is_stderr].feed(kept))
        if len(data) > room:
            self.truncated = True
            self._finish()
        elif self.answered:
            self._start_linger()

    def eof_received(self) -> bool:
        """Both streams ended; keep our own side as it is, the close follows."""
        return True

    def exit_status_received(self, status: int) -> None:
        """The exec ended."""
        self.exit_status = status
        self._start_linger()

    def exit_signal_received(self, signal: str, *details: object) -> None:  # noqa: ARG002
        """A signal ended the exec."""
        self.signal = signal
        self._start_linger()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed; `exc` tells when the whole connection went away."""
        self.lost = exc
        self._finish()

    # Ours.

    def release(self) -> None:
        """Forget timers and listeners; nothing is told any more."""
        self._on_line = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _start_linger(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._linger = asyncio.get_running_loop().call_later(self._linger_seconds, self._finish)

    def _finish(self) -> None:
        for lines in self._lines.values():
            self._tell(lines.flush())
        self.release()
        self.ended.set()

    def _tell(self, lines: list[str]) -> None:
        if self._on_line is None:
            return
        try:
            for line in lines:
                self._on_line(line)
        except Exception as error:  # noqa: BLE001 - raised again in the task that runs the exec
            self.listener_error = error
            self._on_line = None
            self.ended.set()


class StreamSession(ExecSession):
    """Collects nothing but hands lines of standard output to a queue, and makes the node wait when it is full."""

    HIGH_LINES = 1000
    STDERR_BYTES = 4096

    def __init__(self, *, linger_seconds: float) -> None:
        """Lines wait in `queue`; None marks the end."""
        super().__init__(limit_bytes=0, linger_seconds=linger_seconds, on_line=None)
        self.queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._cut = Lines()
        self._channel: Channel | None = None
        self._paused = False

    def connection_made(self, chan: object) -> None:
        """Keep the channel, to pause it."""
        self._channel = chan  # type: ignore[assignment]

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Queue the complete lines of standard output; keep the tail of standard error for messages."""
        if datatype is not None:
            self.stderr.extend(data)
            del self.stderr[: -self.STDERR_BYTES]
            return
        for line in self._cut.feed(data):
            self.queue.put_nowait(line)
        if self._channel is not None and not self._paused and self.queue.qsize() > self.HIGH_LINES:
            self._paused = True
            self._channel.pause_reading()

    def taken(self) -> None:
        """A line was taken from the queue: let the node go on when there is room again."""
        if self._paused and self._channel is not None and self.queue.qsize() < self.HIGH_LINES // 2:
            self._paused = False
            self._channel.resume_reading()

    def _finish(self) -> None:
        if not self.ended.is_set():
            for line in self._cut.flush():
                self.queue.put_nowait(line)
            self.queue.put_nowait(None)
        super()._finish()
