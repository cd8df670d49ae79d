"""The pair of `real.pair` as nodes: every handle is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.source_tree import ROOT

from ..pair import command, lan, qemu
from ..pair.settings import LOCAL, Pair
from .node import Node, Nodes

EVERYTHING = frozenset({"power", "freeze", "link", "lose", "blank"})
EXAMPLES = ROOT / "manifests" / "examples"


class Emulated(Nodes):
    """Two machines in QEMU."""

    def __init__(self, pair: Pair) -> None:
        """They need not run yet."""
        both = tuple(Node(machine.name, qemu.ssh(machine)) for machine in pair.nodes)
        super().__init__(pair.release, (both[0], both[1]), EVERYTHING)
        self.pair = pair

    def document(self) -> dict[str, Any]:
        """examples/nas.yaml, with the ssh lines of this pair."""
        document: dict[str, Any] = YAML(typ="safe").load(EXAMPLES / "nas.yaml")
        for node in document["spec"]["nodes"]:
            machine = self.pair.machine(node["name"])
            node["ssh"] |= {
                "host": LOCAL,
                "port": machine.ssh_port,
                "hostKeyFrom": {"file": str(machine.public_key)},
                "identityFrom": {"file": str(self.pair.identity)},
            }
        return document

    def power(self, name: str, *, on: bool) -> None:
        """Start QEMU, or kill it."""
        self.note(f"{name}: power {'on' if on else 'off'}")
        machine = self.pair.machine(name)
        if on:
            lan.plug(self.pair)
            qemu.start(machine)
        else:
            qemu.kill(machine.path("pid"))

    def is_on(self, name: str) -> bool:
        """QEMU runs."""
        return bool(qemu.process(self.pair.machine(name).path("pid")))

    def freeze(self, name: str, *, thaw: bool = False) -> None:
        """Its clock stands still meanwhile."""
        self.note(f"{name}: {'thawed' if thaw else 'frozen'}")
        qemu.qmp(self.pair.machine(name), "cont" if thaw else "stop")

    def link(self, name: str, net: str, *, up: bool) -> None:
        """The interface sees its carrier go and come."""
        self.note(f"{name}: {net} cable {'plugged' if up else 'pulled'}")
        qemu.link(self.pair.machine(name), net, up=up)

    def lose(self, *directions: tuple[str, str]) -> None:
        """The switch does it: carrier stays."""
        self.note(f"the LAN loses {', '.join(f'what is {way} {name}' for way, name in directions) or 'nothing'}")
        lan.lose(self.pair, *(f"{way}-{self.pair.machine(name).key}" for way, name in directions))

    def answers(self, name: str) -> bool:
        """See qemu.answers."""
        return qemu.answers(self.pair.machine(name))

    def blank(self) -> None:
        """New disks."""
        self.note("both nodes are blank")
        command.fresh(self.pair)
        command.up(self.pair)

    def keep(self, name: str) -> None:
        """In the folder of the pair."""
        command.down(self.pair)
        command.save(self.pair, name)

    def bring_back(self, name: str) -> bool:
        """Whatever happened since is gone."""
        if not self.pair.saved(name).is_dir():
            return False
        self.note(f"both nodes are as they were saved: {name}")
        command.restore(self.pair, name)
        command.up(self.pair)
        return True

    def client(self, address: str, ports: tuple[int, int], writer: str, log: Path) -> Sequence[str]:
        """A port of the switch."""
        words = [sys.executable, "-m", "real.pair", "client", "--address", address, "--tcp", str(ports[0])]
        return [*words, "--records", str(ports[1]), "--writer", writer, "--log", str(log)]
