"""The words of an explanation: a headline, the few facts that carry it, and what to do; and where they are taken from.

Rules: a fact names its node and how old it is; a remedy is a command as it would be typed, with the machine to type it
on; nothing that is not seen is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hactl.core.cluster import Cluster
from hactl.core.evidence.carp import Voice
from hactl.core.evidence.view import View
from hactl.core.facts import HookFacts, Interface, Known, NodeFacts, Snapshot, Vhid, known
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.steps import Plan

What = Literal["active", "master", "primary"]


@dataclass(frozen=True, slots=True)
class Question:
    """Why a group is as it is; with `node` and `what`: why that node is not that."""

    group: str | None = None
    node: str | None = None
    what: What | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was seen, or that the document says."""

    text: str
    node: str | None = None
    #: How long ago the node said so, seconds; None: it is not a node's word.
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do."""

    command: str
    #: The node to type it on; None: where hactl runs.
    node: str | None = None
    #: When, or what for.
    note: str = ""

    def told(self) -> str:
        """For people, on one line."""
        where = f"on {self.node}: " if self.node else ""
        return f"{where}{self.command}" + (f"  ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer: the smallest set of facts that explains it, in causal order."""

    #: What it comes down to, PascalCase: for tests and for `-o json`.
    cause: str
    headline: str
    facts: tuple[Fact, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    #: True: things are as they should be.
    healthy: bool = False
    #: Headlines of what else is the matter.
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One group of a cluster, what was seen, and the sayings about it."""

    cluster: Cluster
    snapshot: Snapshot
    view: View
    plan: Plan
    now: float
    group: GroupSpec
    #: An earlier look, for what grew in between; None: there is none.
    before: Snapshot | None = None
    #: `Step.key` of steps that fail -> what happened.
    failing: Mapping[str, str] = field(default_factory=dict)
    #: What succeeded and was undone again, one sentence each.
    undone: Sequence[str] = ()
    #: The document's file, for commands.
    source: str = "FILE"

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name

    @property
    def active(self) -> str | None:
        """Where the group is, as far as is known."""
        return self.view.active(self.group)

    def looked_at(self, note: str) -> Remedy:
        """`hactl plan`, which says what hactl would do and what it waits for."""
        return Remedy(f"hactl plan -f {self.source}", None, note)

    def applied(self, note: str = "in mode Apply") -> Remedy:
        """`hactl apply`."""
        return Remedy(f"hactl apply -f {self.source}", None, note)

    def facts(self, node: str) -> NodeFacts | None:
        """What may be believed of the node."""
        return self.view.facts.get(node)

    def hook(self, node: str) -> HookFacts | None:
        """What the node has of the hook; None: not known."""
        facts = self.facts(node)
        return known(facts.hook) if facts is not None else None

    def sysctl(self, node: str, name: str) -> int | None:
        """net.inet.carp.NAME; None: not known."""
        facts = self.facts(node)
        values = known(facts.carp_sysctls) if facts is not None else None
        return values.get(name) if values is not None else None

    def age_seconds(self, node: str) -> float:
        """How old the word of the node is."""
        reading = self.snapshot.nodes.get(node)
        if reading is None:
            return 0.0
        at = reading.value.seen_at if isinstance(reading, Known) else reading.since
        return max(0.0, self.now - at)

    def fact(self, node: str, text: str) -> Fact:
        """A fact with the age of the node's word."""
        return Fact(text, node, self.age_seconds(node))

    def on(self, vip: VirtualIP, node: str) -> tuple[Interface | None, Vhid | None]:
        """Interface and vhid of a virtual IP on a node; None where it is not there or not known."""
        interface = self.view.interface(vip, node)
        return interface, interface.vhid(vip.vhid) if interface else None

    def voice(self, vip: VirtualIP, node: str) -> Voice | None:
        """What the node says, or would say, about the vhid; None: not known."""
        _, vhid = self.on(vip, node)
        demotion = self.sysctl(node, "demotion")
        if vhid is None or demotion is None:
            return None
        return Voice(vhid.advbase, vhid.advskew, demotion)

    def spoken(self, vip: VirtualIP, node: str) -> Fact | None:
        """The node's arithmetic for the vhid as a fact."""
        state, voice = self.view.state(vip, node), self.voice(vip, node)
        if voice is None:
            return None
        return self.fact(node, f"vhid {vip.vhid} is {state}: {voice.told()}")


def login(case: Case, node: str) -> Remedy:
    """How a person reaches the node as hactl does."""
    spec = next(each for each in case.cluster.nodes if each.name == node).ssh
    port = f"-p {spec.port} " if spec.port != 22 else ""
    return Remedy(f"ssh {port}{spec.user}@{spec.host}", None, f"does {node} answer you?")


def each(*facts: Fact | None) -> tuple[Fact, ...]:
    """Those that are there."""
    return tuple(fact for fact in facts if fact is not None)
