"""One world of the small scope: what happens in it, the judges of every change, and the end everything must come to.

`Scope` does events; it judges every change of a role at the moment it happens (I1, I2, I4) and every step before it
runs (I2, I3). `settle` mends everything: the pair must converge, serve, have every written number (I4), and rest (I7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hactl.core.operations import Overrides
from hactl.core.steps import Outcome, Plan, Stage
from hactl.lab.hast.daemon import Hast
from hactl.lab.hast.processes import Resource, Role
from hactl.simulate.serving import unplugged
from support.episodes.episode import DESTROYS, FOR_PEOPLE, MARK, Broken
from support.lab.closed_loop import Fate
from support.lab.serving import complaints
from support.small_scope.digest import Digest, bucket
from support.small_scope.world import RESOURCE, A, B, Pair

#: A plan is carried out at most this long after the look (runtime.execute.STANDSTILL_SECONDS).
FRESH_SECONDS = 10.0
#: How often the world is judged while time goes by.
SLICE_SECONDS = 0.5
#: What a hook heard of its peer is at most one unanswered ping(8) old, `ping -t 2`.
HEARD_SECONDS = 2.5
#: What the controller waits after a step, and when there is nothing to do but to wait.
PAUSE_SECONDS, WAIT_SECONDS = 2.0, 6.0
#: Holds that follow from the others where a person has to decide.
FOLLOW = frozenset({"HeldAtBoot"})


@dataclass(frozen=True)
class Event:
    """Something that can happen: whether it can now, and doing it."""

    can: Callable[[Scope], bool]
    act: Callable[[Scope], None]


class Scope(Pair):
    """One world, its events and its judges."""

    def __init__(self) -> None:
        """The converged pair, at rest."""
        super().__init__()
        self.abstract = Digest(self)
        #: A node became primary by itself while it could not hear a peer that had power (policy Automatic, no witness):
        #: the copies may part, and a person may have to decide.
        self.split = False
        #: Nodes the hook made primary on the condition that hastd compares both copies before its own is used.
        self._comparing: set[str] = set()
        #: When the nodes last could not hear each other.
        self._apart_at = -3600.0
        #: A look whose plan is not carried out yet, and when it was.
        self.kept: tuple[Plan, float] | None = None
        #: The node a step of the controller runs on now.
        self._acting = ""
        #: What was wrong inside the world's own events, where an exception would end a hook instead.
        self._problems: list[str] = []
        for node in (A, B):
            self._watch(node)
        self._write()
        self.advance(60.0)

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
        # I2's one exception, a node that slept: the hook takes the device away first, and only then changes the role.
        slept = who != "hactl" and unplugged(self.machine(node), RESOURCE)
        if resource.role == "primary" and self.mounted(node) and not slept:
            self._problems.append(f"I2: {who} made {node} {role} while the filesystem is mounted there")
        if role != "primary" or self.split:
            return
        other = B if node == A else A
        powered, deaf = self.machine(other).powered, self._deaf(node)
        if powered and self.role(other) == "primary" and (who == "hactl" or not deaf):
            self._problems.append(f"I1: {who} made {node} primary while {other} is")
        elif self.number(node) < self.written and who != "hactl" and powered and self._compares(node):
            self._comparing.add(node)
        elif self.number(node) < self.written:
            have = f"{self.number(node)} of {self.written}, {other} has {self.number(other)}"
            self._problems.append(f"I4: {who} made {node} primary, whose copy has number {have}")
        self.split |= powered and who != "hactl" and deaf

    def _compares(self, node: str) -> bool:
        """Whether the hook there noted that hastd compares the copies before this one is used."""
        files = self.machine(node).files
        note = f"/var/db/hactl/doubt.{RESOURCE}"
        return files.exists(note) and files.read_text(note).startswith("copy")

    def _judge_use(self) -> None:
        """I4, of a copy that was to be compared first: when it is used it is the newest there is."""
        for node in tuple(self._comparing):
            if self.role(node) == "primary" and not self.mounted(node):
                continue
            self._comparing.remove(node)
            if self.mounted(node) and self.number(node) < self.written and not self.split:
                have = f"{self.number(node)} of {self.written}"
                self._problems.append(f"I4: the hook on {node} uses a copy that has number {have}")

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
            self._judge_use()
            self.abstract.note_processes()
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
        # sync(8) says nothing of what it could not write (sync(2) returns nothing): fsync(1) acknowledges.
        script = f"timeout --foreground 2 sh -c 'echo {number} > {MARK} && fsync {MARK} && sync && cat {MARK}'"
        if self.loop.sh(able[0], script).strip() == str(number):
            self.written = number

    def do(self, event: Event) -> None:
        """An event happens, is judged, and the service writes. Raises Broken or AssertionError."""
        self._hear()
        event.act(self)
        self._hear()
        self._check()
        self._write()
        self.abstract.note_processes()
        self.digest()  # what has changed by now has changed now, whether somebody asks or not
        self._check()

    def fresh(self) -> bool:
        """Whether a plan is kept that has something to do and may still be carried out."""
        return self.kept is not None and bool(self.kept[0].stages) and self.now - self.kept[1] <= FRESH_SECONDS

    def mend(self) -> None:
        """Everything that is not hactl's to mend is mended; nobody overrides anything."""
        self._hear()
        self.loop.overrides, self.kept = Overrides(), None
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
            raise Broken(f"does not rest: {[str(step.key) for step in self.look().steps]} {complaints(self.loop)}")
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
                    raise Broken(f"I7: a step on an unchanged pair: {[str(step.key) for step in steps]}")
        return quiet

    def _converge(self, way: list[str], good: Callable[[str], bool]) -> bool:
        """Until there is nothing left to do; True if the end is known (as `good`, or a person decides)."""
        for _ in range(150):
            way.append(self.digest())
            if good(way[-1]):
                return True
            plan = self.look()
            if plan.stages:
                self.carry_out(plan.stages[0])
            elif all(self.machine(n).running for n in (A, B)) and not any(hold.passing for hold in plan.holds):
                break
            self.advance(PAUSE_SECONDS if plan.stages else WAIT_SECONDS)
        else:
            raise Broken(f"does not converge: {[str(s.key) for s in plan.steps]} {[h.message for h in plan.holds]}")
        reasons = {hold.reason for hold in plan.holds}
        if reasons and not (self.split and reasons - FOLLOW and reasons - FOLLOW <= FOR_PEOPLE):
            raise Broken(f"held for good: {[f'{hold.reason}: {hold.message}' for hold in plan.holds]}")
        return bool(reasons)

    # the abstract state

    def digest(self) -> str:
        """The state without its accidents: two states of one digest are taken for the same."""
        return self.abstract.of(*self._intent())

    def _core(self) -> str:
        """Everything of it but how long it has been so."""
        return self.abstract.core(*self._intent())

    def _intent(self) -> Iterator[object]:
        """What is known and wanted outside the nodes."""
        yield self.split, self.now - self._apart_at <= HEARD_SECONDS, sorted(self.loop.overrides.moves.items())
        if self.kept is not None and self.fresh():
            yield [self.abstract.step(step) for step in self.kept[0].stages[0].steps], bucket(self.now - self.kept[1])
