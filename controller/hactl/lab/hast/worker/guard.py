"""The guard thread of a primary's worker: it connects, says it is there, and notices that the peer is gone.

Rules:
- It looks every ten seconds, counted from the end of what it did last: an attempt that nobody answers takes
  `timeout`, then ten seconds pass (recordings 03, 05, 06). The first attempt is the worker's own: meanwhile the guard
  wakes every ten seconds and does nothing, so that its first attempt begins less than ten seconds after that one's end.
- While an attempt runs the worker does not end (docs/freebsd-facts.md#2.8); the first attempt also keeps requests
  waiting.
- sbin/hastd/primary.c:guard_thread, primary_connect, init_remote.
"""

from __future__ import annotations

import math

from hactl.lab.hast.processes import KEEPALIVE_SECONDS, Link, MainProcess, Primary

#: How long a primary's TCP retransmits to a peer that vanished before it gives up, seconds (tcp(4)).
RETRANSMIT_SECONDS = 540.0
#: From fork to the end of a handshake with a peer that answers.
HANDSHAKE_SECONDS = 0.15
#: When TCP sends its SYN again, seconds after the first (tcp_timer.c:tcp_syn_backoff).
SYN_SECONDS = (1, 2, 3, 4, 5, 7, 11, 19)


class Guard:
    """The guard thread of one worker."""

    def __init__(self, worker: Primary) -> None:
        """The first attempt starts at once."""
        self.worker = worker
        #: World time the running attempt ends if the peer says nothing; None: no attempt runs.
        self.attempt_ends: float | None = None
        self._first_until = self._now() + worker.resource.config.timeout
        #: When the worker started; None: its own attempt is over.
        self._started: float | None = self._now()
        self.worker.later(0.0, lambda: self.connect(first=True))

    def _now(self) -> float:
        return self.worker.world.clock.monotonic()

    def _look(self) -> None:
        link = self.worker.link
        if link is None:
            self.connect()
            return
        self._keepalive(link)
        self.worker.later(KEEPALIVE_SECONDS, self._look)

    def _keepalive(self, link: Link) -> None:
        if link.reset:
            self.worker.disconnect()
        elif not link.carries():
            link.unanswered_since = link.unanswered_since or self._now()
            if self._now() - link.unanswered_since > RETRANSMIT_SECONDS:
                self.worker.disconnect()
        elif link.secondary is None:
            link.reset = True
        else:
            link.heard_at, link.unanswered_since = self._now(), None

    def _over(self) -> None:
        """The attempt ended without a connection."""
        self.attempt_ends = None
        self.worker.serve()
        self._look_later()

    def _look_later(self) -> None:
        """After the worker's own attempt the guard's first ten seconds may be over."""
        wait, started, self._started = KEEPALIVE_SECONDS, self._started, None
        if started is not None:
            # At a tie it looks at once; real ones did and did not (docs/freebsd-facts.md#7.43).
            elapsed = self._now() - started
            wait = KEEPALIVE_SECONDS * max(1, math.ceil(elapsed / KEEPALIVE_SECONDS - 1e-9)) - elapsed
        self.worker.later(max(0.0, wait), self._look)

    def connect(self, *, first: bool = False) -> None:
        """One connection attempt."""
        hast, resource = self.worker.hast, self.worker.resource
        if resource.config.remote == "none":
            self._over()
            return
        route = hast.route(resource)
        if route.outcome != "noroute" and not hast.connects:
            return  # it waits for the connection that was made for it, for ever
        if route.outcome == "noroute":
            hast.log_main("warning", f"Unable to connect to {resource.config.remote}: {route.error}.", resource)
            self._over()
        elif route.outcome == "silent":
            self._wait_for_peer(first=first)
        elif route.peer is None:
            self._over()
        elif route.peer.busy or hast.busy:
            self._wait_for_answer(first=first)
        else:
            self._handshake(route.peer, route.source, first=first)

    def _start_attempt(self) -> float:
        ends = self.attempt_ends = self._now() + self.worker.resource.config.timeout

        def over() -> None:
            if self.attempt_ends == ends:
                self._over()

        self.worker.later(self.worker.resource.config.timeout, over)
        return ends

    def _wait_for_peer(self, *, first: bool) -> None:
        """Nobody answers: TCP sends its SYN again and again, until `timeout` ends the attempt."""
        ends = self._start_attempt()
        hast, resource = self.worker.hast, self.worker.resource

        def again() -> None:
            if self.attempt_ends != ends:
                return
            if hast.route(resource).outcome != "silent":
                self.attempt_ends = None
                self.connect(first=first)

        for seconds in SYN_SECONDS:
            if seconds < resource.config.timeout:
                self.worker.later(seconds, again)

    def _wait_for_answer(self, *, first: bool) -> None:
        """The peer's (or our) main process is stuck: the connection is there, the answer is not."""
        ends = self._start_attempt()

        def again() -> None:
            if self.attempt_ends != ends:
                return
            route = self.worker.hast.route(self.worker.resource)
            if route.peer is not None and not route.peer.busy and not self.worker.hast.busy:
                self.attempt_ends = None
                self._handshake(route.peer, route.source, first=first)
            else:
                self.worker.later(0.25, again)

        self.worker.later(0.25, again)

    def _handshake(self, peer: MainProcess, source: str, *, first: bool) -> None:
        answer = peer.accept(self.worker, source)
        if answer == "primary" and first and self._now() + 1.0 < self._first_until:
            self.worker.later(1.0, lambda: self.connect(first=True))
        elif isinstance(answer, str):
            self._over()
        else:
            worker, link, verdict = answer
            self.worker.show()
            self.worker.later(HANDSHAKE_SECONDS, lambda: self.worker.connected(worker, link, verdict))
            self.worker.later(HANDSHAKE_SECONDS, self.worker.serve)
            self.worker.later(KEEPALIVE_SECONDS, self._look)
