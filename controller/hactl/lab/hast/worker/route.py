"""Where a primary's connection attempt gets: out of its own machine, to an answering peer, to its hastd.

Rules:
- An attempt that fails at once inside the machine, also by a route that rejects, is reported by the main process; one
  that gets no answer costs the whole `timeout`, and nobody logs it (recordings 05, 06 and 10).
- Addresses are as in hast.conf(5): `[tcp4://|tcp6://|tcp://]host[:port]`, default port 8457.
"""

from __future__ import annotations

import re

from hactl.lab.files import Files
from hactl.lab.hast.config_grammar import ResourceConfig
from hactl.lab.hast.processes import HastHost, Route

HAST_PORT = 8457


def split_address(text: str) -> tuple[str, int]:
    """(host, port) of a hast.conf address."""
    text = re.sub(r"^tcp[46]?://", "", text)
    bracketed = re.match(r"^\[([^\]]*)\](?::(\d+))?$", text)
    if bracketed:
        return bracketed[1], int(bracketed[2] or HAST_PORT)
    host, separator, port = text.rpartition(":")
    if separator and host and ":" not in host and port.isdigit():
        return host, int(port)
    return text, HAST_PORT


def resolve(files: Files, host: str) -> str:
    """The address of a host name as /etc/hosts has it (the lab has no DNS); anything else is returned as it is."""
    if files.kind("/etc/hosts") == "file":
        for line in files.read_text("/etc/hosts").splitlines():
            address, *names = line.split("#", 1)[0].split() or [""]
            if host in names:
                return address
    return host


def find_route(machine: HastHost, config: ResourceConfig) -> Route:
    """What happens to a connection attempt now."""
    name, port = split_address(config.remote)
    host = resolve(machine.files, name)
    found = machine.net.way_out(host)
    if found is None:
        return Route("noroute", error="No route to host")
    interface, address = found
    source = address.text
    if config.source:
        source = split_address(config.source)[0]
        if not any(each.find(source) for each in machine.net.interfaces.values()):
            return Route("noroute", error="Can't assign requested address")
    peer = machine.reaches(host)
    if peer is None or not machine.hears(peer.name, interface.segment):
        return Route("silent", source=source, segment=interface.segment)
    if not peer.hast.listens_on(host, port):
        return Route("refused", source=source, segment=interface.segment)
    return Route("ok", peer.hast, source, interface.segment)
