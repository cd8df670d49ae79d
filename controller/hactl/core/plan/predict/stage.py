"""What the facts will be when a stage is done: how the planner looks ahead.

Rules: it predicts success, and the usual outcome of what only a node can tell. The audit has a model of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from hactl.core.cluster import Cluster, interface_on
from hactl.core.facts import (
    CarpState,
    Device,
    File,
    Hastd,
    HastMetadata,
    HastResource,
    HastRole,
    Interface,
    Known,
    Mount,
    NodeFacts,
    NoMetadata,
    Pool,
    Reading,
    Snapshot,
    Unknown,
    Vhid,
)
from hactl.core.hastconf import PATH as HAST_CONF
from hactl.core.hastconf import render_hastconf, storages_of
from hactl.core.objects import StorageSpec, VirtualIP
from hactl.core.operations import Overrides
from hactl.core.plan.areas.addresses import wanted_addresses
from hactl.core.plan.areas.kernel import CARP_DEFAULTS
from hactl.core.plan.placement import place
from hactl.core.plan.predict.boot import remove_variable, set_sysctl_line, set_variable, write_aliases
from hactl.core.plan.predict.hook import (
    confirm_copy,
    discard_copy,
    lift_hold,
    note_drained,
    remove_hook,
    restart_devd,
    seen,
    unconfirm,
    write_hook,
)
from hactl.core.plan.scene import Scene, known, set_scene
from hactl.core.plan.virtual_ips import wanted_advskews
from hactl.core.steps import Stage, Step

T = TypeVar("T")


def predict(
    cluster: Cluster,
    snapshot: Snapshot,
    stage: Stage,
    overrides: Overrides | None = None,
    failing: Mapping[str, str] | None = None,
) -> Snapshot:
    """The snapshot as it should be after every step of the stage is Done."""
    place(scene := set_scene(cluster, snapshot, snapshot.taken_at, overrides, failing))
    nodes: dict[str, Reading[NodeFacts]] = dict(snapshot.nodes)
    for step in stage.steps:
        reading = nodes[step.node]
        assert isinstance(reading, Known)
        nodes[step.node] = replace(reading, value=EFFECTS[step.verb](scene, step, reading.value))
    return _settle(scene, replace(snapshot, nodes=nodes))


def _settle(scene: Scene, snapshot: Snapshot) -> Snapshot:
    """Let time pass: every vhid has its one MASTER; the one it has stays it (whoever preempts it does so unseen)."""
    nodes = dict(snapshot.nodes)
    for group, vip in scene.vips():
        there = {node: vhid for node in group.preferred if (vhid := _vhid(nodes.get(node), vip, node)) is not None}
        if sum(vhid.state is CarpState.MASTER for vhid in there.values()) == 1:
            continue
        skews = wanted_advskews(scene, group, vip)
        best = min(there, key=lambda node: skews[node], default=None)
        for node, vhid in there.items():
            elected = replace(vhid, state=CarpState.MASTER if node == best else CarpState.BACKUP)
            reading = nodes[node]
            assert isinstance(reading, Known)
            nodes[node] = replace(reading, value=_with_vhid(reading.value, interface_on(vip, node), elected))
    return replace(snapshot, nodes=nodes)


def _vhid(reading: Reading[NodeFacts] | None, vip: VirtualIP, node: str) -> Vhid | None:
    facts = known(reading)
    interface = (known(facts.interfaces) or {}).get(interface_on(vip, node)) if facts else None
    return interface.vhid(vip.vhid) if interface else None


def _with_vhid(facts: NodeFacts, name: str, vhid: Vhid) -> NodeFacts:
    interface = (known(facts.interfaces) or {})[name]
    vhids = tuple(vhid if v.vhid == vhid.vhid else v for v in interface.vhids)
    return _with_interface(facts, replace(interface, vhids=vhids))


def _vip_of(scene: Scene, step: Step) -> tuple[VirtualIP, str, int]:
    """The virtual IP, interface and advskew that a step's target names."""
    interface, _, number = step.target.split(" ")[:3]
    for group, vip in scene.vips():
        if str(vip.vhid) == number and interface_on(vip, step.node) == interface:
            return vip, interface, wanted_advskews(scene, group, vip)[step.node]
    raise KeyError(step.target)


def _storage(scene: Scene, name: str) -> StorageSpec:
    return next(storage for _, storage in scene.storages() if storage.name == name)


def _with_interface(facts: NodeFacts, interface: Interface) -> NodeFacts:
    interfaces = dict(known(facts.interfaces) or {})
    interfaces[interface.name] = interface
    return replace(facts, interfaces=seen(interfaces, facts))


def _load_module(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    modules = {**(known(facts.modules) or {}), "carp": True}
    interfaces = known(facts.interfaces) or {}
    if any(interface.vhids for interface in interfaces.values()):
        # vhids without the module cannot be: what ifconfig will show, only ifconfig can tell.
        facts = replace(facts, interfaces=Unknown("ContradictsKldstat", facts.seen_at))
    return replace(facts, modules=seen(modules, facts), carp_sysctls=seen(dict(CARP_DEFAULTS), facts))


def _sysctl(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    name, value = step.command.removeprefix("sysctl net.inet.carp.").split("=")
    sysctls = dict(known(facts.carp_sysctls) or CARP_DEFAULTS)
    sysctls[name] = sysctls.get(name, 0) + int(value) if step.verb == "AdjustDemotion" else int(value)
    return replace(facts, carp_sysctls=seen(sysctls, facts))


def _add_address(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    vip, name, advskew = _vip_of(scene, step)
    cidr = step.target.split(" ")[3]
    interface = (known(facts.interfaces) or {})[name]
    address = next(a for a in wanted_addresses(vip) if a.cidr == cidr)
    addresses = (*(a for a in interface.addresses if a.ip != address.ip), address)
    vhids = interface.vhids
    if interface.vhid(vip.vhid) is None:
        vhids = (*vhids, Vhid(vip.vhid, CarpState.BACKUP, vip.advbase, advskew, _key(scene, vip)))
    return _with_interface(facts, replace(interface, addresses=addresses, vhids=vhids))


def _key(scene: Scene, vip: VirtualIP) -> str | None:
    return next((scene.cluster.keys.get((g.name, v.name)) for g, v in scene.vips() if v is vip), None)


def _remove_address(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    name, _, number, cidr = step.target.split(" ")
    interface = (known(facts.interfaces) or {})[name]
    addresses = tuple(a for a in interface.addresses if not (a.cidr == cidr and a.vhid == int(number)))
    vhids = tuple(v for v in interface.vhids if v.vhid != int(number) or any(a.vhid == v.vhid for a in addresses))
    return _with_interface(facts, replace(interface, addresses=addresses, vhids=vhids))


def _set_vhid(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    vip, name, advskew = _vip_of(scene, step)
    interface = (known(facts.interfaces) or {})[name]
    vhids = tuple(
        replace(v, advbase=vip.advbase, advskew=advskew, key=_key(scene, vip) or v.key) if v.vhid == vip.vhid else v
        for v in interface.vhids
    )
    return _with_interface(facts, replace(interface, vhids=vhids))


def _write_hast_conf(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    text = render_hastconf(scene.cluster, step.node)
    file = File(HAST_CONF, exists=True, sha256=None, mode=0o644, text=text)
    metadata = dict(facts.metadata)
    for storage in storages_of(scene.cluster, step.node):
        device = known(facts.devices.get(storage.hast.devices[step.node]))
        if device is not None and device.blank and known(metadata.get(storage.name)) is None:
            # hastctl could not be asked about a resource it did not know.
            metadata[storage.name] = seen(NoMetadata.ABSENT, facts)
    return replace(facts, files={**facts.files, HAST_CONF: seen(file, facts)}, metadata=metadata)


def _reload(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    return replace(facts, resources=seen(_listed(scene, step.node, facts), facts))


def _listed(scene: Scene, node: str, facts: NodeFacts) -> dict[str, HastResource]:
    """hastctl list once hastd has the wanted configuration; roles stay."""
    old = known(facts.resources) or {}
    listed = {}
    for storage in storages_of(scene.cluster, node):
        hast, had = storage.hast, old.get(storage.name)
        listed[storage.name] = HastResource(
            storage.name,
            had.role if had else HastRole.INIT,
            storage.name,
            hast.devices[node],
            next((a for n, a in hast.addresses.items() if n != node), ""),
            hast.addresses[node],
            hast.replication,
            had.status if had else None,
            had.workerpid if had else None,
            0,
            0,
            had.dirty if had else 0,
        )
    return listed


def _start_hastd(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    fresh = replace(facts, resources=seen({}, facts))
    return replace(
        facts,
        hastd=seen(Hastd(running=True), facts),
        resources=seen(_listed(scene, step.node, fresh), facts),
    )


def _create(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    copy = HastMetadata(step.target, 0, 2097152, 64, 4608, 0, 0, 0, "init")
    return replace(facts, metadata={**facts.metadata, step.target: seen(copy, facts)})


def _role(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    primary = " role primary " in step.command
    resources = dict(known(facts.resources) or {})
    had = resources[step.target]
    resources[step.target] = replace(
        had, role=HastRole.PRIMARY if primary else HastRole.SECONDARY, status="complete" if primary else None
    )
    devices = dict(facts.hast_devices)
    facts = unconfirm(facts, step.target)
    if not primary:
        devices[step.target] = seen(Device(f"/dev/hast/{step.target}", exists=False), facts)
    if primary:
        device = known(facts.devices.get(_storage(scene, step.target).hast.devices[step.node]))
        blank = device.blank if device is not None and device.blank else False
        devices[step.target] = seen(Device(f"/dev/hast/{step.target}", exists=True, blank=blank), facts)
    return replace(facts, resources=seen(resources, facts), hast_devices=devices)


def _filesystem(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    name = step.target.removeprefix("/dev/hast/")
    device = known(facts.hast_devices[name])
    assert device is not None
    return replace(facts, hast_devices={**facts.hast_devices, name: seen(replace(device, blank=False), facts)})


def _pool(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    pools = {**(known(facts.pools) or {}), step.target: Pool(step.target, "ONLINE")}
    return replace(facts, pools=seen(pools, facts))


def _export(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    pools = {name: pool for name, pool in (known(facts.pools) or {}).items() if name != step.target}
    return replace(facts, pools=seen(pools, facts))


def _mount(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    storage, options = _storage_at(scene, step.target)
    mounts = tuple(m for m in known(facts.mounts) or () if m.node != step.target)
    return replace(
        facts,
        mounts=seen(
            (*mounts, Mount(f"/dev/hast/{storage}", step.target, "ufs", frozenset({"local", *options}))), facts
        ),
    )


def _storage_at(scene: Scene, mountpoint: str) -> tuple[str, list[str]]:
    """The resource whose filesystem belongs there, and its options as mount(8) prints them."""
    from hactl.core.plan.areas.filesystems import PRINTED_AS

    for _, storage in scene.storages():
        ufs = storage.filesystem.ufs if storage.filesystem else None
        if ufs is not None and ufs.mountpoint == mountpoint:
            return storage.name, [PRINTED_AS.get(o, o) for o in ufs.options if PRINTED_AS.get(o, o)]
    raise KeyError(mountpoint)


def _unmount(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    return replace(facts, mounts=seen(tuple(m for m in known(facts.mounts) or () if m.node != step.target), facts))


def _service(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    service = known(facts.services[step.target])
    assert service is not None
    if step.verb in ("StartService", "StopService"):
        service = replace(service, running=step.verb == "StartService")
    else:
        service = replace(service, enabled=step.verb == "EnableService")
    return replace(facts, services={**facts.services, step.target: seen(service, facts)})


def _same(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """Nothing that the facts show changes."""
    return facts


def _remount(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    from hactl.core.plan.areas.filesystems import INVERSE_OPTIONS

    _, options = _storage_at(scene, step.target)
    mounts = tuple(
        replace(m, options=frozenset({*(m.options - set(INVERSE_OPTIONS)), *options})) if m.node == step.target else m
        for m in known(facts.mounts) or ()
    )
    return replace(facts, mounts=seen(mounts, facts))


EFFECTS: Mapping[str, Callable[[Scene, Step, NodeFacts], NodeFacts]] = {
    "LoadModule": _load_module,
    "SetSysctl": _sysctl,
    "AdjustDemotion": _sysctl,
    "AddAddress": _add_address,
    "RemoveAddress": _remove_address,
    "SetVhid": _set_vhid,
    "WriteBootAliases": write_aliases,
    "SetRcVariable": set_variable,
    "RemoveRcVariable": remove_variable,
    "SetSysctlConf": set_sysctl_line,
    "WriteHastConf": _write_hast_conf,
    "ReloadHastd": _reload,
    "StartHastd": _start_hastd,
    "CreateMetadata": _create,
    "SetRole": _role,
    "MakeFilesystem": _filesystem,
    "CreatePool": _pool,
    "CheckFilesystem": _same,
    "Mount": _mount,
    "Remount": _remount,
    "Unmount": _unmount,
    "ImportPool": _pool,
    "ExportPool": _export,
    "StartService": _service,
    "StopService": _service,
    "EnableService": _service,
    "DisableService": _service,
    "WriteHook": write_hook,
    "PreserveCopy": _same,
    "DiscardCopy": discard_copy,
    "RemoveHook": remove_hook,
    "RestartDevd": restart_devd,
    "ConfirmCopy": confirm_copy,
    "LiftHold": lift_hold,
    "NoteDrained": note_drained,
    "ForgetDrained": note_drained,
}
