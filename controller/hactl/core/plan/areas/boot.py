"""What the nodes' files say for the next boot.

Rules: written after what runs now is right; passwords only in a block of /etc/rc.conf.d/netif with mode 0600, which
rc.d/netif reads and nothing else does (docs/freebsd-facts.md#1.8); a hand-written alias that says the same is left
alone; one that says something else is removed by name. Man pages: rc.conf(5), sysrc(8), sysctl.conf(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hactl.core.cluster import hooked_groups, interface_on
from hactl.core.facts import BootConfig, File, NodeFacts, RcAlias, family
from hactl.core.hook.render import RCVAR
from hactl.core.objects import RunOn
from hactl.core.plan.areas.addresses import password_variable, wanted_addresses
from hactl.core.plan.areas.kernel import wanted_sysctls
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.virtual_ips import wanted_advskews
from hactl.core.steps import Check, Risk, SecretUse, Step, quote

NETIF = "/etc/rc.conf.d/netif"
SYSCTL_CONF = "/etc/sysctl.conf"
BEGIN, END = "# BEGIN hactl", "# END hactl"
#: fsync(1) is in the base system; without it a power loss could leave the renamed file empty.
FLUSH = '{ ! command -v fsync >/dev/null || fsync "$hactl_new"; }'


@dataclass(frozen=True, slots=True)
class BootAlias:
    """One line of our block."""

    interface: str
    variable: str
    ip: str
    prefix_length: int
    vhid: int
    advbase: int
    advskew: int
    key: str | None
    secret: SecretUse | None

    def line(self) -> str:
        """As it stands in the file; the password is a shell variable of the script that writes it."""
        password = f" pass ${{{self.secret.variable}}}" if self.secret else ""
        return (
            f'{self.variable}="{family(self.ip)} {self.ip}/{self.prefix_length} vhid {self.vhid} '
            f'advbase {self.advbase} advskew {self.advskew}{password}"'
        )

    def says_the_same(self, alias: RcAlias) -> bool:
        """Whether an alias found on the node means this."""
        return (
            (alias.interface, alias.ip, alias.prefix_length, alias.vhid)
            == (self.interface, self.ip, self.prefix_length, self.vhid)
            and (alias.advbase or 1, alias.advskew or 0) == (self.advbase, self.advskew)
            and (self.key is None or alias.key == self.key)
            and not alias.unknown_words
        )


def mangle(interface: str) -> str:
    """An interface name as rc.conf variables spell it (network.subr, get_if_var)."""
    return re.sub(r"[.\-/+]", "_", interface)


def ours(alias: RcAlias) -> bool:
    """Whether the alias stands in the block that hactl writes."""
    return alias.managed


def boot_steps(scene: Scene) -> Steps:
    """Whatever the next boot would get wrong, on every node that answers."""
    steps: Steps = []
    for node, facts in scene.facts.items():
        boot = known(facts.boot)
        if boot is None:
            reason = getattr(facts.boot, "reason", "not asked")
            scene.hold(
                "BootConfigUnknown",
                f"{node}: cannot tell what the next boot does: {reason}",
                node=node,
                target="/etc/rc.conf",
                remedy="sh -n /etc/rc.conf shows a syntax error",
            )
            continue
        steps += _rc_variables(scene, node, boot)
        steps += _services(scene, node, facts)
        steps += _sysctl_conf(scene, node, boot)
        steps += _aliases(scene, node, facts, boot)
    return steps


def _rc(node: str, name: str, value: str, why: str) -> Step:
    return Step(
        node,
        "SetRcVariable",
        name,
        why,
        f"sysrc {name}={value}",
        Risk.NONE,
        after=(Check(f"{name} is {value}", f'[ "$(sysrc -n {name} 2>/dev/null)" = {quote(value)} ]'),),
    )


def _rc_variables(scene: Scene, node: str, boot: BootConfig) -> Steps:
    steps: Steps = []
    if any(True for _ in scene.vips()):
        modules = {word.rsplit("/", 1)[-1].removesuffix(".ko") for word in boot.rc.get("kld_list", "").split()}
        if "carp" not in modules:
            steps.append(
                Step(
                    node,
                    "SetRcVariable",
                    "kld_list",
                    "the carp module is not loaded at boot",
                    "sysrc kld_list+=carp",
                    Risk.NONE,
                    after=(
                        Check("kld_list has carp", 'case " $(sysrc -n kld_list) " in *" carp "*) ;; *) exit 1 ;; esac'),
                    ),
                )
            )
    if any(node in storage.hast.devices for _, storage in scene.storages()):
        value = boot.rc.get("hastd_enable", "NO")
        if not is_yes(value):
            steps.append(
                _rc(node, "hastd_enable", "YES", f"hastd_enable is {value or 'empty'}; hastd does not start at boot")
            )
    if hooked_groups(scene.cluster, node):
        for name, default, what in (
            (RCVAR, "NO", "the node hook holds a rebooted node back until it can serve"),
            ("devd_enable", "YES", "devd tells the node hook of CARP's events"),
        ):
            if not is_yes(boot.rc.get(name, default)):
                steps.append(_rc(node, name, "YES", what))
    return steps


def is_yes(value: str) -> bool:
    """What rc takes for yes (rc.subr, checkyesno)."""
    return value.lower() in ("yes", "true", "on", "1")


def _services(scene: Scene, node: str, facts: NodeFacts) -> Steps:
    """A service that follows the group must not start by itself at boot; one that runs everywhere must."""
    steps: Steps = []
    for group in scene.cluster.groups:
        for spec in group.services:
            service = known(facts.services.get(spec.name))
            if service is None or not service.exists or service.rcvar is None or node not in group.preferred:
                continue
            wanted = spec.run_on is RunOn.ALL
            if service.enabled != wanted:
                value = "YES" if wanted else "NO"
                why = "it runs on every node" if wanted else "it runs only where the group is active, not from boot"
                step = _rc(node, service.rcvar, value, f"{spec.name}: {why}")
                steps.append(
                    Step(
                        node,
                        "EnableService" if wanted else "DisableService",
                        spec.name,
                        step.why,
                        step.command,
                        Risk.NONE,
                        after=step.after,
                    )
                )
    return steps


def _sysctl_conf(scene: Scene, node: str, boot: BootConfig) -> Steps:
    if not any(True for _ in scene.vips()):
        return []
    steps: Steps = []
    for short, value in wanted_sysctls(scene).items():
        name = f"net.inet.carp.{short}"
        default = {"preempt": "0", "allow": "1"}[short]
        have = boot.sysctl_conf.get(name, default)
        if have.strip() != str(value):
            steps.append(_sysctl_line(node, name, value, have if name in boot.sysctl_conf else None))
    return steps


def _sysctl_line(node: str, name: str, value: int, have: str | None) -> Step:
    """Replace the line, or append it; the file keeps its owner and mode, and is replaced in one rename."""
    pattern = name.replace(".", "[.]")
    command = "\n".join(
        [
            f"hactl_new=$(mktemp {SYSCTL_CONF}.hactl.XXXXXX) &&",
            f'if [ -e {SYSCTL_CONF} ]; then cp -p {SYSCTL_CONF} "$hactl_new"; else chmod 644 "$hactl_new"; fi &&',
            f"{{ [ ! -e {SYSCTL_CONF} ] || grep -Ev '^[[:space:]]*{pattern}[[:space:]]*=' {SYSCTL_CONF}; "
            f"echo '{name}={value}'; }} > \"$hactl_new\" &&",
            f'{FLUSH} && mv -f "$hactl_new" {SYSCTL_CONF} || {{ rm -f "$hactl_new"; exit 1; }}',
        ]
    )
    why = f"{SYSCTL_CONF} sets {name}={have}" if have is not None else f"{SYSCTL_CONF} does not set {name}={value}"
    return Step(
        node,
        "SetSysctlConf",
        name,
        why,
        command,
        Risk.NONE,
        after=(Check(f"{SYSCTL_CONF} has {name}={value}", f"grep -q '^{pattern}={value}$' {SYSCTL_CONF}"),),
    )


def wanted_aliases(scene: Scene, node: str) -> list[BootAlias]:
    """The CARP aliases this node should bring up at boot."""
    wanted = []
    for group, vip in scene.vips():
        if node not in group.preferred:
            continue
        interface, advskew = interface_on(vip, node), wanted_advskews(scene, group, vip)[node]
        for index, address in enumerate(wanted_addresses(vip)):
            wanted.append(
                BootAlias(
                    interface,
                    f"ifconfig_{mangle(interface)}_alias{vip.vhid}{index:02d}",
                    address.ip,
                    address.prefix_length,
                    vip.vhid,
                    vip.advbase,
                    advskew,
                    scene.cluster.keys.get((group.name, vip.name)),
                    password_variable(scene, group, vip),
                )
            )
    return wanted


def _aliases(scene: Scene, node: str, facts: NodeFacts, boot: BootConfig) -> Steps:
    wanted = wanted_aliases(scene, node)
    steps: Steps = []
    file = known(facts.files.get(NETIF))
    if file is not None and file.block_damaged:
        scene.hold(
            "BootConfigByHand",
            f"{node}: the lines '{BEGIN}' and '{END}' in {NETIF} are not one pair any more",
            node=node,
            target=NETIF,
            remedy=f"put them around what hactl wrote, or remove both, in {NETIF} on {node}",
        )
        return []
    by_hand = [alias for alias in boot.aliases if not ours(alias)]
    kept = {item.variable for item in wanted if any(item.says_the_same(alias) for alias in by_hand)}
    block = [item for item in wanted if item.variable not in kept]
    if _block_differs(block, [alias for alias in boot.aliases if ours(alias)], boot, file):
        steps.append(_write_block(node, block))
    for alias in by_hand:
        if any(item.says_the_same(alias) for item in wanted) or not _contradicts(alias, wanted):
            continue
        if not re.fullmatch(r"ifconfig_[A-Za-z0-9_]+_alias\d+", alias.variable) or alias.file.startswith(
            "/etc/rc.conf.d"
        ):
            scene.hold(
                "BootConfigByHand",
                f"{node}: {alias.variable} in {alias.file} brings up {alias.ip} as vhid {alias.vhid} "
                "otherwise than the document says",
                node=node,
                target=alias.variable,
                remedy=f"take that entry out of {alias.file} on {node}",
            )
            continue
        steps.append(
            _remove_variable(node, alias.variable, f"it brings up {alias.ip} otherwise than the document says")
        )
    for interface, variable in boot.scan_stops.items():
        if any(item.interface == interface for item in block):
            steps.append(
                _remove_variable(node, variable, "it is empty, and rc.d/netif stops looking for aliases there")
            )
    return steps


def _contradicts(alias: RcAlias, wanted: list[BootAlias]) -> bool:
    """An alias for one of our addresses or vhids that says something else."""
    return any(
        alias.interface == item.interface and (alias.ip == item.ip or alias.vhid == item.vhid) for item in wanted
    )


def _block_differs(block: list[BootAlias], have: list[RcAlias], boot: BootConfig, file: File | None) -> bool:
    if len(block) != len(have) or not all(any(item.says_the_same(alias) for alias in have) for item in block):
        return True
    if block and any(":" in item.ip and item.interface not in boot.ipv6_interfaces for item in block):
        return True
    return bool(block) and file is not None and file.mode is not None and file.mode & 0o077 != 0


def _remove_variable(node: str, variable: str, why: str) -> Step:
    return Step(
        node,
        "RemoveRcVariable",
        variable,
        why,
        f"sysrc -x {variable}",
        Risk.NONE,
        after=(Check(f"{variable} is not set", f"! sysrc -n {variable} >/dev/null 2>&1"),),
    )


def _write_block(node: str, block: list[BootAlias]) -> Step:
    """Replace our block and keep every other line; the new file has its final mode before it has its content."""
    lines = [item.line() for item in block]
    # inet6 aliases are skipped unless this is set (network.subr, ipv6_up); what the operator set stays.
    lines += [
        f': "\\${{ifconfig_{mangle(interface)}_ipv6:=inet6 -ifdisabled}}"'
        for interface in sorted({item.interface for item in block if ":" in item.ip})
    ]
    content = [BEGIN, *lines, END] if lines else []
    command = "\n".join(
        [
            f"hactl_file={NETIF}; [ ! -d {NETIF} ] || hactl_file={NETIF}/hactl",
            "umask 077 && mkdir -p -m 755 /etc/rc.conf.d && hactl_new=$(mktemp /etc/rc.conf.d/.hactl.XXXXXX) &&",
            "{",
            # awk ends a last line without a newline; sed does not, and BEGIN would stand in the middle of it.
            f"  {{ [ ! -f \"$hactl_file\" ] || awk '/^{BEGIN}/ {{ own = 1 }} ! own {{ print }} /^{END}/ {{ own = 0 }}'"
            ' "$hactl_file"; } &&',
            "  cat <<HACTL_END",
            *content,
            "HACTL_END",
            f'}} > "$hactl_new" && chmod 600 "$hactl_new" && {FLUSH} && mv -f "$hactl_new" "$hactl_file" ||',
            '  { rm -f "$hactl_new"; exit 1; }',
        ]
    )
    secrets = {item.secret.variable: item.secret for item in block if item.secret}
    count = f"{len(block)} address{'es' if len(block) != 1 else ''}"
    return Step(
        node,
        "WriteBootAliases",
        NETIF,
        f"the next boot does not bring up {count} as the document says"
        if block
        else "no CARP address is left to bring up",
        command,
        Risk.NONE,
        after=(_block_check(block),),
        secrets=tuple(secrets.values()),
    )


def _block_check(block: list[BootAlias]) -> Check:
    lines = [f"hactl_file={NETIF}; [ ! -d {NETIF} ] || hactl_file={NETIF}/hactl"]
    lines.append('[ "$(stat -f %Lp "$hactl_file")" = 600 ] || exit 1')
    lines += [f'grep -q {quote("^" + item.variable + "=")} "$hactl_file" || exit 1' for item in block]
    if not block:
        lines.append(f'! grep -q {quote("^" + BEGIN)} "$hactl_file"')
    return Check(f"{NETIF} has the aliases and mode 0600", "\n".join(lines))
