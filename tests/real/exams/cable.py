"""Cables of the active node: replication, LAN, both; and the LAN in one direction."""

from __future__ import annotations

import time

from ..outcome.timelines import longest
from .exam import Bench, exam

_AFTER_SECONDS = 20.0
_NETS = {"repl": ("repl",), "lan": ("lan",), "both": ("lan", "repl")}
_ROUNDS = tuple(f"{net}-{seconds}" for net in _NETS for seconds in (10, 40, 120))
#: pf on the active node drops what comes in; carrier stays.
_DEAF = "kldload -n pf; printf 'block in quick on vtnet2\\npass\\n' | pfctl -q -f - && pfctl -q -e"
_HEARING = "pfctl -q -d; pfctl -q -F rules"


@exam("cable", (*_ROUNDS, "lan-from-40", "lan-to-40", "repl-to-40"), "link")
def cable(bench: Bench, name: str) -> None:
    """A cable of the active node is out for a while: nothing is lost, and all is well again when it is back."""
    active = bench.ready()
    net, *way, seconds = name.split("-")
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        _pull(bench, active, net, way)
        fault = bench.say(f"{net} {'-'.join(way)} of {active} is out")
        time.sleep(float(seconds))
        _pull(bench, active, net, way, back=True)
        bench.say(f"{net} is back")
        time.sleep(_AFTER_SECONDS)
        bench.outcome.must(bench.back(load, fault), "the service does not come back")
        bench.measure(load, fault)
        bench.outcome.seconds["longest gap"] = longest(load.seen(), "tcp", fault)
        bench.outcome.details.append(f"served by {bench.served_by()} now, before by {active}")
    bench.judge(load)


def _pull(bench: Bench, name: str, net: str, way: list[str], *, back: bool = False) -> None:
    if way and net == "lan":
        bench.nodes.need("lose")
        bench.nodes.lose(*([] if back else [(way[0], name)]))
    elif way:
        bench.nodes[name].must(_HEARING if back else _DEAF)
        bench.nodes.note(f"{name}: vtnet2 {'hears again' if back else 'is deaf (pf)'}")
    else:
        for each in _NETS[net]:
            bench.nodes.link(name, each, up=back)
