"""What the audit demands of steps that change what the next boot does: rc.conf, its CARP aliases, sysctl.conf.

Rules: only named files and variables (I10), only what the document says, only when it differs (I7), no password in
clear (I8, checked for every step elsewhere). Man pages: rc.conf(5), sysrc(8), sysctl.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_interface

from hactl.core.audit.case import Case
from hactl.core.audit.effects import RunsService, SetsRc, WritesFile
from hactl.core.audit.model import known
from hactl.core.audit.rules.carp import wanted_advskew
from hactl.core.choices import RunOn
from hactl.core.cluster import hooked_groups, interface_on
from hactl.core.facts import File, RcAlias
from hactl.core.hook.render import RCVAR
from hactl.core.objects import GroupSpec, VirtualIP

NETIF = "/etc/rc.conf.d/netif"
#: The copy of rc.conf that sysrc edits.
RC_COPY = "/var/run/hactl.rc.conf"
_ENTRY = re.compile(r"ifconfig_([A-Za-z0-9_]+)_alias[0-9]+=[\"']?([^\"'\n]*)")
_SYSCTL = re.compile(r"(?<![\w.])net\.inet\.carp\.(\w+)=(-?\d+)")
#: Without these the node is lost, whatever service they are called for.
_VITAL = frozenset({"hastd_enable", "sshd_enable", "devd_enable", "netif_enable", "routing_enable", "hostid_enable"})


def write_boot_aliases(case: Case) -> Iterator[str]:
    """WriteBootAliases: every address of the document comes up at boot as it should, from a file of mode 0600."""
    if not any(effect.path in (NETIF, f"{NETIF}/hactl") for effect in case.all_of(WritesFile)):
        yield f"does not write {NETIF}"
    if not re.search(r"chmod\s+(0?600|go=|go-\w+)|umask\s+0?077|install\b.*-m\s*0?600", case.step.command):
        yield f"I8: does not keep others from reading {NETIF}"
    boot = case.here.seen(lambda facts: facts.boot)
    if boot is None:
        yield "what is written for the next boot is not known"
        return
    entries = [(name, text.split()) for name, text in _ENTRY.findall(case.step.command)]
    managed = {vip.vhid for group in case.world.cluster.groups for vip in group.virtual_ips}
    for name, words in entries:
        vhid = _after(words, "vhid")
        if vhid is None or int(vhid) not in managed:
            yield f"writes an alias of {name} that is not for a vhid of the document: vhid {vhid}"
    for group, vip, cidr in _wanted_at_boot(case):
        written = any(_says(case, group, vip, cidr, name, words) for name, words in entries)
        if not written and not any(_is(case, group, vip, cidr, alias) for alias in boot.aliases):
            yield f"does not write {cidr} of {vip.name} for the next boot as the document says"
    if _in_sync(case, boot.aliases):
        yield "I7: the next boot brings up the addresses as the document says already"


def _wanted_at_boot(case: Case) -> Iterator[tuple[GroupSpec, VirtualIP, str]]:
    for group in case.world.cluster.groups:
        for vip in group.virtual_ips:
            yield from ((group, vip, text) for text in vip.addresses)


def _after(words: list[str], keyword: str) -> str | None:
    return words[words.index(keyword) + 1] if keyword in words[:-1] else None


def _says(case: Case, group: GroupSpec, vip: VirtualIP, cidr: str, name: str, words: list[str]) -> bool:
    """Whether an entry of the written block brings up this address."""
    wanted = wanted_advskew(case, group, vip)
    address = ip_interface(cidr)
    return (
        name == re.sub(r"[./+-]", "_", interface_on(vip, case.step.node))
        and words[:1] == ["inet6" if address.version == 6 else "inet"]
        and _after(words, "vhid") == str(vip.vhid)
        and (_after(words, "advbase") or "1") == str(vip.advbase)
        and (wanted is None or (_after(words, "advskew") or "0") == str(wanted))
        and _carries_password(case, group, vip, _after(words, "pass"))
        and f"{address.ip}/{address.network.prefixlen}" in words
    )


def _carries_password(case: Case, group: GroupSpec, vip: VirtualIP, word: str | None) -> bool:
    """Whether `pass` is followed by the variable that carries this virtual IP's password (or there is none)."""
    if vip.password_from is None or word is None:
        return vip.password_from is None and word is None
    variable = word.strip("\"'${}\\")
    return any(
        (use.variable, use.group, use.virtual_ip) == (variable, group.name, vip.name) for use in case.step.secrets
    )


def _is(case: Case, group: GroupSpec, vip: VirtualIP, cidr: str, alias: RcAlias) -> bool:
    """Whether an entry that is there already brings up this address."""
    wanted = wanted_advskew(case, group, vip)
    address = ip_interface(cidr)
    key = case.world.cluster.keys.get((group.name, vip.name))
    return (
        alias.interface == interface_on(vip, case.step.node)
        and (alias.ip, alias.prefix_length) == (str(address.ip), address.network.prefixlen)
        and alias.vhid == vip.vhid
        and (alias.advbase or 1) == vip.advbase
        and (wanted is None or (alias.advskew or 0) == wanted)
        # A password that the document does not name stays what somebody made it.
        and (alias.key == key or vip.password_from is None)
        and not alias.unknown_words
    )


def _in_sync(case: Case, aliases: tuple[RcAlias, ...]) -> bool:
    """Whether there is nothing to write: exactly the wanted aliases, in a file only root can read."""
    wanted = list(_wanted_at_boot(case))
    boot = case.here.seen(lambda facts: facts.boot)
    six = {interface_on(vip, case.step.node) for _, vip, cidr in wanted if ":" in cidr}
    exact = len(aliases) == len(wanted) and all(any(_is(case, *item, a) for a in aliases) for item in wanted)
    known_values = all(wanted_advskew(case, group, vip) is not None for group, vip, _ in wanted)
    files = [
        known(reading) for path, reading in (case.here.facts.files if case.here.facts else {}).items() if NETIF in path
    ]
    private = all(file is not None and _is_private(file) for file in files)
    return bool(boot) and exact and known_values and private and six <= (boot.ipv6_interfaces if boot else frozenset())


def _is_private(file: File) -> bool:
    return not file.exists or file.is_directory or (file.mode is not None and file.mode & 0o077 == 0)


def set_rc_variable(case: Case) -> Iterator[str]:
    """SetRcVariable."""
    for effect in case.all_of(SetsRc):
        if effect.variable in ("hastd_enable", "devd_enable", RCVAR) and effect.change == "=":
            if effect.value != "YES":
                yield f"sets {effect.variable} to {effect.value}"
        elif effect.variable == "kld_list":
            if effect.change not in ("+=", "=") or "carp" not in effect.value.split():
                yield f"kld_list{effect.change}{effect.value} does not load carp"
            if effect.change == "=" and (case.here.rc or {}).get("kld_list"):
                yield "I10: replaces kld_list instead of adding to it"
        elif not re.fullmatch(r"ifconfig_\w+_ipv6", effect.variable) or effect.change != "=":
            yield f"I10: {effect.variable} is not a variable hactl sets"
        yield from _rc_differs(case, effect)


def _rc_differs(case: Case, effect: SetsRc) -> Iterator[str]:
    yield from _rc_file(case, effect)
    if case.here.rc is None:
        yield "rc.conf of the node is not known"
        return
    present = case.here.rc.get(effect.variable)
    if effect.change == "=" and present is not None and present == effect.value:
        yield f"I7: {effect.variable} is {effect.value} already"
    if effect.change == "+=" and set(effect.value.split()) <= set((present or "").split()):
        yield f"I7: {effect.variable} has {effect.value} already"


def _rc_file(case: Case, effect: SetsRc) -> Iterator[str]:
    """sysrc edits a copy (its own writing flushes nothing), and rc.conf becomes that copy."""
    if effect.file != RC_COPY:
        yield f"I10: sysrc writes {effect.file or '/etc/rc.conf itself'}"
    replaced = {done.path for done in case.all_of(WritesFile) if done.how == "mv"}
    boot = case.here.seen(lambda facts: facts.boot)
    decides = boot.set_in.get(effect.variable, "") if boot is not None else ""
    if "/rc.conf.d/" in decides and replaced != {decides} and effect.change != "-x":
        yield f"changes nothing: {decides} is read after what it writes"
    if not replaced or not replaced <= {"/etc/rc.conf", "/etc/rc.conf.local", decides}:
        yield f"does not replace rc.conf by one rename: {', '.join(sorted(replaced)) or 'nothing is'}"
    if not re.search(rf"cp \S+ {RC_COPY} &&\n.*\ncat {RC_COPY} > \S+", case.step.command):
        yield "does not make rc.conf what sysrc made of it"


def remove_rc_variable(case: Case) -> Iterator[str]:
    """RemoveRcVariable: only CARP aliases, and the hook's own variable where the document needs no hook."""
    for effect in case.all_of(SetsRc):
        yield from _rc_file(case, effect)
        if effect.change == "-x" and effect.variable == RCVAR:
            if hooked_groups(case.world.cluster, case.step.node):
                yield f"{RCVAR} is needed: the node has a hook"
            if RCVAR not in (case.here.rc or {}):
                yield f"I7: {RCVAR} is not set"
            continue
        if effect.change != "-x" or not re.fullmatch(r"ifconfig_\w+_alias(es|\d+)", effect.variable):
            yield f"I10: sysrc {effect.change} {effect.variable} does not remove a CARP alias"
            continue
        boot = case.here.seen(lambda facts: facts.boot)
        if boot is None:
            yield "rc.conf of the node is not known"
            continue
        there = [alias for alias in boot.aliases if alias.variable == effect.variable]
        if not there and effect.variable not in {*boot.scan_stops.values(), *boot.rc}:
            yield f"I7: {effect.variable} is not set, or brings up no vhid"
        for alias in there:
            if more := [*alias.options, *alias.unknown_words, *(["entries without a vhid"] if alias.beside else [])]:
                yield f"I10: {effect.variable} says more than hactl looks after: {', '.join(more)}"
            right = [item for item in _wanted_at_boot(case) if _is(case, *item, alias)]
            sure = all(wanted_advskew(case, group, vip) is not None for group, vip, _ in right)
            if right and sure and _sole(alias, boot.aliases):
                yield f"I7: {effect.variable} is as the document says"


def _sole(alias: RcAlias, aliases: tuple[RcAlias, ...]) -> bool:
    return sum(1 for other in aliases if (other.interface, other.ip) == (alias.interface, alias.ip)) == 1


def set_sysctl_conf(case: Case) -> Iterator[str]:
    """SetSysctlConf."""
    boot = case.here.seen(lambda facts: facts.boot)
    files = {(boot.set_in if boot else {}).get(f"net.inet.carp.{word}") for word in ("preempt", "allow")} - {None}
    written = {effect.path for effect in case.all_of(WritesFile) if effect.how == "mv"}
    if len(written) != 1 or not written <= {"/etc/sysctl.conf", *files}:
        yield "does not replace /etc/sysctl.conf by one rename"
    wanted = {"preempt": str(int(case.world.cluster.document.spec.carp.preempt)), "allow": "1"}
    found = set(_SYSCTL.findall(case.step.command))
    if not found:
        yield "the line for /etc/sysctl.conf cannot be read"
    for name, value in sorted(found):
        if name not in wanted:
            yield f"net.inet.carp.{name} is not for sysctl.conf"
        elif value != wanted[name]:
            yield f"writes net.inet.carp.{name}={value}, the document says {wanted[name]}"
        elif (case.here.sysctl_conf or {}).get(f"net.inet.carp.{name}") == value:
            yield f"I7: /etc/sysctl.conf has net.inet.carp.{name}={value} already"


def mend_torn_file(case: Case) -> Iterator[str]:
    """MendTornFile: nothing but NUL bytes is taken out of a file that has some, and the torn one is kept."""
    path = case.step.target
    file = case.here.seen(lambda facts: facts.files.get(path))
    if file is None or not file.torn:
        yield f"I7: {path} is not known to be torn"
    replaced = {effect.path for effect in case.all_of(WritesFile) if effect.how == "mv"}
    if replaced != {path}:
        yield f"does not replace {path} by one rename"
    if "tr -d '\\000' <" not in case.step.command:
        yield f"does something else with {path} than taking NUL bytes out"
    if not any(effect.how == "cp" and effect.path.endswith(".torn") for effect in case.all_of(WritesFile)):
        yield f"I10: does not keep what {path} was"


def enable_service(case: Case) -> Iterator[str]:
    """EnableService."""
    yield from _at_boot(case, enabled=True)


def disable_service(case: Case) -> Iterator[str]:
    """DisableService."""
    yield from _at_boot(case, enabled=False)


def _at_boot(case: Case, *, enabled: bool) -> Iterator[str]:
    service = case.step.target
    wanted = [
        spec.run_on is RunOn.ALL
        for group in case.world.cluster.groups
        for spec in group.services
        if spec.name == service
    ]
    if not wanted:
        yield f"{service} is not a service of the document"
    elif wanted[0] is not enabled:
        yield f"the document says that {service} {'starts' if wanted[0] else 'does not start'} at boot"
    if case.here.enabled.get(service) is enabled:
        yield f"I7: {service} is {'enabled' if enabled else 'disabled'} at boot already"
    for effect in case.effects:
        match effect:
            case SetsRc(variable=variable, change=change, value=value):
                yield from _rc_file(case, effect)
                if change != "=" or value != ("YES" if enabled else "NO"):
                    yield f"sets {variable}{change}{value}"
                if not _is_rcvar(case, variable, service):
                    yield f"I10: {variable} is not known to be the variable of {service}"
            case RunsService(name=name, action=action):
                if name != service or action != ("enable" if enabled else "disable"):
                    yield f"service {name} {action} is not for {service} at boot"
            case _:
                pass


def _is_rcvar(case: Case, variable: str, service: str) -> bool:
    """The variable the node itself says it is; while it does not say, `NAME_enable` or any that is not vital."""
    if variable.startswith("$("):
        return re.search(rf"\bservice\s+'?{re.escape(service)}'?\s+rcvar\b", variable) is not None
    seen = case.here.seen(lambda facts: facts.services.get(service))
    if seen is not None and seen.rcvar is not None:
        return variable == seen.rcvar
    own = re.sub(r"[-.]", "_", service) + "_enable"
    return variable == own or (re.fullmatch(r"[A-Za-z_]\w*_enable", variable) is not None and variable not in _VITAL)
