"""How long a failover would take, each second with its owner: CARP, asking the peer, role, filesystem, services.

Rules: it is the time after which the standby serves at the latest, for an active node that dies without a word: that
is the slow case. What CARP waits for is known (docs/freebsd-facts.md#1.2); the rest is what the nodes' hooks noted of
moves that CARP began (`/var/db/hactl/moves`), else an estimate, and the sentence says which. Resources of a group are
taken side by side, so more of them take no longer but for their largest filesystem; services start one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hactl.core.choices import Replication, RunOn
from hactl.core.cluster import failover_of, hooked_groups
from hactl.core.evidence.carp import master_down_seconds
from hactl.core.evidence.hook_log import TOOK, HookMove, moves_of
from hactl.core.evidence.view import View
from hactl.core.facts import HastMetadata
from hactl.core.objects import GroupSpec, StorageSpec

#: Until a peer that answers nowhere counts as gone: four questions on each network, all networks at once.
ASKING_SECONDS = 2.5
#: hastctl role primary, and /dev/hast/NAME, with a peer that cannot be reached.
ROLE_SECONDS = 1.0
#: fsck -p of a filesystem that was not unmounted: a start, and seconds for each GiB (recording 06; hardware is faster).
FSCK_SECONDS = 1.0
FSCK_SECONDS_PER_GIB = 0.5
#: zpool import of a pool that was not exported, seconds.
IMPORT_SECONDS = 5.0
#: One service, seconds.
SERVICE_SECONDS = 2.0
#: So many of the newest moves of a group are looked at; the slowest of them counts.
MOVES_COUNTED = 5
#: What the hook notes, in the order it passes, and what people call it.
OWNERS = {"peer": "asking the peer", "role": "role", "filesystem": "check and mount", "services": "services"}


@dataclass(frozen=True, slots=True)
class Phase:
    """Some of the seconds, and what they go to."""

    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The seconds of each part, in the order they pass."""

    group: str
    active: str
    standby: str
    #: Silence until the standby is MASTER.
    address_seconds: float
    #: What the standby's hook does then; none where CARP is all.
    work: tuple[Phase, ...]
    #: How many moves the work was measured in; 0: it is an estimate.
    moves: int
    #: Whether a write that was acknowledged can be lost.
    may_lose_writes: bool

    @property
    def total_seconds(self) -> float:
        """From the death of the active node to service."""
        return self.address_seconds + sum(phase.seconds for phase in self.work)

    @property
    def sentence(self) -> str:
        """One sentence without anything that changes while all is well."""
        head = f"{self.group}: {self.standby} serves within about {self.total_seconds:.0f} s"
        parts = [f"CARP {self.address_seconds:.1f}", *(f"{phase.owner} {phase.seconds:.0f}" for phase in self.work)]
        how = f", but for CARP as in the slowest of {self.moves} moves" if self.moves > 1 else ""
        how = ", but for CARP as in its last move" if self.moves == 1 else how
        how = ", estimated" if self.work and not self.moves else how
        loss = "; the last writes may be lost (replication async)" if self.may_lose_writes else ""
        return f"{head} ({', '.join(parts)}{how}){loss}"


def predict_failover(view: View, group: GroupSpec) -> Timeline | None:
    """How long it would take if the active node died now; None while there is no active node or no standby."""
    active = view.active(group)
    standby = next((node for node in group.preferred if node != active), None)
    if active is None or standby is None:
        return None
    work: tuple[Phase, ...] = ()
    moves: list[HookMove] = []
    if group in hooked_groups(view.cluster, standby):
        moves = list(measured(view, group))
        slowest = max(moves, key=lambda move: move.seconds, default=None)
        estimate = _estimate(view, group, (standby, active))
        work = tuple(_as_measured(slowest, estimate[0].seconds) if slowest is not None else estimate)
    return Timeline(
        group=group.name,
        active=active,
        standby=standby,
        address_seconds=max((_address(view, group, standby)), default=0.0),
        work=work,
        moves=len(moves),
        may_lose_writes=any(storage.hast.replication is Replication.ASYNC for storage in group.storage),
    )


def _address(view: View, group: GroupSpec, standby: str) -> Iterator[float]:
    """Each vhid as the standby has it; as the document's advbase has it where it is not known."""
    for vip in group.virtual_ips:
        vhid = view.vhid(vip, standby)
        yield master_down_seconds(vhid.advbase, vhid.advskew) if vhid else master_down_seconds(vip.advbase, 0)


def _estimate(view: View, group: GroupSpec, nodes: tuple[str, str]) -> list[Phase]:
    """What the hook of the first of the nodes would do; what takes no time is left out but for the first part."""
    settle = float(failover_of(view.cluster, group).settle_seconds)
    filesystems = [_filesystem(view, storage, nodes) for storage in group.storage]
    services = [service for service in group.services if service.run_on is RunOn.ACTIVE]
    asking = Phase(OWNERS["peer"], max(settle, ASKING_SECONDS)) if group.storage else Phase("settling", settle)
    rest = (
        Phase(OWNERS["role"], ROLE_SECONDS if group.storage else 0.0),
        Phase(OWNERS["filesystem"], max(filesystems, default=0.0)),
        Phase(OWNERS["services"], SERVICE_SECONDS * len(services)),
    )
    return [asking, *(phase for phase in rest if phase.seconds)]


def _as_measured(move: HookMove, asking_seconds: float) -> Iterator[Phase]:
    """The seconds of that move; a peer that let go is not asked as long as one that is silent."""
    left = move.seconds - sum(move.phases.values())
    for name, owner in OWNERS.items():
        seconds = move.phases.get(name, 0.0)
        if name == "peer":
            seconds = max(seconds, asking_seconds)
        if seconds:
            yield Phase(owner, seconds)
    if left >= 1:
        yield Phase("the rest", left)


def _filesystem(view: View, storage: StorageSpec, nodes: tuple[str, str]) -> float:
    """fsck -p and mount, or the import of a pool; 0 where the document has none."""
    if storage.filesystem is None:
        return 0.0
    if storage.filesystem.zfs is not None:
        return IMPORT_SECONDS
    copies = [view.metadata(storage.name, node) for node in nodes]
    size = max((copy.datasize for copy in copies if isinstance(copy, HastMetadata)), default=0)
    return FSCK_SECONDS + FSCK_SECONDS_PER_GIB * (size // 2**30)


def measured(view: View, group: GroupSpec) -> Iterator[HookMove]:
    """The newest moves that CARP began and that brought the group, as it is now, to one of its nodes.

    A move whose phases this hook does not know is an earlier hook's, and says nothing about this one.
    """
    services = sum(service.run_on is RunOn.ACTIVE for service in group.services)
    parts = (len(group.storage), services)
    moves = [
        move
        for node in group.preferred
        for move in moves_of(view.hook(node), group.name)
        if move.what == TOOK and move.phases and set(move.phases) <= set(OWNERS) and move.parts in (None, parts)
    ]
    yield from sorted(moves, key=lambda move: move.epoch)[-MOVES_COUNTED:]
