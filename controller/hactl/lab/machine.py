"""One simulated FreeBSD machine: its parts, its power, its clock, its logs.

Rules:
- The parts are made here and nowhere else; each says in a protocol what it needs of the machine it lives in.
- Memory goes with power: kernel, network configuration, processes; disks, files and the host's identity stay.
- Log lines have syslogd's format: `Nov 23 15:58:39 nas-a kernel: carp: ...` (syslogd(8); recordings 02 and 03).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import hactl.lab.commands  # noqa: F401  (the programs register themselves)
from hactl.lab.boot import sequence
from hactl.lab.boot.furnish import furnish
from hactl.lab.files import Files
from hactl.lab.hast.daemon import Hast
from hactl.lab.host import LogFile
from hactl.lab.kernel.devd import Devd
from hactl.lab.kernel.kernel import Kernel
from hactl.lab.kernel.net import Network
from hactl.lab.process import Process, Result
from hactl.lab.program import execute
from hactl.lab.rc.rc import Rc
from hactl.lab.shell.shell import run_script
from hactl.lab.storage.disks import Disks
from hactl.lab.world import World

#: The major number a release has in `osreldate`; anything that is not listed is taken from the release's name.
OSRELDATES = {"13.2-RELEASE": 1302001, "14.0-RELEASE": 1400097, "15.1-RELEASE": 1501000}


#: After how long syslogd writes down that a message repeats, seconds; it gets more patient (syslogd.c: repeatinterval).
REPEAT_SECONDS = (30.0, 120.0, 600.0)


@dataclass(slots=True)
class Repeats:
    """The last line of a log and how often it came again since `since`."""

    line: str
    since: float
    count: int = 0
    level: int = 0


def osreldate(release: str) -> int:
    """`__FreeBSD_version` of a release name such as 14.2-RELEASE-p1."""
    base = "-".join(release.split("-")[:2])
    major, _, minor = base.split("-")[0].partition(".")
    return OSRELDATES.get(base, int(major) * 100000 + int(minor or 0) * 1000)


class Machine:
    """A FreeBSD host."""

    def __init__(self, world: World[Machine], name: str, *, release: str = "13.2-RELEASE") -> None:
        self.world, self.name, self.release = world, name, release
        self.osreldate = osreldate(release)
        self.position = len(world.machines) + 1
        self.powered = False
        #: The kernel is up and rc has finished: sshd answers.
        self.running = False
        self.frozen_at: float | None = None
        #: Seconds this machine slept through while frozen: its clock is behind by as much.
        self.lost_seconds = 0.0
        #: Seconds this machine's clock is ahead of the world's.
        self.skew_seconds = 0.0
        #: Monotonic seconds of the world; moves on when the machine was frozen, whose clocks stood still.
        self.booted_at = 0.0
        self.boot_count = 0
        #: Grows with every loss of power: what was scheduled before is void.
        self.power_cycles = 0
        self.hostname = name
        self.hostuuid = str(uuid.UUID(int=world.random.getrandbits(128), version=4))
        self.hostid = world.random.getrandbits(32)
        self._pid = 100
        self.born: dict[int, float] = {}
        self._repeats: dict[str, Repeats] = {}
        self.files = Files()
        self.files.mkdir("/var/log")
        self.disks = Disks(self)
        self.net = Network(self, world.segments)
        self.kernel = Kernel(self)
        self.devctl = Devd(self)
        self.hast = Hast(self)
        world.machines[name] = self

    @cached_property
    def rc(self) -> Rc:
        """Services and running programs; when first asked for, the disk gets what a fresh installation has."""
        rc = Rc(self, self.hast, self.devctl)
        furnish(self, rc)
        self.disks.root.write_all()
        return rc

    # power

    @property
    def frozen(self) -> bool:
        """Whether its time stands still."""
        return self.frozen_at is not None

    @property
    def awake(self) -> bool:
        """Whether it handles packets and commands now."""
        return self.powered and self.frozen_at is None

    def boot_kernel(self) -> None:
        """The kernel starts: interfaces exist, nothing is configured."""
        self.boot_count += 1
        self.lost_seconds = 0.0  # the clock of the mainboard went on
        self.booted_at = self.world.clock.monotonic()
        self._pid = 400
        self.born.clear()
        self.files.reboot()
        self.net.reset()
        self.kernel.boot()
        self.net.boot()
        self.disks.on_boot()
        self.hast.on_boot()

    def boot_userland(self) -> None:
        """rc runs; sshd answers afterwards."""
        self.world.spawn(self._boot_userland(), machine=self)

    async def _boot_userland(self) -> None:
        await sequence.boot(self)
        self.running = True
        self.world.tell(self)

    async def shutdown(self) -> None:
        """What rc.shutdown(8) does before the kernel stops."""
        await sequence.shutdown(self)
        self.running = False

    def lose_power(self) -> None:
        """Everything in memory is gone."""
        self.powered = self.running = False
        self.frozen_at = None
        self.power_cycles += 1
        self.devctl.reset()
        self._repeats.clear()
        self.hast.on_power_off()
        self.disks.on_power_off()
        self.net.reset()

    def end_programs(self) -> None:
        """After a loss of power: no program is left."""
        self.rc.on_power_off()

    # programs

    async def run_script(self, script: str, *, env: Mapping[str, str], cwd: str, process: Process) -> object:
        """Run a script as `sh -c` would."""
        return await run_script(self, script, env=env, cwd=cwd, process=process)

    async def execute(self, argv: Sequence[str], process: Process) -> Result:
        """execve(2): run a file by its path."""
        self.rc.enter(process)
        try:
            return await execute(self, ["__exec", *argv], process)
        finally:
            self.rc.leave(process)

    # the other machines

    def reaches(self, address: str) -> Machine | None:
        """The running machine that gets a packet sent to an address now."""
        return self.world.reaches(self.name, address)

    def hears(self, node: str, segment: str) -> bool:
        """Whether a packet another machine sends on a segment is received and processed here now."""
        return self.world.connected(node, self.name, segment)

    # small things

    def pid(self) -> int:
        """The next process id."""
        self._pid = self._pid + 1 if self._pid < 99999 else 100
        self.born[self._pid] = self.uptime_seconds()
        return self._pid

    def epoch(self) -> float:
        """What this machine's clock says, seconds since 1970."""
        paused = self.world.clock.monotonic() - self.frozen_at if self.frozen_at is not None else 0.0
        return self.world.clock.epoch() + self.skew_seconds - self.lost_seconds - paused

    def uptime_seconds(self) -> float:
        """Seconds since the kernel started, as the machine counts them."""
        now = self.frozen_at if self.frozen_at is not None else self.world.clock.monotonic()
        return now - self.booted_at

    def stamp(self) -> str:
        """The time as syslogd writes it; the lab's nodes keep UTC."""
        now = time.gmtime(self.epoch())
        return f"{time.strftime('%b', now)} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"

    def devd(self, line: str) -> None:
        """Emit an event for devd (a raw line without its newline)."""
        self.devctl.emit(line)

    def log(self, facility_file: LogFile, ident: str, text: str) -> None:
        """Append to /var/log/messages or daemon.log; equal lines in a row are counted as syslogd counts them."""
        path = "/var/log/messages" if facility_file == "messages" else "/var/log/daemon.log"
        line, now = f"{ident}: {text}", self.world.clock.monotonic()
        last = self._repeats.get(path)
        if last is None or last.line != line:
            if last is not None:
                self._write_repeats(path, last)
            self._repeats[path] = Repeats(line, now)
            self.files.log(path, f"{self.stamp()} {self.hostname.partition('.')[0]} {line}")
            return
        last.count += 1
        if now - last.since >= REPEAT_SECONDS[last.level]:
            self._write_repeats(path, last)
            last.since, last.level = now, min(last.level + 1, len(REPEAT_SECONDS) - 1)

    def _write_repeats(self, path: str, last: Repeats) -> None:
        if last.count:
            host = self.hostname.partition(".")[0]
            self.files.log(path, f"{self.stamp()} {host} syslogd: last message repeated {last.count} times")
            last.count = 0

    def klog(self, text: str) -> None:
        """A kernel message: dmesg and /var/log/messages."""
        self.kernel.message(text)
        self.log("messages", "kernel", text)
