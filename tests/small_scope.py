"""Every interleaving of a small set of events on the two-node, one-resource pair, up to a depth; judged by the world.

The real planner, audit, step scripts and node hooks run on the lab in virtual time. An event is a pass of the
controller (whole, dying after its first step, or looking now and acting later), time that goes by (hooks, CARP and
HAST go on), a fault, its mending, or a wish. "The controller dies before its first step" is no event: nothing happens.

- `Scope` is one world: it does events, judges every change of a role at the moment it happens (I1, I2, I4), every
  step before it runs (I2, I3), and digests the abstract state.
- `Explorer` walks: a state whose digest was seen with as many events left is not walked again. From every new state
  everything is mended, and the loop must converge, serve, have every written number (I4), and then rest (I7).
- A world cannot be copied, but a process can: each event happens in a fork(2) of the process that holds the world.
  While a hook is half-way its shell is a thread, and threads are not forked: there the events since the last quiet
  state are done again.
- `Board` is a directory where all processes, also those of other first events, note what was seen.

`python tests/small_scope.py DEPTH DIRECTORY [EVENT ...]` explores by hand; what was found out is in
tests/simulation/test_small_scope.py.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import replayed
from closed_loop import Fate, Loop
from episodes import DESTROYS, FOR_PEOPLE, MARK, Broken
from hactl.core.operations import Wishes
from hactl.core.steps import Outcome, Plan, Stage
from hactl.lab import hast_metadata, ufs
from hactl.lab.disks import Provider
from hactl.lab.hast import Hast, Resource, Role
from hactl.lab.machine import Machine
from replayed import converged
from serving import complaints

A, B = "nas-a", "nas-b"
GROUP, RESOURCE, DISK = "files", "data", "/dev/vtbd1"
LAN, REPLICATION = "vtnet1", "vtnet2"
#: A plan is carried out at most this long after the look (runtime.execute.STANDSTILL_SECONDS).
FRESH_SECONDS = 10.0
#: How often the world is judged while time goes by.
SLICE_SECONDS = 0.5
#: What a hook heard of its peer is at most one unanswered ping(8) old, `ping -t 2`.
HEARD_SECONDS = 2.5
#: Holds that call themselves passing and cannot pass while a person has to decide; after how many passes it counts.
STUCK, STUCK_PASSES = frozenset({"HeldAtBoot"}), 30
#: A child of the walk that takes longer, real seconds, hangs.
HANG_SECONDS = 120
#: Ages that make a difference: a vhid's wait, hastd's reconnect, its timeout.
AGES = (2.5, 7.0, 16.0, 40.0)


class _Area(Provider):
    """What HAST replicates of a disk, read without anybody's leave."""

    def __init__(self, disk: Provider, offset: int) -> None:
        """Behind the metadata."""
        super().__init__("area", disk.mediasize - offset)
        self.disk, self.offset = disk, offset

    def read(self, offset: int, length: int) -> bytes:
        """As the disk does."""
        return self.disk.read(self.offset + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Only read."""
        raise PermissionError(offset, len(data))


def bucket(seconds: float) -> int:
    """An age without its accidents."""
    return sum(seconds >= age for age in AGES)


class Scope:
    """One world, its events and its judges."""

    def __init__(self) -> None:
        """The converged pair, at rest."""
        self.loop: Loop = converged("nas")
        self.loop.converge()
        self.world = self.loop.world
        #: The highest number that reached the disk.
        self.written = 0
        #: A node became primary by itself while it could not hear a peer that had power (policy Automatic, no witness):
        #: the copies may part, and a person may have to decide.
        self.split = False
        #: When the nodes last could not hear each other.
        self._apart_at = -3600.0
        #: A look whose plan is not carried out yet, and when it was.
        self.kept: tuple[Plan, float] | None = None
        #: The node a step of the controller runs on now.
        self._acting = ""
        #: What was wrong inside the world's own events, where an exception would end a hook instead.
        self._problems: list[str] = []
        self._since: dict[tuple[str, int], float] = {}
        self._last, self._changed = "", self.loop.now - 3600.0
        for node in (A, B):
            self._watch(node)
        self._write()
        self.advance(60.0)

    # what is true

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
        return any(row.special == f"/dev/hast/{RESOURCE}" for row in self.machine(node).disks.mounts.table)

    def number(self, node: str) -> int:
        """The number in the copy on that node's disk; 0 when none can be read."""
        disk = self.machine(node).disks.provider(DISK)
        assert disk is not None
        try:
            image = ufs.load(_Area(disk, hast_metadata.read(disk).offset))
            text = image.get(Path(MARK).name).decode().strip() if image is not None else ""
        except (OSError, KeyError, hast_metadata.NoMetadata, hast_metadata.InvalidMetadata):
            return 0
        return int(text) if text.isdigit() else 0

    def apart(self) -> bool:
        """Whether one node cannot hear the other on the replication network."""
        for node in (A, B):
            machine = self.machine(node)
            port = machine.net.interfaces.get(REPLICATION)
            if machine.frozen or port is None or not port.carrier:
                return True
        return False

    # judges

    def _watch(self, node: str) -> None:
        hast = self.machine(node).hast
        change = hast.change_role

        def watched(resource: Resource, role: Role) -> Iterator[float]:
            self._judge_role(node, hast, resource, role)
            yield from change(resource, role)

        hast.change_role = watched  # type: ignore[method-assign]

    def _judge_role(self, node: str, hast: Hast, resource: Resource, role: Role) -> None:
        """I1, I2, I4, at the moment the role changes."""
        who = "hactl" if self._acting == node else "the hook"
        if hast.pid is None or resource.role == role:
            return
        if resource.role == "primary" and self.mounted(node):
            self._problems.append(f"I2: {who} made {node} {role} while the filesystem is mounted there")
        if role != "primary" or self.split:
            return
        other = B if node == A else A
        powered, deaf = self.machine(other).powered, self._deaf(node)
        if powered and self.role(other) == "primary" and (who == "hactl" or not deaf):
            self._problems.append(f"I1: {who} made {node} primary while {other} is")
        elif self.number(node) < self.written:
            have = f"{self.number(node)} of {self.written}, {other} has {self.number(other)}"
            self._problems.append(f"I4: {who} made {node} primary, whose copy has number {have}")
        self.split |= powered and who != "hactl" and deaf

    def _deaf(self, node: str) -> bool:
        """Whether the hook there could not know better: its peer was not to be heard, and CARP still says MASTER."""
        carp = self.machine(node).net.carp
        master = carp is not None and all(vhid.state == "MASTER" for vhid in carp.vhids)
        return self.apart() or (master and self.now - self._apart_at <= HEARD_SECONDS)

    def _hear(self) -> None:
        if self.apart():
            self._apart_at = self.now

    def _check(self) -> None:
        if self._problems:
            raise Broken("; ".join(self._problems))

    # what happens

    def advance(self, seconds: float) -> None:
        """The nodes live by themselves."""
        end = self.now + seconds
        while self.now < end:
            self._hear()
            self.world.advance(min(SLICE_SECONDS, end - self.now))
            self._note_processes()
        self._check()

    def look(self) -> Plan:
        """The controller looks and plans; Loop.plan asks the audit."""
        plan = self.loop.plan()
        self._check()
        return plan

    def carry_out(self, stage: Stage, *, dies: bool = False) -> None:
        """As the executor does. `dies`: the controller is gone before the first answer comes."""
        stopped: set[str] = set()
        for step in stage.steps:
            if step.node in stopped or (stage.ordered and stopped):
                continue
            if step.verb in DESTROYS:
                raise Broken(f"I3: {step.node}: {step.command} although both disks hold data")
            self._acting = step.node
            fate: Fate = "lost" if dies else "ok"
            result = self.loop.step(step, fate)
            self._acting = ""
            self._check()
            if dies:
                return
            if result.outcome is not Outcome.DONE:
                stopped.add(step.node)

    def _write(self) -> None:
        """The service gets a number onto the disk, where there is exactly one node that could."""
        able = [n for n in (A, B) if self.loop.reaches(n) and self.role(n) == "primary" and self.mounted(n)]
        if len(able) != 1 or any(self.role(n) == "primary" for n in (A, B) if n not in able):
            return
        number = self.written + 1
        script = f"timeout --foreground 2 sh -c 'echo {number} > {MARK} && sync && cat {MARK}'"
        if self.loop.sh(able[0], script).strip() == str(number):
            self.written = number

    def do(self, event: str) -> None:
        """An event happens, is judged, and the service writes. Raises Broken or AssertionError."""
        self._hear()
        EVENTS[event].act(self)
        self._hear()
        self._check()
        self._write()
        self._note_processes()
        self._check()

    def play(self, events: Sequence[str]) -> None:
        """One after the other; raises as `do`."""
        for event in events:
            self.do(event)

    def enabled(self, event: str) -> bool:
        """Whether the event can happen now."""
        return EVENTS[event].can(self)

    def mend(self) -> None:
        """Everything that is not hactl's to mend is mended; nobody wishes anything."""
        self._hear()
        self.loop.wishes, self.kept = Wishes(), None
        for node in (A, B):
            self.world.thaw(node)
            self.world.join(node)
            self.world.power_on(node)

    # the end

    def settle(self, good: Callable[[str], bool] = lambda _: False) -> list[str]:
        """Mended, it converges, serves and rests; the digests on the way. `good`: from there it is known to.

        Raises Broken.
        """
        way: list[str] = []
        self.mend()
        for _ in range(6):
            if self._converge(way, good):
                return way
            if self._rests():
                break
        else:
            raise Broken(f"does not rest: {[step.key for step in self.look().steps]} {complaints(self.loop)}")
        if not self.split and max(self.number(A), self.number(B)) < self.written:
            raise Broken(f"I4: {self.written} was written, the disks have {self.number(A)} and {self.number(B)}")
        return way

    def _rests(self) -> bool:
        """Whether it serves and stays as it is. What the kernel or hastd still undoes by itself is seen as a change."""
        before, number = self._core(), self.written
        self.advance(15.0)
        found = complaints(self.loop)
        if found and self._core() == before:
            raise Broken(f"does not serve: {found}")
        self._write()
        quiet = not found and self.written > number
        for _ in range(2):
            self.advance(20.0)
            if steps := self.look().steps:
                quiet = False
                if self._core() == before:
                    raise Broken(f"I7: a step on an unchanged pair: {[step.key for step in steps]}")
        return quiet

    def _converge(self, way: list[str], good: Callable[[str], bool]) -> bool:
        """Until there is nothing left to do; True if the end is known (as `good`, or a person decides)."""
        idle = 0
        for _ in range(150):
            way.append(self.digest())
            if good(way[-1]):
                return True
            plan = self.look()
            idle = 0 if plan.stages else idle + 1
            if plan.stages:
                self.carry_out(plan.stages[0])
            elif self._over(plan, idle):
                break
            self.advance(2.0)
        else:
            raise Broken(f"does not converge: {[s.key for s in plan.steps]} {[h.message for h in plan.holds]}")
        final = {hold.reason for hold in plan.holds if not (hold.passing and hold.reason in STUCK)}
        if final and not (self.split and final <= FOR_PEOPLE):
            raise Broken(f"held for good: {[f'{hold.reason}: {hold.message}' for hold in plan.holds]}")
        return bool(final)

    def _over(self, plan: Plan, idle: int) -> bool:
        """Whether nothing will come of waiting after so many passes without a step."""
        if not all(self.machine(node).running for node in (A, B)):
            return False
        waits = {hold.reason for hold in plan.holds if hold.passing}
        return not waits or (self.split and waits <= STUCK and idle >= STUCK_PASSES)

    # the abstract state

    def digest(self) -> str:
        """The state without its accidents: two states of one digest are taken for the same."""
        core = self._core()
        if core != self._last:
            self._last, self._changed = core, self.now
        text = f"{core} {bucket(self.now - self._changed)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _core(self) -> str:
        """Everything of it but how long it has been so."""
        parts: list[object] = [self.split, sorted(self.loop.wishes.moves.items())]
        if self.kept is not None and self.kept[0].stages and self.now - self.kept[1] <= FRESH_SECONDS:
            parts += [[step.key for step in self.kept[0].stages[0].steps], bucket(self.now - self.kept[1])]
        counters = [self._counters(A), self._counters(B)]
        parts += [_order(counters[0][0], counters[1][1]), _order(counters[1][0], counters[0][1])]
        for node in (A, B):
            parts += [node, *self._node(node)]
        return json.dumps(parts)

    def _counters(self, node: str) -> tuple[int, int, bool]:
        disk = self.machine(node).disks.provider(DISK)
        assert disk is not None
        found = hast_metadata.read(disk)
        return found.localcnt, found.remotecnt, bool(found.dirty)

    def _node(self, node: str) -> Iterator[object]:
        machine = self.machine(node)
        yield machine.powered, machine.running, machine.frozen
        yield self.number(node) >= self.written, self._counters(node)[2]
        yield [sorted(self._notes(node))]
        if not machine.powered:
            return
        yield [port.carrier for port in machine.net.interfaces.values()]
        carp = machine.net.carp
        if carp is not None:
            yield carp.demotion, [(vhid.number, vhid.state, vhid.advskew) for vhid in carp.vhids]
        resource = machine.hast.resources.get(RESOURCE)
        worker = resource.worker if resource is not None else None
        yield machine.hast.pid is not None, self.role(node), machine.hast.busy
        if worker is not None:
            yield worker.status, getattr(worker, "stalled", False)
        yield self.mounted(node), machine.rc.pid_of("nfsd") is not None
        yield sorted(self._hooks(node))

    def _notes(self, node: str) -> Iterator[tuple[str, int]]:
        """What the hook and the controller wrote down there."""
        machine = self.machine(node)
        for directory in ("/var/db/hactl", "/var/run"):
            for name in machine.files.list(directory) if machine.files.is_dir(directory) else ():
                path = f"{directory}/{name}"
                if name.startswith(("disconnected.", "parted.", "released.", "alone.", "hactl.master.")):
                    text = machine.files.read_text(path).strip()
                    yield name, bucket(machine.epoch() - float(text)) if text.isdigit() else -1
                elif name.startswith(("confirmed.", "drained", "hactl.held", "hactl.event")):
                    yield name, 0

    def hook_processes(self, node: str) -> list[tuple[int, str]]:
        """Running parts of the hook there: (pid, what part)."""
        found = []
        for process in self.machine(node).rc.processes.values():
            for part in ("follow", "locked", "wait", "carp", "guard", "boot", "shutdown"):
                if process.killed is None and f"/hactl/hook {part}" in process.command:
                    found.append((process.pid, process.command.partition("/hactl/hook ")[2]))
                    break
        return found

    def _hooks(self, node: str) -> Iterator[tuple[str, int]]:
        for pid, part in self.hook_processes(node):
            # `wait` only waits; where the others are depends on how long they are at it.
            yield part, 0 if part == "wait" else bucket(self.now - self._since.get((node, pid), self.now))

    def _note_processes(self) -> None:
        self._since = {
            (node, pid): self._since.get((node, pid), self.now)
            for node in (A, B)
            for pid, _ in self.hook_processes(node)
        }


def _order(left: int, right: int) -> int:
    return (left > right) - (left < right)


# events


@dataclass(frozen=True)
class Event:
    """Something that can happen: whether it can now, and doing it."""

    can: Callable[[Scope], bool]
    act: Callable[[Scope], None]


def _always(scope: Scope) -> bool:
    del scope
    return True


def _time(seconds: float) -> Event:
    return Event(_always, lambda scope: scope.advance(seconds))


def _power(node: str) -> Event:
    def act(scope: Scope) -> None:
        (scope.world.power_off if scope.machine(node).powered else scope.world.power_on)(node)

    return Event(_always, act)


def _cable(node: str, port: str) -> Event:
    def act(scope: Scope) -> None:
        plugged = scope.machine(node).net.interfaces[port].carrier
        (scope.world.cut if plugged else scope.world.join)(node, port)

    return Event(_always, act)


def _freeze(node: str) -> Event:
    def act(scope: Scope) -> None:
        (scope.world.thaw if scope.machine(node).frozen else scope.world.freeze)(node)

    return Event(lambda scope: scope.machine(node).running or scope.machine(node).frozen, act)


def _hastd(node: str) -> Event:
    def act(scope: Scope) -> None:
        scope.loop.sh(node, "pkill -9 hastd")

    return Event(lambda scope: scope.loop.reaches(node) and scope.machine(node).hast.pid is not None, act)


def _whole(scope: Scope) -> None:
    scope.kept = None
    plan = scope.look()
    if plan.stages:
        scope.carry_out(plan.stages[0])


def _dies(scope: Scope) -> None:
    plan = scope.look()
    if plan.stages:
        scope.carry_out(plan.stages[0], dies=True)


def _look(scope: Scope) -> None:
    scope.kept = scope.look(), scope.now


def _kept(scope: Scope) -> bool:
    return scope.kept is not None and bool(scope.kept[0].stages) and scope.now - scope.kept[1] <= FRESH_SECONDS


def _act(scope: Scope) -> None:
    assert scope.kept is not None
    plan, scope.kept = scope.kept[0], None
    scope.carry_out(plan.stages[0])


def _kill_hooks(scope: Scope) -> None:
    for node in (A, B):
        running = {pid for pid, _ in scope.hook_processes(node)}
        for process in list(scope.machine(node).rc.processes.values()):
            if process.pid in running:
                process.kill(9)


def _wish(scope: Scope) -> None:
    """A person asks for the other node, or drops the request."""
    to = B if scope.role(A) == "primary" else A
    scope.loop.wishes = Wishes() if scope.loop.wishes.moves else Wishes(moves={GROUP: to})


#: The alphabet. A toggle is one event: its two halves exclude each other.
EVENTS: dict[str, Event] = {
    "pass": Event(_always, _whole),
    "die": Event(_always, _dies),
    "look": Event(lambda scope: not _kept(scope), _look),
    "act": Event(_kept, _act),
    "2s": _time(2.0),
    "6s": _time(6.0),
    "30s": _time(30.0),
    "power-a": _power(A),
    "power-b": _power(B),
    "lan-a": _cable(A, LAN),
    "lan-b": _cable(B, LAN),
    "replication": _cable(A, REPLICATION),
    "freeze-a": _freeze(A),
    "hooks": Event(lambda scope: any(scope.hook_processes(n) for n in (A, B)), _kill_hooks),
    "hastd-a": _hastd(A),
    "hastd-b": _hastd(B),
    "wish": Event(_always, _wish),
}
#: Without a plan that is kept and without a hook at work these cannot come first.
NEVER_FIRST = frozenset({"act", "hooks"})


# the walk


class Board:
    """What was seen, in a directory all explorers of a run share. A name appears there exactly once."""

    def __init__(self, directory: Path) -> None:
        """The directory is made if it is not there."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def mark(self, name: str) -> bool:
        """Note it; False if somebody has."""
        try:
            os.close(os.open(self.directory / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def marked(self, name: str) -> bool:
        """Whether somebody noted it."""
        return (self.directory / name).exists()

    def claim(self, digest: str, left: int, most: int) -> bool:
        """Whether a state is still to be walked with that many events left."""
        if any(self.marked(f"walk-{digest}-{more}") for more in range(left, most + 1)):
            return False
        return self.mark(f"walk-{digest}-{left}")

    def start(self) -> Scope:
        """The pair every walk starts from; its convergence is computed once."""
        path = self.directory / "convergence"
        if path.exists():
            replayed._CONVERGENCES["nas"] = pickle.loads(path.read_bytes())
        scope = Scope()
        if not path.exists():
            mine = path.with_suffix(f".{os.getpid()}")
            mine.write_bytes(pickle.dumps(replayed._CONVERGENCES["nas"]))
            mine.rename(path)
        return scope


@dataclass
class Tally:
    """What a walk found."""

    transitions: int = 0
    #: Those that led to a state nobody had seen: from there it was mended, and had to converge.
    states: int = 0
    seconds: float = 0.0
    simulated_seconds: float = 0.0
    #: (events, what is wrong).
    broken: list[tuple[list[str], str]] = field(default_factory=list)


#: How a child of the walk ends: nothing more, walk on from its events, or it died over a mistake of ours.
_DONE, _WALK, _CRASHED = 0, 3, 4


class Explorer:
    """Walks from where its world is; every process of the walk is one of these."""

    def __init__(self, board: Board, depth: int) -> None:
        """The start, quiet."""
        self.board, self.depth = board, depth
        self.log = Path(tempfile.mkstemp(prefix="walk", dir=board.directory)[1])
        self.scope = board.start()
        self.seen: list[str] = []
        assert threading.active_count() == 1, "a shell runs in the converged pair: it cannot be forked"

    def walk(self, firsts: Sequence[str]) -> Tally:
        """Everything that begins with one of these events."""
        began = time.monotonic()
        self._grow((), firsts)
        tally = Tally()
        for line in self.log.read_text().splitlines():
            kind, value = json.loads(line)
            if kind == "broken":
                tally.broken.append((value[0], value[1]))
            elif kind == "simulated":
                tally.simulated_seconds += value
            else:
                setattr(tally, kind, getattr(tally, kind) + value)
        tally.seconds = time.monotonic() - began
        return tally

    def _note(self, kind: str, value: object) -> None:
        with self.log.open("a") as file:  # one short line: appended whole
            file.write(json.dumps([kind, value]) + "\n")

    def _grow(self, done: Sequence[str], events: Sequence[str]) -> None:
        """Try every event after `done`, which leads on from this process's world."""
        for event in events:
            if self._child(lambda event=event: self._try(done, event)) == _WALK:  # type: ignore[misc]
                self._grow((*done, event), list(EVENTS))

    def _child(self, work: Callable[[], int]) -> int:
        """Do it in a fork of this process; what it returns."""
        # A shell of ours that waits for its collection would wait in the child for threads that were not forked.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            status = _CRASHED
            signal.alarm(HANG_SECONDS)
            try:
                status = work()
            except BaseException:  # noqa: BLE001
                # A child must not go on as its parent.
                self._note("broken", [self.seen, traceback.format_exc()])
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status < 0:
            self._note("broken", [self.seen, f"a child of the walk ended by signal {-status}"])
        return status

    def _try(self, done: Sequence[str], event: str) -> int:
        """In a child: the events, and then what comes of them."""
        began = self.scope.now
        self.scope.play(done)
        self.seen += [*done, event]
        if not self.scope.enabled(event):
            return _DONE
        self._note("transitions", 1)
        try:
            self.scope.do(event)
        except AssertionError as problem:
            self._note("broken", [self.seen, str(problem)])
            return _DONE
        self._note("simulated", self.scope.now - began)
        return self._visit()

    def _visit(self) -> int:
        digest = self.scope.digest()
        left = self.depth - len(self.seen)
        if self.board.mark(f"state-{digest}"):
            self._note("states", 1)
        fresh = not self.board.marked(f"good-{digest}") and self.board.mark(f"end-{digest}")
        further = left > 0 and self.board.claim(digest, left, self.depth)
        if threading.active_count() > 1:  # a hook is half-way: whoever holds the world before goes on
            if fresh:
                self._end()
            return _WALK if further else _DONE
        if fresh:
            self._child(self._end)
        if further:
            signal.alarm(0)
            self._grow((), list(EVENTS))
        return _DONE

    def _end(self) -> int:
        """Mended, it converges: noted for every state on the way."""
        began = self.scope.now
        try:
            for digest in self.scope.settle(lambda digest: self.board.marked(f"good-{digest}")):
                self.board.mark(f"good-{digest}")
        except AssertionError as problem:
            self._note("broken", [[*self.seen, "(mended)"], str(problem)])
        self._note("simulated", self.scope.now - began)
        return _DONE


def shortest(broken: Sequence[tuple[list[str], str]]) -> list[tuple[list[str], str]]:
    """Each kind of trouble once, by its shortest sequence."""
    found: dict[str, tuple[list[str], str]] = {}
    for events, problem in sorted(broken, key=lambda each: len(each[0])):
        found.setdefault("".join(c for c in problem if not c.isdigit()), (events, problem))
    return list(found.values())


def main(depth: str, directory: str, *firsts: str) -> None:
    """One walk, its tally as JSON on standard output."""
    tally = Explorer(Board(Path(directory)), int(depth)).walk(firsts or [e for e in EVENTS if e not in NEVER_FIRST])
    print(json.dumps(asdict(tally)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # shells of half-way hooks would outlive the interpreter
