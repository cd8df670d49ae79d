"""Carrying out one stage: intent on record, the step on the node, the outcome on record.

Steps of a move that follow each other on one node share an exec (`steps.execs`): the node tests the conditions of each
and stops at the first that is not Done; each has its own two records.

Rules: no record, no action; a step is sent once and never resent from here, under the lease we hold (I9) and the lock
that the node's own hook takes too; nothing is sent after a standstill of ours; a timeout or a broken session is
Indeterminate; when told to stop no new step starts, a running one gets a grace and is then abandoned as
Indeterminate; a secret exists only while its step runs and is taken out of whatever comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hactl.core.changes.change import SecretUse
from hactl.core.choices import NodeAccess
from hactl.core.script import LOCK_WAIT_SECONDS, Ownership, budget_seconds, read_answer, says_done, step_script
from hactl.core.steps import Ended, Outcome, Plan, Stage, StageOutcome, Step, StepResult, execs
from hactl.errors import Busy, HostKeyMismatch, LoginRefused, NodeError, NodeUnreachable, SecretError, StoreError
from hactl.ports import Answer, Clock, Nodes, Steps, Target
from hactl.runtime.passes.observe import make_nonce
from hactl.runtime.passes.redactor import Redactor
from hactl.runtime.timeouts import discard, finish

log = logging.getLogger("hactl.runtime.passes.execute")

Secret = Callable[[SecretUse], str]

#: Errors that are raised before anything is sent to the node (see ports.Nodes.run).
NOTHING_SENT = (NodeUnreachable, HostKeyMismatch, LoginRefused)
#: What a running step gets when we are told to stop, seconds.
GRACE_SECONDS = 5.0
#: For connecting, on top of what the node itself may take, seconds.
MARGIN_SECONDS = 25.0
#: How long a write to the record is waited for after we were told to stop, seconds.
RECORD_SECONDS = 10.0
#: Between two things we do one after the other no more time passes than this, unless the process was suspended.
STANDSTILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """Everything a stage is carried out with."""

    plan: Plan
    targets: Mapping[str, Target]
    secret: Secret
    #: Who asked: a person's name, or the controller.
    actor: str
    #: Why now: "spec", "drift", "incident" ...
    cause: str
    #: Generation of the lease we act under (`ports.Passes.lease`).
    lease: int
    #: For whom, as the nodes note it; None: they are not asked.
    owner: Ownership | None = None


class Executor:
    """Carries out stages."""

    def __init__(self, nodes: Nodes, store: Steps, clock: Clock) -> None:
        """Everything is injected."""
        self._nodes = nodes
        self._store = store
        self._clock = clock

    async def execute(self, context: ExecutionContext, stage: Stage, *, stop: asyncio.Event) -> StageOutcome:
        """Carry out the stage. Raises StoreError when something could not be recorded, Busy when the record says that
        this generation is no longer the one to act on; nothing new runs after either.

        Cancelling it abandons the running steps, records them as Indeterminate, and goes on being cancelled.
        """
        run = _StageRun(context, stop, self._clock.monotonic())
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(run.watch_stop())
            lanes = [group.create_task(self._lane(run, steps)) for steps in _lanes(stage)]
            if lanes:
                await asyncio.wait(lanes)
            watcher.cancel()
        if run.broken is not None:
            log.error("stopped acting", extra={"cluster": context.plan.cluster, "error": str(run.broken)})
            raise run.broken
        begun = {id(ended.step) for ended in run.ended}
        not_run = tuple(step for step in stage.steps if id(step) not in begun)
        return StageOutcome(stage, tuple(run.ended), not_run, stopped=stop.is_set())

    async def _lane(self, run: _StageRun, steps: tuple[Step, ...]) -> None:
        """Some steps one after the other, up to the first that is not Done, or to a standstill of ours."""
        before = run.began
        for each in execs(steps):
            if run.halt.is_set():
                return
            if self._clock.monotonic() - before > STANDSTILL_SECONDS:
                log.error("was suspended; looking again before anything else is done", extra=run.where(each[0]))
                return
            try:
                ended = await self._perform(run, each)
            except (StoreError, Busy) as error:
                run.broken = run.broken or error
                run.halt.set()
                log.error("cannot record a step", extra={**run.where(each[0]), "error": str(error)})
                return
            run.ended += ended
            if any(one.result.outcome is not Outcome.DONE for one in ended):
                return
            before = ended[-1].quiet_at

    async def _perform(self, run: _StageRun, steps: tuple[Step, ...]) -> list[Ended]:
        """One exec between the records of its steps; those that were begun on the node, as they ended."""
        # Their numbers on record, as soon as there are any: being cancelled meanwhile must not lose them.
        numbers: list[int] = []
        sent = False
        started = self._clock.monotonic()
        moments: list[float] = []
        try:
            for step in steps:
                await finish(self._clock, self._begin(run.context, step, numbers), bound_seconds=RECORD_SECONDS)
                log.info("step begins", extra=run.where(step))
            if self._clock.monotonic() - started > STANDSTILL_SECONDS:
                results = [StepResult(Outcome.FAILED, None, "", "not run: hactl was suspended meanwhile", busy=True)]
            else:
                sent = True
                results = await self._attempt(run, steps, moments)
        except (asyncio.CancelledError, StoreError, Busy):
            result = StepResult(Outcome.FAILED, None, "", "not run: hactl was stopped")
            if sent:
                result = StepResult(Outcome.INDETERMINATE, None, "", "abandoned: hactl was stopped")
            for step, number in zip(steps, numbers, strict=False):
                await self._end(run, step, number, result, self._clock.monotonic() - started)
            raise
        answered = self._clock.monotonic()
        # When each ended: as the node told while it ran, the last one when the answer was there.
        moments = [started, *moments[: len(results)], *[answered] * (len(results) - len(moments))]
        for step, number, result, (begun, ended) in zip(steps, numbers, results, pairwise(moments), strict=False):
            await self._end(run, step, number, result, ended - begun)
        why = f"not run: {results[-1].outcome.value} before it: {steps[len(results) - 1].key}"
        for step, number in zip(steps[len(results) :], numbers[len(results) :], strict=True):
            await self._end(run, step, number, StepResult(Outcome.FAILED, None, "", why), 0.0)
        unsure = any(result.outcome is Outcome.INDETERMINATE for result in results)
        quiet_at = started + _limit_seconds(steps) if unsure else answered
        return [Ended(step, result, quiet_at) for step, result in zip(steps, results, strict=False)]

    async def _begin(self, context: ExecutionContext, step: Step, number: list[int]) -> None:
        plan = context.plan
        record = {
            "cluster": plan.cluster,
            "generation": plan.generation,
            "plan": plan.digest,
            "node": step.node,
            "verb": step.verb,
            "target": step.target,
            "command": step.command,
            "risk": step.risk.value,
            "why": step.why,
            "actor": context.actor,
            "cause": context.cause,
        }
        number.append(await self._store.begin_step(record, lease=context.lease))

    async def _end(self, run: _StageRun, step: Step, number: int, result: StepResult, seconds: float) -> None:
        level = logging.INFO if result.outcome is Outcome.DONE else logging.WARNING
        remark = result.reason or result.note
        extra = {"outcome": result.outcome.value, "reason": remark, "seconds": round(seconds, 3)}
        log.log(level, "step ended", extra={**run.where(step), **extra})
        output = "\n".join(part for part in (result.output, f"[{remark}]" if remark else "") if part)
        write = self._store.end_step(
            number, outcome=result.outcome.value, exit_status=result.exit_status, output=output, seconds=seconds
        )
        await finish(self._clock, write, bound_seconds=RECORD_SECONDS)

    async def _attempt(self, run: _StageRun, steps: tuple[Step, ...], moments: list[float]) -> list[StepResult]:
        """Send them and read the answer; `moments` gets when each was Done."""
        target = run.context.targets[steps[0].node]
        if target.access is not NodeAccess.ROOT:
            reason = f"not run: the key for {target.node} only looks (access: {target.access}); nothing was sent"
            return [StepResult(Outcome.FAILED, None, "", reason)]
        try:
            values = {use.variable: run.context.secret(use) for step in steps for use in step.secrets}
        except SecretError as error:
            return [StepResult(Outcome.FAILED, None, "", f"not run: {error}")]
        nonce = make_nonce()
        redact = Redactor(nonce, values.values())

        def note(line: str) -> None:
            if says_done(line.rstrip("\r\n"), nonce):
                moments.append(self._clock.monotonic())

        answer = self._nodes.run(
            target,
            step_script(steps, values, nonce, lease=run.context.lease, owner=run.context.owner),
            timeout_seconds=budget_seconds(steps),
            on_output=note,
            exclusive=True,
        )
        return await self._answer(run, steps, asyncio.ensure_future(answer), redact)

    async def _answer(
        self, run: _StageRun, steps: tuple[Step, ...], task: asyncio.Future[Any], redact: Redactor
    ) -> list[StepResult]:
        limit = _limit_seconds(steps)
        alarm = asyncio.ensure_future(self._clock.sleep(limit))
        halted = asyncio.ensure_future(run.halt.wait())
        timers: list[asyncio.Future[Any]] = [alarm, halted]
        try:
            await asyncio.wait([task, *timers], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not alarm.done():
                grace = asyncio.ensure_future(self._clock.sleep(GRACE_SECONDS))
                timers.append(grace)
                await asyncio.wait([task, alarm, grace], return_when=asyncio.FIRST_COMPLETED)
        finally:
            late = alarm.done()
            await discard(self._clock, task, *timers)
        # An answer that came while we were giving up still counts.
        if task.done() and not task.cancelled():
            return _judge(steps, task, redact)
        reason = f"abandoned: hactl was told to stop and waited {GRACE_SECONDS:.0f} s more"
        if late:
            reason = f"no answer within {limit:.0f} s"
        return [StepResult(Outcome.INDETERMINATE, None, "", reason)] * len(steps)


def _limit_seconds(steps: tuple[Step, ...]) -> float:
    """From the begin of an exec to when we stop waiting; the node has killed its commands by then."""
    return LOCK_WAIT_SECONDS + budget_seconds(steps) + MARGIN_SECONDS


def _judge(steps: tuple[Step, ...], task: asyncio.Future[Answer], redact: Redactor) -> list[StepResult]:
    try:
        answer = task.result()
    except NOTHING_SENT as error:
        return [StepResult(Outcome.FAILED, None, "", f"not run: {redact(str(error))}")]
    except NodeError as error:
        return [StepResult(Outcome.INDETERMINATE, None, "", redact(str(error)))] * len(steps)
    results = read_answer(
        steps,
        redact(answer.stdout),
        redact.nonce,
        exit_status=answer.exit_status,
        timed_out=answer.timed_out,
        truncated=answer.truncated,
    )
    # What doas, timeout or the login shell complain about is on standard error and explains a script that never ran.
    complaint = redact(answer.stderr).strip()
    for place, result in enumerate(results):
        if result.outcome is not Outcome.DONE and complaint:
            said = "\n".join(part for part in (result.output, complaint) if part)
            results[place] = replace(result, output=said)
            break
    return results


def _lanes(stage: Stage) -> list[tuple[Step, ...]]:
    """The sequences that may run at the same time."""
    if stage.ordered:
        return [stage.steps] if stage.steps else []
    lanes: dict[str, list[Step]] = {}
    for step in stage.steps:
        lanes.setdefault(step.node, []).append(step)
    return [tuple(steps) for steps in lanes.values()]


class _StageRun:
    """What the steps of one stage share."""

    def __init__(self, context: ExecutionContext, stop: asyncio.Event, began: float) -> None:
        self.context = context
        self.began = began
        #: No new step begins.
        self.halt = asyncio.Event()
        self.ended: list[Ended] = []
        #: Why the record could not be written.
        self.broken: StoreError | Busy | None = None
        self._stop = stop
        if stop.is_set():
            self.halt.set()

    def where(self, step: Step) -> dict[str, str]:
        """What a step is about, for the log."""
        plan = self.context.plan
        return {
            "cluster": plan.cluster,
            "node": step.node,
            "verb": step.verb,
            "target": step.target,
            "plan": plan.digest,
        }

    async def watch_stop(self) -> None:
        await self._stop.wait()
        self.halt.set()
