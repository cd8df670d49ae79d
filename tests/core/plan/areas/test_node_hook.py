"""What the planner does for the node hook: its files, devd, the notes it promotes by, and the boot hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hactl.core.facts import DevdRule
from hactl.core.hook.render import DEVD_RULE
from support.facts.builder import Scene, healthy_pair, nas_cluster
from support.facts.planned import first, holds, looks, plan_of

Tweak = Callable[[Scene], Scene]


def test_a_new_hook_is_written_to_the_standby_first() -> None:
    """Then devd there reads the rule; the node that serves comes last (I5)."""
    scene = healthy_pair().hook("nas-a", files={}, devd_loaded="").hook("nas-b", files={}, devd_loaded="")
    stage = plan_of(scene).stages[0]
    assert stage.ordered
    verbs = [(step.node, step.verb) for step in stage.steps]
    assert verbs == [(n, v) for n in ("nas-b", "nas-a") for v in (*["WriteHook"] * 4, "RestartDevd")]


@pytest.mark.parametrize("loaded", ["", "0" * 64])
def test_devd_is_told_of_a_rule_that_it_does_not_have(loaded: str) -> None:
    """Never told, or told of an older one."""
    assert [str(step.key) for step in plan_of(healthy_pair().hook("nas-b", devd_loaded=loaded)).steps] == [
        "nas-b RestartDevd devd"
    ]


@pytest.mark.parametrize(("only", "waits"), [((), False), (("80@vtnet1 MASTER",), True)])
def test_a_rule_for_some_events_is_not_answered_by_notify(only: tuple[str, ...], waits: bool) -> None:
    """spec.carp.notify would call its program for all of them: one that only promotes would hear BACKUP too."""
    rule = DevdRule("/etc/devd/own.conf", 3, 30, "/usr/local/bin/own $subsystem $type", only)
    scene = healthy_pair().hook("nas-a", files={}, devd_loaded="").hook("nas-b", files={}, devd_loaded="")
    scene = scene.hook("nas-a", disarmed=(rule,)).wants(nas_cluster({"spec.carp": {"notify": ["/usr/local/bin/own"]}}))
    told = [hold for hold in plan_of(scene).holds if hold.target == "/etc/devd/own.conf"]
    assert bool(told) is waits
    for hold in told:
        assert "(only 80@vtnet1 MASTER)" in hold.message
        assert "carp.notify: [" not in hold.remedy


def test_a_rule_that_was_gone_is_read_again() -> None:
    """Somebody may have restarted devd while it was gone: the note of an earlier restart is taken away with it."""
    scene = healthy_pair()
    files = {path: entry for path, entry in scene.known("nas-b", "hook").files.items() if path != DEVD_RULE}
    write, restart = plan_of(scene.hook("nas-b", files=files)).steps
    assert [str(step.key) for step in (write, restart)] == [f"nas-b WriteHook {DEVD_RULE}", "nas-b RestartDevd devd"]
    assert "rm -f /var/run/hactl.devd || exit 1\n" in write.command


def test_a_devd_that_does_not_run_is_started() -> None:
    """Nothing on the node could call the hook."""
    (step,) = plan_of(healthy_pair().node("nas-b", devd=False)).steps
    assert (str(step.key), step.why) == ("nas-b RestartDevd devd", "it does not run")


@pytest.mark.parametrize("node", ["nas-a", "nas-b"])
def test_no_copy_is_confirmed_while_the_wire_is_cut(node: str) -> None:
    """Whatever the primary says of it (docs/freebsd-facts.md#7.14)."""
    scene = healthy_pair().hook("nas-b", confirmed={}).interface(node, "vtnet2", status="no carrier")
    assert not plan_of(scene).steps


def test_a_complete_copy_is_noted_while_its_connection_stands() -> None:
    """Also when it was noted before and disconnected since; the node looks for the same worker again."""
    for notes in ({"confirmed": {}}, {"disconnected": {"data": 1700000000}}):
        (step,) = plan_of(healthy_pair().hook("nas-b", **notes)).steps
        assert str(step.key) == "nas-b ConfirmCopy data"
        assert looks(step)[:2] == ["data is secondary here", "the worker of data is still 1519"]


@pytest.mark.parametrize(
    "tweak",
    [
        lambda s: s.resource("nas-a", dirty=4096),
        lambda s: s.resource("nas-a", status="degraded"),
        lambda s: s.resource("nas-a", local_errors=1),
        lambda s: s.resource("nas-b", workerpid=None),
        lambda s: s.unknown("nas-a", "resources"),
    ],
    ids=["dirty", "not connected", "errors", "no worker", "primary does not tell"],
)
def test_a_copy_that_may_be_incomplete_is_not_noted(tweak: Tweak) -> None:
    """The hook would promote it (I4)."""
    plan = plan_of(tweak(healthy_pair().hook("nas-b", confirmed={})))
    assert not [str(step.key) for step in plan.steps if step.verb == "ConfirmCopy"]


def _held(scene: Scene, node: str) -> Scene:
    """The node was rebooted: the guard added 240."""
    return scene.hook(node, held=240).sysctl(node, demotion=240).node(node, demotions=((240, 240, "sysctl"),))


def test_the_boot_hold_is_lifted_where_the_node_could_serve() -> None:
    """Exactly what is held, once, and never as drift."""
    (step,) = plan_of(_held(healthy_pair(), "nas-b")).steps
    assert str(step.key) == "nas-b LiftHold net.inet.carp.demotion"
    assert step.command.endswith("sysctl net.inet.carp.demotion=-240")
    assert looks(step)[:2] == ["/var/run/hactl.held says 240", "net.inet.carp.demotion is at least 240"]


def test_beside_the_boot_hold_only_what_came_by_hand_is_taken_back() -> None:
    """240 are the guard's, 100 somebody's."""
    log = ((240, 240, "sysctl"), (100, 340, "sysctl"))
    scene = _held(healthy_pair(), "nas-b").sysctl("nas-b", demotion=340).node("nas-b", demotions=log)
    assert plan_of(scene).stages[0].steps[0].command == "sysctl net.inet.carp.demotion=-100"


@pytest.mark.parametrize(
    ("tweak", "node", "phrase"),
    [
        (lambda s: s.hook("nas-b", confirmed={}).resource("nas-a", dirty=4096), "nas-b", "not known to be complete"),
        (
            lambda s: s.unknown("nas-a", "resources").unknown("nas-a", "hast_devices", "mounts"),
            "nas-b",
            "nobody is known",
        ),
        (
            lambda s: s.unmounted("nas-a").hast_device("nas-a", blank=None).service("nas-a", running=False),
            "nas-a",
            "is not ready on it",
        ),
    ],
    ids=["copy not complete", "nobody known to serve", "filesystem not there"],
)
def test_the_boot_hold_stays_where_the_node_could_not_serve(tweak: Tweak, node: str, phrase: str) -> None:
    """It says what it waits for, and the address does not come (I4, I6)."""
    plan = plan_of(tweak(_held(healthy_pair(), node)))
    assert not [str(step.key) for step in first(plan) if step.verb == "LiftHold"]
    held = holds(plan, "HeldAtBoot")
    assert held
    assert phrase in held[0].message
