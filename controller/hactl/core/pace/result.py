"""What one pass over a cluster saw, decided and did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hactl.core.catalogue import ConditionType
from hactl.core.operations import Operation
from hactl.core.pace.gate import Gate
from hactl.core.steps import Plan, StageOutcome, StepKey
from hactl.errors import HactlError


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass saw, decided and did."""

    plan: Plan
    status: Mapping[str, Any]
    next: Literal["again", "wait", "failed"]
    #: When to look again, seconds from now.
    after_seconds: float
    #: What became of the first stage; None when it was not carried out.
    outcome: StageOutcome | None = None
    gate: Gate = Gate.OPEN
    #: Steps that failed repeatedly: key -> what happened.
    failing: Mapping[StepKey, str] = field(default_factory=dict)
    #: How often in a row the most unlucky step of the plan has failed.
    failures: int = 0
    #: Operations that count for the cluster, and those of them that ended in this pass, as they ended.
    operations: tuple[Operation, ...] = ()
    ended: tuple[Operation, ...] = ()
    #: What kept the pass from doing its job: SecretError, DocumentError, StoreError, Busy.
    error: HactlError | None = None

    @property
    def ready(self) -> bool:
        """Condition Ready is True."""
        conditions: Sequence[Mapping[str, Any]] = self.status.get("conditions", ())
        return any(c.get("type") == ConditionType.READY and c.get("status") == "True" for c in conditions)

    @property
    def converged(self) -> bool:
        """Nothing to do, nothing waited for, and Ready."""
        return self.ready and not self.plan.stages and not any(hold.passing for hold in self.plan.holds)
