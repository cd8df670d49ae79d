"""The pair of manifests/examples/nas.yaml, converged and at rest, and then left alone: only its own hooks act.

Rules: a test looks at the world, never at hactl's facts; nobody looks for hactl unless the test does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hactl.core.hook.render import HOOK
from hactl.lab.machine import Machine
from hactl.lab.world import World
from hactl.simulate.serving import primaries
from support.lab.closed_loop import Loop, example
from support.lab.converged import converged
from support.lab.serving import complaints

A, B = "nas-a", "nas-b"
LAN, REPLICATION = "vtnet1", "vtnet2"
STATE = "/var/db/hactl"
Change = Callable[[dict[str, Any]], None]


class HookPair:
    """Both nodes and what tests ask of them. A serves, B's copy is confirmed."""

    def __init__(self, change: Change | None = None) -> None:
        """`change`: of the document, before anything begins."""
        self.loop = converged("nas") if change is None else Loop(example("nas", change))
        self.loop.converge()
        self.wait(20.0)
        self.loop.converge()
        assert self.complaints() == []

    @property
    def world(self) -> World:
        """The lab."""
        return self.loop.world

    def machine(self, node: str) -> Machine:
        """A node."""
        return self.world.machines[node]

    def wait(self, seconds: float) -> None:
        """Virtual time goes by."""
        self.world.advance(seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until it is so; fails if it does not become so in time."""
        for _ in range(int(seconds * 2)):
            if condition():
                return
            self.wait(0.5)
        raise AssertionError(f"not within {seconds} s: {self.told()}")

    def lose(self, text: str) -> None:
        """A loses its power; B serves, and gets that text onto its disk alone."""
        self.world.power_off(A)
        self.until(lambda: self.runs(B) and self.carp(B) == "MASTER 0", 60)
        self.sh(B, f"echo {text} > /data/file; fsync /data/file; sync")
        self.wait(35)

    def come_back(self, *, later: float = 0.0) -> None:
        """Both are off; A is back, B so many seconds later, and the pair serves."""
        self.world.power_on(A)
        self.wait(later)
        self.world.power_on(B)
        self.until(lambda: self.machine(A).running and self.machine(B).running, 60)
        self.until(lambda: self.complaints() == [], 120)

    def sh(self, node: str, script: str) -> str:
        """What a script prints on a node."""
        return self.loop.sh(node, script)

    def complaints(self) -> list[str]:
        """What is not as a serving pair should be."""
        return complaints(self.loop)

    def primaries(self) -> list[str]:
        """Who is primary for the disk."""
        return primaries(self.loop, "data")

    def role(self, node: str) -> str:
        """The role of the disk on a node."""
        return self.machine(node).hast.resources["data"].role

    def mounted(self, node: str) -> bool:
        """Whether the kernel there has the filesystem."""
        return any(row.special == "/dev/hast/data" for row in self.machine(node).disks.mounts.table)

    def runs(self, node: str, service: str = "nfsd") -> bool:
        """Whether a service runs there."""
        return self.machine(node).rc.pid_of(service) is not None

    def carp(self, node: str) -> str:
        """State and advskew of the node's vhids: `MASTER 0`."""
        line = f"ifconfig {LAN}"
        return self.sh(node, f"{line} | awk '$1 == \"carp:\" {{ print $2, $8 }}'").strip()

    def moves(self, node: str) -> list[str]:
        """What the hook wrote down: `took`, `stopped the peer is ...`, oldest first."""
        lines = self.sh(node, f"cat {STATE}/moves 2>/dev/null").splitlines()
        return [" ".join([line.split(" ")[2], *line.split(" ")[4:]]).strip() for line in lines]

    def notes(self, node: str) -> set[str]:
        """Names of the notes about the disk's copy there."""
        return {name.removesuffix(".data") for name in self.sh(node, f"ls {STATE}").split() if name.endswith(".data")}

    def told(self) -> list[str]:
        """Everything about both nodes, for the message of a failure."""
        return [f"{n} {self.moves(n)} {self.notes(n)} {self.role(n)}" for n in (A, B) if self.loop.reaches(n)]

    def hooks(self, node: str) -> list[int]:
        """Processes of the hook that run there."""
        found = self.machine(node).rc.processes.values()
        return [each.pid for each in found if each.killed is None and f"{HOOK} " in each.command]

    def kill_hooks(self, node: str) -> int:
        """SIGKILL to all of them; how many there were."""
        mine = self.hooks(node)
        for process in list(self.machine(node).rc.processes.values()):
            if process.pid in mine:
                process.kill(9)
        return len(mine)
