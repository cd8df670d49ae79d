"""The same pair on other releases: what ifconfig prints and does there is read and used rightly.

See docs/freebsd-facts.md#5.
"""

from __future__ import annotations

import pytest

from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints


@pytest.mark.parametrize("release", ["13.2-RELEASE", "14.2-RELEASE", "15.0-RELEASE"])
@pytest.mark.parametrize("name", ["nas", "firewall"])
def test_a_pair_converges_and_is_corrected_on_every_release(release: str, name: str) -> None:
    """Blank to serving, an unchanged pass without a step, one drift, one command."""
    loop = Loop(example(name), release=release)
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []
    assert loop.plan().stages == ()
    node, interface, vhid = ("nas-b", "vtnet1", 80) if name == "nas" else ("fw-2", "igb0", 10)
    loop.sh(node, f"ifconfig {interface} vhid {vhid} advskew 50")
    assert loop.converge() == [f"{node}: ifconfig {interface} vhid {vhid} advskew 100"]
