"""A generated pair of addresses on the lab: its files on nodes that boot from them."""

from __future__ import annotations

from hactl.core.adopt.draft import Draft
from hactl.core.document.load import read_cluster
from hactl.core.objects import HACluster
from support.lab.closed_loop import Loop
from support.pairs.generator import generated
from support.pairs.pair import Pair


def without_disks(first: int, count: int) -> list[int]:
    """Seeds of pairs that have addresses alone, in a form that the lab's rc.d/netif knows."""
    found: list[int] = []
    seed = first
    while len(found) < count:
        pair = generated(seed)
        drawn = " ".join(pair.drawn)
        if not pair.machines[0].resources and "ipv4_addrs" not in drawn and "carp in loader" not in drawn:
            found.append(seed)
        seed += 1
    return found


def booted(pair: Pair, made: Draft) -> Loop:
    """The pair of that document, its nodes started from the files that their owner wrote."""
    document = read_cluster(made.data)
    assert isinstance(document, HACluster), document
    passwords = {
        (group.name, vip.name): made.secrets[vip.password_from.file]
        for group in document.spec.groups
        for vip in group.virtual_ips
        if vip.password_from is not None and vip.password_from.file is not None
    }
    loop = Loop(document, passwords=passwords)
    for node, machine in zip(document.spec.nodes, pair.machines, strict=True):
        for path, text in machine.files.items():
            loop.sh(node.name, f"mkdir -p {path.rpartition('/')[0]}")
            loop.machine(node.name).files.write_text(path, text.replace(machine.name, node.name))
        loop.sh(node.name, "shutdown -r now")
        loop.world.advance(60.0)
    return loop
