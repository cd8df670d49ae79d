"""Reading one section of a probe's answer: what every part of `parse_probe` shares.

Rules: a section that was lost, timed out or is not understood becomes Unknown with a reason, and its raw text is kept
without keys; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hactl.core.cluster import Cluster
from hactl.core.facts import Known, NodeFacts, Reading, Unknown, fingerprint
from hactl.core.objects import StorageSpec
from hactl.core.parse.answer.frames import Frames, Section
from hactl.core.parse.question import EVERYTHING, Part, Question
from hactl.core.parse.text import Failed, NotUnderstood, redact

T = TypeVar("T")
U = TypeVar("U")
#: Text before the first frame and between frames that is kept as a note, characters.
_NOTE_LIMIT = 200


@dataclass(slots=True)
class Reader:
    """One answer of one node."""

    cluster: Cluster
    node: str
    frames: Frames
    #: What opens the probe's own lines: the frame and the nonce.
    mark: str
    seen_at: float
    salt: bytes
    question: Question = EVERYTHING
    #: What the node runs when it is not FreeBSD.
    uname: str | None = None
    #: Keys seen in this answer, in clear, only to take them out of raw text.
    _secrets: set[str] = field(default_factory=set, repr=False)
    _notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Learn what the rest needs: the keys that must not be kept, and whether this is FreeBSD at all."""
        self._gather_secrets()
        section = self.frames.sections.get("uname")
        name = section.text.strip() if section else ""
        # The probe asks uname only when sysctl did not say FreeBSD.
        if re.fullmatch(r"[A-Za-z0-9._/-]{1,32}", name) and name != "FreeBSD":
            self.uname = name

    @property
    def storages(self) -> list[StorageSpec]:
        """Storage with a disk on this node, in document order: the probe numbers its sections by it."""
        return [s for group in self.cluster.groups for s in group.storage if self.node in s.hast.devices]

    @property
    def before(self) -> NodeFacts | None:
        """What the node told the last time."""
        return self.question.before

    def asks(self, part: Part) -> bool:
        """Whether the answer was to tell of it."""
        return part in self.question.parts

    def says_same(self, name: str) -> bool:
        """Whether the node found that nothing of it has changed (sections `same.files`, `same.N` of services)."""
        return f"same.{name}" in self.frames.sections

    @property
    def reads_files(self) -> bool:
        """Whether the answer has what stands in files."""
        return self.asks(Part.FILES) and not self.says_same("files")

    def again(self, reading: Reading[T] | None) -> Reading[T]:
        """What was read before and is still so, as of now."""
        if reading is None:
            return self.unknown("it was never read")
        return reading if isinstance(reading, Unknown) else Known(reading.value, self.seen_at)

    def of_files(self, reading: Reading[T] | None) -> Reading[T]:
        """What was read from files before: as of now where the node says that they are the same."""
        if reading is None or self.says_same("files"):
            return self.again(reading)
        return reading

    def known(self, value: T) -> Known[T]:
        """A reading of this answer."""
        return Known(value, self.seen_at)

    def note(self, text: str) -> None:
        """Something a person may want to know."""
        self._notes.append(text)

    def read(self, name: str, parse: Callable[[Section], T]) -> Reading[T]:
        """A section through its parser, which may raise NotUnderstood or Failed (any ValueError is caught)."""
        section = self.frames.sections.get(name)
        if section is None:
            return self.missing(name)
        if section.timed_out:
            return self.unknown("the node gave no answer to this query in time", section.text)
        try:
            return self.known(parse(section))
        except ValueError as error:
            reason = str(error) if isinstance(error, NotUnderstood | Failed) else "not understood"
            return self.unknown(reason, section.text)

    def missing(self, name: str) -> Unknown:
        """Why there is no such section."""
        if self.uname is not None:
            return self.unknown(f"the node runs {self.uname}, not FreeBSD: not looked at")
        if name in self.frames.partial:
            return self.unknown("the answer was cut while this was read", self.frames.partial[name])
        if not self.frames.complete:
            return self.unknown("the answer was cut before this was read")
        return self.unknown("not looked at")

    def unknown(self, reason: str, raw: str = "") -> Unknown:
        """Unknown since this answer, without keys."""
        return Unknown(self.redact(reason), self.seen_at, self.redact(raw))

    def redact(self, text: str) -> str:
        """Text without keys."""
        return redact(text, self._secrets, frozenset(self.cluster.keys.values()), self.salt)

    def fingerprint(self, key: str) -> str:
        """What is kept of a key."""
        return fingerprint(key, self.salt)

    def _gather_secrets(self) -> None:
        for name in ("ifconfig", "rc"):
            section = self.frames.sections.get(name)
            text = section.text if section else self.frames.partial.get(name, "")
            self._secrets.update(re.findall(r'\bkey "([^\n]*)"', text))
            self._secrets.update(re.findall(r"\bpass\s+(\S+)", text))
        self._secrets.discard("")

    def good(self, section: Section) -> str:
        """The text of a section whose command succeeded."""
        if section.status != 0:
            raise Failed(f"the query failed with exit status {section.status}")
        return section.text

    def notes(self) -> tuple[str, ...]:
        """All notes, in the order they came up."""
        notes = [f"before the first line of ours: {self.frames.banner.strip()}"] if self.frames.banner.strip() else []
        notes += [f"between two queries: {stray}" for stray in self.frames.stray]
        if not self.frames.complete:
            notes.append("the answer was cut")
        return tuple(self.redact(note)[:_NOTE_LIMIT] for note in [*notes, *self._notes])


def then(reading: Reading[T], change: Callable[[T], U]) -> Reading[U]:
    """The value changed, if it is known."""
    return reading if isinstance(reading, Unknown) else Known(change(reading.value), reading.seen_at)
