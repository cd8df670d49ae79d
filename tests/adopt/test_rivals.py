"""Crontabs and scripts of a pair's owner that act on CARP and HAST: found by the line, and waiting for an answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hactl.core.facts import RivalKind
from hactl.core.operations import Overrides
from hactl.core.parse.rivals import parse_rivals
from hactl.core.parse.text import NotUnderstood
from hactl.core.probe.script import RIVALS
from hactl.core.steps import Hold
from support.facts.builder import Scene, edge_pair, healthy_pair
from support.facts.planned import plan_of
from support.limits import LIMIT_SECONDS
from support.node_sh import DASH


def found(place: Path, **files: str) -> list[str]:
    """What sh tells of these files, as LINE:KIND:WORDS after the name."""
    for name, text in files.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = f'set -u\n{RIVALS}\nhactl_rival_files "$1"; hactl_rivals "$1" $hactl_files\n'
    ran = subprocess.run(
        [DASH, "-c", script, "sh", str(place)], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
    )
    assert ran.stderr == ""
    rivals = parse_rivals(ran.stdout.replace(str(place), ""))
    return [f"{rival.file}:{rival.line}:{rival.kind}:{rival.words}" for rival in rivals]


LINES = [
    ("hastctl role primary data", "role:role primary data"),
    ("$HASTCTL role secondary ${res} >/dev/null 2>&1", "role:role secondary ${res}"),
    ("[ -f /x ] && hastctl create data", "role:hastctl create data"),
    ("mount -o noatime /dev/hast/data /data", "disk:/dev/hast/data"),
    ("zpool import -d /dev/hast tank", "disk:/dev/hast"),
    ("ifconfig em0 vhid 3 advskew 200 pass s3cret", "vhid:vhid 3 advskew 200"),
    ("ifconfig em0 vhid $v state backup", "vhid:vhid $v state backup"),
    ("sysctl net.inet.carp.demotion=240", "sysctl:net.inet.carp.demotion=240"),
    ("ipmitool -H peer -P s3cret chassis power off", "fence:ipmitool"),
    ("# hastctl role primary data", ""),
    ("true  # hastctl role primary data", ""),
    ("hastctl status; ls /dev/hast/data; ifconfig em0 | grep vhid; sysctl net.inet.carp.preempt", ""),
    ("role=primary; service foo start", ""),
]


@pytest.mark.parametrize(("line", "says"), LINES, ids=[line for line, _ in LINES])
def test_a_line_that_acts_is_told_by_the_words_that_say_so(tmp_path: Path, line: str, says: str) -> None:
    """Never the rest of it: there may be a password. A comment, and a question, act on nothing."""
    told = found(tmp_path, etc__crontab=f"SHELL=/bin/sh\n* * * * * root {line}\n")
    assert told == ([f"/etc/crontab:2:{says}"] if says else [])
    assert "s3cret" not in str(told)


def test_every_place_is_looked_at_and_what_a_crontab_calls(tmp_path: Path) -> None:
    """rc.local, both kinds of crontab, scripts of rc.d, ifstated; and a program of one's own that one of them runs."""
    role = "hastctl role primary data\n"
    told = found(
        tmp_path,
        **{
            "etc__rc.local": role,
            "etc__cron.d__ha": "* * * * * root /usr/local/sbin/check --now; /usr/local/sbin/none; /bin/sh\n",
            "usr__local__sbin__check": f"#!/bin/sh\n{role}",
            "var__cron__tabs__root": f"@reboot {role}",
            "usr__local__etc__rc.d__roles": role,
            "usr__local__etc__rc.d__hactl_node": role,
            "usr__local__etc__ifstated.conf": f'run "{role.strip()}"\n',
        },
    )
    assert [line.partition(":")[0] for line in told] == [
        "/etc/rc.local", "/var/cron/tabs/root", "/usr/local/etc/rc.d/roles", "/usr/local/etc/ifstated.conf",
        "/usr/local/sbin/check",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["junk", "/f:1:nothing:words", "/f:x:role:words"])
def test_what_is_no_such_line_is_not_understood(text: str) -> None:
    """It is not taken for nothing."""
    with pytest.raises(NotUnderstood):
        parse_rivals(text)


def without_hook(**lines: str) -> Scene:
    """The converged pair before the hook came, with a line of each kind in that file on both nodes."""
    scene = healthy_pair()
    for node in ("nas-a", "nas-b"):
        rivals = parse_rivals("".join(f"/etc/rc.local:7:{kind}:{words}\n" for kind, words in lines.items()))
        scene = scene.hook(node, files={}, devd_loaded="", rivals=rivals)
    return scene


def waits_for(scene: Scene) -> list[Hold]:
    return [hold for hold in plan_of(scene).holds if hold.reason == "NotInDocument"]


def test_a_script_that_gives_roles_keeps_the_hook_away_until_it_is_answered() -> None:
    """File, line, words, what would become of it, and the answers."""
    scene = without_hook(role="role secondary data")
    hold, _ = waits_for(scene)
    assert hold.message == (
        "nas-a: /etc/rc.local:7 has `role secondary data`; the document does not say it, and the node hook gives roles "
        "then: two that decide can make two primaries"
    )
    assert "take it out of /etc/rc.local once hactl is to act" in hold.remedy
    assert "hactl give-up nas nas-a '/etc/rc.local'" in hold.remedy
    assert not [step for step in plan_of(scene).steps if step.verb == "WriteHook"]
    given = Overrides(given_up=frozenset((node, "/etc/rc.local") for node in ("nas-a", "nas-b")))
    assert [step for step in plan_of(scene, given).steps if step.verb == "WriteHook"]


def test_a_vhid_that_a_script_sets_is_not_set_back_before_the_answer() -> None:
    """Only that one, and only what is of the document."""
    moved = without_hook(vhid="vhid 80 advskew 5").vhid("nas-b", advskew=50)
    assert waits_for(moved)
    assert not [step for step in plan_of(moved).steps if step.verb == "SetVhid"]
    other = without_hook(vhid="vhid 81 advskew 5").vhid("nas-b", advskew=50)
    assert not waits_for(other)
    assert [step for step in plan_of(other).steps if step.verb == "SetVhid"]


def test_a_demotion_that_a_script_adds_is_not_taken_back() -> None:
    """On a pair without disks too; what mounts disks is nothing there."""
    scene = edge_pair()
    lines = f"/etc/crontab:1:{RivalKind.SYSCTL}:net.inet.carp.preempt=0\n/etc/crontab:2:{RivalKind.DISK}:/dev/hast/x\n"
    for node in ("fw-1", "fw-2"):
        scene = scene.hook(node, rivals=parse_rivals(lines)).sysctl(node, preempt=0)
    assert [hold.message.partition(" has ")[2][:25] for hold in waits_for(scene)] == ["`net.inet.carp.preempt=0`"] * 2
    assert not [step for step in plan_of(scene).steps if step.verb == "SetSysctl"]
