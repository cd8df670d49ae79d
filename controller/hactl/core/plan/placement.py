"""Where each group is, or is to become, active.

Rules: a group with storage is active where its resources are primary; with no primary, where the newest complete copy
is, and only when both nodes said so themselves. A group without storage is active where its addresses are MASTER.
Silence is not evidence (docs/safety.md#evidence).
"""

from __future__ import annotations

from hactl.core.evidence.copies import COMPARE, choose_copy
from hactl.core.facts import CarpState, HastMetadata, HastRole
from hactl.core.objects import Failback, GroupSpec, StorageSpec
from hactl.core.plan.scene import PROMOTION_EVIDENCE_SECONDS, Scene, known


def place(scene: Scene) -> None:
    """Fill in `scene.active` and `scene.goals` for every group."""
    for group in scene.cluster.groups:
        scene.active[group.name] = _with_storage(scene, group) if group.storage else _by_addresses(scene, group)
        scene.goals[group.name] = _goal(scene, group)


def _goal(scene: Scene, group: GroupSpec) -> str | None:
    """Where the group should be: as a person asked, off drained nodes, where the document's advskews keep its
    addresses, else as the document's failback says.
    """
    active = scene.active[group.name]
    wished = scene.overrides.moves.get(group.name)
    if wished in group.preferred:
        return wished
    allowed = [node for node in group.preferred if node not in scene.overrides.drained]
    if active is None or not allowed:
        return active
    if active not in allowed:
        return allowed[0]
    kept = kept_by_advskews(scene, group)
    if group.storage and kept in allowed:
        return kept
    if group.failback is Failback.WHEN_READY and group.name not in scene.overrides.frozen:
        return allowed[0]
    return active


def in_order(scene: Scene, group: GroupSpec) -> tuple[str, ...]:
    """The group's nodes, best first: where it was asked to go, where it came from, where the document's advskews keep
    its addresses, then as the document says.
    """
    first = _asked(scene, group)
    drained = [node for node in group.preferred if node in scene.overrides.drained and node != first]
    rest = [node for node in group.preferred if node != first and node not in drained]
    return (*((first,) if first in group.preferred else ()), *rest, *drained)


def _asked(scene: Scene, group: GroupSpec) -> str | None:
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
        vhids = [i.vhid(vip.vhid) if (i := scene.interface(vip, node)) else None for vip in group.virtual_ips]
        if all(vhid is not None and vhid.state is CarpState.MASTER for vhid in vhids):
            return node
    return None


def _by_addresses(scene: Scene, group: GroupSpec) -> str | None:
    """The node that is MASTER of the most vhids; the preferred one while nobody is."""
    votes = dict.fromkeys(group.preferred, 0)
    for vip in group.virtual_ips:
        for node in group.preferred:
            interface = scene.interface(vip, node)
            vhid = interface.vhid(vip.vhid) if interface else None
            if vhid is not None and vhid.state is CarpState.MASTER:
                votes[node] += 1
    best = max(group.preferred, key=lambda node: (votes[node], -group.preferred.index(node)))
    if votes[best]:
        return best
    # Nobody is MASTER: with everybody heard the preferred node will be; with somebody silent, he may be it.
    return None if any(node in scene.silent for node in group.preferred) else group.preferred[0]


def _with_storage(scene: Scene, group: GroupSpec) -> str | None:
    primaries: dict[str, list[str]] = {}
    for storage in group.storage:
        nodes = [node for node in storage.hast.devices if scene.role(storage.name, node) is HastRole.PRIMARY]
        if len(nodes) > 1:
            scene.hold(
                "DualPrimary",
                f"{storage.name}: {' and '.join(nodes)} are both primary; what they write now differs",
                target=storage.name,
                remedy=f"choose whose data stays, unmount {storage.name} on the other node and make it secondary there",
            )
            return None
        if nodes:
            primaries.setdefault(nodes[0], []).append(storage.name)
    if len(primaries) > 1:
        where = "; ".join(f"{', '.join(names)} on {node}" for node, names in primaries.items())
        scene.hold(
            "StorageApart",
            f"{group.name}: its resources are primary on different nodes: {where}",
            target=group.name,
            remedy="unmount and move one of them, so that the group is on one node",
        )
        return None
    if not primaries:
        return _elect(scene, group)
    active = next(iter(primaries))
    return None if _device_elsewhere(scene, group, active) else active


def _device_elsewhere(scene: Scene, group: GroupSpec, active: str) -> bool:
    """Whether another node has the device of a resource that this one is primary for: who serves is not known."""
    for storage in group.storage:
        for node in storage.hast.devices:
            if node != active and scene.has_device(storage.name, node):
                scene.hold(
                    "RoleUnknown",
                    f"{storage.name}: {active} is primary and {node} has /dev/hast/{storage.name} too, "
                    "without telling its role",
                    node=node,
                    target=storage.name,
                    remedy=f"look at hastd on {node}: service hastd onestatus; hastctl list {storage.name}",
                )
                return True
    return False


def _elect(scene: Scene, group: GroupSpec) -> str | None:
    """Nobody is known to be primary: the node whose copies are all the newest."""
    chosen: set[str] = set()
    for storage in group.storage:
        node = _newest(scene, group, storage)
        if node is None:
            return None
        chosen.add(node)
    if len(chosen) == 1:
        return chosen.pop()
    scene.hold(
        "StorageApart",
        f"{group.name}: the newest copies of its resources are on different nodes",
        target=group.name,
        remedy="bring them together by hand: hastctl role primary where the newest copy is, and let it sync",
    )
    return None


def _newest(scene: Scene, group: GroupSpec, storage: StorageSpec) -> str | None:
    nodes = tuple(node for node in in_order(scene, group) if node in storage.hast.devices)
    if not _both_spoke(scene, storage.name, nodes):
        return None
    copies = {node: known(scene.facts[node].metadata.get(storage.name)) for node in nodes}
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    if len(real) == len(nodes):
        choice = choose_copy(storage.name, real, nodes, moved=_moved(scene, group, storage.name, nodes[0]))
        if choice.hold is not None:
            scene.hold(choice.hold, choice.why, target=storage.name, remedy=COMPARE.format(name=storage.name))
        return choice.node
    if real:
        # One copy is missing and nobody serves: what is missing may have been the newer one. The storage area says why.
        return None
    return nodes[0]


def _moved(scene: Scene, group: GroupSpec, resource: str, first: str) -> bool:
    """Whether that node is where the group is to be, and hactl called its copy complete while it was connected."""
    wished = _asked(scene, group)
    drained = any(node in scene.overrides.drained for node in group.preferred)
    back = group.failback is Failback.WHEN_READY and group.name not in scene.overrides.frozen
    hook = known(scene.facts[first].hook)
    return (first == wished or drained or back) and hook is not None and resource in hook.confirmed


def may_serve(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether the node where the group is may be made primary: both nodes spoke, and no copy is newer (I1, I4, I6).

    A group is placed by the resources that are primary somewhere; those that are not may tell another story.
    """
    nodes = (node, *(other for other in storage.hast.devices if other != node))
    if not _both_spoke(scene, storage.name, nodes):
        return False
    copies = {each: known(scene.facts[each].metadata.get(storage.name)) for each in nodes}
    real = {each: copy for each, copy in copies.items() if isinstance(copy, HastMetadata)}
    if len(real) < len(nodes):
        return False  # the metadata area says why
    hook = known(scene.facts[node].hook)
    choice = choose_copy(storage.name, real, nodes, moved=hook is not None and storage.name in hook.confirmed)
    if choice.hold is not None:
        scene.hold(choice.hold, choice.why, target=storage.name, remedy=COMPARE.format(name=storage.name))
    elif choice.node != node:
        scene.hold(
            "StorageApart",
            f"{storage.name}: the rest of its group is on {node}, and {choice.why}",
            target=storage.name,
            remedy=f"bring them together by hand: hastctl role primary {storage.name} on {choice.node}, let it sync, "
            "then make it secondary there",
        )
    return choice.node == node


def only_primary(scene: Scene, storage: StorageSpec, node: str) -> bool:
    """Whether no other node that answers may be primary too: before that is known the device is not taken into use."""
    for peer in storage.hast.devices:
        if peer != node and peer in scene.facts and scene.role(storage.name, peer) is None:
            scene.hold(
                "RoleUnknown",
                f"{storage.name}: {peer} does not tell its role; {node} is primary and leaves the device unused",
                node=peer,
                target=storage.name,
                remedy=f"look at hastd on {peer}: service hastd onestatus; hastctl list {storage.name}",
            )
            return False
    return True


def _both_spoke(scene: Scene, resource: str, nodes: tuple[str, ...]) -> bool:
    """Whether both nodes said a short while ago that they are not primary (I1, I6)."""
    for node in nodes:
        if node in scene.silent:
            scene.hold(
                "PeerSilent",
                f"{resource}: nobody is made primary while {node} cannot be asked: it may be primary",
                node=node,
                target=resource,
                remedy=f"bring {node} back, or make sure by hand that it is powered off",
            )
            return False
        if scene.role(resource, node) is None:
            scene.hold(
                "RoleUnknown",
                f"{resource}: {node} does not tell its role; nobody is made primary",
                node=node,
                target=resource,
                remedy=f"look at hastd on {node}: service hastd onestatus; hastctl list {resource}",
            )
            return False
        if scene.now - scene.facts[node].seen_at > PROMOTION_EVIDENCE_SECONDS:
            scene.hold(
                "StaleFacts",
                f"{resource}: what {node} said is too old to promote by",
                node=node,
                target=resource,
                passing=True,
            )
            return False
    return True
