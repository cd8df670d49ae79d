"""Two FreeBSD machines that somebody else set up: reached by ssh, with a document and perhaps a handle of their owner.

The handle is a program of the owner's: `HANDLE can` prints the handles that it has (power, freeze, link, blank), and
`HANDLE power NODE on|off`, `HANDLE freeze NODE stop|cont`, `HANDLE link NODE lan|repl up|down` and `HANDLE blank`
pull them. Without it the exams that need power or cables say so and are not run. See docs/real-nodes.md.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from .node import Broken, Node, Nodes

_GREETING_SECONDS = 3.0
_BOOT_SECONDS = 900.0
_HANDLE_SECONDS = 300.0


def ssh_words(address: str, identity: str) -> list[str]:
    """`root@HOST[:PORT]` as a command line of ssh."""
    where, _, port = address.partition(":")
    words = ["ssh", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    words += ["-i", identity] if identity else []
    return [*words, *(["-p", port] if port else []), where]


class Addresses(Nodes):
    """Two addresses."""

    def __init__(self, addresses: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
        """Asks both for their names and release; raises Broken if one does not answer."""
        if len(addresses) != 2:
            raise Broken("HACTL_REAL: a folder with images, or two addresses: root@HOST[:PORT] root@HOST[:PORT]")
        identity = environment.get("HACTL_IDENTITY", "")
        found = [Node("", ssh_words(address, identity)) for address in addresses]
        for node in found:
            node.name = node.must("hostname -s").strip()
        release = found[0].must("freebsd-version -u").strip().partition("-")[0]
        self.handle = shlex.split(environment.get("HACTL_REAL_HANDLE", ""))
        self.file = environment.get("HACTL_REAL_DOCUMENT", "")
        self.greeting = {node.name: address for node, address in zip(found, addresses, strict=True)}
        super().__init__(
            release, (found[0], found[1]), frozenset(self._pull("can").split()) if self.handle else frozenset()
        )

    def _pull(self, *words: str) -> str:
        self.note(" ".join(words))
        done = subprocess.run(
            [*self.handle, *words], capture_output=True, text=True, check=False, timeout=_HANDLE_SECONDS
        )
        if done.returncode:
            raise Broken(f"{shlex.join([*self.handle, *words])}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def document(self) -> dict[str, Any]:
        """What the owner wrote for these two."""
        if not self.file:
            raise Broken("HACTL_REAL_DOCUMENT: the file of the HACluster of these two nodes")
        document: dict[str, Any] = YAML(typ="safe").load(Path(self.file))
        return document

    def power(self, name: str, *, on: bool) -> None:
        """By the handle."""
        self.need("power")
        self._pull("power", name, "on" if on else "off")

    def is_on(self, name: str) -> bool:
        """As far as can be told: it answers."""
        return self.answers(name)

    def freeze(self, name: str, *, thaw: bool = False) -> None:
        """By the handle."""
        self.need("freeze")
        self._pull("freeze", name, "cont" if thaw else "stop")

    def link(self, name: str, net: str, *, up: bool) -> None:
        """By the handle."""
        self.need("link")
        self._pull("link", name, net, "up" if up else "down")

    def lose(self, *directions: tuple[str, str]) -> None:
        """A switch that can be told to is not at hand."""
        if directions:
            self.need("lose")

    def answers(self, name: str) -> bool:
        """Its sshd greets."""
        where, _, port = self.greeting[name].rpartition("@")[2].partition(":")
        try:
            with socket.create_connection((where, int(port or 22)), _GREETING_SECONDS) as link:
                link.settimeout(_GREETING_SECONDS)
                return link.recv(8).startswith(b"SSH-")
        except OSError:
            return False

    def blank(self) -> None:
        """By the handle, which returns when both are installed anew; they may still boot."""
        self.need("blank")
        self._pull("blank")
        end = time.monotonic() + _BOOT_SECONDS
        while not all(self.answers(node.name) for node in self.both):
            if time.monotonic() > end:
                raise Broken("the blank nodes do not answer")
            time.sleep(1)

    def keep(self, name: str) -> None:
        """Nothing to keep disks in."""

    def bring_back(self, name: str) -> bool:
        """Nothing is kept."""
        return False

    def client(self, address: str, ports: tuple[int, int], writer: str, log: Path) -> Sequence[str]:
        """Sockets of this machine, which must be on the LAN of the address."""
        words = [sys.executable, "-m", "real.load.sockets", address, str(ports[0]), str(ports[1])]
        return [*words, writer, str(log)]
