"""A quick look compared with what the node told last: the same facts as of now, or nothing.

Rules: whatever differs, was lost or is not understood is no answer here: the node is asked for everything then. Numbers
that grow while all is well (writes, dirty bytes on their way) are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hactl.core.cluster import Cluster
from hactl.core.facts import Device, HastResource, Known, NodeFacts, Reading, System
from hactl.core.parse.answer.frames import FRAME, Frames, Section, split_frames
from hactl.core.parse.answer.memory import stat_text
from hactl.core.parse.answer.node import read_facts
from hactl.core.parse.answer.processes import parse_processes, telling
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.question import Question, Remembered

#: kern.boottime moves with the discipline of the clock, seconds.
_CLOCK_SECONDS = 1
#: Fields that must be equal; the others are compared below, or cannot change unseen.
_EQUAL = ("interfaces", "modules", "carp_sysctls", "hastd", "mounts", "pools", "services", "hook", "connects", "devd")


def comparable(before: NodeFacts, known: Remembered) -> bool:
    """Whether a quick look can tell anything: all of it is known, and nothing has to be asked one by one."""
    readings = [getattr(before, name) for name in ("system", "resources", "boot", *_EQUAL) if name != "services"]
    readings += [*before.services.values(), *before.metadata.values(), *before.files.values()]
    readings += [*before.devices.values(), *before.hast_devices.values()]
    told = known.files and before.services.keys() <= known.services
    return bool(told) and all(isinstance(reading, Known) for reading in readings)


def unchanged(
    cluster: Cluster,
    node: str,
    text: str,
    *,
    nonce: str,
    seen_at: float,
    salt: bytes,
    question: Question,
) -> NodeFacts | None:
    """The facts of last time as of `seen_at`; None when something is not as it was. Raises ValueError for an answer
    without any frame of ours.
    """
    frames = split_frames(text, nonce)
    reader = Reader(cluster, node, frames, f"{FRAME} {nonce}", seen_at, salt, question)
    before = question.before
    if before is None or not frames.complete or not _told_again(reader):
        return None
    facts = read_facts(replace(reader, frames=_as_told(frames, len(before.services))))
    if facts.notes != before.notes or not _same(facts, before):
        return None
    fresh: dict[str, Any] = {name: getattr(facts, name) for name in (*_EQUAL, "resources")}
    fresh |= {name: reader.again(getattr(before, name)) for name in ("system", "boot")}
    for name in ("metadata", "devices", "hast_devices", "files"):
        fresh[name] = {key: reader.again(reading) for key, reading in getattr(before, name).items()}
    return replace(before, seen_at=seen_at, **fresh)


def _told_again(reader: Reader) -> bool:
    """Whether files and processes are the ones the node told of last time."""
    known = reader.question.known
    processes = reader.read("ps", parse_processes)
    if not isinstance(processes, Known) or stat_text(reader) != known.files:
        return False
    return telling(processes.value, {int(pid) for pid in known.pids.split()}) == known.processes


def _as_told(frames: Frames, services: int) -> Frames:
    """With the words a node says itself when it finds that files and services are the same."""
    same = {f"same.{name}": Section("", 0) for name in ("files", *map(str, range(services)))}
    return replace(frames, sections={**frames.sections, **same})


def _same(facts: NodeFacts, before: NodeFacts) -> bool:
    return (
        all(_values(getattr(facts, name)) == _values(getattr(before, name)) for name in _EQUAL)
        and _same_system(facts.system, before.system)
        and _steady(facts.resources) == _steady(before.resources)
        and _there(facts.devices) == _there(before.devices)
        and _there(facts.hast_devices) == _there(before.hast_devices)
    )


def _values(reading: Any) -> object:
    """Without times; an Unknown equals nothing."""
    if isinstance(reading, Mapping):
        return {key: _values(value) for key, value in reading.items()}
    return reading.value if isinstance(reading, Known) else object()


def _same_system(now: Reading[System], before: Reading[System]) -> bool:
    if not isinstance(now, Known) or not isinstance(before, Known):
        return False
    moved = abs(now.value.boot_epoch - before.value.boot_epoch)
    return moved <= _CLOCK_SECONDS and replace(now.value, boot_epoch=before.value.boot_epoch) == before.value


def _steady(reading: Reading[Mapping[str, HastResource]]) -> object:
    """Without what changes while all is well."""
    if not isinstance(reading, Known):
        return object()
    return {name: replace(each, writes=0, dirty=0) for name, each in reading.value.items()}


def _there(devices: Mapping[str, Reading[Device]]) -> object:
    return {key: known.value.exists if isinstance(known, Known) else object() for key, known in devices.items()}
