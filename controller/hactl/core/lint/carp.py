"""Rules about virtual IPs: passwords, advskews, preemption, advbase, masks. Table: `RULES`.

carp(4); docs/freebsd-facts.md#1.1 (what is authenticated), #1.2 (elections), #1.3 (demotion).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hactl.core.choices import Failback
from hactl.core.document.problems import Fault, FieldPath, listed
from hactl.core.document.rules.network import numeric, parse_address, virtual_addresses, virtual_ips
from hactl.core.evidence.carp import advskew_ladder, master_down_seconds
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Rule
from hactl.core.lint.parts import groups, has_standby
from hactl.core.objects import GroupSpec, HACluster, VirtualIP

#: From here on a standby waits for more than ten seconds of silence.
_SLOW_ADVBASE = 4
_PREEMPT: FieldPath = ("spec", "carp", "preempt")


def _no_password(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in virtual_ips(cluster):
        if vip.password_from is None:
            message = f"vhid {vip.vhid} has no password: whoever is on the network can take its addresses"
            yield Fault((*path, "passwordFrom"), message, "add passwordFrom: {file: ...} or {env: ...}")


def _best(advskews: Mapping[str, int]) -> str:
    return min(advskews, key=lambda node: advskews[node])


def _ladders(cluster: HACluster) -> Iterator[tuple[FieldPath, GroupSpec, VirtualIP, str]]:
    """Every virtual IP with advskews of its own, and the node they prefer."""
    for path, group in groups(cluster):
        for index, vip in enumerate(group.virtual_ips):
            if vip.advskews:
                yield (*path, "virtualIPs", index, "advskews"), group, vip, _best(vip.advskews)


def _ladders_apart(cluster: HACluster) -> Iterator[Fault]:
    first: dict[str, tuple[FieldPath, str]] = {}
    for path, group, vip, best in _ladders(cluster):
        other_path, other = first.setdefault(group.name, (path, best))
        if other != best:
            message = f"{best} wins vhid {vip.vhid} and {other} wins at {{other}}: no node ever has the whole group"
            yield Fault(path, message, "give the same node the lowest advskew everywhere", other=other_path)


def _ladder_against_order(cluster: HACluster) -> Iterator[Fault]:
    for path, group, vip, best in _ladders(cluster):
        if best != group.preferred[0]:
            message = f"{best} wins vhid {vip.vhid}, and the group prefers {group.preferred[0]}"
            yield Fault(path, message, f"put {best} first in preferred, or remove advskews")


def _preempt_brings_back(cluster: HACluster) -> Iterator[Fault]:
    for path, group, vip, best in _ladders(cluster):
        if cluster.spec.carp.preempt and group.failback is Failback.NEVER and has_standby(cluster):
            message = (
                f"{best} takes vhid {vip.vhid} back as soon as it is heard (preempt is true and advskews are fixed), "
                "although failback is Never"
            )
            yield Fault(path, message, "remove advskews: hactl gives the active node the lowest one")


def _ladder_of_some(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        with_own = [vip for vip in group.virtual_ips if vip.advskews]
        without = [vip for vip in group.virtual_ips if not vip.advskews]
        if with_own and without:
            names = listed([vip.name for vip in without], last="and")
            message = f"advskews keep {with_own[0].name} where CARP prefers it, while {names} follows the group"
            at = group.virtual_ips.index(with_own[0])
            yield Fault((*path, "virtualIPs", at, "advskews"), message, "give advskews to all of the group, or to none")


def _no_preempt(cluster: HACluster) -> Iterator[Fault]:
    if not cluster.spec.carp.preempt and has_standby(cluster) and any(True for _ in virtual_ips(cluster)):
        message = (
            "a demoted node (another link is down, it shuts down) keeps its addresses: FailoverReady is never true"
        )
        yield Fault(_PREEMPT, message, "remove it: true is the default")


def _no_preempt_apart(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        if not cluster.spec.carp.preempt and len(group.virtual_ips) > 1 and not group.storage:
            message = "after a failure of one interface the addresses can stay on different nodes: preempt is false"
            yield Fault((*path, "virtualIPs"), message, "write carp: {preempt: true}")


def _no_preempt_failback(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        only_addresses = group.virtual_ips and not group.storage and not group.services
        if only_addresses and group.failback is Failback.WHEN_READY and not cluster.spec.carp.preempt:
            message = "the better node does not take the addresses back while it hears the other one: preempt is false"
            yield Fault((*path, "failback"), message, "write carp: {preempt: true}, or failback: Never")


def _slow_advbase(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        for index, vip in enumerate(group.virtual_ips):
            skews = (vip.advskews or advskew_ladder(group.preferred)).values()
            seconds = master_down_seconds(vip.advbase, max(skews, default=0))
            if vip.advbase >= _SLOW_ADVBASE and has_standby(cluster):
                message = f"a standby waits {seconds:.1f} s in silence before it takes the address"
                yield Fault((*path, "virtualIPs", index, "advbase"), message, "1 is the default: 3 to 4 s")


def _advbases_differ(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        for index, vip in enumerate(group.virtual_ips):
            if vip.advbase != group.virtual_ips[0].advbase:
                early, late = sorted((vip.advbase, group.virtual_ips[0].advbase))
                message = f"one address moves {3 * (late - early)} s after the other when a node dies ({{other}})"
                where, other = (*path, "virtualIPs", index, "advbase"), (*path, "virtualIPs", 0)
                yield Fault(where, message, "give all of the group the same advbase", other=other)


def _mixed_families(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in virtual_ips(cluster):
        if len({parsed.version for text in vip.addresses if (parsed := parse_address(text)) is not None}) > 1:
            message = (
                "each family has a timer of its own: losing the advertisements of one makes the node MASTER of both"
            )
            yield Fault((*path, "addresses"), message, "a vhid for each family keeps them apart")


def _mask(cluster: HACluster) -> Iterator[Fault]:
    """The nodes are reached on one network; where a virtual IP's holds some of them only, its mask is in doubt."""
    hosts = {node.name: address for node in cluster.spec.nodes if (address := numeric(node.ssh.host)) is not None}
    for path, _, address in virtual_addresses(cluster):
        network = address.network
        same = {node: host for node, host in hosts.items() if host.version == network.version}
        inside = [node for node, host in same.items() if host in network]
        outside = [node for node, host in same.items() if host not in network]
        if not inside or not outside or network.num_addresses == 1:
            continue
        message = (
            f"{network} holds the address of {listed(inside, last='and')}, not that of {listed(outside, last='and')}"
        )
        yield Fault(path, message, "write the prefix length of the network")


RULES: tuple[tuple[Code, Rule], ...] = (
    (Code.NO_PASSWORD, _no_password),
    (Code.LADDERS_APART, _ladders_apart),
    (Code.LADDER_AGAINST_ORDER, _ladder_against_order),
    (Code.PREEMPT_BRINGS_BACK, _preempt_brings_back),
    (Code.LADDER_OF_SOME, _ladder_of_some),
    (Code.NO_PREEMPT, _no_preempt),
    (Code.NO_PREEMPT_APART, _no_preempt_apart),
    (Code.NO_PREEMPT_FAILBACK, _no_preempt_failback),
    (Code.SLOW_ADVBASE, _slow_advbase),
    (Code.ADVBASES_DIFFER, _advbases_differ),
    (Code.MIXED_FAMILIES, _mixed_families),
    (Code.MASK, _mask),
)
