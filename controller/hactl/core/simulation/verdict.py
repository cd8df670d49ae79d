"""Whether a simulation is what the owner of the cluster wants, and whether one revision is worse than another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hactl.core.choices import NeedsPerson
from hactl.core.cluster import Cluster
from hactl.core.hook.installed import checksum
from hactl.core.hook.render import hook_files
from hactl.core.objects import HACluster, ObjectivesSpec
from hactl.core.simulation.story import Result

#: Two nodes that both serve for less than this hand over: the one that yields hears the other one first, seconds.
HANDOVER_SECONDS = 1.0
#: What differs by less than this is the same, seconds: looks and advertisements fall as they fall.
SAME_SECONDS = 1.0


class Trouble(StrEnum):
    """What is bad whatever the owner wants, worst first; its value is a phrase of a report."""

    LOST = "acknowledged writes are lost"
    BOTH = "two nodes serve at once"
    NEVER = "nobody serves although everything works again"
    DOWN = "nobody serves while it lasts"
    PERSON = "a person is needed although everything works again"


def troubles(result: Result) -> list[Trouble]:
    """What is bad about a story."""
    found = {
        Trouble.LOST: result.lost > 0,
        Trouble.BOTH: result.both_seconds > HANDOVER_SECONDS,
        Trouble.NEVER: not result.over,
        Trouble.DOWN: not all(result.serves.values()),
        Trouble.PERSON: bool(result.person),
    }
    return [trouble for trouble, is_so in found.items() if is_so]


def misses(objectives: ObjectivesSpec | None, result: Result) -> list[str]:
    """The objectives that a story misses, in words; nothing where they do not hold for so many faults."""
    return list(_misses(objectives, result)) if objectives and result.weight <= objectives.faults else []


def _misses(objectives: ObjectivesSpec, result: Result) -> Iterator[str]:
    limit = objectives.unavailable_seconds
    if limit is not None and (result.away_seconds > limit or not result.over):
        found = f"{result.away_seconds:.0f}" if result.over else "for good"
        yield f"unavailableSeconds {found}, at most {limit}"
    if objectives.lost_writes is not None and result.lost > objectives.lost_writes:
        yield f"lostWrites {result.lost}, at most {objectives.lost_writes}"
    if objectives.needs_person is NeedsPerson.NEVER and result.person:
        yield "needsPerson yes, never wanted"
    if objectives.needs_person is NeedsPerson.WHILE_SERVING and result.person and not result.over:
        yield "needsPerson yes, and nobody serves meanwhile"


# -- two revisions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """What a fault comes to in two revisions of a document."""

    before: Result
    after: Result
    #: What is worse and what is better now, in words.
    worse: tuple[str, ...]
    better: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two simulations, fault by fault."""

    #: Faults that both have.
    common: int
    #: Something of them is worse, whatever else is better.
    worse: tuple[Change, ...]
    #: Something of them is better, and nothing worse.
    better: tuple[Change, ...]
    #: Faults that only one of them has: what was played before, and what is now.
    gone: tuple[str, ...]
    new: tuple[str, ...]


def compare(before: Sequence[Result], after: Sequence[Result]) -> Comparison:
    """Faults are the same when they have the same words."""
    known = {result.name: result for result in before}
    names = {result.name for result in after}
    changes = [_change(known[result.name], result) for result in after if result.name in known]
    return Comparison(
        len(changes),
        tuple(change for change in changes if change.worse),
        tuple(change for change in changes if change.better and not change.worse),
        tuple(name for name in known if name not in names),
        tuple(result.name for result in after if result.name not in known),
    )


def _change(before: Result, after: Result) -> Change:
    worse: list[str] = []
    better: list[str] = []
    for what, old, new, same in (
        ("lost writes", before.lost, after.lost, 0.0),
        ("seconds served twice", before.both_seconds, after.both_seconds, SAME_SECONDS),
        ("seconds without service", _away(before), _away(after), SAME_SECONDS),
        ("needs a person", bool(before.person), bool(after.person), 0.0),
    ):
        if abs(new - old) > same:
            (worse if new > old else better).append(f"{what} {_value(old)} -> {_value(new)}")
    return Change(before, after, tuple(worse), tuple(better))


#: Nobody serves at the end: longer than anything that ends, seconds.
_FOR_GOOD_SECONDS = 1e9


def _away(result: Result) -> float:
    return result.away_seconds if result.over else _FOR_GOOD_SECONDS


def _value(value: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "for good" if value >= _FOR_GOOD_SECONDS else f"{value:.0f}"


# -- on record --------------------------------------------------------------------------------------------------------


def digest(document: HACluster) -> str:
    """Names a simulation: what it depends on of a document, its objectives, and the hook that would be installed.

    How the nodes are logged into, passwords, labels and what is kept on real nodes count for nothing.
    """
    spec = document.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"keep"})
    for node in spec["nodes"]:
        node["ssh"] = {"host": node["ssh"]["host"]}
    for group in spec["groups"]:
        for vip in group["virtualIPs"]:
            vip.pop("passwordFrom", None)
    cluster = Cluster(document)
    files = [checksum(file.text) for node in document.spec.nodes for file in hook_files(cluster, node.name)]
    text = json.dumps([document.name, spec, files], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record_of(document: HACluster, faults: int, results: Sequence[Result]) -> dict[str, Any]:
    """What is kept of a simulation: enough for `on_record`, and the worst of it for people."""
    objectives = document.spec.objectives
    missed = [f"{each.name}: {'; '.join(found)}" for each in results if (found := misses(objectives, each))]
    return {
        "digest": digest(document),
        "faults": faults,
        "played": len(results),
        "judged": sum(objectives is not None and each.weight <= objectives.faults for each in results),
        "bad": sum(bool(troubles(each)) for each in results),
        "missed": missed,
    }


def on_record(document: HACluster, details: Sequence[Mapping[str, Any]]) -> str:
    """What the simulations on record (newest first) say of a document with objectives; empty: they are met.

    `details`: what `record_of` made of each.
    """
    objectives = document.spec.objectives
    if objectives is None:
        return ""
    wanted = digest(document)
    same = [each for each in details if each.get("digest") == wanted]
    enough = next((each for each in same if int(each["faults"]) >= objectives.faults), None)
    if enough is None:
        less = f" with {objectives.faults} faults at once" if same else ""
        return f"objectives: no simulation of this document{less} is on record"
    missed = list(enough["missed"])
    if not missed:
        return ""
    first = f"{missed[0]}{f' and {len(missed) - 1} more' if len(missed) > 1 else ''}"
    return f"objectives: missed in {len(missed)} of {enough['judged']} simulated stories: {first}"
