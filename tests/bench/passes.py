"""Passes against execs: what an unchanged pass costs over a bare exec, how many fit into a second, what they write.

Rules: everything compared is measured in the same run on the same warm connections, taking turns; node time and
controller time are told apart, because a simulated node's costs are not a real one's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hactl.adapters.references import resolve_references
from hactl.app import App, make_resolver
from hactl.core.audit.check import audit
from hactl.core.evidence.view import View
from hactl.core.facts import Known, NodeFacts, Reading, Snapshot
from hactl.core.pace.result import PassResult
from hactl.core.parse import parse_probe
from hactl.core.plan import make_plan
from hactl.core.probe.script import probe_script
from hactl.core.status.cluster import Origin, cluster_status
from hactl.ports import Target
from hactl.runtime.passes.types import Accepted, PassRequest, ResolvedCluster

from .measure import RecordWatch, Samples, cpu_seconds_each
from .site import BenchFailed, LabProcess, Site

BARE = "true\n"
#: The cheapest exec that reads the kernel's state of a node of a storage pair: what a look cannot do without.
CHEAPEST = """PATH=/sbin:/bin:/usr/sbin:/usr/bin; export PATH
sysctl -i kern.ostype kern.osreldate kern.hostname kern.boottime net.inet.carp
ifconfig -k
hastctl list
mount
"""
EXEC_SECONDS = 20.0
ROUNDS = 60
#: How long each side of the throughput comparison runs, seconds.
THROUGHPUT_SECONDS = 6.0
#: Passes at once; the controller's queue allows 64.
AT_ONCE = 16
NONCE = "0123456789abcdef"
SALT = b"bench"


@dataclass(slots=True)
class Turn:
    """One kind of work that takes its turn."""

    work: Callable[[], Awaitable[object]]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    #: (kind, seconds on the node) of every script it made nodes run, in all turns.
    scripts: list[tuple[str, float]] = field(default_factory=list)

    @property
    def samples(self) -> Samples:
        """How long it took, seconds."""
        return Samples(tuple(self.wall))

    @property
    def cpu_seconds(self) -> float:
        """Controller CPU each, seconds (mean)."""
        return Samples(tuple(self.cpu)).mean

    @property
    def node_seconds(self) -> float:
        """Time of one script on its node, seconds (mean)."""
        return Samples(tuple(seconds for _, seconds in self.scripts)).mean


async def take_turns(lab: LabProcess | None, turns: Sequence[Turn], rounds: int) -> None:
    """Every kind of work once per round, so that a busy moment of this machine hits all of them.

    Without a lab, on real nodes, nobody tells how long the nodes took.
    """
    for turn in turns:
        await turn.work()
    for _ in range(rounds):
        for turn in turns:
            began, cpu = time.monotonic(), time.process_time()
            await turn.work()
            turn.cpu.append(time.process_time() - cpu)
            turn.wall.append(time.monotonic() - began)
            ran = [] if lab is None else await lab.scripts(began)
            turn.scripts += [(note["kind"], note["seconds"]) for note in ran if note["seconds"] is not None]


@dataclass(frozen=True, slots=True)
class Latency:
    """What one pass over one converged pair costs."""

    bare: Turn
    bare_both: Turn
    probe_both: Turn
    cheapest_both: Turn
    whole: Turn
    #: A pass that asks for everything, as before a change; the one above is a quick look.
    full: Turn
    #: CPU of the controller's own parts in one pass, seconds.
    parts: dict[str, float]


async def latency(app: App, site: Site, accepted: Accepted, *, rounds: int = ROUNDS) -> Latency:
    """An unchanged pass, and the execs it can be compared with. Raises BenchFailed if the pair is not converged."""
    resolved = await make_resolver(SALT)(accepted.document, accepted.generation)
    targets = list(resolved.targets.values())
    scripts = {target.node: probe_script(resolved.cluster, target.node, NONCE) for target in targets}

    async def run(target: Target, script: str) -> str:
        answer = await app.nodes.run(target, script, timeout_seconds=EXEC_SECONDS)
        if answer.exit_status != 0:
            raise BenchFailed(f"{target.node}: exit status {answer.exit_status}: {answer.stderr}")
        return answer.stdout

    async def both(script: Callable[[Target], str]) -> None:
        await asyncio.gather(*(run(target, script(target)) for target in targets))

    async def whole(cause: str = "resync") -> None:
        unchanged(await app.reconciler.reconcile(PassRequest(accepted, cause=cause)))

    answers = {target.node: await run(target, scripts[target.node]) for target in targets}
    turns = Latency(
        bare=Turn(lambda: run(targets[0], BARE)),
        bare_both=Turn(lambda: both(lambda _: BARE)),
        probe_both=Turn(lambda: both(lambda target: scripts[target.node])),
        cheapest_both=Turn(lambda: both(lambda _: CHEAPEST)),
        whole=Turn(whole),
        full=Turn(lambda: whole("incident")),
        parts=await _parts(app, accepted, resolved, answers),
    )
    every = [turns.bare, turns.bare_both, turns.probe_both, turns.cheapest_both, turns.whole, turns.full]
    await take_turns(site.lab, every, rounds)
    return turns


def unchanged(result: PassResult) -> None:
    """Raises BenchFailed unless the pass found a converged cluster."""
    if not result.converged:
        holds = [str(hold) for hold in result.plan.holds]
        raise BenchFailed(f"a pass that should find nothing to do found {result.plan.steps} {holds} {result.gate}")


async def _parts(
    app: App, accepted: Accepted, resolved: ResolvedCluster, answers: Mapping[str, str]
) -> dict[str, float]:
    """CPU of each part of a pass of a pair, alone, seconds."""
    cluster = resolved.cluster
    wall, now = datetime.now(UTC), time.monotonic()
    # A nonce is used once: whatever is compiled or cached for it is paid for in every look.
    nonces = (f"{number:016x}" for number in count())

    def read() -> Snapshot:
        nonce = next(nonces)
        nodes: dict[str, Reading[NodeFacts]] = {}
        for node, answer in answers.items():
            text = answer.replace(NONCE, nonce)
            nodes[node] = Known(parse_probe(cluster, node, text, nonce=nonce, seen_at=now, salt=SALT).facts, now)
        return Snapshot(now, nodes)

    snapshot = read()
    plan = make_plan(cluster, snapshot, now)
    recorded = (await app.reconciler.reconcile(PassRequest(accepted))).status

    def judge() -> Mapping[str, Any]:
        return cluster_status(View.at(cluster, snapshot, now), plan, Origin(""), wall=wall, previous=recorded)

    return {
        "read references": cpu_seconds_each(lambda: resolve_references(accepted.document)),
        "write probe scripts": cpu_seconds_each(lambda: [probe_script(cluster, node, NONCE) for node in answers]),
        "parse answers": cpu_seconds_each(read),
        "plan": cpu_seconds_each(lambda: make_plan(cluster, snapshot, now)),
        "audit": cpu_seconds_each(lambda: audit(cluster, snapshot, plan, now)),
        "status": cpu_seconds_each(judge),
        "record (finds nothing new)": await _record_seconds(app, cluster.name, recorded),
    }


async def _record_seconds(app: App, cluster: str, status: Mapping[str, Any]) -> float:
    """CPU of handing in a status that is on record already, seconds."""
    calls = 200
    began = time.process_time()
    for _ in range(calls):
        if await app.store.put_status(cluster, status):
            raise BenchFailed("the status on record is not the one the reconciler has")
    return (time.process_time() - began) / calls


# -- many -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    """Work done by many at once."""

    count: int
    seconds: float
    cpu_seconds: float
    lab_cpu_seconds: float


async def rate(lab: LabProcess, works: Sequence[Callable[[], Awaitable[object]]], for_seconds: float) -> Rate:
    """Do these in turn, `AT_ONCE` at a time, until the time is over."""
    lab_cpu = await lab.cpu_seconds()
    began, cpu = time.monotonic(), time.process_time()
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.monotonic() - began < for_seconds:
            work = works[done % len(works)]
            done += 1
            await work()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return Rate(done, seconds, cpu, await lab.cpu_seconds() - lab_cpu)


@dataclass(frozen=True, slots=True)
class Throughput:
    """Unchanged passes over all pairs, and bare execs on the same connections."""

    passes: Rate
    execs: Rate


async def throughput(
    app: App, site: Site, ready: Sequence[Accepted], others: Sequence[Accepted], targets: Sequence[Target]
) -> Throughput:
    """Passes over everything (those not converged are only looked at), then bare execs over everything."""

    def a_pass(accepted: Accepted, act: bool) -> Callable[[], Awaitable[object]]:
        async def work() -> None:
            result = await app.reconciler.reconcile(PassRequest(accepted, act=act))
            if act:
                unchanged(result)

        return work

    def a_bare_exec(target: Target) -> Callable[[], Awaitable[object]]:
        return lambda: app.nodes.run(target, BARE, timeout_seconds=EXEC_SECONDS)

    passes = [a_pass(accepted, True) for accepted in ready] + [a_pass(accepted, False) for accepted in others]
    return Throughput(
        await rate(site.lab, passes, THROUGHPUT_SECONDS),
        await rate(site.lab, [a_bare_exec(target) for target in targets], THROUGHPUT_SECONDS / 3),
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to the record between two looks."""

    rows: int
    commits: int
    bytes: int
    files: tuple[str, ...]


class Writes:
    """Watches the record while unchanged passes run."""

    def __init__(self, site: Site) -> None:
        """Look now."""
        self._watch = RecordWatch(site.state)
        self._before = self._watch.look()

    def end(self) -> Written:
        """Look again; what differs."""
        after = self._watch.look()
        self._watch.close()
        sizes = Counter({name: size for name, size, _ in after.files})
        sizes.subtract({name: size for name, size, _ in self._before.files})
        return Written(
            rows=after.rows - self._before.rows,
            commits=after.version - self._before.version,
            bytes=sum(abs(size) for size in sizes.values()),
            files=tuple(sorted(name for name, *_ in set(after.files) ^ set(self._before.files))),
        )
