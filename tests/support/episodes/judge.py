"""What must hold in an episode, asked of the world itself: who is primary, what is mounted, what is on the disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hactl.core.objects import StorageSpec
from hactl.core.script import LEASE_FILE
from hactl.core.sh import quote
from hactl.core.simulation.acknowledged import Ack, judge
from hactl.core.steps import Plan, Step, StepKey
from hactl.lab.hast.processes import Resource, Role
from hactl.simulate.serving import mounts, primaries, unplugged
from support.lab.closed_loop import Loop

#: What a person has to decide: the accepted ends of an episode in which people made a second primary.
FOR_PEOPLE = frozenset(
    {"DualPrimary", "ForeignCopy", "SplitBrain", "CountersDisagree", "CopyMissing", "StorageApart", "Demoted"}
)
#: What is left of a disk that failed under a primary: somebody has to look at it.
BROKEN_DISK = frozenset({"DiskErrors"})
#: Holds that follow from others.
FOLLOWS = frozenset({"HeldAtBoot", "AddressElsewhere", "StandbyFirst", "MoveWaits"})
#: Verbs that destroy what is on their device.
DESTROYS = ("CreateMetadata", "MakeFilesystem", "CreatePool")
#: So often in a row no step is Done and wanted again by the next look, whatever befalls the nodes meanwhile.
IN_VAIN = 4
#: A file on the replicated filesystem.
MARK = "/data/written"
WRITER = "service"


class Broken(AssertionError):
    """An invariant does not hold."""


class Judge:
    """Watches one pair; every method raises Broken when what it watches does not hold."""

    def __init__(self, loop: Loop, note: Callable[[str], None]) -> None:
        """`note` takes lines of the episode's story."""
        self.loop, self.note = loop, note
        self.nodes = [node.name for node in loop.document.spec.nodes]
        #: People did what only people can mend.
        self.by_hand = False
        #: Cut off from each other, both nodes became primary: their policy is Automatic and there is no witness.
        self.split = False
        #: A node was promoted by its hook while it could not hear a peer that had power: whatever that one still wrote
        #: (an unmount, for one) is on one side only, and a person may have to decide. No acknowledged write is lost.
        self.parted = False
        #: A disk failed under a primary: hastd calls the copy complete although it is not (docs/freebsd-facts.md#2.7).
        self.scarred = False
        #: The highest number that the service tried, and the records it got onto the disk.
        self.number = 0
        self.acks: list[Ack] = []
        #: Nodes that were frozen and woke up since hactl last called their copy complete: they may believe old things.
        self.slept: set[str] = set()
        #: (node, resource) whose device was taken from under its mount before the last change of the role.
        self.unplugged: set[tuple[str, str]] = set()
        #: Steps that were Done: how often in a row without a look that no longer wanted it.
        self.repeated: dict[tuple[StepKey, str], int] = {}
        for node in self.nodes:
            self._watch(node)

    def wants(self, plan: Plan) -> None:
        """What a look comes to: no step repeats without an outside cause."""
        wanted = {(step.key, step.command) for step in (plan.stages[0].steps if plan.stages else ())}
        self.repeated = {each: times for each, times in self.repeated.items() if each in wanted}
        for (key, command), times in self.repeated.items():
            if times >= IN_VAIN:
                raise Broken(f"{key} was Done {times} times in a row and is wanted again: {command}")

    def done(self, step: Step) -> None:
        """A step was Done."""
        self.repeated[step.key, step.command] = self.repeated.get((step.key, step.command), 0) + 1

    def _watch(self, node: str) -> None:
        hast = self.loop.machine(node).hast
        change = hast.change_role

        def watched(resource: Resource, role: Role) -> Iterator[float]:
            gone = unplugged(self.loop.machine(node), resource.name)
            (self.unplugged.add if gone else self.unplugged.discard)((node, resource.name))
            yield from change(resource, role)

        hast.change_role = watched  # type: ignore[method-assign]

    # what is true

    @property
    def storages(self) -> list[StorageSpec]:
        """The replicated resources."""
        return [storage for group in self.loop.document.spec.groups for storage in group.storage]

    def holders(self) -> dict[str, list[str]]:
        """Primaries by resource."""
        return {storage.name: primaries(self.loop, storage.name) for storage in self.storages}

    def mounted(self, node: str, resource: str) -> bool:
        """Whether the world has /dev/hast/NAME mounted there."""
        return bool(mounts(self.loop.machine(node), resource))

    def in_use(self) -> set[tuple[str, str]]:
        """(node, resource) of every mounted device of a running primary."""
        return {(n, name) for name, nodes in self.holders().items() for n in nodes if self.mounted(n, name)}

    def up(self, node: str) -> bool:
        """Whether somebody at the machine could do something."""
        machine = self.loop.machine(node)
        return machine.powered and machine.running and not machine.frozen

    def apart(self) -> bool:
        """Whether one node cannot hear the other on the replication network, or is frozen."""
        for node in self.nodes:
            machine = self.loop.machine(node)
            port = machine.net.interfaces.get("vtnet2")
            if (
                machine.frozen
                or port is None
                or not port.carrier
                or port.blocked_in
                or port.blocked_out
                or machine.net.refused
            ):
                return True
        return False

    def _powered(self) -> bool:
        return all(self.loop.machine(node).powered for node in self.nodes)

    def lease_on(self, node: str) -> int:
        """The newest lease that acted on the node."""
        files = self.loop.machine(node).files
        return int(files.read_text(LEASE_FILE) or 0) if files.kind(LEASE_FILE) == "file" else 0

    # what must hold

    def hooks(self, before: dict[str, list[str]], used: set[tuple[str, str]]) -> None:
        """I1, I2: what the nodes do by themselves makes no second primary unless they cannot hear each other."""
        for resource, nodes in self.holders().items():
            if set(nodes) - set(before[resource]) and self.apart() and self._powered():
                self.note(f"{', '.join(nodes)} became primary and cannot hear the other node")
                self.parted = True
            if any(node in self.slept for node in set(nodes) - set(before[resource])):
                self.note(f"{', '.join(nodes)} became primary after a sleep: what it knew was old")
                self.split = True
            if len(nodes) > max(1, len(before[resource])):
                if not self.apart() and not self.split:
                    raise Broken(f"I1: the hooks made {nodes} primary for {resource}")
                self.note(f"{' and '.join(nodes)} are primary, cut off from each other")
                self.split = True
        for node, resource in used:
            # I2's one exception, a node that slept: the device goes first, and only then the role.
            lost = node not in self.holders()[resource] and self.mounted(node, resource)
            lost = lost and (node, resource) not in self.unplugged
            # With a broken disk and no peer nothing can be unmounted, and rc(8) ends hastd at shutdown all the same.
            if lost and self.up(node) and self.loop.machine(node).hast.pid is not None and not self._broken(node):
                raise Broken(f"I2: {node} lost the role for {resource} while it was mounted")
        self._disks()

    def _disks(self) -> None:
        for storage in self.storages:
            for node in primaries(self.loop, storage.name):
                if self._broken(node) and not self.scarred:
                    self.note(f"the disk of {storage.name} fails under its primary {node}")
                    self.scarred = True

    def _broken(self, node: str) -> bool:
        disks = self.loop.machine(node).disks.disks
        return any(
            disk.failed or disk.fails_writes
            for storage in self.storages
            if (disk := disks[storage.hast.devices[node].removeprefix("/dev/")])
        )

    def begins(self, step: Step) -> None:
        """I3: nothing that destroys is about to run."""
        if step.verb in DESTROYS:
            raise Broken(f"I3: {step.node}: {step.command} although every disk holds data")

    def ended(self, step: Step, used: set[tuple[str, str]]) -> None:
        """I2: the step took no role from a device that was mounted when it began (`used`) and still is."""
        for node, resource in used:
            told = f"role secondary {resource}" in step.command or f"role init {resource}" in step.command
            if told and node == step.node and node not in self.holders()[resource] and self.mounted(node, resource):
                raise Broken(f"I2: {node}: {step.command} while {resource} is mounted there")

    def roles(self, what: str, before: dict[str, list[str]]) -> None:
        """I1: what hactl does makes no second primary; there may be one that people made."""
        for resource, nodes in self.holders().items():
            if len(nodes) > max(1, len(before[resource])):
                raise Broken(f"I1: {what} made {nodes} primary for {resource}")

    def excused(self, reasons: set[str]) -> bool:
        """Whether these holds are for people, and people or physics caused them."""
        rest = reasons - FOLLOWS
        people = FOR_PEOPLE if self.by_hand or self.split or self.parted else frozenset()
        disks = BROKEN_DISK if self.scarred else frozenset()
        return bool(rest) and rest <= people | disks

    # the data

    def write(self) -> None:
        """On every node that could, the service appends a record and gets it onto the disk: then it is acknowledged."""
        for storage in self.storages:
            for node in primaries(self.loop, storage.name):
                if self.up(node) and self.mounted(node, storage.name):
                    self._record(node)

    def _record(self, node: str) -> None:
        self.number += 1
        record, sent = f"{WRITER} {self.number} {node} .", self.loop.now
        script = (
            f"mount | grep -q ' on /data ' && echo '{record}' >> {MARK} && fsync {MARK} && sync && tail -n 1 {MARK}"
        )
        if self.loop.sh(node, f"timeout --foreground 5 sh -c {quote(script)}").strip() == record:
            self.acks.append(Ack(WRITER, self.number, node, sent, self.loop.now))

    def data(self) -> None:
        """Every record that was acknowledged is there, whole and in order (I4), and no two nodes acknowledged (I11).

        Unless people or a dual primary split the copies.
        """
        if self.by_hand or self.split or self.scarred or not self.acks:
            return
        for storage in self.storages:
            node = primaries(self.loop, storage.name)[0]
            found = judge(self.acks, {WRITER: self.loop.sh(node, f"cat {MARK}")})
            if found.lost or found.torn or found.disordered:
                raise Broken(f"I4: {MARK} on {node}: {found.words()}")
            if found.two_at_once:
                raise Broken(f"I11: {found.words()}")
