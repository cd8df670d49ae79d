"""Die everywhere: each step of a convergence is lost on its way back, or never sent; the loop still converges safely.

Lost: the node carried it out and nobody heard. Unsent: the controller died between the intent and the node. Both are
what `kill -9` at that moment leaves behind; the next look has to find its way (docs/safety.md#failure-of-parts).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import pytest

from hactl.core.steps import Stage
from hactl.simulate.serving import primaries
from support.lab.closed_loop import Fate, Loop, example
from support.lab.converged import Passes, converged, do
from support.lab.serving import complaints

#: Between two looks.
PAUSE_SECONDS = 0.5


def blank() -> Loop:
    """Two fresh machines."""
    return Loop(example("nas"))


def rebooted() -> Loop:
    """A converged pair after both nodes lost power."""
    loop = converged("nas")
    for node in ("nas-a", "nas-b"):
        loop.world.power_off(node)
    for node in ("nas-a", "nas-b"):
        loop.world.power_on(node)
    loop.world.advance(60.0)
    return loop


def changed() -> Loop:
    """A converged pair whose document changed in three ways."""
    loop = converged("nas")

    def edit(data: dict[str, object]) -> None:
        group = data["spec"]["groups"][0]  # type: ignore[index]
        group["virtualIPs"][0]["addresses"] = ["192.0.2.80/24", "192.0.2.81/24"]
        group["storage"][0]["filesystem"]["ufs"]["mountpoint"] = "/srv"
        group["storage"][0]["hast"]["timeoutSeconds"] = 10

    loop.document, loop.generation = example("nas", edit), 2
    return loop


def firewall() -> Loop:
    """A fresh firewall pair."""
    return Loop(example("firewall"))


WORLDS: dict[str, Callable[[], Loop]] = {"blank": blank, "rebooted": rebooted, "changed": changed, "firewall": firewall}


def safe(loop: Loop) -> None:
    """I1: never two primaries."""
    for group in loop.document.spec.groups:
        for storage in group.storage:
            assert len(primaries(loop, storage.name)) <= 1


def converge_with(loop: Loop, cut: int, fate: Fate, known: Passes | None = None) -> Passes:
    """Converge; step number `cut` meets its fate (-1: none does). Returns what each pass did.

    `known`: the passes of the same convergence without a cut. Those before the cut are done again without looking.
    """
    tried = 0
    passes: Passes = []
    for each in known or []:
        size = len(each.steps) if isinstance(each, Stage) else 0
        if tried + size > cut:
            break
        do(loop, [each], PAUSE_SECONDS)
        tried += size
    for _ in range(80):
        plan = loop.plan()
        safe(loop)
        if not plan.stages:
            if not any(hold.passing for hold in plan.holds):
                return passes
            passes.append(1.0)
            loop.world.advance(1.0)
            continue
        stage = plan.stages[0]
        passes.append(stage)
        fates: dict[int, Fate] = {cut - tried: fate} if 0 <= cut - tried < len(stage.steps) else {}
        before = len(loop.executed)
        loop.stage(stage, fates)
        tried += len(loop.executed) - before
        loop.world.advance(PAUSE_SECONDS)
    raise AssertionError(f"not converged: {loop.plan()}")


@cache
def uncut(name: str) -> Passes:
    """That convergence when nothing goes wrong."""
    return converge_with(WORLDS[name](), -1, "ok")


def cuts(name: str, fate: Fate, count: int) -> range:
    """Where to cut: everywhere when HACTL_SEEDS is set; else everywhere in the main job, elsewhere at each third."""
    everywhere = "HACTL_SEEDS" in os.environ or (name, fate) == ("blank", "lost")
    return range(0, count, 1 if everywhere else 3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fate", ["lost", "unsent"])
@pytest.mark.parametrize("name", sorted(WORLDS))
def test_a_cut_at_any_step_is_only_an_early_look(name: str, fate: Fate) -> None:
    """It converges to the same, without a second primary on the way, and destroys nothing twice (I3)."""
    known = uncut(name)
    count = sum(len(each.steps) for each in known if isinstance(each, Stage))
    assert count > 0
    for cut in cuts(name, fate, count):
        loop = WORLDS[name]()
        converge_with(loop, cut, fate, known)
        loop.world.advance(10.0)
        assert complaints(loop) == [], f"cut at step {cut}"
        if fate == "lost":
            ran = [command for command in loop.executed if "hastctl create" in command or "newfs" in command]
            assert len(ran) == len(set(ran)), f"cut at step {cut}: {ran}"


def test_a_converged_pair_has_no_step_for_a_simulated_day() -> None:
    """An unchanged pass has no step (I7), at any time of the day."""
    loop = converged("nas")
    for _ in range(24):
        loop.world.advance(3600.0)
        plan = loop.plan()
        assert plan.stages == ()
        assert plan.holds == ()
    assert not [result for result in loop.results if result.outcome != "Done"]
