"""Looking at all nodes of a cluster at once: one exec of one probe per node, and a Snapshot of what came back.

Rules: trouble with a node is a reading (`Unknown` with a reason and the moment it began), never an exception; no node
delays the others beyond the deadline. What is kept of a node's last answer saves work and decides nothing: what the
node finds unchanged it need not say again, and a quick look that finds anything else is followed by a full one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from hactl.core.choices import NodeAccess
from hactl.core.cluster import Cluster
from hactl.core.facts import Known, NodeFacts, Reading, Snapshot, Unknown
from hactl.core.gate.request import look_request
from hactl.core.parse import parse_probe
from hactl.core.parse.answer.quick import comparable, unchanged
from hactl.core.parse.question import DECIDING, EVERYTHING, WHOLE, Answered, NextLook, Part, Question
from hactl.core.probe.listening import is_listening, listening_script
from hactl.core.probe.script import probe_script
from hactl.errors import NodeError
from hactl.ports import Answer, Clock, Nodes, Target
from hactl.runtime.timeouts import within

log = logging.getLogger("hactl.runtime.passes.observe")

#: How long a look at a node may take, connecting included, seconds.
DEADLINE_SECONDS = 25.0
#: How long a look may take that trusts a node to answer as it did the last time: so many times as long as then, and at
#: least so many seconds. Nothing on the node is bounded then but the whole; when it is not enough, everything is asked
#: again with the other limit.
PROMPT_TIMES = 4.0
PROMPT_SECONDS = 8.0
#: At a node that is silent and whose sshd does not introduce itself a login is tried this often all the same, seconds.
LOGIN_SECONDS = 20.0
#: A look that asks for some parts only leaves the others at most this old, seconds; else it asks for all.
BASE_SECONDS = 15.0
#: What a quick look is compared with is at most this old, seconds.
COMPARED_SECONDS = 300.0
#: How long a node may take to say whether a controller listens on it, seconds.
LISTENS_SECONDS = 10.0
#: Raw text kept for people when a node's answer is not ours, characters.
RAW_LIMIT = 500


def make_nonce() -> str:
    """A word nobody else can print, to frame our lines in an answer."""
    return secrets.token_hex(8)


class Depth(Enum):
    """How closely to look."""

    #: Everything is asked: before anything is changed, and whenever something may have happened.
    FULL = "full"
    #: What changes by itself is asked and compared; anything else than last time makes it a full one.
    QUICK = "quick"


@dataclass(frozen=True, slots=True)
class _Last:
    """What a node told last, and for which document."""

    cluster: Cluster
    answered: Answered
    #: Monotonic seconds of the last answer that told everything.
    full_at: float
    #: How long the node took for that.
    seconds: float

    @property
    def prompt_seconds(self) -> float:
        """How long a look may take that builds on this one."""
        return min(DEADLINE_SECONDS, max(PROMPT_SECONDS, PROMPT_TIMES * self.seconds))


class Observer:
    """Takes snapshots."""

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        salt: bytes,
        *,
        script: Callable[[Cluster, str, str, Question], str] = probe_script,
        parse: Callable[..., Answered] = parse_probe,
        compare: Callable[..., NodeFacts | None] = unchanged,
    ) -> None:
        """`salt` is what CARP keys are fingerprinted with."""
        self._nodes = nodes
        self._clock = clock
        self._salt = salt
        self._script = script
        self._parse = parse
        self._compare = compare
        #: (cluster, node) -> monotonic seconds of the first look that had no answer.
        self._silent_since: dict[tuple[str, str], float] = {}
        #: (cluster, node) -> monotonic seconds of the last login that was tried while it was silent.
        self._tried_at: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], _Last] = {}

    async def observe(
        self,
        cluster: Cluster,
        targets: Mapping[str, Target],
        *,
        depth: Depth = Depth.FULL,
        look: NextLook = WHOLE,
    ) -> Snapshot:
        """One look at every node of the cluster, all at the same time. Never raises NodeError.

        `look`: ask for these parts only, where the rest is known and new (BASE_SECONDS): between the stages of an
        operation, which changed nothing else, and whose steps told of services. The facts are as old as the oldest of
        what decides.
        """
        names = [node.name for node in cluster.nodes]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._look(cluster, targets[name], depth, look)) for name in names]
        readings = {name: task.result() for name, task in zip(names, tasks, strict=True)}
        return Snapshot(taken_at=self._clock.monotonic(), nodes=readings)

    async def listens(self, target: Target, token: str) -> bool | None:
        """Whether a controller listens on a node (`core.probe.listening`); None: the node does not say.

        A gate does not tell: who acts needs another key than one that only looks.
        """
        if target.access is not NodeAccess.ROOT:
            return None
        nonce = make_nonce()
        try:
            script = listening_script(token, nonce)
            answer = await self._nodes.run(target, script, timeout_seconds=LISTENS_SECONDS)
        except (NodeError, ValueError):
            return None
        return is_listening(answer.stdout, nonce)

    def forget(self, cluster: str) -> None:
        """The cluster is no longer looked at."""
        kept: tuple[dict[tuple[str, str], Any], ...] = (self._silent_since, self._tried_at, self._last)
        for each in kept:
            for key in [key for key in each if key[0] == cluster]:
                del each[key]

    async def _look(self, cluster: Cluster, target: Target, depth: Depth, look: NextLook) -> Reading[NodeFacts]:
        key = (cluster.name, target.node)
        began = self._clock.monotonic()
        recent = began - self._tried_at.get(key, began) < LOGIN_SECONDS
        if key in self._silent_since and recent and not await self._nodes.answers(target):
            # It did not answer the last time either: no login is tried where nobody listens.
            place = f"{target.host} port {target.port}"
            return Unknown("Unreachable", self._silent_since[key], f"{target.node}: no sshd answers at {place}")
        last = self._last.get(key)
        if last is not None and last.cluster != cluster:
            last = None
        reading: Reading[NodeFacts] | None = None
        if last is not None:
            reading = await self._ask_again(cluster, target, last, depth, look)
        if reading is None:
            left = max(1.0, DEADLINE_SECONDS - (self._clock.monotonic() - began))
            reading = await self._ask(cluster, target, EVERYTHING, None, left)
        if isinstance(reading, Known):
            self._tried_at.pop(key, None)
            if self._silent_since.pop(key, None) is not None:
                log.info("node answers again", extra={"cluster": cluster.name, "node": target.node})
            return reading
        self._tried_at[key] = began
        if key not in self._silent_since:
            self._silent_since[key] = began
            log.warning(
                "node gives no facts",
                extra={"cluster": cluster.name, "node": target.node, "reason": reading.reason, "detail": reading.raw},
            )
        return Unknown(reading.reason, self._silent_since[key], reading.raw)

    async def _ask_again(
        self, cluster: Cluster, target: Target, last: _Last, depth: Depth, look: NextLook
    ) -> Reading[NodeFacts] | None:
        """A look that builds on the last one; None: everything is to be asked, with all patience."""
        before, known, now = last.answered.facts, last.answered.remembered, self._clock.monotonic()
        if depth is Depth.QUICK and now - last.full_at <= COMPARED_SECONDS and comparable(before, known):
            question = Question(DECIDING, quick=True, bounded=False, last=last.answered)
            reading = await self._ask(cluster, target, question, last, last.prompt_seconds)
            if isinstance(reading, Known):
                return reading
        if now - before.seen_at > BASE_SECONDS:
            look = WHOLE
        question = Question(look.parts, bounded=False, last=last.answered)
        if stopped := look.stopped.get(target.node):
            question = _told(question, stopped, now)
        reading = await self._ask(cluster, target, question, last, last.prompt_seconds)
        if isinstance(reading, Known) or reading.reason not in ("Timeout", "Garbled"):
            return reading
        # The rest of the time is for a node that is slow; one that is gone or frozen does not even introduce itself.
        return None if await self._nodes.answers(target) else reading

    async def _ask(
        self, cluster: Cluster, target: Target, question: Question, last: _Last | None, deadline: float
    ) -> Reading[NodeFacts]:
        began = self._clock.monotonic()
        nonce = make_nonce()
        # The node's own limit is shorter, so that what a half-stuck node did say still reaches us.
        limit = deadline * 0.8
        if target.access is NodeAccess.ROOT:
            script = self._script(cluster, target.node, nonce, question)
        else:
            script = look_request(target.gate, cluster, nonce, question, limit)
        run = self._nodes.run(target, script, timeout_seconds=limit)
        try:
            answer = await within(self._clock, deadline, run)
        except TimeoutError:
            return Unknown("Timeout", began, f"no answer within {deadline:.0f} s")
        except NodeError as error:
            return Unknown(error.reason, began, str(error))
        # Readings are as old as the moment the probe began: what changed while it ran may not be in them.
        seen_at = max(began, self._clock.monotonic() - answer.seconds)
        try:
            facts = self._read(cluster, target.node, answer, question, last, nonce=nonce, seen_at=seen_at)
        except ValueError:
            return Unknown("Garbled", began, _not_ours(answer))
        except Exception as error:  # noqa: BLE001 - logged below, without its message: it may quote an answer with keys
            # A bug of ours, but one node's odd answer must not blind us to the others.
            where = {"cluster": cluster.name, "node": target.node, "error": type(error).__name__}
            trace = "".join(traceback.format_tb(error.__traceback__))
            log.error("the probe's answer could not be read", extra={**where, "traceback": trace})
            return Unknown("Garbled", began, "the probe's answer could not be read: a bug in hactl, see its log")
        if facts is None:
            return Unknown("Garbled", began, "something is not as it was")
        return Known(facts, seen_at)

    def _read(
        self, cluster: Cluster, node: str, answer: Answer, question: Question, last: _Last | None, **told: Any
    ) -> NodeFacts | None:
        """What the answer comes to, and what is kept of it; None: not enough, ask for everything. Raises ValueError."""
        told |= {"salt": self._salt, "question": question}
        key = (cluster.name, node)
        if question.quick and last is not None:
            facts = self._compare(cluster, node, answer.stdout, **told)
            if facts is not None:
                self._last[key] = replace(last, answered=replace(last.answered, facts=facts))
            return facts
        answered = self._parse(cluster, node, answer.stdout, **told)
        if not answered.complete and not question.bounded:
            return None
        if answered.complete:
            if question.parts >= DECIDING or last is None:
                self._last[key] = _Last(cluster, answered, answered.facts.seen_at, answer.seconds)
            else:
                self._last[key] = replace(last, answered=answered)
        else:
            self._last.pop(key, None)
        return answered.facts


def _told(question: Question, stopped: frozenset[str], now: float) -> Question:
    """With the word of the steps that stopped services; they are asked where it says nothing of what is known."""
    assert question.last is not None
    services = dict(question.last.facts.services)
    for name in stopped:
        service = services.get(name)
        if not isinstance(service, Known):
            return replace(question, parts=question.parts | {Part.SERVICES})
        services[name] = Known(replace(service.value, running=False), now)
    return replace(question, last=replace(question.last, facts=replace(question.last.facts, services=services)))


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
