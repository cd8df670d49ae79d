"""Looking at all nodes of a cluster at once: one exec of one probe per node, and a Snapshot of what came back.

Rules: trouble with a node is a reading (`Unknown` with a reason and the moment it began), never an exception; no node
delays the others beyond the deadline; nothing is kept between looks but since when a node has been silent.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable, Mapping

from hactl.core.cluster import Cluster
from hactl.core.facts import Known, NodeFacts, Reading, Snapshot, Unknown
from hactl.core.parse import parse_probe
from hactl.core.probe.script import probe_script
from hactl.errors import NodeError
from hactl.ports import Answer, Clock, Nodes, Target
from hactl.runtime.timeouts import within

log = logging.getLogger("hactl.runtime.passes.observe")

#: How long a look at a node may take, connecting included, seconds.
DEADLINE_SECONDS = 25.0
#: Raw text kept for people when a node's answer is not ours, characters.
RAW_LIMIT = 500


def make_nonce() -> str:
    """A word nobody else can print, to frame our lines in an answer."""
    return secrets.token_hex(8)


class Observer:
    """Takes snapshots."""

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        salt: bytes,
        *,
        script: Callable[[Cluster, str, str], str] = probe_script,
        parse: Callable[..., NodeFacts] = parse_probe,
    ) -> None:
        """`salt` is what CARP keys are fingerprinted with."""
        self._nodes = nodes
        self._clock = clock
        self._salt = salt
        self._script = script
        self._parse = parse
        #: (cluster, node) -> monotonic seconds of the first look that had no answer.
        self._silent_since: dict[tuple[str, str], float] = {}

    async def observe(self, cluster: Cluster, targets: Mapping[str, Target]) -> Snapshot:
        """One look at every node of the cluster, all at the same time. Never raises NodeError."""
        names = [node.name for node in cluster.nodes]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._look(cluster, targets[name])) for name in names]
        readings = {name: task.result() for name, task in zip(names, tasks, strict=True)}
        return Snapshot(taken_at=self._clock.monotonic(), nodes=readings)

    def forget(self, cluster: str) -> None:
        """The cluster is no longer looked at."""
        for key in [key for key in self._silent_since if key[0] == cluster]:
            del self._silent_since[key]

    async def _look(self, cluster: Cluster, target: Target) -> Reading[NodeFacts]:
        key = (cluster.name, target.node)
        began = self._clock.monotonic()
        reading = await self._ask(cluster, target, began)
        if isinstance(reading, Known):
            if self._silent_since.pop(key, None) is not None:
                log.info("node answers again", extra={"cluster": cluster.name, "node": target.node})
            return reading
        if key not in self._silent_since:
            self._silent_since[key] = began
            log.warning(
                "node gives no facts",
                extra={"cluster": cluster.name, "node": target.node, "reason": reading.reason, "detail": reading.raw},
            )
        return Unknown(reading.reason, self._silent_since[key], reading.raw)

    async def _ask(self, cluster: Cluster, target: Target, began: float) -> Reading[NodeFacts]:
        nonce = make_nonce()
        script = self._script(cluster, target.node, nonce)
        # The node's own limit is shorter, so that what a half-stuck node did say still reaches us.
        run = self._nodes.run(target, script, timeout_seconds=DEADLINE_SECONDS * 0.8)
        try:
            answer = await within(self._clock, DEADLINE_SECONDS, run)
        except TimeoutError:
            return Unknown("Timeout", began, f"no answer within {DEADLINE_SECONDS:.0f} s")
        except NodeError as error:
            return Unknown(error.reason, began, str(error))
        # Readings are as old as the moment the probe began: what changed while it ran may not be in them.
        seen_at = max(began, self._clock.monotonic() - answer.seconds)
        try:
            facts = self._parse(cluster, target.node, answer.stdout, nonce=nonce, seen_at=seen_at, salt=self._salt)
        except ValueError:
            return Unknown("Garbled", began, _not_ours(answer))
        except Exception as error:  # noqa: BLE001 - logged below, without its message: it may quote an answer with keys
            # A bug of ours, but one node's odd answer must not blind us to the others.
            where = {"cluster": cluster.name, "node": target.node, "error": type(error).__name__}
            trace = "".join(traceback.format_tb(error.__traceback__))
            log.error("the probe's answer could not be read", extra={**where, "traceback": trace})
            return Unknown("Garbled", began, "the probe's answer could not be read: a bug in hactl, see its log")
        return Known(facts, seen_at)


def _not_ours(answer: Answer) -> str:
    """What the node said instead of our probe's answer, for people."""
    printed = (answer.stderr.strip() or answer.stdout.strip())[:RAW_LIMIT]
    if answer.timed_out:
        return (
            f"no answer to the probe within the time allowed: {printed}"
            if printed
            else "no answer within the time allowed"
        )
    status = "" if answer.exit_status is None else f" (exit status {answer.exit_status})"
    return f"the node did not run the probe{status}: {printed or 'it printed nothing'}"
