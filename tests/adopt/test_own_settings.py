"""A pair that its owner set up: what the document does not say is named, waits for an answer, and goes on working."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.core.document.crd.cluster import custom_resource_definition
from hactl.core.operations import Kind, Operation, Overrides, State
from hactl.core.plan.switchover import judge
from hactl.core.steps import Hold
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints

_HAST_CONF = """\
# our shared disk
{0}
resource data {{
    local /dev/vtbd1
{1}
    on nas-a {{
        remote tcp4://198.51.100.12
    }}
    on nas-b {{
        remote tcp4://198.51.100.11
    }}
}}
"""
_BY_HAND = """
sysrc hastd_enable=YES nfs_server_enable=NO
echo 'carp_load="YES"' >> /boot/loader.conf
echo 'net.inet.carp.preempt=1' >> /etc/sysctl.conf
kldload carp; sysctl net.inet.carp.preempt=1
echo 'ifconfig_vtnet1_alias0="inet vhid 80 advskew {0} pass s3cret alias 192.0.2.80/24"' >> /etc/rc.conf
ifconfig vtnet1 inet vhid 80 advskew {0} pass s3cret alias 192.0.2.80/24
hastctl create data; service hastd start
"""
_SERVES = """
hastctl role primary data; sleep 2; newfs -U {0} >/dev/null; mkdir -p /data; mount -o noatime {0} /data
echo precious > /data/f; service nfsd onestart; sleep 3
"""
_RULE = """\
notify 0 {
    match "system"    "CARP";
    match "subsystem" "[0-9]+@[0-9a-z.]+";
    match "type"      "(MASTER|BACKUP)";
    action "/usr/local/bin/carpcontrol.sh $subsystem $type";
};
"""
_OWN_RULE = "/usr/local/etc/devd/carp.conf"


def pair(*, daemon: str = "", resource: str = "    timeout 15", name: str = "data", rule: str = "", **doc: Any) -> Loop:
    """Two nodes as their owner set them up; nas-a serves. `doc`: edits of the document's hast part and spec."""

    def change(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["storage"][0]["hast"].update(doc.get("hast", {}))
        data["spec"].update(doc.get("spec", {}))

    loop = Loop(example("nas", change))
    for node, advskew in (("nas-a", 0), ("nas-b", 100)):
        loop.machine(node).files.write_text("/etc/hast.conf", _HAST_CONF.format(daemon, resource))
        if rule:
            loop.sh(node, "mkdir -p /usr/local/etc/devd /usr/local/bin")
            loop.machine(node).files.write_text(_OWN_RULE, rule)
            loop.sh(node, "service devd restart")
        loop.sh(node, _BY_HAND.format(advskew))
    loop.sh("nas-b", "hastctl role secondary data")
    loop.sh("nas-a", _SERVES.format(f"/dev/hast/{name}"))
    loop.world.advance(5.0)
    assert "precious" in loop.sh("nas-a", "cat /data/f")
    return loop


def waiting(loop: Loop, node: str = "nas-a") -> dict[str, Hold]:
    """What of a node waits for an answer, by the name that people use."""
    return {hold.target: hold for hold in loop.plan().holds if hold.reason == "NotInDocument" and hold.node == node}


SETTINGS = [
    ("", "    name nfsdata", "data.name", "/etc/hast.conf:5 says `name nfsdata` for data", ""),
    (
        "",
        "    exec /usr/local/sbin/told",
        "data.exec",
        "`exec /usr/local/sbin/told` for data (hastd calls",
        "spec.hast.notify: [/usr/local/sbin/told]",
    ),
    ("", "    metaflush off", "data.metaflush", "conf:5 says `metaflush off` for data", "hast.metaflush: false"),
    ("metaflush off", "", "data.metaflush", "conf:2 says `metaflush off` for data", "hast.metaflush: false"),
    ("", "    timeout 30", "data.timeout", "/etc/hast.conf:5 says `timeout 30` for data", "hast.timeoutSeconds: 30"),
    ("", "    checksum crc32", "data.checksum", "says `checksum crc32` for data", "hast.checksum: crc32"),
    ("", "    compression lzf", "data.compression", "says `compression lzf` for data", "hast.compression: lzf"),
    ("listen tcp://0.0.0.0", "", "listen", "/etc/hast.conf:2 says `listen 0.0.0.0:8457`", "spec.hast.listen: ["),
    ("pidfile /var/run/mine.pid", "", "pidfile", "/etc/hast.conf:2 says `pidfile /var/run/mine.pid`", ""),
    ("control uds:///var/run/mine", "", "control", "/etc/hast.conf:2 says `control /var/run/mine`", ""),
    ("resource old { local /dev/vtbd2\n on nas-a { remote none }\n on nas-b { remote none } }", "", "resource old",
     "/etc/hast.conf:2 says `resource old`", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("daemon", "resource", "name", "says", "express"), SETTINGS, ids=[s[0] or s[1] for s in SETTINGS]
)
def test_a_hast_conf_of_somebody_else_is_not_rewritten_silently(
    daemon: str, resource: str, name: str, says: str, express: str
) -> None:
    """Each setting that the new file would not have is named with its line and with what helps; the file stays."""
    loop = pair(daemon=daemon, resource=resource, name="nfsdata" if name == "data.name" else "data")
    before = loop.sh("nas-a", "cat /etc/hast.conf")
    hold = waiting(loop)[f"/etc/hast.conf:{name}"]
    assert says in hold.message, hold.message
    assert express in hold.remedy
    assert f"hactl give-up nas nas-a '/etc/hast.conf:{name}'" in hold.remedy
    for _ in range(12):
        plan = loop.plan()
        assert not [step for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd")]
        if plan.stages:
            loop.stage(plan.stages[0])
        loop.world.advance(2.0)
    assert loop.sh("nas-a", "cat /etc/hast.conf") == before
    assert "precious" in loop.sh("nas-a", "cat /data/f")


def test_a_mistyped_keep_is_told() -> None:
    """Where what was meant still waits; a name that is one of the node's is no mistake."""
    keep = ["/etc/hast.conf:data.exce", "/etc/hast.conf:data.checksum"]
    holds = waiting(pair(resource="    exec /bin/told\n    checksum crc32\n    metaflush off", spec={"keep": keep}))
    assert "spec.keep has '/etc/hast.conf:data.exce'" in holds["/etc/hast.conf:data.exec"].remedy
    assert "spec.keep has" not in holds["/etc/hast.conf:data.metaflush"].remedy


def test_what_the_document_says_is_kept_in_step_without_asking() -> None:
    """metaflush and timeout as the file has them: no word; the file then is hactl's, and nothing was interrupted."""
    said = {"metaflush": False, "timeoutSeconds": 20}
    loop = pair(
        resource="    metaflush off",
        hast=said,
        daemon="listen tcp://0.0.0.0",
        spec={"hast": {"listen": ["tcp://0.0.0.0"]}},
    )
    assert waiting(loop) == {}
    loop.converge()
    loop.world.advance(5.0)
    text = loop.sh("nas-a", "cat /etc/hast.conf")
    assert "metaflush off" in text
    assert "listen tcp://0.0.0.0" in text
    assert complaints(loop) == []
    assert "precious" in loop.sh("nas-a", "cat /data/f")
    assert not [line for line in loop.executed if "umount" in line or "onestop" in line]


def test_what_the_document_states_otherwise_is_changed() -> None:
    """timeoutSeconds is in the document: 30 in the file is drift like any other."""
    loop = pair(resource="    timeout 30", hast={"timeoutSeconds": 20})
    assert waiting(loop) == {}
    loop.converge()
    assert "timeout 20" in loop.sh("nas-b", "cat /etc/hast.conf")


def test_what_is_kept_is_left_alone() -> None:
    """spec.keep: the file that differs in nothing else stays as it is; one that differs in more is a person's."""
    keep = ["/etc/hast.conf:data.checksum", "/etc/hast.conf:data.exec"]
    own = "    timeout 15\n    checksum crc32\n    exec /usr/local/sbin/told"
    loop = pair(resource=own, spec={"keep": keep})
    before = loop.sh("nas-a", "cat /etc/hast.conf")
    assert waiting(loop) == {}
    loop.converge()
    assert loop.sh("nas-a", "cat /etc/hast.conf") == before
    assert not [hold for hold in loop.plan().holds if hold.target == "/etc/hast.conf"]
    more = pair(resource=own.replace("15", "30"), spec={"keep": keep}, hast={"timeoutSeconds": 15})
    assert [hold.reason for hold in more.plan().holds if hold.target == "/etc/hast.conf"] == ["BootConfigByHand"] * 2


def test_what_is_given_up_goes() -> None:
    """A person's word, on record, for each node: then the file is written as the document has it."""
    loop = pair(resource="    timeout 15\n    checksum crc32")
    assert set(waiting(loop)) == {"/etc/hast.conf:data.checksum"}
    asked = {"node": "nas-a", "detail": {"setting": "/etc/hast.conf:data.checksum"}}
    operation = Operation(1, "nas", Kind.GIVE_UP, "ada", "", datetime(2026, 11, 30, tzinfo=UTC), **asked)

    def ends() -> Any:
        return judge(operation, loop.cluster, loop.look(), loop.plan(), {}, loop.now)

    assert ends() is None
    loop.overrides = Overrides(given_up=frozenset((n, "/etc/hast.conf:data.checksum") for n in ("nas-a", "nas-b")))
    loop.converge()
    loop.world.advance(5.0)
    assert "checksum none" in loop.sh("nas-a", "cat /etc/hast.conf")
    assert complaints(loop) == []
    assert ends() == (State.DONE, "nas-a goes by the document")


def test_another_name_of_a_mounted_device_is_never_reloaded_away() -> None:
    """Given up by mistake: hastd would take the device away under the filesystem, so the reload itself is refused."""
    loop = pair(resource="    timeout 15\n    name nfsdata", name="nfsdata")
    loop.overrides = Overrides(given_up=frozenset((n, "/etc/hast.conf:data.name") for n in ("nas-a", "nas-b")))
    for _ in range(12):
        plan = loop.plan()
        if plan.stages:
            loop.stage(plan.stages[0])
        loop.world.advance(2.0)
    assert "nas-a" in {hold.node for hold in loop.plan().holds if hold.reason == "ReloadUnsafe"}
    assert "precious" in loop.sh("nas-a", "cat /data/f")
    assert "/dev/hast/nfsdata on /data" in loop.sh("nas-a", "mount")


def test_a_rule_of_devd_that_would_be_called_no_more_waits_for_an_answer() -> None:
    """It is named with file and line before ours is there; until then the node hook is not installed anywhere."""
    loop = pair(rule=_RULE)
    hold = waiting(loop)[_OWN_RULE]
    assert f"{_OWN_RULE}:1 (notify 0) runs `/usr/local/bin/carpcontrol.sh $subsystem $type`" in hold.message
    assert "spec.carp.notify: [/usr/local/bin/carpcontrol.sh]" in hold.remedy
    loop.converge()
    assert "No such file" in loop.sh("nas-a", "cat /usr/local/etc/devd/hactl.conf")
    assert "hactl_node_enable" not in loop.sh("nas-a", "cat /etc/rc.conf")


@pytest.mark.parametrize(
    ("rule", "waits"),
    [
        (_RULE.replace("notify 0", "notify 20"), True),
        (_RULE.replace('"CARP"', '".*"'), True),
        (_RULE.replace('"CARP"', '"IFNET"'), False),
        (_RULE.replace("[0-9]+@[0-9a-z.]+", "7@vtnet9"), False),
        ("# " + _RULE.replace("\n", "\n# ") + "\n", False),
    ],
    ids=["20", "every system", "another system", "another vhid", "a comment"],
)
def test_only_rules_for_our_events_count(rule: str, waits: bool) -> None:
    """Judged as devd judges them."""
    assert (_OWN_RULE in waiting(pair(rule=rule))) is waits


def test_a_program_that_the_document_names_is_called_beside_the_hook() -> None:
    """spec.carp.notify: the hook moves the group, and the owner's program hears of the same event."""
    told = '#!/bin/sh\necho "$1 $2" >> /var/log/told\n'
    loop = pair(rule=_RULE, spec={"carp": {"notify": ["/usr/local/bin/carpcontrol.sh"]}})
    for node in ("nas-a", "nas-b"):
        loop.machine(node).files.write_text("/usr/local/bin/carpcontrol.sh", told, 0o755)
    assert waiting(loop) == {}
    loop.converge()
    loop.world.advance(5.0)
    assert complaints(loop) == []
    loop.world.power_off("nas-a")
    loop.world.advance(40.0)
    assert "/dev/hast/data on /data" in loop.sh("nas-b", "mount")
    assert "80@vtnet1 MASTER" in loop.sh("nas-b", "cat /var/log/told")


def test_a_program_that_hastd_called_is_called_by_the_hook() -> None:
    """spec.hast.notify: it hears what hastd says, word by word, and the hook does what it is for."""
    told = '#!/bin/sh\necho "$*" >> /var/log/told\n'
    loop = pair(
        resource="    timeout 15\n    exec /usr/local/sbin/told", spec={"hast": {"notify": ["/usr/local/sbin/told"]}}
    )
    for node in ("nas-a", "nas-b"):
        loop.machine(node).files.write_text("/usr/local/sbin/told", told, 0o755)
    assert waiting(loop) == {}
    loop.converge()
    loop.world.advance(5.0)
    assert complaints(loop) == []
    loop.sh("nas-b", "rm -f /var/log/told")
    loop.world.power_off("nas-a")
    loop.world.advance(40.0)
    assert "/dev/hast/data on /data" in loop.sh("nas-b", "mount")
    heard = loop.sh("nas-b", "cat /var/log/told").splitlines()
    assert "role data secondary primary" in heard


def test_a_rule_that_is_kept_keeps_the_hook_away() -> None:
    """spec.keep: devd runs one rule only, so hactl's is not installed; FailoverReady says that it is missing."""
    loop = pair(rule=_RULE, spec={"keep": [_OWN_RULE]})
    loop.converge()
    assert waiting(loop) == {}
    assert "No such file" in loop.sh("nas-b", "cat /usr/local/etc/devd/hactl.conf")


def _passes(loop: Loop, count: int) -> None:
    for _ in range(count):
        plan = loop.plan()
        if plan.stages:
            loop.stage(plan.stages[0])
        loop.world.advance(2.0)


@pytest.mark.parametrize("keep", [[], ["/etc/hast.conf:data.name"]], ids=["unanswered", "kept"])
def test_a_device_of_another_name_is_left_to_its_owner(keep: list[str]) -> None:
    """The node hook, and a move, would not see what is mounted from it: neither comes near it."""
    loop = pair(resource="    timeout 15\n    name nfsdata", name="nfsdata", spec={"keep": keep})
    _passes(loop, 8)
    assert "ReloadUnsafe" in {hold.reason for hold in loop.plan().holds}
    loop.overrides = Overrides(moves={"files": "nas-b"})
    _passes(loop, 8)
    loop.sh("nas-a", "ifconfig vtnet1 vhid 80 advskew 200")
    loop.world.advance(60.0)
    assert "/dev/hast/nfsdata on /data" in loop.sh("nas-a", "mount")
    assert "precious" in loop.sh("nas-a", "cat /data/f")
    assert "role: primary" in loop.sh("nas-a", "hastctl list data")


@pytest.mark.parametrize(
    "action", ["/usr/bin/logger x; /usr/local/bin/carpcontrol.sh $subsystem $type", "/bin/sh -c 'true'", "true"]
)
def test_only_a_program_that_would_be_called_to_the_letter_can_be_named(action: str) -> None:
    """Naming the first word of a longer action would end the rest of it without a word."""
    rule = _RULE.replace("/usr/local/bin/carpcontrol.sh $subsystem $type", action)
    loop = pair(rule=rule, spec={"carp": {"notify": ["/usr/bin/logger", "/bin/sh"]}})
    assert "spec.carp.notify" not in waiting(loop)[_OWN_RULE].remedy


def test_rules_that_cannot_be_read_are_not_taken_for_none() -> None:
    """devd's files are longer than what is fetched: the hook waits."""
    loop = pair(rule=_RULE + "# CARP\n" * 12000)
    _passes(loop, 6)
    assert "FactsUnknown" in {hold.reason for hold in loop.plan().holds}
    assert "No such file" in loop.sh("nas-a", "cat /usr/local/etc/devd/hactl.conf")


def test_a_new_rule_on_one_node_does_not_keep_the_other_one_s_hook_from_being_mended() -> None:
    """nas-b was installed anew, with a rule of its owner's; nas-a has the hook and lost its rule file."""
    loop = Loop(example("nas"))
    loop.converge()
    loop.sh("nas-b", "rm /usr/local/libexec/hactl/hook /usr/local/etc/devd/hactl.conf /usr/local/etc/rc.d/hactl_*")
    loop.machine("nas-b").files.write_text(_OWN_RULE, _RULE)
    loop.sh("nas-a", "rm /usr/local/etc/devd/hactl.conf")
    _passes(loop, 6)
    assert "notify 100" in loop.sh("nas-a", "cat /usr/local/etc/devd/hactl.conf")
    assert _OWN_RULE in waiting(loop, "nas-b")


def test_an_api_server_fills_no_setting_of_hast_conf_in() -> None:
    """A default that it filled in would look as if somebody had stated it, and the owner's file would be rewritten."""
    text = str(custom_resource_definition())
    assert "Default: memsync." in text
    assert "'default': 'memsync'" not in text
    assert "'default': 'hole'" not in text


def test_a_hastd_that_reads_another_file_is_left_alone() -> None:
    """`-c` in hastd_flags: what hactl wrote to /etc/hast.conf would be nothing to it."""
    loop = pair()
    for node in ("nas-a", "nas-b"):
        loop.sh(node, "cp /etc/hast.conf /usr/local/etc/hast.conf; sysrc hastd_flags='-c /usr/local/etc/hast.conf'")
    plan = loop.plan()
    assert not [step for step in plan.steps if step.verb in ("WriteHastConf", "ReloadHastd", "StartHastd")]
    held = [hold for hold in plan.holds if hold.target == "hastd_flags"]
    assert {hold.node for hold in held} == {"nas-a", "nas-b"}
    assert "/usr/local/etc/hast.conf" in held[0].message
    for node in ("nas-a", "nas-b"):
        loop.sh(node, "sysrc hastd_flags='-c /etc/hast.conf'")
    assert not [hold for hold in loop.plan().holds if hold.target == "hastd_flags"]
