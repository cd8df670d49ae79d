"""Whether a plan may be carried out, and what is said when it may not."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.choices import Mode
from hactl.core.pace.gate import Circumstances, Gate, gate, with_hold
from hactl.core.steps import Hold, Plan, Stage
from support.toy_world import make_step

PLAN = Plan("pair", 1, (Stage("s", (make_step("a", "one"),)),))

#: In the order in which they are told.
REASONS: list[tuple[Gate, dict[str, Any]]] = [
    (Gate.LOOK_ONLY, {"act": False}),
    (Gate.OBSERVE, {"mode": Mode.OBSERVE}),
    (Gate.PAUSED, {"paused": "eve: new switch"}),
    (Gate.FLEET_SILENT, {"fleet_silent": "4 of 4 nodes are silent"}),
    (Gate.WAITING_FOR_APPROVAL, {"mode": Mode.PROPOSE}),
    (Gate.BACKOFF, {"quiet_at": 100.5}),
    (Gate.STOPPED, {"stopped": True}),
    (Gate.LEASE_LOST, {"lease": 7, "newer_lease": 7}),
    (Gate.BUSY, {"blocked": Gate.BUSY}),
]


def circumstances(**known: Any) -> Circumstances:
    """At moment 100, with nothing in the way but that."""
    return Circumstances(**{"mode": Mode.APPLY, "now": 100.0, **known})


@pytest.mark.parametrize(("reason", "known"), REASONS, ids=[str(reason) for reason, _ in REASONS])
def test_each_reason_alone_keeps_a_plan_from_being_carried_out(reason: Gate, known: dict[str, Any]) -> None:
    """A plan without stages needs no reason."""
    assert gate(PLAN, circumstances(**known)) is reason
    assert gate(Plan("pair", 1), circumstances(**known)) is Gate.OPEN


@pytest.mark.parametrize("number", range(len(REASONS) - 1))
def test_of_several_reasons_the_first_is_told(number: int) -> None:
    """What people decided comes before what passes by itself."""
    (reason, first), (_, second) = REASONS[number : number + 2]
    assert gate(PLAN, circumstances(**{**second, **first})) is reason


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"mode": Mode.PROPOSE, "approved": True},
        {"quiet_at": 100.0},
        {"lease": 8, "newer_lease": 7},
        {"newer_lease": 7},
    ],
    ids=["nothing", "approved", "quiet now", "our lease is newer", "no lease yet"],
)
def test_nothing_in_the_way(known: dict[str, Any]) -> None:
    """The next stage may be carried out."""
    assert gate(PLAN, circumstances(**known)) is Gate.OPEN


@pytest.mark.parametrize(
    ("reason", "known", "hold"),
    [
        (Gate.OBSERVE, {}, "ObserveOnly"),
        (Gate.WAITING_FOR_APPROVAL, {}, "WaitingForApproval"),
        (Gate.FLEET_SILENT, {"fleet_silent": "4 of 4 nodes are silent"}, "FleetSilent"),
        (Gate.LEASE_LOST, {"lease": 7, "newer_lease": 8}, "LeaseLost"),
        (Gate.BUSY, {}, None),
        (Gate.OPEN, {}, None),
    ],
)
def test_why_a_plan_is_only_a_plan_is_a_hold(reason: Gate, known: dict[str, Any], hold: str | None) -> None:
    """After those that it has, with what is known about it."""
    known_before = Hold("NodeSilent", "b does not answer")
    plan = Plan("pair", 1, PLAN.stages, (known_before,))
    found = with_hold(plan, reason, circumstances(**known)).holds
    assert [each.reason for each in found] == ["NodeSilent", *([hold] if hold else [])]
    text = f"{found[-1].message} {found[-1].remedy}"
    if reason is Gate.WAITING_FOR_APPROVAL:
        assert plan.digest in text
    for value in known.values():
        assert str(value) in text
