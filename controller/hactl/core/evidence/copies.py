"""The two copies of a HAST resource side by side: which one to serve, which is newer, or that they refuse each other.

Rules: counters first, by the table of hastd's own handshake (docs/freebsd-facts.md#2.6; hastd/secondary.c,
init_remote): L is what a copy counts for itself, R what it counts for its peer. Both sides ahead of what the other
knows is a split-brain and never ours to decide. What counters cannot tell (two primaries that write now) roles and
dirty bytes do; what is not known is Unknown, never "same". HAST keeps no time of the last write: the log of CARP and of
the node hook is what there is of a timeline. Man page: hastctl(8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hactl.core.catalogue import HoldReason
from hactl.core.cluster import Cluster, interface_on
from hactl.core.evidence.hook_log import moves_of
from hactl.core.evidence.view import MountState, ReportedRole, View
from hactl.core.facts import HastMetadata, NoMetadata, known
from hactl.core.objects import GroupSpec, StorageSpec

# --- the copy to serve --------------------------------------------------------------------------------------------

#: What a person does about copies that refuse each other.
COMPARE = (
    "compare `hastctl dump {name}` on both nodes; on the node whose data is thrown away: hastctl role init {name}, "
    "hastctl create {name}, hastctl role secondary {name}"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The node whose copy should serve, or why nobody can say."""

    node: str | None
    why: str
    #: Hold reason when node is None.
    hold: HoldReason | None = None

    @property
    def refused(self) -> bool:
        """hastd connects these copies no more until a person has decided (hastd/secondary.c, init_remote)."""
        return self.hold in (HoldReason.SPLIT_BRAIN, HoldReason.FOREIGN_COPY)


def choose_copy(
    resource: str, metadata: Mapping[str, HastMetadata], preferred: tuple[str, ...], *, moved: bool = False
) -> Choice:
    """Of two nodes that are both not primary, the one that holds the newest complete copy.

    `metadata` has both nodes. Ties go to the node that was primary last, then to the order of `preferred`; with
    `moved` (a person asked for it, after everything was on both disks) to that order at once.
    """
    first, second = (node for node in preferred if node in metadata)
    a, b = metadata[first], metadata[second]
    if a.resuid != b.resuid:
        return _different_ids(resource, first, a, second, b)
    ahead_a, ahead_b = a.localcnt > b.remotecnt, b.localcnt > a.remotecnt
    if ahead_a and ahead_b:
        return Choice(
            None,
            f"{resource}: both copies were written while apart ({first} counts {a.localcnt}/{a.remotecnt}, "
            f"{second} counts {b.localcnt}/{b.remotecnt})",
            HoldReason.SPLIT_BRAIN,
        )
    if ahead_a:
        return Choice(first, f"{first} wrote while {second} was away")
    if ahead_b:
        return Choice(second, f"{second} wrote while {first} was away")
    if a.localcnt != b.remotecnt or b.localcnt != a.remotecnt:
        return Choice(
            None,
            f"{resource}: the copies count each other wrongly ({first} {a.localcnt}/{a.remotecnt}, "
            f"{second} {b.localcnt}/{b.remotecnt})",
            HoldReason.COUNTERS_DISAGREE,
        )
    if moved and a.resuid != 0:
        return Choice(first, f"both copies are the same; {first} was asked for")
    return _equal(first, a, second, b)


def _different_ids(resource: str, first: str, a: HastMetadata, second: str, b: HastMetadata) -> Choice:
    """A copy without an id was just created and holds nothing."""
    if b.resuid == 0:
        return Choice(first, f"{second}'s copy is new and empty")
    if a.resuid == 0:
        return Choice(second, f"{first}'s copy is new and empty")
    return Choice(
        None, f"{resource}: the disks of {first} and {second} belong to different resources", HoldReason.FOREIGN_COPY
    )


def _equal(first: str, a: HastMetadata, second: str, b: HastMetadata) -> Choice:
    """The counters say in sync; during a first full sync they do so too early, but prevrole then tells the source."""
    if a.prevrole != "primary" and b.prevrole == "primary":
        return Choice(second, f"{second} was primary last")
    if a.prevrole == "primary" and b.prevrole != "primary":
        return Choice(first, f"{first} was primary last")
    if a.remotecnt and not b.remotecnt:
        # What a node that counts for itself already writes alone is not counted (docs/freebsd-facts.md#2.6); what the
        # other one writes alone is: by equal counters only the first can be the newer one.
        return Choice(second, f"{second} may have written alone what neither copy counts")
    return Choice(first, f"both copies are the same; {first} is preferred")


def choose(view: View, storage: StorageSpec, order: Sequence[str], *, moved: bool = False) -> Choice | None:
    """`choose_copy` of what both nodes of `order` hold; None while one holds no copy or what it holds is not known."""
    copies = {node: view.metadata(storage.name, node) for node in order}
    real = {node: copy for node, copy in copies.items() if isinstance(copy, HastMetadata)}
    if len(real) != 2:
        return None
    choice = choose_copy(storage.name, real, tuple(order), moved=moved)
    if choice.node is not None and choice.node == outruns(view, storage):
        why = f"{storage.name}: both copies were written while apart, and by its counters the older one would win"
        return Choice(None, why, HoldReason.SPLIT_BRAIN)
    return choice


def diverged(view: View, storage: StorageSpec) -> bool:
    """Whether both copies were written while they were apart, by the metadata of both."""
    choice = choose(view, storage, tuple(storage.hast.devices))
    return choice is not None and choice.hold is HoldReason.SPLIT_BRAIN


# --- the comparison, for people -----------------------------------------------------------------------------------

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


def compare_copies(view: View, storage: StorageSpec) -> Comparison:
    """The copies as they are seen."""
    group = next(group for group in view.cluster.groups if storage in group.storage)
    nodes = [node for node in group.preferred if node in storage.hast.devices]
    copies = tuple(_copy(view, group, storage, node) for node in nodes)
    verdict, newer, message = _judge(storage.name, copies)
    if newer is not None and newer == outruns(view, storage):
        verdict, newer = Verdict.DIVERGED, None
        message = f"both copies of {storage.name} were written while they were apart; the counters do not tell it"
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
    lines += [
        f"{_moment(move.epoch)} hook: {move.what} {move.text}".rstrip()
        for move in moves_of(known(facts.hook), group.name)
    ]
    return tuple(lines[-TIMELINE_LINES:])


def _moment(epoch: int) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"@{epoch}"


def stale_writer(view: View, storage: StorageSpec) -> str | None:
    """The one node whose hook noted that it slept while its peer took over, and wrote then; None: nobody, or both."""
    nodes = [node for node in storage.hast.devices if (hook := view.hook(node)) and storage.name in hook.fenced]
    return nodes[0] if len(nodes) == 1 else None


def outruns(view: View, storage: StorageSpec) -> str | None:
    """The stale writer whose copy hastd would take for the newer one; None: there is none.

    Where the peer counted for itself before, what it writes alone is not counted (docs/freebsd-facts.md#2.6).
    """
    node = stale_writer(view, storage)
    if node is None:
        return None
    copies = {each: view.metadata(storage.name, each) for each in storage.hast.devices}
    copy = copies.pop(node)
    if not isinstance(copy, HastMetadata) or not (copy.localcnt and copy.remotecnt):
        return None
    known_there = [other.remotecnt for other in copies.values() if isinstance(other, HastMetadata)]
    return node if all(copy.localcnt > count for count in known_there) else None


def fenced_words(view: View, storage: StorageSpec, node: str) -> str:
    """What the hook of the stale writer noted, as a sentence."""
    hook = view.hook(node)
    assert hook is not None
    epoch, writes = hook.fenced[storage.name]
    wrote = f"wrote at least {writes} time{'s' if writes != 1 else ''}" if writes else "may have written"
    return (
        f"{node} slept or was cut off while its peer took over, and {wrote} to {storage.name} before that was ended at "
        f"{_moment(epoch)}: what it wrote then is on no other node"
    )


# --- the verdict --------------------------------------------------------------------------------------------------

_Judgement = tuple[Verdict, str | None, str]


def _judge(name: str, copies: tuple[Copy, ...]) -> _Judgement:
    if len(copies) != 2:
        return Verdict.UNKNOWN, None, f"{name} has {len(copies)} copy in the document, and two are needed"
    for copy in copies:
        if copy.metadata is None:
            return Verdict.UNKNOWN, None, f"what is on {copy.device} of {copy.node} is not known"
        if copy.metadata in (NoMetadata.INVALID, NoMetadata.FOREIGN):
            return Verdict.FOREIGN, None, f"{copy.device} of {copy.node} holds something else than {name}"
    full = [copy for copy in copies if isinstance(copy.metadata, HastMetadata) and copy.metadata.resuid]
    if not full:
        return Verdict.SAME, None, f"neither copy of {name} holds anything yet"
    if len(full) == 1:
        empty = next(copy for copy in copies if copy is not full[0])
        return _newer(copies, full[0], f"{empty.node}'s copy is new and empty")
    return _by_counters(name, copies)


def _newer(copies: tuple[Copy, ...], newer: Copy, why: str) -> _Judgement:
    return Verdict.FIRST_NEWER if newer is copies[0] else Verdict.SECOND_NEWER, newer.node, why


def _by_counters(name: str, copies: tuple[Copy, ...]) -> _Judgement:
    """What `choose_copy` says of them; but a primary that writes now may have counted nothing yet."""
    real = {copy.node: copy.metadata for copy in copies if isinstance(copy.metadata, HastMetadata)}
    choice = choose_copy(name, real, tuple(real))
    if choice.hold is HoldReason.FOREIGN_COPY:
        return Verdict.FOREIGN, None, f"the disks of {' and '.join(real)} belong to different resources"
    if choice.hold is HoldReason.SPLIT_BRAIN:
        return Verdict.DIVERGED, None, f"both copies of {name} were written while they were apart"
    if all(_writes(copy) for copy in copies):
        # The counters follow only once, and may have been raised before: docs/freebsd-facts.md#2.6.
        return Verdict.DIVERGED, None, f"both nodes are primary for {name} and have written what the other has not"
    for mine, theirs in _both_ways(copies):
        if _wrote_alone(mine, theirs) and _writes(theirs):
            why = f"{mine.node} wrote {name} alone before, and {theirs.node}, which is primary, writes it alone now"
            return Verdict.DIVERGED, None, why
        if _wrote_alone(mine, theirs):
            return _newer(copies, mine, choice.why)
    if choice.hold:
        return Verdict.UNKNOWN, None, f"the copies of {name} count each other wrongly"
    return _in_step(name, copies)


def _both_ways(copies: tuple[Copy, ...]) -> tuple[tuple[Copy, Copy], ...]:
    """Each copy with the other one; nothing for a copy that has none."""
    return ((copies[0], copies[1]), (copies[1], copies[0])) if len(copies) == 2 else ()


def _wrote_alone(mine: Copy, theirs: Copy) -> bool | None:
    """Whether a copy counts more for itself than the other knows of; None: not known."""
    if isinstance(mine.metadata, HastMetadata) and isinstance(theirs.metadata, HastMetadata):
        return mine.metadata.localcnt > theirs.metadata.remotecnt
    return None


def _primary(copy: Copy) -> bool:
    return copy.role is ReportedRole.PRIMARY


def _writes(copy: Copy) -> bool:
    """Whether its node is primary and has what is not on the other one."""
    return bool(copy.dirty) and _primary(copy)


def _in_step(name: str, copies: tuple[Copy, ...]) -> _Judgement:
    """The counters agree. During a first full copy they do so too early: then the primary's dirty bytes tell."""
    if any(copy.role is ReportedRole.UNKNOWN for copy in copies):
        return Verdict.UNKNOWN, None, f"the counters of {name} agree, but not every node reports its role"
    for mine, theirs in _both_ways(copies):
        if _writes(mine):
            return _newer(copies, mine, f"{mine.node} has what is not on {theirs.node} yet")
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
        ["wrote alone", *(_YES_NO[_wrote_alone(mine, theirs)] for mine, theirs in _both_ways(copies))],
        ["dirty", *(_dirty(copy) for copy in copies)],
    ]
    return ["", *(copy.node for copy in copies)], rows


_YES_NO = {True: "yes", False: "no", None: "Unknown"}


def _role(copy: Copy) -> str:
    return f"{copy.role}, {copy.status}" if copy.status else copy.role


def _field(copy: Copy, name: str) -> str:
    if isinstance(copy.metadata, HastMetadata):
        return str(getattr(copy.metadata, name))
    return copy.metadata.value if copy.metadata is not None else "Unknown"


def _dirty(copy: Copy) -> str:
    """A secondary, or a node without a worker, counts nothing (docs/freebsd-facts.md#2.4)."""
    if copy.dirty is None:
        return "Unknown"
    if not _primary(copy):
        return "not counted"
    return f"{copy.dirty} bytes ({copy.dirty / 1048576:.0f} MiB)"
