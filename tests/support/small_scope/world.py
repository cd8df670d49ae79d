"""What is true on the two nodes of the small scope: asked of the lab itself, never of hactl's facts.

`Pair` is the converged pair of manifests/examples/nas.yaml in virtual time. It answers questions and judges nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hactl.lab.hast.metadata import Metadata, read
from hactl.lab.machine import Machine
from hactl.lab.storage.ufs import Ufs
from hactl.simulate.copies import image
from hactl.simulate.serving import mounts
from support.episodes.episode import MARK
from support.lab.closed_loop import Loop
from support.lab.converged import converged

A, B = "nas-a", "nas-b"
GROUP, RESOURCE, DISK = "files", "data", "/dev/vtbd1"
LAN, REPLICATION = "vtnet1", "vtnet2"


class Copy(NamedTuple):
    """What one disk holds."""

    #: The number that the service wrote; 0 when none can be read.
    number: int
    #: The filesystem can be read, and it was unmounted in order.
    sound: bool
    clean: bool


class Pair:
    """Two nodes and their world."""

    def __init__(self) -> None:
        """Converged."""
        self.loop: Loop = converged("nas")
        self.loop.converge()
        self.world = self.loop.world
        #: The highest number that reached the disk.
        self.written = 0

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.loop.now

    def machine(self, node: str) -> Machine:
        """A node."""
        return self.world.machines[node]

    def role(self, node: str) -> str:
        """What hastd there would say."""
        found = self.machine(node).hast.resources.get(RESOURCE)
        return found.role if found is not None else "none"

    def mounted(self, node: str) -> bool:
        """Whether the kernel there has the filesystem."""
        return bool(mounts(self.machine(node), RESOURCE))

    def metadata(self, node: str) -> Metadata:
        """What HAST keeps on that node's disk. Raises NoMetadata or InvalidMetadata."""
        disk = self.machine(node).disks.provider(DISK)
        assert disk is not None
        return read(disk)

    def copy(self, node: str) -> Copy:
        """What the disk of that node holds, whoever may read it."""
        found = image(self.machine(node), DISK)
        assert found is None or isinstance(found, Ufs)
        try:
            text = found.get(Path(MARK).name).decode().strip() if found is not None else ""
        except (OSError, KeyError):
            return Copy(0, sound=False, clean=False)
        sound = found is not None and not found.damaged
        return Copy(int(text) if text.isdigit() else 0, sound, found is not None and found.clean)

    def number(self, node: str) -> int:
        """The number in the copy on that node's disk; 0 when none can be read."""
        return self.copy(node).number

    def apart(self) -> bool:
        """Whether one node cannot hear the other on the replication network."""
        for node in (A, B):
            machine = self.machine(node)
            port = machine.net.interfaces.get(REPLICATION)
            if machine.frozen or port is None or not port.carrier:
                return True
        return False

    def hook_processes(self, node: str) -> list[tuple[int, str]]:
        """Running parts of the hook there: (pid, what part), whether a shell or the lockf(1) around it."""
        return [
            (process.pid, process.command.partition("/hactl/hook ")[2])
            for process in self.machine(node).rc.processes.values()
            if process.killed is None and "/hactl/hook " in process.command
        ]
