"""Readings as predictions make them."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hactl.core.facts import Known, NodeFacts, known

T = TypeVar("T")


def seen(value: T, facts: NodeFacts) -> Known[T]:
    """A reading as old as the rest of the facts."""
    return Known(value, facts.seen_at)


def unconfirm(facts: NodeFacts, resource: str) -> NodeFacts:
    """hastd's exec hook: whatever the role becomes, the copy is not known to be complete any more."""
    hook = known(facts.hook)
    if hook is None or resource not in hook.confirmed:
        return facts
    rest = {name: at for name, at in hook.confirmed.items() if name != resource}
    return replace(facts, hook=seen(replace(hook, confirmed=rest), facts))
