"""Carrying out one stage: intent on record, the step on the node, the outcome on record.

Rules: no record, no action; a step is sent once and never resent from here, under the lease we hold (I9) and the lock
that the node's own hook takes too; nothing is sent after a standstill of ours; a timeout or a broken session is
Indeterminate; when told to stop no new step starts, a running one gets a grace and is then abandoned as
Indeterminate; a secret exists only while its step runs and is blacked out of whatever comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hactl.core.pace.outcome import Ended, StageOutcome
from hactl.core.script import (
    LOCK_WAIT_SECONDS,
    StepResult,
    read_answer,
    step_budget_seconds,
    step_script,
    visible_line,
)
from hactl.core.steps import Outcome, Plan, SecretUse, Stage, Step
from hactl.errors import Busy, HostKeyMismatch, LoginRefused, NodeError, NodeUnreachable, SecretError, StoreError
from hactl.ports import Answer, Clock, Nodes, Store, Target
from hactl.runtime.passes.observe import make_nonce
from hactl.runtime.timeouts import discard, finish

log = logging.getLogger("hactl.runtime.passes.execute")

Secret = Callable[[SecretUse], str]

#: Errors that are raised before anything is sent to the node (see ports.Nodes.run).
NOTHING_SENT = (NodeUnreachable, HostKeyMismatch, LoginRefused)
#: Between two things we do one after the other no more time passes than this, unless the process was suspended.
STANDSTILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What happens to a step, live."""

    step: Step
    kind: Literal["begin", "line", "end"]
    #: For `line`: one line of its output, without secrets.
    line: str = ""
    #: For `end`.
    result: StepResult | None = None


OnStep = Callable[[StepEvent], None]


def ignore_event(event: StepEvent) -> None:
    """For callers that do not watch."""


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
    #: Generation of the lease we act under (`ports.Store.lease`).
    lease: int


class Executor:
    """Carries out stages."""

    def __init__(
        self,
        nodes: Nodes,
        store: Store,
        clock: Clock,
        *,
        grace_seconds: float = 5.0,
        margin_seconds: float = 25.0,
        record_seconds: float = 10.0,
        nonce: Callable[[], str] = make_nonce,
    ) -> None:
        """`grace_seconds`: what a running step gets when we are told to stop; `margin_seconds`: connecting."""
        self._nodes = nodes
        self._store = store
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._margin_seconds = margin_seconds
        self._record_seconds = record_seconds
        self._nonce = nonce

    async def execute(
        self, context: ExecutionContext, stage: Stage, *, stop: asyncio.Event, on_step: OnStep = ignore_event
    ) -> StageOutcome:
        """Carry out the stage. Raises StoreError when something could not be recorded, Busy when the record says that
        this generation is no longer the one to act on; nothing new runs after either.

        Cancelling it abandons the running steps, records them as Indeterminate, and goes on being cancelled.
        """
        run = _StageRun(stop, self._clock.monotonic())
        watch = _Careful(on_step)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(run.watch_stop())
            lanes = [group.create_task(self._lane(context, steps, run, watch)) for steps in _lanes(stage)]
            if lanes:
                await asyncio.wait(lanes)
            watcher.cancel()
        if run.broken is not None:
            log.error("stopped acting", extra={"cluster": context.plan.cluster, "error": str(run.broken)})
            raise run.broken
        begun = {id(ended.step) for ended in run.ended}
        not_run = tuple(step for step in stage.steps if id(step) not in begun)
        return StageOutcome(stage, tuple(run.ended), not_run, stopped=stop.is_set())

    async def _lane(self, context: ExecutionContext, steps: tuple[Step, ...], run: _StageRun, watch: _Careful) -> None:
        """Some steps one after the other, up to the first that is not Done, or to a standstill of ours."""
        before = run.began
        for step in steps:
            if run.halt.is_set():
                return
            if self._clock.monotonic() - before > STANDSTILL_SECONDS:
                log.error("stood still; looking again before anything else is done", extra=_where(context, step))
                return
            try:
                ended = await self._perform(context, step, run.halt, watch)
            except (StoreError, Busy) as error:
                run.broken = run.broken or error
                run.halt.set()
                log.error("cannot record a step", extra={**_where(context, step), "error": str(error)})
                return
            run.ended.append(ended)
            if ended.result.outcome is not Outcome.DONE:
                return
            before = ended.quiet_at

    async def _perform(self, context: ExecutionContext, step: Step, halt: asyncio.Event, watch: _Careful) -> Ended:
        """One step between its two records."""
        number: list[int] = []
        sent = False
        started = self._clock.monotonic()
        try:
            await finish(self._clock, self._begin(context, step, number), bound_seconds=self._record_seconds)
            log.info("step begins", extra=_where(context, step))
            watch(StepEvent(step, "begin"))
            if self._clock.monotonic() - started > STANDSTILL_SECONDS:
                result = StepResult(Outcome.FAILED, None, "", "not run: hactl stood still meanwhile", busy=True)
            else:
                sent = True
                result = await self._attempt(context, step, halt, watch)
        except asyncio.CancelledError:
            if number:
                result = StepResult(Outcome.FAILED, None, "", "not run: hactl was stopped")
                if sent:
                    result = StepResult(Outcome.INDETERMINATE, None, "", "abandoned: hactl was stopped")
                await self._end(context, step, number[0], result, started, watch)
            raise
        answered = self._clock.monotonic()
        await self._end(context, step, number[0], result, started, watch)
        unsure = result.outcome is Outcome.INDETERMINATE
        return Ended(step, result, started + self._limit_seconds(step) if unsure else answered)

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

    async def _end(
        self, context: ExecutionContext, step: Step, number: int, result: StepResult, started: float, watch: _Careful
    ) -> None:
        seconds = self._clock.monotonic() - started
        level = logging.INFO if result.outcome is Outcome.DONE else logging.WARNING
        extra = {"outcome": result.outcome.value, "reason": result.reason, "seconds": round(seconds, 3)}
        log.log(level, "step ended", extra={**_where(context, step), **extra})
        watch(StepEvent(step, "end", result=result))
        said = "\n".join(part for part in (result.output, f"[{result.reason}]" if result.reason else "") if part)
        write = self._store.end_step(
            number, outcome=result.outcome.value, exit_status=result.exit_status, output=said, seconds=seconds
        )
        await finish(self._clock, write, bound_seconds=self._record_seconds)

    def _limit_seconds(self, step: Step) -> float:
        """From the begin of a step to when we stop waiting; the node has killed its command by then."""
        return LOCK_WAIT_SECONDS + step_budget_seconds(step) + self._margin_seconds

    async def _attempt(self, context: ExecutionContext, step: Step, halt: asyncio.Event, watch: _Careful) -> StepResult:
        try:
            values = {use.variable: context.secret(use) for use in step.secrets}
        except SecretError as error:
            return StepResult(Outcome.FAILED, None, "", f"not run: {error}")
        nonce = self._nonce()
        blackout = _Redactor(nonce, tuple(values.values()))
        run = self._nodes.run(
            context.targets[step.node],
            step_script(step, values, nonce, lease=context.lease),
            timeout_seconds=step_budget_seconds(step),
            on_output=lambda text: _show(watch, step, text, blackout),
            exclusive=True,
        )
        return await self._answer(step, asyncio.ensure_future(run), blackout, halt)

    async def _answer(
        self, step: Step, task: asyncio.Future[Any], blackout: _Redactor, halt: asyncio.Event
    ) -> StepResult:
        limit = self._limit_seconds(step)
        alarm = asyncio.ensure_future(self._clock.sleep(limit))
        halted = asyncio.ensure_future(halt.wait())
        timers: list[asyncio.Future[Any]] = [alarm, halted]
        try:
            await asyncio.wait([task, *timers], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not alarm.done():
                grace = asyncio.ensure_future(self._clock.sleep(self._grace_seconds))
                timers.append(grace)
                await asyncio.wait([task, alarm, grace], return_when=asyncio.FIRST_COMPLETED)
        finally:
            late = alarm.done()
            await discard(self._clock, task, *timers)
        # An answer that came while we were giving up still counts.
        if task.done() and not task.cancelled():
            return _judge(step, task, blackout)
        if late:
            return StepResult(Outcome.INDETERMINATE, None, "", f"no answer within {limit:.0f} s")
        reason = f"abandoned: hactl was told to stop and waited {self._grace_seconds:.0f} s more"
        return StepResult(Outcome.INDETERMINATE, None, "", reason)


def _judge(step: Step, task: asyncio.Future[Answer], blackout: _Redactor) -> StepResult:
    try:
        answer = task.result()
    except NOTHING_SENT as error:
        return StepResult(Outcome.FAILED, None, "", f"not run: {blackout(str(error))}")
    except NodeError as error:
        return StepResult(Outcome.INDETERMINATE, None, "", blackout(str(error)))
    result = read_answer(
        step,
        blackout(answer.stdout),
        blackout.nonce,
        exit_status=answer.exit_status,
        timed_out=answer.timed_out,
        truncated=answer.truncated,
    )
    # What doas, timeout or the login shell complain about is on standard error and explains a script that never ran.
    complaint = blackout(answer.stderr).strip()
    if result.outcome is not Outcome.DONE and complaint:
        return replace(result, output="\n".join(part for part in (result.output, complaint) if part))
    return result


def _lanes(stage: Stage) -> list[tuple[Step, ...]]:
    """The sequences that may run at the same time."""
    if stage.ordered:
        return [stage.steps] if stage.steps else []
    lanes: dict[str, list[Step]] = {}
    for step in stage.steps:
        lanes.setdefault(step.node, []).append(step)
    return [tuple(steps) for steps in lanes.values()]


def _where(context: ExecutionContext, step: Step) -> dict[str, str]:
    return {
        "cluster": context.plan.cluster,
        "node": step.node,
        "verb": step.verb,
        "target": step.target,
        "plan": context.plan.digest,
    }


def _show(watch: _Careful, step: Step, text: str, blackout: _Redactor) -> None:
    """Whole lines of live output (Nodes.run gives nothing less), without our frame and without secrets."""
    for line in text.splitlines():
        shown = visible_line(line, blackout.nonce)
        if shown:
            watch(StepEvent(step, "line", line=blackout(shown)))


class _StageRun:
    """What the lanes of one stage share."""

    def __init__(self, stop: asyncio.Event, began: float) -> None:
        self.began = began
        self.halt = asyncio.Event()
        self.ended: list[Ended] = []
        self.broken: StoreError | Busy | None = None
        self._stop = stop
        if stop.is_set():
            self.halt.set()

    async def watch_stop(self) -> None:
        await self._stop.wait()
        self.halt.set()


class _Careful:
    """Calls a listener; one that fails is logged once and not called again, the work goes on."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step: OnStep | None = on_step

    def __call__(self, event: StepEvent) -> None:
        if self._on_step is None:
            return
        try:
            self._on_step(event)
        except Exception:
            self._on_step = None
            log.exception("whoever watches the steps failed; going on without")


class _Redactor:
    """Replaces secrets in text, but not in our own frame lines: a password may be any word, even one of theirs."""

    def __init__(self, nonce: str, secrets: tuple[str, ...]) -> None:
        self.nonce = nonce
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        if not self._secrets:
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        if visible_line(line, self.nonce) is None:
            return line
        for secret in self._secrets:
            line = line.replace(secret, "********")
        return line
