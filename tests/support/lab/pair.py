"""The recorded pair under virtual time: two machines, a LAN, a replication link, two blank disks each."""

from __future__ import annotations

from dataclasses import dataclass

from hactl.lab.build import plug_recorded
from hactl.lab.clock import VirtualClock
from hactl.lab.machine import Machine
from hactl.lab.shell.shell import drive, run_script
from hactl.lab.world import World

CONF = """resource data {
	on nas-a {
		local /dev/vtbd1
		remote 198.51.100.12
	}
	on nas-b {
		local /dev/vtbd1
		remote 198.51.100.11
	}
}
"""


@dataclass
class Completed:
    """What a script printed, and its exit status."""

    out: str
    err: str
    status: int


class Pair:
    """nas-a and nas-b."""

    def __init__(self, *, seed: int = 1) -> None:
        self.world = World(VirtualClock(), seed)
        for name in ("nas-a", "nas-b"):
            plug_recorded(self.world, name)
        self.world.start()
        self.world.advance(1.0)

    @property
    def a(self) -> Machine:
        return self.world.machines["nas-a"]

    @property
    def b(self) -> Machine:
        return self.world.machines["nas-b"]

    @property
    def now(self) -> float:
        return self.world.clock.monotonic()

    def sh(self, machine: Machine, script: str) -> Completed:
        """Run a script to its end; virtual time passes as it needs."""
        return Completed(*drive(run_script(machine, script)))

    def both(self, script: str) -> None:
        for machine in (self.a, self.b):
            self.sh(machine, script)

    def hastd(self, conf: str = CONF) -> None:
        """hastd runs on both, disks created, roles init."""
        for machine in (self.a, self.b):
            machine.files.write_text("/etc/hast.conf", conf)
            machine.disks.root.flush("/etc/hast.conf")
        self.both("hastctl create all 2>/dev/null; hastctl create data; service hastd onestart")

    def replicating(self) -> None:
        """nas-a primary, nas-b secondary, connected, in sync."""
        self.hastd()
        self.sh(self.b, "hastctl role secondary data")
        self.sh(self.a, "hastctl role primary data")
        self.world.advance(1.0)

    def mounted(self) -> None:
        """As `replicating`, with a filesystem mounted on nas-a at /data."""
        self.replicating()
        self.sh(self.a, "newfs -U /dev/hast/data >/dev/null && mkdir -p /data && mount -o noatime /dev/hast/data /data")

    def status(self, machine: Machine, field: int = 1) -> str:
        """The word `hastctl status` prints: 1 the status, 2 the role."""
        return self.sh(machine, "hastctl status data").out.splitlines()[1].split()[field]

    def counters(self, machine: Machine) -> tuple[int, int]:
        """(localcnt, remotecnt) of `hastctl dump`."""
        lines = dict(
            line.split(": ", 1) for line in self.sh(machine, "hastctl dump data").out.replace("    ", "").splitlines()
        )
        return int(lines["localcnt"]), int(lines["remotecnt"])

    def dirty(self, machine: Machine) -> int:
        """Dirty bytes of `hastctl list`."""
        return int(self.sh(machine, "hastctl list data | awk '/^  dirty: /{print $2}'").out)
