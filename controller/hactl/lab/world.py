"""The world the simulated machines share: one queue of events, who can hear whom, and what people break.

Rules:
- Single-threaded; events of one instant run in the order they were scheduled.
- An event that belongs to a machine dies with its power; while the machine is frozen it waits, and
  afterwards has the rest of its time still to go (a stopped virtual machine: recording 06).
- Real time is the same world with `run_due` called by a pump; `on_earlier` tells the pump to look again.
- What machines do in the background (`spawn`) goes on as events under virtual time, as tasks otherwise.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Literal

from hactl.lab.clock import LabClock, VirtualClock
from hactl.lab.fiber import Fiber, Job

if TYPE_CHECKING:
    from hactl.lab.kernel.net import Interface
    from hactl.lab.machine import Machine

#: How long the machines of a new world have been up, seconds.
UP_SECONDS = 290.0
Direction = Literal["both", "in", "out"]


class Handle:
    """A scheduled event."""

    __slots__ = ("action", "boot", "cancelled", "machine", "order", "time")

    def __init__(self, time: float, order: int, action: Callable[[], object], machine: Machine | None) -> None:
        self.time, self.order, self.action, self.machine = time, order, action, machine
        self.boot = machine.power_cycles if machine is not None else 0
        self.cancelled = False

    def __lt__(self, other: Handle) -> bool:
        return self.time < other.time or (self.time == other.time and self.order < other.order)

    def cancel(self) -> None:
        """The event will not happen."""
        self.cancelled = True

    @property
    def dead(self) -> bool:
        """Cancelled, or its machine lost power since."""
        return self.cancelled or (self.machine is not None and self.machine.power_cycles != self.boot)


class World:
    """All machines and the time they live in."""

    def __init__(self, clock: LabClock, seed: int = 0) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.machines: dict[str, Machine] = {}
        #: Interfaces by the L2 segment they are plugged into, in the order they were made.
        self.segments: dict[str, list[Interface]] = {}
        #: Addresses that answer ping on a segment without being machines here: a router, a witness.
        self.hosts: dict[str, str] = {}
        #: From power to a reachable sshd, seconds.
        self.boot_seconds = 15.0
        #: How late kernel timers fire, seconds: tvtohz adds a tick (hz is 100 in a virtual machine). The recorded
        #: machines were emulated and later than that: about 0.06.
        self.timer_lateness_seconds = 0.01
        #: Called when an event becomes the earliest (real time only).
        self.on_earlier: Callable[[], None] | None = None
        #: Called after power or freeze of a machine changed; people's front ends listen here.
        self.on_power: list[Callable[[Machine], None]] = []
        self._queue: list[Handle] = []
        self._parked: list[Handle] = []
        self._order = 0
        self._jobs: dict[Job, Machine | None] = {}
        if isinstance(clock, VirtualClock):
            clock.attach(self.advance)

    # events

    def at(self, delay_seconds: float, action: Callable[[], object], *, machine: Machine | None = None) -> Handle:
        """Run `action` after a delay; cancelled when the machine loses power, deferred while it is frozen."""
        self._order += 1
        handle = Handle(self.clock.monotonic() + delay_seconds, self._order, action, machine)
        if machine is not None and machine.frozen_at is not None:
            handle.time = machine.frozen_at + delay_seconds  # `thaw` adds the pause
            self._parked.append(handle)
            return handle
        heapq.heappush(self._queue, handle)
        if self.on_earlier is not None and self._queue[0] is handle:
            self.on_earlier()
        return handle

    def advance(self, seconds: float) -> None:
        """Virtual time only: run the events of the coming seconds in order."""
        clock = self.clock
        if not isinstance(clock, VirtualClock):
            raise RuntimeError("real time advances by itself")
        target = clock.now + seconds
        while self._queue and self._queue[0].time <= target:
            handle = heapq.heappop(self._queue)
            if handle.time > clock.now:
                clock.now = handle.time
            self._fire(handle)
        if target > clock.now:
            clock.now = target

    def run_due(self) -> float | None:
        """Run what is due; seconds to the next event, or None if there is none."""
        while self._queue:
            wait = self._queue[0].time - self.clock.monotonic()
            if wait > 0:
                return wait
            self._fire(heapq.heappop(self._queue))
        return None

    def _fire(self, handle: Handle) -> None:
        if handle.dead:
            return
        if handle.machine is not None and handle.machine.frozen:
            self._parked.append(handle)
            return
        handle.action()

    def spawn(
        self, work: Coroutine[Any, Any, Any], *, machine: Machine | None = None, context: Context | None = None
    ) -> Job:
        """Run a coroutine of the simulated side in the background: a fiber under virtual time, a task under asyncio.

        A fiber has run to its first sleep when this returns. With a machine it ends where it stands when that
        machine loses power. `context`: what it sees of its maker's context variables (None: nothing).
        """
        if isinstance(self.clock, VirtualClock):
            fiber = Fiber(self, work, machine, context)
            self._jobs[fiber] = machine
            fiber.begin()
            return fiber
        task = asyncio.get_running_loop().create_task(work, context=context or Context())
        self._jobs[task] = machine
        task.add_done_callback(self.forget)
        return task

    def forget(self, job: Job) -> None:
        """A background job ended."""
        self._jobs.pop(job, None)

    def end_jobs(self, machine: Machine | None = None) -> list[Job]:
        """End what runs in the background, of one machine or everywhere; returns it (tasks end a little later)."""
        ended = [job for job, owner in self._jobs.items() if machine is None or owner is machine]
        for job in ended:
            job.cancel()
        return ended

    async def close(self) -> None:
        """End everything that runs in the background, and wait for its end."""
        tasks = [job for job in self.end_jobs() if isinstance(job, asyncio.Task)]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_until(
        self, predicate: Callable[[], bool], timeout_seconds: float, step_seconds: float = 0.1
    ) -> bool:
        """Wait for a condition; False if it did not come true in time."""
        deadline = self.clock.monotonic() + timeout_seconds
        while not predicate():
            left = deadline - self.clock.monotonic()
            if left <= 0:
                return False
            await self.clock.sleep(min(step_seconds, left))
        return True

    # who hears whom

    def connected(self, a: str, b: str, segment: str) -> bool:
        """Whether a packet a sends on a segment is received and processed by b now (one way)."""
        sender = self._plug(a, segment)
        receiver = self._plug(b, segment)
        return sender is not None and receiver is not None and sender.can_send and receiver.can_receive

    def reaches(self, a: str, address: str) -> Machine | None:
        """The running machine that gets a packet a sends to an address now: the one that answers ARP for it."""
        found: Machine | None = None
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
        self._parked = [handle for handle in self._parked if not handle.dead]
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

    async def _reboot(self, machine: Machine) -> None:
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
        if machine.powered and not machine.frozen:
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
        for handle in self._queue:
            if handle.machine is machine:
                handle.time += pause
        for handle in self._parked:
            if handle.machine is machine:
                handle.time += pause
                self._queue.append(handle)
        self._parked = [handle for handle in self._parked if handle.machine is not machine]
        heapq.heapify(self._queue)
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

    def tell(self, machine: Machine) -> None:
        """Let the front ends know that a machine's power, freeze or boot state changed."""
        for listener in list(self.on_power):
            listener(machine)
