"""A second hastd in the foreground with a configuration of its own, as a trial of hastd runs one.

Rules:
- Of it only that is modelled which a trial asks: its socket, its roles, and what arrives where its remote listens.
- Whether a primary says anything there is a matter of the program on the disk (`connects`): FreeBSD's own of 15 does
  not (docs/freebsd-facts.md#7.18).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hactl.lab.hast.config_grammar import HastConfig
from hactl.lab.hast.processes import Role
from hactl.lab.kernel.kernel import KernelHost

#: Major number of the first release whose own hastd never connects.
FIRST_BROKEN = 15
#: What the program's file has in it when it is mended, as on the disk image of the real pair.
MENDED = "# mended"
#: From the role to the first words.
SPEAK_SECONDS = 0.05


def connects(machine: KernelHost) -> bool:
    """Whether the hastd on the machine's disk connects when it is primary."""
    major = int(machine.release.partition(".")[0])
    return major < FIRST_BROKEN or MENDED in machine.files.read_text("/sbin/hastd")


@dataclass(slots=True)
class Trial:
    """That process."""

    config: HastConfig
    works: bool
    pid: int
    roles: dict[str, Role] = field(default_factory=dict)

    def role(self, name: str) -> Role:
        """The role of a resource."""
        return self.roles.get(name, "init")


@dataclass(slots=True)
class Loopback:
    """Who listens on ports of 127.0.0.1."""

    ears: dict[int, Callable[[str], None]] = field(default_factory=dict)

    def arrive(self, trial: Trial, name: str) -> None:
        """A primary of the trial connects to its remote, and says its first words if it can."""
        port = trial.config.resources[name].remote.rpartition(":")[2]
        ear = self.ears.get(int(port)) if port.isdigit() else None
        if ear is None or trial.role(name) != "primary":
            return
        ear("Connection from 127.0.0.1 34672 received!\n")
        if trial.works:
            ear(f"\x01<resource {name} version\n")
