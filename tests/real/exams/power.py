"""Power cuts of one node and of both; no controller runs."""

from __future__ import annotations

import time

from ..load.writers import Load
from ..nodes.node import NotHere
from ..outcome.rounds import within
from ..outcome.timelines import away
from .exam import Bench, exam, numbers

SERVICE_GOAL = 10.0
#: From the second sshd on, when both were off.
BOTH_GOAL = 60.0
_LATER_SECONDS = 60.0
#: How long nobody must serve who has not the last data.
_ALONE_SECONDS = 120.0
_SOLO_START = 30


@exam("power-cut", numbers(20), "power")
def power_cut(bench: Bench, name: str) -> None:
    """The active node's power is cut while a client writes, and no controller runs: the service answers within 10 s."""
    active = bench.ready()
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        cut_and_measure(bench, load, active, SERVICE_GOAL)
        bench.power_on(active)
        time.sleep(3)
    bench.judge(load)


def cut_and_measure(bench: Bench, load: Load, active: str, goal: float) -> None:
    """The cut, until the other node serves."""
    bench.outcome.predicted = bench.site.predicted_failover()
    fault = bench.power_off(active)
    bench.outcome.must(bench.back(load, fault), "the service does not come back")
    bench.measure(load, fault)
    service = bench.outcome.seconds["service"]
    bench.outcome.goal("service", service, goal)
    bench.phases(bench.nodes.peer(active))
    if not within(service, bench.outcome.predicted):
        bench.outcome.details.append(f"predicted {bench.outcome.predicted} s, took {service:.1f} s")


@exam(
    "power-cut-both",
    ("at-once", "active-later", "standby-later", "only-standby", "only-active", "only-active-solo"),
    "power",
)
def power_cut_both(bench: Bench, name: str) -> None:
    """Both nodes lose power while they serve: who serves when they come back, after how long, with what data."""
    active = bench.ready()
    standby = bench.nodes.peer(active)
    if name == "only-active-solo":
        _let_it_start_alone(bench)
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        fault = bench.power_off(active, standby)
        time.sleep(2)
        match name:
            case "at-once":
                bench.power_on(active, standby)
            case "active-later" | "standby-later":
                first, second = (standby, active) if name == "active-later" else (active, standby)
                bench.power_on(first)
                time.sleep(_LATER_SECONDS)
                bench.outcome.must(not _answers(load, fault), f"{first} alone answered: it may not be the last")
                bench.power_on(second)
            case "only-active-solo":
                bench.power_on(active)
            case only:
                _alone(bench, load, fault, active if only == "only-active" else standby)
                bench.power_on(standby if only == "only-active" else active)
        both = bench.say("the last one to come answers")
        came = bench.back(load, fault)
        bench.outcome.must(came, "nobody serves by himself")
        if came:
            bench.outcome.seconds["address"] = away(load.seen(), "ping", fault) - (both - fault)
            bench.outcome.goal("service", away(load.seen(), "tcp", fault) - (both - fault), BOTH_GOAL)
            bench.outcome.details.append(f"served by {bench.served_by()}, before by {active}")
    bench.judge(load)
    if name == "only-active-solo":
        bench.clean = False


def _answers(load: Load, since: float) -> bool:
    """Anything answered a ping or a connection after both were off."""
    return any(event["t"] > since + 1 and event.get("what") == "back" for event in load.seen())


def _alone(bench: Bench, load: Load, fault: float, only: str) -> None:
    """One node comes back without the other: it waits, and its address does not answer without the service."""
    bench.power_on(only)
    time.sleep(_ALONE_SECONDS)
    bench.outcome.must(not _answers(load, fault), f"{only} alone answers, and the document does not let it start alone")


def _let_it_start_alone(bench: Bench) -> None:
    """The field soloStart of the document, where it has one."""
    if bench.site.hactl("explain", "HACluster.spec.failover.soloStart").exit:
        raise NotHere("the document cannot say soloStart")
    document = {**bench.document, "spec": {**bench.document["spec"], "failover": {"soloStart": _SOLO_START}}}
    bench.site.write(document)
    bench.outcome.must(bench.converge() is not None, "not Ready with soloStart")
