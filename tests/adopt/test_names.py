"""Names that FreeBSD allows and people have: hosts with _, interfaces with - and names of their own."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from hactl.core.document.load import read_cluster
from hactl.core.objects import HACluster
from support.lab.closed_loop import EXAMPLES, Loop
from support.lab.serving import complaints


def spelled(**names: str) -> Any:
    """nas.yaml with other names."""
    text = (EXAMPLES / "nas.yaml").read_text()
    for old, new in names.items():
        text = text.replace(old.replace("_", "-"), new)
    return YAML(typ="safe").load(text)


def cluster(**names: str) -> HACluster:
    """The same, read."""
    found = read_cluster(spelled(**names))
    assert isinstance(found, HACluster), found
    return found


@pytest.mark.parametrize(
    "interface", ["vm-public", "bridge0", "lagg0", "vlan10", "ix1.10", "epair0a", "wan", "dmz_1", "lan-1.20", "10g0"]
)
def test_addresses_live_on_interfaces_of_every_name(interface: str) -> None:
    """The lab converges, serves, survives both reboots as its files say, and nothing is left to do."""
    loop = Loop(cluster(vtnet1=interface))
    loop.converge()
    loop.world.advance(5.0)
    assert complaints(loop) == []
    loop.world.power_off("nas-b")
    loop.world.power_on("nas-b")
    loop.world.advance(120.0)
    loop.executed.clear()
    loop.converge()
    assert complaints(loop) == []
    assert not [line for line in loop.executed if "ifconfig" in line or "rc.conf" in line], loop.executed


@pytest.mark.parametrize(("one", "other"), [("fbsd_h1", "fbsd_h2"), ("db_m1.dc1", "db_s1.dc1"), ("NAS1", "_b")])
def test_nodes_have_host_names_as_hostname_takes_them(one: str, other: str) -> None:
    """hast.conf(5), the hook and every command take them; the other node takes over when one loses power."""
    loop = Loop(cluster(nas_a=one, nas_b=other))
    loop.converge()
    loop.world.advance(5.0)
    assert complaints(loop) == []
    loop.world.power_off(one)
    loop.world.advance(60.0)
    assert "/dev/hast/data on /data" in loop.sh(other, "mount")
