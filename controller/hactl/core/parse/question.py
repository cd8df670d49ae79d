"""What a look asks a node for, and what it tells the node of the last one.

Rules: a look that asks for less says which parts; a part that was not asked keeps the facts and the age it had. What a
node is told lets it leave out what is still so, and nothing else: files whose device, inode, mode, owner, size and
times are the ones they were read with, and services whose processes are the ones they had when they were asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hactl.core.facts import NodeFacts


class Part(StrEnum):
    """A part of what a node tells. Which machine it is, and net.inet.carp, are asked every time."""

    #: Interfaces and vhids.
    CARP = "carp"
    #: hastd, roles, metadata, devices, mounts and pools.
    STORAGE = "storage"
    SERVICES = "services"
    #: Boot configuration, files hactl writes, the node hook's files, rules of devd.
    FILES = "files"
    #: What the node hook and earlier steps noted.
    NOTES = "notes"
    #: What a failover hangs on besides: hastd's listening, routes to the peers, room for notes.
    STANDING = "standing"
    #: Counters of CARP and the kernel log.
    LOG = "log"


ALL_PARTS = frozenset(Part)
#: What steps are decided by; the rest explains, or tells what a failover lacks.
DECIDING = ALL_PARTS - {Part.STANDING, Part.LOG}


@dataclass(frozen=True, slots=True)
class NextLook:
    """What a look has to ask right after a stage, and what not: the stage told it."""

    parts: frozenset[Part] = ALL_PARTS
    #: Node -> services that a step stopped there: Done is the word of the script itself, asked after the stop.
    stopped: Mapping[str, frozenset[str]] = field(default_factory=dict)


#: Nothing is told: all parts.
WHOLE = NextLook()


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a node is told of an earlier look."""

    #: What stat(1) said of all files when they were read; empty: they are to be read.
    files: str = ""
    #: Processes that tell about services (`hactl.core.parse.answer.memory`), when services were asked; empty: ask.
    processes: str = ""
    #: Services of which those processes tell everything.
    services: frozenset[str] = frozenset()
    #: Pids that belong to services, in words.
    pids: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer came to."""

    facts: NodeFacts
    #: What to tell the node the next time.
    remembered: Remembered
    #: False: something was lost, or does not fit to what was not asked again; ask for everything.
    complete: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a look asks."""

    parts: frozenset[Part] = ALL_PARTS
    #: Only what changes by itself, to be compared with the last look: nothing is read twice, nothing is concluded.
    quick: bool = False
    #: Each query that can hang has a limit of its own: it costs a program, and saves the rest of the answer.
    bounded: bool = True
    #: What the node told last; what is not asked, or is still so, is taken from it.
    last: Answered | None = None

    @property
    def known(self) -> Remembered:
        """What the node is told of the last look."""
        return Remembered() if self.last is None else self.last.remembered

    @property
    def before(self) -> NodeFacts | None:
        """What the node told last."""
        return None if self.last is None else self.last.facts


EVERYTHING = Question()
