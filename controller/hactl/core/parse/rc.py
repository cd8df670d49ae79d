"""rc(8): services, the variables of rc.conf(5), CARP aliases as rc.d/netif takes them, and what other boot files say.

Passwords of aliases are fingerprinted here and go no further.
Man pages: rc.conf(5), service(8), loader.conf(5), sysctl.conf(5). Sources: libexec/rc/network.subr
(ifalias_af_common: `_aliases` before `_aliasN`, numbers sorted, an empty one ends the scan), libexec/rc/rc.subr.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from hactl.core.changes.boot import mangle
from hactl.core.facts import HIDDEN_KEY, RcAlias
from hactl.core.parse.text import Failed, NotUnderstood, mask_length

_OFF = re.compile(r"^(\S+) is not running\.?$", re.MULTILINE)
_RCVAR = re.compile(r'#?\s*([A-Za-z0-9_]+)="?\$?([^"]*)"?')
_ALIAS = re.compile(r"ifconfig_([A-Za-z0-9_]+?)_(aliases|alias([0-9]+)[A-Za-z0-9_]*)", re.ASCII)
#: How much of what a script says is quoted, characters.
_QUOTED = 120
#: Where hactl's block stands; it may be a directory of files.
NETIF = "/etc/rc.conf.d/netif"
#: A hex digit before a `-` makes network.subr take the word for an address range (docs/freebsd-facts.md#1.8).
_RANGE = re.compile(r"[0-9a-fA-F]-")
#: What sh(1) would expand when netif passes the entry through eval; a word may have # and ~ inside.
_LIVE = re.compile(r"[$`\\\"'*?\[\]();&|<>]|^[~#]")
#: 192.0.2.5-7/24: network.subr brings up the first one with that length, and the others with /32.
_ADDRESS_RANGE = re.compile(r"((?:[0-9]{1,3}\.){3})([0-9]{1,3})-([0-9]{1,3})(/[0-9]{1,2})?", re.ASCII)
_LAST_OF_A_NETWORK = 255
#: Words of ifconfig(8) that are no secret.
_KEYWORDS = frozenset(
    re.findall(
        r"\S+",
        "-alias -link0 anycast autoconf delete deprecated description down eui64 fib link metric mtu no_dad peer peer6"
        " prefer_source remove scopeid state mcast mcast6 carpver vrrpprio vrrpinterval pltime vltime name",
    )
)
#: ifconfig(8) keeps this many characters of a password and no more (CARP_KEY_LEN, netinet/ip_carp.h).
_KEY_CHARACTERS = 19
#: Words of a boot line that say nothing about CARP: with a number, with a value that is not shown, and without.
_NUMBERED = frozenset({"mtu", "metric", "fib"})
_VALUED = frozenset({"description", "descr", "group", "media", "mediaopt"})
_SWITCH = re.compile(
    r"-?(lro|tso[46]?|[rt]xcsum6?|vlanhw\w+|vlanmtu|wol(_\w+)?|polling|no_dad|no_radr|prefer_source|debug|promisc|"
    r"monitor|staticarp|link[012]|arp|defaultif|ifdisabled|accept_rtadv|auto_linklocal|nud)",
    re.ASCII,
)
_ADDRESS_LIKE = re.compile(r"[0-9a-f]*[.:][0-9a-f.:]*(?:-[0-9a-f]+)?(?:/[0-9]+)?", re.ASCII)
_ENTRY_STARTS = frozenset({"inet", "inet6", "link", "ether"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a variable is assigned last: the file, and whether inside hactl's block."""

    file: str
    managed: bool


#: What to do where a script's answer says nothing.
NAME_A_CHECK = "name a `check` for it in the document"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What a node says of a service."""

    exists: bool
    running: bool
    #: Daemons of it that do not run while others do.
    off: tuple[str, ...] = ()


def parse_service_status(text: str, status: int, runs: str, *, check: str = "") -> ServiceStatus:
    """`service NAME onestatus`, its exit status, and what the node made of both (onestatus.sh: yes, no or unclear).

    `check`: what the document names in its place, in a few words. Raises Failed or NotUnderstood, with what to do.
    """
    if re.search(r"^\S+ does not exist in /etc/rc\.d or the local startup", text, re.MULTILINE):
        return ServiceStatus(exists=False, running=False)
    if text.startswith("Cannot "):
        raise Failed("rc does not say without the service being enabled")
    if runs == "yes":
        return ServiceStatus(exists=True, running=True, off=() if check else tuple(_OFF.findall(text)))
    if runs == "no":
        return ServiceStatus(exists=True, running=False)
    if runs != "unclear":
        raise NotUnderstood("the status of the service is not understood")
    said = "; ".join(line.strip() for line in text.split("\n") if line.strip())[:_QUOTED] or "nothing"
    if check:
        raise NotUnderstood(f"its check ({check}) ended with status {status} and says: {said}")
    if "unknown directive" in text or "Usage: " in text:
        raise NotUnderstood(f"its script has no status; {NAME_A_CHECK}")
    if status in (0, 1):
        raise NotUnderstood(f"its script exits with {status} and says: {said}; {NAME_A_CHECK}")
    raise NotUnderstood(f"the question ended with status {status} and says: {said}; {NAME_A_CHECK}")


def parse_rcvar(text: str) -> dict[str, str]:
    """`service NAME rcvar`: its variables and their values in force; empty for a service that always starts.

    Raises NotUnderstood when there is no comment line as rc.subr prints it.
    """
    variables: dict[str, str] = {}
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not any(line.startswith("#") for line in lines):
        raise NotUnderstood("not what rcvar prints")
    for line in lines:
        match = _RCVAR.fullmatch(line)
        if match and not line.startswith("#"):
            variables[match[1]] = match[2]
    return variables


def checkyesno(value: str) -> bool:
    """rc.subr's idea of yes."""
    return value.upper() in ("YES", "TRUE", "ON", "1")


@dataclass(frozen=True, slots=True)
class Aliases:
    """What rc.d/netif will apply."""

    #: Entries that name a vhid, in netif's order.
    entries: tuple[RcAlias, ...]
    scan_stops: Mapping[str, str]
    #: Alias variables of interfaces that nobody knows.
    strangers: tuple[str, ...]


def carp_aliases(
    variables: Mapping[str, str],
    interfaces: Collection[str],
    origins: Mapping[str, Origin],
    fingerprint: Callable[[str], str],
) -> Aliases:
    """CARP entries of `ifconfig_IF`, `ifconfig_IF_aliases` and `ifconfig_IF_aliasN`. `interfaces`: names that exist.

    inet6 entries are included although netif skips them where `ifconfig_IF_ipv6` is not set.
    """
    by_name = {mangle(interface): interface for interface in interfaces}
    found: dict[str, list[tuple[int, int, str]]] = {}
    strangers: list[str] = []
    for variable in variables:
        plain = by_name.get(variable.removeprefix("ifconfig_"))
        match = _ALIAS.fullmatch(variable)
        if plain is not None and variable.startswith("ifconfig_"):
            found.setdefault(plain, []).append((0, 0, variable))
        elif match is not None and match[1] in by_name:
            order = (1, 0) if match[2] == "aliases" else (2, int(match[3][:18]))
            found.setdefault(by_name[match[1]], []).append((*order, variable))
        elif match is not None:
            strangers.append(variable)
    entries: list[RcAlias] = []
    stops: dict[str, str] = {}
    for interface in sorted(found):
        for stage, _, variable in sorted(found[interface]):
            value = variables[variable]
            if stage == 2 and not value:
                stops[interface] = variable
                break
            origin = origins.get(variable, Origin("", managed=False))
            entries += _entries(variable, interface, value, origin, fingerprint)
    return Aliases(tuple(_as_applied(entries)), stops, tuple(strangers))


def _as_applied(entries: list[RcAlias]) -> list[RcAlias]:
    """Entries with what they leave out and an earlier one said: ifconfig(8) changes of a vhid only what it is told.

    netif takes the inet entries first. What somebody wrote is not completed by lines that hactl may take out again.
    """
    said: dict[tuple[str, int, bool], RcAlias] = {}
    found = list(entries)
    for at in sorted(range(len(entries)), key=lambda number: entries[number].family != "inet"):
        entry = entries[at]
        vhid = (entry.interface, entry.vhid, entry.managed)
        if (before := said.get(vhid)) is not None:
            entry = replace(
                entry,
                advbase=before.advbase if entry.advbase is None else entry.advbase,
                advskew=before.advskew if entry.advskew is None else entry.advskew,
                key=before.key if entry.key is None else entry.key,
            )
        found[at] = said[vhid] = entry
    return found


def address_groups(value: str) -> list[list[str]]:
    """The entries of one variable, as netif takes it apart: each begins with its family."""
    groups: list[list[str]] = []
    for word in value.split():
        if word in _ENTRY_STARTS or not groups:
            groups.append([])
            if word not in _ENTRY_STARTS:
                # netif assumes IPv4 and warns.
                groups[-1].append("inet")
        groups[-1].append(word)
    return groups


def _entries(
    variable: str, interface: str, value: str, origin: Origin, fingerprint: Callable[[str], str]
) -> Iterable[RcAlias]:
    groups = address_groups(value)
    with_vhid = [words for words in groups if words[0] in ("inet", "inet6") and "vhid" in words]
    for words in with_vhid:
        for entry in each_of_a_range(words):
            found = _entry(variable, interface, entry, origin, fingerprint)
            yield replace(found, beside=len(groups) - len(with_vhid))


def each_of_a_range(words: list[str]) -> Iterator[list[str]]:
    """The entry for each address, where it has a range of them."""
    at, found = next(((n, m) for n, word in enumerate(words) if (m := _ADDRESS_RANGE.fullmatch(word))), (0, None))
    if found is None or not int(found[2]) <= int(found[3]) <= _LAST_OF_A_NETWORK:
        yield words
        return
    for last in range(int(found[2]), int(found[3]) + 1):
        length = (found[4] or "") if last == int(found[2]) else "/32"
        yield [*words[:at], f"{found[1]}{last}{length}", *words[at + 1 :]]


def _entry(
    variable: str, interface: str, words: list[str], origin: Origin, fingerprint: Callable[[str], str]
) -> RcAlias:
    family = words[0]
    numbers: dict[str, int] = {}
    unknown: list[str] = []
    options: list[str] = []
    key: str | None = None
    ip, length = "", None
    rest = iter(words[1:])
    for word in rest:
        if word == "pass":
            secret = next(rest, "")
            key = fingerprint(secret if HIDDEN_KEY.fullmatch(secret) else secret[:_KEY_CHARACTERS])
            if _RANGE.search(secret) or _LIVE.search(secret):
                unknown.append("pass with characters that rc.conf cannot carry")
        elif word in ("vhid", "advskew", "advbase", "prefixlen"):
            value = next(rest, "")
            if re.fullmatch(r"[0-9]{1,6}", value):
                numbers[word] = int(value)
            else:
                unknown.append(word)
        elif word == "netmask":
            length = _netmask(next(rest, ""), unknown)
        elif word == "broadcast":
            next(rest, "")
        elif word in ("alias", "add", "up"):
            continue
        elif not ip and (parsed := _cidr(word, family)) is not None:
            ip, length = parsed[0], parsed[1] if parsed[1] is not None else length
        else:
            _other_word(word, rest, options, unknown)
    if "vhid" not in numbers:
        unknown.append("vhid")
    return RcAlias(
        variable=variable,
        interface=interface,
        family=family,
        ip=ip,
        prefix_length=numbers.get("prefixlen", length),
        vhid=numbers.get("vhid", 0),
        advbase=numbers.get("advbase"),
        advskew=numbers.get("advskew"),
        key=key,
        unknown_words=tuple(unknown),
        options=tuple(options),
        file=origin.file,
        managed=origin.managed,
    )


def _other_word(word: str, rest: Iterator[str], options: list[str], unknown: list[str]) -> None:
    """A word that is neither about CARP nor an address: an option of the interface, or one that nobody knows."""
    if word in _VALUED and next(rest, ""):
        options.append(word)
    elif word in _NUMBERED and re.fullmatch(r"[0-9]{1,6}", value := next(rest, "")):
        options.append(f"{word} {value}")
    elif word in _NUMBERED:
        unknown += [word, f"a word of {len(value)} characters"]
    elif _SWITCH.fullmatch(word):
        options.append(word)
    else:
        # A word that means nothing may be a piece of a password: only its shape is told.
        known = word in _KEYWORDS or _ADDRESS_LIKE.fullmatch(word)
        unknown.append(word if known else f"a word of {len(word)} characters")


def _cidr(word: str, family: str) -> tuple[str, int | None] | None:
    host, slash, length = word.partition("/")
    if slash and not re.fullmatch(r"[0-9]{1,3}", length):
        return None
    try:
        parse = ipaddress.IPv4Address if family == "inet" else ipaddress.IPv6Address
        return str(parse(host.partition("%")[0])), int(length) if slash else None
    except ValueError:
        return None


def _netmask(text: str, unknown: list[str]) -> int | None:
    try:
        return mask_length(text)
    except NotUnderstood:
        unknown.append("netmask")
        return None


@dataclass(frozen=True, slots=True)
class BootFiles:
    """What one pass of awk found in the files rc and the loader read."""

    #: Variable -> where it is assigned last, in the order rc reads the files.
    origins: Mapping[str, Origin]
    #: Service name -> its rcvar, where the script says it in a literal.
    rcvars: Mapping[str, str]
    loader_carp: bool
    #: net.inet.carp.* lines, last one wins.
    sysctl_conf: Mapping[str, str]
    #: BEGIN and END lines of hactl's block in rc.conf.d/netif, in order.
    marks: tuple[str, ...]
    #: `USERLAND_VERSION` of freebsd-version(1); empty when it was not found.
    release: str
    #: rc.conf runs or reads something of which stat(1) of these files cannot know.
    live: bool = False
    #: Files with NUL bytes in them.
    torn: tuple[str, ...] = ()
    #: Name of sysctl.conf -> the file that sets it last.
    sysctl_in: Mapping[str, str] = field(default_factory=dict)


def parse_boot_files(text: str) -> BootFiles:
    """Lines `file PATH`, `var NAME`, `own NAME`, `mark BEGIN|END`, `rcvar=SERVICE=NAME`, `live`, `torn PATH`,
    `line TEXT`.
    """
    assigned: list[tuple[str, Origin]] = []
    rcvars: dict[str, str] = {}
    sysctls: dict[str, str] = {}
    sysctl_in: dict[str, str] = {}
    marks: list[str] = []
    torn: list[str] = []
    loader_carp, release, path, live = False, "", "", False
    for line in filter(None, text.split("\n")):
        word, _, rest = line.partition(" ")
        if word == "file":
            path = rest
        elif word in ("var", "own"):
            assigned.append((rest, Origin(path, managed=word == "own" and NETIF in path)))
        elif word == "mark":
            marks += [rest] if NETIF in path else []
        elif line.startswith("rcvar="):
            service, _, variable = line.removeprefix("rcvar=").partition("=")
            # service(8) takes the script of the base system before the one of the same name of a port.
            rcvars.setdefault(service, variable)
        elif word == "live":
            live = True
        elif word == "torn":
            torn.append(rest)
        elif word == "line" and "sysctl.conf" in path:
            if pair := parse_sysctl_conf_line(rest):
                sysctls[pair[0]], sysctl_in[pair[0]] = pair[1], path
        elif word == "line" and path.endswith("/freebsd-version"):
            release = rest.partition("=")[2].strip().strip("\"'")
        elif word == "line":
            carp_load = parse_loader_line(rest, "carp_load")
            loader_carp = checkyesno(carp_load) if carp_load is not None else loader_carp
        else:
            raise NotUnderstood("a line that the probe does not print")
    origins = {variable: origin for variable, origin in assigned if counts(variable, origin.file, rcvars)}
    return BootFiles(origins, rcvars, loader_carp, sysctls, tuple(marks), release, live, tuple(torn), sysctl_in)


def counts(variable: str, file: str, rcvars: Mapping[str, str] | None = None) -> bool:
    """Whether the script of rc(8) that acts on a variable reads that file. `rcvars`: see BootFiles, as far as known.

    rc.conf and rc.conf.local all of them read, rc.conf.d/NAME the script of that name alone, and rc.d/netif also that
    of network (rc.subr, load_rc_config).
    """
    script = file.partition("/rc.conf.d/")[2].partition("/")[0]
    if not script:
        return True
    if variable.startswith("ifconfig_"):
        return script in ("network", "netif")
    if variable == "kld_list":
        return script == "kld"
    if not variable.endswith("_enable"):
        return True
    # A script that says its variable in no literal is asked for it.
    return script not in ("network", "netif", "kld") and (rcvars or {}).get(script, variable) == variable


def parse_sysctl_conf_line(line: str) -> tuple[str, str] | None:
    """`name=value # comment` (sysctl.conf(5)); None when the line sets nothing."""
    match = re.fullmatch(r"\s*([A-Za-z0-9_.%-]+)\s*[=:]\s*(.*?)\s*", line.partition("#")[0])
    return (match[1], match[2].strip("\"'")) if match else None


def parse_loader_line(line: str, name: str) -> str | None:
    """The value that a line of loader.conf(5) gives `name`; None when it gives none."""
    match = re.fullmatch(rf"\s*{re.escape(name)}\s*=\s*\"?([^\"#]*?)\"?\s*(?:#.*)?", line)
    return match[1] if match else None


def parse_variables(text: str, mark: str) -> dict[str, str]:
    """Variables of rc.conf as the probe prints them; `mark` opens its lines (the frame and the nonce).

    `MARK read` after rc.conf was sourced, then `MARK var NAME`, the value, which may have several lines, and
    `MARK read` again at the end. Raises Failed when sh could not read the files, NotUnderstood when the end is missing.
    """
    parts = re.split(rf"(?m)^{re.escape(mark)} (?=read\r?$|var [A-Za-z0-9_]+\r?$)", text)[1:]
    complaint = re.search(r"^.*(?:syntax error|unexpected EOF|unterminated).*$", text, re.IGNORECASE | re.MULTILINE)
    if not parts or complaint:
        said = f": {complaint[0].strip()[:200]}" if complaint else ""
        raise Failed(f"sh cannot read the rc.conf files{said}")
    if len(parts) < 2 or parts[-1].strip() != "read":
        raise NotUnderstood("the variables of rc.conf are not complete")
    variables: dict[str, str] = {}
    for part in parts[1:-1]:
        head, _, value = part.partition("\n")
        variables[head.removeprefix("var ").strip()] = value.removesuffix("\n")
    return variables
