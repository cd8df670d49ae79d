"""The audit on the node hook: what it may be told, and what a node gives up only in exchange for something."""

from __future__ import annotations

from dataclasses import replace

from hactl.core.audit.check import audit
from hactl.core.facts import HastRole
from hactl.core.plan import make_plan
from hactl.core.steps import Check, Plan, Risk, Stage, Step
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import Scene, healthy_pair


def planned(scene: Scene, verb: str) -> Step:
    """The first step of that verb that the planner would take."""
    plan = make_plan(scene.cluster, scene.snapshot, scene.now)
    return next(step for step in plan.steps if step.verb == verb)


def test_i4_a_copy_is_called_complete_only_on_its_primarys_fresh_word() -> None:
    """Connected, nothing dirty, said a short while ago, and while the same connection stands."""
    new = healthy_pair().hook("nas-b", confirmed={})
    confirm = planned(new, "ConfirmCopy")
    assert not complaints(new, [confirm])
    both = "does not say that everything of data is on both disks"
    assert says(complaints(new.resource("nas-a", status="degraded"), [confirm]), "I4", both)
    assert says(complaints(new.resource("nas-a", dirty=4096), [confirm]), "I4", both)
    assert says(complaints(new.unknown("nas-a", "resources"), [confirm]), "I4", "no other node is known to be primary")
    assert says(complaints(new.aged(40, "nas-a"), [confirm]), "I6", "nas-a is 42 s old")
    assert says(complaints(new, [replace(confirm, before=confirm.before[:1])]), "I4", "connection")
    assert says(complaints(new.resource("nas-b", role=HastRole.INIT), [confirm]), "I4", "not known to be secondary")


def test_i4_the_boot_hold_is_lifted_only_where_the_node_could_serve() -> None:
    """Its copy is known to be complete; exactly what is held is taken back."""
    log = ((240, 240, "sysctl"),)
    held = healthy_pair().hook("nas-b", held=240).sysctl("nas-b", demotion=240).node("nas-b", demotions=log)
    lift = planned(held, "LiftHold")
    assert not complaints(held, [lift])
    assert says(complaints(held.hook("nas-b", confirmed={}), [lift]), "I4", "lifts the boot hold")
    for number in (120, 480, 0):
        assert says(complaints(held.hook("nas-b", held=number), [lift]), f"held is {number}")
    for command in (
        "rm -f /var/run/hactl.held && sysctl net.inet.carp.demotion=-240",
        "rm -f /var/run/hactl.held && sysctl net.inet.carp.allow=0 && sysctl net.inet.carp.demotion=-240",
        "rm -f /var/run/hactl.held && sysctl net.inet.carp.allow=1 && sysctl net.inet.carp.demotion=-240 && "
        "sysctl net.inet.carp.demotion=-240",
    ):
        assert says(complaints(held, [replace(lift, command=command)]), "held is 240")


def let_go(scene: Scene, given_up: Step, goal: str = "nas-b") -> tuple[str, ...]:
    """What the audit says when nas-a gives its resource up for that node."""
    plan = Plan(
        scene.cluster.name,
        scene.cluster.generation,
        (Stage("let go", (given_up,), ordered=True),),
        active={"files": "nas-a"},
        goals={"files": goal},
    )
    return audit(scene.cluster, scene.snapshot, plan, scene.now)


def test_i5_a_group_is_given_up_only_for_a_node_that_can_take_it() -> None:
    """It is to be elsewhere, the other copy is complete and in use by a node that answers, and the node looks again."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    demote = step("nas-a", "SetRole", "hastctl role secondary data", target="data", risk=Risk.OUTAGE)
    assert not let_go(scene, demote)
    assert says(let_go(scene, demote, goal="nas-a"), "I5", "is not to be elsewhere")
    assert says(let_go(scene.resource("nas-a", status="degraded"), demote), "I4", "the other copy is not complete")
    assert says(let_go(scene.silent("nas-b"), demote), "I5", "nas-b does not answer")
    assert says(let_go(scene.resource("nas-b", role=HastRole.INIT), demote), "I5", "nas-b is not secondary")
    assert says(let_go(scene.aged(40, "nas-b"), demote), "I6", "nas-b is 42 s old")
    blind = replace(demote, before=(Check("it is so", "test -e /etc/rc.conf"),))
    assert says(let_go(scene, blind), "I4", "without making sure")


def test_i10_a_hook_file_is_one_of_ours_and_says_what_the_document_makes_it() -> None:
    """WriteHook writes the whole text to its own file and nothing else."""
    new = healthy_pair().hook("nas-b", files={}, devd_loaded="")
    write = planned(new, "WriteHook")
    assert not complaints(new, [write])
    assert says(complaints(new, [replace(write, target="/etc/rc.conf")]), "I10", "is no file of the node hook")
    other = replace(write, command=write.command.replace("# Written by hactl", "# Written by eve", 1))
    assert other != write
    assert says(complaints(new, [other]), "does not write what the document makes of")
