"""Rules about nodes: names, how they are reached, and maps and lists that name them. Table: `RULES`.

hast.conf(5) matches a node by its full name or the part before the first dot, first hit wins
(docs/freebsd-facts.md#2.2).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

from hactl.core.choices import Mode, NodeAccess
from hactl.core.document.problems import Fault, FieldPath, closest, listed, shown
from hactl.core.objects import HACluster, SSHSpec

#: Words hast.conf's scanner takes for itself (docs/freebsd-facts.md#2.2, hastd/token.l); as a name each is a syntax
#: error.
HAST_KEYWORDS = frozenset(
    [
        "async",
        "checksum",
        "compression",
        "control",
        "crc32",
        "exec",
        "fullsync",
        "hole",
        "listen",
        "local",
        "lzf",
        "memsync",
        "metaflush",
        "name",
        "none",
        "off",
        "on",
        "pidfile",
        "remote",
        "replication",
        "resource",
        "sha256",
        "source",
        "timeout",
    ]
)
#: Public key types sshd of FreeBSD 13 and later offers and hactl accepts.
HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
#: Logins that are root without become; toor is FreeBSD's second name of uid 0.
_ROOTS = frozenset({"root", "toor"})


def repeated(names: Iterable[tuple[FieldPath, str]], what: str, *, among: str = "") -> Iterator[Fault]:
    """A fault for each name that was there before."""
    first: dict[str, FieldPath] = {}
    for path, name in names:
        if name in first:
            message = f"the {what} {shown(name)} is there twice{among} (first at {{other}})"
            yield Fault(path, message, "give each its own name", other=first[name])
        first.setdefault(name, path)


def exactly_one(path: FieldPath, one: object, other: object, names: tuple[str, str]) -> Iterator[Fault]:
    """A fault unless exactly one of two fields is given."""
    if (one is None) == (other is None):
        first, second = names
        what = f"neither {first} nor {second} is given" if one is None else f"both {first} and {second} are given"
        yield Fault(path, what, "give exactly one of them")


def names_every_node(cluster: HACluster, path: FieldPath, values: Mapping[str, object], what: str) -> Iterator[Fault]:
    """Faults of a map by node name: nodes that do not exist, nodes that are missing."""
    nodes = [node.name for node in cluster.spec.nodes]
    for name in values:
        if name not in nodes:
            yield Fault((*path, name), f"there is no node {shown(name)}", _which_node(name, nodes), at_key=True)
    missing = [name for name in nodes if name not in values]
    if missing:
        yield Fault(path, f"no {what} for {listed(missing, last='and')}", "name every node of spec.nodes")


def _which_node(name: str, nodes: list[str]) -> str:
    meant = closest(name, nodes)
    return f"did you mean {meant}?" if meant else f"nodes are {listed(nodes, last='and')}"


def short_name(name: str) -> str:
    """What `hostname -s` prints."""
    return name.split(".", 1)[0]


def host_key_problem(text: str) -> str | None:
    """Why a text is no public host key in OpenSSH's one-line form, or None."""
    if "PRIVATE KEY" in text:
        return "this is a private key; the node's public key is wanted"
    words = text.split()
    if len(words) < 2 or "\n" in text.strip():
        return "not a public key in one line"
    kind, blob = words[0], words[1]
    if kind not in HOST_KEY_TYPES:
        return f"{shown(kind)} is no accepted key type"
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return "the key is cut or not base64"
    length = int.from_bytes(raw[:4], "big")
    if raw[4 : 4 + length] != kind.encode() or len(raw) <= 4 + length + 4:
        return f"the key is cut, or not of type {kind}"
    if kind == "ssh-ed25519" and len(raw) != 51:
        return "the key is cut: an ssh-ed25519 key has 68 characters"
    return None


def _unique_names(cluster: HACluster) -> Iterator[Fault]:
    nodes = cluster.spec.nodes
    first: dict[str, int] = {}
    for index, node in enumerate(nodes):
        path = ("spec", "nodes", index, "name")
        short = short_name(node.name).casefold()
        if short not in first:
            first[short] = index
            continue
        before = nodes[first[short]].name
        if before == node.name:
            yield Fault(path, f"the node {shown(node.name)} is there twice", "give each node its own name")
        else:
            message = f"{shown(node.name)} and {shown(before)} are the same name up to the first dot"
            yield Fault(path, message, "hast.conf would match both; give the nodes different short names")


def _host_names(cluster: HACluster) -> Iterator[Fault]:
    with_storage = any(group.storage for group in cluster.spec.groups)
    for index, node in enumerate(cluster.spec.nodes):
        path = ("spec", "nodes", index, "name")
        labels = node.name.split(".")
        if any(not label or len(label) > 63 or label[0] == "-" or label[-1] == "-" for label in labels):
            yield Fault(path, f"{shown(node.name)} is no host name", "labels of 1 to 63 characters between the dots")
        elif with_storage and (node.name in HAST_KEYWORDS or node.name.isdecimal()):
            what = "a word of hast.conf's own" if node.name in HAST_KEYWORDS else "all digits"
            yield Fault(path, f"{shown(node.name)} is {what}, hast.conf cannot name this node", "rename the host")


def _reachable(cluster: HACluster) -> Iterator[Fault]:
    first: dict[tuple[str, int], int] = {}
    for index, node in enumerate(cluster.spec.nodes):
        path = ("spec", "nodes", index, "ssh")
        yield from _host_form(path, node.ssh)
        place = (node.ssh.host.casefold(), node.ssh.port)
        if place in first:
            other = cluster.spec.nodes[first[place]].name
            message = f"{node.ssh.host} port {node.ssh.port} is also how {shown(other)} is reached"
            yield Fault((*path, "host"), message, "two nodes cannot be the same machine")
        else:
            first[place] = index


def _host_form(path: FieldPath, ssh: SSHSpec) -> Iterator[Fault]:
    host = ssh.host
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            fix = "put the port in port" if re.fullmatch(r"[^:]+:[0-9]+", host) else "write an address or a name"
            yield Fault((*path, "host"), f"{shown(host)} is no IPv6 address", fix)
    elif re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            yield Fault((*path, "host"), f"{shown(host)} is no IPv4 address", "four numbers from 0 to 255")
    elif "%" in host:
        yield Fault((*path, "host"), f"{shown(host)} has a % in a name", "a zone belongs to an IPv6 address")


def _logins(cluster: HACluster) -> Iterator[Fault]:
    for index, node in enumerate(cluster.spec.nodes):
        path = ("spec", "nodes", index, "ssh")
        if node.ssh.user in _ROOTS and node.ssh.become is not None:
            message = f"{node.ssh.user} is root already"
            yield Fault((*path, "become"), message, "remove become, or log in as another user")
        elif node.ssh.user not in _ROOTS and node.ssh.become is None:
            message = f"{shown(node.ssh.user)} is not root and nothing says how it becomes root"
            yield Fault((*path, "user"), message, "add become: doas or sudo")
        if node.ssh.access is NodeAccess.OBSERVE and cluster.spec.mode is Mode.APPLY:
            message = f"a key that only looks cannot do what mode Apply may take on {shown(node.name)}"
            yield Fault((*path, "access"), message, "say mode: Observe or Propose, or access: Root")


def _host_keys(cluster: HACluster) -> Iterator[Fault]:
    for index, node in enumerate(cluster.spec.nodes):
        path = ("spec", "nodes", index, "ssh")
        key = node.ssh.host_key
        if (key is None) == (node.ssh.host_key_from is None):
            message = "no host key is pinned" if key is None else "both hostKey and hostKeyFrom are given"
            fix = "give hostKey (the line of /etc/ssh/ssh_host_ed25519_key.pub) or hostKeyFrom: {file: ...}"
            yield Fault(path, message, fix if key is None else "give exactly one of them")
        elif key is not None and (wrong := host_key_problem(key)):
            fix = 'hostKey: "ssh-ed25519 AAAA...", the line of /etc/ssh/ssh_host_ed25519_key.pub'
            yield Fault((*path, "hostKey"), wrong, fix)


def _preferred(cluster: HACluster) -> Iterator[Fault]:
    nodes = [node.name for node in cluster.spec.nodes]
    for index, group in enumerate(cluster.spec.groups):
        path = ("spec", "groups", index, "preferred")
        seen: set[str] = set()
        for place, name in enumerate(group.preferred):
            if name not in nodes:
                yield Fault((*path, place), f"there is no node {shown(name)}", _which_node(name, nodes))
            elif name in seen:
                yield Fault((*path, place), f"the node {shown(name)} is there twice", "list every node once")
            seen.add(name)
        missing = [name for name in nodes if name not in seen]
        if missing:
            yield Fault(path, f"{listed(missing, last='and')} not listed", "list every node once, best first")


RULES = (_unique_names, _host_names, _reachable, _logins, _host_keys, _preferred)
