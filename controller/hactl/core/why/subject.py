"""What an explanation is about: one group of a cluster, what is seen and planned, and what else bears on it.

Rules: a fact that is taken from here names its node and how old that node's word is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hactl.core.evidence.carp import Voice
from hactl.core.evidence.failures import Place
from hactl.core.evidence.view import VhidState, View
from hactl.core.facts import NodeFacts, Snapshot
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.operations import Failures
from hactl.core.steps import Plan, StepKey
from hactl.core.why.answer import Fact, Remedy
from hactl.core.why.fights import Fight


@dataclass(frozen=True, slots=True)
class Background:
    """What bears on an explanation besides what is seen and planned now."""

    #: An earlier look, for what grew in between; None: there is none.
    before: Snapshot | None = None
    #: `Step.key` of steps that fail -> what happened.
    failing: Mapping[StepKey, str] = field(default_factory=dict)
    #: What succeeded and was undone again.
    fights: Sequence[Fight] = ()
    #: Services that stopped by themselves.
    failures: Mapping[Place, Failures] = field(default_factory=dict)
    #: The document's file, for commands.
    source: str = "FILE"


@dataclass(frozen=True, slots=True)
class Subject:
    """The group that is asked about."""

    view: View
    plan: Plan
    group: GroupSpec
    background: Background

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.view.cluster.name

    @property
    def name(self) -> str:
        """The group's name."""
        return self.group.name

    @property
    def active(self) -> str | None:
        """Where the group is, as far as is known."""
        return self.view.active(self.group)

    def facts(self, node: str) -> NodeFacts | None:
        """What may be believed of the node."""
        return self.view.facts.get(node)

    def fact(self, node: str, text: str) -> Fact:
        """A fact with the age of the node's word."""
        return Fact(text, node, self.view.age_seconds(node))

    def voice(self, vip: VirtualIP, node: str) -> Voice | None:
        """What the node says, or would say, about the vhid; None: not known."""
        vhid, demotion = self.view.vhid(vip, node), self.view.sysctl(node, "demotion")
        if vhid is None or demotion is None:
            return None
        return Voice(vhid.advbase, vhid.advskew, demotion)

    def spoken(self, vip: VirtualIP, node: str) -> Fact | None:
        """The node's arithmetic for the vhid as a fact."""
        voice = self.voice(vip, node)
        if voice is None:
            return None
        state = self.view.state(vip, node)
        then = "" if state is VhidState.MASTER else " once it is MASTER"
        return self.fact(node, f"vhid {vip.vhid} is {state}: {voice.arithmetic}{then}")

    # --- what to do -----------------------------------------------------------------------------------------------

    def looked_at(self, note: str) -> Remedy:
        """`hactl plan`, which says what hactl would do and what it waits for."""
        return Remedy(f"hactl plan -f {self.background.source}", None, note)

    def applied(self, note: str = "in mode Apply") -> Remedy:
        """`hactl apply`."""
        return Remedy(f"hactl apply -f {self.background.source}", None, note)

    def login(self, node: str) -> Remedy:
        """How a person reaches the node as hactl does."""
        spec = next(spec for spec in self.view.cluster.nodes if spec.name == node).ssh
        port = f"-p {spec.port} " if spec.port != 22 else ""
        return Remedy(f"ssh {port}{spec.user}@{spec.host}", None, f"does {node} answer you?")
