"""Addresses: when they wait, when they are put right, and whose are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hactl.core.facts import CarpState, Mount, RcAlias
from support.facts.builder import Scene, edge_pair, healthy_pair
from support.facts.planned import commands, plan_of, reasons


def test_addresses_wait_for_a_silent_node_that_may_have_them() -> None:
    """They are nowhere that answers."""
    bare = healthy_pair().without_vhid("nas-a").silent("nas-b")
    plan = plan_of(bare)
    assert not [str(step.key) for step in plan.steps if step.verb == "AddAddress"]
    assert any(hold.target == "vhid 80" for hold in plan.holds if hold.reason == "PeerSilent")


def test_addresses_wait_for_the_filesystem_they_serve() -> None:
    """Something else is mounted there: the group does not serve, and its addresses do not come up."""
    scene = healthy_pair().unmounted("nas-a").without_vhid("nas-a").without_vhid("nas-b")
    taken = Mount("/dev/da9", "/data", "ufs", frozenset({"local"}))
    plan = plan_of(scene.node("nas-a", mounts=(*scene.known("nas-a", "mounts"), taken)))
    assert not [str(step.key) for step in plan.steps if step.verb == "AddAddress"]
    assert {"AddressWaits", "MountpointBusy"} <= reasons(plan)


def test_a_vhid_without_any_password_gets_the_documents() -> None:
    """`ifconfig -k` shows no key: that is not the document's."""
    plan = plan_of(healthy_pair().vhid("nas-b", key=None))
    assert commands(plan, "nas-b") == ['ifconfig vtnet1 vhid 80 pass "$HACTL_PASS_1"']


def test_an_address_away_from_its_storage_is_said() -> None:
    """Everything is as the document says, and the peer is MASTER: preemption brings it, or a person looks."""
    scene = healthy_pair().vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    assert "AddressElsewhere" in reasons(plan_of(scene))


def test_a_carp_address_that_hactl_never_wrote_is_left_alone() -> None:
    """It stands in rc.conf, and the document has no such vhid."""
    alias = RcAlias("ifconfig_vtnet1_alias0", "vtnet1", "inet", "192.0.2.90", 24, 9, 1, 0, None, file="/etc/rc.conf")
    scene = healthy_pair().address("nas-b", "192.0.2.90/24", 9)
    foreign = scene.boot("nas-b", aliases=(*scene.known("nas-b", "boot").aliases, alias))
    assert plan_of(foreign).stages == ()
    ours = replace(alias, file="/etc/rc.conf.d/netif", managed=True)
    left = scene.boot("nas-b", aliases=(*scene.known("nas-b", "boot").aliases, ours))
    assert "ifconfig vtnet1 inet 192.0.2.90 -alias" in commands(plan_of(left), "nas-b")


def test_a_router_goes_back_to_its_preferred_node() -> None:
    """A group without storage that failed over: its advskews stay as the order of the document says."""
    assert plan_of(edge_pair("fw-2")).stages == ()


TAKING = [
    ("best of all", lambda s: s, True),
    ("demoted by its interface", lambda s: s.sysctl("nas-a", demotion=240), False),
    ("nobody knows how much it is demoted", lambda s: s.unknown("nas-a", "carp_sysctls"), False),
    ("the other is as good", lambda s: s.vhid("nas-b", advskew=0), False),
    ("it does not serve", lambda s: s.unmounted("nas-a"), False),
]


@pytest.mark.parametrize(("tweak", "at_once"), [case[1:] for case in TAKING], ids=[case[0] for case in TAKING])
def test_a_node_is_told_to_be_master_where_nothing_speaks_against_it(
    tweak: Callable[[Scene], Scene], at_once: bool
) -> None:
    """Everywhere else CARP decides: a command could only make both step down."""
    scene = healthy_pair().vhid("nas-a", advskew=200, state=CarpState.BACKUP).vhid("nas-b", state=CarpState.MASTER)
    now = plan_of(tweak(scene)).stages[:1]
    told = [step.command for stage in now for step in stage.steps if "state master" in step.command]
    assert bool(told) is at_once
