"""What hactl makes of a generated pair: the document of its files and of what runs, and the plan for it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hactl.core.adopt.draft import Draft, draft
from hactl.core.adopt.live import Reached
from hactl.core.adopt.node import IFCONFIG, MOUNTS, RUNNING_SYSCTL, NodeFile
from hactl.core.adopt.running import ROLES
from hactl.core.audit.check import audit
from hactl.core.cluster import Cluster
from hactl.core.document.load import read_cluster
from hactl.core.facts import Known, NodeFacts, Snapshot, fingerprint
from hactl.core.objects import HACluster
from hactl.core.plan import make_plan
from hactl.core.steps import Plan
from support.pairs.by_hand import Changed
from support.pairs.node import NOW, SALT, ask
from support.pairs.pair import Machine, Pair, shown_ifconfig, shown_list, shown_mounts

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyH"
#: In the order rc(8) reads them.
_ORDER = [
    r"/etc/rc\.conf", r"/etc/rc\.conf\.local", r"/etc/rc\.conf\.d/.*", r"/usr/local/etc/rc\.conf\.d/.*",
    r"/etc/hast\.conf", r"/etc/sysctl\.conf", r"/etc/sysctl\.conf\.local", r"/boot/.*", r"/etc/fstab",
]  # fmt: skip


def imported(pair: Pair) -> Draft:
    """As `hactl import nas-a nas-b` reads them."""
    reached = [Reached(f"192.0.2.{11 + at}", 22, "root", f"{_KEY}{'jk'[at]}") for at in range(len(pair.machines))]
    return draft([_files(machine) for machine in pair.machines], "", reached)


def _files(machine: Machine) -> list[NodeFile]:
    texts = [
        (path, machine.files[path]) for kind in _ORDER for path in sorted(machine.files) if re.fullmatch(kind, path)
    ]
    found = [(RUNNING_SYSCTL, f"net.inet.carp.preempt: {machine.preempt}\n"), *texts]
    found += [("hostname", f'hostname="{machine.name}"\n'), (MOUNTS, shown_mounts(machine, fstab=True))]
    found += [(IFCONFIG, shown_ifconfig(machine)), (ROLES, shown_list(machine))]
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


def looked(cluster: Cluster, pair: Pair, only: int | None = None) -> dict[str, Known[NodeFacts]]:
    """What the nodes answer, or one of them."""
    facts = {}
    with tempfile.TemporaryDirectory() as place:
        for at, (node, machine) in enumerate(zip(cluster.nodes, pair.machines, strict=True)):
            if only in (None, at):
                facts[node.name] = Known(ask(cluster, node.name, machine, Path(place, machine.name)), NOW)
    return facts


def planned(cluster: Cluster, facts: Mapping[str, Known[NodeFacts]]) -> Plan:
    """The plan for what runs; the audit has no complaint."""
    snapshot = Snapshot(NOW, facts)
    plan = make_plan(cluster, snapshot, NOW)
    complaints = audit(cluster, snapshot, plan, NOW)
    assert complaints == (), complaints
    return plan


@dataclass(frozen=True)
class Told:
    """A plan, as what it does and what it asks."""

    #: Node and verb, and target.
    steps: frozenset[tuple[str, str]]
    #: Node, reason, target and message.
    holds: frozenset[tuple[str, str, str, str]]


def told(plan: Plan) -> Told:
    """What counts of a plan."""
    steps = frozenset((f"{step.node} {step.verb}", step.target) for step in plan.steps)
    return Told(steps, frozenset((hold.node or "", str(hold.reason), hold.target, hold.message) for hold in plan.holds))


def wrong_at_first(pair: Pair, cluster: Cluster, first: Told) -> list[str]:
    """What the plan of an untouched pair has besides what is truly missing, or lacks."""
    called = {machine.name: node.name for machine, node in zip(pair.machines, cluster.nodes, strict=True)}
    missing = {(f"{called[said.split()[0]]} {said.split()[1]}", target) for said, target in pair.missing}
    found = [f"{said} {target} is too much" for said, target in first.steps - missing]
    found += [f"{said} {target} is lacking" for said, target in missing - first.steps]
    waiting = {(node, name) for node in called.values() for name in pair.waiting}
    holds = {(node, target) for node, reason, target, _ in first.holds if reason == "NotInDocument"}
    found += [f"nothing waits for {name} of {node}" for node, name in waiting - holds]
    found += [f"no hold {reason}" for reason in pair.held - {hold[1] for hold in first.holds}]
    return found + [
        f"{hold} is too much" for hold in first.holds if (hold[0], hold[2]) not in waiting and hold[1] not in pair.held
    ]


def wrong_after(cluster: Cluster, first: Told, now: Told, changed: Changed) -> list[str]:
    """What a plan after one change has besides what undoes it, or lacks."""
    node = cluster.nodes[changed.at].name
    steps, holds = now.steps - first.steps, now.holds - first.holds
    found = [f"{said} {target} is too much" for said, target in steps if said not in _of(node, changed.verbs)]
    found += [f"{hold} is too much" for hold in holds if hold[1] not in changed.reasons]
    gone = [(said, target) for said, target in first.steps - now.steps if said.split()[1] not in changed.waits]
    found += [f"{said} {target} is gone" for said, target in gone]
    return found + ([] if steps or holds else ["the change is not seen"])


def _of(node: str, verbs: frozenset[str]) -> set[str]:
    return {f"{node} {verb}" for verb in verbs}
