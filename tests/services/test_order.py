"""A service comes after another one: started by the controller, stopped and started by the hooks alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.lab.closed_loop import Loop, example

A, B, LAN = "nas-a", "nas-b", "vtnet1"

#: It runs two seconds after its start returned; every start and stop is written down, and whether pg ran then.
SCRIPT = """#!/bin/sh
. /etc/rc.subr
name=NAME
start_cmd=NAME_start
stop_cmd=NAME_stop
status_cmd=NAME_status
told() { if [ -f /var/run/pg.up ]; then echo "$1 NAME, pg runs"; else echo "$1 NAME"; fi >>/var/log/order; }
NAME_start() { told start; [ -f /etc/NAME.broken ] || { ( sleep 2; : >/var/run/NAME.up ) & }; }
NAME_stop() { told stop; rm -f /var/run/NAME.up; }
NAME_status() { [ -f /var/run/NAME.up ]; }
load_rc_config $name
run_rc_command "$1"
"""


def the_document(data: dict[str, Any]) -> None:
    """www stands before what it needs."""
    data["spec"]["groups"][0]["services"] = [{"name": "www", "after": ["pg"]}, {"name": "pg"}]


def order(loop: Loop, node: str) -> list[str]:
    """What was started and stopped there."""
    return loop.sh(node, "cat /var/log/order 2>/dev/null").splitlines()


def until(loop: Loop, condition: Callable[[], bool]) -> None:
    """Time goes by until it is so; two minutes are enough."""
    for _ in range(60):
        if condition():
            return
        loop.world.advance(2.0)
    raise AssertionError({node: order(loop, node) for node in (A, B)})


def test_the_hooks_keep_the_order_and_start_nothing_on_what_does_not_run() -> None:
    """One pair: up by hactl, then the cable of the active node, then of the other one, whose peer's pg is broken."""
    loop = Loop(example("nas", the_document))
    for machine in loop.world.machines.values():
        for name in ("pg", "www"):
            machine.files.write_text(f"/usr/local/etc/rc.d/{name}", SCRIPT.replace("NAME", name), 0o755)
    loop.converge()
    assert order(loop, A) == ["start pg", "start www, pg runs"]
    loop.world.cut(A, LAN)
    until(loop, lambda: len(order(loop, B)) > 1 and len(order(loop, A)) > 3)
    assert order(loop, A)[2:] == ["stop www, pg runs", "stop pg, pg runs"]
    assert order(loop, B) == ["start pg", "start www, pg runs"]
    loop.world.join(A, LAN)
    loop.world.advance(30)
    loop.converge()
    loop.sh(A, ": >/etc/pg.broken; : >/var/log/order")
    loop.world.cut(B, LAN)
    until(loop, lambda: "service pg does not start" in loop.sh(A, "cat /var/db/hactl/moves"))
    assert set(order(loop, A)) == {"start pg"}
    assert "www is not started: it comes after pg, which does not run" in loop.sh(A, "cat /var/log/messages")
