"""What the facts about HAST will be after its changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from hactl.core.changes.hast import (
    HAST_CONF,
    CreateMetadata,
    DiscardCopy,
    HastChange,
    PreserveCopy,
    ReloadHastd,
    SetRole,
    StartHastd,
    TryHastd,
    WriteHastConf,
)
from hactl.core.cluster import Cluster, storages_of
from hactl.core.facts import (
    Connects,
    Device,
    File,
    Hastd,
    HastMetadata,
    HastResource,
    HastRole,
    NodeFacts,
    NoMetadata,
    device_of,
    known,
)
from hactl.core.parse.hastconf import HastConf, parse_hastconf
from hactl.core.plan.predict.readings import seen, unconfirm


def after_hast_change(change: HastChange, cluster: Cluster, node: str, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    match change:
        case WriteHastConf():
            return _write_hast_conf(change, cluster, node, facts)
        case TryHastd():
            return replace(facts, connects=seen(Connects.WORKS, facts))
        case ReloadHastd():
            return replace(facts, resources=seen(_listed(cluster, node, facts, known(facts.resources) or {}), facts))
        case StartHastd():
            resources = seen(_listed(cluster, node, facts, {}), facts)
            return replace(facts, hastd=seen(Hastd(running=True), facts), resources=resources)
        case CreateMetadata():
            return _with_empty_copy(change.resource, facts)
        case SetRole():
            return _set_role(change, cluster, node, facts)
        case PreserveCopy():
            return facts
        case DiscardCopy():
            return _discard_copy(change, facts)
        case _:
            assert_never(change)


def _write_hast_conf(change: WriteHastConf, cluster: Cluster, node: str, facts: NodeFacts) -> NodeFacts:
    file = File(HAST_CONF, exists=True, sha256=None, mode=0o644, text=change.text)
    metadata = dict(facts.metadata)
    for storage in storages_of(cluster, node):
        device = known(facts.devices.get(storage.hast.devices[node]))
        if device is not None and device.blank and known(metadata.get(storage.name)) is None:
            # hastctl could not be asked about a resource it did not know.
            metadata[storage.name] = seen(NoMetadata.ABSENT, facts)
    return replace(facts, files={**facts.files, HAST_CONF: seen(file, facts)}, metadata=metadata)


def _listed(cluster: Cluster, node: str, facts: NodeFacts, old: Mapping[str, HastResource]) -> dict[str, HastResource]:
    """hastctl list once hastd has the wanted configuration; roles stay."""
    listed = {}
    file = known(facts.files.get(HAST_CONF))
    conf = parse_hastconf(file.text) if file is not None and file.text is not None else None
    said = conf.resources if isinstance(conf, HastConf) else {}
    for storage in storages_of(cluster, node):
        hast, before = storage.hast, old.get(storage.name)
        listed[storage.name] = HastResource(
            storage.name,
            before.role if before else HastRole.INIT,
            storage.name,
            hast.devices[node],
            next((a for n, a in hast.addresses.items() if n != node), ""),
            said[storage.name].nodes[node].source if storage.name in said else hast.addresses[node],
            hast.replication,
            before.status if before else None,
            before.workerpid if before else None,
            0,
            0,
            before.dirty if before else 0,
        )
    return listed


def _with_empty_copy(resource: str, facts: NodeFacts) -> NodeFacts:
    """Metadata as hastctl create leaves it."""
    copy = HastMetadata(resource, 0, 2097152, 64, 4608, 0, 0, 0, "init")
    return replace(facts, metadata={**facts.metadata, resource: seen(copy, facts)})


def _set_role(change: SetRole, cluster: Cluster, node: str, facts: NodeFacts) -> NodeFacts:
    name, primary = change.resource, change.role is HastRole.PRIMARY
    resources = dict(known(facts.resources) or {})
    resources[name] = replace(resources[name], role=change.role, status="complete" if primary else None)
    device = Device(device_of(name), exists=primary)
    if primary:
        path = next(s.hast.devices[node] for s in storages_of(cluster, node) if s.name == name)
        local = known(facts.devices.get(path))
        device = replace(device, blank=local is not None and bool(local.blank))
    facts = unconfirm(facts, name)
    return replace(
        facts, resources=seen(resources, facts), hast_devices={**facts.hast_devices, name: seen(device, facts)}
    )


def _discard_copy(change: DiscardCopy, facts: NodeFacts) -> NodeFacts:
    """Role init, and metadata that holds nothing yet."""
    name = change.resource
    facts = _with_empty_copy(name, unconfirm(facts, name))
    resources = dict(known(facts.resources) or {})
    if name in resources:
        resources[name] = replace(resources[name], role=HastRole.INIT, status=None, workerpid=None)
    device = seen(Device(device_of(name), exists=False), facts)
    return replace(facts, resources=seen(resources, facts), hast_devices={**facts.hast_devices, name: device})
