"""Two MASTERs for one vhid: why they do not hear, or do not believe, each other.

Rules: what both sides' configuration shows comes first, because it is certain: password, then the set of addresses
(both are under the HMAC of an advertisement; prefix lengths are not). With equal configuration the counters tell: what
is discarded as badly authenticated then comes from somebody else's vhid; nothing received at all is the network.
docs/freebsd-facts.md#1.1; netstat(1) -s -p carp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hactl.core.catalogue import Cause
from hactl.core.cluster import Cluster, interface_on
from hactl.core.evidence.view import View
from hactl.core.facts import Known, NodeFacts, Snapshot, Vhid, family, known
from hactl.core.objects import GroupSpec, VirtualIP

_RECEIVED = re.compile(r"packets? received \(IPv[46]\)")
_BAD_KEY = "discarded for bad authentication"
#: The groups that advertisements go to (14.x and later can send to one peer instead).
_MULTICAST = frozenset({"224.0.0.18", "ff02::12"})


class MastersCause(NamedTuple):
    """Why there are two."""

    cause: Cause
    #: The reason in one clause, without the vhid.
    clause: str
    #: Commands, or what to look at; empty: nothing is known to help.
    remedies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    node: str
    interface: str
    vhid: Vhid
    addresses: frozenset[str]
    #: None: the counters are not known.
    received: int | None
    bad_key: int | None
    #: They grew since an earlier look; None: there was none.
    received_grew: bool | None
    bad_key_grew: bool | None


def two_masters_cause(view: View, group: GroupSpec, vip: VirtualIP, before: Snapshot | None = None) -> MastersCause:
    """Why two nodes are MASTER for the vhid. `before`: an earlier look, which shows what the counters do now.

    With fewer than two MASTERs the cause is NotKnown.
    """
    sides = [side for node in view.masters(vip) if (side := _side(view, before, vip, node)) is not None]
    if len(sides) < 2:
        return MastersCause(Cause.TWO_MASTERS_NOT_KNOWN, "two MASTERs are not seen", ())
    for find in (_password, _addresses, _unicast):
        found = find(view.cluster, group, vip, sides)
        if found is not None:
            return found
    return _counters(vip, sides)


def _side(view: View, before: Snapshot | None, vip: VirtualIP, node: str) -> _Side | None:
    facts, interface = view.facts[node], view.interface(vip, node)
    vhid = interface.vhid(vip.vhid) if interface else None
    if interface is None or vhid is None:
        return None
    now, then = _counts(facts), _counts(_earlier(before, node))
    return _Side(
        node=node,
        interface=interface.name,
        vhid=vhid,
        addresses=frozenset(address.ip for address in interface.of_vhid(vip.vhid)),
        received=now[0] if now else None,
        bad_key=now[1] if now else None,
        received_grew=now[0] > then[0] if now and then else None,
        bad_key_grew=now[1] > then[1] if now and then else None,
    )


def _earlier(before: Snapshot | None, node: str) -> NodeFacts | None:
    reading = before.nodes.get(node) if before is not None else None
    return reading.value if isinstance(reading, Known) else None


def _counts(facts: NodeFacts | None) -> tuple[int, int] | None:
    """(advertisements received, discarded for bad authentication)."""
    counters: Mapping[str, int] | None = known(facts.carp_counters) if facts is not None else None
    if not counters:
        return None
    received = sum(count for name, count in counters.items() if _RECEIVED.fullmatch(name))
    return received, counters.get(_BAD_KEY, 0)


# --- configuration ------------------------------------------------------------------------------------------------


def _password(cluster: Cluster, group: GroupSpec, vip: VirtualIP, sides: list[_Side]) -> MastersCause | None:
    if len({side.vhid.key for side in sides}) == 1:
        return None
    wanted = cluster.keys.get((group.name, vip.name))
    wrong = [side for side in sides if side.vhid.key != wanted] if wanted is not None else sides
    names = " and ".join(side.node for side in sides)
    clause = f"{names} have different passwords, so each throws the other's advertisements away"
    if wanted is None:
        return MastersCause(
            Cause.TWO_MASTERS_PASSWORD_DIFFERS,
            clause,
            (f"give {group.name} a passwordFrom in the document, and hactl apply",),
        )
    clause += f"; the password of {' and '.join(side.node for side in wrong)} is not the document's"
    return MastersCause(
        Cause.TWO_MASTERS_PASSWORD_DIFFERS,
        clause,
        (f"on {wrong[0].node}: ifconfig {wrong[0].interface} vhid {vip.vhid} pass PASSWORD",),
    )


def _addresses(cluster: Cluster, group: GroupSpec, vip: VirtualIP, sides: list[_Side]) -> MastersCause | None:
    del cluster, group
    if len({side.addresses for side in sides}) == 1:
        return None
    wanted = {address.partition("/")[0]: address for address in vip.addresses}
    differences: list[str] = []
    remedies: list[str] = []
    for side in sides:
        for ip in sorted(set(wanted) - side.addresses):
            differences.append(f"{side.node} lacks {ip}")
            remedies.append(
                f"on {side.node}: ifconfig {side.interface} {family(ip)} {wanted[ip]} alias vhid {vip.vhid}"
            )
        for ip in sorted(side.addresses - set(wanted)):
            differences.append(f"{side.node} also has {ip}")
            remedies.append(f"on {side.node}: ifconfig {side.interface} {family(ip)} {ip} -alias")
    return MastersCause(
        Cause.TWO_MASTERS_ADDRESS_SETS_DIFFER,
        f"the addresses differ ({', '.join(differences)}), and they are part of what is authenticated",
        tuple(remedies),
    )


def _unicast(cluster: Cluster, group: GroupSpec, vip: VirtualIP, sides: list[_Side]) -> MastersCause | None:
    del cluster, group
    for side in sides:
        peers = [peer for peer in (side.vhid.peer, side.vhid.peer6) if peer and peer not in _MULTICAST]
        if peers:
            return MastersCause(
                Cause.TWO_MASTERS_UNICAST_PEER,
                f"{side.node} talks to {' and '.join(peers)} only, and not to the group's other nodes",
                (f"on {side.node}: ifconfig {side.interface} vhid {vip.vhid} mcast mcast6",),
            )
    return None


# --- counters -----------------------------------------------------------------------------------------------------


def _counters(vip: VirtualIP, sides: list[_Side]) -> MastersCause:
    number = vip.vhid
    silent = [side for side in sides if side.received is None]
    if silent:
        clause = f"configuration is equal; the counters of {silent[0].node} are not known"
        return MastersCause(Cause.TWO_MASTERS_NOT_KNOWN, clause, (f"on {silent[0].node}: netstat -s -p carp",))
    clash = [side for side in sides if _now(side.bad_key_grew, side.bad_key)]
    if clash:
        side = clash[0]
        return MastersCause(
            Cause.TWO_MASTERS_VHID_CLASH,
            f"passwords and addresses are equal, yet {side.node} discards "
            f"advertisements for bad authentication: another machine on {side.interface}'s network uses vhid {number}",
            (
                f"on {side.node}: tcpdump -ni {side.interface} -e -c 20 ip proto 112",
                "then give one of the two another vhid",
            ),
        )
    deaf = [side for side in sides if not _now(side.received_grew, side.received)]
    look = f"tcpdump -ni {interface_on(vip, (deaf or sides)[0].node)} -c 5 ip proto 112"
    check = "check the switch (multicast 224.0.0.18, IGMP snooping, VLAN) and the firewall (pass proto carp)"
    if len(deaf) == len(sides):
        names = " and ".join(side.node for side in deaf)
        clause = f"configuration is equal, but {names} receive no advertisement: nothing gets through"
        return MastersCause(Cause.TWO_MASTERS_NOTHING_HEARD, clause, (f"on {deaf[0].node}: {look}", check))
    if deaf:
        clause = f"configuration is equal, but {deaf[0].node} receives no advertisement: one way is cut"
        return MastersCause(Cause.TWO_MASTERS_HEARD_ONE_WAY, clause, (f"on {deaf[0].node}: {look}", check))
    return MastersCause(
        Cause.TWO_MASTERS_NOT_KNOWN,
        "configuration is equal and both receive advertisements; a moment's race ends by itself",
        (f"look again in {4 * vip.advbase} s", f"if it lasts, on both: {look}"),
    )


def _now(grew: bool | None, count: int | None) -> bool:
    """Whether a counter moves; with one look only, whether it ever did."""
    return bool(count) if grew is None else grew
