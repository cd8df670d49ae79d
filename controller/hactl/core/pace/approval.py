"""Mode Propose: a person approves the digest of a plan, and only that plan may be carried out.

Rules: a plan is carried out stage by stage and planned anew after each, so what is left of an approved plan counts as
approved; a step that the approved plan did not have, to the letter of its command, does not. The one exception is a
note on a node about what the approved steps brought about (`VerbTraits.note`), which no plan can foretell.
"""

from __future__ import annotations

from collections.abc import Sequence

from hactl.core.steps import Plan, Stage
from hactl.core.verbs import VERBS

_NOTES = frozenset(verb for verb, traits in VERBS.items() if traits.note)


class Approval:
    """What was approved for one cluster."""

    def __init__(self) -> None:
        """Nothing."""
        self._digest = ""
        self._steps: frozenset[tuple[str, ...]] = frozenset()

    def covers(self, plan: Plan, approved: str | None) -> bool:
        """Whether the next stage of `plan` is what a person meant who approved the digest `approved`."""
        if approved is None or not plan.stages:
            return False
        if plan.digest == approved:
            self._digest, self._steps = approved, _shape(plan.stages)
        return self._digest == approved and _shape(plan.stages[:1]) <= self._steps

    def forget(self) -> None:
        """Another generation: nothing of it was approved."""
        self._digest, self._steps = "", frozenset()


def _shape(stages: Sequence[Stage]) -> frozenset[tuple[str, ...]]:
    return frozenset(
        (s.node, s.verb, s.target, s.command, s.risk.value)
        for stage in stages
        for s in stage.steps
        if s.verb not in _NOTES
    )
