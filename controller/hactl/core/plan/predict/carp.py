"""What the facts about CARP will be after its changes."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hactl.core.changes.carp import (
    AddAddress,
    AdjustDemotion,
    CarpChange,
    LoadModule,
    RemoveAddress,
    SetSysctl,
    SetVhid,
)
from hactl.core.cluster import interface_on
from hactl.core.facts import CarpState, Interface, NodeFacts, Reading, Unknown, Vhid, known
from hactl.core.objects import VirtualIP
from hactl.core.plan.areas.kernel import CARP_DEFAULTS
from hactl.core.plan.predict.readings import seen


def after_carp_change(change: CarpChange, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    match change:
        case LoadModule():
            return _load_module(facts)
        case SetSysctl():
            return _with_sysctl(facts, change.name.removeprefix("net.inet.carp."), change.value)
        case AdjustDemotion():
            demotion = (known(facts.carp_sysctls) or CARP_DEFAULTS).get("demotion", 0)
            return _with_sysctl(facts, "demotion", demotion - change.by_hand)
        case AddAddress():
            return _add_address(change, facts)
        case RemoveAddress():
            return _remove_address(change, facts)
        case SetVhid():
            return _set_vhid(change, facts)
        case _:
            assert_never(change)


def _load_module(facts: NodeFacts) -> NodeFacts:
    modules = {**(known(facts.modules) or {}), "carp": True}
    if any(interface.vhids for interface in (known(facts.interfaces) or {}).values()):
        # vhids without the module cannot be: what ifconfig will show, only ifconfig can tell.
        facts = replace(facts, interfaces=Unknown("ContradictsKldstat", facts.seen_at))
    return replace(facts, modules=seen(modules, facts), carp_sysctls=seen(dict(CARP_DEFAULTS), facts))


def _with_sysctl(facts: NodeFacts, name: str, value: int) -> NodeFacts:
    sysctls = {**(known(facts.carp_sysctls) or CARP_DEFAULTS), name: value}
    return replace(facts, carp_sysctls=seen(sysctls, facts))


def _add_address(change: AddAddress, facts: NodeFacts) -> NodeFacts:
    interface, address, new = _interface(facts, change.interface), change.address, change.settings
    vhids = interface.vhids
    if address.vhid is not None and new is not None and interface.vhid(address.vhid) is None:
        vhids = (*vhids, Vhid(address.vhid, CarpState.BACKUP, new.advbase, new.advskew, new.key))
    addresses = (*(a for a in interface.addresses if a.ip != address.ip), address)
    return _with_interface(facts, replace(interface, addresses=addresses, vhids=vhids))


def _remove_address(change: RemoveAddress, facts: NodeFacts) -> NodeFacts:
    interface, address = _interface(facts, change.interface), change.address
    addresses = tuple(a for a in interface.addresses if (a.cidr, a.vhid) != (address.cidr, address.vhid))
    vhids = tuple(v for v in interface.vhids if v.vhid != address.vhid or any(a.vhid == v.vhid for a in addresses))
    return _with_interface(facts, replace(interface, addresses=addresses, vhids=vhids))


def _set_vhid(change: SetVhid, facts: NodeFacts) -> NodeFacts:
    vhid = _interface(facts, change.interface).vhid(change.vhid)
    assert vhid is not None
    changed = replace(
        vhid,
        advbase=vhid.advbase if change.advbase is None else change.advbase,
        advskew=vhid.advskew if change.advskew is None else change.advskew,
        key=vhid.key if change.key is None else change.key,
        state=CarpState.MASTER if change.master else vhid.state,
    )
    return with_vhid(facts, change.interface, changed)


def vhid_of(reading: Reading[NodeFacts] | None, vip: VirtualIP, node: str) -> Vhid | None:
    """The vhid of a virtual IP on a node; None when it is not there or not known."""
    facts = known(reading)
    interface = (known(facts.interfaces) or {}).get(interface_on(vip, node)) if facts else None
    return interface.vhid(vip.vhid) if interface else None


def with_vhid(facts: NodeFacts, name: str, vhid: Vhid) -> NodeFacts:
    """The facts with that vhid of the interface in place of the one of its number."""
    interface = _interface(facts, name)
    return _with_interface(
        facts, replace(interface, vhids=tuple(vhid if v.vhid == vhid.vhid else v for v in interface.vhids))
    )


def _interface(facts: NodeFacts, name: str) -> Interface:
    return (known(facts.interfaces) or {})[name]


def _with_interface(facts: NodeFacts, interface: Interface) -> NodeFacts:
    interfaces = {**(known(facts.interfaces) or {}), interface.name: interface}
    return replace(facts, interfaces=seen(interfaces, facts))
