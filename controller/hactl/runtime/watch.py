"""Listening to devd on every node, so that a CARP change wakes a look within a second instead of at the next resync.

Rules: an event is a hint and nothing more; a stream that is dead, missing or silent costs latency only; what we leave
behind on a node ends by itself, because devd has room for 10 clients only. Man pages: devd(8), nc(1), carp(4).
Facts: devd.pipe is a stream of lines without history, readable by everyone (sbin/devd/devd.cc).
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping

from hactl.errors import NodeError
from hactl.ports import Clock, Nodes, Target
from hactl.runtime.timeouts import discard, within

log = logging.getLogger("hactl.runtime.watch")

#: nc ends after this much silence (-w), and is started again at once, seconds. Without it an nc whose reader is gone
#: could stay until the next event and keep one of devd's 10 places.
IDLE_SECONDS = 60
#: Silence after which a stream is given up here, seconds.
SILENCE_SECONDS = 90.0
#: Events within this time are one look, seconds.
GATHER_SECONDS = 0.075
#: A storm of events is one look in this time, seconds.
GAP_SECONDS = 1.0
#: Before a stream that ended is opened again; doubles with every failure up to the limit, seconds.
FIRST_DELAY_SECONDS = 1.0
LIMIT_SECONDS = 60.0

LISTEN = f"""\
PATH=/sbin:/bin:/usr/sbin:/usr/bin; export PATH
test -S /var/run/devd.pipe || exit 3
echo '# listening'
exec nc -dU -w {IDLE_SECONDS} /var/run/devd.pipe
"""

_WORTH_A_LOOK = re.compile(
    r"!system=CARP "
    r"|!system=IFNET .*\btype=(LINK_UP|LINK_DOWN|ATTACH|DETACH)\b"
    r"|!system=DEVFS .*\bcdev=hast/"
)


def worth_a_look(line: str) -> bool:
    """Whether a line of devd can mean that a cluster has changed."""
    return _WORTH_A_LOOK.match(line) is not None


class DevdWatch:
    """One stream per node of the clusters that are followed."""

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        chance: random.Random,
        wake: Callable[[str, float], None],
    ) -> None:
        """`wake(cluster, seconds)` is to look at the cluster in that many seconds."""
        self._nodes = nodes
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._streams: dict[tuple[str, str], tuple[Target, asyncio.Task[None]]] = {}
        #: cluster -> monotonic seconds of the look that its last event asked for.
        self._due: dict[str, float] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def follow(self, cluster: str, targets: Mapping[str, Target]) -> None:
        """Listen to exactly these nodes of the cluster."""
        for key, (target, _) in list(self._streams.items()):
            if key[0] == cluster and targets.get(key[1]) != target:
                self._drop(key)
        for node, target in targets.items():
            if (cluster, node) not in self._streams:
                task = asyncio.ensure_future(self._listen(target))
                self._streams[cluster, node] = (target, task)

    def unfollow(self, cluster: str) -> None:
        """Listen to none of its nodes any more."""
        self.follow(cluster, {})
        self._due.pop(cluster, None)

    async def close(self) -> None:
        """End all streams."""
        for key in list(self._streams):
            self._drop(key)
        await discard(self._clock, *self._ending)

    def _drop(self, key: tuple[str, str]) -> None:
        _, task = self._streams.pop(key)
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _listen(self, target: Target) -> None:
        """Listen, and again when it ends, for ever."""
        where = {"cluster": target.cluster, "node": target.node}
        failures = 0
        missed = True
        while True:
            began = self._clock.monotonic()
            try:
                why = await self._stream(target, missed=missed)
            except NodeError as error:
                why = str(error)
            except Exception:
                log.exception("listening to devd failed unexpectedly", extra=where)
                why = "unexpected failure"
            missed = bool(why)
            if not why:
                failures = 0
                continue
            if self._clock.monotonic() - began > IDLE_SECONDS:
                failures = 0
            if failures == 0:
                log.info("devd stream ended; will try again", extra={**where, "reason": why})
            ceiling = min(LIMIT_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures, 30))
            failures += 1
            await self._clock.sleep(self._chance.uniform(ceiling / 2, ceiling))

    async def _stream(self, target: Target, *, missed: bool) -> str:
        """Follow one stream to its end; returns why it ended, empty when only because nothing happened.

        There is no history: what may have happened while nobody listened (`missed`) is found by looking, once the
        stream is open.
        """
        lines = self._nodes.stream(target, LISTEN)
        heard_at = self._clock.monotonic()
        while True:
            try:
                line = await within(self._clock, SILENCE_SECONDS, _next(lines))
            except TimeoutError:
                return ""
            if line is None:
                quiet = self._clock.monotonic() - heard_at
                return "" if quiet >= IDLE_SECONDS * 0.9 else "devd let go of us, or is not running"
            heard_at = self._clock.monotonic()
            if worth_a_look(line) or (missed and line == "# listening"):
                self._want(target.cluster)

    def _want(self, cluster: str) -> None:
        now = self._clock.monotonic()
        due = self._due.get(cluster, float("-inf"))
        if due <= now:
            due = max(now + GATHER_SECONDS, due + GAP_SECONDS)
            self._due[cluster] = due
        self._wake(cluster, due - now)


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)
