"""What a command can do to a node, as the audit sees it: one small noun per kind of change.

Rules: these are effects of programs, not steps: `hactl.core.audit.reader.programs` reads them from command text without
looking at the step's verb. Nothing here is shared with the planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class LoadsModule:
    """kldload."""

    module: str


@dataclass(frozen=True, slots=True)
class RunsText:
    """sh -c TEXT: what a document may name as the check of a service, and nothing else."""

    text: str


@dataclass(frozen=True, slots=True)
class SetsSysctl:
    """sysctl NAME=VALUE."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Ifconfig:
    """ifconfig that changes something. `alias`: True adds, False removes, None: neither word is there."""

    interface: str
    ip: str = ""
    prefix_length: int | None = None
    vhid: int | None = None
    advbase: int | None = None
    advskew: int | None = None
    secret: str = ""
    alias: bool | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class SetsRole:
    """hastctl role."""

    role: str
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CreatesMetadata:
    """hastctl create. `mediasize` 0: the whole provider."""

    resources: tuple[str, ...]
    mediasize: int = 0


@dataclass(frozen=True, slots=True)
class TriesHastd:
    """hastd, or hastctl that changes something, with the configuration of a trial; nc that listens for it.

    `where`: the address that nc listens on; empty for the others.
    """

    program: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class RunsService:
    """service NAME ACTION; the `one`, `force` or `quiet` in front of the action is kept in `action`."""

    name: str
    action: str


@dataclass(frozen=True, slots=True)
class SetsRc:
    """sysrc. `change`: "=", "+=", "-=" or "-x". `variable` is `$(...)` when the node finds its name."""

    variable: str
    change: str
    value: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class MakesFilesystem:
    """newfs."""

    device: str


@dataclass(frozen=True, slots=True)
class ChecksFilesystem:
    """fsck."""

    device: str
    preen: bool


@dataclass(frozen=True, slots=True)
class Mounts:
    """mount. `update` is -u."""

    special: str
    node: str
    options: frozenset[str]
    update: bool


@dataclass(frozen=True, slots=True)
class Unmounts:
    """umount."""

    target: str
    force: bool


@dataclass(frozen=True, slots=True)
class Zpool:
    """zpool create, import or export."""

    action: str
    pool: str
    devices: tuple[str, ...] = ()
    force: bool = False
    mountpoint: str = ""


@dataclass(frozen=True, slots=True)
class WritesFile:
    """A file or directory is created, replaced, changed or removed; `how` is the program."""

    path: str
    how: str


Effect: TypeAlias = (
    LoadsModule
    | SetsSysctl
    | Ifconfig
    | SetsRole
    | CreatesMetadata
    | TriesHastd
    | RunsService
    | RunsText
    | SetsRc
    | MakesFilesystem
    | ChecksFilesystem
    | Mounts
    | Unmounts
    | Zpool
    | WritesFile
)
