"""One look at one cluster, and at most one stage of work: observe, plan, audit, record, carry out the first stage.

Rules: everything that decides is in core; a plan that the audit complains about stops the process; nothing is done
without the cluster's lock, without a record and a lease, on a plan made before the lock was held, or on an old
snapshot; an unchanged look writes nothing. A crash anywhere is just an early next look.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot, Unknown
from hactl.core.objects import Mode
from hactl.core.operations import Overrides, State
from hactl.core.pace.backoff import Attempts
from hactl.core.pace.circuit_breaker import fleet_silent
from hactl.core.plan import make_plan
from hactl.core.plan.switchover import judge as judge_request
from hactl.core.status.status import changes, cluster_status
from hactl.core.steps import Outcome, Plan
from hactl.errors import Busy, DocumentError, HactlError, InvariantBroken, SecretError, StoreError
from hactl.ports import Change, Clock, Store
from hactl.runtime.operations import Judge, OpenOperations, Requests
from hactl.runtime.passes.cluster_state import ClusterState, Look, looks, with_hold
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.types import Accepted, Gate, Lock, Pace, PassResult, Request, Resolve, Resolved
from hactl.runtime.timeouts import Stopped, within

log = logging.getLogger("hactl.runtime.passes.reconcile")

#: A look may take as long as its slowest node's deadline; this is only the bound behind that bound, seconds.
LOOK_LIMIT_SECONDS = 120.0
#: How many of the newest steps of a cluster are looked at before acting.
CUT_STEPS = 100


class Reconciler:
    """Passes over clusters. One pass per cluster at a time (the work queue sees to it)."""

    def __init__(
        self,
        observer: Observer,
        executor: Executor,
        store: Store,
        clock: Clock,
        chance: random.Random,
        *,
        resolve: Resolve,
        lock: Lock,
        pace: Pace | None = None,
        plan: Callable[..., Plan] = make_plan,
        second_opinion: Callable[[Cluster, Snapshot, Plan, float], tuple[str, ...]] = audit,
        judge: Callable[..., Mapping[str, Any]] = cluster_status,
        compare: Callable[..., Sequence[Change]] = changes,
        verdict: Judge = judge_request,
    ) -> None:
        """Everything is injected; `chance` only spreads the times of the next looks."""
        self._observer = observer
        self._executor = executor
        self._store = store
        self._clock = clock
        self._chance = chance
        self._resolve = resolve
        self._lock = lock
        self._pace = pace or Pace()
        self._plan = plan
        self._second_opinion = second_opinion
        self._judge = judge
        self._compare = compare
        self._verdict = verdict
        self._memories: dict[str, ClusterState] = {}
        self._fleet_silent = ""

    async def reconcile(self, request: Request) -> PassResult:
        """One pass. Raises InvariantBroken when the plan is not safe; trouble of the world is in the result."""
        accepted = request.accepted
        memory = self._memory(accepted)
        await self._remember(memory, accepted.document.cluster.name)
        try:
            resolved = await self._resolve(accepted.document, accepted.generation)
        except (SecretError, DocumentError) as error:
            return await self._unresolved(request, memory, error)
        blocked: Busy | StoreError | None = None
        if memory.working and request.act:
            try:
                async with self._lock(accepted.document.cluster.name):
                    return await self._pass(request, memory, resolved, locked=True)
            except (Busy, StoreError) as error:
                blocked = error
        result = await self._pass(request, memory, resolved, locked=False, blocked=blocked)
        if result.gate != "NeedsLock":
            return result
        # There is work. Take the lock and look once more: what we saw is from before we held it.
        try:
            async with self._lock(accepted.document.cluster.name):
                await self._note_cuts(memory, accepted.document.cluster.name)
                second = await self._pass(request, memory, resolved, locked=True)
        except (Busy, StoreError) as error:
            second = await self._pass(request, memory, resolved, locked=False, blocked=error)
        return replace(second, ended=(*result.ended, *second.ended))

    async def look(
        self, accepted: Accepted, *, stop: asyncio.Event | None = None, overrides: Overrides | None = None
    ) -> tuple[Resolved, Snapshot, Plan]:
        """Observe and plan, nothing else: nothing is recorded or touched. Raises SecretError, DocumentError."""
        resolved = await self._resolve(accepted.document, accepted.generation)
        look = await self._look(resolved, stop or asyncio.Event(), overrides or Overrides())
        return resolved, look.snapshot, look.plan

    def status(self, cluster: str) -> Mapping[str, Any] | None:
        """The newest status of a cluster this process has looked at."""
        memory = self._memories.get(cluster)
        return None if memory is None else memory.status

    def forget(self, cluster: str) -> None:
        """The cluster is no longer ours."""
        self._memories.pop(cluster, None)
        self._observer.forget(cluster)

    def _memory(self, accepted: Accepted) -> ClusterState:
        name = accepted.document.cluster.name
        if name not in self._memories:
            requests = Requests(self._store, self._clock, verdict=self._verdict)
            self._memories[name] = ClusterState(self._chance, requests)
        self._memories[name].renew(accepted.generation)
        return self._memories[name]

    # -- looking --------------------------------------------------------------------------------------------------

    async def _look(
        self, resolved: Resolved, stop: asyncio.Event, overrides: Overrides, attempts: Attempts | None = None
    ) -> Look:
        observe = self._observer.observe(resolved.cluster, resolved.targets)
        snapshot = await within(self._clock, LOOK_LIMIT_SECONDS, observe, stop=stop)
        now = self._clock.monotonic()
        failing = {} if attempts is None else attempts.resting(now)
        plan = self._plan(resolved.cluster, snapshot, now, failing=failing, overrides=overrides)
        complaints = self._second_opinion(resolved.cluster, snapshot, plan, now)
        if complaints:
            log.critical("the plan is not safe", extra={"cluster": resolved.cluster.name, "complaints": complaints})
            raise InvariantBroken(f"{resolved.cluster.name}: plan {plan.digest}: " + "; ".join(complaints))
        return Look(snapshot, plan)

    async def _pass(
        self,
        request: Request,
        memory: ClusterState,
        resolved: Resolved,
        *,
        locked: bool,
        blocked: Busy | StoreError | None = None,
    ) -> PassResult:
        """Look, record, and act when `locked`. Gate NeedsLock: there is work, come back with the lock."""
        asked = await memory.requests.read(resolved.cluster)
        try:
            look = await self._look(resolved, request.stop, asked.overrides, memory.attempts)
        except Stopped:
            return self._stopped(request, memory, resolved)
        now = self._clock.monotonic()
        memory.attempts.review(look.plan, now)
        memory.snapshot = look.snapshot
        ended = await memory.requests.settle(
            resolved.cluster, asked, look.snapshot, look.plan, memory.attempts.failed, now
        )
        lease = 0
        gate = self._gate(request, memory, resolved.cluster, look.plan, asked, now)
        if locked and not gate and look.plan.stages:
            try:
                lease = await self._store.lease(resolved.cluster.name)
            except StoreError as problem:
                blocked = problem
            else:
                gate = "LeaseLost" if lease <= memory.newer_lease else ""
        if blocked is not None and not gate and look.plan.stages:
            gate = "Busy" if isinstance(blocked, Busy) else "Store"
        look = replace(look, plan=with_hold(look.plan, gate, self._why(gate, memory, lease)))
        if request.on_look is not None:
            request.on_look(look.snapshot, look.plan)
        status, trouble = await self._publish(request, memory, resolved.cluster, look)
        error: HactlError | None = trouble or blocked
        if trouble is not None and look.plan.stages:
            gate = "Store"
        memory.working = bool(look.plan.stages) and gate in ("", "Busy", "LeaseLost")
        base = self._result(memory, look, status, gate, resolved, error, asked)
        base = replace(base, ended=ended, operations=asked.operations)
        if any(each.state is not State.DONE for each in ended):
            # Something else is wanted than what this plan was made for.
            return replace(base, next="again", after_seconds=0.0)
        if gate or not look.plan.stages:
            return base
        if not locked:
            return replace(base, gate="NeedsLock")
        if self._clock.monotonic() - look.snapshot.taken_at > self._pace.fresh_seconds:
            return replace(base, next="again", after_seconds=0.0)
        memory.requests.acting(look.plan)
        return await self._act(request, memory, resolved, look.plan, base, lease)

    def _gate(
        self, request: Request, memory: ClusterState, cluster: Cluster, plan: Plan, asked: OpenOperations, now: float
    ) -> Gate:
        """Why this plan may not be carried out now."""
        silent = self._breaker()
        if not plan.stages:
            return ""
        if not request.act:
            return "LookOnly"
        mode = cluster.document.spec.mode
        if mode is Mode.OBSERVE:
            return "Observe"
        if asked.overrides.paused:
            return "Paused"
        if silent:
            return "FleetSilent"
        approved = asked.overrides.approved | ({request.approved} if request.approved else set())
        if mode is Mode.PROPOSE and not any(memory.approval.covers(plan, digest) for digest in sorted(approved)):
            return "WaitingForApproval"
        if memory.attempts.quiet_at(plan.stages[0]) > now:
            return "Backoff"
        return "Stopped" if request.stop.is_set() else ""

    def _breaker(self) -> str:
        """Why nothing is changed on the whole fleet; said once, and once when it is over."""
        silent = fleet_silent(looks(self._memories))
        if silent and not self._fleet_silent:
            log.error("many nodes vanished at once; nothing is changed until they answer", extra={"why": silent})
        elif self._fleet_silent and not silent:
            log.info("enough nodes answer again; going on")
        self._fleet_silent = silent
        return silent

    def _why(self, gate: Gate, memory: ClusterState, lease: int) -> str:
        if gate == "LeaseLost":
            return f"a newer controller (lease {memory.newer_lease}) acts on its nodes; this one has lease {lease}"
        return self._fleet_silent

    # -- acting ---------------------------------------------------------------------------------------------------

    async def _act(
        self, request: Request, memory: ClusterState, resolved: Resolved, plan: Plan, base: PassResult, lease: int
    ) -> PassResult:
        context = ExecutionContext(plan, resolved.targets, resolved.secret, request.actor, request.cause, lease)
        try:
            outcome = await self._executor.execute(context, plan.stages[0], stop=request.stop, on_step=request.on_step)
        except (StoreError, Busy) as error:
            memory.working = False
            if isinstance(error, StoreError):
                after = self._spread(self._pace.blocked_seconds)
                return replace(base, next="wait", after_seconds=after, gate="Store", error=error)
            # A newer generation is on record: somebody handed in another document. Only a person can settle that.
            memory.outdated = f"not acting: {error}"
            after = self._spread(self._pace.resync_seconds)
            return replace(base, next="wait", after_seconds=after, gate="Busy", error=error)
        memory.outdated = ""
        now = self._clock.monotonic()
        memory.attempts.note(outcome, now)
        if outcome.newer_lease > memory.newer_lease:
            memory.newer_lease = outcome.newer_lease
            why = self._why("LeaseLost", memory, lease)
            log.critical("not acting on this cluster any more", extra={"cluster": plan.cluster, "why": why})
        base = replace(
            base,
            outcome=outcome,
            failing=memory.attempts.failing,
            failures=memory.attempts.worst,
            gate="Stopped" if outcome.stopped and not outcome.done else "",
        )
        if outcome.done:
            return replace(base, next="again", after_seconds=0.0)
        # Look soon: what failed tells most right after it failed. Whether to try again is another question.
        return replace(base, next="failed", after_seconds=self._spread(self._pace.passing_seconds))

    # -- recording ------------------------------------------------------------------------------------------------

    async def _publish(
        self, request: Request, memory: ClusterState, cluster: Cluster, look: Look
    ) -> tuple[Mapping[str, Any], StoreError | None]:
        """Keep the status and what changed, in one piece; without a record the status says so."""
        try:
            status = self._status(request, memory, cluster, look)
            moved = await memory.requests.moved(cluster.name, memory.status, status, look.snapshot)
            events = [*self._compare(memory.status, status), *moved]
            await self._store.put_status(cluster.name, status, events=events)
            memory.status = status
            memory.requests.recorded(status, events)
        except StoreError as error:
            log.error("the record cannot be written; not acting", extra={"cluster": cluster.name, "error": str(error)})
            return self._status(request, memory, cluster, look, f"store unavailable: {error}"), error
        return status, None

    async def _remember(self, memory: ClusterState, cluster: str) -> None:
        """Once per process and cluster: its last status."""
        if memory.remembered:
            return
        try:
            for row in await self._store.statuses():
                if row["cluster"] == cluster:
                    memory.status = row["status"]
        except StoreError as error:
            log.error("the record cannot be read", extra={"cluster": cluster, "error": str(error)})
            return
        memory.remembered = True

    async def _note_cuts(self, memory: ClusterState, cluster: str) -> None:
        """Steps that any process, dead or stopped, has left running as far as the record knows. Raises StoreError."""
        for row in await self._store.history({"cluster": cluster, "kind": "Step", "limit": CUT_STEPS}):
            if row["outcome"] in (None, Outcome.INDETERMINATE.value):
                age = (self._clock.now() - datetime.fromisoformat(row["at"])).total_seconds()
                key = f"{row['node']} {row['verb']} {row['target']}"
                memory.attempts.note_cut(key, self._clock.monotonic() - max(0.0, age))

    def _status(
        self, request: Request, memory: ClusterState, cluster: Cluster, look: Look, *problems: str
    ) -> Mapping[str, Any]:
        return self._judge(
            cluster,
            look.snapshot,
            look.plan,
            now=self._clock.monotonic(),
            wall=self._clock.now(),
            source=request.accepted.document.source,
            source_revision=request.accepted.document.revision,
            source_at=request.accepted.document.revised_at,
            previous=memory.status,
            problems=(*request.accepted.problems, *problems, *([memory.outdated] if memory.outdated else ())),
            failing=memory.attempts.failing,
        )

    async def _unresolved(self, request: Request, memory: ClusterState, error: HactlError) -> PassResult:
        """References do not resolve: nothing can be observed safely, the status says why."""
        document = request.accepted.document
        cluster = Cluster(document.cluster, request.accepted.generation)
        await memory.requests.read(cluster)
        now = self._clock.monotonic()
        silent = Unknown("References", now, str(error))
        look = Look(
            memory.snapshot or Snapshot(now, {node.name: silent for node in cluster.nodes}),
            Plan(cluster.name, request.accepted.generation),
        )
        problems = tuple(line for line in str(error).splitlines() if line.strip())
        known = replace(request.accepted, problems=(*request.accepted.problems, *problems))
        status, trouble = await self._publish(replace(request, accepted=known), memory, cluster, look)
        memory.working = False
        return PassResult(
            plan=look.plan,
            status=status,
            next="wait",
            after_seconds=self._spread(self._pace.resync_seconds),
            gate="References",
            error=trouble or error,
        )

    # -- what next ------------------------------------------------------------------------------------------------

    def _result(
        self,
        memory: ClusterState,
        look: Look,
        status: Mapping[str, Any],
        gate: Gate,
        resolved: Resolved,
        error: HactlError | None,
        asked: OpenOperations,
    ) -> PassResult:
        return PassResult(
            plan=look.plan,
            status=status,
            next="wait",
            after_seconds=self._after_seconds(memory, look.plan, gate, asked),
            gate=gate,
            failing=memory.attempts.failing,
            failures=memory.attempts.worst,
            targets=resolved.targets,
            error=error,
        )

    def _stopped(self, request: Request, memory: ClusterState, resolved: Resolved) -> PassResult:
        plan = Plan(resolved.cluster.name, request.accepted.generation)
        return PassResult(plan, memory.status or {}, "wait", 0.0, gate="Stopped", targets=resolved.targets)

    def _after_seconds(self, memory: ClusterState, plan: Plan, gate: Gate, asked: OpenOperations) -> float:
        now = self._clock.monotonic()
        seconds = memory.after_seconds(plan, gate, asked.moving, self._pace, now, self._spread)
        due = asked.next_seconds(self._clock.now())
        return seconds if due is None else min(seconds, due + 0.01)

    def _spread(self, seconds: float) -> float:
        """Plus up to a fifth, so that many clusters do not stay in step."""
        return seconds * self._chance.uniform(1.0, 1.2)
