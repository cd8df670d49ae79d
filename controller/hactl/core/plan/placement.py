"""Where each group is, or is to become, active.

Rules: a group with storage is active where its resources are primary; with no primary, where the newest complete copy
is, and only when both nodes said so themselves. A group without storage is active where its addresses are MASTER.
Silence is not evidence (docs/safety.md#evidence).
"""

from __future__ import annotations

from dataclasses import replace

from hactl.core.catalogue import HoldReason
from hactl.core.choices import Failback, FailoverPolicy
from hactl.core.cluster import failover_of
from hactl.core.evidence.copies import COMPARE, Choice, choose, fenced_words, stale_writer
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, HastMetadata, HastRole
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.core.plan.scene import Scene
from hactl.core.plan.serving import driven_off
from hactl.core.steps import Hold


def place(scene: Scene) -> Scene:
    """The scene with every group placed: where it is active, and where it should be."""
    active: dict[str, str | None] = {}
    goals: dict[str, str | None] = {}
    holds = list(scene.holds)
    for group in scene.view.cluster.groups:
        found = _with_storage(scene, group) if group.storage else _by_addresses(scene, group)
        if isinstance(found, Hold):
            holds.append(found)
        active[group.name] = None if isinstance(found, Hold) else found
        goals[group.name] = _goal(scene, group, active[group.name])
    return replace(scene, active=active, goals=goals, holds=tuple(holds))


def _goal(scene: Scene, group: GroupSpec, active: str | None) -> str | None:
    """Where the group should be: as a person asked, off drained nodes, off those where a service of it failed or that
    lost its network, where the document's advskews keep its addresses, else as the document's failback says.
    """
    moved_to = scene.overrides.moves.get(group.name)
    if moved_to in group.preferred:
        return moved_to
    allowed = [node for node in group.preferred if node not in scene.overrides.drained]
    if active is None or not allowed:
        return active
    off = cut_off(scene, group)
    good = [node for node in allowed if node not in off and not driven_off(scene, group, node, active)]
    if active not in allowed:
        return (good or allowed)[0]
    if active not in good:
        # With nowhere to go, or too many moves behind it, the group stays; it is told (areas.services).
        return good[0] if good and group.name not in scene.overrides.frozen else active
    kept = kept_by_advskews(scene, group)
    if group.storage and kept in allowed:
        return kept
    if group.failback is Failback.WHEN_READY and group.name not in scene.overrides.frozen:
        return good[0]
    return active


def in_order(scene: Scene, group: GroupSpec) -> tuple[str, ...]:
    """The group's nodes, best first: where it was asked to go, where it came from, where the document's advskews keep
    its addresses, then as the document says; those where a service of it failed, drained ones, and at the very end
    those that lost its network, come last.
    """
    first = _first_choice(scene, group)
    others = [node for node in group.preferred if node != first]
    # Of two that are equal the one the document prefers stays first.
    others.sort(key=lambda node: (node in scene.overrides.drained, bool(driven_off(scene, group, node, None))))
    order = (*((first,) if first in group.preferred else ()), *others)
    off = cut_off(scene, group)
    return (*(node for node in order if node not in off), *(node for node in order if node in off))


def cut_off(scene: Scene, group: GroupSpec) -> frozenset[str]:
    """Nodes that can carry none of the group's addresses now, for every interface of theirs is down or has no carrier,
    while another node can. Nodes that move groups by themselves (failover Automatic) leave such a node at once; in the
    seconds before CARP has a new MASTER both are secondary, and the group is not to go back to where nobody reaches it.
    """
    if failover_of(scene.view.cluster, group).policy is not FailoverPolicy.AUTOMATIC:
        return frozenset()
    able: set[str] = set()
    off: set[str] = set()
    for node in group.preferred:
        interfaces = [scene.view.interface(vip, node) for vip in group.virtual_ips]
        seen = [interface.up for interface in interfaces if interface is not None]
        if any(seen):
            able.add(node)
        elif seen and len(seen) == len(interfaces):
            off.add(node)
    return frozenset(off) if able else frozenset()


def _first_choice(scene: Scene, group: GroupSpec) -> str | None:
    """The node that comes before the order of the document; None: that order stands."""
    return (
        scene.overrides.moves.get(group.name)
        or scene.overrides.returning.get(group.name)
        or kept_by_advskews(scene, group)
    )


def kept_by_advskews(scene: Scene, group: GroupSpec) -> str | None:
    """The node that has all addresses of the group by advskews of the document: they do not follow the storage, so the
    storage follows them, or the hook of a node that is promoted elsewhere would give it up again.
    """
    if not group.virtual_ips or any(vip.advskews is None for vip in group.virtual_ips):
        return None
    for node in group.preferred:
        vhids = [scene.view.vhid(vip, node) for vip in group.virtual_ips]
        if all(vhid is not None and vhid.state is CarpState.MASTER for vhid in vhids):
            return node
    return None


def _by_addresses(scene: Scene, group: GroupSpec) -> str | None:
    """The node that is MASTER of the most vhids; the preferred one while nobody is."""
    masters = [node for vip in group.virtual_ips for node in scene.view.masters(vip)]
    best = max(group.preferred, key=lambda node: (masters.count(node), -group.preferred.index(node)))
    if best in masters:
        return best
    # Nobody is MASTER: with everybody heard the preferred node will be; a silent node may be it.
    return None if any(node in scene.view.silent for node in group.preferred) else group.preferred[0]


def _with_storage(scene: Scene, group: GroupSpec) -> str | Hold | None:
    primaries: dict[str, list[str]] = {}
    for storage in group.storage:
        nodes = [node for node in storage.hast.devices if scene.view.role(storage.name, node) is HastRole.PRIMARY]
        if len(nodes) > 1:
            return Hold(
                HoldReason.DUAL_PRIMARY,
                f"{storage.name}: {' and '.join(nodes)} are both primary; what they write now differs",
                target=storage.name,
                remedy=f"choose whose data stays, unmount {storage.name} on the other node and make it secondary there",
            )
        if nodes:
            primaries.setdefault(nodes[0], []).append(storage.name)
    if len(primaries) > 1:
        where = "; ".join(f"{', '.join(names)} on {node}" for node, names in primaries.items())
        return Hold(
            HoldReason.STORAGE_APART,
            f"{group.name}: its resources are primary on different nodes: {where}",
            target=group.name,
            remedy="unmount and move one of them, so that the group is on one node",
        )
    if not primaries:
        return _elect(scene, group)
    active = next(iter(primaries))
    return _device_elsewhere(scene, group, active) or active


def _device_elsewhere(scene: Scene, group: GroupSpec, active: str) -> Hold | None:
    """Another node has the device of a resource that this one is primary for: who serves is not known."""
    for storage in group.storage:
        for node in storage.hast.devices:
            if node != active and scene.view.has_device(storage.name, node):
                return Hold(
                    HoldReason.ROLE_UNKNOWN,
                    f"{storage.name}: {active} is primary and {node} has {storage.device} too, "
                    "without telling its role",
                    node=node,
                    target=storage.name,
                    remedy=f"look at hastd on {node}: service hastd onestatus; hastctl list {storage.name}",
                )
    return None


def _elect(scene: Scene, group: GroupSpec) -> str | Hold | None:
    """Nobody is known to be primary: the node whose copies are all the newest."""
    chosen: set[str] = set()
    for storage in group.storage:
        newest = _newest(scene, group, storage)
        if newest is None or isinstance(newest, Hold):
            return newest
        chosen.add(newest)
    if len(chosen) == 1:
        return chosen.pop()
    return Hold(
        HoldReason.STORAGE_APART,
        f"{group.name}: the newest copies of its resources are on different nodes",
        target=group.name,
        remedy="bring them together by hand: hastctl role primary where the newest copy is, and let it sync",
    )


def _newest(scene: Scene, group: GroupSpec, storage: StorageSpec) -> str | Hold | None:
    nodes = tuple(node for node in in_order(scene, group) if node in storage.hast.devices)
    against = unheard(scene, storage.name, nodes)
    if against is not None:
        return against
    choice = choose(scene.view, storage, nodes, moved=_moved(scene, group, storage.name, nodes[0]))
    if choice is not None:
        return nobody_can_say(scene.view, storage, choice) or choice.node
    if any(isinstance(scene.view.metadata(storage.name, node), HastMetadata) for node in nodes):
        # One copy is missing and nobody serves: what is missing may have been the newer one. The storage area says why.
        return None
    return nodes[0]


def refuse_each_other(scene: Scene, storage: StorageSpec) -> bool:
    """Whether hastd connects the copies no more until a person has decided (hastd/secondary.c)."""
    choice = choose(scene.view, storage, tuple(storage.hast.devices))
    return choice is not None and choice.refused


def nobody_can_say(view: View, storage: StorageSpec, choice: Choice) -> Hold | None:
    """Why none of the copies is the one to serve; None: one is."""
    if choice.hold is None:
        return None
    slept = stale_writer(view, storage) if choice.hold is HoldReason.SPLIT_BRAIN else None
    if slept is not None:
        remedy = f"hactl resolve {view.cluster.name} {storage.name} --discard {slept}"
        return Hold(
            choice.hold, f"{choice.why}; {fenced_words(view, storage, slept)}", target=storage.name, remedy=remedy
        )
    remedy = COMPARE.format(name=storage.name)
    if choice.hold is HoldReason.SPLIT_BRAIN:
        remedy = f"hactl resolve {view.cluster.name} {storage.name} shows both copies; --discard NODE throws one away"
    return Hold(choice.hold, choice.why, target=storage.name, remedy=remedy)


def _moved(scene: Scene, group: GroupSpec, resource: str, first: str) -> bool:
    """Whether that node is where the group is to be, and hactl called its copy complete while it was connected."""
    drained = any(node in scene.overrides.drained for node in group.preferred)
    back = group.failback is Failback.WHEN_READY and group.name not in scene.overrides.frozen
    fled = any(driven_off(scene, group, node, None) for node in group.preferred) or bool(cut_off(scene, group))
    hook = scene.view.hook(first)
    return (
        (first == _first_choice(scene, group) or drained or back or fled)
        and hook is not None
        and resource in hook.confirmed
    )


def newer_elsewhere(view: View, storage: StorageSpec, node: str, choice: Choice) -> Hold | None:
    """Why the node where the group is may not be made primary by what both copies say (I4).

    A group is placed by the resources that are primary somewhere; those that are not may tell another story.
    """
    if choice.node in (None, node):
        return nobody_can_say(view, storage, choice)
    return Hold(
        HoldReason.STORAGE_APART,
        f"{storage.name}: the rest of its group is on {node}, and {choice.why}",
        target=storage.name,
        remedy=f"bring them together by hand: hastctl role primary {storage.name} on {choice.node}, let it sync, "
        "then make it secondary there",
    )


def other_primary(scene: Scene, storage: StorageSpec, node: str) -> Hold | None:
    """Another node that answers may be primary too: before that is known the device is not taken into use."""
    for peer in storage.hast.devices:
        if peer != node and peer in scene.view.facts and scene.view.role(storage.name, peer) is None:
            return Hold(
                HoldReason.ROLE_UNKNOWN,
                f"{storage.name}: {peer} does not report its role; {node} is primary and leaves the device unused",
                node=peer,
                target=storage.name,
                remedy=f"look at hastd on {peer}: service hastd onestatus; hastctl list {storage.name}",
            )
    return None


def unheard(scene: Scene, resource: str, nodes: tuple[str, ...]) -> Hold | None:
    """A node that did not say a short while ago that it is not primary (I1, I6)."""
    for node in nodes:
        if node in scene.view.silent:
            return Hold(
                HoldReason.PEER_SILENT,
                f"{resource}: nobody is made primary while {node} cannot be asked: it may be primary",
                node=node,
                target=resource,
                remedy=f"bring {node} back, or make sure by hand that it is powered off",
            )
        if scene.view.role(resource, node) is None:
            return Hold(
                HoldReason.ROLE_UNKNOWN,
                f"{resource}: {node} does not report its role; nobody is made primary",
                node=node,
                target=resource,
                remedy=f"look at hastd on {node}: service hastd onestatus; hastctl list {resource}",
            )
        if not scene.view.fresh(node):
            return Hold(
                HoldReason.STALE_FACTS,
                f"{resource}: what {node} said is too old to promote by",
                node=node,
                target=resource,
                passing=True,
            )
    return None
