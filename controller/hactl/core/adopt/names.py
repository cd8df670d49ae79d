"""Which node is which: by `hostname` of rc.conf, else by the `on` sections of hast.conf, else by the names of files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hactl.core.adopt.finding import Finding, note
from hactl.core.adopt.hast import Block
from hactl.core.adopt.node import Node
from hactl.core.document.rules.nodes import HAST_KEYWORDS

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?", re.ASCII)
_CARP_INTERFACE = re.compile(r"carp[0-9]+", re.ASCII)
_WORTH_A_NAME = 2


@dataclass(slots=True)
class Names:
    """The nodes of a cluster, in the order they were given."""

    of_node: list[str]
    #: Name of an `on` section -> the node it is for.
    sections: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def name_nodes(nodes: Sequence[Node]) -> Names:
    """A name for each node, and whose the `on` sections are."""
    names = Names([node.hostname if _HOST_NAME.fullmatch(node.hostname) else "" for node in nodes])
    names.of_node = [name if names.of_node.count(name) == 1 else "" for name in names.of_node]
    sections = _sections(nodes)
    left = []
    for section in sections:
        at = next((i for i, name in enumerate(names.of_node) if _means(section.name, name)), None)
        if at is not None:
            names.sections[section.name] = at
            # Full or short, as hast.conf has it: both are what `hostname` prints (hast.conf(5), "on").
            names.of_node[at] = section.name
        elif _is_interface(section.name, nodes):
            names.findings.append(
                Finding(section.place, f"{section.name} is an interface, no host name, so hastd finds no section",
                        "write what `hostname` prints on the node")
            )  # fmt: skip
        else:
            left.append(section)
    _give_out(nodes, names, left)
    _from_files(nodes, names)
    return names


def cluster_name(nodes: Sequence[str]) -> str:
    """What the names of the nodes have in common, or `pair`."""
    plain = [re.sub(r"[^a-z0-9]+", "-", name.partition(".")[0].lower()) for name in nodes]
    common = posixpath.commonprefix(plain) if len(plain) > 1 else ""
    name = common.rstrip("-0123456789").lstrip("-")[:40]
    return name if len(name) >= _WORTH_A_NAME else "pair"


def _sections(nodes: Sequence[Node]) -> list[Block]:
    """The `on` sections of all files, each name once."""
    found: dict[str, Block] = {}
    for node in nodes:
        for resource in node.hast.resources if node.hast is not None else ():
            for section in resource.parts:
                if _HOST_NAME.fullmatch(section.name) and section.name not in HAST_KEYWORDS:
                    found.setdefault(section.name, section)
    return list(found.values())


def _means(section: str, name: str) -> bool:
    return bool(name) and section in (name, name.partition(".")[0])


def _is_interface(name: str, nodes: Sequence[Node]) -> bool:
    return _CARP_INTERFACE.fullmatch(name) is not None or any(name in node.own for node in nodes)


def _give_out(nodes: Sequence[Node], names: Names, left: list[Block]) -> None:
    """`on` sections for nodes that have no name yet: not to the node that is the peer of the section."""
    free = [at for at, name in enumerate(names.of_node) if not name]
    for section in left:
        if not free:
            have = ", ".join(names.of_node)
            names.findings.append(
                Finding(section.place, f"{section.name} is none of these nodes ({have})", "the document leaves it out")
            )
            continue
        can_be = [at for at in free if not _owns(nodes[at], section.value("remote"))]
        at = (can_be or free)[0]
        sure = len(can_be) == 1 and len(free) > 1
        free.remove(at)
        names.of_node[at] = section.name
        names.sections[section.name] = at
        why = "its peer's address is on another node" if sure else "nothing else is left for it, or it comes first"
        names.findings.append(
            note(section.place, f"{section.name} is taken for the node of {nodes[at].place.file}", why)
        )


def _owns(node: Node, remote: str) -> bool:
    return any(str(address.ip) in remote for address in node.addresses)


def _from_files(nodes: Sequence[Node], names: Names) -> None:
    for at, node in enumerate(nodes):
        if names.of_node[at]:
            continue
        suffix = next((found[1] for file in node.files if (found := _suffix(file.name))), "")
        usable = bool(_HOST_NAME.fullmatch(suffix)) and suffix not in (*names.of_node, *HAST_KEYWORDS)
        names.of_node[at] = suffix if usable else f"host{at + 1}"
        why = "its file is called so" if usable else "nothing names it"
        names.findings.append(
            note(node.place, f"no file says hostname= for this node: it is {names.of_node[at]} here, for {why}",
                 "write what `hostname` prints on it into the document")
        )  # fmt: skip


def _suffix(file: str) -> re.Match[str] | None:
    return re.fullmatch(r"rc\.conf\.(?!local$|d$)(.+)", posixpath.basename(file))
