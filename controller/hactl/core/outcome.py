"""How what was carried out ended: a step, and a stage with what of it was begun and what was not run."""

from __future__ import annotations

from dataclasses import dataclass

from hactl.core.steps import Outcome, Stage, Step


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
