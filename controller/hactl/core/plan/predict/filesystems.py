"""What the facts about filesystems, pools and services will be after their changes."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hactl.core.changes.filesystems import (
    CheckFilesystem,
    CreatePool,
    ExportPool,
    FilesystemChange,
    ImportPool,
    MakeFilesystem,
    Mount,
    Remount,
    ServiceChange,
    StartService,
    Unmount,
)
from hactl.core.facts import Mount as MountRow
from hactl.core.facts import NodeFacts, Pool, device_of, known
from hactl.core.plan.areas.filesystems import INVERSE_OPTIONS, printed_options
from hactl.core.plan.predict.readings import seen


def after_filesystem_change(change: FilesystemChange, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    mounts, pools = known(facts.mounts) or (), known(facts.pools) or {}
    match change:
        case MakeFilesystem():
            device = known(facts.hast_devices[change.resource])
            assert device is not None
            made = seen(replace(device, blank=False), facts)
            return replace(facts, hast_devices={**facts.hast_devices, change.resource: made})
        case CheckFilesystem():
            return facts
        case Mount():
            options = printed_options(change.options) | {"local"}
            row = MountRow(device_of(change.resource), change.mountpoint, "ufs", options)
            mounts = (*(m for m in mounts if m.node != change.mountpoint), row)
            return replace(facts, mounts=seen(mounts, facts))
        case Remount():
            options = printed_options(change.options)
            mounts = tuple(
                replace(m, options=(m.options - set(INVERSE_OPTIONS)) | options) if m.node == change.mountpoint else m
                for m in mounts
            )
            return replace(facts, mounts=seen(mounts, facts))
        case Unmount():
            return replace(facts, mounts=seen(tuple(m for m in mounts if m.node != change.mountpoint), facts))
        case CreatePool() | ImportPool():
            return replace(facts, pools=seen({**pools, change.pool: Pool(change.pool, "ONLINE")}, facts))
        case ExportPool():
            left = {name: pool for name, pool in pools.items() if name != change.pool}
            return replace(facts, pools=seen(left, facts))
        case _:
            assert_never(change)


def after_service_change(change: ServiceChange, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    service = known(facts.services[change.name])
    assert service is not None
    changed = replace(service, running=isinstance(change, StartService))
    return replace(facts, services={**facts.services, change.name: seen(changed, facts)})
