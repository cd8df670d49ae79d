"""What the nodes' files say for the next boot.

Rules: written after what runs now is right; passwords only in a block of /etc/rc.conf.d/netif with mode 0600, which
rc.d/netif reads and nothing else does (docs/freebsd-facts.md#1.8); a hand-written alias that says the same is left
alone; one that says something else is removed by name. Man pages: rc.conf(5), sysrc(8), sysctl.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.changes.boot import (
    BEGIN,
    END,
    NETIF,
    RC_CONF,
    RC_CONF_LOCAL,
    SYSCTL_CONF,
    BootAlias,
    DisableService,
    EnableService,
    MendTornFile,
    RemoveRcVariable,
    SetRcVariable,
    SetSysctlConf,
    WriteBootAliases,
    mangle,
)
from hactl.core.choices import RunOn
from hactl.core.cluster import hooked_groups, interface_on
from hactl.core.facts import BootConfig, File, NodeFacts, RcAlias, Unknown, family, known
from hactl.core.hook.render import RCVAR
from hactl.core.plan.adopted import stays, unanswered
from hactl.core.plan.areas.kernel import CARP_DEFAULTS, wanted_sysctls
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.virtual_ips import key_of, password_of, wanted_addresses, wanted_advskews
from hactl.core.sh import quote
from hactl.core.steps import Check, Hold, Risk, Step

#: Files of many hands that hactl takes NUL bytes out of; what is its own it writes anew.
MENDABLE = (RC_CONF, RC_CONF_LOCAL, SYSCTL_CONF, NETIF)


def boot_steps(scene: Scene) -> Findings:
    """Whatever the next boot would get wrong, on every node that answers."""
    for node, facts in scene.view.facts.items():
        torn = [file for each in facts.files.values() if (file := known(each)) is not None and file.torn]
        yield from (_mend(node, file.path) for file in torn if file.path in MENDABLE)
        if isinstance(facts.boot, Unknown):
            yield Hold(
                HoldReason.BOOT_CONFIG_UNKNOWN,
                f"{node}: cannot tell what the next boot does: {facts.boot.reason}",
                node=node,
                target="/etc/rc.conf",
                remedy=f"sh -n {RC_CONF}, {RC_CONF_LOCAL} and {NETIF} on {node} show where",
            )
            continue
        boot = facts.boot.value
        yield from _rc_variables(scene, node, boot)
        yield from _services(scene, node, facts, boot)
        yield from _sysctl_conf(scene, node, boot)
        yield from _aliases(scene, node, facts, boot)


def _mend(node: str, path: str) -> Step:
    change = MendTornFile(path)
    after = Check(f"{path} has no NUL byte", f"[ $(tr -cd '\\000' < {path} | wc -c) -eq 0 ]")
    why = "it has NUL bytes: a power cut tore it, and what stood there is lost; compare it with a backup"
    return Step.of(node, change, f"{why} ({change.kept} keeps the torn file)", Risk.NONE, after=(after,))


def _rc_is(name: str, value: str, file: str = "") -> Check:
    where = f"-f {quote(file)} " if file else ""
    return Check(f"{name} is {value}", f'[ "$(sysrc {where}-n {name} 2>/dev/null)" = {quote(value)} ]')


#: Files below rc.conf.d that hactl writes; others are for a person.
_PLAIN_FILE = re.compile(r"(/usr/local)?/etc/rc\.conf\.d/([\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)


def _decides(boot: BootConfig, name: str) -> str:
    """The file below rc.conf.d that sets a variable last, which sysrc(8) does not look at; empty: none does."""
    file = boot.set_in.get(name, "")
    return file if "/rc.conf.d/" in file else ""


def _strange(node: str, file: str, name: str, value: str) -> Hold | None:
    """A file that hactl does not write has the last word."""
    if not file or _PLAIN_FILE.fullmatch(file):
        return None
    return Hold(
        HoldReason.BOOT_CONFIG_BY_HAND,
        f"{node}: {file} sets {name}, and rc(8) reads it last",
        node=node,
        target=name,
        remedy=f"write {name}={value} there, by hand: hactl does not write a file of that name",
    )


def _on_at_boot(node: str, boot: BootConfig, name: str, why: str) -> Step | Hold:
    file = _decides(boot, name)
    if strange := _strange(node, file, name, "YES"):
        return strange
    why += f" ({file} says so)" if file else ""
    return Step.of(node, SetRcVariable(name, "YES", file=file), why, Risk.NONE, after=(_rc_is(name, "YES", file),))


def _carp_at_boot(node: str, boot: BootConfig) -> Step | Hold:
    file = _decides(boot, "kld_list")
    if strange := _strange(node, file, "kld_list", "... carp"):
        return strange
    where = f"-f {quote(file)} " if file else ""
    has_carp = f'case " $(sysrc {where}-n kld_list) " in *" carp "*) ;; *) exit 1 ;; esac'
    why = f"the carp module is not loaded at boot{f' ({file} has kld_list)' if file else ''}"
    change = SetRcVariable("kld_list", "carp", append=True, file=file)
    return Step.of(node, change, why, Risk.NONE, after=(Check("kld_list has carp", has_carp),))


def _rc_variables(scene: Scene, node: str, boot: BootConfig) -> Findings:
    if any(True for _ in scene.view.vips()):
        modules = {word.rsplit("/", 1)[-1].removesuffix(".ko") for word in boot.rc.get("kld_list", "").split()}
        if "carp" not in modules:
            yield _carp_at_boot(node, boot)
    if any(node in storage.hast.devices for _, storage in scene.view.storages()):
        value = boot.rc.get("hastd_enable", "NO")
        if not is_yes(value):
            why = f"hastd_enable is {value or 'empty'}; hastd does not start at boot"
            yield _on_at_boot(node, boot, "hastd_enable", why)
    hook = scene.view.hook(node)
    if hook is not None and not hook.files and unanswered(scene):
        pass  # the node hook is not there yet
    elif not hooked_groups(scene.view.cluster, node):
        if is_yes(boot.rc.get(RCVAR, "NO")):
            yield _remove_variable(node, RCVAR, "there is no node hook for it to start")
    else:
        for name, default, what in (
            (RCVAR, "NO", "the node hook holds a rebooted node back until it can serve"),
            ("devd_enable", "YES", "devd tells the node hook of CARP's events"),
        ):
            if not is_yes(boot.rc.get(name, default)):
                yield _on_at_boot(node, boot, name, what)


def is_yes(value: str) -> bool:
    """What rc takes for yes (rc.subr, checkyesno)."""
    return value.lower() in ("yes", "true", "on", "1")


def _services(scene: Scene, node: str, facts: NodeFacts, boot: BootConfig) -> Findings:
    """A service that follows the group must not start by itself at boot; one that runs everywhere must."""
    for group in scene.view.cluster.groups:
        for spec in group.services:
            service = known(facts.services.get(spec.name))
            if service is None or not service.exists or service.rcvar is None or node not in group.preferred:
                continue
            wanted = spec.run_on is RunOn.ALL
            if service.enabled != wanted:
                file = _decides(boot, service.rcvar)
                if strange := _strange(node, file, service.rcvar, "YES" if wanted else "NO"):
                    yield strange
                    continue
                change = (EnableService if wanted else DisableService)(spec.name, service.rcvar, file)
                why = "it runs on every node" if wanted else "it runs only where the group is active, not from boot"
                why += f" ({file} says otherwise)" if file else ""
                after = _rc_is(service.rcvar, "YES" if wanted else "NO", file)
                yield Step.of(node, change, f"{spec.name}: {why}", Risk.NONE, after=(after,))


def _sysctl_conf(scene: Scene, node: str, boot: BootConfig) -> Iterator[Step]:
    if not any(True for _ in scene.view.vips()):
        return
    for short, value in wanted_sysctls(scene).items():
        name = f"net.inet.carp.{short}"
        have = boot.sysctl_conf.get(name, str(CARP_DEFAULTS[short]))
        if have.strip() != str(value):
            change = SetSysctlConf(name, value, boot.set_in.get(name, SYSCTL_CONF))
            yield _sysctl_line(node, change, have if name in boot.sysctl_conf else None)


def _sysctl_line(node: str, change: SetSysctlConf, have: str | None) -> Step:
    line = f"{change.name}={change.value}"
    why = f"sets {change.name}={have}" if have is not None else f"does not set {line}"
    after = Check(f"{change.file} has {line}", f"grep -q '^{change.pattern}={change.value}$' {quote(change.file)}")
    return Step.of(node, change, f"{change.file} {why}", Risk.NONE, after=(after,))


def wanted_aliases(scene: Scene, node: str) -> list[BootAlias]:
    """The CARP aliases this node should bring up at boot."""
    wanted = []
    for group, vip in scene.view.vips():
        if node not in group.preferred:
            continue
        interface, advskew = interface_on(vip, node), wanted_advskews(scene, group, vip)[node]
        for index, address in enumerate(wanted_addresses(vip)):
            alias = RcAlias(
                f"ifconfig_{mangle(interface)}_alias{vip.vhid}{index:02d}",
                interface,
                family(address.ip),
                address.ip,
                address.prefix_length,
                vip.vhid,
                vip.advbase,
                advskew,
                key_of(scene, group, vip),
                file=NETIF,
                managed=True,
            )
            wanted.append(BootAlias(alias, password_of(scene, group, vip)))
    return wanted


def _says_the_same(wanted: RcAlias, there: RcAlias) -> bool:
    """Whether an alias found on the node means what is wanted."""
    return (
        (there.interface, there.ip, there.prefix_length, there.vhid)
        == (wanted.interface, wanted.ip, wanted.prefix_length, wanted.vhid)
        and (there.advbase or 1, there.advskew or 0) == (wanted.advbase, wanted.advskew)
        and (wanted.key is None or there.key == wanted.key)
        and not there.unknown_words
    )


def _aliases(scene: Scene, node: str, facts: NodeFacts, boot: BootConfig) -> Findings:
    wanted = wanted_aliases(scene, node)
    file = known(facts.files.get(NETIF))
    if file is not None and file.block_damaged:
        yield Hold(
            HoldReason.BOOT_CONFIG_BY_HAND,
            f"{node}: the lines '{BEGIN}' and '{END}' in {NETIF} are not one pair any more",
            node=node,
            target=NETIF,
            remedy=f"put them around what hactl wrote, or remove both, in {NETIF} on {node}",
        )
        return
    by_hand = [alias for alias in boot.aliases if not alias.managed]
    outdated = _outdated(scene, node, by_hand, wanted)
    staying = [alias for alias in by_hand if alias.variable not in outdated]
    kept = {item.alias.variable for item in wanted if any(_says_the_same(item.alias, alias) for alias in staying)}
    block = tuple(item for item in wanted if item.alias.variable not in kept)
    have = [alias for alias in boot.aliases if alias.managed]
    unsaid = next((item.alias for item in block if _password_unsaid(facts, item.alias, by_hand)), None)
    if unsaid is not None:
        yield _without_password(node, unsaid)
    elif _block_differs(block, have, boot, file):
        yield _write_block(node, block, have)
    for variable, ips in outdated.items():
        yield _remove_variable(node, variable, f"it brings up {' and '.join(ips)} otherwise than the document says")
    for alias in staying:
        if stays(scene, node, alias.interface, alias.vhid, alias.ip) and not _names(alias, wanted):
            # The document does not name it (see adopted); what it says of the vhid counts all the same.
            yield from _otherwise_said(node, alias, wanted)
            continue
        if _contradicts(alias, wanted) and not any(_says_the_same(item.alias, alias) for item in wanted):
            yield _by_hand(node, alias)
    for interface, variable in boot.scan_stops.items():
        if any(item.alias.interface == interface for item in block):
            yield _remove_variable(node, variable, "it is empty, and rc.d/netif stops looking for aliases there")


def _password_unsaid(facts: NodeFacts, alias: RcAlias, by_hand: list[RcAlias]) -> bool:
    """Whether the vhid has a password that neither the document nor a line of somebody's own would give it at boot."""
    interface = (known(facts.interfaces) or {}).get(alias.interface)
    vhid = interface.vhid(alias.vhid) if interface is not None else None
    if alias.key is not None or vhid is None or vhid.key is None:
        return False
    return not any((a.interface, a.vhid, a.key) == (alias.interface, alias.vhid, vhid.key) for a in by_hand)


def _without_password(node: str, alias: RcAlias) -> Hold:
    return Hold(
        HoldReason.BOOT_CONFIG_BY_HAND,
        f"{node}: no file brings up {alias.ip} with the password that vhid {alias.vhid} of {alias.interface} has now, "
        "and the document does not say it",
        node=node,
        target=alias.variable,
        remedy=f"write the line back into /etc/rc.conf of {node}, or name passwordFrom in the document",
    )


def _otherwise_said(node: str, alias: RcAlias, wanted: list[BootAlias]) -> Iterator[Hold]:
    """A line that stays gives its vhid another password or place at the next boot: two nodes would be MASTER."""
    ours = next((w.alias for w in wanted if (w.alias.interface, w.alias.vhid) == (alias.interface, alias.vhid)), None)
    if ours is None:
        return
    pairs = (
        ("password", alias.key, ours.key),
        ("advskew", alias.advskew, ours.advskew),
        ("advbase", alias.advbase, ours.advbase),
    )
    wrong = [word for word, says, want in pairs if None not in (says, want) and says != want]
    if wrong:
        yield Hold(
            HoldReason.BOOT_CONFIG_BY_HAND,
            f"{node}: {alias.variable} in {alias.file} gives vhid {alias.vhid} of {alias.interface} another "
            f"{' and '.join(wrong)} than the document at the next boot",
            node=node,
            target=alias.variable,
            remedy=f"take {', '.join(wrong)} out of that line: the vhid has them from the other lines",
        )


def _names(alias: RcAlias, wanted: list[BootAlias]) -> bool:
    """Whether the document has the address on that interface."""
    return any((alias.interface, alias.ip) == (item.alias.interface, item.alias.ip) for item in wanted)


def _contradicts(alias: RcAlias, wanted: list[BootAlias]) -> bool:
    """An alias for one of our addresses or vhids that says something else."""
    return any(
        alias.interface == item.alias.interface and (alias.ip == item.alias.ip or alias.vhid == item.alias.vhid)
        for item in wanted
    )


def _outdated(scene: Scene, node: str, by_hand: list[RcAlias], wanted: list[BootAlias]) -> dict[str, list[str]]:
    """Variable of rc.conf -> its addresses: all that it says is for hactl to say, and none of it is right.

    sysrc(8) takes out whole variables. One that says more, or stands in rc.conf.d, a person must edit.
    """
    found: dict[str, list[str]] = {}
    for variable in dict.fromkeys(alias.variable for alias in by_hand):
        entries = [alias for alias in by_hand if alias.variable == variable]
        ours = all(_is_ours(scene, node, alias, wanted) for alias in entries)
        right = any(_says_the_same(item.alias, alias) for alias in entries for item in wanted)
        if ours and not right and re.fullmatch(r"ifconfig_[A-Za-z0-9_]+_alias(es|\d+)", variable):
            found[variable] = [alias.ip for alias in entries]
    return found


def _is_ours(scene: Scene, node: str, alias: RcAlias, wanted: list[BootAlias]) -> bool:
    """Whether an entry of somebody's own is about one of our addresses or vhids, and about nothing besides."""
    more = alias.beside or alias.options or alias.unknown_words or alias.file.startswith("/etc/rc.conf.d")
    asked = stays(scene, node, alias.interface, alias.vhid, alias.ip) and not _names(alias, wanted)
    return _contradicts(alias, wanted) and not more and not asked


def _by_hand(node: str, alias: RcAlias) -> Hold:
    """An entry that says something else, where a person must take it out."""
    more = (*alias.options, *alias.unknown_words)
    return Hold(
        HoldReason.BOOT_CONFIG_BY_HAND,
        f"{node}: {alias.variable} in {alias.file} brings up {alias.ip} as vhid {alias.vhid} "
        f"otherwise than the document says{', and says besides: ' if more else ''}{', '.join(more)}",
        node=node,
        target=alias.variable,
        remedy=f"take that entry out of {alias.file} on {node}"
        + (f", and put {', '.join(alias.options)} into ifconfig_{mangle(alias.interface)}" if alias.options else ""),
    )


def _block_differs(block: tuple[BootAlias, ...], have: list[RcAlias], boot: BootConfig, file: File | None) -> bool:
    if len(block) != len(have) or not all(any(_says_the_same(item.alias, alias) for alias in have) for item in block):
        return True
    if block and any(":" in item.alias.ip and item.alias.interface not in boot.ipv6_interfaces for item in block):
        return True
    return bool(block) and file is not None and file.mode is not None and file.mode & 0o077 != 0


def _remove_variable(node: str, variable: str, why: str) -> Step:
    after = Check(f"{variable} is not set", f"! sysrc -n {variable} >/dev/null 2>&1")
    return Step.of(node, RemoveRcVariable(variable), why, Risk.NONE, after=(after,))


def _write_block(node: str, block: tuple[BootAlias, ...], have: list[RcAlias]) -> Step:
    found = "; ".join(_next_boot(block, have))
    why = f"the next boot {found}" if found else "the next boot skips its IPv6 addresses, or others may read it"
    return Step.of(node, WriteBootAliases(block), why, Risk.NONE, after=(_block_check(block),))


def _next_boot(block: tuple[BootAlias, ...], have: list[RcAlias]) -> Iterator[str]:
    """What of the addresses comes up otherwise than the document says."""
    wanted = {item.alias.ip: item.alias for item in block}
    there = {alias.ip: alias for alias in have}
    for ip, alias in wanted.items():
        if ip not in there:
            yield f"does not bring up {ip}/{alias.prefix_length}"
        elif not _says_the_same(alias, there[ip]):
            yield f"brings up {ip} with {', '.join(_otherwise(alias, there[ip]))}"
    surplus = [ip for ip in there if ip not in wanted]
    if surplus:
        yield f"brings up {', '.join(surplus)}, which is not the document's"


def _otherwise(wanted: RcAlias, there: RcAlias) -> Iterator[str]:
    """What an alias for the right address says besides what it should."""
    for word, have, want in (
        ("interface", there.interface, wanted.interface),
        ("prefix", there.prefix_length, wanted.prefix_length),
        ("vhid", there.vhid, wanted.vhid),
        ("advbase", there.advbase or 1, wanted.advbase),
        ("advskew", there.advskew or 0, wanted.advskew),
    ):
        if have != want:
            yield f"{word} {have} instead of {want}"
    if wanted.key is not None and there.key != wanted.key:
        yield "another password"
    if there.unknown_words:
        yield "words that hactl does not know"


def _block_check(block: tuple[BootAlias, ...]) -> Check:
    lines = [f"hactl_file={NETIF}; [ ! -d {NETIF} ] || hactl_file={NETIF}/hactl"]
    lines.append('[ "$(stat -f %Lp "$hactl_file")" = 600 ] || exit 1')
    lines += [f'grep -q {quote("^" + item.alias.variable + "=")} "$hactl_file" || exit 1' for item in block]
    if not block:
        lines.append(f'! grep -q {quote("^" + BEGIN)} "$hactl_file"')
    return Check(f"{NETIF} has the aliases and mode 0600", "\n".join(lines))
