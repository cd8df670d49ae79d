"""Listening on every node, so that a look comes within a second of what happens there instead of at the next resync.

What is heard: devd's events (CARP, links, HAST devices), what hastd logs, that a daemon has ended; and of a node that
was gone, that its sshd answers again.

Rules: what is heard is a hint and nothing more; a stream that is dead, missing or silent costs latency only; what we
leave behind on a node ends by itself, because devd has room for 10 clients only; however many nodes are gone, no more
than KNOCKS_PER_SECOND are knocked at. Man pages: devd(8), nc(1), carp(4), pwait(1), tail(1).
Facts: devd.pipe is a stream of lines without history, readable by everyone (sbin/devd/devd.cc).
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping

from hactl.core.choices import NodeAccess
from hactl.core.gate.request import listen_request
from hactl.core.probe.listening import IDLE_SECONDS, listen_script
from hactl.errors import NodeError, NodeUnreachable
from hactl.ports import Clock, Nodes, Target
from hactl.runtime.timeouts import discard, within

log = logging.getLogger("hactl.runtime.watch")

#: Silence after which a stream is given up here, seconds.
SILENCE_SECONDS = 90.0
#: Events within this time are one look, seconds.
GATHER_SECONDS = 0.075
#: A storm of events is one look in this time, seconds.
GAP_SECONDS = 1.0
#: Before a stream that ended is opened again; doubles with every failure up to the limit, seconds.
FIRST_DELAY_SECONDS = 1.0
LIMIT_SECONDS = 60.0

#: Between two knocks at a node that is gone, seconds; more when many are.
KNOCK_SECONDS = (0.5, 1.0)
#: Knocks at all nodes together.
KNOCKS_PER_SECOND = 50.0

_WORTH_A_LOOK = re.compile(
    r"!system=CARP "
    r"|!system=IFNET .*\btype=(LINK_UP|LINK_DOWN|ATTACH|DETACH)\b"
    r"|!system=DEVFS .*\bcdev=hast/"
    r"|# a daemon ended$"
    r"|[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} .*\bhastd\["
)


def worth_a_look(line: str) -> bool:
    """Whether a line can mean that a cluster has changed."""
    return _WORTH_A_LOOK.match(line) is not None


class DevdWatch:
    """One stream per node of the clusters that are followed."""

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        chance: random.Random,
        wake: Callable[[str, float], None],
        token: str,
    ) -> None:
        """`wake(cluster, seconds)` is to look at the cluster in that many seconds; `token` is ours on the nodes."""
        self._script = listen_script(token)
        self._nodes = nodes
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._streams: dict[tuple[str, str], tuple[Target, asyncio.Task[None]]] = {}
        #: cluster -> monotonic seconds of the look that its last event asked for.
        self._due: dict[str, float] = {}
        self._ending: set[asyncio.Task[None]] = set()
        #: Nodes whose stream is open now.
        self._open: set[tuple[str, str]] = set()
        #: How many nodes are knocked at.
        self._gone = 0

    def hears(self, cluster: str) -> bool:
        """Whether a stream is open from every node of the cluster that is followed."""
        mine = [key for key in self._streams if key[0] == cluster]
        return bool(mine) and all(key in self._open for key in mine)

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
            except NodeUnreachable as error:
                why = str(error)
                if not await self._nodes.answers(target):
                    log.info("node cannot be reached; knocking until it answers", extra={**where, "reason": why})
                    await self._returned(target)
                    missed, failures = True, 0
                    self._want(target.cluster)
                    continue
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

    async def _returned(self, target: Target) -> None:
        """Until an sshd answers there."""
        self._gone += 1
        try:
            while True:
                wait = max(self._chance.uniform(*KNOCK_SECONDS), self._gone / KNOCKS_PER_SECOND)
                await self._clock.sleep(wait)
                if await self._nodes.answers(target):
                    return
        finally:
            self._gone -= 1

    async def _stream(self, target: Target, *, missed: bool) -> str:
        """Follow one stream to its end; returns why it ended, empty when only because nothing happened.

        There is no history: what may have happened while nobody listened (`missed`) is found by looking, once the
        stream is open.
        """
        key = (target.cluster, target.node)
        try:
            return await self._lines(target, key, missed=missed)
        finally:
            self._open.discard(key)

    async def _lines(self, target: Target, key: tuple[str, str], *, missed: bool) -> str:
        script = self._script if target.access is NodeAccess.ROOT else listen_request(target.gate)
        lines = self._nodes.stream(target, script)
        opened_at = self._clock.monotonic()
        while True:
            try:
                line = await within(self._clock, SILENCE_SECONDS, _next(lines))
            except TimeoutError:
                return ""
            if line is None:
                # nc counts the silence of devd alone.
                lasted = self._clock.monotonic() - opened_at
                return "" if lasted >= IDLE_SECONDS * 0.9 else "devd let go of us, or is not running"
            self._open.add(key)
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
