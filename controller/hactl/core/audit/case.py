"""One step of a plan under audit: the step, what it does, and the world just before it.

Rules: a rule is a function from a case to complaints (sentences); it decides nothing else and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from hactl.core.audit.effects import Effect, RunsService
from hactl.core.audit.model import Node, World
from hactl.core.cluster import interface_on
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.steps import Plan, Step

E = TypeVar("E")

#: Evidence older than this is none (docs/safety.md#I6), seconds.
EVIDENCE_LIMIT_SECONDS = 30.0
#: For a promotion, on both sides, seconds.
PROMOTION_LIMIT_SECONDS = 25.0


def age_seconds(node: Node, now: float) -> float:
    """Age of what is known of a node; infinite when it did not answer."""
    return float("inf") if node.facts is None else now - node.facts.seen_at


def too_old(node: Node, now: float) -> str:
    """I6: the complaint that what is known of a node is no evidence any more; empty when it is."""
    age = age_seconds(node, now)
    return f"I6: what is known of {node.name} is {age:.0f} s old" if age > EVIDENCE_LIMIT_SECONDS else ""


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule judges."""

    plan: Plan
    step: Step
    #: 0: the stage that is executed; later ones are predictions.
    stage: int
    world: World
    effects: tuple[Effect, ...]

    @property
    def here(self) -> Node:
        """The node the step changes."""
        return self.world.nodes[self.step.node]

    def age_seconds(self, node: Node) -> float:
        """Age of what is known of a node; infinite when it did not answer."""
        return age_seconds(node, self.world.now)

    def too_old(self, node: Node) -> str:
        """I6: the complaint that what is known of a node is no evidence any more; empty when it is."""
        return too_old(node, self.world.now)

    def all_of(self, kind: type[E]) -> Iterator[E]:
        """The effects of that kind."""
        return (effect for effect in self.effects if isinstance(effect, kind))

    def runs_only(self, service: str, action: str) -> Iterator[str]:
        """A complaint about every call of service(8) that is not this action of this service."""
        for effect in self.all_of(RunsService):
            if effect.name != service or effect.action not in (f"one{action}", action):
                yield f"service {effect.name} {effect.action} is not a {action} of {service}"

    def vip(self, interface: str, vhid: int | None) -> tuple[GroupSpec, VirtualIP] | None:
        """The virtual IP that has this vhid on this interface of the node."""
        for group in self.world.cluster.groups:
            for vip in group.virtual_ips:
                if vip.vhid == vhid and interface_on(vip, self.step.node) == interface:
                    return group, vip
        return None

    def storage(self, resource: str) -> tuple[GroupSpec, StorageSpec] | None:
        """The resource of that name, if this node has a part in it."""
        for group in self.world.cluster.groups:
            for storage in group.storage:
                if storage.name == resource and self.step.node in storage.hast.devices:
                    return group, storage
        return None

    def standing_on(self, pool: str) -> tuple[GroupSpec, list[StorageSpec]] | None:
        """The group of a pool and every resource of this node that the document puts under it, in its order."""
        for group in self.world.cluster.groups:
            found = [s for s in group.storage if pool_of(s) == pool and self.step.node in s.hast.devices]
            if found:
                return group, found
        return None

    def peers(self, storage: StorageSpec) -> list[Node]:
        """The other nodes of a resource."""
        return self.world.others(self.step.node, storage.hast.devices)


def pool_of(storage: StorageSpec) -> str | None:
    """The pool on the resource, if it is a pool."""
    return storage.filesystem.zfs.pool if storage.filesystem and storage.filesystem.zfs else None


def mountpoint_of(storage: StorageSpec) -> str | None:
    """Where the UFS filesystem of the resource is mounted, if it is one."""
    return storage.filesystem.ufs.mountpoint if storage.filesystem and storage.filesystem.ufs else None
