"""What hactl makes of a generated pair: the document of its files and of what runs, and the plan for it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hactl.core.adopt.draft import Draft, draft
from hactl.core.adopt.live import Reached
from hactl.core.adopt.node import IFCONFIG, MOUNTS, RUNNING_SYSCTL, NodeFile
from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.document.load import read_cluster
from hactl.core.facts import Known, Snapshot, fingerprint
from hactl.core.objects import HACluster
from hactl.core.plan import make_plan
from hactl.core.steps import Plan
from support.pairs.node import NOW, SALT, ask
from support.pairs.pair import Machine, Pair, shown_ifconfig, shown_mounts

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyH"
#: In the order rc(8) reads them.
_ORDER = [
    r"/etc/rc\.conf", r"/etc/rc\.conf\.local", r"/etc/rc\.conf\.d/.*", r"/usr/local/etc/rc\.conf\.d/.*", r"/etc/hast\.conf",
    r"/etc/sysctl\.conf", r"/etc/sysctl\.conf\.local", r"/boot/.*", r"/etc/fstab",
]  # fmt: skip


def imported(pair: Pair) -> Draft:
    """As `hactl import nas-a nas-b` reads them."""
    reached = [Reached(f"192.0.2.{11 + at}", 22, "root", f"{_KEY}{'jk'[at]}") for at in range(len(pair.machines))]
    return draft([_files(machine) for machine in pair.machines], "", reached)


def _files(machine: Machine) -> list[NodeFile]:
    texts = [
        (path, machine.files[path])
        for kind in _ORDER
        for path in sorted(machine.files)
        if re.fullmatch(kind, path)
    ]
    found = [(RUNNING_SYSCTL, f"net.inet.carp.preempt: {machine.preempt}\n"), *texts]
    found += [("hostname", f'hostname="{machine.name}"\n'), (MOUNTS, shown_mounts(machine, fstab=True))]
    found += [(IFCONFIG, shown_ifconfig(machine))]
    return [NodeFile(f"{machine.name}:{path}", text) for path, text in found]


def cluster_of(made: Draft) -> Cluster:
    """The document, with the passwords that were found beside it."""
    document = read_cluster(made.data)
    assert isinstance(document, HACluster), document
    keys = {
        (group.name, vip.name): fingerprint(made.secrets[vip.password_from.file], SALT)
        for group in document.spec.groups
        for vip in group.virtual_ips
        if vip.password_from is not None and vip.password_from.file is not None
    }
    return Cluster(document, 1, keys)


def planned(cluster: Cluster, pair: Pair) -> Plan:
    """The plan for what runs; the audit has no complaint."""
    facts = {}
    with tempfile.TemporaryDirectory() as place:
        for node, machine in zip(cluster.nodes, pair.machines, strict=True):
            facts[node.name] = Known(ask(cluster, node.name, machine, Path(place, machine.name)), NOW)
    snapshot = Snapshot(NOW, facts)
    plan = make_plan(cluster, snapshot, NOW)
    complaints = audit(cluster, snapshot, plan, NOW)
    assert complaints == (), complaints
    return plan


@dataclass(frozen=True)
class Told:
    """A plan, as what it does and what it asks."""

    #: Node, verb and target; targets of one node each once.
    steps: frozenset[tuple[str, str]]
    holds: frozenset[str]


def told(plan: Plan) -> Told:
    """What counts of a plan."""
    steps = frozenset((f"{step.node} {step.verb}", step.target) for step in plan.steps)
    return Told(steps, frozenset(f"{hold.node} {hold.reason} {hold.target}: {hold.message}" for hold in plan.holds))
