"""One story: faults happen to a cluster at rest, last for a while, and are mended; somebody writes and watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hactl.core.choices import Mode
from hactl.core.cluster import interface_on, pool_under
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.core.operations import Overrides
from hactl.core.sh import quote
from hactl.core.simulation.acknowledged import Ack, judge
from hactl.core.simulation.story import Fault, FaultKind, Line, Result
from hactl.core.steps import Plan
from hactl.lab.fiber import Job
from hactl.lab.machine import Machine
from hactl.lab.process import Process
from hactl.lab.shell.shell import run_script
from hactl.simulate.cluster import SimulatedCluster
from hactl.simulate.controller import Controller
from hactl.simulate.copies import file_on
from hactl.simulate.faults import Breaker, lasts_seconds
from hactl.simulate.serving import is_master, is_primary, serving, usable

#: How often the world is watched, seconds: what is shorter is not seen.
WATCH_SECONDS = 0.25
#: How late a controller hears what devd says, seconds.
SLICE_SECONDS = 0.5
#: How often each service writes a record, and after how long it gives one up, seconds.
WRITE_SECONDS, WRITE_LIMIT_SECONDS = 1.0, 30.0
#: What goes by before the first fault, seconds.
BEFORE_SECONDS = 5.0
#: How long a fault lasts before everything works again, seconds.
LASTS_SECONDS = 60.0
#: Mended, a cluster is watched until it is quiet for so long, and no longer than that, seconds.
QUIET_SECONDS, SETTLE_LIMIT_SECONDS = 45.0, 420.0
#: A write that is younger may still be on its way to the other disk, seconds.
ON_ITS_WAY_SECONDS = 2.0
#: The file that is written to, in the root of each filesystem.
RECORDS = "hactl.simulated"


@dataclass(frozen=True)
class _Place:
    """A filesystem on a replicated disk, or on several: a pool."""

    storages: tuple[StorageSpec, ...]
    mountpoint: str

    @property
    def storage(self) -> StorageSpec:
        """The first of them."""
        return self.storages[0]


def _places(group: GroupSpec) -> Iterator[_Place]:
    for storage in group.storage:
        pool = pool_under(group, storage)
        if pool is not None and pool.storages[0] == storage:
            yield _Place(pool.storages, pool.mounted_on)
        elif storage.filesystem is not None and storage.filesystem.ufs is not None:
            yield _Place((storage,), storage.filesystem.ufs.mountpoint)


class _Client:
    """Writes numbered records on every node that could, and gets each onto the disk: then it is acknowledged."""

    def __init__(self, simulated: SimulatedCluster) -> None:
        self.simulated = simulated
        self.places = [place for group in simulated.document.spec.groups for place in _places(group)]
        self.acks: list[Ack] = []
        self._number = 0
        self._writes: dict[tuple[str, str], Job] = {}

    def write(self) -> None:
        """A record each, where the last one was answered or given up."""
        for place in self.places:
            for node in self.simulated.nodes:
                machine, key = self.simulated.machine(node), (node, place.storage.name)
                waits = key in self._writes and not self._writes[key].done()
                if machine.awake and machine.running and not waits and usable(machine, place.storage):
                    self._writes[key] = self.simulated.world.spawn(self._record(machine, place), machine=machine)

    async def _record(self, machine: Machine, place: _Place) -> None:
        self._number += 1
        writer, number, sent = place.storage.name, self._number, self.simulated.now
        file = quote(f"{place.mountpoint}/{RECORDS}")
        script = f"echo {quote(f'{writer} {number} {machine.name} .')} >> {file} && fsync {file} && echo kept"
        process = Process(machine.pid(), "/bin/sh -s")
        limit = self.simulated.world.at(WRITE_LIMIT_SECONDS, lambda: process.kill(9), machine=machine)
        try:
            out, _, _ = await run_script(machine, script, process=process)
        finally:
            limit.cancel()
        if out.strip() == "kept":
            self.acks.append(Ack(writer, number, machine.name, sent, self.simulated.now))

    def one_copy(self) -> int:
        """Acknowledged records that are on one disk only, or on none."""
        count = 0
        for place in self.places:
            texts = [self._on_disk(place, node) for node in place.storage.hast.devices]
            count += sum(
                sum(f"{ack.writer} {ack.number} {ack.node} ." in text for text in texts) < len(texts)
                for ack in self.acks
                if ack.writer == place.storage.name and ack.acked < self.simulated.now - ON_ITS_WAY_SECONDS
            )
        return count

    def _on_disk(self, place: _Place, node: str) -> set[str]:
        return set(file_on(self.simulated.machine(node), place.storages, RECORDS).splitlines())

    def lost(self) -> tuple[int, str]:
        """How many acknowledged records are not there where it is served now, and what there is to say of them.

        Where nobody serves, what is on any disk is not lost.
        """
        kept = {place.storage.name: self._kept(place) for place in self.places}
        there = {line for text in kept.values() for line in text.splitlines()}
        lost = sum(f"{ack.writer} {ack.number} {ack.node} ." not in there for ack in self.acks)
        found = judge(self.acks, kept)
        return lost, "" if found.sound else found.words()

    def _kept(self, place: _Place) -> str:
        users = [node for node in self.simulated.nodes if usable(self.simulated.machine(node), place.storage)]
        if len(users) == 1:
            return self.simulated.sh(users[0], f"cat {quote(f'{place.mountpoint}/{RECORDS}')}")
        return "\n".join(line for node in place.storage.hast.devices for line in self._on_disk(place, node))


class Story:
    """Plays one story on a cluster that nobody needs afterwards."""

    def __init__(self, simulated: SimulatedCluster, faults: Sequence[Fault], gap_seconds: float) -> None:
        """`gap_seconds`: from one fault to the next."""
        self.simulated, self.faults, self.gap_seconds = simulated, faults, gap_seconds
        self.lines: list[Line] = []
        self.began = simulated.now
        self.breaker = Breaker(simulated, self.tell)
        self.controller = Controller(simulated, self.tell)
        self.controller.looks_at = simulated.now + 20.0
        self.client = _Client(simulated)
        self.groups = simulated.document.spec.groups
        self.away_seconds = 0.0
        self._both_seconds = dict.fromkeys((group.name for group in self.groups), 0.0)
        self.both_seconds = 0.0
        self._seen: dict[str, str] = {}
        self._told: dict[str, int] = {}

    def tell(self, text: str) -> None:
        """A line of the story, now."""
        self.lines.append(Line(round(self.simulated.now - self.began, 1), text))

    def play(self) -> Result:
        """All of it."""
        self._watch(0.0)
        self._write()
        self.lines.clear()
        self._live(BEFORE_SECONDS)
        self.lines.clear()
        self.began = self.simulated.now
        for number, fault in enumerate(self.faults):
            if number:
                self._live(self.gap_seconds)
            self.breaker.happen(fault)
        if len(self.faults) == 1 and self.faults[0].kind is FaultKind.SERVICE:
            self._ask_for_a_move(self.faults[0])
        self._live(lasts_seconds(self.simulated, self.faults[-1], LASTS_SECONDS))
        serves = self._serving()
        one_copy = self.client.one_copy()
        self.breaker.mend()
        self.simulated.overrides = Overrides()
        self.controller.looks_at = self.simulated.now
        plan = self._settle()
        lost, words = self.client.lost()
        if words:
            self.tell(f"writes: {words}")
        person = self._person(plan)
        written = len(self.client.acks) if self.client.places else None
        return Result(
            tuple(fault.text for fault in self.faults),
            sum(fault.weight for fault in self.faults),
            serves,
            self._serving(),
            round(self.away_seconds, 1),
            round(self.both_seconds, 1),
            written,
            lost,
            one_copy,
            person,
            tuple(self.lines),
        )

    # time

    def _live(self, seconds: float) -> None:
        """Time goes by; the controller looks when it would."""
        end = self.simulated.now + seconds
        while self.simulated.now < end:
            if self._look_now():
                self.controller.pass_once()
                continue
            self.controller.listen()
            slices = [end, self.simulated.now + SLICE_SECONDS]
            if self.breaker.controller_runs and not self.controller.busy:
                slices.append(self.controller.looks_at)
            self.simulated.world.advance(max(0.01, min(slices) - self.simulated.now))

    def _look_now(self) -> bool:
        controller = self.controller
        return self.breaker.controller_runs and not controller.busy and controller.looks_at <= self.simulated.now

    def _settle(self) -> Plan:
        """Until nothing changes any more, or never; the last plan."""
        end, quiet_since = self.simulated.now + SETTLE_LIMIT_SECONDS, self.simulated.now
        acts = self.simulated.document.spec.mode is Mode.APPLY
        while True:
            while self.controller.busy or self.controller.looks_at > self.simulated.now:
                self.controller.listen()
                self.simulated.world.advance(SLICE_SECONDS)
            plan = self.controller.pass_once()
            moving = (plan.stages and acts) or any(hold.passing for hold in plan.holds)
            up = all(self.simulated.reaches(node) for node in self.simulated.nodes)
            if moving or not up or self.controller.backoff.worst:
                quiet_since = self.simulated.now
            now = self.simulated.now
            if now >= end or now - quiet_since >= (QUIET_SECONDS if acts else 4 * QUIET_SECONDS):
                return plan

    def _ask_for_a_move(self, fault: Fault) -> None:
        """A service that does not stop is no trouble before it has to."""
        group = next(g for g in self.groups if any(service.name == fault.what for service in g.services))
        others = [node for node in group.preferred if node != fault.node]
        if others:
            self.tell(f"a person asks for {group.name} to move to {others[0]}")
            self.simulated.overrides = Overrides(moves={group.name: others[0]})
            self.controller.looks_at = self.simulated.now

    # watching

    def _write(self) -> None:
        self.client.write()
        self.simulated.world.at(WRITE_SECONDS, self._write)

    def _watch(self, seconds: float) -> None:
        """`seconds`: since the last look at the world."""
        nodes = [self.simulated.machine(node) for node in self.simulated.nodes]
        served = self._serving()
        if any(machine.awake and machine.running for machine in nodes) and not all(served.values()):
            self.away_seconds += seconds
        for group, who in served.items():
            self._both_seconds[group] = self._both_seconds[group] + seconds if len(who) > 1 else 0.0
            self.both_seconds = max(self.both_seconds, self._both_seconds[group])
            self._note(f"serves {group}", f"{' and '.join(who) or 'nobody'} serves {group}")
        for machine in nodes:
            self._note_node(machine)
        self.simulated.world.at(WATCH_SECONDS, lambda: self._watch(WATCH_SECONDS))

    def _note(self, key: str, text: str) -> None:
        """Told when it changes; an empty text is not told."""
        if self._seen.get(key) != text:
            self._seen[key] = text
            if text:
                self.tell(text)

    def _note_node(self, machine: Machine) -> None:
        name = machine.name
        for group in self.groups:
            for vip in group.virtual_ips:
                master = machine.awake and is_master(machine, interface_on(vip, name), vip.vhid)
                self._note(f"{name} {vip.name}", f"{name} is MASTER of {vip.addresses[0]}" if master else "")
            for storage in group.storage:
                primary = machine.awake and is_primary(machine, storage.name)
                self._note(f"{name} {storage.name}", f"{name} is primary of {storage.name}" if primary else "")
        self._hook(machine)

    def _hook(self, machine: Machine) -> None:
        """What the hook wrote down for people: why it does not move a group."""
        path = "/var/db/hactl/moves"
        if not machine.awake or not machine.running or machine.files.kind(path) != "file":
            return
        lines = machine.files.read_text(path).splitlines()
        for line in lines[self._told.get(machine.name, len(lines)) :]:
            _, group, what, _, *text = line.split(" ")
            if what == "stopped" and text:
                self.tell(f"hook on {machine.name}: {group}: {' '.join(text)}")
        self._told[machine.name] = len(lines)

    def _serving(self) -> dict[str, tuple[str, ...]]:
        return {group.name: serving(self.simulated, group) for group in self.groups}

    # the end

    def _person(self, plan: Plan) -> str:
        """What is left for a person; empty: nothing."""
        waits = [f"{hold.reason}: {hold.message}" for hold in plan.holds if not hold.passing]
        if not waits and plan.stages:
            waits = [f"{len(plan.steps)} steps are still to be done, first {plan.steps[0].key}"]
        if not waits and plan.holds:
            first = plan.holds[0]
            waits = [f"after {SETTLE_LIMIT_SECONDS:.0f} s still waiting: {first.reason}: {first.message}"]
        unserved = [group for group, who in self._serving().items() if not who]
        if not waits and unserved:
            waits = [f"nobody serves {', '.join(unserved)}"]
        return waits[0] if waits else ""
