"""What a document that changed left on the nodes: services that go on running, resources that are still in use.

Rules: it is known from the last status on record, which names what the document had, and is carried from status to
status until a node is seen without it; nobody is told of what was gone before. A service that rc starts at boot is the
machine's own again: hactl had switched that off. Addresses, hook files and boot aliases are undone by the plan itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hactl.core.cluster import Left, LeftKind, storages_of
from hactl.core.evidence.view import View
from hactl.core.facts import HastRole, device_of, known
from hactl.core.objects import HACluster


def left_by(previous: Mapping[str, Any] | None, document: HACluster) -> tuple[Left, ...]:
    """What the status before this document, or one before that, named, and this document does not have."""
    status = previous or {}
    before = {Left(LeftKind(each["what"]), each["name"], each["node"]) for each in status.get("left", ())}
    for group in status.get("groups", ()):
        for service in group.get("services", ()):
            before |= {Left(LeftKind.SERVICE, service["name"], node) for node in service["states"]}
        for storage in group.get("storage", ()):
            before |= {Left(LeftKind.RESOURCE, storage["name"], node) for node in storage["roles"]}
    nodes = {node.name for node in document.spec.nodes}
    gone = [left for left in before - set(_has(document)) if left.node in nodes]
    # Services first: they use what is below them.
    return tuple(sorted(gone, key=lambda left: (left.what is not LeftKind.SERVICE, left.name, left.node)))


def _has(document: HACluster) -> Iterator[Left]:
    nodes = [node.name for node in document.spec.nodes]
    for group in document.spec.groups:
        for service in group.services:
            yield from (Left(LeftKind.SERVICE, service.name, node) for node in nodes)
        for storage in group.storage:
            yield from (Left(LeftKind.RESOURCE, storage.name, node) for node in storage.hast.devices)


def still_there(view: View, left: Left) -> bool | None:
    """Whether the node still runs or uses it; None: that is not known."""
    facts = view.facts.get(left.node)
    if facts is None:
        return None
    if left.what is LeftKind.SERVICE:
        service = known(facts.services.get(left.name))
        return None if service is None else service.exists and service.running and not service.enabled
    if mounted_on(view, left) is not None:
        return True
    hastd, resources = known(facts.hastd), known(facts.resources)
    if hastd is None or view.mounts(left.node) is None:
        return None
    if not hastd.running:
        return False
    if not storages_of(view.cluster, left.node):
        return True
    if resources is None:
        return None
    return left.name in resources and resources[left.name].role is not HastRole.INIT


def mounted_on(view: View, left: Left) -> str | None:
    """Where the filesystem of a resource is still mounted; None: nowhere that is known."""
    mounts = view.mounts(left.node) or ()
    return next((mount.node for mount in mounts if mount.special == device_of(left.name)), None)
