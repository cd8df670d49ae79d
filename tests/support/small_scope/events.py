"""The alphabet of the small scope: a pass of the controller, time that goes by, a fault or its mending, an operation.

A pass is whole, dies after its first step, or looks now and acts later. "The controller dies before its first step" is
no event: nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from hactl.core.operations import Overrides
from support.small_scope.play import Event, Scope
from support.small_scope.world import GROUP, LAN, REPLICATION, A, B


def _always(scope: Scope) -> bool:
    del scope
    return True


def _time(seconds: float) -> Event:
    return Event(_always, lambda scope: scope.advance(seconds))


def _power(node: str) -> Event:
    def act(scope: Scope) -> None:
        (scope.world.power_off if scope.machine(node).powered else scope.world.power_on)(node)

    return Event(_always, act)


def _cable(node: str, port: str) -> Event:
    def act(scope: Scope) -> None:
        plugged = scope.machine(node).net.interfaces[port].carrier
        (scope.world.cut if plugged else scope.world.join)(node, port)

    return Event(_always, act)


def _freeze(node: str) -> Event:
    def act(scope: Scope) -> None:
        (scope.world.thaw if scope.machine(node).frozen else scope.world.freeze)(node)

    return Event(lambda scope: scope.machine(node).running or scope.machine(node).frozen, act)


def _hastd(node: str) -> Event:
    def act(scope: Scope) -> None:
        scope.loop.sh(node, "pkill -9 hastd")

    return Event(lambda scope: scope.loop.reaches(node) and scope.machine(node).hast.pid is not None, act)


def _whole(scope: Scope) -> None:
    scope.kept = None
    plan = scope.look()
    if plan.stages:
        scope.carry_out(plan.stages[0])


def _dies(scope: Scope) -> None:
    plan = scope.look()
    if plan.stages:
        scope.carry_out(plan.stages[0], dies=True)


def _look(scope: Scope) -> None:
    scope.kept = scope.look(), scope.now


def _act(scope: Scope) -> None:
    assert scope.kept is not None
    plan, scope.kept = scope.kept[0], None
    scope.carry_out(plan.stages[0])


def _kill_hooks(scope: Scope) -> None:
    for node in (A, B):
        running = {pid for pid, _ in scope.hook_processes(node)}
        for process in list(scope.machine(node).rc.processes.values()):
            if process.pid in running:
                process.kill(9)


def _operation(scope: Scope) -> None:
    """A person asks for the other node, or takes it back."""
    to = B if scope.role(A) == "primary" else A
    scope.loop.overrides = Overrides() if scope.loop.overrides.moves else Overrides(moves={GROUP: to})


#: The alphabet. A toggle is one event: its two halves exclude each other.
EVENTS: dict[str, Event] = {
    "pass": Event(_always, _whole),
    "die": Event(_always, _dies),
    "look": Event(lambda scope: not scope.fresh(), _look),
    "act": Event(lambda scope: scope.fresh(), _act),
    "2s": _time(2.0),
    "6s": _time(6.0),
    "30s": _time(30.0),
    "power-a": _power(A),
    "power-b": _power(B),
    "lan-a": _cable(A, LAN),
    "lan-b": _cable(B, LAN),
    "replication": _cable(A, REPLICATION),
    "freeze-a": _freeze(A),
    "hooks": Event(lambda scope: any(scope.hook_processes(n) for n in (A, B)), _kill_hooks),
    "hastd-a": _hastd(A),
    "hastd-b": _hastd(B),
    "operation": Event(_always, _operation),
}
#: Without a plan that is kept and without a hook at work these cannot come first.
NEVER_FIRST = frozenset({"act", "hooks"})


def play(scope: Scope, events: Sequence[str]) -> None:
    """One after the other. Raises Broken or AssertionError."""
    for event in events:
        scope.do(EVENTS[event])
