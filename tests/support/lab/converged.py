"""A convergence done again on a fresh world without looking: the same world, steps and seconds give the same end.

Looking costs most of a simulated convergence; where only its end, or a part of it, is wanted, this is the shorter way.
"""

from __future__ import annotations

from hactl.core.steps import Stage
from support.lab.closed_loop import Loop, example

#: What a pass did: the stage it carried out, or the seconds it waited.
Passes = list[Stage | float]

CONVERGENCES: dict[str, Passes] = {}


def do(loop: Loop, passes: Passes, pause_seconds: float = 0.05) -> None:
    """Carry out what was recorded."""
    for each in passes:
        if isinstance(each, Stage):
            loop.stage(each)
            loop.world.advance(pause_seconds)
        else:
            loop.world.advance(each)


def converged(name: str) -> Loop:
    """A lab of that example whose nodes are as the document says."""
    loop = Loop(example(name))
    if name in CONVERGENCES:
        do(loop, CONVERGENCES[name])
        # Steps that name a pid of the world they were planned in do nothing here: what they leave is done anew.
        loop.results.clear()
        loop.converge()
        return loop
    passes: Passes = []
    for _ in range(60):
        plan = loop.plan()
        if not plan.stages and not any(hold.passing for hold in plan.holds):
            CONVERGENCES[name] = passes
            # Looking leaves traces (pids, for one): every caller gets the same world, the first one too.
            return converged(name)
        passes.append(plan.stages[0] if plan.stages else 1.0)
        do(loop, passes[-1:])
    raise AssertionError(f"not converged: {loop.plan()}")
