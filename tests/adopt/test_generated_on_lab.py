"""Generated pairs of addresses on the lab: booted from their owners' files, adopted, changed by hand, mended."""

from __future__ import annotations

import pytest

from support.pairs.generator import generated
from support.pairs.judge import imported
from support.pairs.on_lab import booted, without_disks


@pytest.mark.parametrize("seed", without_disks(1000, 12))
def test_a_pair_that_boots_from_its_owners_files_has_nothing_to_do(seed: int) -> None:
    """What the lab's rc.d/netif makes of the files is what the generator says; one change comes to one step."""
    pair = generated(seed)
    made = imported(pair)
    loop = booted(pair, made)
    nodes = [node.name for node in loop.document.spec.nodes]
    missing = {
        (f"{nodes[[m.name for m in pair.machines].index(s.split()[0])]} {s.split()[1]}", t) for s, t in pair.missing
    }
    plan = loop.plan()
    assert {(f"{step.node} {step.verb}", step.target) for step in plan.steps} == missing, pair
    assert {hold.target for hold in plan.holds} <= pair.waiting, pair
    if pair.waiting:
        return
    loop.converge()
    port = next(port for port in pair.machines[1].ports.values() if port.vhids)
    vhid = next(iter(port.vhids.values()))
    loop.sh(nodes[1], f"ifconfig {port.name} vhid {vhid.number} advskew {(vhid.advskew + 3) % 230}")
    assert loop.converge() == [f"{nodes[1]}: ifconfig {port.name} vhid {vhid.number} advskew {vhid.advskew}"], pair
