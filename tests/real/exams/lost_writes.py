"""Faults at random moments, one after the other: no acknowledged write is ever lost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from .exam import Bench, exam, numbers

KINDS = ("power-active", "power-standby", "power-both", "freeze-active", "freeze-standby", "lan", "repl", "both")
_LONGEST_SECONDS = 60.0
_AFTER_SECONDS = 15.0


@dataclass(frozen=True)
class Fault:
    """What happens in a round."""

    kind: str
    #: Of cables: which node.
    active: bool
    wait: float
    lasts: float
    controller: bool

    def words(self) -> str:
        """For the timeline."""
        whose = "active" if self.active else "standby"
        return f"{self.kind} ({whose}) after {self.wait:.1f} s for {self.lasts:.1f} s, controller {self.controller}"


def drawn(chance: Random) -> Fault:
    """One fault."""
    kind = chance.choice(KINDS)
    active = chance.random() < 0.5
    return Fault(kind, active, chance.uniform(0.5, 8), chance.uniform(2, _LONGEST_SECONDS), chance.random() < 0.5)


@exam("lost-writes", numbers(60), "power", "freeze", "link")
def lost_writes(bench: Bench, name: str) -> None:
    """Seeded random power cuts, freezes and cut cables: 0 lost, 0 torn, never two that both acknowledge."""
    active = bench.ready()
    fault = drawn(bench.chance)
    bench.say(fault.words())
    bench.outcome.details.append(fault.words())
    with bench.site.controller(wanted=fault.controller):
        with bench.load() as load:
            time.sleep(fault.wait)
            _break(bench, fault, active)
            time.sleep(_AFTER_SECONDS)
        bench.judge(load, resolve=active)


def _break(bench: Bench, fault: Fault, active: str) -> None:
    standby = bench.nodes.peer(active)
    what, _, who = fault.kind.partition("-")
    names = {"active": (active,), "standby": (standby,), "both": (active, standby)}.get(who, ())
    match what:
        case "power":
            bench.power_off(*names)
            time.sleep(fault.lasts)
            bench.power_on(*names)
        case "freeze":
            bench.nodes.freeze(*names)
            time.sleep(fault.lasts)
            bench.nodes.freeze(*names, thaw=True)
        case net:
            name = active if fault.active else standby
            nets = ("lan", "repl") if net == "both" else (net,)
            for each in nets:
                bench.nodes.link(name, each, up=False)
            time.sleep(fault.lasts)
            for each in nets:
                bench.nodes.link(name, each, up=True)
