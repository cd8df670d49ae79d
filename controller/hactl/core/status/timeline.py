"""How long a failover would take: address, storage, filesystem, services.

Rules: what CARP and HAST wait for is known (docs/freebsd-facts.md#1.2, #2.7); what a filesystem check and a service
take is an estimate that the moves a node has made before correct (`/var/db/hactl/moves`). It is the time after which
the standby serves at the latest, for an active node that dies without a word: that is the slow case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hactl.core.cluster import failover_of, hooked_groups
from hactl.core.evidence.carp import master_down_seconds
from hactl.core.evidence.hook_log import TOOK, moves_of
from hactl.core.evidence.view import View
from hactl.core.facts import HastMetadata
from hactl.core.objects import GroupSpec, Replication, RunOn, StorageSpec

#: fsck -p of a filesystem that was not unmounted: a start, and seconds for each GiB (recording 06; hardware is faster).
FSCK_SECONDS = 2.0
FSCK_SECONDS_PER_GIB = 0.5
#: zpool import of a pool that was not exported, seconds.
IMPORT_SECONDS = 5.0
#: One service, seconds.
SERVICE_SECONDS = 2.0
#: So many of the newest moves of a group correct the estimate; the slowest of them counts.
MOVES_COUNTED = 5


@dataclass(frozen=True, slots=True)
class Timeline:
    """The seconds of each part, in the order they pass."""

    group: str
    active: str
    standby: str
    #: Silence until the standby is MASTER.
    address_seconds: float
    #: `failover.settleSeconds`: 0 where there is no hook.
    settle_seconds: float
    #: HAST: the secondary notices that its primary is gone, and the new primary gives up looking for its peer.
    storage_seconds: float
    filesystem_seconds: float
    services_seconds: float
    #: The slowest of the last moves to one of the group's nodes, from its trigger to serving; None: there was none.
    measured_seconds: float | None
    #: Whether a write that was acknowledged can be lost.
    may_lose_writes: bool

    @property
    def total_seconds(self) -> float:
        """From the death of the active node to service.

        A measured move that took less than HAST's own waits met a peer that let go, so the waits are added to it; one
        that took longer had them in it.
        """
        work = self.settle_seconds + self.filesystem_seconds + self.services_seconds
        if self.measured_seconds is None:
            return self.address_seconds + self.storage_seconds + work
        waits = self.storage_seconds if self.measured_seconds < self.storage_seconds else 0.0
        return self.address_seconds + waits + self.measured_seconds

    @property
    def sentence(self) -> str:
        """One sentence without anything that changes while all is well."""
        head = f"{self.group}: {self.standby} serves within about {self.total_seconds:.0f} s"
        parts = [f"address {self.address_seconds:.1f}"]
        if self.storage_seconds:
            parts.append(f"HAST up to {self.storage_seconds:.0f}")
        if self.measured_seconds is not None:
            parts.append(f"the rest as measured, {self.measured_seconds:.0f}")
        else:
            rest = (("settling", self.settle_seconds), ("filesystem", self.filesystem_seconds))
            parts += [f"{word} {seconds:.0f}" for word, seconds in rest if seconds]
            parts += [f"services {self.services_seconds:.0f}"] if self.services_seconds else []
        loss = "; the last writes may be lost (replication async)" if self.may_lose_writes else ""
        return f"{head} ({', '.join(parts)}){loss}"


def predict_failover(view: View, group: GroupSpec) -> Timeline | None:
    """How long it would take if the active node died now; None while there is no active node or no standby."""
    active = view.active(group)
    standby = next((node for node in group.preferred if node != active), None)
    if active is None or standby is None:
        return None
    hooked = group in hooked_groups(view.cluster, standby)
    services = [service for service in group.services if service.run_on is RunOn.ACTIVE]
    return Timeline(
        group=group.name,
        active=active,
        standby=standby,
        address_seconds=max((_address(view, group, standby)), default=0.0),
        settle_seconds=float(failover_of(view.cluster, group).settle_seconds) if hooked else 0.0,
        storage_seconds=max((2.0 * storage.hast.timeout_seconds for storage in group.storage), default=0.0),
        filesystem_seconds=sum(_filesystem(view, storage, (standby, active)) for storage in group.storage),
        services_seconds=SERVICE_SECONDS * len(services),
        measured_seconds=measured(view, group) if hooked else None,
        may_lose_writes=any(storage.hast.replication is Replication.ASYNC for storage in group.storage),
    )


def _address(view: View, group: GroupSpec, standby: str) -> Iterator[float]:
    """Each vhid as the standby has it; as the document's advbase has it where it is not known."""
    for vip in group.virtual_ips:
        vhid = view.vhid(vip, standby)
        yield master_down_seconds(vhid.advbase, vhid.advskew) if vhid else master_down_seconds(vip.advbase, 0)


def _filesystem(view: View, storage: StorageSpec, nodes: tuple[str, ...]) -> float:
    """fsck -p and mount, or the import of a pool; 0 where the document has none."""
    if storage.filesystem is None:
        return 0.0
    if storage.filesystem.zfs is not None:
        return IMPORT_SECONDS
    copies = [view.metadata(storage.name, node) for node in nodes]
    size = max((copy.datasize for copy in copies if isinstance(copy, HastMetadata)), default=0)
    return FSCK_SECONDS + FSCK_SECONDS_PER_GIB * (size // 2**30)


def measured(view: View, group: GroupSpec) -> float | None:
    """The slowest of the newest moves that brought the group to one of its nodes, seconds; None: there was none."""
    moves = [move for node in group.preferred for move in moves_of(view.hook(node), group.name) if move.what == TOOK]
    newest = sorted((move.epoch, move.seconds) for move in moves)[-MOVES_COUNTED:]
    return max((seconds for _, seconds in newest), default=None)
