"""Throwing away one of two copies that refuse each other: the exact steps, on the losing node only, or why not.

Rules: only a person asks for it, by the node's name, or the document for a node that slept (`onStaleWriter`,
docs/safety.md#I3, I4); the copy that stays must be primary now
and seen to be, so that it was looked at before the other one goes; the device that is wiped must be in use by nobody;
the node checks, in the same exec, that the copy is still the one the person was shown. Nothing else is done: HAST
copies everything from the primary by itself. docs/freebsd-facts.md#2.6, "Resolving split-brain".
Man pages: hastctl(8), dd(1), df(1), cmp(1), diskinfo(8).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from hactl.core.catalogue import HoldReason, RefusalReason
from hactl.core.changes.hast import DiscardCopy, PreserveCopy, size_of
from hactl.core.choices import OnStaleWriter
from hactl.core.cluster import Cluster, failover_of
from hactl.core.evidence.copies import Comparison, Verdict, compare_copies, group_of, stale_writer
from hactl.core.evidence.view import View
from hactl.core.facts import HastMetadata, HastRole, Known, Snapshot, known
from hactl.core.objects import StorageSpec
from hactl.core.operations import Operation, Overrides, State
from hactl.core.plan import checks
from hactl.core.plan.areas.storage import become_secondary
from hactl.core.plan.scene import Findings, Scene
from hactl.core.sh import quote, quote_plain
from hactl.core.steps import Check, Hold, Risk, Step

#: A copy to a file runs at least this fast, bytes per second: the time limit of the step.
PRESERVE_BYTES_PER_SECOND = 10 * 1024 * 1024
#: Room that has to stay on the filesystem the copy is kept on, KiB.
SPARE_KIB = 65536
_PATH = re.compile(r"/[A-Za-z0-9._/+:@-]+")
TITLE = "Resolve: throw one copy away"
#: Why the node of a copy that was thrown away becomes secondary.
FILLED = "the new copy is filled by the primary, which connects within 10 s"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it is not done."""

    reason: RefusalReason
    message: str
    #: What a person can do first; empty: nothing.
    remedy: str = ""


def resolution_steps(scene: Scene) -> Findings:
    """The steps of the first operation that can be carried out; why the ones before it cannot."""
    view = scene.view
    for resource, (node, preserve) in discards(scene.view, scene.overrides).items():
        found = resolve_steps(view.cluster, view.snapshot, resource, node, preserve, view.now)
        if isinstance(found, Refusal):
            yield Hold(
                HoldReason.RESOLVE_WAITS,
                f"{resource}: the copy of {node} is not thrown away: {found.message}",
                node=node,
                target=resource,
                remedy=found.remedy,
            )
        elif found:
            yield from found
            return


def discards(view: View, overrides: Overrides) -> dict[str, tuple[str, str]]:
    """Resource -> node whose copy goes, and where an image of it is kept: as people asked, and as the document says."""
    wanted = dict(overrides.discards)
    for group in view.cluster.groups:
        if failover_of(view.cluster, group).on_stale_writer is not OnStaleWriter.DISCARD:
            continue
        for storage in group.storage:
            node = stale_writer(view, storage)
            if node is not None and compare_copies(view, storage).verdict is Verdict.DIVERGED:
                wanted.setdefault(storage.name, (node, ""))
    return wanted


def resolve_steps(
    cluster: Cluster, snapshot: Snapshot, resource: str, discard: str, preserve: str = "", now: float | None = None
) -> tuple[Step, ...] | Refusal:
    """The steps that throw away the copy of node `discard`; an empty tuple when that is done already.

    `preserve`: a path on that node which gets an image of its device first; empty: none is kept. `now`: monotonic
    seconds, by default when the snapshot was taken.
    """
    moment = snapshot.taken_at if now is None else now
    found = group_of(cluster, resource)
    if found is None:
        return Refusal(RefusalReason.NO_SUCH_RESOURCE, f"the document of {cluster.name} has no resource {resource}")
    storage = found[1]
    if discard not in storage.hast.devices:
        nodes = ", ".join(storage.hast.devices)
        return Refusal(RefusalReason.NOT_ITS_NODE, f"{discard} has no copy of {resource}; {nodes} have one")
    keep = next((node for node in storage.hast.devices if node != discard), "")
    if preserve and (wrong := _bad_path(preserve)):
        return Refusal(
            RefusalReason.BAD_PATH, f"{preserve}: {wrong}", "name a new file on another disk, e.g. /var/tmp/data.img"
        )
    view = View.to_act_on(cluster, snapshot, moment)
    if (unheard := _unheard(view, keep, discard)) is not None:
        return unheard
    comparison = compare_copies(View.at(cluster, snapshot, moment), storage)
    if (left := _already(view, storage, comparison, discard)) is not None:
        return left
    refusal = no_split(comparison) or _serving(view, storage, keep, discard)
    refusal = refusal or _winner(view, storage, comparison, keep) or _loser(view, storage, discard)
    return refusal or _steps(view, storage, comparison, keep, discard, preserve)


def _bad_path(path: str) -> str:
    if not _PATH.fullmatch(path) or posixpath.normpath(path) != path:
        return "an absolute path without .. and special characters is needed"
    if path.startswith(("/dev/", "/tmp/hast", "/proc/")):
        return "this is no place for a file"
    return ""


def _unheard(view: View, keep: str, discard: str) -> Refusal | None:
    """Both must have spoken, a short while ago (I6)."""
    for node in (discard, keep):
        if node not in view.facts:
            silence = view.silent.get(node)
            why = f"{node} does not answer: {silence.message if silence else 'nothing is known of it'}"
            return Refusal(RefusalReason.NODE_SILENT, why, "bring it back first: both copies must be seen")
        if not view.fresh(node):
            return Refusal(RefusalReason.STALE_FACTS, f"what {node} said is too old", "look again")
    return None


# --- refusals -----------------------------------------------------------------------------------------------------


def _already(view: View, storage: StorageSpec, comparison: Comparison, discard: str) -> tuple[Step, ...] | None:
    """The copy is new and empty: it was thrown away before. What is left of the work is the role, if that."""
    copy = comparison.copy(discard)
    if not isinstance(copy.metadata, HastMetadata) or copy.metadata.resuid != 0:
        return None
    if comparison.newer in (None, discard):
        return None
    if view.role(storage.name, discard) is HastRole.INIT and copy.role == HastRole.INIT.value:
        return (become_secondary(storage, discard, FILLED),)
    return ()


def no_split(comparison: Comparison) -> Refusal | None:
    """Why there is nothing to resolve; None: there is."""
    if comparison.verdict is Verdict.UNKNOWN:
        return Refusal(
            RefusalReason.COPIES_UNKNOWN, comparison.message, "nothing is thrown away on a guess; look at both disks"
        )
    if not comparison.apart:
        return Refusal(
            RefusalReason.NO_SPLIT_BRAIN,
            f"{comparison.message}; there is nothing to resolve",
            "" if comparison.verdict is Verdict.SAME else "HAST brings the older copy up itself",
        )
    return None


def _serving(view: View, storage: StorageSpec, keep: str, discard: str) -> Refusal | None:
    """The only primary is the one that serves."""
    primary = [node for node in (discard, keep) if view.role(storage.name, node) is HastRole.PRIMARY]
    if primary != [discard]:
        return None
    message = f"{discard} is primary for {storage.name}, and {keep} is not: its copy is the one in service"
    remedy = f"if the copy of {keep} is the one to throw away: --discard {keep}"
    return Refusal(RefusalReason.SERVING, message, remedy)


def _winner(view: View, storage: StorageSpec, comparison: Comparison, keep: str) -> Refusal | None:
    """The copy that stays serves, and is whole."""
    name = storage.name
    if view.role(name, keep) is not HastRole.PRIMARY:
        role = comparison.copy(keep).role
        return Refusal(
            RefusalReason.OTHER_NOT_PRIMARY,
            f"{keep}, whose copy of {name} would stay, is {role} and not primary: nobody has seen that it is good",
            f"on {keep}: hastctl role primary {name}; look at the data; then again",
        )
    resource = view.resource(name, keep)
    if not isinstance(comparison.copy(keep).metadata, HastMetadata) or resource is None:
        return Refusal(RefusalReason.OTHER_NOT_COMPLETE, f"the copy of {name} on {keep} is not whole")
    if resource.local_errors:
        return Refusal(
            RefusalReason.OTHER_NOT_COMPLETE,
            f"{keep} has had I/O errors on its own disk of {name}: its copy may not be whole",
            f"on {keep}: hastctl list {name}; look at the disk before the other copy goes",
        )
    return None


def _loser(view: View, storage: StorageSpec, discard: str) -> Refusal | None:
    """Nothing uses what is thrown away (I2)."""
    name, facts = storage.name, view.facts[discard]
    mounts, pools = known(facts.mounts), known(facts.pools)
    if mounts is None or pools is None:
        return Refusal(RefusalReason.USE_UNKNOWN, f"what {discard} has mounted is not known")
    local, replicated = storage.hast.devices[discard], storage.device
    for mount in mounts:
        rest = mount.special.removeprefix(local)
        if mount.special in (replicated, local) or (rest != mount.special and rest[:1].isalpha()):
            return Refusal(
                RefusalReason.IN_USE,
                f"{mount.special} is mounted on {mount.node} of {discard}",
                f"on {discard}: stop what uses it, then umount {mount.node}",
            )
    zfs = storage.filesystem.zfs if storage.filesystem else None
    if zfs is not None and zfs.pool in pools and pools[zfs.pool].imported:
        remedy = f"on {discard}: zpool export {zfs.pool}"
        return Refusal(RefusalReason.IN_USE, f"pool {zfs.pool} is imported on {discard}", remedy)
    device = known(facts.hast_devices.get(name))
    if device is None or (device.exists and (device.used_by or not device.use_known)):
        return Refusal(RefusalReason.IN_USE, f"{replicated} of {discard} is in use, or that is not known")
    if not isinstance(known(facts.metadata.get(name)), HastMetadata):
        message = f"{local} of {discard} holds something that is no copy of {name}"
        return Refusal(
            RefusalReason.NOT_A_COPY, message, f"hactl never overwrites it; if it may go, zero it on {discard} yourself"
        )
    if view.role(name, discard) is None:
        return Refusal(
            RefusalReason.ROLE_UNKNOWN,
            f"{discard} does not report its role for {name}",
            f"on {discard}: hastctl list {name}",
        )
    return None


# --- steps --------------------------------------------------------------------------------------------------------


def _steps(
    view: View, storage: StorageSpec, comparison: Comparison, keep: str, discard: str, preserve: str
) -> tuple[Step, ...] | Refusal:
    kept = comparison.copy(keep).metadata
    assert isinstance(kept, HastMetadata)
    media = kept.localoff + kept.datasize
    reading = view.facts[discard].devices.get(storage.hast.devices[discard])
    size = reading.value.mediasize if isinstance(reading, Known) else 0
    if size and size < media:
        message = f"{storage.hast.devices[discard]} of {discard} has {size} bytes, the copy of {keep} needs {media}"
        return Refusal(
            RefusalReason.SIZES_DIFFER, message, "HAST refuses copies of different size: give it a larger disk"
        )
    role = view.role(storage.name, discard)
    assert role is not None
    steps = [_preserve(storage, discard, preserve, size or media)] if preserve else []
    steps.append(_discard(storage, comparison, kept, media, discard, role))
    steps.append(become_secondary(storage, discard, FILLED))
    return tuple(steps)


def _preserve(storage: StorageSpec, node: str, path: str, size: int) -> Step:
    """Keep an image first. `size`: bytes of the device as far as is known here, for the time limit."""
    change = PreserveCopy(storage.name, storage.hast.devices[node], path)
    device, image = quote_plain(change.device), quote_plain(path)
    directory = posixpath.dirname(path)
    room = (
        f'hactl_size=$({size_of(device)}) && [ -n "$hactl_size" ] || exit 1\n'
        f"[ -e {image} ] || df -k {quote(directory)} |\n"
        f"  awk -v size=\"$hactl_size\" 'NR == 2 {{ exit !($4 >= size / 1024 + {SPARE_KIB}) }}'"
    )
    return Step.of(
        node,
        change,
        "an image of the copy was asked for before it is thrown away",
        Risk.NONE,
        before=(
            Check(f"{directory} exists", f"[ -d {quote(directory)} ]"),
            Check(f"{directory} is not on /dev/hast", f"! df -k {quote(directory)} | grep -q '^/dev/hast/'"),
            Check(f"{directory} has room for an image of {storage.hast.devices[node]}", room),
        ),
        after=(
            Check(
                f"{path} is as large as {storage.hast.devices[node]}",
                f'[ "$(stat -f %z {image})" = "$({size_of(device)})" ]',
            ),
        ),
        timeout_seconds=60.0 + float(size // PRESERVE_BYTES_PER_SECOND),
    )


def _discard(
    storage: StorageSpec, comparison: Comparison, kept: HastMetadata, media: int, node: str, role: HastRole
) -> Step:
    mine = comparison.copy(node).metadata
    return Step.of(
        node,
        DiscardCopy(storage.name, kept.extentsize, kept.keepdirty, media),
        f"its copy was asked to be thrown away by name: {comparison.message}",
        Risk.DESTRUCTIVE,
        before=(
            checks.role_is(storage.name, role),
            checks.not_mounted(storage.device),
            Check(
                f"{storage.hast.devices[node]} has at least {media} bytes",
                f'[ "$({size_of(quote_plain(storage.hast.devices[node]))})" -ge {media} ]',
            ),
            *((checks.device_absent(storage.name),) if role is not HastRole.PRIMARY else ()),
            *(_as_shown(storage, mine) if isinstance(mine, HastMetadata) else ()),
        ),
        after=(
            Check(f"the copy of {storage.name} is new and empty", _dump_says(storage.name, "resuid", 0)),
            checks.role_is(storage.name, HastRole.INIT),
        ),
        timeout_seconds=storage.hast.timeout_seconds + 60.0,
    )


def _as_shown(storage: StorageSpec, copy: HastMetadata) -> tuple[Check, ...]:
    """The copy did not change since the person looked at it."""
    fields = (("resuid", copy.resuid), ("localcnt", copy.localcnt), ("remotecnt", copy.remotecnt))
    return tuple(
        Check(f"{word} of {storage.name} is {value}, as shown", _dump_says(storage.name, word, value))
        for word, value in fields
    )


def _dump_says(name: str, word: str, value: int) -> str:
    return f"hastctl dump {quote(name)} | grep -q '^ *{word}: {value}$'"


# --- the operation ------------------------------------------------------------------------------------------------


def judge_resolution(
    cluster: Cluster, snapshot: Snapshot, operation: Operation, now: float
) -> tuple[State, str] | None:
    """Whether an operation that throws a copy away is over, and how, for people; None: it is under way or waits."""
    preserve = operation.detail.get("preserve", "")
    found = resolve_steps(cluster, snapshot, operation.resource, operation.node, preserve, now)
    if isinstance(found, Refusal):
        return None if found.reason.passing else (State.FAILED, found.message)
    if not found:
        kept = f"; an image of it is {operation.node}:{preserve}" if preserve else ""
        return State.DONE, f"the copy of {operation.resource} on {operation.node} was thrown away{kept}"
    return None
