"""What works on a node, that hactl did not put there and the document does not say: it waits for a person's word.

Rules: nothing of somebody else's is ended silently. Each such setting is a hold with file, line and what would become
of it, and there are three answers: the document says it; the document keeps it (`spec.keep`: it is left alone); or
somebody gives it up (`hactl give-up`, on record). A file that hactl wrote once is hactl's: a change there is drift.
Man pages: hast.conf(5), devd.conf(5).
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hactl.core.catalogue import HoldReason
from hactl.core.changes.hast import HAST_CONF
from hactl.core.cluster import hooked_groups, storages_of
from hactl.core.document.problems import listed
from hactl.core.facts import RcAlias, Rival, RivalKind, known
from hactl.core.hastconf import WRITTEN, render_hastconf
from hactl.core.hook.render import HOOK
from hactl.core.objects import HastSpec
from hactl.core.parse.hastconf import ConfResource, HastConf, ResourceOn, parse_hastconf
from hactl.core.plan.scene import Scene
from hactl.core.steps import Hold

#: Settings of a resource as hast.conf calls them: how the document calls them (empty: it cannot say them), and where
#: `HastSpec` and `ConfResource` have them.
_OF_RESOURCE: Mapping[str, tuple[str, str, str]] = {
    "name": ("", "", "provname"),
    "exec": ("", "", "exec"),
    "replication": ("replication", "replication", "replication"),
    "checksum": ("checksum", "checksum", "checksum"),
    "compression": ("compression", "compression", "compression"),
    "timeout": ("timeoutSeconds", "timeout_seconds", "timeout_seconds"),
    "metaflush": ("metaflush", "metaflush", "metaflush"),
}
#: How alike two names are that one letter sets apart.
_NEARLY = 0.9
#: What a document can name as a program.
_PROGRAM = re.compile(r"/[\w./+:@-]+")
#: What each does, for people.
_DOES = {
    "name": "the device is called so; a reload with another name takes it away under its users",
    "exec": "hastd calls that program when a role or a connection changes",
    "remote": "hastd connects there",
    "listen": "hastd takes connections there only",
    "control": "hastctl talks to hastd there",
    "pidfile": "rc(8) and others find hastd by it",
    "resource": "hastd knows that resource",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Something of an administrator's that a step would end."""

    node: str
    #: As `spec.keep` and `hactl give-up` call it: `/etc/hast.conf:data.metaflush`, or a file.
    name: str
    #: Where it is, what it says and what it does.
    says: str
    becomes: str
    #: How the document would say it; empty: it cannot.
    express: str = ""

    def hold(self, cluster: str, mistyped: str = "") -> Hold:
        """Why nothing is done about it, and the answers. `mistyped`: a name in spec.keep that is nearly its own."""
        answers = [
            f"spec.keep has '{mistyped}': if that is meant, write it as below" if mistyped else "",
            self.express,
            f"leave it alone: spec.keep: ['{self.name}']",
            f"give it up: hactl give-up {cluster} {self.node} '{self.name}'",
        ]
        return Hold(
            HoldReason.NOT_IN_DOCUMENT,
            f"{self.node}: {self.says}; the document does not say it, and {self.becomes}",
            node=self.node,
            target=self.name,
            remedy="; or ".join(filter(None, answers)),
        )


def waits(scene: Scene, node: str, settings: Iterator[Setting]) -> Iterator[Hold]:
    """The holds of those settings that nobody has answered yet."""
    found = list(settings)
    unused = sorted(kept(scene) - {each.name for each in found})
    for each in found:
        if each.name not in kept(scene) and (node, each.name) not in scene.overrides.given_up:
            nearly = difflib.get_close_matches(each.name, unused, 1, _NEARLY)
            yield each.hold(scene.view.cluster.name, *nearly)


def kept(scene: Scene) -> frozenset[str]:
    """What the document says to leave alone."""
    return frozenset(scene.view.cluster.document.spec.keep)


def hook_waits(scene: Scene, node: str) -> Iterator[Hold]:
    """What keeps the node hook from being installed on a node that has nothing of it."""
    yield from waits(scene, node, devd_rules(scene, node))
    yield from waits(scene, node, rivals(scene, node))
    hook = scene.view.hook(node)
    if hook is not None and hook.disarmed is None and not hook.files and hooked_groups(scene.view.cluster, node):
        why = f"{node}: cannot tell which rules devd would call no more beside the node hook's"
        yield Hold(HoldReason.FACTS_UNKNOWN, why, node, "devd", "read /usr/local/etc/devd and /etc/devd by hand")
    for storage in storages_of(scene.view.cluster, node):
        if called := renamed(scene, node, storage.name):
            yield Hold(
                HoldReason.RELOAD_UNSAFE,
                f"{node}: hastd calls the device of {storage.name} /dev/hast/{called}; hactl and the node hook know it "
                f"as {storage.device} only, and would not see what is mounted from it",
                node=node,
                target=storage.name,
                remedy=f"when nothing uses it: take `name {called}` out of {HAST_CONF} on both nodes, and move what is "
                f"mounted to {storage.device}",
            )


def renamed(scene: Scene, node: str, resource: str) -> str:
    """What hastd there calls the device of a resource, if that is not the resource's name."""
    running = scene.view.resource(resource, node)
    return running.provname if running is not None and running.provname != resource else ""


def unanswered(scene: Scene) -> bool:
    """Whether the hook may not be installed somewhere: then it is installed nowhere, for of a pair of which one node
    fails over by itself and the other one does not nobody could tell what happens. Where it is it is kept in step.
    """
    rules = [each for node in scene.view.facts for each in (*devd_rules(scene, node), *_deciding(scene, node))]
    return any(each.name in kept(scene) for each in rules) or any(
        True for node in scene.view.facts for _ in hook_waits(scene, node)
    )


# --- devd -----------------------------------------------------------------------------------------------------------


def devd_rules(scene: Scene, node: str) -> Iterator[Setting]:
    """Rules of others that devd would call no more for CARP once the node hook's rule is there.

    Where something of the hook is there it was so decided once: a rule of ours that is gone is drift.
    """
    hook = scene.view.hook(node)
    if hook is None or not hooked_groups(scene.view.cluster, node) or hook.files:
        return
    also = scene.view.cluster.document.spec.carp.notify
    for rule in hook.disarmed or ():
        # Only what devd would then do to the letter is the same.
        program = rule.action.removesuffix(" $subsystem $type")
        plain = _PROGRAM.fullmatch(program) is not None and program != rule.action and not rule.only
        if plain and program in also:
            continue
        yield Setting(
            node,
            rule.file,
            f"{rule.file}:{rule.line} (notify {rule.priority}) runs `{rule.action}` when a vhid changes its state"
            + (f" (only {listed(rule.only, last='and')})" if rule.only else ""),
            "devd runs only one rule, which would be the node hook's"
            + ("; spec.carp.notify would call it for every change of every vhid" if rule.only else ""),
            f"say in the document that devd calls it too: spec.carp.notify: [{program}]" if plain else "",
        )


# --- scripts and crontabs ---------------------------------------------------------------------------------------------

#: What becomes of what a script does once the node hook is there.
_BESIDE_THE_HOOK = {
    RivalKind.ROLE: "the node hook gives roles then: two that decide can make two primaries",
    RivalKind.DISK: "the node hook mounts then, and unmounts before a move",
    RivalKind.FENCE: "the node hook takes over without asking it",
    RivalKind.VHID: "hactl would set the vhid back",
    RivalKind.SYSCTL: "hactl would set it back",
}
#: Of these the node hook is a rival.
_DECIDING = (RivalKind.ROLE, RivalKind.DISK, RivalKind.FENCE)


def rivals(scene: Scene, node: str) -> Iterator[Setting]:
    """Scripts and crontabs that go on acting beside hactl; each file once, with its first line that counts."""
    files: dict[str, list[Rival]] = {}
    for rival in _rivals(scene, node):
        files.setdefault(rival.file, []).append(rival)
    for file, lines in files.items():
        first = lines[0]
        more = f" (and {len(lines) - 1} lines more)" if len(lines) > 1 else ""
        yield Setting(
            node,
            file,
            f"{file}:{first.line} has `{first.words}`{more}",
            _BESIDE_THE_HOOK[first.kind],
            f"take it out of {file} once hactl is to act",
        )


def _rivals(scene: Scene, node: str) -> Iterator[Rival]:
    """Those that act on something of the document on that node."""
    hook = scene.view.hook(node)
    for rival in (hook.rivals or ()) if hook is not None else ():
        if rival.kind in _DECIDING:
            counts = bool(storages_of(scene.view.cluster, node)) and bool(hooked_groups(scene.view.cluster, node))
        elif rival.kind is RivalKind.VHID:
            counts = bool(_vhids_of(scene, node, rival))
        else:
            counts = any(node in group.preferred and group.virtual_ips for group in scene.view.cluster.groups)
        if counts:
            yield rival


def _deciding(scene: Scene, node: str) -> Iterator[Setting]:
    files = {rival.file for rival in _rivals(scene, node) if rival.kind in _DECIDING}
    yield from (each for each in rivals(scene, node) if each.name in files)


def _vhids_of(scene: Scene, node: str, rival: Rival) -> set[int]:
    """The vhids of the document that a line names; all of them where it has a variable."""
    ours = {vip.vhid for group, vip in scene.view.vips() if node in group.preferred}
    named = re.match(r"vhid\s+([0-9]+)", rival.words)
    return ours & {int(named[1])} if named is not None else ours


def set_by_scripts(scene: Scene, node: str) -> frozenset[int | str]:
    """vhids, and sysctls of CARP without their prefix, that a script of somebody's sets, and that nobody gave up."""
    found: set[int | str] = set()
    for rival in _rivals(scene, node):
        if (node, rival.file) in scene.overrides.given_up:
            continue
        if rival.kind is RivalKind.VHID:
            found |= _vhids_of(scene, node, rival)
        elif rival.kind is RivalKind.SYSCTL:
            found.add(rival.words.removeprefix("net.inet.carp.").partition("=")[0])
    return frozenset(found)


# --- addresses ------------------------------------------------------------------------------------------------------


def addresses(scene: Scene, node: str) -> Iterator[Setting]:
    """Addresses that a line of somebody else's brings up on a vhid of the document, which does not name them."""
    for _, vip in scene.view.vips():
        interface = scene.view.interface(vip, node)
        wanted = {str(ipaddress.ip_interface(text).ip) for text in vip.addresses}
        for alias in by_hand(scene, node):
            if interface is None or (alias.interface, alias.vhid) != (interface.name, vip.vhid) or alias.ip in wanted:
                continue
            cidr = f"{alias.ip}/{alias.prefix_length}"
            yield Setting(
                node,
                f"{alias.file}:{alias.variable}",
                f"{alias.variable} in {alias.file} brings up {cidr} on vhid {alias.vhid} of {alias.interface}",
                "it would be taken off, now and at the next boot",
                f"say it: {cidr} in the addresses of {vip.name}",
            )


def by_hand(scene: Scene, node: str) -> list[RcAlias]:
    """CARP addresses of rc.conf that hactl did not write."""
    boot = known(scene.view.facts[node].boot)
    return [alias for alias in boot.aliases if not alias.managed] if boot is not None else []


def stays(scene: Scene, node: str, interface: str, vhid: int, ip: str) -> bool:
    """Whether somebody else's line brings that address up, and nobody has given it up."""
    return any(
        (alias.interface, alias.vhid, alias.ip) == (interface, vhid, ip)
        and (node, f"{alias.file}:{alias.variable}") not in scene.overrides.given_up
        for alias in by_hand(scene, node)
    )


# --- hast.conf ------------------------------------------------------------------------------------------------------


def hast_settings(scene: Scene, node: str) -> Iterator[Setting]:
    """What a hast.conf of somebody else says besides the document, and a rewritten one would not say any more."""
    file = known(scene.view.facts[node].files.get(HAST_CONF))
    if file is None or file.text is None or file.torn or WRITTEN in file.text:
        return
    have, wanted = parse_hastconf(file.text), parse_hastconf(render_hastconf(scene.view.cluster, node))
    if not isinstance(have, HastConf) or not isinstance(wanted, HastConf):
        return
    specs = {storage.name: storage.hast for storage in storages_of(scene.view.cluster, node)}
    lines = file.text.splitlines()
    for name, says, express in _of_daemon(have, wanted):
        yield _setting(node, lines, name, says, "it would go", express)
    for resource in have.resources.values():
        if resource.name not in specs:
            yield _setting(node, lines, f"resource {resource.name}", "", "hastd would not know it any more", "")
            continue
        told = scene.view.cluster.document.spec.hast.notify
        found = _of_resource(resource, wanted.resources[resource.name], specs[resource.name], told)
        for name, says, becomes, express in found:
            if not _line(lines, f"{resource.name}.{name}"):
                continue  # hastd's own default, which nobody chose
            yield _setting(node, lines, f"{resource.name}.{name}", says, becomes, express)


def _of_daemon(have: HastConf, wanted: HastConf) -> Iterator[tuple[str, str, str]]:
    """Settings of hastd itself: name, what it says, how the document would."""
    if set(have.listen) != set(wanted.listen):
        yield "listen", ", ".join(have.listen), f"say it: spec.hast.listen: [{', '.join(have.listen)}]"
    if have.control != wanted.control:
        yield "control", have.control, ""
    if have.pidfile != wanted.pidfile:
        yield "pidfile", have.pidfile, ""
    for host, keyword, values in sorted(have.node_settings - wanted.node_settings):
        yield f"on {host}.{keyword}", ", ".join(values), ""


def _of_resource(
    have: ConfResource, wanted: ConfResource, spec: HastSpec, told: list[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Settings of a resource that differ and that the document does not state: name, says, becomes, how to state it.

    `told`: the programs that the node hook tells of hastd's events.
    """
    for keyword, (field, attribute, where) in _OF_RESOURCE.items():
        says, would = _word(getattr(have, where)), _word(getattr(wanted, where))
        stated = bool(attribute) and attribute in spec.model_fields_set
        if says != would and says not in ("", HOOK) and not stated:
            if keyword == "exec" and says in told:
                continue
            express = f"say it: hast.{field}: {says if field != 'metaflush' else str(have.metaflush).lower()}"
            if keyword == "exec" and _PROGRAM.fullmatch(says):
                express = f"let the node hook call it too, for every resource: spec.hast.notify: [{says}]"
            yield keyword, says, f"it would be {would or 'gone'}", express if field or keyword == "exec" else ""
    for host, on in have.nodes.items():
        other = wanted.nodes.get(host)
        for keyword, value in (("name", on.provname), ("metaflush", on.metaflush)):
            if value is not None and (
                other is None or value != getattr(other, "provname" if keyword == "name" else keyword)
            ):
                yield f"on {host}.{keyword}", _word(value), "it would go", ""
        # Addresses are the document's, and a port is nothing that it can say.
        if on.remote is not None and other is not None and other.remote is not None and _port(on) != _port(other):
            yield f"on {host}.remote", on.remote, f"it would be {other.remote}", ""


def _port(on: ResourceOn) -> str:
    return (on.remote or "").rpartition(":")[2]


def _word(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _setting(node: str, lines: list[str], name: str, says: str, becomes: str, express: str) -> Setting:
    keyword = name.rpartition(".")[2].split()[0]
    place = f"{HAST_CONF}:{_line(lines, name)}" if _line(lines, name) else HAST_CONF
    does = f" ({_DOES[keyword]})" if keyword in _DOES else ""
    stated = name if keyword == "resource" else f"{keyword} {says}"
    of = f" for {name.rpartition('.')[0]}" if "." in name else ""
    return Setting(node, f"{HAST_CONF}:{name}", f"{place} says `{stated}`{of}{does}", becomes, express)


def _line(lines: list[str], name: str) -> int:
    """The line of a setting, from 1: the first one with its word, after the line that opens its block; 0: none."""
    resource, _, keyword = name.rpartition(".")
    # `RESOURCE.on HOST.keyword`, or of hastd itself `on HOST.keyword`; a name of a host may have dots.
    resource = resource if resource.startswith("on ") else resource.partition(".")[0]
    opens = resource if resource.startswith("on ") else f"resource {resource}"
    begins = re.compile(r"\s*" + r"\s+\"?".join(map(re.escape, opens.split())) + r"(?![\w.-])")
    inside = not resource
    for number, line in enumerate(lines, 1):
        inside = inside or begins.match(line) is not None
        if inside and re.search(rf"(^|[\s{{]){re.escape(keyword)}\b", line.partition("#")[0]):
            return number
    # A default for every resource may stand before the first one.
    return _line(lines, keyword) if resource else 0


def as_kept(scene: Scene, have: HastConf, wanted: HastConf) -> HastConf:
    """A hast.conf as it would be if it said of what is kept what the document says: to compare the rest."""
    names = {name.removeprefix(f"{HAST_CONF}:") for name in kept(scene) if name.startswith(f"{HAST_CONF}:")}
    if not names:
        return have
    daemon = {word: getattr(wanted, word) for word in ("listen", "control", "pidfile") if word in names}
    resources = {
        name: _resource_as_kept(resource, wanted.resources.get(name), names)
        for name, resource in have.resources.items()
        if f"resource {name}" not in names or name in wanted.resources
    }
    dropped = frozenset(each for each in have.node_settings if f"on {each[0]}.{each[1]}" in names)
    return replace(have, resources=resources, node_settings=have.node_settings - dropped, **daemon)


def _resource_as_kept(have: ConfResource, wanted: ConfResource | None, names: set[str]) -> ConfResource:
    if wanted is None:
        return have
    words = {
        where: getattr(wanted, where)
        for keyword, (_, _, where) in _OF_RESOURCE.items()
        if f"{have.name}.{keyword}" in names
    }
    nodes = {
        host: replace(
            on,
            provname=None if f"{have.name}.on {host}.name" in names else on.provname,
            metaflush=None if f"{have.name}.on {host}.metaflush" in names else on.metaflush,
            remote=wanted.nodes[host].remote
            if f"{have.name}.on {host}.remote" in names and host in wanted.nodes
            else on.remote,
        )
        for host, on in have.nodes.items()
    }
    return replace(have, nodes=nodes, **words)
