"""One seeded episode on the lab: faults, mistakes of people, a controller that dies, and the invariants that watch.

Everything random comes from the seed. What hactl does is judged against the world itself (who is primary, what is
mounted, what is on the disks), never against hactl's own facts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from closed_loop import Fate, Loop
from hactl.core.objects import StorageSpec
from hactl.core.operations import Wishes
from hactl.core.steps import Plan, Step, quote
from replayed import converged
from serving import complaints, primaries

#: What a person has to decide: the accepted ends of an episode in which people made a second primary.
FOR_PEOPLE = frozenset(
    {"DualPrimary", "ForeignCopy", "SplitBrain", "CountersDisagree", "CopyMissing", "StorageApart", "Demoted"}
)
#: Verbs that destroy what is on their device.
DESTROYS = ("CreateMetadata", "MakeFilesystem", "CreatePool")
#: A file on the replicated filesystem.
MARK = "/data/written"


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Mistake:
    """Something a person does by hand. `dual`: it can make a second primary or split the copies."""

    command: str
    dual: bool = False


NAS_MISTAKES = (
    *(Mistake(f"ifconfig vtnet1 vhid 80 advskew {n}") for n in (0, 50, 200)),
    Mistake("ifconfig vtnet1 vhid 80 pass wrong"),
    Mistake("ifconfig vtnet1 vhid 80 advbase 5"),
    Mistake("ifconfig vtnet1 vhid 80 state backup"),
    Mistake("ifconfig vtnet1 inet 192.0.2.80 -alias"),
    Mistake("ifconfig vtnet1 inet 192.0.2.81/24 vhid 80 alias"),
    Mistake("ifconfig vtnet1 inet 192.0.2.80/32 vhid 2 alias"),
    Mistake("sysctl net.inet.carp.demotion=100"),
    Mistake("sysctl net.inet.carp.preempt=0"),
    Mistake("sysctl net.inet.carp.allow=0"),
    Mistake("service nfsd onestop"),
    Mistake("service nfsd onestart"),
    Mistake("service nfsd onestop; umount /data"),
    Mistake("umount -f /data"),
    Mistake("mount -u -o atime /data"),
    Mistake("mount | grep -q /dev/hast/data || hastctl role init data"),
    Mistake("service nfsd onestop; umount /data && hastctl role init data"),
    Mistake("hastctl role secondary data"),
    Mistake("service hastd onestop"),
    Mistake("service hastd onereload"),
    Mistake("pkill -9 hastd"),
    Mistake("sysrc hastd_enable=NO"),
    Mistake("sysrc kld_list="),
    Mistake("sysrc nfs_server_enable=YES"),
    Mistake("chmod 644 /etc/rc.conf.d/netif"),
    Mistake("rm -f /etc/rc.conf.d/netif"),
    Mistake("echo net.inet.carp.preempt=0 >> /etc/sysctl.conf"),
    Mistake("sed -i '' -e s/memsync/fullsync/ /etc/hast.conf"),
    Mistake("rm -f /etc/hast.conf"),
    Mistake("echo nonsense >> /etc/hast.conf"),
    Mistake("hastctl role primary data", dual=True),
)
FIREWALL_MISTAKES = (
    Mistake("for i in ix0 igb0; do ifconfig $i vhid 10 advskew 150; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i vhid 20 pass wrong; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i vhid 20 advbase 4; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i inet6 2001:db8:1::1 -alias; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i inet 192.0.2.1 -alias; done"),
    Mistake("for i in ix0 igb0; do ifconfig $i inet 198.51.100.1 -alias; done"),
    Mistake("sysctl net.inet.carp.demotion=100"),
    Mistake("sysctl net.inet.carp.preempt=0"),
    Mistake("sysrc kld_list="),
    Mistake("rm -f /etc/rc.conf.d/netif"),
)


class Episode:
    """A pair, its people, its bad luck."""

    def __init__(self, seed: int) -> None:
        """A converged pair."""
        self.chance = random.Random(seed)
        self.name = "firewall" if self.chance.random() < 0.15 else "nas"
        self.mistakes = FIREWALL_MISTAKES if self.name == "firewall" else NAS_MISTAKES
        self.loop: Loop = converged(self.name)
        self.loop.world.random.seed(seed)
        self.nodes = [node.name for node in self.loop.document.spec.nodes]
        self.started = self.loop.now
        self.log: list[str] = []
        #: People did what only people can mend.
        self.by_hand = False
        #: Cut off from each other, both nodes became primary: their policy is Automatic and there is no witness.
        self.split = False
        #: The highest number that the service wrote and got onto the disk.
        self.written = 0
        #: Nodes that were frozen and woke up since hactl last called their copy complete: they may believe old things.
        self.slept: set[str] = set()
        #: When an open request to move the group is dropped, simulated seconds.
        self.until = 0.0

    # what is true

    @property
    def storages(self) -> list[StorageSpec]:
        """The replicated resources."""
        return [storage for group in self.loop.document.spec.groups for storage in group.storage]

    @property
    def simulated_seconds(self) -> float:
        """How long it has lasted."""
        return self.loop.now - self.started

    def note(self, text: str) -> None:
        """One line of the episode's story."""
        self.log.append(f"{self.loop.now:9.1f}  {text}")

    def holders(self) -> dict[str, list[str]]:
        """Primaries by resource."""
        return {storage.name: primaries(self.loop, storage.name) for storage in self.storages}

    def mounted(self, node: str, resource: str) -> bool:
        """Whether the world has /dev/hast/NAME mounted there."""
        table = self.loop.machine(node).disks.mounts.table
        return any(row.special == f"/dev/hast/{resource}" for row in table)

    # what hactl does

    def passes(self, seconds: float) -> None:
        """hactl looks every few seconds for that long, and does what it plans; sometimes it dies over it."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            if self.until and self.loop.now > self.until:
                self.ask_nothing()
            self.look()
            self.advance(self.chance.choice([0.5, 2.0, 5.0]))

    def advance(self, seconds: float) -> None:
        """Let the nodes live by themselves, watched."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            before, used = self.holders(), self.in_use()
            self.loop.world.advance(min(1.0, end - self.loop.now))
            self.judge_hooks(before, used)

    def in_use(self) -> set[tuple[str, str]]:
        """(node, resource) of every mounted device of a running primary."""
        return {(n, name) for name, nodes in self.holders().items() for n in nodes if self.mounted(n, name)}

    def judge_hooks(self, before: dict[str, list[str]], used: set[tuple[str, str]]) -> None:
        """I1, I2: what the nodes do by themselves makes no second primary unless they cannot hear each other."""
        for resource, nodes in self.holders().items():
            if any(node in self.slept for node in set(nodes) - set(before[resource])):
                self.note(f"{', '.join(nodes)} became primary after a sleep: what it knew was old")
                self.split = True
            if len(nodes) > max(1, len(before[resource])):
                if not self.apart() and not self.split:
                    raise Broken(f"I1: the hooks made {nodes} primary for {resource}")
                self.note(f"{' and '.join(nodes)} are primary, cut off from each other")
                self.split = True
        for node, resource in used:
            lost = node not in self.holders()[resource] and self.mounted(node, resource)
            if lost and self.up(node) and self.loop.machine(node).hast.pid is not None:
                raise Broken(f"I2: {node} lost the role for {resource} while it was mounted")

    def apart(self) -> bool:
        """Whether one node cannot hear the other on the replication network, or is frozen."""
        for node in self.nodes:
            machine = self.loop.machine(node)
            port = machine.net.interfaces.get("vtnet2")
            if machine.frozen or port is None or not port.carrier or port.blocked_in or port.blocked_out:
                return True
        return False

    def look(self) -> Plan:
        """One pass."""
        before = self.holders()
        plan = self.loop.plan()
        self.judge_roles("looking", before)
        if plan.stages:
            self.act(plan)
        self.write()
        return plan

    def act(self, plan: Plan) -> None:
        """Carry out the first stage, as the executor does, with the fate of each step."""
        stage, stopped = plan.stages[0], set[str]()
        for step in stage.steps:
            if step.node in stopped or (stage.ordered and stopped):
                continue
            fate: Fate = self.chance.choices(("ok", "lost", "unsent"), (0.9, 0.05, 0.05))[0]
            before = self.holders()
            self.judge_step(step)
            shown = f"{step.verb} {step.target}" if "\n" in step.command else step.command
            self.note(f"hactl {step.node}: {shown}{'' if fate == 'ok' else f' ({fate})'}")
            result = self.loop.step(step, fate)
            if step.verb == "ConfirmCopy" and result.outcome == "Done":
                self.slept.discard(step.node)
            if result.outcome != "Done":
                self.note(f"      {result.outcome}: {result.reason or result.output.strip()[-200:]}")
                stopped.add(step.node)
            if " role primary " in step.command:
                self.judge_roles(f"{step.node}: {shown}", before)
            else:
                self.judge_hooks(before, set())  # whatever happened meanwhile, this step did not do it

    def judge_step(self, step: Step) -> None:
        """I2, I3: what is about to run demotes no device in use and destroys nothing."""
        for storage in self.storages:
            demotes = f"role secondary {storage.name}" in step.command or f"role init {storage.name}" in step.command
            primary = step.node in self.holders()[storage.name]
            if demotes and primary and self.mounted(step.node, storage.name):
                raise Broken(f"I2: {step.node}: {step.command} while {storage.name} is mounted there")
        if step.verb in DESTROYS:
            raise Broken(f"I3: {step.node}: {step.command} although every disk holds data")

    def judge_roles(self, what: str, before: dict[str, list[str]]) -> None:
        """I1: what hactl does makes no second primary; there may be one that people made."""
        for resource, nodes in self.holders().items():
            if len(nodes) > max(1, len(before[resource])):
                raise Broken(f"I1: {what} made {nodes} primary for {resource}")

    def write(self) -> None:
        """The service writes a number and gets it onto the disk, where the file can be written."""
        for storage in self.storages:
            nodes = [n for n in primaries(self.loop, storage.name) if self.up(n)]
            if len(nodes) != 1 or not self.mounted(nodes[0], storage.name):
                continue
            number = self.written + 1
            script = f"mount | grep -q ' on /data ' && echo {number} > {MARK} && sync && cat {MARK}"
            if self.loop.sh(nodes[0], f"timeout --foreground 5 sh -c {quote(script)}").strip() == str(number):
                self.written = number

    def up(self, node: str) -> bool:
        """Whether somebody at the machine could do something."""
        machine = self.loop.machine(node)
        return machine.powered and machine.running and not machine.frozen

    # what happens

    def event(self) -> None:
        """One random thing."""
        node = self.chance.choice(self.nodes)
        kinds: list[tuple[float, Callable[[str], None]]] = [
            (6, self.mistake),
            (2, self.power),
            (1, self.reboot),
            (2, self.network),
            (1, self.freeze),
            (1, self.hide),
            (2, self.ask),
            (2, self.away),
        ]
        self.chance.choices([act for _, act in kinds], [weight for weight, _ in kinds])[0](node)

    def ask(self, node: str) -> None:
        """A person asks for a move, or drains a node."""
        if self.chance.random() < 0.5:
            group = self.loop.document.spec.groups[0].name
            self.note(f"switchover {group} to {node}")
            self.loop.wishes = Wishes(moves={group: node})
        else:
            self.note(f"drain {node}")
            self.loop.wishes = Wishes(drained={node: "a test"})
        self.until = self.loop.now + self.chance.choice([5.0, 30.0, 120.0])

    def ask_nothing(self) -> None:
        """The request is dropped."""
        self.note("the request is dropped")
        self.loop.wishes, self.until = Wishes(), 0.0

    def away(self, node: str) -> None:
        """Nobody looks for a while: the nodes are on their own."""
        del node
        seconds = self.chance.choice([20.0, 60.0, 120.0])
        self.note(f"no controller for {seconds:.0f} s")
        for _ in range(int(seconds / 10)):
            self.advance(10.0)
            self.write()

    def mistake(self, node: str) -> None:
        """Somebody does something by hand on a machine that runs."""
        mistake = self.chance.choice(self.mistakes)
        if not self.up(node):
            return
        self.by_hand |= mistake.dual
        self.note(f"{node}# {mistake.command}")
        self.loop.sh(node, f"timeout --foreground -k 2 20 sh -c {quote(mistake.command)}")

    def power(self, node: str) -> None:
        """Power goes or comes."""
        powered = self.loop.machine(node).powered
        self.note(f"power {'off' if powered else 'on'} {node}")
        (self.loop.world.power_off if powered else self.loop.world.power_on)(node)

    def reboot(self, node: str) -> None:
        """An orderly reboot."""
        if self.up(node):
            self.note(f"reboot {node}")
            self.loop.world.reboot(node)

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

    def freeze(self, node: str) -> None:
        """A machine stops, and goes on later believing what it believed."""
        frozen = self.loop.machine(node).frozen
        self.slept.add(node)
        self.note(f"{'thaw' if frozen else 'freeze'} {node}")
        (self.loop.world.thaw if frozen else self.loop.world.freeze)(node)

    def hide(self, node: str) -> None:
        """The controller cannot reach a node, or can again."""
        hidden = node in self.loop.silent
        self.note(f"the controller {'reaches' if hidden else 'does not reach'} {node}")
        (self.loop.silent.discard if hidden else self.loop.silent.add)(node)

    def mend(self) -> None:
        """Everything that is not hactl's to mend is mended."""
        self.note("everything is mended")
        self.loop.silent.clear()
        self.ask_nothing()
        for node in self.nodes:
            self.loop.world.thaw(node)
            self.loop.world.join(node)
            self.loop.world.power_on(node)

    # the whole

    def play(self, events: int) -> None:
        """Raises Broken, or AssertionError when planner and audit disagree."""
        self.passes(4.0)
        for _ in range(events):
            self.event()
            self.passes(self.chance.choice([1.0, 5.0, 15.0, 40.0]))
        self.mend()
        self.passes(60.0)
        self.settle()

    def settle(self) -> None:
        """Mended, it converges and serves, unless a person has to decide."""
        for _ in range(150):
            plan = self.look()
            self.advance(2.0)
            if not plan.stages and not any(hold.passing for hold in plan.holds):
                break
        else:
            raise Broken(f"does not converge: {[s.key for s in plan.steps]} {[h.message for h in plan.holds]}")
        if plan.holds:
            reasons = {hold.reason for hold in plan.holds} - {"HeldAtBoot"}  # follows from the others
            if (self.by_hand or self.split) and reasons and reasons <= FOR_PEOPLE:
                return
            raise Broken(f"held for good: {[f'{hold.reason}: {hold.message}' for hold in plan.holds]}")
        self.loop.world.advance(15.0)
        if found := complaints(self.loop):
            raise Broken(f"does not serve: {found}")
        for _ in range(3):
            self.loop.world.advance(20.0)
            if steps := self.loop.plan().steps:
                raise Broken(f"I7: a step on an unchanged pair: {[step.key for step in steps]}")
        self.judge_data()

    def judge_data(self) -> None:
        """Every number that reached the disk is there (I4), unless people split the copies."""
        if self.by_hand or self.split or not self.written:
            return
        for storage in self.storages:
            node = primaries(self.loop, storage.name)[0]
            text = self.loop.sh(node, f"cat {MARK}").strip()
            if not text.isdigit() or int(text) < self.written:
                raise Broken(f"I4: {MARK} on {node} says {text!r}, {self.written} was written")
