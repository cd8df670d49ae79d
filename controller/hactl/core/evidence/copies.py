"""The two copies of a HAST resource side by side: which is newer, or that both were written while apart.

Rules: counters first, by the table of hastd's own handshake (docs/freebsd-facts.md#2.6; hastd/secondary.c,
init_remote); what they cannot tell (two primaries that write now) by roles and dirty bytes; what is not known is
Unknown, never "same". HAST keeps no time of the last write: the log of CARP and of the node hook is what there is of a
timeline. Man page: hastctl(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hactl.core.cluster import Cluster, interface_on
from hactl.core.evidence.choice import choose_copy
from hactl.core.evidence.view import MountState, ReportedRole, View
from hactl.core.facts import HastMetadata, NoMetadata, Snapshot, known
from hactl.core.objects import GroupSpec, StorageSpec

#: Lines of the timeline that are shown for each node.
TIMELINE_LINES = 4


class Verdict(StrEnum):
    """What the comparison comes to."""

    SAME = "Same"
    FIRST_NEWER = "FirstNewer"
    SECOND_NEWER = "SecondNewer"
    DIVERGED = "Diverged"
    FOREIGN = "Foreign"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Copy:
    """One node's copy."""

    node: str
    device: str
    role: ReportedRole
    #: complete, degraded or None, as `hastctl list` has it.
    status: str | None
    #: Bytes that are here only, as a primary counts them; None: not known.
    dirty: int | None
    metadata: HastMetadata | NoMetadata | None
    mounted: bool
    #: What the node's kernel and its hook wrote down, oldest first.
    timeline: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both copies, in the order of the group's `preferred`, and what they come to."""

    resource: str
    copies: tuple[Copy, ...]
    verdict: Verdict
    #: The node whose copy is the newer one; None when there is no such thing.
    newer: str | None
    message: str

    @property
    def apart(self) -> bool:
        """The copies refuse each other for good: a person must choose."""
        return self.verdict in (Verdict.DIVERGED, Verdict.FOREIGN)

    def copy(self, node: str) -> Copy:
        """The copy of that node. Raises KeyError."""
        for copy in self.copies:
            if copy.node == node:
                return copy
        raise KeyError(node)


def group_of(cluster: Cluster, resource: str) -> tuple[GroupSpec, StorageSpec] | None:
    """The resource with its group; None when the document has none of that name."""
    for group in cluster.groups:
        for storage in group.storage:
            if storage.name == resource:
                return group, storage
    return None


def diverged(view: View, storage: StorageSpec) -> bool:
    """Whether both copies were written while they were apart, by the metadata of both (docs/freebsd-facts.md#2.6)."""
    copies = {node: view.metadata(storage.name, node) for node in storage.hast.devices}
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    return len(real) == 2 and choose_copy(storage.name, real, tuple(real)).hold == "SplitBrain"


def compare_copies(cluster: Cluster, snapshot: Snapshot, storage: StorageSpec, now: float | None = None) -> Comparison:
    """The copies as seen at `now`, monotonic seconds; by default when the snapshot was taken."""
    view = View.at(cluster, snapshot, snapshot.taken_at if now is None else now)
    return compare_seen(view, storage)


def compare_seen(view: View, storage: StorageSpec) -> Comparison:
    """`compare_copies` for a cluster that was sorted into believed and silent already."""
    group = next(group for group in view.cluster.groups if storage in group.storage)
    nodes = [node for node in group.preferred if node in storage.hast.devices]
    copies = tuple(_copy(view, group, storage, node) for node in nodes)
    verdict, newer, message = _judge(storage.name, copies)
    return Comparison(storage.name, copies, verdict, newer, message)


def _copy(view: View, group: GroupSpec, storage: StorageSpec, node: str) -> Copy:
    resource = view.resource(storage.name, node)
    return Copy(
        node=node,
        device=storage.hast.devices[node],
        role=view.reported_role(storage.name, node),
        status=resource.status if resource else None,
        dirty=resource.dirty if resource else None,
        metadata=view.metadata(storage.name, node),
        mounted=view.mount(storage, node) is MountState.MOUNTED,
        timeline=_timeline(view, group, node),
    )


def _timeline(view: View, group: GroupSpec, node: str) -> tuple[str, ...]:
    facts = view.facts.get(node)
    if facts is None:
        return ()
    ours = {f"{vip.vhid}@{interface_on(vip, node)}:" for vip in group.virtual_ips}
    lines = [line for line in facts.carp_log if line.split(" ", 1)[0] in ours]
    hook = known(facts.hook)
    for line in hook.moves if hook else ():
        words = line.split(" ", 4)
        if len(words) >= 3 and words[1] == group.name and words[0].isascii() and words[0].isdigit():
            lines.append(f"{_moment(int(words[0]))} hook: {words[2]} {' '.join(words[4:])}".rstrip())
    return tuple(lines[-TIMELINE_LINES:])


def _moment(epoch: int) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"@{epoch}"


# --- the verdict --------------------------------------------------------------------------------------------------

_Judgement = tuple[Verdict, str | None, str]


def _judge(name: str, copies: tuple[Copy, ...]) -> _Judgement:
    if len(copies) != 2:
        return Verdict.UNKNOWN, None, f"the document has {len(copies)} copy of {name}"
    for copy in copies:
        if copy.metadata is None:
            return Verdict.UNKNOWN, None, f"what is on {copy.device} of {copy.node} is not known"
        if copy.metadata in (NoMetadata.INVALID, NoMetadata.FOREIGN):
            return Verdict.FOREIGN, None, f"{copy.device} of {copy.node} holds something else than {name}"
    ids = [copy.metadata.resuid if isinstance(copy.metadata, HastMetadata) else 0 for copy in copies]
    if not any(ids):
        return Verdict.SAME, None, f"neither copy of {name} holds anything yet"
    if not all(ids):
        full = 0 if ids[0] else 1
        return _newer(copies, full, f"{copies[1 - full].node}'s copy is new and empty")
    if ids[0] != ids[1]:
        where = " and ".join(copy.node for copy in copies)
        return Verdict.FOREIGN, None, f"the disks of {where} belong to different resources"
    return _by_counters(name, copies)


def _newer(copies: tuple[Copy, ...], which: int, why: str) -> _Judgement:
    return (Verdict.FIRST_NEWER, Verdict.SECOND_NEWER)[which], copies[which].node, why


def _by_counters(name: str, copies: tuple[Copy, ...]) -> _Judgement:
    """`localcnt` counts for itself, `remotecnt` for the peer: ahead is who counts more than the peer knows of."""
    a, b = (copy.metadata for copy in copies)
    assert isinstance(a, HastMetadata)
    assert isinstance(b, HastMetadata)
    first, second = copies
    ahead = a.localcnt > b.remotecnt, b.localcnt > a.remotecnt
    dirty = bool(first.dirty) and _primary(first), bool(second.dirty) and _primary(second)
    if all(ahead):
        return Verdict.DIVERGED, None, f"both copies of {name} were written while they were apart"
    if _primary(first) and _primary(second) and all(dirty):
        # The counters follow only once, and may have been raised before: docs/freebsd-facts.md#2.6, "detection can be
        # missed".
        return Verdict.DIVERGED, None, f"both nodes are primary for {name} and have written what the other has not"
    for which, one in enumerate(copies):
        other = copies[1 - which]
        if ahead[which]:
            if dirty[1 - which]:
                return (
                    Verdict.DIVERGED,
                    None,
                    f"{one.node} wrote {name} alone before, and {other.node}, which is primary, writes it alone now",
                )
            return _newer(copies, which, f"{one.node} wrote while {other.node} was away")
    if a.localcnt != b.remotecnt or b.localcnt != a.remotecnt:
        return Verdict.UNKNOWN, None, f"the copies of {name} count each other wrongly"
    return _in_step(name, copies, dirty)


def _primary(copy: Copy) -> bool:
    return copy.role is ReportedRole.PRIMARY


def _in_step(name: str, copies: tuple[Copy, ...], dirty: tuple[bool, bool]) -> _Judgement:
    """The counters agree. During a first full copy they do so too early: then the primary's dirty bytes tell."""
    if any(copy.role is ReportedRole.UNKNOWN for copy in copies):
        return Verdict.UNKNOWN, None, f"the counters of {name} agree, but not every node tells its role"
    for which in (0, 1):
        if dirty[which]:
            return _newer(copies, which, f"{copies[which].node} has what is not on {copies[1 - which].node} yet")
    if all(_primary(copy) for copy in copies):
        return Verdict.UNKNOWN, None, f"both nodes are primary for {name}; neither has counted a write alone yet"
    return Verdict.SAME, None, f"both copies of {name} are the same, by their counters"


# --- for people ---------------------------------------------------------------------------------------------------


def comparison_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: one row for each thing to compare, one column for each node."""
    copies = comparison.copies
    rows = [
        ["device", *(copy.device for copy in copies)],
        ["role", *(_role(copy) for copy in copies)],
        ["mounted", *("yes" if copy.mounted else "no" for copy in copies)],
        ["resuid", *(_field(copy, "resuid") for copy in copies)],
        ["localcnt", *(_field(copy, "localcnt") for copy in copies)],
        ["remotecnt", *(_field(copy, "remotecnt") for copy in copies)],
        ["prevrole", *(_field(copy, "prevrole") for copy in copies)],
        ["wrote alone", *_wrote_alone(copies)],
        ["dirty", *(_dirty(copy) for copy in copies)],
    ]
    return ["", *(copy.node for copy in copies)], rows


def _role(copy: Copy) -> str:
    return f"{copy.role}, {copy.status}" if copy.status else copy.role


def _field(copy: Copy, name: str) -> str:
    if isinstance(copy.metadata, HastMetadata):
        return str(getattr(copy.metadata, name))
    return copy.metadata.value if copy.metadata is not None else "Unknown"


def _wrote_alone(copies: tuple[Copy, ...]) -> list[str]:
    """Whether each counts more for itself than the other knows of."""
    told = []
    for copy in copies:
        peer = next((other for other in copies if other is not copy), None)
        mine, theirs = copy.metadata, peer.metadata if peer else None
        if isinstance(mine, HastMetadata) and isinstance(theirs, HastMetadata):
            told.append("yes" if mine.localcnt > theirs.remotecnt else "no")
        else:
            told.append("Unknown")
    return told


def _dirty(copy: Copy) -> str:
    """A secondary, or a node without a worker, counts nothing (docs/freebsd-facts.md#2.4)."""
    if copy.dirty is None:
        return "Unknown"
    if not _primary(copy):
        return "not counted"
    return f"{copy.dirty} bytes ({copy.dirty / 1048576:.0f} MiB)"
