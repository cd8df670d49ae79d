"""What happens to a simulated pair in an episode: to its machines, its network, its disks, its clocks, its document."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.core.operations import Kind, Operation, Overrides, overrides
from hactl.core.sh import quote
from support.episodes.judge import Judge
from support.episodes.people import FIREWALL_EDITS, FIREWALL_MISTAKES, NAS_EDITS, NAS_MISTAKES, NO_PREEMPTION, PASSWORD
from support.lab.closed_loop import Loop, example

#: By how much a clock is stepped, seconds: a correction, a wrong time zone, a mainboard's empty battery.
CLOCK_STEPS = (2.0, 30.0, 600.0, 7200.0, 10 * 86400.0)
#: How long a hastd is stuck, seconds.
HANGS = (4.0, 15.0, 40.0)
#: How long a machine sleeps, seconds.
NAPS = (5.0, 30.0, 75.0)


class Faults:
    """Everything that can happen; each method is one thing, told in the story."""

    def __init__(
        self, name: str, loop: Loop, judge: Judge, chance: random.Random, pass_time: Callable[[float], None]
    ) -> None:
        """Nothing happened yet."""
        self.name, self.loop, self.judge, self.chance = name, loop, judge, chance
        self.mistakes = FIREWALL_MISTAKES if name == "firewall" else NAS_MISTAKES
        self.edits = FIREWALL_EDITS if name == "firewall" else NAS_EDITS
        #: The changes of the document that are in force.
        self.edited: list[str] = []
        #: How far the controller's wall clock is ahead, seconds.
        self.skew_seconds = 0.0
        self.request: Operation | None = None
        #: Lets the nodes live by themselves for so many seconds, watched.
        self.pass_time = pass_time
        self.kinds: list[tuple[float, Callable[[str], None]]] = [
            (6, self.mistake),
            (2, self.power),
            (1, self.reboot),
            (2, self.network),
            (1, self.freeze),
            (1, self.nap),
            (1, self.blackout),
            (0.5, self.refuse),
            (1, self.hide),
            (2, self.ask),
            (2, self.edit),
            (1, self.clock),
            (1, self.disk),
            (1, self.hang),
        ]

    def note(self, text: str) -> None:
        """One line of the story."""
        self.judge.note(text)

    # people

    def mistake(self, node: str) -> None:
        """Somebody does something by hand on a machine that runs."""
        mistake = self.chance.choice(self.mistakes)
        if not self.judge.up(node):
            return
        self.judge.by_hand |= mistake.dual
        self.note(f"{node}# {mistake.command}")
        self.loop.sh(node, f"timeout --foreground -k 2 20 sh -c {quote(mistake.command)}")

    def edit(self, node: str) -> None:
        """The document changes, or a change of it is taken back: a new generation."""
        del node
        change = self.chance.choice(self.edited if self.edited and self.chance.random() < 0.4 else list(self.edits))
        self.turn(change)

    def turn(self, change: str) -> None:
        """Make one change of the document, or take it back."""
        (self.edited.remove if change in self.edited else self.edited.append)(change)
        self.note(f"the document {'has' if change in self.edited else 'has no more'}: {change}")
        document = example(self.name, self.revise)
        self.loop.document, self.loop.generation = document, self.loop.generation + 1
        if change == PASSWORD:
            group = document.spec.groups[0]
            key = group.name, group.virtual_ips[0].name
            self.loop.passwords = {key: "an0ther"} if change in self.edited else {}

    def revise(self, data: dict[str, Any]) -> None:
        """Make the changes that are in force."""
        for name, change in self.edits.items():
            if name in self.edited:
                change(data)

    def ask(self, node: str) -> None:
        """A person asks for a move, or drains a node, for a while."""
        seconds = self.chance.choice([5.0, 30.0, 120.0])
        move = self.chance.random() < 0.5
        group = self.loop.document.spec.groups[0].name
        self.note(f"switchover {group} to {node}" if move else f"drain {node}")
        self.request = Operation(
            1,
            self.loop.document.metadata.name,
            Kind.SWITCHOVER if move else Kind.DRAIN,
            "somebody",
            "a test",
            self.wall(),
            group=group if move else "",
            node=node,
            expires_at=self.wall() + timedelta(seconds=seconds),
        )

    def ask_nothing(self) -> None:
        """The request is dropped."""
        self.request = None

    def overrides(self) -> Overrides:
        """What the request comes to now."""
        if self.request is not None and not self.request.active(self.wall()):
            self.note("the request is over")
            self.request = None
        open_now = [self.request] if self.request is not None else []
        return overrides(open_now, self.loop.document.metadata.name, self.wall())

    # clocks

    def wall(self) -> datetime:
        """The controller's wall clock."""
        return datetime.fromtimestamp(self.loop.world.clock.epoch() + self.skew_seconds, UTC)

    def clock(self, node: str) -> None:
        """The wall clock of a node, or of the controller, is stepped."""
        seconds = self.chance.choice(CLOCK_STEPS) * self.chance.choice([1, -1])
        if self.chance.random() < 0.2:
            self.note(f"the controller's clock is stepped by {seconds:+.0f} s")
            self.skew_seconds += seconds
        else:
            self.note(f"the clock of {node} is stepped by {seconds:+.0f} s")
            self.loop.machine(node).skew_seconds += seconds

    # machines and what is in them

    def power(self, node: str) -> None:
        """Power goes or comes."""
        powered = self.loop.machine(node).powered
        self.note(f"power {'off' if powered else 'on'} {node}")
        (self.loop.world.power_off if powered else self.loop.world.power_on)(node)

    def reboot(self, node: str) -> None:
        """An orderly reboot."""
        if self.judge.up(node):
            self.note(f"reboot {node}")
            self.loop.world.reboot(node)

    def freeze(self, node: str) -> None:
        """A machine stops, and goes on later believing what it believed."""
        frozen = self.loop.machine(node).frozen
        self.judge.slept.add(node)
        self.note(f"{'thaw' if frozen else 'freeze'} {node}")
        (self.loop.world.thaw if frozen else self.loop.world.freeze)(node)

    def nap(self, node: str) -> None:
        """A machine stops for a while, and nobody does anything about it meanwhile."""
        machine = self.loop.machine(node)
        if not machine.powered or machine.frozen:
            return
        seconds = self.chance.choice(NAPS)
        self.judge.slept.add(node)
        self.note(f"{node} sleeps for {seconds:.0f} s")
        self.loop.world.freeze(node)
        self.pass_time(seconds)
        self.loop.world.thaw(node)
        self.note(f"{node} wakes")

    def blackout(self, node: str) -> None:
        """Both lose power at once; both come back at once, one a minute later, or one not before it is switched on."""
        other = next(each for each in self.judge.nodes if each != node)
        how = self.chance.choice(
            ("both come back", f"{other} comes back, {node} a minute later", f"only {other} comes back")
        )
        self.note(f"no power for both: {how}")
        for each in self.judge.nodes:
            self.loop.world.power_off(each)
        self.pass_time(self.chance.choice([2.0, 20.0]))
        self.loop.world.power_on(other)
        if how == "both come back":
            self.loop.world.power_on(node)
        elif "later" in how:
            self.pass_time(60.0)
            self.loop.world.power_on(node)

    def disk(self, node: str) -> None:
        """A replicated disk fails, only for writes or for everything; or it works again, with what was on it."""
        for storage in self.judge.storages:
            device = storage.hast.devices[node]
            disk = self.loop.machine(node).disks.disks[device.removeprefix("/dev/")]
            if disk.failed or disk.fails_writes:
                self.note(f"{device} of {node} works again")
                self.loop.world.mend_disk(node, device)
            elif self.chance.random() < 0.5:
                self.note(f"{device} of {node} fails")
                self.loop.world.fail_disk(node, device)
            else:
                self.note(f"{device} of {node} fails when it is written to")
                disk.fails_writes = True

    def hang(self, node: str) -> None:
        """hastd's main process is stuck: nobody who asks it gets an answer."""
        hast = self.loop.machine(node).hast
        if hast.pid is not None and not hast.busy:
            seconds = self.chance.choice(HANGS)
            self.note(f"hastd of {node} hangs for {seconds:.0f} s")
            hast.block(seconds)

    # networks

    def network(self, node: str) -> None:
        """A cable is pulled or plugged in, or packets are lost one way."""
        ports = self.loop.machine(node).net.interfaces
        port = self.chance.choice([name for name, each in ports.items() if not each.loopback and each.lease is None])
        if self.chance.random() < 0.5:
            self.note(f"join {node} {port}")
            self.loop.world.join(node, port)
        else:
            direction = self.chance.choice(["both", "both", "in", "out"])
            self.note(f"cut {node} {port} {direction}")
            self.loop.world.cut(node, port, direction)

    def refuse(self, node: str) -> None:
        """A route that rejects the peer is left behind on a node, or found and taken away."""
        routes = self.loop.machine(node).net.refused
        peers = [
            address
            for storage in self.judge.storages
            for each, address in storage.hast.addresses.items()
            if each != node
        ]
        if not peers or not self.judge.up(node):
            return
        self.note(f"{node}: {'no more a' if routes else 'a'} route that rejects {peers[0]}")
        if routes:
            routes.clear()
        else:
            routes[peers[0]] = "reject"

    def hide(self, node: str) -> None:
        """The controller cannot reach a node, or can again."""
        hidden = node in self.loop.silent
        self.note(f"the controller {'reaches' if hidden else 'does not reach'} {node}")
        (self.loop.silent.discard if hidden else self.loop.silent.add)(node)

    # the end

    def mend(self) -> None:
        """Everything that is not hactl's to mend is mended; clocks and document stay as they are, with one exception:
        without preemption virtual IPs that CARP took apart stay apart until somebody wants it back.
        """
        self.note("everything is mended")
        if NO_PREEMPTION in self.edited and len(self.loop.document.spec.groups[0].virtual_ips) > 1:
            self.turn(NO_PREEMPTION)
        self.loop.silent.clear()
        self.ask_nothing()
        for node in self.judge.nodes:
            self.loop.world.thaw(node)
            self.loop.world.join(node)
            self.loop.machine(node).net.refused.clear()
            for storage in self.judge.storages:
                self.loop.world.mend_disk(node, storage.hast.devices[node])
            self.loop.world.power_on(node)
