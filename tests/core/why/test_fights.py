"""Somebody is blamed for undoing what hactl does only when nothing else explains it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hactl.core.why.fights import Fight, fights

_START = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)

Row = dict[str, Any]


def at(minute: int) -> str:
    """A moment of the evening, as the record has it."""
    return (_START + timedelta(minutes=minute)).isoformat()


def step(minute: int, verb: str = "SetSysctl", target: str = "net.inet.carp.preempt", **more: Any) -> Row:
    """A step that was done on nas-b."""
    return {
        "kind": "StepEnded",
        "at": at(minute),
        "node": "nas-b",
        "verb": verb,
        "target": target,
        "command": f"sysctl {target}=1",
        "why": f"{target} is 0, the document says 1",
        "outcome": "Done",
        **more,
    }


def aliases(minute: int, **more: Any) -> Row:
    """The boot aliases were written."""
    return step(minute, "WriteBootAliases", "/etc/rc.conf.d/netif", **more)


def event(minute: int, kind: str, node: str | None = None, /, **detail: Any) -> Row:
    """Something happened."""
    return {"kind": kind, "at": at(minute), "node": node, "summary": "", "detail": detail}


def spread(one: Row, between: Row | None = None, times: int = 6) -> list[Row]:
    """The step again and again, every five minutes, with that in between."""
    rows: list[Row] = []
    for number in range(times):
        rows += [{**one, "at": at(5 * number)}, *([{**between, "at": at(5 * number + 2)}] if between else [])]
    return rows


def test_the_same_value_put_back_over_the_same_other_one_is_a_fight() -> None:
    """A cron job that sets the sysctl; the sentence says what was found each time."""
    (found,) = fights(spread(step(0)))
    assert found.times == 6
    assert found.sentence == (
        "nas-b SetSysctl net.inet.carp.preempt was done 6 times, each time because: "
        "net.inet.carp.preempt is 0, the document says 1"
    )
    assert fights(spread(step(0), times=2)) == ()


@pytest.mark.parametrize(
    "between",
    [
        event(0, "GroupMoved", "nas-a", group="files", **{"from": "nas-b", "to": "nas-a"}),
        event(0, "NodeRebooted", "nas-b"),
        event(0, "NodeRebooted", "nas-a"),
        event(0, "DocumentAccepted", generation=7),
        event(0, "OperationOpened", kind="Drain", node="nas-b"),
        event(0, "OperationEnded", kind="Switchover", group="files"),
        event(0, "OperationEnded", kind="Pause"),
    ],
    ids=lambda row: f"{row['kind']}-{row['node'] or row['detail'].get('kind', '')}",
)
def test_what_came_between_explains_it(between: Row) -> None:
    """Six failovers, reboots, documents, drains: the boot aliases are written after each, and nobody fights."""
    assert fights(spread(aliases(0), between)) == ()
    assert fights(spread(step(0, "SetVhid", "vtnet1 vhid 80"), between)) == ()
    assert fights(spread(step(0, "StopService", "nfsd"), between)) == ()


@pytest.mark.parametrize(
    "between",
    [
        event(0, "StateChanged", "nas-b", what="CARP", before="BACKUP", after="MASTER"),
        event(0, "ConditionChanged"),
        event(0, "PlanChanged"),
        event(0, "OperationOpened", kind="Approve"),
        event(0, "NodeBack", "nas-b"),
        step(0, "WriteHook", "/usr/local/libexec/hactl/hook"),
        step(0, target="net.inet.carp.allow", command="sysctl net.inet.carp.allow=1"),
        step(0, target="net.inet.carp.log", node="nas-a"),
    ],
    ids=lambda row: row["kind"],
)
def test_what_a_fight_itself_brings_about_explains_nothing(between: Row) -> None:
    """Two MASTERs because somebody sets another password; a plan and its approval each time; steps elsewhere."""
    found = {fight.step.target: fight.times for fight in fights(spread(step(0), between))}
    assert found["net.inet.carp.preempt"] == 6


def test_after_what_explains_it_the_count_begins_anew() -> None:
    """Three times since the failover is a fight, whatever was before."""
    rows = [*spread(step(0)), event(40, "GroupMoved"), step(41), step(42), step(43)]
    assert [fight.times for fight in fights(rows)] == [3]
    assert fights(rows[:-1]) == ()


def test_another_value_there_or_put_there_is_no_fight() -> None:
    """Each failover leaves another advskew; our own steps put one, then another."""
    assert fights([aliases(number, why=f"advskew {number}") for number in range(6)]) == ()
    there, back = step(0, command="sysctl a=1"), step(1, command="sysctl a=0")
    assert fights([there, back] * 4) == ()
    start, stop = step(0, "StartService", "nfsd"), step(1, "StopService", "nfsd")
    assert fights([start, stop] * 4) == ()
    assert [fight.step.target for fight in fights([start, step(1, "StopService", "mountd")] * 3)] == ["nfsd", "mountd"]


def test_only_what_was_done_counts() -> None:
    """A step that fails puts nothing back; what a healthy cluster does often is no sign."""
    assert fights(spread(step(0, outcome="Failed"))) == ()
    assert fights(spread(step(0, outcome=None))) == ()
    assert fights(spread(step(0, "ConfirmCopy", "data"))) == ()
    assert fights(spread(step(0, "Mount", "/data"))) == ()


def test_a_move_that_nobody_saw_explains_it_too() -> None:
    """The nodes' hooks moved the group there and back between two looks: only their own notes tell."""
    rows = spread(step(0))
    seen = int((_START + timedelta(minutes=17)).timestamp())
    assert fights(rows, [seen]) == ()
    assert [fight.times for fight in fights(rows, [seen - 600])] == [4]


def test_a_service_that_ends_again_and_again_is_not_called_a_fight() -> None:
    """Nobody need have stopped it."""
    (found,) = fights(spread(step(0, "StartService", "nfsd", why="it does not run"), times=3))
    assert isinstance(found, Fight)
    assert found.keeps_ending
    assert found.sentence == "hactl started nfsd 3 times on nas-b, and it ended again each time"
