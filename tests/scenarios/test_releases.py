"""The same pair on other releases: what ifconfig prints and does there is read and used rightly.

See docs/freebsd-facts.md#5.
"""

from __future__ import annotations

import pytest

from hactl.lab.hast.trial import MENDED
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints


def mend(loop: Loop, *nodes: str) -> None:
    """The hastd of these nodes' disks is one that connects."""
    for node in nodes:
        loop.sh(node, f"echo '{MENDED}' >> /sbin/hastd")


@pytest.mark.parametrize("release", ["13.2-RELEASE", "14.2-RELEASE", "15.0-RELEASE"])
@pytest.mark.parametrize("name", ["nas", "firewall"])
def test_a_pair_converges_and_is_corrected_on_every_release(release: str, name: str) -> None:
    """Blank to serving, an unchanged pass without a step, one drift, one command."""
    loop = Loop(example(name), release=release)
    if release.startswith("15") and name == "nas":
        mend(loop, "nas-a", "nas-b")
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []
    assert loop.plan().stages == ()
    node, interface, vhid = ("nas-b", "vtnet1", 80) if name == "nas" else ("fw-2", "igb0", 10)
    loop.sh(node, f"ifconfig {interface} vhid {vhid} advskew 50")
    assert loop.converge() == [f"{node}: ifconfig {interface} vhid {vhid} advskew 100"]


@pytest.mark.parametrize(("release", "shell"), [("13.2-RELEASE", "/bin/csh"), ("15.1-RELEASE-p1", "/bin/sh")])
def test_what_a_release_has_of_its_own(release: str, shell: str) -> None:
    """Root's shell, its number, and what ifconfig shows from 14 on; as on the real pair."""
    loop = Loop(example("nas"), release=release)
    osreldate = {"13.2-RELEASE": "1302001", "15.1-RELEASE-p1": "1501000"}[release]
    assert loop.sh("nas-a", "echo $SHELL; sysctl -n kern.osreldate") == f"{shell}\n{osreldate}\n"
    shown = loop.sh("nas-a", "kldload carp; ifconfig vtnet1 vhid 80 192.0.2.80/24 alias; ifconfig vtnet1")
    assert ("LOWER_UP" in shown) is ("peer 224.0.0.18 peer6 ff02::12" in shown) is (shell == "/bin/sh")


def test_the_hastd_of_15_is_found_out_before_anything_is_created() -> None:
    """By a trial, once; the disks stay blank; a mended one is tried again by itself and serves."""
    loop = Loop(example("nas"), release="15.1-RELEASE")
    ran = loop.converge()
    assert [command for command in ran if "Try" in command] == ["nas-a: TryHastd hastd", "nas-b: TryHastd hastd"]
    assert not [command for command in ran if "create" in command or "role" in command]
    assert {hold.node for hold in loop.plan().holds if hold.reason == "HastdNeverConnects"} == {"nas-a", "nas-b"}
    assert loop.plan().stages == ()
    assert loop.sh("nas-a", "ls /var/run").count("hactl.trial") == 0
    mend(loop, "nas-a", "nas-b")
    assert loop.converge()[:2] == ["nas-a: TryHastd hastd", "nas-b: TryHastd hastd"]
    assert complaints(loop) != []  # the hastd that runs is still the old one
    for node in ("nas-b", "nas-a"):
        loop.sh(node, "service hastd onerestart")
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []


def test_a_primary_of_15_that_waits_for_ever_is_told() -> None:
    """The role succeeds, the device never comes, and nothing is logged: that is what people see."""
    loop = Loop(example("nas"), release="15.1-RELEASE")
    loop.converge()
    for node in ("nas-a", "nas-b"):
        loop.sh(node, "hastctl create data")
    loop.sh("nas-b", "hastctl role secondary data")
    assert loop.sh("nas-a", "hastctl role primary data; echo $?") == "0\n"
    loop.world.advance(30.0)
    assert not [hold for hold in loop.plan().holds if hold.reason == "DeviceNeverCame"]
    loop.world.advance(30.0)
    (hold,) = [hold for hold in loop.plan().holds if hold.reason == "DeviceNeverCame"]
    assert "/dev/hast/data never appeared although nas-b answers" in hold.message
    assert "  status: degraded" in loop.sh("nas-a", "hastctl list data")
