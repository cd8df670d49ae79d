"""Stages that go together: what a node brings about one after the other needs no look in between.

Rules: a look between two stages is there for what only a look can tell. It is left out where every later step is on the
node of the earlier ones, destroys nothing, and has its conditions tested by that node just before it; an address that
the other node gives away comes after the step that took it, and only when that is Done. What is on a device that is not
there yet is taken for granted only where a complete copy of it is noted. Between letting go and taking over there is
always a look: nobody becomes primary but on the other's word (I1). The audit judges what was joined as one stage.
"""

from __future__ import annotations

from collections.abc import Sequence

from hactl.core.changes.carp import SetVhid
from hactl.core.facts import CarpState, known
from hactl.core.parse.question import DECIDING, WHOLE, NextLook, Part
from hactl.core.plan.scene import Scene
from hactl.core.steps import Stage, Step
from hactl.core.verbs import VERBS, Verb

TAKE_OVER = "Take over: all that the group needs, on one node"
#: What the node that is to take a group over waits for.
_BETWEEN = frozenset({Part.STORAGE, Part.NOTES})
AFTERWARDS = "Notes of the nodes, and what their next start does"


def joined(scene: Scene, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages, with those that go together as one. `scene`: what was seen before the first of them."""
    found: list[Stage] = []
    for stage in stages:
        if found and _takes_over(scene, found[-1], stage):
            found[-1] = Stage(TAKE_OVER, (*found[-1].steps, *stage.steps), ordered=True)
        elif found and _only_writes_down(found[-1]) and _only_writes_down(stage):
            found[-1] = Stage(AFTERWARDS, (*found[-1].steps, *stage.steps))
        else:
            found.append(stage)
    return tuple(found)


def next_look(stage: Stage) -> NextLook:
    """The look after a stage when every step of it is Done.

    Where a node let go of a group the other waits for one word: that it did, and that nothing came in between. Nobody
    serves meanwhile, and services are slow to ask: each answers in half a second. Where one took over notes are to be
    written yet, and a look at everything follows: what only explains can wait for that.
    """
    if stage.title == TAKE_OVER:
        return NextLook(DECIDING)
    verbs = {step.verb for step in stage.steps}
    letting_go = {verb for verb in verbs if VERBS[verb].lets_go}
    if not verbs <= letting_go | {Verb.SET_ROLE, Verb.SET_VHID} or (not letting_go and Verb.SET_VHID in verbs):
        return WHOLE
    # An address is let go of with the rest, never by itself.
    addresses = {Part.CARP} if Verb.SET_VHID in verbs else frozenset()
    stops = [step for step in stage.steps if step.verb == Verb.STOP_SERVICE]
    stopped = {node: frozenset(s.target for s in stops if s.node == node) for node in {step.node for step in stops}}
    return NextLook(_BETWEEN | addresses, stopped)


def _takes_over(scene: Scene, before: Stage, after: Stage) -> bool:
    """Whether both are parts of one node's taking over."""
    steps = (*before.steps, *after.steps)
    if any(VERBS[step.verb].lets_go or not (VERBS[step.verb].moves and step.joins) for step in steps):
        return False
    if not all(_knows_device(scene, step) for step in before.steps):
        return False
    if not all(_may_claim(scene, step) for step in after.steps):
        return False
    node = before.steps[0].node
    rest = [step for step in steps if step.node != node]
    return after.steps[0].node == node and all(step in after.steps and _gives_way(step) for step in rest)


def _knows_device(scene: Scene, step: Step) -> bool:
    """Whether it is no new device: a blank one would get its filesystem first, which only a look can tell."""
    hook = scene.view.hook(step.node)
    return step.verb != Verb.SET_ROLE or (hook is not None and step.target in hook.confirmed)


def _may_claim(scene: Scene, step: Step) -> bool:
    """Whether a vhid that is told to be MASTER is BACKUP now; that it will have left INIT by then only a look tells."""
    change, facts = step.change, scene.view.facts[step.node]
    if not isinstance(change, SetVhid) or not change.master:
        return True
    interface = (known(facts.interfaces) or {}).get(change.interface)
    vhid = interface.vhid(change.vhid) if interface is not None else None
    return vhid is not None and vhid.state is CarpState.BACKUP and scene.view.sysctl(step.node, "demotion") == 0


def _gives_way(step: Step) -> bool:
    return step.verb == Verb.SET_VHID


def _only_writes_down(stage: Stage) -> bool:
    """Whether it changes nothing of what is served: notes, and files for the next boot."""
    return not stage.ordered and all(VERBS[step.verb].note or VERBS[step.verb].boot_only for step in stage.steps)
