"""What a failover hangs on besides roles and files: sections `ps`, `sockstat`, `route.N` and `df` of the probe.

Man pages: ps(1), sockstat(1), route(8) (`flags:` of get), df(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hactl.core.cluster import Cluster
from hactl.core.facts import Reading, Unknown
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.processes import parse_processes
from hactl.core.parse.answer.reading import Reader, then
from hactl.core.parse.text import NotUnderstood

#: Where the node hook and hactl keep notes, in the order df(1) is asked.
NOTED_IN = ("/var/db", "/var/run")
_FREE = re.compile(r".*\s[0-9]+\s+-?[0-9]+\s+(-?[0-9]+)\s+[0-9]+%\s+/.*", re.ASCII)


def peers_of(cluster: Cluster, node: str) -> list[str]:
    """Replication addresses that the node connects to, in document order."""
    found = [
        address
        for group in cluster.groups
        for storage in group.storage
        if node in storage.hast.devices
        for other, address in storage.hast.addresses.items()
        if other != node
    ]
    return list(dict.fromkeys(found))


def read_devd(reader: Reader) -> Reading[bool]:
    """Whether devd runs."""
    return then(reader.read("ps", parse_processes), lambda found: any(each.name == "devd" for each in found))


def read_listening(reader: Reader) -> Reading[frozenset[str]]:
    """Where hastd takes connections; nowhere when the node has no resource."""
    if not reader.storages and reader.uname is None:
        return reader.known(frozenset())
    return reader.read("sockstat", lambda section: parse_sockstat(reader.good(section)))


def parse_sockstat(text: str) -> frozenset[str]:
    """Rows `USER COMMAND PID FD PROTO LOCAL FOREIGN`: local addresses of hastd without the port."""
    found = set()
    for line in filter(str.strip, text.split("\n")):
        words = line.split()
        if len(words) < 7 or ":" not in words[5]:
            raise NotUnderstood("a row that sockstat does not print")
        if words[1] == "hastd":
            found.add(words[5].rpartition(":")[0])
    return frozenset(found)


def read_refused(reader: Reader) -> Reading[frozenset[str]]:
    """Peers to which a route refuses everything."""
    refused = set()
    for number, peer in enumerate(peers_of(reader.cluster, reader.node)):
        reading = reader.read(f"route.{number}", _refuses)
        if isinstance(reading, Unknown):
            return reading
        if reading.value:
            refused.add(peer)
    return reader.known(frozenset(refused)) if reader.uname is None else reader.missing("route.0")


def _refuses(section: Section) -> bool:
    """`route get`: no route at all refuses too."""
    if "route has not been found" in section.text:
        return True
    flags = re.search(r"^\s*flags: <([A-Z0-9,]*)>", section.text, re.MULTILINE)
    if flags is None:
        raise NotUnderstood("not what route prints")
    return bool({"REJECT", "BLACKHOLE"} & set(flags[1].split(",")))


def read_free(reader: Reader) -> Reading[Mapping[str, int]]:
    """Room where notes are kept."""

    def parse(section: Section) -> Mapping[str, int]:
        rows = [_FREE.fullmatch(line) for line in section.text.rstrip().split("\n")[1:]]
        if len(rows) != len(NOTED_IN) or None in rows:
            raise NotUnderstood("not the table of df")
        return {path: int(row[1]) for path, row in zip(NOTED_IN, rows, strict=True) if row is not None}

    return reader.read("df", parse)
