"""How soon a controller that runs tells what broke, or that a node is back: by the times of its own record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..exam import Bench, exam

_TOLD_SECONDS = 90.0
#: Of the record; one pass writes fewer.
_ROWS = 60
#: The controller has looked, and rests.
_RESTS_SECONDS = 15.0


@dataclass(frozen=True)
class Fault:
    """What is broken, and how that is undone."""

    breaks: Callable[[Bench, str, str], None]
    mends: Callable[[Bench, str, str], None]
    #: Seconds until it is told; None: nobody asked for any.
    goal: float | None


def _shell(node: str, command: str) -> Callable[[Bench, str, str], None]:
    def run(bench: Bench, active: str, standby: str) -> None:
        bench.nodes[active if node == "active" else standby].must(command)

    return run


def _cable(net: str, *, up: bool) -> Callable[[Bench, str, str], None]:
    return lambda bench, active, standby: bench.nodes.link(active, net, up=up)


def _power(bench: Bench, active: str, standby: str) -> None:
    bench.power_on(standby, wait=False)


def _cut(bench: Bench, active: str, standby: str) -> None:
    bench.power_off(standby)


def _nothing(bench: Bench, active: str, standby: str) -> None:
    """hactl mends it itself."""


FAULTS = {
    "carrier": Fault(_cable("repl", up=False), _cable("repl", up=True), 2.0),
    "service": Fault(_shell("active", "kill -9 $(pgrep nfsd)"), _nothing, 10.0),
    "devd": Fault(_shell("standby", "kill -9 $(cat /var/run/devd.pid)"), _nothing, None),
    "hastd": Fault(_shell("standby", "kill -9 $(cat /var/run/hastd.pid)"), _nothing, None),
    "standby-gone": Fault(_cut, _power, None),
}
#: From the first greeting of its sshd to a look of hactl.
BACK_GOAL = 3.0


@exam("told", (*FAULTS, "node-back"), "power", "link")
def told(bench: Bench, name: str) -> None:
    """A lost carrier is told within 2 s, a dead service within 10 s; a node that is back is looked at within 3 s."""
    active = bench.ready()
    standby = bench.nodes.peer(active)
    bench.clean = False
    with bench.site.controller():
        time.sleep(_RESTS_SECONDS)
        if name == "node-back":
            bench.power_off(standby)
            time.sleep(_RESTS_SECONDS)
            bench.power_on(standby)
            seconds = _first(bench, time.time(), standby, lambda row: row["kind"] != "PlanChanged")
            goal: float | None = BACK_GOAL
        else:
            fault = FAULTS[name]
            fault.breaks(bench, active, standby)
            seconds = _first(bench, bench.say(f"{name}: broken"), "", _bad)
            fault.mends(bench, active, standby)
            goal = fault.goal
    if seconds is None:
        bench.outcome.must(False, f"not told within {_TOLD_SECONDS:.0f} s")
    else:
        bench.outcome.goal("told", seconds, float("inf") if goal is None else goal)
    bench.mend()
    bench.outcome.must(bench.converge() is not None, "not Ready again by hactl alone")


def _bad(row: dict[str, Any]) -> bool:
    """A condition that is not True any more: False, or Unknown where a node does not answer."""
    return row["kind"] == "ConditionChanged" and row["detail"].get("status") in ("False", "Unknown")


def _first(bench: Bench, since: float, about: str, matches: Callable[[dict[str, Any]], bool]) -> float | None:
    """Seconds until the first row that is about that; None: there is none."""
    found: list[float] = []

    def look() -> bool:
        for row in bench.site.rows(_ROWS):
            at = datetime.fromisoformat(row["at"]).timestamp()
            if not found and at > since and about in row["summary"] and matches(row):
                bench.outcome.details.append(row["summary"])
                found.append(at - since)
        return bool(found)

    return found[0] if bench.comes(look, _TOLD_SECONDS) else None
