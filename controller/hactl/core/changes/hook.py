"""Changes of the node hook: its files, devd's knowledge of them, and the notes it works by.

Man pages: devd(8), devctl(4), ping(8), sysctl(8).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import ALLOW, DEMOTION, STATE_DIRECTORY, Change, WrittenFile
from hactl.core.changes.replace import making, replacing, text_into_new
from hactl.core.sh import quote
from hactl.core.verbs import Verb

#: The rule file's checksum as the running devd read it.
LOADED = "/var/run/hactl.devd"
#: What the boot guard added to the demotion.
HELD = "/var/run/hactl.held"
DRAINED = f"{STATE_DIRECTORY}/drained"


@dataclass(frozen=True, slots=True)
class WriteHook(Change):
    """A file, in one rename; what was there and is not ours is kept."""

    verb = Verb.WRITE_HOOK
    path: str
    text: str
    mode: int
    #: sha256 of the text, hex.
    checksum: str
    #: devd reads it, when it starts.
    read_by_devd: bool = False

    @property
    def target(self) -> str:
        return self.path

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.path, self.text, self.mode)

    @property
    def command(self) -> str:
        directory, name = posixpath.split(self.path)
        kept = f"{STATE_DIRECTORY}/{name}.old"
        return "\n".join(
            [
                making(directory),
                making(STATE_DIRECTORY, 0o700),
                # Whoever restarted devd meanwhile started it with another rule, or none: what the note says is over.
                *([f"rm -f {LOADED} || exit 1"] if self.read_by_devd else []),
                replacing(
                    self.path,
                    # Somebody's own file, under our name.
                    '[ ! -e "$hactl_file" ] || grep -q "Written by hactl" "$hactl_file" ||',
                    f'  {{ cp -p "$hactl_file" {kept} && fsync {kept} {STATE_DIRECTORY}; }} || hactl_undo',
                    *text_into_new(self.text),
                    mode=self.mode,
                ),
            ]
        )


@dataclass(frozen=True, slots=True)
class RemoveHook(Change):
    """All its files. One of an older document would take an address that is gone for one that was lost, and give
    everything up.
    """

    verb = Verb.REMOVE_HOOK
    target = "hook"
    paths: tuple[str, ...]

    @property
    def command(self) -> str:
        directories = sorted({posixpath.dirname(path) for path in self.paths})
        flush = [f"[ ! -d {directory} ] || fsync {directory} || exit 1" for directory in directories]
        removed = f"rm -f {' '.join(self.paths)} {LOADED} || exit 1"
        return "\n".join([removed, *flush, "service devd onerestart"])


@dataclass(frozen=True, slots=True)
class RestartDevd(Change):
    """Events that come while it restarts wait in the kernel's queue (devctl(4)); the note is what we remember by."""

    verb = Verb.RESTART_DEVD
    target = "devd"
    #: sha256 of the rule file, hex.
    rule: str

    @property
    def command(self) -> str:
        return f"service devd onerestart && printf '%s\\n' {self.rule} > {LOADED}"


@dataclass(frozen=True, slots=True)
class ConfirmCopy(Change):
    """The note that a copy is complete, and whether the peer answers ping now: only then its silence says something."""

    verb = Verb.CONFIRM_COPY
    resource: str
    #: Address of the node that is primary.
    peer: str

    @property
    def target(self) -> str:
        return self.resource

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.note, "$(date +%s) $hactl_says\n")

    @property
    def note(self) -> str:
        """The file."""
        return f"{STATE_DIRECTORY}/confirmed.{self.resource}"

    @property
    def command(self) -> str:
        gone = f"{STATE_DIRECTORY}/disconnected.{self.resource}"
        # One answer of three: a packet that is lost would cost a failover half a minute (see pinged in the hook).
        ping = f"ping {'-6 ' if ':' in self.peer else ''}-o -c 3 -t 3 {self.peer}"
        says = f"hactl_says=$(timeout --foreground 4 {ping} >/dev/null 2>&1 && echo answers)"
        note = replacing(self.note, 'echo "$(date +%s) $hactl_says" > "$hactl_new"')
        return "\n".join([making(STATE_DIRECTORY, 0o700), f"rm -f {gone} || exit 1", says, note])


@dataclass(frozen=True, slots=True)
class LiftHold(Change):
    """The demotion a node was held at since it booted, and CARP that was off until it could serve."""

    verb = Verb.LIFT_HOLD
    target = DEMOTION
    held: int

    @property
    def command(self) -> str:
        return f"rm -f {HELD} && sysctl {ALLOW}=1 && sysctl {DEMOTION}={-self.held}"


@dataclass(frozen=True, slots=True)
class NoteDrained(Change):
    """The note that the node takes nothing over."""

    verb = Verb.NOTE_DRAINED
    target = DRAINED
    text: str

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(DRAINED, f"{self.text}\n")

    @property
    def command(self) -> str:
        note = f"printf '%s\\n' {quote(self.text)} > \"$hactl_new\""
        return f"{making(STATE_DIRECTORY, 0o700)}\n{replacing(DRAINED, note)}"


@dataclass(frozen=True, slots=True)
class ForgetDrained(Change):
    """That note, gone."""

    verb = Verb.FORGET_DRAINED
    target = DRAINED
    command = f"rm -f {DRAINED} && fsync {STATE_DIRECTORY}"


HookChange: TypeAlias = WriteHook | RemoveHook | RestartDevd | ConfirmCopy | LiftHold | NoteDrained | ForgetDrained
