"""What the facts about the next boot will be after steps that change it."""

from __future__ import annotations

from dataclasses import replace

from hactl.core.facts import BootConfig, File, NodeFacts, RcAlias
from hactl.core.plan.areas.boot import NETIF, ours, wanted_aliases
from hactl.core.plan.predict.hook import seen
from hactl.core.plan.scene import Scene, known
from hactl.core.steps import Step


def _boot(facts: NodeFacts) -> BootConfig:
    boot = known(facts.boot)
    assert boot is not None
    return boot


def set_variable(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """sysrc has set it."""
    boot = _boot(facts)
    rc = dict(boot.rc)
    if "+=" in step.command:
        name, _, value = step.command.removeprefix("sysrc ").partition("+=")
        rc[name] = f"{rc.get(name, '')} {value}".strip()
    else:
        name, _, value = step.command.removeprefix("sysrc ").partition("=")
        rc[name] = value
    return replace(facts, boot=seen(replace(boot, rc=rc), facts))


def remove_variable(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """sysrc has removed it."""
    boot = _boot(facts)
    return replace(
        facts,
        boot=seen(
            replace(
                boot,
                rc={name: value for name, value in boot.rc.items() if name != step.target},
                aliases=tuple(a for a in boot.aliases if a.variable != step.target),
                scan_stops={i: v for i, v in boot.scan_stops.items() if v != step.target},
            ),
            facts,
        ),
    )


def set_sysctl_line(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """The line is there."""
    boot = _boot(facts)
    value = str(step.command.split(f"'{step.target}=")[1].split("'")[0])
    return replace(facts, boot=seen(replace(boot, sysctl_conf={**boot.sysctl_conf, step.target: value}), facts))


def write_aliases(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    """Our block has the wanted aliases."""
    boot = _boot(facts)
    written = tuple(
        RcAlias(
            item.variable,
            item.interface,
            "inet6" if ":" in item.ip else "inet",
            item.ip,
            item.prefix_length,
            item.vhid,
            item.advbase,
            item.advskew,
            item.key,
            file=NETIF,
            managed=True,
        )
        for item in wanted_aliases(scene, step.node)
        if f"{item.variable}=" in step.command
    )
    ipv6 = boot.ipv6_interfaces | {item.interface for item in written if item.family == "inet6"}
    boot = replace(boot, aliases=(*(a for a in boot.aliases if not ours(a)), *written), ipv6_interfaces=ipv6)
    file = File(NETIF, exists=True, mode=0o600)
    return replace(facts, boot=seen(boot, facts), files={**facts.files, NETIF: seen(file, facts)})
