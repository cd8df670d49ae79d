"""Events between two statuses: what a person wants to read later, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.core.catalogue import EventKind, HoldReason
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, HastRole
from hactl.core.status.changes import changes
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Hold, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from support.facts.builder import Scene, healthy_pair

WALL = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)
STAGE = Stage("a stage", (Step("nas-b", Verb.SET_VHID, "it", "because", "true", Risk.NONE),))


def status_of(
    scene: Scene,
    previous: dict[str, Any] | None = None,
    *,
    holds: tuple[Hold, ...] = (),
    stages: tuple[Stage, ...] = (),
) -> dict[str, Any]:
    """A status after `previous`."""
    plan = Plan("nas", 1, stages, holds, {"files": "nas-a"})
    view = View.at(scene.cluster, scene.snapshot, scene.now)
    return cluster_status(view, plan, Origin("nas.yaml"), wall=WALL, previous=previous)


def events_between(before: dict[str, Any] | None, after: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, summary) of the events."""
    events = changes(before, after)
    assert all(kind in set(EventKind) for kind, _, _, _ in events)
    return [(kind, summary) for kind, summary, _, _ in events]


def test_nothing_changed_nothing_said() -> None:
    """Two passes over the same world give no events, and neither do ages."""
    first = status_of(healthy_pair())
    assert events_between(first, status_of(healthy_pair().aged(5), first)) == []


@pytest.mark.parametrize(
    ("scene", "event"),
    [
        (
            healthy_pair().vhid("nas-a", state=CarpState.BACKUP),
            ("StateChanged", "CARP vhid 80 (files) on nas-a: MASTER -> BACKUP"),
        ),
        (
            healthy_pair().resource("nas-b", role=HastRole.INIT),
            ("StateChanged", "HAST data on nas-b: secondary -> init"),
        ),
        (healthy_pair().unmounted("nas-a"), ("StateChanged", "mount /dev/hast/data on nas-a: Mounted -> NotMounted")),
        (
            healthy_pair().service("nas-a", running=False),
            ("StateChanged", "service nfsd on nas-a: Running -> Stopped"),
        ),
        (healthy_pair().silent("nas-b"), ("NodeLost", "nas-b does not answer: Unreachable")),
        (
            healthy_pair().system("nas-b", boot_epoch=1795450000),
            ("NodeRebooted", "nas-b booted at 2026-11-23T16:06:40Z"),
        ),
    ],
)
def test_one_change_one_event(scene: Scene, event: tuple[str, str]) -> None:
    """Each kind of change is said once, in words."""
    first = status_of(healthy_pair())
    found = events_between(first, status_of(scene, first))
    assert found.count(event) == 1
    assert [entry for entry in found if entry[0] in ("StateChanged", "NodeLost", "NodeRebooted")] == [event]


def test_a_boot_time_that_moves_a_little_is_no_reboot() -> None:
    """kern.boottime moves when the clock is disciplined, even step by step over many passes."""
    status = status_of(healthy_pair())
    moved = status_of(healthy_pair().system("nas-b", boot_epoch=1795449304), status)
    assert events_between(status, moved) == []


def test_a_node_that_was_away_and_came_back_changed() -> None:
    """What changed while nobody could look is said when the node is back; what did not change is not."""
    first = status_of(healthy_pair())
    away = status_of(healthy_pair().silent("nas-a"), first)
    still = status_of(healthy_pair().silent("nas-a"), away)
    same = status_of(healthy_pair(), still)
    kinds = [kind for kind, _ in events_between(still, same)]
    assert "NodeBack" in kinds
    assert "StateChanged" not in kinds
    rebooted = healthy_pair().vhid("nas-a", state=CarpState.BACKUP).system("nas-a", boot_epoch=1795450000)
    found = events_between(still, status_of(rebooted, still))
    assert ("StateChanged", "CARP vhid 80 (files) on nas-a: MASTER -> BACKUP") in found
    assert ("NodeRebooted", "nas-a booted at 2026-11-23T16:06:40Z") in found


def test_what_cannot_be_read_is_no_change() -> None:
    """Mounts, roles and services that are not known did not go away."""
    first = status_of(healthy_pair())
    blind = healthy_pair().unknown("nas-a", "mounts", "resources", "services", "interfaces")
    second = status_of(blind, first)
    assert not [kind for kind, _ in events_between(first, second) if kind == "StateChanged"]
    assert not [kind for kind, _ in events_between(second, status_of(healthy_pair(), second)) if kind == "StateChanged"]


def test_conditions_holds_and_plans() -> None:
    """They appear and go, each as one event."""
    hold = Hold(HoldReason.DEMOTED, "demoted by 240", node="nas-b", target="net.inet.carp.demotion")
    first = status_of(healthy_pair())
    second = status_of(healthy_pair(), first, holds=(hold,), stages=(STAGE,))
    kinds = [(kind, summary.split(":")[0]) for kind, summary in events_between(first, second)]
    assert ("ConditionChanged", "Ready is False") in kinds
    assert ("ConditionChanged", "Reconciling is True") in kinds
    assert ("HoldChanged", "Demoted") in kinds
    assert [kind for kind, _ in kinds].count("PlanChanged") == 1
    third = events_between(second, status_of(healthy_pair(), second))
    assert ("ConditionChanged", "Reconciling is over") in third
    assert ("HoldChanged", "Demoted is over: demoted by 240") in third
    assert any(kind == "PlanChanged" and "nothing is left" in summary for kind, summary in third)


def test_the_first_status_says_what_is_wrong_only() -> None:
    """Without a previous status there are conditions, and nodes that do not answer; no states, no plan of nothing."""
    kinds = {kind for kind, _ in events_between(None, status_of(healthy_pair().silent("nas-b")))}
    assert kinds == {"ConditionChanged", "NodeLost"}
