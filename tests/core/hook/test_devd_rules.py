"""Rules of an administrator that devd prefers to the node hook's: what they do, and that hactl sees and says it.

devd runs one rule per event, the matching one of the highest priority (devd.conf(5); sbin/devd/devd.cc).
"""

from __future__ import annotations

import pytest

from hactl.core.evidence.view import View
from hactl.core.facts import DevdRule, Known, Snapshot, Unknown
from hactl.core.hook.devd_rules import rules_before
from hactl.core.hook.render import DEVD_RULE, hook_files
from hactl.core.parse.hook import RULES_LIMIT, parse_rules
from hactl.core.status.failover import Failover, failover_ready
from hactl.core.steps import Plan
from hactl.core.why.ask import explain
from support.facts.builder import NOW
from support.facts.hooked_scene import hook, hooked_pair, plan_of
from support.lab.closed_loop import Loop
from support.lab.hook_pair import A, B, HookPair

VHIDS = ("80@vtnet1", "7@em0.100")
CALLS = "/usr/local/libexec/hactl/hook carp $subsystem $type"
PATH = "/usr/local/etc/devd/admin.conf"


def rule(priority: int, *statements: str, action: str = "true") -> str:
    """A rule of devd.conf(5)."""
    return f'notify {priority} {{\n{"".join(f"{each};" for each in statements)}\naction "{action}";\n}};\n'


CARP = 'match "system" "CARP"'
#: name -> (text of a file, whether devd would run a rule of it instead of ours).
RULES = {
    "higher": (rule(200, CARP), True),
    "the same": (rule(100, CARP), True),
    "carp(4)'s example": (rule(30, CARP, 'match "type" "MASTER"'), False),
    "just below": (rule(99, CARP), False),
    "any system": (rule(200), True),
    "no rule for CARP": (rule(200, 'match "system" "USB"'), False),
    "all but USB": (rule(200, 'match "system" "!USB"'), True),
    "all but CARP": (rule(200, 'match "system" "!CARP"'), False),
    "case does not matter": (rule(200, 'match "system" "carp"'), True),
    "one of two systems": (rule(200, 'match "system" "(GEOM|CARP)"'), True),
    "a vhid of ours": (rule(200, CARP, 'match "subsystem" "80@.*"'), True),
    "a vhid of another cluster": (rule(200, CARP, 'match "subsystem" "8@vtnet1"'), False),
    "a dot is in no class of carp(4)'s expression": (rule(200, CARP, 'match "subsystem" "7@[0-9a-z]+"'), False),
    "a class": (rule(200, CARP, 'match "subsystem" "[[:digit:]]+@em0[.]100"'), True),
    "one state": (rule(200, CARP, 'match "type" "INIT"'), True),
    "no state of CARP": (rule(200, CARP, 'match "type" "LINK_UP"'), False),
    "devices have names": (rule(200, 'device-name "em0"'), False),
    "interfaces have media": (rule(200, 'media-type "ethernet"'), False),
    "a variable nobody can look up": (rule(200, CARP, 'match "subsystem" "$ours"'), True),
    "an expression nobody understands": (rule(200, CARP, 'match "subsystem" "(80"'), True),
    "not for events": (rule(200, CARP).replace("notify", "attach"), False),
    "it calls the hook too": (rule(200, CARP, action=f"logger carp; {CALLS}"), False),
    "in comments": (f"# {rule(200, CARP).splitlines()[0]}\n/* {rule(200, CARP)} */\n// notify 300\n", False),
    "beside options": ('options {\n directory "/etc/devd"; set a "b";\n};\n' + rule(200, CARP), True),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("text", "overtaken"), RULES.values(), ids=RULES)
def test_which_rules_come_before_the_hooks(text: str, overtaken: bool) -> None:
    """Those that devd may prefer for an event of one of our vhids; what cannot be judged counts."""
    assert bool(rules_before({PATH: text}, VHIDS)) is overtaken


def test_a_rule_is_named_by_file_line_and_priority() -> None:
    """People have to find it."""
    files = {"/etc/devd/a.conf": rule(200, 'match "system" "USB"'), PATH: "# one\n\n" + rule(150, CARP)}
    assert rules_before(files, VHIDS) == (DevdRule(PATH, 3, 150, "true"),)


@pytest.mark.parametrize(
    ("statement", "only"),
    [
        ('match "type" "(MASTER|BACKUP)"', ()),
        ('match "type" "MASTER"', ("80@vtnet1 MASTER", "7@em0.100 MASTER")),
        ('match "subsystem" "80@vtnet1"', ("80@vtnet1 MASTER", "80@vtnet1 BACKUP", "80@vtnet1 INIT")),
    ],
)
def test_a_rule_for_some_events_says_which(statement: str, only: tuple[str, ...]) -> None:
    """What runs for some of them is not the same as what runs for all."""
    (found,) = rules_before({PATH: rule(200, CARP, statement)}, VHIDS)
    assert found.only == only


def test_nothing_overtakes_a_hook_without_vhids() -> None:
    """A node whose groups have no address has no event to lose."""
    assert rules_before({PATH: rule(200, CARP)}, ()) == ()


@pytest.mark.parametrize(
    "text",
    ['notify 200 { match "system" "CARP"', "notify {};", 'notify 200 { match "system"; };', '"', "notify 200", "%"],
)
def test_a_file_that_devd_cannot_read_is_not_judged(text: str) -> None:
    """It says nothing about what devd runs."""
    with pytest.raises(ValueError, match="cannot read"):
        rules_before({PATH: text}, VHIDS)


@pytest.mark.parametrize(
    "text",
    [
        "grep: /etc/devd/my",
        f"{PATH}:2:the first line is missing",
        f"{PATH}:1:# {'x' * RULES_LIMIT}",
        f"{PATH}:1:notify 200 {{\n{PATH}:2:match",
    ],
)
def test_an_odd_answer_is_not_judged(text: str) -> None:
    """Cut, too long, or not what grep prints."""
    with pytest.raises(ValueError, match=r"\w"):
        rules_before(parse_rules(text), VHIDS)


# --- what is said -------------------------------------------------------------------------------------------------


def verdict(loop: Loop, snapshot: Snapshot) -> Failover:
    """FailoverReady of what was seen."""
    return failover_ready(View.at(loop.cluster, snapshot, loop.now), Plan("nas", 1, active={"files": A}))


@pytest.mark.parametrize("node", [A, B])
def test_a_hook_that_is_never_called_is_no_failover(node: str) -> None:
    """On the standby it would not take over, on the active node not give up; file, line and the remedy are told."""
    scene = hook(hooked_pair(), node, overtaken_by=(DevdRule(PATH, 3, 150, "true"),))
    found = failover_ready(View.at(scene.cluster, scene.snapshot, NOW), plan_of(scene))
    assert (found.status, found.reason) == ("False", "HookOvertaken")
    assert f"devd of {node} runs {PATH}:3 (notify 150)" in found.message
    assert CALLS in found.message
    assert "service devd restart" in found.message


def test_rules_that_could_not_be_read_are_not_known_to_be_harmless() -> None:
    """Neither ready nor not."""
    scene = hook(hooked_pair(), "nas-b", overtaken_by=None)
    found = failover_ready(View.at(scene.cluster, scene.snapshot, NOW), plan_of(scene))
    assert (found.status, found.reason) == ("Unknown", "HookUnknown")


# --- on the lab ---------------------------------------------------------------------------------------------------


def with_rule(priority: int, node: str = B) -> HookPair:
    """A pair at rest whose administrator adds a rule for CARP on a node."""
    pair = HookPair()
    pair.machine(node).files.write_text(PATH, rule(priority, CARP, action="logger carp"))
    pair.sh(node, "service devd restart")
    return pair


def test_a_higher_rule_silences_the_hook_and_is_told_before_that_matters() -> None:
    """nas-b would never take over when nas-a loses its power; hactl says so while all is well, and why says it too."""
    pair = with_rule(200)
    snapshot = pair.loop.look()
    found = verdict(pair.loop, snapshot)
    assert (found.status, found.reason) == ("False", "HookOvertaken")
    assert f"devd of {B} runs {PATH}:1 (notify 200)" in found.message
    answer = explain(View.at(pair.loop.cluster, snapshot, pair.loop.now), pair.loop.plan())
    assert answer.cause == "HookOvertaken"
    pair.world.power_off(A)
    pair.wait(120.0)
    assert pair.carp(B).startswith("MASTER")
    assert (pair.role(B), pair.moves(B)) == ("secondary", [])


def test_a_lower_rule_changes_nothing() -> None:
    """carp(4)'s example beside the hook: ready, and nas-b takes over."""
    pair = with_rule(30)
    assert verdict(pair.loop, pair.loop.look()).status == "True"
    pair.world.power_off(A)
    pair.until(lambda: pair.runs(B), 120.0)


def test_what_a_fresh_freebsd_has_overtakes_nothing_and_our_own_rule_does_not_either() -> None:
    """The probe's answer of a pair at rest."""
    pair = HookPair()
    for reading in pair.loop.look().nodes.values():
        assert isinstance(reading, Known)
        assert isinstance(reading.value.hook, Known)
        assert reading.value.hook.value.overtaken_by == ()


def test_a_broken_file_makes_that_not_known_and_spoils_nothing_else() -> None:
    """devd could not start with it; the rest of the hook's facts is there."""
    pair = HookPair()
    pair.machine(B).files.write_text(PATH, "notify 200 {\n")
    reading = pair.loop.look().nodes[B]
    assert isinstance(reading, Known)
    assert not isinstance(reading.value.hook, Unknown)
    assert reading.value.hook.value.overtaken_by is None
    ours = {file.path for file in hook_files(pair.loop.cluster, B)}
    assert reading.value.hook.value.files.keys() == ours
    assert DEVD_RULE in ours
