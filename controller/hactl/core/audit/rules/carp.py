"""What the audit demands of steps that change CARP now: module, sysctls, demotion, addresses, vhids.

Rules: docs/safety.md#I5 and I7, and docs/freebsd-facts.md#trap-1 to #trap-11. Man pages: carp(4), ifconfig(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from hactl.core.audit.case import Case
from hactl.core.audit.effects import Ifconfig, LoadsModule, SetsSysctl
from hactl.core.audit.model import Node
from hactl.core.audit.rules.filesystems import serves
from hactl.core.choices import Failback, RunOn
from hactl.core.cluster import interface_on
from hactl.core.facts import CarpState
from hactl.core.objects import GroupSpec, VirtualIP


def load_module(case: Case) -> Iterator[str]:
    """LoadModule."""
    for effect in case.all_of(LoadsModule):
        if effect.module != "carp":
            yield f"loads {effect.module}, not carp"
        if (case.here.modules or {}).get(effect.module):
            yield f"I7: {effect.module} is loaded already"


def set_sysctl(case: Case) -> Iterator[str]:
    """SetSysctl: only what the document says, and only when it differs."""
    wanted = {"net.inet.carp.preempt": int(case.world.cluster.document.spec.carp.preempt), "net.inet.carp.allow": 1}
    for effect in case.all_of(SetsSysctl):
        if effect.name not in wanted:
            yield f"{effect.name} is not a sysctl hactl sets"
        elif effect.value != str(wanted[effect.name]):
            yield f"sets {effect.name} to {effect.value}, the document says {wanted[effect.name]}"
        if (case.here.sysctls or {}).get(effect.name.removeprefix("net.inet.carp.")) == int(effect.value):
            yield f"I7: {effect.name} is {effect.value} already"


def adjust_demotion(case: Case) -> Iterator[str]:
    """AdjustDemotion: the write adds, so it must be the exact negative of what was added by hand.

    See docs/freebsd-facts.md#trap-6.
    """
    for effect in case.all_of(SetsSysctl):
        if effect.name != "net.inet.carp.demotion":
            yield f"{effect.name} is not the demotion"
        elif case.here.sysctls is None or "demotion" not in case.here.sysctls:
            yield "the demotion of the node is not known"
        elif effect.value not in (allowed := _negatives(case.here)):
            right = " or ".join(sorted(allowed)) or "nothing"
            yield f"adds {effect.value} to the demotion, the exact negative is {right}"


def _negatives(node: Node) -> set[str]:
    """What may be written: the negative of the whole demotion, or of what the kernel log says came by sysctl."""
    hook = node.seen(lambda facts: facts.hook)
    held = hook.held if hook is not None else 0
    now = (node.sysctls or {}).get("demotion", 0) - held
    log = node.seen(lambda facts: facts.demotions)
    by_hand = sum(amount for amount, _, reason in log or () if reason == "sysctl") - held
    rest = sum(amount for amount, _, reason in log or () if reason != "sysctl")
    allowed = {by_hand} if by_hand else set()
    if rest == 0:
        allowed.add(now)
    return {str(-amount) for amount in allowed if amount}


def wanted_advskew(case: Case, group: GroupSpec, vip: VirtualIP) -> int | None:
    """What this node's must be; None: more than one value may be right, while nobody is known to serve the group."""
    if vip.advskews is not None:
        return vip.advskews.get(case.step.node)
    lead = _lead(case, group)
    if lead is None:
        return None
    order = [lead, *(node for node in group.preferred if node != lead)]
    return order.index(case.step.node) * _distance(group)


def _lead(case: Case, group: GroupSpec) -> str | None:
    """The node that must win: the one that has the group's storage and services, or the best of its order."""
    if not group.storage:
        stays = group.failback is Failback.NEVER or case.plan.active.get(group.name) not in (None, group.preferred[0])
        moves = case.plan.goals.get(group.name) != group.preferred[0]
        return None if stays or moves else group.preferred[0]
    names = [service.name for service in group.services if service.run_on is RunOn.ACTIVE]
    full = [
        node.name
        for node in case.world.nodes.values()
        if serves(node, group) and all(node.services.get(name) for name in names)
    ]
    named = (case.plan.active.get(group.name), case.plan.goals.get(group.name))
    return full[0] if len(full) == 1 and full[0] in named else None


def _distance(group: GroupSpec) -> int:
    return min(100, 239 // max(1, len(group.preferred) - 1))


def _is_a_place(group: GroupSpec, vip: VirtualIP, advskew: int) -> bool:
    """Whether an advskew is one that hactl gives to a node of the group."""
    places = {index * _distance(group) for index in range(len(group.preferred))}
    return advskew in (places if vip.advskews is None else set(vip.advskews.values()))


def is_active_for(case: Case, group: GroupSpec | None, vhid: int, interface_of: Callable[[str], str]) -> bool:
    """Whether this node is the one that serves a vhid: MASTER; of several MASTERs the one with the storage.

    Of several that no group has, it is the first one: the others may lose it before.
    """
    masters = [node for node in case.world.nodes.values() if node.may_be_master(interface_of(node.name), vhid)]
    names = [node.name for node in masters]
    if case.step.node not in names:
        return False
    if len(names) == 1:
        return True
    if group is None:
        return case.step.node == next((node.name for node in masters if node.facts), case.step.node)
    holders = [node.name for node in masters if any(node.is_primary(storage.name) for storage in group.storage)] or [
        node.name for node in masters if any(node.may_be_primary(storage.name) for storage in group.storage)
    ]
    chosen = case.plan.active.get(group.name)
    # Of two primaries somebody has to be changed first: the one the document prefers is last.
    last = min(holders or names, key=lambda name: (name != chosen, group.preferred.index(name)))
    return case.step.node == last


def _standby_first(case: Case, shows: Callable[[Node], bool], what: str) -> Iterator[str]:
    """I5: every other node already shows the change, on evidence that is not too old."""
    for other in case.world.others(case.step.node):
        if other.facts is None:
            yield f"I5: disturbs the active node although {other.name} does not answer and cannot show {what}"
        elif old := case.too_old(other):
            yield old
        elif not shows(other):
            yield f"I5: disturbs the active node before {other.name} shows {what}"


def add_address(case: Case) -> Iterator[str]:
    """AddAddress."""
    for effect in case.all_of(Ifconfig):
        if effect.alias is not True:
            yield "without `alias` ifconfig deletes the first address of the interface"
        if effect.state:
            yield "sets a state, which AddAddress does not say"
        found = case.vip(effect.interface, effect.vhid)
        if not effect.ip or effect.vhid is None or found is None:
            yield f"vhid {effect.vhid} on {effect.interface} is not in the document"
            continue
        yield from _added(case, effect, *found)


def _added(case: Case, effect: Ifconfig, group: GroupSpec, vip: VirtualIP) -> Iterator[str]:
    wanted = {str(ip_interface(text).ip): ip_interface(text).network.prefixlen for text in vip.addresses}
    if wanted.get(effect.ip) != effect.prefix_length:
        yield f"{effect.ip}/{effect.prefix_length} is not an address of {vip.name}"
    if case.here.interfaces is None or effect.interface not in case.here.interfaces:
        yield f"the addresses of {effect.interface} are not known"
        return
    present = case.here.interfaces[effect.interface]
    length, vhid = present.addresses.get(effect.ip, (None, None))
    if (length, vhid) == (effect.prefix_length, effect.vhid):
        yield f"I7: {effect.ip} is on vhid {vhid} already; adding it again drops MASTER"
    elif length is not None and vhid is None and not _has_base(present.addresses, effect.ip):
        yield f"{effect.ip} is the node's own address on {effect.interface}; this would turn it into a CARP address"
    number = vip.vhid
    if number in present.vhids:
        if effect.secret and present.vhids[number].key == case.world.cluster.keys.get((group.name, vip.name)):
            yield f"I7: vhid {number} has this password already"
        if is_active_for(case, group, number, lambda node: interface_on(vip, node)):
            entry = (effect.prefix_length or 0, number)
            yield from _standby_first(
                case, lambda node: _has(node, vip, effect.ip, entry), f"{effect.ip} on vhid {number}"
            )
    else:
        yield from _created(case, effect, group, vip)


def _has_base(addresses: dict[str, tuple[int, int | None]], ip: str) -> bool:
    """Whether the interface keeps an address of its own of this family besides `ip`."""
    six = ":" in ip
    return any(
        other != ip and vhid is None and (":" in other) == six and not other.startswith("fe80:")
        for other, (_, vhid) in addresses.items()
    )


def _has(node: Node, vip: VirtualIP, ip: str, entry: tuple[int, int]) -> bool:
    present = (node.interfaces or {}).get(interface_on(vip, node.name))
    return present is not None and present.addresses.get(ip) == entry


def _created(case: Case, effect: Ifconfig, group: GroupSpec, vip: VirtualIP) -> Iterator[str]:
    """The vhid is new: it must come up with the document's values, or every node becomes MASTER."""
    if case.here.modules is not None and not case.here.modules.get("carp", False):
        yield "the carp module is not loaded"
    if vip.password_from is not None and not effect.secret:
        yield f"vhid {vip.vhid} would be created without its password"
    wanted = wanted_advskew(case, group, vip)
    if wanted is not None and (effect.advskew or 0) != wanted:
        yield f"vhid {vip.vhid} would get advskew {effect.advskew or 0}, the document says {wanted}"
    if not _is_a_place(group, vip, effect.advskew or 0):
        yield f"vhid {vip.vhid} would get advskew {effect.advskew or 0}, which no node has by the document"
    if (effect.advbase or 1) != vip.advbase:
        yield f"vhid {vip.vhid} would get advbase {effect.advbase or 1}, the document says {vip.advbase}"


def remove_address(case: Case) -> Iterator[str]:
    """RemoveAddress."""
    for effect in case.all_of(Ifconfig):
        if effect.alias is not False or not effect.ip:
            yield "does not remove an address"
            continue
        if effect.vhid is not None or effect.secret or effect.state:
            yield "names vhid words while removing, which can leave an orphan vhid"
        present = (case.here.interfaces or {}).get(effect.interface)
        if present is None:
            yield f"the addresses of {effect.interface} are not known"
        elif effect.ip not in present.addresses:
            yield f"I7: {effect.interface} does not have {effect.ip}"
        else:
            yield from _removed(case, effect, *present.addresses[effect.ip])


def _removed(case: Case, effect: Ifconfig, length: int, vhid: int | None) -> Iterator[str]:
    if vhid is None:
        yield f"{effect.ip} is not a CARP address of {effect.interface}"
        return
    found = case.vip(effect.interface, vhid)
    if found and any((str(i.ip), i.network.prefixlen) == (effect.ip, length) for i in _wanted(found[1])):
        yield f"I7: {effect.ip}/{length} on vhid {vhid} is what the document says"

    def removed_there(node: Node) -> bool:
        return not any(entry.addresses.get(effect.ip) == (length, vhid) for entry in (node.interfaces or {}).values())

    def interface_of(node: str) -> str:
        return interface_on(found[1], node) if found else effect.interface

    if is_active_for(case, found[0] if found else None, vhid, interface_of):
        yield from _standby_first(case, removed_there, f"vhid {vhid} without {effect.ip}/{length}")


def _wanted(vip: VirtualIP) -> list[IPv4Interface | IPv6Interface]:
    return [ip_interface(text) for text in vip.addresses]


def set_vhid(case: Case) -> Iterator[str]:
    """SetVhid: in place, no address named, exactly the values that differ."""
    for effect in case.all_of(Ifconfig):
        if effect.ip or effect.alias is not None or effect.state not in ("", "master"):
            yield "I7: does more than change values of the vhid in place"
        found = case.vip(effect.interface, effect.vhid)
        present = case.here.vhid(effect.interface, effect.vhid or 0)
        if effect.vhid is None or found is None:
            yield f"vhid {effect.vhid} on {effect.interface} is not in the document"
        elif present is None:
            yield f"vhid {effect.vhid} is not on {effect.interface}: the command would create an orphan"
        else:
            yield from _changed(case, effect, *found)


def _changed(case: Case, effect: Ifconfig, group: GroupSpec, vip: VirtualIP) -> Iterator[str]:
    present = case.here.vhid(effect.interface, vip.vhid)
    assert present is not None
    wanted = wanted_advskew(case, group, vip)
    key = case.world.cluster.keys.get((group.name, vip.name))
    if effect.state:
        yield from _told_to_be_master(case, effect, group, vip)
    if wanted is None and group.storage and (effect.advskew or 0) > present.advskew:
        yield from _given_away_early(case, effect, group, vip)
    if effect.advskew is None and effect.advbase is None and not effect.secret:
        yield "changes nothing"
    if effect.advskew is not None and wanted is not None and effect.advskew != wanted:
        yield f"sets advskew {effect.advskew}, the document says {wanted}"
    if effect.advskew is not None and not _is_a_place(group, vip, effect.advskew):
        yield f"sets advskew {effect.advskew}, which no node of {group.name} has by the document"
    if effect.advskew is not None and effect.advskew >= 240:
        yield f"advskew {effect.advskew} ties with a demoted node"
    if effect.advbase is not None and effect.advbase != vip.advbase:
        yield f"sets advbase {effect.advbase}, the document says {vip.advbase}"
    if effect.secret and key is None:
        yield f"the document names no password for {vip.name}"
    same = [
        word
        for word, unchanged in (
            ("advskew", effect.advskew == present.advskew),
            ("advbase", effect.advbase == present.advbase),
            ("password", bool(effect.secret) and key == present.key),
        )
        if unchanged
    ]
    if same:
        yield f"I7: {' and '.join(same)} of vhid {vip.vhid} already as wanted"
    if not is_active_for(case, group, vip.vhid, lambda node: interface_on(vip, node)):
        return
    if effect.secret:
        yield from _standby_first(case, lambda node: _shows(node, vip, key=key), f"the password of vhid {vip.vhid}")
    if effect.advbase is not None:
        what = f"advbase {effect.advbase} of vhid {vip.vhid}"
        yield from _standby_first(case, lambda node: _shows(node, vip, advbase=effect.advbase), what)


def _told_to_be_master(case: Case, effect: Ifconfig, group: GroupSpec, vip: VirtualIP) -> Iterator[str]:
    """Only what CARP would do within an advertisement: the node serves, and is the best of all (docs #1.2, #trap-7)."""
    present = case.here.vhid(effect.interface, vip.vhid)
    assert present is not None
    advskew = present.advskew if effect.advskew is None else effect.advskew
    if not group.storage or _lead(case, group) != case.step.node:
        yield f"makes itself MASTER of vhid {vip.vhid} without serving all of {group.name}"
    # What CARP does by itself between two stages (elections, a demotion that ends with its cause) only a look tells.
    if case.stage == 0 and present.state is not CarpState.BACKUP:
        yield f"I7: makes itself MASTER of vhid {vip.vhid}, which is {present.state.value} here"
    if case.stage == 0 and (case.here.sysctls or {}).get("demotion", 1):
        yield f"makes itself MASTER of vhid {vip.vhid} while it is, or may be, demoted"
    for other in case.world.others(case.step.node, dict.fromkeys(group.preferred)):
        there = other.vhid(interface_on(vip, other.name), vip.vhid)
        if there is None or (there.advbase, there.advskew) <= (effect.advbase or present.advbase, advskew):
            yield f"makes itself MASTER of vhid {vip.vhid} although {other.name} may advertise as often: both step down"
        elif old := case.too_old(other):
            yield old


def _given_away_early(case: Case, effect: Ifconfig, group: GroupSpec, vip: VirtualIP) -> Iterator[str]:
    """While nobody serves, the only MASTER stays no worse than the others: its address moves last."""
    nodes = [case.world.nodes[name] for name in group.preferred]
    masters = [node.name for node in nodes if node.may_be_master(interface_on(vip, node.name), vip.vhid)]
    if masters != [case.step.node] or any(serves(node, group) for node in nodes):
        return
    for other in nodes:
        there = other.vhid(interface_on(vip, other.name), vip.vhid)
        if other is not case.here and there is not None and there.advskew < (effect.advskew or 0):
            yield f"gives vhid {vip.vhid} to {other.name}, which does not serve yet"


def _shows(node: Node, vip: VirtualIP, *, key: str | None = None, advbase: int | None = None) -> bool:
    """Whether the node has the vhid with that value."""
    present = node.vhid(interface_on(vip, node.name), vip.vhid)
    return present is not None and (
        (key is None or present.key == key) and (advbase is None or present.advbase == advbase)
    )
