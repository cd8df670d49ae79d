"""A node that is frozen and wakes."""

from __future__ import annotations

import time

from ..outcome.timelines import longest
from .exam import Bench, exam

#: As fast as one record follows the other.
_NO_PAUSE = 0.0
_AFTER_SECONDS = 30.0
_SECONDS = ("5", "30", "75")


@exam("freeze", (*_SECONDS, *(f"{seconds}-controller" for seconds in _SECONDS), "75-idle"), "freeze")
def freeze(bench: Bench, name: str) -> None:
    """The active node is frozen and thawed: it lets go at once, and nothing that was acknowledged elsewhere is lost."""
    active = bench.ready()
    seconds, _, how = name.partition("-")
    idle = how == "idle"
    with bench.site.controller(wanted=how == "controller"):
        with bench.load(None if idle else _NO_PAUSE) as load:
            time.sleep(bench.chance.uniform(1, 6))
            bench.nodes.freeze(active)
            fault = bench.say(f"{active} is frozen")
            time.sleep(float(seconds))
            bench.nodes.freeze(active, thaw=True)
            woken = bench.say(f"{active} wakes")
            time.sleep(_AFTER_SECONDS)
            bench.outcome.must(bench.back(load, fault), "the service does not come back")
            bench.measure(load, fault)
            bench.outcome.seconds["longest gap"] = longest(load.seen(), "tcp", fault)
            late = [ack for ack in load.all_acks() if ack.node == active and ack.acked > woken]
            bench.outcome.details.append(f"{len(late)} records acknowledged by {active} after it woke")
        bench.judge(load, resolve="" if idle else active)
