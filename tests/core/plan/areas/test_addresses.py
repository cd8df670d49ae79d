"""Addresses: when they wait, when they are put right, and whose are left alone."""

from __future__ import annotations

from dataclasses import replace

from hactl.core.facts import CarpState, Mount, RcAlias
from support.facts.builder import edge_pair, healthy_pair
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
