"""The world the simulated machines share: who can hear whom, and what people do to machines.

Rules:
- A cut cable takes the carrier away; packets lost one way leave it (`cut`, `join`).
- A loss of power ends everything that runs on a machine; a frozen machine knows nothing of its pause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, Protocol, TypeVar

from hactl.lab.clock import LabClock, VirtualClock
from hactl.lab.events import Events
from hactl.lab.fiber import Owner
from hactl.lab.kernel.net import Interface, Network
from hactl.lab.storage.disks import Disks

#: How long the machines of a new world have been up, seconds.
UP_SECONDS = 290.0
Direction = Literal["both", "in", "out"]


class Inhabitant(Owner, Protocol):
    """A machine, as the world moves it."""

    name: str
    powered: bool
    running: bool
    booted_at: float
    lost_seconds: float
    net: Network
    disks: Disks

    def boot_kernel(self) -> None: ...
    def boot_userland(self) -> None: ...
    async def shutdown(self) -> None: ...
    def lose_power(self) -> None: ...
    def end_programs(self) -> None: ...


M = TypeVar("M", bound=Inhabitant)


class World(Events, Generic[M]):
    """All machines and the time they live in."""

    def __init__(self, clock: LabClock, seed: int = 0) -> None:
        """No machines yet."""
        super().__init__(clock, seed)
        self.machines: dict[str, M] = {}
        #: Interfaces by the L2 segment they are plugged into, in the order they were made.
        self.segments: dict[str, list[Interface]] = {}
        #: Addresses that answer ping on a segment without being machines here: a router, a witness.
        self.hosts: dict[str, str] = {}
        #: From power to a reachable sshd, seconds.
        self.boot_seconds = 15.0
        #: Called after power or freeze of a machine changed; people's front ends listen here.
        self.on_power: list[Callable[[M], None]] = []

    # who hears whom

    def connected(self, a: str, b: str, segment: str) -> bool:
        """Whether a packet a sends on a segment is received and processed by b now (one way)."""
        sender = self._plug(a, segment)
        receiver = self._plug(b, segment)
        if sender is None or receiver is None or not (sender.can_send and receiver.can_receive):
            return False
        return not (sender.network.refused and sender.network.refuses(receiver.network))

    def reaches(self, a: str, address: str) -> M | None:
        """The running machine that gets a packet a sends to an address now: the one that answers ARP for it."""
        found: M | None = None
        if address in self.machines[a].net.refused:
            return None
        for name, machine in self.machines.items():
            for interface in machine.net.interfaces.values():
                held = interface.find(address)
                if held is None or not interface.answers_for(held):
                    continue
                if name == a or self.connected(a, name, interface.segment):
                    found = machine
        return found

    def _plug(self, node: str, segment: str) -> Interface | None:
        for interface in self.segments.get(segment, ()):
            if interface.machine.name == node:
                return interface
        return None

    # what people do to machines

    def power_off(self, node: str) -> None:
        """The plug is pulled: nothing is written, nothing is said."""
        machine = self.machines[node]
        if not machine.powered:
            return
        machine.lose_power()
        self.end_jobs(machine)
        machine.end_programs()
        self.tell(machine)

    def power_on(self, node: str) -> None:
        """Power comes; `boot_seconds` later rc has finished and the machine can be reached."""
        machine = self.machines[node]
        if machine.powered:
            return
        machine.powered = True
        self.at(self.boot_seconds / 3, machine.boot_kernel, machine=machine)
        self.at(self.boot_seconds, machine.boot_userland, machine=machine)
        self.tell(machine)

    def start(self) -> None:
        """Every machine is up already: kernel and rc run now, without the delays of a boot."""
        for machine in self.machines.values():
            if not machine.powered:
                machine.powered = True
                machine.boot_kernel()
                machine.booted_at -= UP_SECONDS
                self.at(0, machine.boot_userland, machine=machine)
        if isinstance(self.clock, VirtualClock):
            self.advance(0)
            while any(machine.powered and not machine.running for machine in self.machines.values()):
                self.advance(0.25)

    def reboot(self, node: str) -> None:
        """shutdown(8) -r: rc.shutdown runs, then the machine boots again."""
        machine = self.machines[node]
        if machine.running:
            self.spawn(self._reboot(machine), machine=machine)

    async def _reboot(self, machine: M) -> None:
        await machine.shutdown()
        self.power_off(machine.name)
        self.power_on(machine.name)

    def cut(self, node: str, interface: str | None = None, direction: Direction = "both") -> None:
        """Pull a cable (both: carrier goes), or lose packets one way only (in or out: carrier stays)."""
        for port in self._ports(node, interface):
            if direction == "both":
                port.set_carrier(False)
            elif direction == "in":
                port.blocked_in = True
            else:
                port.blocked_out = True

    def join(self, node: str, interface: str | None = None) -> None:
        """Plug a cable back in and lose no more packets."""
        for port in self._ports(node, interface):
            port.blocked_in = port.blocked_out = False
            port.set_carrier(True)

    def freeze(self, node: str) -> None:
        """Stop a machine's time: it answers and sends nothing and knows nothing of it."""
        machine = self.machines[node]
        if machine.powered and machine.frozen_at is None:
            machine.frozen_at = self.clock.monotonic()
            self.tell(machine)

    def thaw(self, node: str) -> None:
        """Let a frozen machine go on, believing what it believed; its clock is behind by the pause."""
        machine = self.machines[node]
        if machine.frozen_at is None:
            return
        pause = self.clock.monotonic() - machine.frozen_at
        machine.frozen_at = None
        machine.lost_seconds += pause
        machine.booted_at += pause
        self.resume(machine, pause)
        machine.net.thaw(pause)
        self.tell(machine)
        if self.on_earlier is not None:
            self.on_earlier()

    def fail_disk(self, node: str, device: str) -> None:
        """Every access to a disk fails with EIO from now on."""
        self.machines[node].disks.fail(device)

    def mend_disk(self, node: str, device: str) -> None:
        """A failed disk works again, with what was on it."""
        self.machines[node].disks.mend(device)

    def _ports(self, node: str, interface: str | None) -> list[Interface]:
        ports = self.machines[node].net.interfaces
        if interface is not None:
            return [ports[interface]]
        return [port for port in ports.values() if not port.loopback]

    def tell(self, machine: M) -> None:
        """Let the front ends know that a machine's power, freeze or boot state changed."""
        for listener in list(self.on_power):
            listener(machine)
