"""Link-local virtual addresses (a router's fe80::1), and one address and vhid on several interfaces."""

from __future__ import annotations

from typing import Any

import pytest

from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints


def routers(*virtual_ips: dict[str, Any]) -> Loop:
    """A pair with addresses only."""

    def change(data: dict[str, Any]) -> None:
        group = data["spec"]["groups"][0]
        group["virtualIPs"] = list(virtual_ips)
        group["storage"], group["services"] = [], []

    return Loop(example("nas", change), release="14.2-RELEASE")


def lan(name: str, interface: str, *addresses: str, vhid: int = 2) -> dict[str, Any]:
    """One virtual IP."""
    return {"name": name, "vhid": vhid, "interface": interface, "addresses": list(addresses)}


#: A service that answers on every segment at the same address.
ANYCAST = "169.254.53.53/32"


@pytest.mark.parametrize(
    "virtual_ips",
    [
        [lan("lan6", "ix1", "2001:db8:2::1/64", "fe80::1/64")],
        [lan("lan6", "ix1", "fe80::1/64")],
        [lan("lan1", "ix1.10", "192.0.2.1/25", "fe80::1/64"), lan("lan2", "ix1.20", "192.0.2.129/25", "fe80::1/64")],
        [lan("a", "ix1.10", "192.0.2.1/25", ANYCAST), lan("b", "ix1.20", "192.0.2.129/25", ANYCAST)],
    ],
    ids=["beside a global one", "alone", "on two VLANs", "IPv4 on two VLANs"],
)  # fmt: skip
def test_a_link_local_address_is_brought_up_moved_and_kept(virtual_ips: list[dict[str, Any]]) -> None:
    """On both nodes, at the next boot too; the other node has it when one is gone; nothing is done twice."""
    loop = routers(*virtual_ips)
    loop.converge()
    loop.world.advance(5.0)
    assert complaints(loop) == []
    loop.executed.clear()
    loop.converge()
    assert loop.executed == []
    for each in virtual_ips:
        for node in ("nas-a", "nas-b"):
            shown = loop.sh(node, f"ifconfig {each['interface']}")
            for address in each["addresses"]:
                ip = address.partition("/")[0]
                assert any(f"{ip} " in line or f"{ip}%" in line for line in shown.splitlines() if "vhid" in line), shown
    loop.world.power_off("nas-b")
    loop.world.power_on("nas-b")
    loop.world.advance(60.0)
    assert not loop.plan().stages
    loop.world.power_off("nas-a")
    loop.world.advance(10.0)
    for each in virtual_ips:
        assert f"MASTER vhid {each['vhid']} " in loop.sh("nas-b", f"ifconfig {each['interface']}")


_BY_HAND = """
sysrc kld_list+=carp; kldload carp
sysctl net.inet.carp.preempt=1; echo net.inet.carp.preempt=1 >> /etc/sysctl.conf
echo 'ifconfig_ix1_alias1="inet6 2001:db8:2::1/64 vhid 2 advskew {0}"' >> /etc/rc.conf
echo 'ifconfig_ix1_alias2="inet6 fe80::1%ix1/64 vhid 2 advskew {0}"' >> /etc/rc.conf
ifconfig ix1 inet6 2001:db8:2::1/64 vhid 2 advskew {0}
ifconfig ix1 inet6 fe80::1%ix1/64 vhid 2 alias
"""


def by_hand(loop: Loop) -> None:
    """As its owner set the pair up."""
    for node, advskew in (("nas-a", 0), ("nas-b", 100)):
        loop.sh(node, _BY_HAND.format(advskew))
    loop.world.advance(6.0)


def test_a_pair_that_has_one_by_hand_is_adopted_as_it_is() -> None:
    """The document says what runs: nothing to do, neither now nor for the next boot."""
    loop = routers(lan("lan6", "ix1", "2001:db8:2::1/64", "fe80::1/64"))
    by_hand(loop)
    plan = loop.plan()
    assert [str(step.key) for step in plan.steps] == []
    assert plan.holds == ()


def test_one_that_the_document_does_not_name_is_taken_off_on_both_nodes() -> None:
    """Where the document is meant to be complete the removal works, and the plan is empty afterwards."""
    loop = routers(lan("lan6", "ix1", "2001:db8:2::1/64", "fe80::2/64"))
    loop.converge()
    loop.document = routers(lan("lan6", "ix1", "2001:db8:2::1/64")).document
    loop.converge()
    assert "fe80::2" not in loop.sh("nas-a", "ifconfig ix1; cat /etc/rc.conf.d/netif")
    assert not loop.plan().stages
