"""Planned moves, there and back."""

from __future__ import annotations

import time

from ..load.writers import Load
from ..nodes.site import seconds_said
from ..outcome.rounds import Verdict, within
from ..outcome.timelines import longest
from .exam import Bench, exam, numbers

AWAY_GOAL, COMMAND_GOAL = 8.0, 20.0


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
    away = longest(load.seen(), "tcp", began)
    worst = bench.outcome.seconds.get
    bench.outcome.goal("service", max(away, worst("service", 0.0)), AWAY_GOAL)
    bench.outcome.goal("command", max(ran.seconds, worst("command", 0.0)), COMMAND_GOAL)
    bench.outcome.predicted = predicted
    if not within(away, predicted):
        bench.outcome.say(Verdict.GOAL_MISSED, f"predicted {predicted} s, took {away:.1f} s")
    time.sleep(2)
