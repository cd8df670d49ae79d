"""Rules about what the nodes do by themselves: witnesses, soloStart, limits. Table: `RULES`.

docs/failover.md says what a pair does when a node goes; docs/freebsd-facts.md#2.6 what HAST does not refuse.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.choices import Failback, FailoverPolicy
from hactl.core.cluster import follows_addresses
from hactl.core.document.problems import Fault, FieldPath
from hactl.core.document.rules.network import IPInterface, numeric
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Rule
from hactl.core.lint.hast import shared_links
from hactl.core.lint.parts import failover_of, failover_path, fails_over, groups, has_standby
from hactl.core.objects import FailoverSpec, GroupSpec, HACluster

#: A node with a short boot answers after about 40 s (docs/freebsd-facts.md#7.11), and its peer may be slower.
_BOOT_SECONDS = 60
#: More than all the rest of a failover takes.
_LONG_SETTLE_SECONDS = 10
_ADD_WITNESS = "add witness: [the address of a router or switch]"


def _one_cut(cluster: HACluster) -> Iterator[Fault]:
    for group, path, wire in shared_links(cluster):
        if (
            fails_over(cluster, group)
            and not failover_of(cluster, group).witness
            and not _elsewhere(cluster, group, wire)
        ):
            message = f"when {wire.network} is cut between the nodes neither hears the other one, and both serve"
            yield Fault(path, message, f"replicate over a link of its own, or {_ADD_WITNESS}")


def _elsewhere(cluster: HACluster, group: GroupSpec, wire: IPInterface) -> bool:
    """Whether the hook can ask for a peer on another network: where the group replicates, and at the address that hactl
    uses if that is one (a name is never asked).
    """
    asked = [numeric(node.ssh.host) for node in cluster.spec.nodes]
    asked += [numeric(text) for storage in group.storage for text in storage.hast.addresses.values()]
    return any(address is not None and not address.is_loopback and address not in wire.network for address in asked)


def _no_witness(cluster: HACluster) -> Iterator[Fault]:
    cut = {group.name for group, _, wire in shared_links(cluster) if not _elsewhere(cluster, group, wire)}
    for path, group in groups(cluster):
        asked = failover_of(cluster, group).witness or group.name in cut
        if group.storage and fails_over(cluster, group) and not asked:
            message = f"where every network between the nodes is cut behind a switch both serve {group.name}"
            yield Fault((*failover_path(path, group), "witness"), message, _ADD_WITNESS)


def _hooked(cluster: HACluster, *, storage: bool) -> Iterator[tuple[FieldPath, FailoverSpec]]:
    """Each `failover` once that the hook of some group goes by; `storage`: of some group with storage."""
    seen: set[FieldPath] = set()
    for path, group in groups(cluster):
        where = failover_path(path, group)
        if (group.storage or not storage) and where not in seen and fails_over(cluster, group):
            seen.add(where)
            yield where, failover_of(cluster, group)


def _solo_no_witness(cluster: HACluster) -> Iterator[Fault]:
    for path, failover in _hooked(cluster, storage=True):
        if failover.solo_start and not failover.witness:
            message = "a node that is cut off from everything takes its peer for gone and serves alone"
            yield Fault((*path, "soloStart"), message, _ADD_WITNESS)


def _solo_too_soon(cluster: HACluster) -> Iterator[Fault]:
    for path, failover in _hooked(cluster, storage=True):
        if 0 < failover.solo_start < _BOOT_SECONDS:
            message = f"a peer that takes longer than {failover.solo_start} s to boot is not waited for"
            yield Fault((*path, "soloStart"), message, "write 600: a person needs minutes too")


def _one_move(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        back = group.storage and group.failback is Failback.WHEN_READY
        if back and failover_of(cluster, group).max_moves_per_hour == 1:
            message = f"{group.name} does not come back within the hour: the failover was its one move"
            where = (*failover_path(path, group), "maxMovesPerHour")
            yield Fault(where, message, "write 2 or more, or failback: Never")


def _manual(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        hooked = group.virtual_ips and follows_addresses(group) and has_standby(cluster)
        if hooked and failover_of(cluster, group).policy is FailoverPolicy.MANUAL:
            message = f"when the active node dies the addresses of {group.name} move, its storage and services do not"
            yield Fault((*failover_path(path, group), "policy"), message, "write Automatic if nobody is there at night")


def _long_settle(cluster: HACluster) -> Iterator[Fault]:
    for path, failover in _hooked(cluster, storage=False):
        if failover.settle_seconds > _LONG_SETTLE_SECONDS:
            message = f"the service is away {failover.settle_seconds} s longer in every failover"
            yield Fault((*path, "settleSeconds"), message, "1 is the default")


def _one_witness(cluster: HACluster) -> Iterator[Fault]:
    for path, failover in _hooked(cluster, storage=False):
        if len(failover.witness) == 1:
            message = f"while {failover.witness[0]} is down nothing fails over"
            yield Fault((*path, "witness"), message, "name a second one: one that answers is enough")


RULES: tuple[tuple[Code, Rule], ...] = (
    (Code.ONE_CUT, _one_cut),
    (Code.NO_WITNESS, _no_witness),
    (Code.SOLO_NO_WITNESS, _solo_no_witness),
    (Code.SOLO_TOO_SOON, _solo_too_soon),
    (Code.ONE_MOVE, _one_move),
    (Code.MANUAL, _manual),
    (Code.LONG_SETTLE, _long_settle),
    (Code.ONE_WITNESS, _one_witness),
)
