"""The node hook: what a node does by itself when CARP moves the addresses of a group, rendered from the document.

Rules: one program, the parts of program/ with the settings of its node in front, a devd rule that calls it, and two
rc.d scripts (before the network, and late); no secrets in any of them; everything of the document is quoted; comments
stay in, for the file on a node is read by people in the middle of the night.
Man pages: devd.conf(5), rc(8), rcorder(8), carp(4).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.choices import Failback, FailoverPolicy, RunOn
from hactl.core.cluster import (
    HAST_PORT,
    Cluster,
    checks_of,
    failover_of,
    hooked_groups,
    interface_on,
    pool_under,
    start_order,
)
from hactl.core.evidence.carp import advskew_step, master_down_seconds
from hactl.core.objects import MAX_ADVSKEW, GroupSpec, StorageSpec, VirtualIP
from hactl.core.onestatus.judge import JUDGE, question_of
from hactl.core.packaged import packaged
from hactl.core.sh import quote

#: Where the hook's own program is.
HOOK = "/usr/local/libexec/hactl/hook"
DEVD_RULE = "/usr/local/etc/devd/hactl.conf"
RC_GUARD = "/usr/local/etc/rc.d/hactl_guard"
RC_NODE = "/usr/local/etc/rc.d/hactl_node"
#: The rc.conf variable of both rc.d scripts.
RCVAR = "hactl_node_enable"
#: lockf(1): the hook and the controller's steps take turns.
LOCK = "/var/run/hactl.lock"
#: devd runs one rule per event, the matching one of the highest priority; carp(4)'s example has 30.
RULE_PRIORITY = 100
#: What the boot guard adds to net.inet.carp.demotion: the most that counts (docs/freebsd-facts.md#1.2).
HELD_DEMOTION = 240


#: The parts of the hook, in the order they are read; the last one acts on its arguments.
PARTS = ("questions", "take_over", "give_up", "slept", "boot", "events")
_TEXTS = [packaged("hactl.core.hook", f"program/{part}.sh") for part in PARTS]
#: The hook but for the settings of a node.
PROGRAM = "\n".join([*_TEXTS[:-1], JUDGE, _TEXTS[-1]])
#: Services that start rpcbind themselves where it does not run (force_depend in their rc.d scripts), in a second.
RPC_SERVICES = frozenset({"lockd", "mountd", "nfsd", "statd"})
#: rc.d script of the node -> its text but for the line that says where it comes from.
_RC_SCRIPTS = {
    RC_GUARD: packaged("hactl.core.hook", "hactl_guard.sh"),
    RC_NODE: packaged("hactl.core.hook", "hactl_node.sh"),
}


@dataclass(frozen=True, slots=True)
class HookFile:
    """One file of the hook."""

    path: str
    text: str
    #: Permission bits.
    mode: int


def hook_files(cluster: Cluster, node: str) -> tuple[HookFile, ...]:
    """The files of that node; empty when none of its groups has anything but addresses."""
    groups = hooked_groups(cluster, node)
    if not groups:
        return ()
    head = f"# Written by hactl for {node} of the cluster {cluster.name}; a change here is undone. Edit the document."
    return (
        HookFile(HOOK, _program(cluster, node, groups, head), 0o755),
        HookFile(DEVD_RULE, _rule(groups, node, head, cluster.document.spec.carp.notify), 0o644),
        *(HookFile(path, text.replace("\n", f"\n{head}\n", 1), 0o755) for path, text in _RC_SCRIPTS.items()),
    )


def rendered(cluster: Cluster, node: str) -> str:
    """All files of the node for people, each under a line that names it."""
    return "\n".join(f"# --- {file.path} (mode {file.mode:04o})\n{file.text}" for file in hook_files(cluster, node))


def _program(cluster: Cluster, node: str, groups: tuple[GroupSpec, ...], head: str) -> str:
    lines = [
        "#!/bin/sh",
        head,
        f"# To see how things are: {HOOK} status. Everything it does is in /var/log/messages, tag hactl.",
        "",
        "# --- settings of this node",
        "",
        f"RULE={DEVD_RULE} STATE={STATE_DIRECTORY} LOCK={LOCK} HOLD={HELD_DEMOTION} PORT={HAST_PORT}",
        f"CARP_OFF={'yes' if _storage_only(cluster, node) else 'no'}",
        f"ALL_GROUPS={quote(' '.join(group.name for group in groups))}",
        f"HAST_NOTIFY={quote(' '.join(cluster.document.spec.hast.notify))}",
        "",
        "# VHIDS: number/interface/advskew serving/advskew standing by/seconds a vhid waits for a master",
        "group() {",
        '\tcase "$1" in',
        *(line for group in groups for line in _group(cluster, group, node)),
        "\tesac",
        "}",
        "",
        "# MEMBERS: the resources a pool stands on, this one among them",
        "resource() {",
        '\tcase "$1" in',
        *(line for group in groups for storage in group.storage for line in _resource(cluster, group, storage, node)),
        "\t*) PEER='' TIMEOUT=20 ALSO='' KIND=none WHERE='' OPTIONS='' MEMBERS='' ;;",
        "\tesac",
        "}",
        *_services(cluster),
    ]
    return "\n".join([*lines, "", PROGRAM])


def _services(cluster: Cluster) -> Iterator[str]:
    """What the document says besides a service's name: how to tell whether it runs, and what it comes after."""
    named = checks_of(cluster)
    yield ""
    yield f"CHECKED={quote(' '.join(['', *named, '']))}"
    ordered = {spec.name: spec.after for group in cluster.groups for spec in group.services if spec.after}
    yield f"AFTER={quote(' '.join(['', *ordered, '']))}"
    if ordered:
        yield from ("", "comes_after() {", '\tcase "$1" in')
        yield from (f"\t{name}) NEEDS={quote(' '.join(needed))} ;;" for name, needed in ordered.items())
        yield from ("\tesac", "}")
    if named:
        yield from ("", "own_check() {", '\tcase "$1" in')
        yield from (f"\t{name}) {question_of(check)} </dev/null >/dev/null 2>&1 ;;" for name, check in named.items())
        yield from ("\tesac", "}")


def _storage_only(cluster: Cluster, node: str) -> bool:
    """Whether every vhid of the node belongs to a group with storage that fails over by itself; CARP is one switch."""
    groups = [group for group in cluster.groups if node in group.preferred and group.virtual_ips]
    automatic = [failover_of(cluster, group).policy is FailoverPolicy.AUTOMATIC for group in groups]
    return all(group.storage for group in groups) and all(automatic)


def _group(cluster: Cluster, group: GroupSpec, node: str) -> Iterator[str]:
    failover = failover_of(cluster, group)
    services = [service.name for service in start_order(group) if service.run_on is RunOn.ACTIVE]
    yield f"\t{group.name})"
    yield f"\t\tPOLICY={failover.policy} SETTLE={failover.settle_seconds} WITNESSES={quote(' '.join(failover.witness))}"
    yield f"\t\tRANK={group.preferred.index(node)} SOLO={failover.solo_start}"
    yield f"\t\tVHIDS={quote(' '.join(_vhid(group, vip, node) for vip in group.virtual_ips))}"
    yield f"\t\tRESOURCES={quote(' '.join(storage.name for storage in group.storage))}"
    yield f"\t\tSERVICES={quote(' '.join(services))} EARLY={'rpcbind' if RPC_SERVICES & set(services) else quote('')}"
    yield "\t\t;;"


def _vhid(group: GroupSpec, vip: VirtualIP, node: str) -> str:
    """Number, interface, the advskews (`-`: the hook leaves it alone), and the master-down time (carp_setrun)."""
    serving, standby = advskew_pair(group, vip, node)
    slowest = standby if standby is not None else MAX_ADVSKEW
    wait = ceil(master_down_seconds(vip.advbase, slowest)) + 1
    skews = "/".join("-" if value is None else str(value) for value in (serving, standby))
    return f"{vip.vhid}/{interface_on(vip, node)}/{skews}/{wait}"


def advskew_pair(group: GroupSpec, vip: VirtualIP, node: str) -> tuple[int | None, int | None]:
    """The node's advskew while it serves and while it stands by; None: as the document or CARP has it.

    The address follows the storage; without storage it follows the order of the document unless the group stays where
    it went (failback: Never).
    """
    if vip.advskews is not None or (not group.storage and group.failback is not Failback.NEVER):
        return None, None
    others = [other for other in group.preferred if other != node]
    # While another node serves that one comes first, so this node's place is after it and those preferred to it.
    place = 1 + sum(group.preferred.index(other) < group.preferred.index(node) for other in others[1:])
    return 0, max(1, place) * advskew_step(len(group.preferred))


def _resource(cluster: Cluster, group: GroupSpec, storage: StorageSpec, node: str) -> Iterator[str]:
    hast, spec, pool = storage.hast, storage.filesystem, pool_under(group, storage)
    peer = next((address for other, address in hast.addresses.items() if other != node), "")
    kind, where, options, members = "none", "", "", ""
    if spec is not None and spec.ufs is not None:
        kind, where, options = "ufs", spec.ufs.mountpoint, ",".join(spec.ufs.options)
    elif pool is not None:
        kind, where, members = "zfs", pool.name, " ".join(pool.resources)
    yield f"\t{storage.name})"
    others = [spec.ssh.host for spec in cluster.nodes if spec.name in hast.devices and spec.name != node]
    yield f"\t\tPEER={quote(peer)} TIMEOUT={hast.timeout_seconds} ALSO={quote(' '.join(filter(_elsewhere, others)))}"
    yield f"\t\tKIND={kind} WHERE={quote(where)} OPTIONS={quote(options)} MEMBERS={quote(members)}"
    yield "\t\t;;"


def _elsewhere(host: str) -> bool:
    """Whether a node can ask another one there: an address, and not the controller's own loopback."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def carp_subsystems(groups: tuple[GroupSpec, ...], node: str) -> tuple[str, ...]:
    """What the kernel calls the vhids of these groups in its events: `80@em0` (ip_carp.c, carp_set_state)."""
    names = (f"{vip.vhid}@{interface_on(vip, node)}" for group in groups for vip in group.virtual_ips)
    return tuple(dict.fromkeys(names))


def _rule(groups: tuple[GroupSpec, ...], node: str, head: str, also: Sequence[str]) -> str:
    """devd's regular expressions are anchored (devd.conf(5)); dots of VLAN interfaces are meant literally.

    Of several rules that match devd runs one, that of the highest priority (sbin/devd/devd.cc, find_and_execute): 100
    is above the 30 of carp(4)'s example.
    """
    names = [name.replace(".", "[.]") for name in carp_subsystems(groups, node)]
    return "\n".join(
        [
            head,
            f"notify {RULE_PRIORITY} {{",
            '\tmatch "system"\t\t"CARP";',
            f'\tmatch "subsystem"\t"({"|".join(names)})";',
            '\tmatch "type"\t\t"(MASTER|BACKUP|INIT)";',
            f'\taction "{"; ".join(f"{program} $subsystem $type" for program in (f"{HOOK} carp", *also))}";',
            "};",
            "",
        ]
    )
