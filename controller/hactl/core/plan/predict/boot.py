"""What the facts about the next boot will be after its changes."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hactl.core.changes.boot import (
    NETIF,
    BootChange,
    DisableService,
    EnableService,
    MendTornFile,
    RemoveRcVariable,
    SetRcVariable,
    SetSysctlConf,
    WriteBootAliases,
)
from hactl.core.facts import BootConfig, File, NodeFacts, known
from hactl.core.plan.predict.readings import seen


def after_boot_change(change: BootChange, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    if isinstance(change, EnableService | DisableService):
        service = known(facts.services[change.name])
        assert service is not None
        changed = replace(service, enabled=isinstance(change, EnableService))
        return replace(facts, services={**facts.services, change.name: seen(changed, facts)})
    if isinstance(change, MendTornFile):
        torn = known(facts.files[change.path])
        assert torn is not None
        return replace(facts, files={**facts.files, change.path: seen(replace(torn, torn=False), facts)})
    boot = known(facts.boot)
    assert boot is not None
    if isinstance(change, WriteBootAliases):
        file = File(NETIF, exists=True, mode=0o600)
        facts = replace(facts, files={**facts.files, NETIF: seen(file, facts)})
    return replace(facts, boot=seen(_after(change, boot), facts))


def _after(change: WriteBootAliases | SetRcVariable | RemoveRcVariable | SetSysctlConf, boot: BootConfig) -> BootConfig:
    match change:
        case WriteBootAliases():
            by_hand = (alias for alias in boot.aliases if not alias.managed)
            ipv6 = boot.ipv6_interfaces | {item.alias.interface for item in change.block if ":" in item.alias.ip}
            written = (item.alias for item in change.block)
            return replace(boot, aliases=(*by_hand, *written), ipv6_interfaces=ipv6)
        case SetRcVariable():
            value = f"{boot.rc.get(change.name, '')} {change.value}".strip() if change.append else change.value
            return replace(boot, rc={**boot.rc, change.name: value})
        case RemoveRcVariable():
            return replace(
                boot,
                rc={name: value for name, value in boot.rc.items() if name != change.name},
                aliases=tuple(alias for alias in boot.aliases if alias.variable != change.name),
                scan_stops={i: variable for i, variable in boot.scan_stops.items() if variable != change.name},
            )
        case SetSysctlConf():
            return replace(boot, sysctl_conf={**boot.sysctl_conf, change.name: str(change.value)})
        case _:
            assert_never(change)
