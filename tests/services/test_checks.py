"""A check of the document decides, on a whole pair in the lab: for the controller, in steps, and for the hook alone."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.audit.check import audit
from hactl.core.catalogue import HoldReason
from hactl.core.cluster import Cluster
from hactl.core.hook.render import HOOK
from hactl.core.plan import make_plan
from support.lab.closed_loop import Loop, example

#: Its status says nothing: it always exits with 0.
SCRIPT = """#!/bin/sh
# PROVIDE: pg
. /etc/rc.subr
name=pg
rcvar=pg_enable
start_cmd=pg_start
stop_cmd=pg_stop
status_cmd=true
load_rc_config $name
: ${pg_enable:=NO}
pg_start() { daemon -p /var/run/pg.pid nc -kl 127.0.0.1 5432; }
pg_stop() { kill "$(cat /var/run/pg.pid)"; }
run_rc_command "$1"
"""


def pair(check: dict[str, Any]) -> Loop:
    """nas.yaml with this service; its script is on both nodes."""

    def change(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["services"] = [{"name": "pg", "check": check}]

    loop = Loop(example("nas", change))
    for node in loop.world.machines.values():
        node.files.write_text("/usr/local/etc/rc.d/pg", SCRIPT, 0o755)
    return loop


@pytest.mark.parametrize("check", [{"tcp": 5432}, {"command": "test -f /var/run/pg.pid", "timeoutSeconds": 3}])
def test_a_check_decides_for_controller_and_hook(check: dict[str, Any]) -> None:
    """Started once where the group is active, and by the hook of the other node when that one is gone."""
    loop = pair(check)
    assert [line for line in loop.converge() if " pg " in line] == ["nas-a: service pg onestart"]
    assert loop.converge() == []
    assert "addresses MASTER, serving" in loop.sh("nas-a", f"{HOOK} status")
    assert "not serving" in loop.sh("nas-b", f"{HOOK} status")
    loop.sh("nas-b", "service pg onestart")
    assert loop.converge() == ["nas-b: service pg onestop"]
    loop.machine("nas-a").lose_power()
    loop.world.advance(60)
    assert "addresses MASTER, serving" in loop.sh("nas-b", f"{HOOK} status")


def test_what_the_document_does_not_name_is_not_run() -> None:
    """The audit reads the condition of a step, and compares it with the document word for word."""
    loop = pair({"command": "test -f /var/run/pg.pid"})
    loop.converge()
    loop.sh("nas-a", "service pg onestop; rm -f /var/run/pg.pid")
    snapshot = loop.look()
    plan = make_plan(loop.cluster, snapshot, loop.now)
    assert [step.command for step in plan.steps] == ["service pg onestart"]
    assert audit(loop.cluster, snapshot, plan, loop.now) == ()
    other = Cluster(pair({"command": "test -f /var/run/other"}).document, loop.generation, loop.cluster.keys)
    assert any("changes something" in line for line in audit(other, snapshot, plan, loop.now))


def test_a_check_that_cannot_be_run_holds() -> None:
    """Unknown, with the check and what it said, and how to ask the same; nothing is started on a guess."""
    loop = pair({"command": "/no/such/program ping"})
    assert not any("pg" in line for line in loop.converge())
    holds = [hold for hold in loop.plan().holds if hold.reason is HoldReason.SERVICE_UNKNOWN]
    assert {hold.node for hold in holds} == {"nas-a", "nas-b"}
    assert "its check (/no/such/program ping) ended with status 127" in holds[0].message
    assert "/bin/sh -c" in holds[0].remedy
