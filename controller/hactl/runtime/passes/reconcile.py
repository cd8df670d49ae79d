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
from dataclasses import dataclass, field, replace
from typing import Any

from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.evidence.failures import Place, failures, on_record, touched
from hactl.core.evidence.left import left_by
from hactl.core.evidence.view import View
from hactl.core.facts import Snapshot, Unknown
from hactl.core.operations import Failures, OpenOperations, Operation, Overrides, State
from hactl.core.pace.circuit_breaker import fleet_silent, newest_answers
from hactl.core.pace.gate import Circumstances, Gate, gate, lease_lost, refused, with_hold
from hactl.core.pace.interval import Pace, next_look_seconds
from hactl.core.pace.result import PassResult
from hactl.core.parse.question import WHOLE
from hactl.core.plan import make_plan
from hactl.core.plan.joined import next_look
from hactl.core.plan.switchover import judge
from hactl.core.status.changes import changes
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Plan, StepKey
from hactl.core.why.looked import Seen
from hactl.errors import Busy, DocumentError, HactlError, InvariantBroken, SecretError, StoreError
from hactl.ports import Change, Clock, Passes, Target
from hactl.runtime.operations import Operations
from hactl.runtime.passes.cluster_state import ClusterState
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.passes.observe import Depth, Observer
from hactl.runtime.passes.ownership import Ownerships
from hactl.runtime.passes.types import ASKED, Accepted, Access, PassRequest, ResolvedCluster
from hactl.runtime.timeouts import Stopped, within

log = logging.getLogger("hactl.runtime.passes.reconcile")

#: A look may take as long as its slowest node's deadline; this is only the bound behind that bound, seconds.
LOOK_LIMIT_SECONDS = 120.0
#: Why a pass is made when nothing is known to have happened.
ROUTINE = frozenset({"resync", "glance"})
#: How many of the newest steps of a cluster are looked at before acting.
CUT_STEPS = 100


@dataclass(frozen=True, slots=True)
class Decisions:
    """What decides in a pass, in the order it is asked: pure functions; and chance, which only spreads times."""

    plan: Callable[..., Plan] = make_plan
    audit: Callable[[Cluster, Snapshot, Plan, float], tuple[str, ...]] = audit
    #: Whether an operation is over.
    judge: Callable[[Operation, Cluster, Snapshot, Plan, Mapping[StepKey, str], float], tuple[State, str] | None] = (
        judge
    )
    status: Callable[..., Mapping[str, Any]] = cluster_status
    changes: Callable[..., Sequence[Change]] = changes
    chance: random.Random = field(default_factory=random.Random)

    def spread(self, seconds: float) -> float:
        """Plus up to a fifth, so that many clusters do not stay in step."""
        return seconds * self.chance.uniform(1.0, 1.2)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look gave."""

    snapshot: Snapshot
    plan: Plan
    #: Services that stopped by themselves (`onFailure`), with what this look tells.
    failures: Mapping[Place, Failures] = field(default_factory=dict)


class Reconciler:
    """Passes over clusters. One pass per cluster at a time (the work queue sees to it)."""

    def __init__(
        self,
        observer: Observer,
        executor: Executor,
        store: Passes,
        clock: Clock,
        access: Access,
        *,
        pace: Pace | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        """Everything is injected."""
        self._observer = observer
        self._executor = executor
        self._store = store
        self._clock = clock
        self._access = access
        self.pace = pace or Pace()
        self._decide = decisions or Decisions()
        self._states: dict[str, ClusterState] = {}
        #: Whose the nodes are.
        self.ownerships = Ownerships(store, observer, clock, access)
        self._fleet_silent = ""

    async def reconcile(self, request: PassRequest) -> PassResult:
        """One pass. Raises InvariantBroken when the plan is not safe; trouble of the world is in the result."""
        accepted = request.accepted
        state = self._state(accepted)
        await self._remember(state, request.cluster)
        try:
            resolved = await self._access.resolve(accepted.document, accepted.generation)
        except (SecretError, DocumentError) as error:
            return await self._unresolved(request, state, error)
        state.targets = resolved.targets
        resolved = _with_left(resolved, state.status)
        blocked: Busy | StoreError | None = None
        asked = request.cause in ASKED and not state.working
        if (state.working or asked) and request.act:
            # There is work, or a person waits for some: no look without the lock, which would be one look too many.
            try:
                async with self._access.lock(request.cluster):
                    if asked:
                        await self._note_cuts(state, request.cluster)
                    return await self._pass(request, state, resolved, locked=True)
            except (Busy, StoreError) as error:
                blocked = error
        result = await self._pass(request, state, resolved, locked=False, blocked=blocked)
        if result.gate is not Gate.NEEDS_LOCK:
            return result
        # There is work. Take the lock and look once more: what we saw is from before we held it.
        try:
            async with self._access.lock(request.cluster):
                await self._note_cuts(state, request.cluster)
                second = await self._pass(request, state, resolved, locked=True)
        except (Busy, StoreError) as error:
            second = await self._pass(request, state, resolved, locked=False, blocked=error)
        return replace(second, ended=(*result.ended, *second.ended))

    async def look(
        self,
        accepted: Accepted,
        *,
        stop: asyncio.Event | None = None,
        overrides: Overrides | None = None,
        previous: Mapping[str, Any] | None = None,
    ) -> tuple[ResolvedCluster, Snapshot, Plan]:
        """Observe and plan, nothing else: nothing is recorded or touched. Raises SecretError, DocumentError.

        `previous`: the cluster's last status on record, for what earlier documents left behind.
        """
        resolved = _with_left(await self._access.resolve(accepted.document, accepted.generation), previous)
        look = await self._look(resolved, stop or asyncio.Event(), overrides or Overrides(), previous)
        return resolved, look.snapshot, look.plan

    def targets(self, cluster: str) -> Mapping[str, Target]:
        """How the nodes of a cluster are reached; empty until its references have resolved."""
        state = self._states.get(cluster)
        return {} if state is None else state.targets

    def seen(self, cluster: str) -> Seen | None:
        """The last look at a cluster; None: nobody has looked yet."""
        state = self._states.get(cluster)
        return None if state is None else state.seen

    def forget(self, cluster: str) -> None:
        """The cluster is no longer ours."""
        self._states.pop(cluster, None)
        self._observer.forget(cluster)

    def _state(self, accepted: Accepted) -> ClusterState:
        name = accepted.document.cluster.name
        if name not in self._states:
            self._states[name] = ClusterState(self._decide.chance, Operations(self._store, self._clock))
        self._states[name].renew(accepted.generation)
        return self._states[name]

    # -- looking --------------------------------------------------------------------------------------------------

    async def _look(
        self,
        resolved: ResolvedCluster,
        stop: asyncio.Event,
        overrides: Overrides,
        previous: Mapping[str, Any] | None,
        state: ClusterState | None = None,
        depth: Depth = Depth.FULL,
    ) -> Observation:
        look, backoff = (WHOLE, None) if state is None else (state.next_look, state.backoff)
        if state is not None:
            state.next_look = WHOLE
        observe = self._observer.observe(resolved.cluster, resolved.targets, depth=depth, look=look)
        snapshot = await within(self._clock, LOOK_LIMIT_SECONDS, observe, stop=stop)
        now = self._clock.monotonic()
        view, since = View.at(resolved.cluster, snapshot, now), {} if state is None else state.touched
        failed = failures(view, previous, overrides, since, self._clock.now())
        overrides = replace(overrides, failures=failed)
        failing = {} if backoff is None else backoff.resting(now)
        plan = self._decide.plan(resolved.cluster, snapshot, now, failing=failing, overrides=overrides)
        if backoff is not None and backoff.in_vain(plan, now):
            failing = backoff.resting(now)
            plan = self._decide.plan(resolved.cluster, snapshot, now, failing=failing, overrides=overrides)
        complaints = self._decide.audit(resolved.cluster, snapshot, plan, now)
        if complaints:
            log.critical("the plan is not safe", extra={"cluster": resolved.cluster.name, "complaints": complaints})
            raise InvariantBroken(f"{resolved.cluster.name}: plan {plan.digest}: " + "; ".join(complaints))
        return Observation(snapshot, plan, failed)

    async def _pass(
        self,
        request: PassRequest,
        state: ClusterState,
        resolved: ResolvedCluster,
        *,
        locked: bool,
        blocked: Busy | StoreError | None = None,
    ) -> PassResult:
        """Look, record, and act when `locked`. Gate NeedsLock: there is work, come back with the lock."""
        cluster = resolved.cluster
        operations = await state.operations.read(cluster)
        if state.operations.asked_anew():
            # A person is not answered from what failed before; what may still run on a node still counts.
            state.backoff.forget()
        try:
            # Before anything is changed everything is asked (I6): a routine look at a quiet cluster changes nothing.
            depth = Depth.QUICK if state.quiet and not locked and request.cause in ROUTINE else Depth.FULL
            look = await self._look(resolved, request.stop, operations.overrides, state.status, state, depth)
        except Stopped:
            plan = Plan(cluster.name, request.accepted.generation)
            return PassResult(plan, state.status or {}, "wait", 0.0, gate=Gate.STOPPED)
        look, succeeds, unread = await self._refused(request, resolved, look)
        blocked = blocked or unread
        ended = await self._settle(state, cluster, look)
        known = self._circumstances(request, state, cluster, look.plan, operations, blocked)
        if locked:
            known, blocked = await self._with_lease(resolved, look, state, known)
        closed = gate(look.plan, known)
        look = replace(look, plan=with_hold(look.plan, closed, known))
        state.seen = Seen(cluster, look.snapshot, look.plan, request.accepted.document.source.partition("#")[0])
        status, trouble = await self._publish(request, state, cluster, look)
        if trouble is not None and look.plan.stages:
            closed = Gate.STORE
        state.working = bool(look.plan.stages) and closed.keeps_working
        state.quiet = not look.plan.stages and not look.plan.holds and not operations.operations and trouble is None
        result = self._result(state, look, status, closed, operations)
        result = replace(result, ended=ended, error=trouble or blocked)
        if any(each.state is not State.DONE for each in ended):
            # Something else is wanted than what this plan was made for.
            return replace(result, next="again", after_seconds=0.0)
        if closed or not look.plan.stages:
            return result
        if not locked:
            return replace(result, gate=Gate.NEEDS_LOCK)
        if self._clock.monotonic() - look.snapshot.taken_at > self.pace.fresh_seconds:
            return replace(result, next="again", after_seconds=0.0)
        return await self._act(request, state, resolved, result, known.lease or 0, succeeds)

    async def _settle(self, state: ClusterState, cluster: Cluster, look: Observation) -> tuple[Operation, ...]:
        """Take in what was seen, and end the operations that are over."""
        now = self._clock.monotonic()
        state.snapshot = look.snapshot
        state.backoff.review(look.plan, now)
        failed = state.backoff.failed
        return await state.operations.settle(
            cluster, lambda each: self._decide.judge(each, cluster, look.snapshot, look.plan, failed, now)
        )

    # -- may it act -----------------------------------------------------------------------------------------------

    async def _refused(
        self, request: PassRequest, resolved: ResolvedCluster, look: Observation
    ) -> tuple[Observation, frozenset[str], StoreError | None]:
        """Without any stage where a node is another cluster's; the clusters that gave nodes of this one up; and why the
        record does not tell.
        """
        source = request.accepted.document.source
        try:
            refusal, succeeds = await self.ownerships.refusal(resolved.cluster, source, look.snapshot, resolved.targets)
        except StoreError as error:
            return look, frozenset(), error
        if refusal is None:
            return look, succeeds, None
        return replace(look, plan=refused(look.plan, refusal.hold)), frozenset(), None

    def _circumstances(
        self,
        request: PassRequest,
        state: ClusterState,
        cluster: Cluster,
        plan: Plan,
        operations: OpenOperations,
        blocked: Busy | StoreError | None,
    ) -> Circumstances:
        """What decides whether the plan may be carried out."""
        return Circumstances(
            mode=cluster.document.spec.mode,
            now=self._clock.monotonic(),
            act=request.act,
            paused=operations.overrides.paused,
            fleet_silent=self._breaker(),
            approved=any(state.approval.covers(plan, digest) for digest in sorted(operations.overrides.approved)),
            quiet_at=state.backoff.quiet_at(plan.next_stage),
            stopped=request.stop.is_set(),
            newer_lease=state.newer_lease,
            blocked=Gate.OPEN if blocked is None else Gate.BUSY if isinstance(blocked, Busy) else Gate.STORE,
        )

    async def _with_lease(
        self, resolved: ResolvedCluster, look: Observation, state: ClusterState, known: Circumstances
    ) -> tuple[Circumstances, StoreError | None]:
        """With the lease to act under, unless something else forbids acting."""
        if not look.plan.stages or gate(look.plan, known):
            return known, None
        try:
            lease, held_by = await self.ownerships.lease(resolved.cluster, resolved.targets, look.snapshot, state)
        except StoreError as error:
            return replace(known, blocked=Gate.STORE), error
        return replace(known, lease=lease, newer_lease=state.newer_lease, held_by=held_by), None

    def _breaker(self) -> str:
        """Why nothing is changed on the whole fleet; said once, and once when it is over."""
        newest = {name: state.snapshot for name, state in self._states.items() if state.snapshot is not None}
        silent = fleet_silent(newest_answers(newest))
        if silent and not self._fleet_silent:
            log.error("many nodes vanished at once; nothing is changed until they answer", extra={"why": silent})
        elif self._fleet_silent and not silent:
            log.info("enough nodes answer again; going on")
        self._fleet_silent = silent
        return silent

    # -- acting ---------------------------------------------------------------------------------------------------

    async def _act(
        self,
        request: PassRequest,
        state: ClusterState,
        resolved: ResolvedCluster,
        base: PassResult,
        lease: int,
        succeeds: frozenset[str],
    ) -> PassResult:
        plan = base.plan
        owner = await self.ownerships.ownership(plan.cluster, succeeds)
        state.operations.moves.acting(plan)
        context = ExecutionContext(plan, resolved.targets, resolved.secret, request.actor, request.cause, lease, owner)
        try:
            outcome = await self._executor.execute(context, plan.stages[0], stop=request.stop)
        except StoreError as error:
            state.working = False
            after = self._decide.spread(self.pace.blocked_seconds)
            return replace(base, next="wait", after_seconds=after, gate=Gate.STORE, error=error)
        except Busy as error:
            # A newer generation is on record: somebody handed in another document. Only a person can settle that.
            state.working = False
            state.outdated = f"not acting: {error}"
            after = self._decide.spread(self.pace.resync_seconds)
            return replace(base, next="wait", after_seconds=after, gate=Gate.BUSY, error=error)
        state.outdated = ""
        state.backoff.note(outcome, self._clock.monotonic())
        state.touched |= touched(outcome, self._clock.now())
        if outcome.newer_lease > state.newer_lease:
            state.newer_lease = outcome.newer_lease
            why = lease_lost(lease, outcome.newer_lease)
            log.critical("not acting on this cluster any more", extra={"cluster": plan.cluster, "why": why})
        base = replace(
            base,
            outcome=outcome,
            failing=state.backoff.failing,
            failures=state.backoff.worst,
            gate=Gate.STOPPED if outcome.stopped and not outcome.done else Gate.OPEN,
        )
        if outcome.done:
            state.next_look = next_look(plan.stages[0])
            return replace(base, next="again", after_seconds=0.0)
        # Look soon: what failed tells most right after it failed. Whether to try again is another question.
        return replace(base, next="failed", after_seconds=self._decide.spread(self.pace.passing_seconds))

    # -- recording ------------------------------------------------------------------------------------------------

    async def _publish(
        self, request: PassRequest, state: ClusterState, cluster: Cluster, look: Observation
    ) -> tuple[Mapping[str, Any], StoreError | None]:
        """Keep the status and what changed, in one piece; without a record the status says so."""
        try:
            status = self._status(request, state, cluster, look)
            moved = await state.operations.moved(cluster.name, state.status, status, look.snapshot)
            events = [*self._decide.changes(state.status, status), *moved]
            await self._store.put_status(cluster.name, status, events=events)
            state.status = status
            state.touched.clear()
            state.operations.moves.recorded(status, events)
        except StoreError as error:
            log.error("the record cannot be written; not acting", extra={"cluster": cluster.name, "error": str(error)})
            return self._status(request, state, cluster, look, f"store unavailable: {error}"), error
        return status, None

    async def _remember(self, state: ClusterState, cluster: str) -> None:
        """Once per process and cluster: its last status."""
        if state.remembered:
            return
        try:
            for row in await self._store.statuses(cluster):
                state.status = row["status"]
        except StoreError as error:
            log.error("the record cannot be read", extra={"cluster": cluster, "error": str(error)})
            return
        state.remembered = True

    async def _note_cuts(self, state: ClusterState, cluster: str) -> None:
        """Steps that any process, dead or stopped, has left running as far as the record knows. Raises StoreError."""
        rows = await self._store.history({"cluster": cluster, "kind": "Step", "limit": CUT_STEPS})
        state.backoff.note_cuts(rows, self._clock.monotonic(), self._clock.now())

    def _status(
        self, request: PassRequest, state: ClusterState, cluster: Cluster, look: Observation, *problems: str
    ) -> Mapping[str, Any]:
        document = request.accepted.document
        every = (*request.accepted.problems, *problems, *([state.outdated] if state.outdated else ()))
        return self._decide.status(
            View.at(cluster, look.snapshot, self._clock.monotonic()),
            look.plan,
            Origin(
                document.source,
                document.revision,
                document.revised_at,
                every,
                request.accepted.refused or state.outdated,
                request.accepted.source_trouble,
            ),
            wall=self._clock.now(),
            previous=state.status,
            failing=state.backoff.failing,
            failures=look.failures,
        )

    async def _unresolved(self, request: PassRequest, state: ClusterState, error: HactlError) -> PassResult:
        """References do not resolve: nothing can be observed safely, the status says why."""
        accepted = request.accepted
        cluster = Cluster(accepted.document.cluster, accepted.generation)
        await state.operations.read(cluster)
        now = self._clock.monotonic()
        silent = Unknown("References", now, str(error))
        look = Observation(
            state.snapshot or Snapshot(now, {node.name: silent for node in cluster.nodes}),
            Plan(cluster.name, accepted.generation),
            on_record(state.status),
        )
        problems = tuple(line for line in str(error).splitlines() if line.strip())
        accepted = replace(accepted, problems=(*accepted.problems, *problems))
        status, trouble = await self._publish(replace(request, accepted=accepted), state, cluster, look)
        state.working = False
        return PassResult(
            plan=look.plan,
            status=status,
            next="wait",
            after_seconds=self._decide.spread(self.pace.resync_seconds),
            gate=Gate.REFERENCES,
            error=trouble or error,
        )

    # -- what next ------------------------------------------------------------------------------------------------

    def _result(
        self,
        state: ClusterState,
        look: Observation,
        status: Mapping[str, Any],
        closed: Gate,
        operations: OpenOperations,
    ) -> PassResult:
        now = self._clock.monotonic()
        state.passing = state.passing.renewed(look.plan, now)
        moments = [state.backoff.next_at(now)]
        if closed is Gate.BACKOFF:
            moments.append(state.backoff.quiet_at(look.plan.next_stage))
        due = operations.next_seconds(self._clock.now())
        if due is not None:
            moments.append(now + due + 0.01)
        seconds = next_look_seconds(
            self.pace,
            closed,
            moving=operations.moving,
            passing_for=now - state.passing.since if state.passing.holds else None,
            moments=[moment - now for moment in moments if moment is not None],
            spread=self._decide.spread,
        )
        return PassResult(
            look.plan,
            status,
            "wait",
            seconds,
            gate=closed,
            failing=state.backoff.failing,
            failures=state.backoff.worst,
            operations=operations.operations,
        )


def _with_left(resolved: ResolvedCluster, previous: Mapping[str, Any] | None) -> ResolvedCluster:
    """The cluster with what earlier documents left behind, by its last status."""
    cluster = resolved.cluster
    return replace(resolved, cluster=replace(cluster, left=left_by(previous, cluster.document)))
