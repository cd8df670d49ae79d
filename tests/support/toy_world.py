"""A toy world for the runtime's tests: virtual time, nodes that load modules, a record that can break.

The toy nodes keep real state and run the real step scripts' frame protocol; the toy planner wants every module of
`WANTED` loaded on every node, one stage per module. The runtime cannot tell the difference from FreeBSD.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.adapters.record.operations import in_force, operation, operation_row
from hactl.core.changes.change import SecretUse
from hactl.core.cluster import Cluster
from hactl.core.evidence.view import View
from hactl.core.facts import Known, NodeFacts, Snapshot, Unknown
from hactl.core.objects import HACluster
from hactl.core.operations import Operation, Overrides, State
from hactl.core.parse.question import Answered, Question, Remembered
from hactl.core.script import FRAME
from hactl.core.status.cluster import Origin
from hactl.core.steps import Check, Hold, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from hactl.errors import Busy, NodeError, NodeGarbled, NodeUnreachable, StoreError
from hactl.ports import Answer, Change, Document, Holder, SourceState, Target
from hactl.runtime.passes.types import Accepted, ResolvedCluster

PASSWORD = "s3cr3t-of-the-vhid"
WANTED = ("one", "two", "three")


# -- virtual time -----------------------------------------------------------------------------------------------------


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer whenever nothing else is to be done."""

    def __init__(self) -> None:
        """Start at second 1000."""
        self._virtual_now = 1000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual_now += seconds


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise AssertionError("everything waits and no timer is set: a deadlock")
            self._loop.jump(max(0.0, timeout))
        return events


def play(story: Callable[[], Coroutine[Any, Any, Any]], *, limit_seconds: float = 100_000.0) -> Any:
    """Run a story in virtual time; it must leave no task behind."""

    async def bounded() -> Any:
        async with asyncio.timeout(limit_seconds):
            result = await story()
        for _ in range(3):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left running: {left}"
        return result

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())


class VirtualClock:
    """`ports.Clock` on a VirtualLoop."""

    def monotonic(self) -> float:
        """The loop's virtual time."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """A wall clock that starts in 2026."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        """Virtual sleep."""
        await asyncio.sleep(max(0.0, seconds))


# -- documents --------------------------------------------------------------------------------------------------------


def make_document(
    name: str = "pair", *, nodes: Sequence[str] = ("a", "b"), mode: str = "Apply", note: str = "", source: str = ""
) -> Document:
    """A valid document; `note` makes another generation of it."""
    cluster = HACluster.model_validate(
        {
            "apiVersion": "hactl.dev/v1alpha1",
            "kind": "HACluster",
            "metadata": {"name": name, "annotations": {"note": note}},
            "spec": {
                "mode": mode,
                "nodes": [
                    {"name": n, "ssh": {"host": f"{n}.{name}.example", "hostKey": f"ssh-ed25519 AAAA{n}{name}"}}
                    for n in nodes
                ],
                "groups": [{"name": "g", "preferred": list(nodes)}],
            },
        }
    )
    digest = f"{name} {mode} {note} {','.join(nodes)}"
    return Document(cluster, source or f"clusters/{name}.yaml", "clusters", digest, f"text of {name} {note}")


async def resolve(document: Document, generation: int) -> ResolvedCluster:
    """Everything resolves; every secret is PASSWORD."""
    name = document.cluster.name
    targets = {
        node.name: Target(name, node.name, node.ssh.host, 22, "root", (node.ssh.host_key or "",))
        for node in document.cluster.spec.nodes
    }
    return ResolvedCluster(Cluster(document.cluster, generation), targets, lambda use: PASSWORD)


# -- core, toy size ---------------------------------------------------------------------------------------------------


def toy_probe(cluster: Cluster, node: str, nonce: str, question: Question) -> str:
    """What the toy nodes answer with their state."""
    return f"probe {nonce}\n"


def toy_parse(
    cluster: Cluster,
    node: str,
    text: str,
    *,
    nonce: str,
    seen_at: float,
    salt: bytes,
    question: Question,
) -> Answered:
    """Facts whose `modules` are the toy state; ValueError when the answer is not ours."""
    head, _, body = text.partition(" ")
    if head != nonce:
        raise ValueError("no frame")
    nothing = Unknown("NotLookedAt", seen_at)
    facts = NodeFacts(
        node=node,
        seen_at=seen_at,
        system=nothing,
        interfaces=nothing,
        modules=Known(json.loads(body), seen_at),
        carp_sysctls=nothing,
        carp_counters=nothing,
        demotions=nothing,
        hastd=nothing,
        resources=nothing,
        metadata={},
        devices={},
        hast_devices={},
        mounts=nothing,
        pools=nothing,
        services={},
        boot=nothing,
        files={},
    )
    return Answered(facts, Remembered(), complete=True)


def make_step(
    node: str, module: str, *, secret: bool = False, timeout_seconds: float = 30.0, moves: bool = False
) -> Step:
    """Load one module, which must not be loaded yet; `moves`: as a part of a move."""
    return Step(
        node=node,
        verb=Verb.MOUNT if moves else Verb.LOAD_MODULE,
        target=module,
        why=f"{module} is not loaded",
        command=f"kldload {module}" + (' "$HACTL_PASS_1"' if secret else ""),
        risk=Risk.NONE,
        before=(Check(f"{module} is not loaded", f"! kldstat -q -m {module}"),),
        after=(Check(f"{module} is loaded", f"kldstat -q -m {module}"),),
        secrets=(SecretUse("HACTL_PASS_1", "g", "v"),) if secret else (),
        timeout_seconds=timeout_seconds,
    )


def toy_plan(
    cluster: Cluster,
    snapshot: Snapshot,
    now: float,
    *,
    failing: Mapping[str, str] | None = None,
    overrides: Overrides | None = None,
    secret: bool = True,
) -> Plan:
    """One stage per module of WANTED; a silent node is a passing hold and gets nothing."""
    stages: list[Stage] = []
    holds: list[Hold] = []
    for module in WANTED:
        steps: list[Step] = []
        for node, reading in snapshot.nodes.items():
            if not isinstance(reading, Known):
                hold = Hold("NodeUnknown", f"{node}: {reading.reason}", node=node, passing=True)
                holds += [hold] if hold not in holds else []
                continue
            modules = reading.value.modules
            assert isinstance(modules, Known)
            if modules.value.get(module):
                continue
            step = make_step(node, module, secret=secret and module == "two")
            if step.key in (failing or {}):
                holds.append(Hold("StepFailing", (failing or {})[step.key], node=node, target=module))
            else:
                steps.append(step)
        if steps:
            stages.append(Stage(f"load {module}", tuple(steps), ordered=module == "three"))
    return Plan(cluster.name, cluster.generation, tuple(stages), tuple(holds))


def toy_audit(cluster: Cluster, snapshot: Snapshot, plan: Plan, now: float) -> tuple[str, ...]:
    """No complaint, ever."""
    return ()


def toy_status(view: View, plan: Plan, origin: Origin, **rest: Any) -> dict[str, Any]:
    """Ready when nothing is to be done or waited for."""
    ready = not plan.stages and not plan.holds
    return {
        "metadata": {"name": view.cluster.name},
        "generation": view.cluster.generation,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "steps": [str(step.key) for step in plan.steps],
        "holds": [hold.message for hold in plan.holds],
        "problems": list(origin.problems),
        "failing": {str(key): what for key, what in rest["failing"].items()},
    }


def toy_changes(previous: Mapping[str, Any] | None, current: Mapping[str, Any]) -> list[tuple[str, str, None, None]]:
    """One event when the steps changed."""
    if previous is not None and previous["steps"] == current["steps"]:
        return []
    return [("PlanChanged", ", ".join(current["steps"]), None, None)]


# -- nodes ------------------------------------------------------------------------------------------------------------


@dataclass
class ToyNode:
    """One machine: its state, and what is wrong with it."""

    modules: dict[str, bool] = field(default_factory=dict)
    #: How long an exec and the work of a step take, seconds.
    latency_seconds: float = 0.1
    work_seconds: float = 0.5
    unreachable: bool = False
    #: Never answers anything.
    hangs: bool = False
    #: The next step is carried out, but its answer is lost with the session.
    lose_answer: bool = False
    #: The next step runs longer than its time on the node.
    overrun: bool = False
    #: Modules that fail to load.
    cannot: set[str] = field(default_factory=set)
    #: Answers every exec with something else.
    garbage: str | None = None
    #: Its streams are cut without a word.
    mute: bool = False
    #: Changes applied: (virtual second, module).
    applied: list[tuple[float, str]] = field(default_factory=list)
    #: Scripts received that change something: (virtual second, module).
    received: list[tuple[float, str]] = field(default_factory=list)
    probes: int = 0
    knocks: int = 0
    #: Generation of the lease that last acted here.
    lease: int = 0
    #: So many steps find the lock taken by the node's own hook.
    hook_at_work: int = 0


class ToyNodes:
    """`ports.Nodes` on toy machines, by (cluster, node)."""

    def __init__(self, clock: VirtualClock) -> None:
        """No machine exists until it is first named."""
        self._clock = clock
        self.machines: dict[tuple[str, str], ToyNode] = {}
        self.streams: dict[tuple[str, str], asyncio.Queue[str | NodeError | None]] = {}
        self.streams_opened = 0
        self.streams_open: set[tuple[str, str]] = set()
        self._late: set[asyncio.Task[None]] = set()

    def node(self, node: str, cluster: str = "pair") -> ToyNode:
        """That machine."""
        return self.machines.setdefault((cluster, node), ToyNode())

    async def run(
        self,
        target: Target,
        script: str,
        *,
        timeout_seconds: float,
        on_output: Callable[[str], None] | None = None,
        exclusive: bool = False,
    ) -> Answer:
        """As `ports.Nodes.run` says."""
        machine = self.node(target.node, target.cluster)
        if machine.unreachable:
            await self._clock.sleep(machine.latency_seconds)
            raise NodeUnreachable(target.node, "connection refused")
        if machine.hangs:
            await self._clock.sleep(timeout_seconds + 7.0)
            return Answer(None, "", "", timeout_seconds + 7.0, timed_out=True)
        await self._clock.sleep(machine.latency_seconds)
        if machine.garbage is not None:
            return Answer(1, machine.garbage, "", machine.latency_seconds)
        if script.startswith("probe "):
            machine.probes += 1
            return Answer(0, f"{script.split()[1]} {json.dumps(machine.modules)}", "", machine.latency_seconds)
        return await self._step(target.node, machine, script, timeout_seconds, on_output)

    async def _step(
        self,
        name: str,
        machine: ToyNode,
        script: str,
        timeout_seconds: float,
        on_output: Callable[[str], None] | None,
    ) -> Answer:
        frame = re.search(re.escape(FRAME) + r" (\w+)", script)
        modules = re.findall(r"^kldload (\w+)", script, re.MULTILINE)
        assert frame is not None
        assert modules
        nonce = frame[1]
        ours = re.search(r'"\$hactl_seen" -le (\d+)', script)
        assert ours is not None, "a step without a lease"
        if machine.hook_at_work:
            machine.hook_at_work -= 1
            return Answer(75, "", "lockf: /var/run/hactl.lock: already locked\n", 20.0)
        if machine.lease > int(ours[1]):
            return Answer(0, f"{FRAME} {nonce} lease {machine.lease} {ours[1]}\n", "", machine.latency_seconds)
        machine.lease = int(ours[1])
        machine.received += [(self._clock.monotonic(), module) for module in modules]
        secret = re.search(r"^HACTL_PASS_1='(.*)'$", script, re.MULTILINE)
        said: list[str] = []

        def say(*lines: str) -> None:
            text = [f"{FRAME} {nonce} {line[1:]}" if line.startswith("%") else line for line in lines]
            said.extend(text)
            for line in text if on_output is not None else ():
                on_output(line)

        for module in modules:
            if machine.modules.get(module):
                say("%refused 0")
                break
            work = self._work(machine, module)
            if machine.overrun:
                machine.overrun = False
                await self._clock.sleep(timeout_seconds + 7.0)
                return Answer(None, f"{FRAME} {nonce} begun\n", "", timeout_seconds + 7.0, timed_out=True)
            await asyncio.shield(work)
            if machine.lose_answer:
                machine.lose_answer = False
                raise NodeGarbled(name, "the connection broke")
            say("%begun", f"loading {module} with {secret[1] if secret else 'nothing'}")
            say(*(("No such file", "%exit 1", "%unmet 0") if module in machine.cannot else ("%exit 0", "%done")))
            if module in machine.cannot:
                break
        return Answer(0, "\n".join(said) + "\n", "", machine.work_seconds)

    def _work(self, machine: ToyNode, module: str) -> asyncio.Future[None]:
        """The machine works on its own: whoever waits for it may give up."""
        work = asyncio.ensure_future(self._load(machine, module))
        self._late.add(work)
        work.add_done_callback(self._late.discard)
        return work

    async def _load(self, machine: ToyNode, module: str) -> None:
        await self._clock.sleep(machine.work_seconds)
        if module not in machine.cannot:
            assert not machine.modules.get(module), "loaded twice: a step was resent blindly"
            machine.modules[module] = True
            machine.applied.append((self._clock.monotonic(), module))

    async def answers(self, target: Target) -> bool:
        """As `ports.Nodes.answers` says."""
        machine = self.node(target.node, target.cluster)
        machine.knocks += 1
        return not (machine.unreachable or machine.hangs)

    async def stream(self, target: Target, script: str) -> AsyncIterator[str]:
        """Lines that a test puts into `streams`; None ends it, a NodeError breaks it."""
        self.streams_opened += 1
        machine = self.node(target.node, target.cluster)
        if machine.unreachable:
            raise NodeUnreachable(target.node, "connection refused")
        queue: asyncio.Queue[str | NodeError | None] = asyncio.Queue()
        self.streams[target.cluster, target.node] = queue
        self.streams_open.add((target.cluster, target.node))
        try:
            yield "# listening"
            while True:
                try:
                    line = await asyncio.wait_for(queue.get(), 60.0 if not machine.mute else None)
                except TimeoutError:
                    return
                if line is None:
                    return
                if isinstance(line, NodeError):
                    raise line
                yield line
        finally:
            self.streams_open.discard((target.cluster, target.node))

    async def forget(self, target: Target) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Wait for work nobody waits for any more."""
        if self._late:
            await asyncio.wait(self._late)


# -- the record and its lock ------------------------------------------------------------------------------------------


class ToyStore:
    """What a controller needs of the record; `broken`: every call fails, `broken_after`: those after so many writes."""

    def __init__(self) -> None:
        """Empty."""
        self.broken = False
        self.broken_after: int | None = None
        #: The next write of this kind fails.
        self.fail_once = ""
        self.writes: list[tuple[Any, ...]] = []
        self.put: dict[str, list[Document]] = {}
        self.origins: dict[str, str] = {}
        self.unmanaged: dict[str, str] = {}
        self.steps: dict[int, dict[str, Any]] = {}
        self.events: list[tuple[Any, ...]] = []
        self.changes: list[Change] = []
        self.kept: dict[str, Mapping[str, Any]] = {}
        self.leases: dict[str, int] = {}
        self.asked: dict[int, Operation] = {}
        #: Called before each write: a test may kill the process there.
        self.before_write: Callable[[str], None] | None = None

    def _write(self, kind: str, *what: Any) -> None:
        if self.broken_after is not None and len(self.writes) >= self.broken_after:
            self.broken = True
        self._check()
        if kind == self.fail_once:
            self.fail_once = ""
            raise StoreError("database is locked")
        if self.before_write is not None:
            self.before_write(kind)
        self.writes.append((kind, *what))

    def _check(self) -> None:
        if self.broken:
            raise StoreError("database or disk is full")

    async def put_document(self, document: Document, *, actor: str, origin: str | None = None) -> int:
        """A new generation for a new digest."""
        self._check()
        known = self.put.setdefault(document.cluster.name, [])
        if not known or known[-1].digest != document.digest:
            self._write("document", document.digest)
            known.append(document)
        self.unmanaged.pop(document.cluster.name, None)
        self.origins[document.cluster.name] = "files" if origin is None else origin
        return len(known)

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """The newest of each managed cluster."""
        self._check()
        return [
            {
                "cluster": name,
                "generation": len(known),
                "source": known[-1].source,
                "actor": "controller",
                "origin": self.origins[name],
                "managed_at": f"{list(self.put).index(name):06}",
                "document": known[-1],
            }
            for name, known in self.put.items()
            if name not in self.unmanaged
        ]

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """Digests only."""
        self._check()
        return [{"cluster": cluster, "digest": document.digest} for document in self.put.get(cluster, ())]

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """Keeps everything."""
        return 0

    async def try_writing(self) -> bool:
        """A test that makes writes fail says itself when they do not."""
        return False

    async def recover(self) -> int:
        """Steps without an outcome become Indeterminate."""
        self._check()
        dead = [step for step in self.steps.values() if step["outcome"] is None]
        for step in dead:
            step["outcome"] = "Indeterminate"
        return len(dead)

    async def unmanage(self, cluster: str, *, why: str, origin: str | None = None) -> None:
        """Remember why."""
        self._write("unmanage", cluster)
        self.unmanaged[cluster] = why

    async def lease(self, cluster: str, *, above: int = 0) -> int:
        """One for each cluster; a test that sets another one is another process."""
        self._check()
        self.leases[cluster] = max(self.leases.get(cluster, 1000), above + 1)
        return self.leases[cluster]

    async def holder(self) -> Holder:
        """The process of the test."""
        return Holder("toy", "a test")

    async def knows(self, token: str) -> bool:
        """A token that begins as the test's is of its record."""
        return token.startswith("toy")

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """Intent; durable a moment before the caller knows."""
        assert lease is None or lease == self.leases[record["cluster"]]
        known = self.put.get(record["cluster"], ())
        if len(known) > record["generation"]:
            raise Busy(f"generation {len(known)} is newer")
        self._write("begin", dict(record))
        number = len(self.steps) + 1
        at = VirtualClock().now().isoformat()
        self.steps[number] = {**record, "outcome": None, "at": at}
        await asyncio.sleep(0.001)
        return number

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """Outcome."""
        await asyncio.sleep(0.001)
        self._write("end", step, outcome, exit_status, output)
        assert self.steps[step]["outcome"] is None
        self.steps[step] |= {"outcome": outcome, "exit_status": exit_status, "output": output, "seconds": seconds}

    async def record(
        self, kind: str, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """An event."""
        self._write("event", kind, cluster, summary)
        self.events.append((kind, cluster, summary))

    async def open_operation(self, request: Mapping[str, Any]) -> int:
        """Keep it."""
        self._write("ask", dict(request))
        number = len(self.asked) + 1
        row = operation_row(request, VirtualClock().now())
        self.asked[number] = operation(row | {"id": number})
        return number

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """Over, once."""
        if self.asked[number].state is not State.OPEN:
            return False
        self._write("over", number, state.value, message)
        self.asked[number] = replace(
            self.asked[number], state=state, message=message, seconds=seconds, ended_at=VirtualClock().now()
        )
        return True

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """Those of the cluster and the fleet."""
        self._check()
        return [
            each
            for each in self.asked.values()
            if (cluster is None or each.about(cluster)) and (not open_only or each.state is State.OPEN)
        ]

    async def operations_in_force(self, cluster: str) -> Sequence[Operation]:
        """What counts now."""
        self._check()
        return in_force(self.asked.values(), cluster)

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """Written when it changed, with its events."""
        self._check()
        if self.kept.get(cluster) == status:
            return False
        self._write("status", cluster, dict(status))
        self.kept[cluster] = dict(status)
        self.events += [(kind, cluster, summary) for kind, summary, _, _ in events]
        self.changes += events
        return True

    async def statuses(self, cluster: str | None = None) -> Sequence[Mapping[str, Any]]:
        """All of them, or that one."""
        self._check()
        kept = {name: status for name, status in self.kept.items() if cluster in (None, name)}
        return [{"cluster": name, "managed": True, "status": status} for name, status in kept.items()]

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Steps only, or moves only."""
        self._check()
        if query.get("kind") == "GroupMoved":
            at = VirtualClock().now().isoformat()
            return [{"at": at, "detail": detail} for kind, _, _, detail in self.changes if kind == "GroupMoved"]
        return [
            {"id": number, "kind": "StepEnded" if step["outcome"] else "StepBegun", **step}
            for number, step in self.steps.items()
        ]

    async def close(self) -> None:
        """Nothing to close."""

    @property
    def outcomes(self) -> list[tuple[str, str, str | None]]:
        """(node, module, outcome) of every step begun."""
        return [(step["node"], step["target"], step["outcome"]) for step in self.steps.values()]


class ToyLock:
    """One holder per cluster; raises Busy."""

    def __init__(self) -> None:
        """Nobody holds anything."""
        self.held: set[str] = set()

    @asynccontextmanager
    async def cluster(self, name: str) -> AsyncIterator[None]:
        """Hold it, or Busy."""
        if name in self.held:
            raise Busy(f"cluster {name} is in use by hactl run")
        self.held.add(name)
        try:
            yield
        finally:
            self.held.discard(name)


class ToySource:
    """`ports.Source` that a test fills."""

    def __init__(self, *documents: Document) -> None:
        """Holds these documents."""
        self.state = SourceState({document.cluster.name: document for document in documents}, ())
        self._changed = asyncio.Event()
        self.reads = 0

    def put(self, state: SourceState) -> None:
        """Change it and tell."""
        self.state = state
        self._changed.set()

    async def read(self) -> SourceState:
        """What it holds."""
        self.reads += 1
        return self.state

    async def changes(self) -> AsyncIterator[None]:
        """One hint per `put`."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield


def accept(document: Document | None = None, generation: int = 1) -> Accepted:
    """A document in force."""
    return Accepted(document or make_document(), generation)
