"""Power cuts of one node, of both, and in the middle of an apply."""

from __future__ import annotations

import time

from ..outcome.rounds import within
from .exam import Bench, exam, numbers

SERVICE_GOAL, PREDICTED_LIMIT = 10.0, 0.3
_BOTH_GOAL = 60.0


@exam("power-cut", numbers(20), "power")
def power_cut(bench: Bench, name: str) -> None:
    """The active node's power is cut while a client writes, and no controller runs: the service answers within 10 s."""
    active = bench.ready()
    bench.outcome.predicted = bench.site.predicted_failover()
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        fault = bench.power_off(active)
        bench.outcome.must(bench.back(load, fault), "the service does not come back")
        bench.measure(load, fault)
        bench.outcome.goal("service", bench.outcome.seconds["service"], SERVICE_GOAL)
        bench.phases(bench.nodes.peer(active))
        _predicted_well(bench)
        bench.power_on(active)
        time.sleep(3)
    bench.judge(load)


def _predicted_well(bench: Bench) -> None:
    service = bench.outcome.seconds["service"]
    if not within(service, bench.outcome.predicted):
        bench.outcome.details.append(f"predicted {bench.outcome.predicted} s, took {service:.1f} s")
