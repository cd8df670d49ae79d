"""Boot lines of others that mean the same are left as they are: what they do is compared, not how they read."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.operations import Overrides
from support.lab.closed_loop import Loop, example

_LONG = "0123456789abcdef0123456789abcdef"


def routers() -> Loop:
    """A pair with one virtual IP, whose password is what FreeBSD keeps of the owner's long one."""

    def change(data: dict[str, Any]) -> None:
        group = data["spec"]["groups"][0]
        group["storage"], group["services"] = [], []

    return Loop(example("nas", change), passwords={("files", "files"): _LONG[:19]})


def adopted(line: str, *, file: str = "/etc/rc.conf", variable: str = "ifconfig_vtnet1_alias0", more: str = "") -> Loop:
    """Set up by hand: `line` with SKEW, as it stands in the file; the kernel has the same."""
    loop = routers()
    for node, skew in (("nas-a", 0), ("nas-b", 100)):
        loop.sh(node, "kldload carp; sysctl net.inet.carp.preempt=1; echo net.inet.carp.preempt=1 >> /etc/sysctl.conf")
        loop.sh(node, f"sysrc kld_list+=carp; ifconfig vtnet1 vhid 80 advskew {skew} pass {_LONG} alias 192.0.2.80/24")
        text = f"{variable}={line.replace('SKEW', str(skew))}\n{more.replace('SKEW', str(skew))}"
        loop.sh(node, f"cat >> {file} <<'EOF'\n{text}EOF")
        if more:
            loop.sh(node, "ifconfig vtnet1 vhid 80 192.0.2.99/32 alias")
    loop.world.advance(6.0)
    return loop


@pytest.mark.parametrize(
    "line",
    [
        f'"inet 192.0.2.80/24 vhid 80 advskew SKEW pass {_LONG}"',
        f'"vhid 80 pass {_LONG} advskew SKEW alias 192.0.2.80/24"',
        f"'inet vhid 80 advskew SKEW pass {_LONG[:19]} alias 192.0.2.80 netmask 255.255.255.0'",
        f'"inet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80 advbase 1 advskew SKEW pass {_LONG} up"',
        f'"inet 192.0.2.80/24 vhid 80 advskew SKEW pass {_LONG} description nas mtu 1500 -lro group ha"',
    ],
)
@pytest.mark.parametrize("file", ["/etc/rc.conf", "/etc/rc.conf.local"])
def test_a_line_that_does_the_same_is_left_alone(line: str, file: str) -> None:
    """Nothing to do, on either node, now or at the next boot."""
    plan = adopted(line, file=file).plan()
    assert [str(step.key) for step in plan.steps] == []
    assert plan.holds == ()


def test_a_line_with_options_of_its_own_is_not_taken_out() -> None:
    """It brings the address up otherwise than the document says, and says more: that is a person's to decide."""
    loop = adopted(f'"inet 192.0.2.80/24 vhid 80 advskew 7 pass {_LONG} mtu 9000"')
    (hold, *_) = [hold for hold in loop.plan().holds if hold.reason == "BootConfigByHand"]
    assert "and says besides: mtu 9000" in hold.message
    assert "put mtu 9000 into ifconfig_vtnet1" in hold.remedy
    assert not [step for step in loop.plan().steps if step.verb == "RemoveRcVariable"]


def test_an_address_that_only_its_owner_names_is_kept_until_it_is_given_up() -> None:
    """On our vhid, written into rc.conf by hand: it is named, and neither the kernel's nor the boot line goes."""
    line = f'"inet 192.0.2.80/24 vhid 80 advskew SKEW pass {_LONG}"'
    loop = adopted(line, more='ifconfig_vtnet1_alias1="inet 192.0.2.99/32 vhid 80 advskew SKEW"\n')
    holds = [hold for hold in loop.plan().holds if hold.reason == "NotInDocument"]
    assert [hold.target for hold in holds] == ["/etc/rc.conf:ifconfig_vtnet1_alias1"] * 2
    assert "192.0.2.99/32 in the addresses of files" in holds[0].remedy
    loop.converge()
    for node in ("nas-a", "nas-b"):
        assert "192.0.2.99" in loop.sh(node, "ifconfig vtnet1")
        assert "192.0.2.99" in loop.sh(node, "cat /etc/rc.conf")
    loop.overrides = Overrides(
        given_up=frozenset((node, "/etc/rc.conf:ifconfig_vtnet1_alias1") for node in ("nas-a", "nas-b"))
    )
    loop.converge()
    for node in ("nas-a", "nas-b"):
        assert "192.0.2.99" not in loop.sh(node, "ifconfig vtnet1")
        assert "192.0.2.99" not in loop.sh(node, "cat /etc/rc.conf")


def test_a_line_that_stays_is_not_silent_about_another_password() -> None:
    """It would give the vhid the old password at the next boot, and two nodes would be MASTER."""
    line = f'"inet 192.0.2.80/24 vhid 80 advskew SKEW pass {_LONG}"'
    loop = adopted(line, more='ifconfig_vtnet1_alias1="inet 192.0.2.99/32 vhid 80 pass an.older.one"\n')
    holds = [hold.message for hold in loop.plan().holds if hold.reason == "BootConfigByHand"]
    assert any("gives vhid 80 of vtnet1 another password than the document" in message for message in holds)


@pytest.mark.parametrize("variable", ["ifconfig_vtnet1_aliases", "ifconfig_vtnet1_alias0"])
def test_a_variable_that_says_nothing_but_ours_goes_when_it_is_not_right_any_more(variable: str) -> None:
    """After a failover the advskews change places (found on the pair: it waited for a person after every one)."""
    loop = adopted(f'"inet 192.0.2.80/24 vhid 80 advskew 7 pass {_LONG}"', variable=variable)
    assert [hold for hold in loop.plan().holds if hold.reason == "BootConfigByHand"] == []
    assert [step.target for step in loop.plan().steps if step.verb == "RemoveRcVariable"] == [variable] * 2
    loop.converge()
    for node in ("nas-a", "nas-b"):
        assert variable not in loop.sh(node, "cat /etc/rc.conf")
        assert "192.0.2.80/24 vhid 80" in loop.sh(node, "cat /etc/rc.conf.d/netif")


@pytest.mark.parametrize("variable", ["ifconfig_vtnet1_aliases", "ifconfig_vtnet1_alias0"])
def test_a_variable_with_an_address_of_its_owners_stays(variable: str) -> None:
    """sysrc(8) takes out whole variables, and the next boot would miss an address that hactl knows nothing of."""
    line = f'"inet 192.0.2.77/32 inet 192.0.2.80/24 vhid 80 advskew 7 pass {_LONG}"'
    plan = adopted(line, variable=variable).plan()
    assert [step.target for step in plan.steps if step.verb == "RemoveRcVariable"] == []
    assert [hold.target for hold in plan.holds if hold.reason == "BootConfigByHand"] == [variable] * 2
