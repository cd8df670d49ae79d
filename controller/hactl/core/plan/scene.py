"""The scene a plan is made in: the document and the facts, with one place that says what may be relied on.

Rules: a node that did not answer, answered too long ago, is not FreeBSD, is not root's or is not the machine the
document names has no facts here; nothing is planned on it and nothing is concluded from its silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hactl.core.cluster import Cluster, hooked_groups, interface_on
from hactl.core.facts import HastRole, Interface, Known, NodeFacts, Reading, Snapshot, System, Unknown
from hactl.core.hook.render import HookFile, hook_files
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.operations import Overrides
from hactl.core.steps import Hold, Step

#: Facts older than this are not acted on (I6), seconds.
EVIDENCE_SECONDS = 30.0
#: A promotion needs the peer's word no older than this, seconds.
PROMOTION_EVIDENCE_SECONDS = 25.0

T = TypeVar("T")


def known(reading: Reading[T] | None) -> T | None:
    """The value of a reading, or None when it is Unknown (or was not asked)."""
    return reading.value if isinstance(reading, Known) else None


@dataclass(slots=True)
class Scene:
    """A cluster, what was seen of it, and the holds collected on the way."""

    cluster: Cluster
    snapshot: Snapshot
    now: float
    holds: list[Hold] = field(default_factory=list)
    facts: dict[str, NodeFacts] = field(default_factory=dict)
    #: Node -> why it cannot be relied on.
    silent: dict[str, str] = field(default_factory=dict)
    #: Group name -> active node, filled in by `hactl.core.plan.placement`.
    active: dict[str, str | None] = field(default_factory=dict)
    #: Group name -> node it should be active on, filled in by `hactl.core.plan.placement`.
    goals: dict[str, str | None] = field(default_factory=dict)
    #: What people asked for besides the document.
    overrides: Overrides = field(default_factory=Overrides)
    #: `Step.key` of steps that failed a short while ago.
    failing: Mapping[str, str] = field(default_factory=dict)
    _hooks: dict[str, tuple[HookFile, ...]] = field(default_factory=dict)

    def hook_files(self, node: str) -> tuple[HookFile, ...]:
        """The node hook's files of that node; none where there is nothing to move but addresses."""
        if node not in self._hooks:
            self._hooks[node] = hook_files(self.cluster, node) if hooked_groups(self.cluster, node) else ()
        return self._hooks[node]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in document order."""
        return tuple(node.name for node in self.cluster.nodes)

    def hold(
        self,
        reason: str,
        message: str,
        *,
        node: str | None = None,
        target: str = "",
        remedy: str = "",
        passing: bool = False,
    ) -> None:
        """Add a reason not to act, once."""
        hold = Hold(reason, message, node=node, target=target, remedy=remedy, passing=passing)
        if hold not in self.holds:
            self.holds.append(hold)

    def interface(self, vip: VirtualIP, node: str) -> Interface | None:
        """The interface that carries the vhid on that node; None when the node is silent or it is not there."""
        facts = self.facts.get(node)
        interfaces = known(facts.interfaces) if facts else None
        return interfaces.get(interface_on(vip, node)) if interfaces else None

    def carp_loaded(self, node: str) -> bool:
        """Whether the node is known to have carp(4) in its kernel."""
        modules = known(self.facts[node].modules) if node in self.facts else None
        return modules is not None and modules.get("carp", False)

    def role(self, resource: str, node: str) -> HastRole | None:
        """The HAST role of a node; None: not known.

        Only a primary has /dev/hast/NAME: a node that has it and says that it is not primary may be primary all the
        same (the role is being changed, or hastd died and its worker did not).
        """
        role = self._said_role(resource, node)
        return None if role is not HastRole.PRIMARY and self.has_device(resource, node) else role

    def has_device(self, resource: str, node: str) -> bool:
        """Whether /dev/hast/NAME is there; a mount of it counts while nobody could look."""
        facts = self.facts.get(node)
        device = known(facts.hast_devices.get(resource)) if facts else None
        if device is not None:
            return device.exists
        mounts = known(facts.mounts) if facts else None
        return any(mount.special == f"/dev/hast/{resource}" for mount in mounts or ())

    def _said_role(self, resource: str, node: str) -> HastRole | None:
        """The role hastd says it has. hastd not running, or not knowing the resource, is INIT: no worker."""
        facts = self.facts.get(node)
        if facts is None:
            return None
        hastd = known(facts.hastd)
        if hastd is not None and not hastd.running:
            return HastRole.INIT
        resources = known(facts.resources)
        if resources is None or resource not in resources:
            # hastd runs and does not know the resource: it cannot be primary for it.
            return HastRole.INIT if resources is not None else None
        return resources[resource].role

    def vips(self) -> Iterator[tuple[GroupSpec, VirtualIP]]:
        """Every virtual IP with its group, in document order."""
        for group in self.cluster.groups:
            for vip in group.virtual_ips:
                yield group, vip

    def storages(self) -> Iterator[tuple[GroupSpec, StorageSpec]]:
        """Every HAST resource with its group, in document order."""
        for group in self.cluster.groups:
            for storage in group.storage:
                yield group, storage

    def standby_first(self, group: GroupSpec) -> tuple[str, ...]:
        """The group's nodes, the active one last; by least preference when nobody is known to be active."""
        order = list(reversed(group.preferred))
        active = self.active.get(group.name)
        if active in order:
            order.remove(active)
            order.append(active)
        return tuple(order)


def set_scene(
    cluster: Cluster,
    snapshot: Snapshot,
    now: float,
    overrides: Overrides | None = None,
    failing: Mapping[str, str] | None = None,
) -> Scene:
    """Take from the snapshot what may be relied on; the rest becomes holds."""
    scene = Scene(cluster, snapshot, now, overrides=overrides or Overrides(), failing=failing or {})
    for name in scene.nodes:
        reading = snapshot.nodes.get(name)
        if not isinstance(reading, Known):
            reason, message = ("NodeSilent", "was not asked") if reading is None else _silence(reading)
            scene.silent[name] = message
            scene.hold(reason, f"{name}: {message.removeprefix(f'{name}: ')}", node=name, target=name)
            continue
        refusal = _refusal(name, reading.value, now)
        if refusal is not None:
            scene.silent[name] = refusal.message
            scene.holds.append(refusal)
        else:
            scene.facts[name] = reading.value
    return scene


def _silence(reading: Unknown) -> tuple[str, str]:
    return "NodeSilent", reading.raw or f"no facts: {reading.reason}"


def _refusal(name: str, facts: NodeFacts, now: float) -> Hold | None:
    """Why these facts cannot be acted on, if so."""
    age = now - facts.seen_at
    if age > EVIDENCE_SECONDS:
        return Hold("StaleFacts", f"{name}: last seen {age:.0f} s ago", node=name, target=name, passing=True)
    if not isinstance(facts.system, Known):
        return Hold("SystemUnknown", f"{name}: cannot tell what system it is: {facts.system.reason}", name, name)
    return _wrong_system(name, facts.system.value)


def _wrong_system(name: str, system: System) -> Hold | None:
    if system.sysname != "FreeBSD":
        return Hold(
            "NotFreeBSD",
            f"{name} runs {system.sysname}; hactl only changes FreeBSD",
            name,
            name,
            remedy="correct ssh.host of this node in the document",
        )
    if system.hostname != name and system.hostname.split(".")[0] != name:
        return Hold(
            "WrongHost",
            f"{name}: the machine there calls itself {system.hostname}",
            name,
            name,
            remedy="correct ssh.host, or name the node in the document as `hostname` prints it",
        )
    if system.uid != 0:
        return Hold(
            "NotRoot",
            f"{name}: the login has uid {system.uid}; root is needed",
            name,
            name,
            remedy="log in as root, or set ssh.become to doas or sudo",
        )
    return None


#: What an area of the planner returns: the steps of its next stage, or nothing to do.
Steps = list[Step]
