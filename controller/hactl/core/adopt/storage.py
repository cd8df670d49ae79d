"""The HAST resources that the hast.conf of several nodes mean together, and what is missing or differs.

Man pages: hast.conf(5), hastctl(8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hactl.core.adopt.finding import Finding, Place, note
from hactl.core.adopt.hast import Block, HastFile, Setting
from hactl.core.adopt.names import Names
from hactl.core.adopt.node import Mount, Node
from hactl.core.cluster import HAST_PORT
from hactl.core.facts import HastRole, Pool
from hactl.core.hook.render import HOOK
from hactl.core.parse.hastconf import canonical_address

#: Keyword -> what hastd does without it, and how the document calls it.
SETTINGS = {
    "replication": ("memsync", "replication"),
    "checksum": ("none", "checksum"),
    "compression": ("hole", "compression"),
    "timeout": ("20", "timeoutSeconds"),
    "metaflush": ("on", "metaflush"),
}
#: Keywords that a document can only keep.
_KEPT = ("name", "exec")
_HAST_CONF = "/etc/hast.conf"
_LONGEST_NUMBER = 9


@dataclass(slots=True)
class Resource:
    """What is one resource on both nodes."""

    name: str
    place: Place
    #: By name of the node.
    devices: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    #: As the document calls them.
    settings: dict[str, object] = field(default_factory=dict)
    mount: Mount | None = None
    #: The pool that stands on it where the group serves, and where that is mounted; empty: not told.
    pool: Pool | None = None
    pool_mounted_on: str = ""
    #: Number of the node where it is primary, as far as a node said.
    primary: int | None = None
    #: Why devices and addresses are what they are, where no file says so.
    about_devices: str = ""
    about_addresses: str = ""


@dataclass(slots=True)
class Storage:
    """Everything that hast.conf says."""

    resources: list[Resource] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)
    #: What the document leaves alone, as `hactl plan` names it.
    keep: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def storage(nodes: Sequence[Node], names: Names) -> Storage:
    """The resources in the order of the files, and what is wrong with them."""
    found = Storage()
    files = {number: node.hast for number, node in enumerate(nodes) if node.hast is not None}
    for name in dict.fromkeys(block.name for file in files.values() for block in file.resources):
        blocks = {number: block for number, file in files.items() if (block := file.whole.part(name)) is not None}
        resource = _Resource(name, blocks, nodes, names)
        resource.read(files)
        found.resources.append(resource.made)
        found.findings += resource.findings
    for number, file in files.items():
        found.findings += _whole_file(file, names.of_node[number], found)
    for node, name in zip(nodes, names.of_node, strict=True):
        found.findings += _who_acts(node, name) if node.running and found.resources else ()
    return found


def _who_acts(node: Node, name: str) -> Iterator[Finding]:
    """What gives roles today, as far as devd's rules, crontabs and scripts of rc(8) tell."""
    vhids = [f"{vhid.vhid}@{interface}" for interface, each in node.running.items() for vhid in each.vhids]
    host = next((file.name.partition(":/")[0] for file in node.files if ":/" in file.name), "")
    try:
        acts = list(node.answers.who_acts(vhids))
    except ValueError as why:
        yield note(
            node.place, f"the rules of devd on {name} are not understood: {why}", "look which of them act on CARP"
        )
        return
    for file, line, words in acts:
        place = Place(file if file.startswith(f"{host}:/") else f"{host}:{file}", line)
        message = f"`{words}` acts on what hactl and its node hook are to act on"
        yield note(place, message, "`hactl plan` asks what is to become of it")
    if not acts:
        message = f"no rule of devd, crontab or script of rc(8) on {name} gives roles"
        yield note(node.place, message, "who does, a person or another program, has to end that before hactl acts")


class _Resource:
    """One resource being read: its block in the file of each node."""

    def __init__(self, name: str, blocks: dict[int, Block], nodes: Sequence[Node], names: Names) -> None:
        self._blocks, self._nodes, self._names = blocks, nodes, names
        self._first = blocks[min(blocks)]
        self.made = Resource(name, self._first.place)
        self.findings: list[Finding] = []

    def read(self, files: dict[int, HastFile]) -> None:
        self._sections()
        self._devices()
        self._addresses()
        self._settings(files)
        self.made.mount = next((m for node in self._nodes if (m := node.mounts.get(self.made.name))), None)
        for node in self._nodes:
            if (pool := node.answers.pools.get(self.made.name)) is not None:
                self.made.pool, self.made.pool_mounted_on = pool, node.answers.datasets.get(pool.name, "")
        self._afterwards()

    def _say(self, place: Place, message: str, fix: str = "") -> None:
        finding = Finding(place, message, fix)
        if finding not in self.findings:
            self.findings.append(finding)

    def _section(self, number: int) -> Block | None:
        """The `on` section for a node: of its own file, or of another one's."""
        mine = [name for name, at in self._names.sections.items() if at == number]
        order = sorted(self._blocks, key=lambda at: at != number)
        return next((part for at in order for name in mine if (part := self._blocks[at].part(name))), None)

    def _sections(self) -> None:
        for number, name in enumerate(self._names.of_node):
            if number not in self._blocks:
                if self._nodes[number].hast is not None:
                    self._say(self._first.place, f"resource {self.made.name} is not in the hast.conf of {name}",
                              "the document has it on every node")  # fmt: skip
                continue
            block = self._blocks[number]
            have = ", ".join(part.name for part in block.parts) or "none"
            if not any(self._names.sections.get(part.name) == number for part in block.parts):
                one = "there is one `on` section only" if len(block.parts) == 1 else "no `on` section is for it"
                self._say(
                    block.place,
                    f"resource {self.made.name}: {one} ({have}), and hastd on {name} refuses the whole file without "
                    "one of its own",
                    f"the document has a device and an address for {name}",
                )

    def _devices(self) -> None:
        named: dict[str, str] = {}
        for number, name in enumerate(self._names.of_node):
            section, block = self._section(number), self._blocks.get(number, self._first)
            named[name] = (section.value("local") if section is not None else "") or block.value("local")
        spare = [value for value in named.values() if value] + [
            part.value("local") for block in self._blocks.values() for part in block.parts if part.value("local")
        ]
        guessed = [name for name, device in named.items() if not device]
        if not spare:
            self._say(self._first.place, f"resource {self.made.name} has no `local` device", "say which disk it is")
            return
        if guessed:
            self.made.about_devices = f"no file says the disk of {' and '.join(guessed)}: check it"
        self.made.devices = {name: device or spare[0] for name, device in named.items()}

    def _addresses(self) -> None:
        sections = [self._section(number) for number in range(len(self._nodes))]
        for number, name in enumerate(self._names.of_node):
            mine = sections[number]
            says = [mine.settings.get("source")] if mine is not None else []
            says += [each.settings.get("remote") for each in sections if each is not None and each is not mine]
            address = next((ip for setting in says if setting is not None and (ip := self._numeric(setting))), "")
            self.made.addresses |= {name: address} if address else {}
        self._one_remote()
        if len(self.made.addresses) == len(self._nodes) and _one_family(self.made.addresses):
            return
        own = {
            name: str(node.addresses[0].ip)
            for name, node in zip(self._names.of_node, self._nodes, strict=True)
            if node.addresses
        }
        if len(own) == len(self._nodes) and _one_family(own):
            self.made.addresses = own
            self.made.about_addresses = (
                "no file says both replication addresses, so these are the first ones of the nodes; "
                "a network of its own is better"
            )
        else:
            self._say(
                self._first.place,
                f"resource {self.made.name}: no file says the address of {self._without(own)} to replicate to",
                "say `remote` of both `on` sections, or give the rc.conf with the addresses of the nodes",
            )

    def _without(self, own: dict[str, str]) -> str:
        have = {**own, **self.made.addresses}
        return " and ".join(name for name in self._names.of_node if name not in have) or "both nodes in one family"

    def _numeric(self, setting: Setting) -> str:
        """The address of a `remote` or `source`; empty: it has none, or it is a name."""
        host = canonical_address(setting.value, None)
        host = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            if host != "none":
                message = f"{host} is a name: hastd asks the resolver in its only thread"
                self._say(setting.place, message, "write an address")
            return ""

    def _one_remote(self) -> None:
        """A resource whose sections name the address of one peer only."""
        remotes = {
            setting.value: setting
            for block in self._blocks.values()
            for part in block.parts
            if (setting := part.settings.get("remote")) is not None
        }
        if len(remotes) == 1 and len(self._nodes) > 1:
            (setting,) = remotes.values()
            # hast.conf(5): the word for a resource that is not replicated.
            message = (
                "remote none: this resource has no peer, and nothing is replicated today"
                if setting.value == "none"
                else f"remote {setting.value} is the only address of a peer: each node needs that of the other one"
            )
            self._say(setting.place, message, "the document has one address for each node")
        for setting in remotes.values():
            ip = self._numeric(setting)
            own = [str(address.ip) for node in self._nodes for address in node.addresses]
            if ip and own and ip not in own:
                message = f"remote {ip} is no address of these nodes as far as their files say"
                self.findings.append(note(setting.place, message, "check it"))

    def _settings(self, files: dict[int, HastFile]) -> None:
        for keyword, (default, name) in SETTINGS.items():
            said = {number: self._said(keyword, number, files) for number in self._blocks}
            values = {number: setting.value if setting else default for number, setting in said.items()}
            first = values[min(values)]
            for number, setting in said.items():
                if values[number] != first:
                    place = setting.place if setting else self._blocks[number].place
                    message = f"{keyword} is {values[number]} here and {first} on {self._names.of_node[min(values)]}"
                    self._say(place, message, f"the document has {first}")
            if first != default or keyword == "timeout":
                self.made.settings[name] = _typed(keyword, first)

    def _said(self, keyword: str, number: int, files: dict[int, HastFile]) -> Setting | None:
        block = self._blocks[number]
        return block.settings.get(keyword) or files[number].whole.settings.get(keyword)

    def _afterwards(self) -> None:
        """What no hast.conf can say, and how-tos leave out."""
        name, place = self.made.name, self._first.place
        self.findings.append(
            note(place, f"resource {name} has to be in hast.conf before `hastctl create {name}` knows it",
                 "hactl writes the file first")
        )  # fmt: skip
        if any(node.running for node in self._nodes):
            self._primary()
        elif not any(node.says("hastctl role") for node in self._nodes):
            self._say(place, f"nothing in these files gives {name} a role after boot: hastd starts it as init",
                      "hactl's node hook does, by what the peer says")  # fmt: skip
            self._say(place, f"nothing mounts /dev/hast/{name} or starts a service when the address moves",
                      "hactl's node hook does what filesystem and services of the document say")  # fmt: skip
        elif not self.made.mount:
            message = f"a script gives {name} its role; hactl's node hook does that from then on"
            self.findings.append(note(place, message, "take the script out of devd or rc.local once hactl is to act"))
        if self.made.mount is not None:
            message = f"/dev/hast/{name} is in fstab: at boot it is not there yet, and only one node may mount it"
            auto = "noauto" not in self.made.mount.options and "fstab" in self.made.mount.place.file
            fix = "the document has it; take it out of fstab, or say noauto"
            self.findings += [Finding(self.made.mount.place, message, fix)] if auto else []

    def _primary(self) -> None:
        """Where the nodes said that it is primary."""
        roles = [node.answers.roles.get(self.made.name) for node in self._nodes]
        if roles.count(HastRole.PRIMARY) == 1:
            self.made.primary = roles.index(HastRole.PRIMARY)


def _typed(keyword: str, value: str) -> object:
    if keyword == "timeout":
        return int(value[:_LONGEST_NUMBER]) if value.isascii() and value.isdecimal() else value
    return value == "on" if keyword == "metaflush" else value


def _one_family(addresses: dict[str, str]) -> bool:
    return len({ipaddress.ip_address(text).version for text in addresses.values()}) == 1


def _whole_file(file: HastFile, node: str, found: Storage) -> Iterator[Finding]:
    """Settings of hastd itself, and those that a document can only leave alone."""
    for each in file.listen:
        address = each.value if "://" in each.value else f"tcp://{each.value}"
        found.listen += [address] if address not in found.listen else []
    kept = [("", file.whole, keyword) for keyword in ("control", "pidfile", "exec")]
    kept += [(f"on {b.name}.", b, keyword) for b in file.of_nodes for keyword in ("listen", "control", "pidfile")]
    kept += [(f"{block.name}.", block, keyword) for block in file.resources for keyword in _KEPT]
    kept += [
        (f"{block.name}.on {part.name}.", part, keyword)
        for block in file.resources
        for part in block.parts
        for keyword in ("name", "metaflush", "remote")
    ]
    for prefix, block, keyword in kept:
        setting = block.settings.get(keyword)
        # A default of the file is one of each resource (hast.conf(5)).
        owners = [f"{part.name}." for part in file.resources] if keyword == "exec" and not prefix else [prefix]
        if setting is None or (keyword == "name" and setting.value == block.name) or setting.value == HOOK:
            continue
        if keyword == "remote" and (
            setting.value == "none" or canonical_address(setting.value).endswith(f":{HAST_PORT}")
        ):
            continue
        for owner in owners:
            name = f"{_HAST_CONF}:{owner}{keyword}"
            found.keep += [name] if name not in found.keep else []
        message = f"{keyword} {setting.value} of {node} is nothing that a document can say"
        answer = "spec.keep leaves it alone: the whole file stays yours (docs/adopt.md)"
        if keyword == "exec":
            message = f"hastd on {node} calls {setting.value}; hactl's own hook takes that place"
            answer = f"in spec.keep for now; spec.hast.notify: [{setting.value}] lets the hook call it (docs/adopt.md)"
        yield note(setting.place, message, answer)
