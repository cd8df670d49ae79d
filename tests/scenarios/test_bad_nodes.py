"""Nodes that cannot write: nothing is half-applied, the reason is said, and it goes on when it is mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hactl.core.steps import Outcome
from hactl.lab.machine import Machine
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints


def full(machine: Machine) -> None:
    """No space left on device."""
    machine.files.full = True


def read_only(machine: Machine) -> None:
    """/etc cannot be written."""
    machine.files.read_only = {"/etc"}


def mend(machine: Machine) -> None:
    """As it was."""
    machine.files.full = False
    machine.files.read_only = set()


@pytest.mark.parametrize("harm", [full, read_only])
def test_a_node_that_cannot_write_keeps_its_files_and_says_why(harm: Callable[[Machine], None]) -> None:
    """The step fails with the node's own words; hast.conf is not there half; mended, the pair converges."""
    loop = Loop(example("nas"))
    harm(loop.machine("nas-b"))
    for _ in range(4):
        plan = loop.plan()
        if not loop.stage(plan.stages[0]):
            break
        loop.world.advance(1.0)
    failed = [result for result in loop.results if result.outcome is not Outcome.DONE]
    assert len(failed) == 1
    assert failed[0].outcome is Outcome.FAILED
    assert "exit status" in failed[0].reason
    listing = loop.sh("nas-b", "ls /etc")
    assert "hast.conf" not in listing
    mend(loop.machine("nas-b"))
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []


def test_a_failing_node_does_not_keep_the_others_drift_from_being_corrected() -> None:
    """nas-b cannot write its files; nas-a's address is corrected all the same."""
    loop = Loop(example("nas"))
    loop.converge()
    read_only(loop.machine("nas-b"))
    loop.sh("nas-a", "service nfsd onestop")
    loop.sh("nas-b", "ifconfig vtnet1 vhid 80 advskew 50")
    mend(loop.machine("nas-b"))
    loop.sh("nas-b", "rm /etc/rc.conf.d/netif")
    read_only(loop.machine("nas-b"))
    for _ in range(6):
        plan = loop.plan()
        if not plan.stages:
            break
        if not loop.stage(plan.stages[0]):
            loop.failing = {step.key: "read-only file system" for step in plan.stages[0].steps if step.node == "nas-b"}
    assert "nas-a: service nfsd onestart" in loop.executed
    assert "nas-b: ifconfig vtnet1 vhid 80 advskew 100" in loop.executed
    assert [hold.reason for hold in loop.plan().holds] == ["StepFailing"]


def test_another_replication_mode_does_not_make_hastd_hang() -> None:
    """The lab's hastd hangs as the real one does (docs/freebsd-facts.md#7.68): copies are apart while it reloads."""
    loop = Loop(example("nas"))
    loop.converge()
    loop.world.advance(30.0)

    def change(document: dict[str, Any]) -> None:
        document["spec"]["groups"][0]["storage"][0]["hast"]["replication"] = "fullsync"

    loop.document, loop.generation = example("nas", change), 2
    loop.converge()
    assert "replication: fullsync" in loop.sh("nas-a", "timeout 5 hastctl list data")
    assert "complete" in loop.sh("nas-a", "hastctl status data")
    assert complaints(loop) == []
