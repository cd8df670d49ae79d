"""What hactl can do: steps, stages, holds and the plan, as values.

A step is one change on one node: what must be true before (checked by the node in the same exec), the exact
command, what must be true after, its risk. A stage is what may run before looking again. A hold is a reason not
to act, for people. Commands show secrets only as shell variables such as `"$HACTL_PASS_1"`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hactl.core.catalogue import HoldReason
from hactl.core.verbs import VERBS, Verb

if TYPE_CHECKING:
    from hactl.core.changes import AnyChange
    from hactl.core.changes.change import SecretUse


class Risk(StrEnum):
    """What a step can do to service and data."""

    NONE = "none"
    BLIP = "blip"
    OUTAGE = "outage"
    REDUNDANCY = "redundancy"
    DESTRUCTIVE = "destructive"

    @property
    def rank(self) -> int:
        """0 for none up to 4 for destructive."""
        return list(Risk).index(self)


class Outcome(StrEnum):
    """How a step ended. A timeout or a broken session is INDETERMINATE: look again, never resend blindly."""

    DONE = "Done"
    FAILED = "Failed"
    INDETERMINATE = "Indeterminate"


@dataclass(frozen=True, slots=True)
class Check:
    """A condition the node itself tests in the exec of the step. `test` is sh text that exits 0 when it holds."""

    #: For people: "vtnet1 has no vhid 80".
    says: str
    #: POSIX sh, base system only, no output, everything of the document quoted with `quote`.
    test: str
    #: For checks after the change: how long it may take to become true, seconds.
    within_seconds: float = 0.0


class StepKey(NamedTuple):
    """Identity of a step within a plan; as text, for people and the record, `nas-b SetVhid vtnet1 vhid 80`."""

    node: str
    verb: Verb
    target: str

    def __str__(self) -> str:
        return f"{self.node} {self.verb} {self.target}"


@dataclass(frozen=True, slots=True)
class Step:
    """One change on one node, as the text that people read, the node runs and the audit judges."""

    node: str
    #: What it does.
    verb: Verb
    #: What it does it to, in FreeBSD's words: "vtnet1 vhid 80", "data", "/etc/hast.conf".
    target: str
    #: Why, for people: "advskew is 200, the document says 100".
    why: str
    #: Exact sh text, one or more lines, as shown to people.
    command: str
    risk: Risk
    #: Checked on fresh facts, by the node, in the same exec, just before the command.
    before: tuple[Check, ...] = ()
    #: Checked by the node after the command; if one does not hold in time the step has failed.
    after: tuple[Check, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    #: The node kills the command after this many seconds; the controller waits a little longer.
    timeout_seconds: float = 30.0
    #: What the text was made from, for the planner's prediction; None when somebody wrote the text by hand.
    change: AnyChange | None = None

    @classmethod
    def of(
        cls,
        node: str,
        change: AnyChange,
        why: str,
        risk: Risk,
        *,
        before: tuple[Check, ...] = (),
        after: tuple[Check, ...] = (),
        timeout_seconds: float = 30.0,
    ) -> Step:
        """The step that makes this change."""
        verb, target, command, secrets = change.verb, change.target, change.command, change.secrets
        return cls(node, verb, target, why, command, risk, before, after, secrets, timeout_seconds, change)

    @property
    def key(self) -> StepKey:
        """Identity within a plan."""
        return StepKey(self.node, self.verb, self.target)

    @property
    def joins(self) -> bool:
        """Whether it may share an exec with its neighbours: a part of a move, or only written down; nothing is lost."""
        traits = VERBS.get(self.verb)
        quick = traits is not None and (traits.moves or traits.note or traits.boot_only)
        return quick and self.risk is not Risk.DESTRUCTIVE

    @property
    def state_decides(self) -> bool:
        """Whether it is Done when the conditions after it hold, and only then, whatever its exit status says."""
        return bool(self.after) and self.verb in VERBS and VERBS[self.verb].state_decides


def execs(steps: Iterable[Step]) -> list[tuple[Step, ...]]:
    """The steps in the runs that one exec carries out: parts of a move, and what is only written down, on one node.

    A move is all or nothing, so nobody wants to stop between them; everything else is an exec of its own.
    """
    found: list[tuple[Step, ...]] = []
    for step in steps:
        if found and step.node == found[-1][-1].node and step.joins and found[-1][-1].joins:
            found[-1] = (*found[-1], step)
        else:
            found.append((step,))
    return found


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps that may run before looking again."""

    title: str
    steps: tuple[Step, ...]
    #: True: one after the other in this order, stop at the first that is not Done.
    #: False: nodes in parallel, the steps of one node in order; a node stops at its first that is not Done.
    ordered: bool = False

    @property
    def risk(self) -> Risk:
        """The highest risk of its steps."""
        return max((step.risk for step in self.steps), key=lambda risk: risk.rank, default=Risk.NONE)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason why hactl does not act (yet), for people and for conditions."""

    reason: HoldReason
    message: str
    node: str | None = None
    #: What is not done because of it: "data", "vtnet1 vhid 80".
    target: str = ""
    #: What a person can do; empty when waiting is right.
    remedy: str = ""
    #: True: time or hactl itself will clear it. False: a person or the world must change something (Stalled).
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order, and why the rest is not. Only the first stage is ever executed."""

    cluster: str
    generation: int
    stages: tuple[Stage, ...] = ()
    holds: tuple[Hold, ...] = ()
    #: Node that is (or is to become) active, by group name.
    active: dict[str, str | None] = field(default_factory=dict)
    #: Node the group should be active on, by group name; another one than `active`: it is to move.
    goals: dict[str, str | None] = field(default_factory=dict)
    #: Resource -> (node whose copy a person asked by name to be thrown away, path of an image of it or empty).
    discards: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names this plan: the same stages in the same order have the same digest (12 hex digits)."""
        shape = [
            [stage.title, stage.ordered, [[s.node, s.verb, s.target, s.command, s.risk] for s in stage.steps]]
            for stage in self.stages
        ]
        text = json.dumps([self.cluster, self.generation, shape], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def next_stage(self) -> Stage | None:
        """The only stage that may be carried out before looking again; None: there is nothing to do."""
        return self.stages[0] if self.stages else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return tuple(step for stage in self.stages for step in stage.steps)


# --- how they ended


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step ended."""

    outcome: Outcome
    exit_status: int | None
    #: Standard output and error of the command, frame lines taken out.
    output: str
    #: Why it is not Done, for people; empty when Done.
    reason: str = ""
    #: What is odd about it although it is Done, for people.
    note: str = ""
    #: The node's own hook was at work: nothing was run, and it is no failure.
    busy: bool = False
    #: The lease of a newer controller that the node has seen; 0: none. Nothing was run.
    newer_lease: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that was begun, and how it ended."""

    step: Step
    result: StepResult
    #: Monotonic seconds from when on the node surely no longer runs it; in the past unless Indeterminate.
    quiet_at: float


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What became of a stage: every step is in exactly one of the two."""

    stage: Stage
    ended: tuple[Ended, ...]
    not_run: tuple[Step, ...]
    #: We were told to stop.
    stopped: bool = False

    @property
    def done(self) -> bool:
        """Every step of the stage is Done."""
        return not self.not_run and not self.trouble

    @property
    def trouble(self) -> tuple[Ended, ...]:
        """The steps that ended otherwise than Done."""
        return tuple(ended for ended in self.ended if ended.result.outcome is not Outcome.DONE)

    @property
    def newer_lease(self) -> int:
        """The newest lease of another controller that a node has seen; 0: none."""
        return max((ended.result.newer_lease for ended in self.ended), default=0)
