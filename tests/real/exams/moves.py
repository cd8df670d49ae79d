"""Planned moves, there and back, and reboots in order; no controller runs."""

from __future__ import annotations

import time
from functools import partial

from ..load.writers import Load
from ..nodes.site import seconds_said
from ..outcome.rounds import Verdict, within
from ..outcome.timelines import away, longest
from .exam import BOOT_SECONDS, Bench, exam, numbers

AWAY_GOAL, COMMAND_GOAL = 8.0, 20.0
RELEASE_GOAL, BOTH_GOAL = 8.0, 60.0
_BOOT = "sysctl -n kern.boottime"


@exam("switchover", numbers(10))
def switchover(bench: Bench, name: str) -> None:
    """There and back under load: service away at most 8 s, command at most 20 s, no ping lost, as predicted."""
    active = bench.ready()
    with bench.load() as load:
        for target in (bench.nodes.peer(active), active):
            _move(bench, load, target)
    pings = next((event for event in load.seen() if event["kind"] == "ping" and event["what"] == "end"), None)
    if pings is None or pings["sent"] != pings["answered"]:
        lost = pings["sent"] - pings["answered"] if pings else "?"
        bench.outcome.say(Verdict.GOAL_MISSED, f"{lost} pings lost")
    bench.judge(load)


def _move(bench: Bench, load: Load, target: str) -> None:
    dry = bench.site.hactl("switchover", bench.site.name, "--to", target, "--dry-run")
    predicted = seconds_said(dry.out)
    began = bench.say(f"hactl switchover --to {target}, {predicted} s predicted")
    ran = bench.site.hactl("switchover", bench.site.name, "--to", target, "--yes")
    bench.say(f"it took {ran.seconds:.1f} s, exit {ran.exit}")
    bench.outcome.must(ran.exit == 0, f"hactl switchover: exit {ran.exit}: {ran.out.strip().splitlines()[-1:]}")
    bench.outcome.must(bench.back(load, began, 60), "the service does not come back")
    gone = longest(load.seen(), "tcp", began)
    worst = bench.outcome.seconds.get
    bench.outcome.goal("service", max(gone, worst("service", 0.0)), AWAY_GOAL)
    bench.outcome.goal("command", max(ran.seconds, worst("command", 0.0)), COMMAND_GOAL)
    bench.outcome.predicted = predicted
    if not within(gone, predicted):
        bench.outcome.say(Verdict.GOAL_MISSED, f"predicted {predicted} s, took {gone:.1f} s")
    time.sleep(2)


@exam("reboot", ("active", "active-drained", "standby", "both"))
def reboot(bench: Bench, name: str) -> None:
    """A node reboots: the service is away for at most 8 s, not at all when the standby does."""
    active = bench.ready()
    standby = bench.nodes.peer(active)
    names = {"standby": (standby,), "both": (active, standby)}.get(name, (active,))
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        if name == "active-drained":
            drained = bench.site.hactl("drain", active, "--yes")
            bench.outcome.must(drained.exit == 0, f"hactl drain: exit {drained.exit}")
            bench.outcome.seconds["drain"] = drained.seconds
        fault = bench.say(f"reboot of {', '.join(names)}")
        boots = {each: bench.nodes[each].must(_BOOT) for each in names}
        for each in names:
            bench.nodes[each].run("shutdown -r now >/dev/null 2>&1 &")
        _wait_for_boot(bench, load, fault, boots)
    if name == "active-drained":
        bench.site.hactl("uncordon", active)
    bench.judge(load)


def _wait_for_boot(bench: Bench, load: Load, fault: float, boots: dict[str, str]) -> None:
    for each, before in boots.items():
        bench.wait(partial(_booted, bench, each, before), BOOT_SECONDS, f"{each} boots")
    both = time.time()
    bench.outcome.must(bench.back(load, fault), "the service does not come back")
    if len(boots) == 2:
        gone = away(load.seen(), "tcp", fault) - (both - fault)
        bench.outcome.goal("service", gone, BOTH_GOAL)
        return
    bench.outcome.seconds["address"] = longest(load.seen(), "ping", fault)
    bench.outcome.goal("service", longest(load.seen(), "tcp", fault), RELEASE_GOAL)


def _booted(bench: Bench, name: str, before: str) -> bool:
    ran = bench.nodes[name].run(_BOOT)
    return ran.exit == 0 and ran.out != before
